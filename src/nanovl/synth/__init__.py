"""Training data made here: documents, tables, charts, scenes, videos and text with ground truth.

Knows renderers, TeX subprocesses and the record format; never the trainer.

Reading order: base (what a generator is), verify and asking (answers and questions), lengths,
typefaces; browser with browser_process and browser_shot (pages laid out by Chromium);
tex (LaTeX compiler); the generators in business, documents, tables, charts, scenes, screens,
multipage, papers, text and video;
registry, records, journal, usage, shards, join (how data sets are made of them); schedule, pool,
cluster, claim, run (by whom, here or on Ray); mix and mixrun (many at once); datasets (reading them
back); quality (what is wrong with them), card with card_text and provenance, gallery; energon_ocr
(pages for other loaders); model (questions and traces written by a model).
"""

from __future__ import annotations

__all__: list[str] = []
