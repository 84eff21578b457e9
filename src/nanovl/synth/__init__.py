"""Training data made here: documents, tables, charts, scenes, videos and text with ground truth.

Knows renderers, TeX subprocesses and the record format; never the trainer.

Reading order: base (what a generator is), verify and asking (answers and questions), typefaces;
the generators in documents, tables, charts, scenes, text and video, the LaTeX compiler in tex;
registry, records, shards and run (how data sets are made of them).
"""

from __future__ import annotations

__all__: list[str] = []
