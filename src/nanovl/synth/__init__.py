"""Training data made here: documents, tables, charts, scenes, videos and text with ground truth.

Knows renderers, TeX subprocesses and the record format; never the trainer.

Reading order: base (what a generator is), verify and asking (answers and questions), typefaces;
browser with browser_process and browser_shot (pages laid out by Chromium);
the generators in business, documents, tables, charts, scenes, screens, text and video; tex (LaTeX
compiler);
registry, records, journal, usage, shards, join (how data sets are made of them); schedule, pool,
cluster, claim, run (by whom, here or on Ray); mix and mixrun (many at once); quality (what is wrong
with them); energon_ocr (pages for other loaders).
"""

from __future__ import annotations

__all__: list[str] = []
