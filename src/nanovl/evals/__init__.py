"""Benchmarks: readers, prompts, metrics, runs, reports.

Knows the engine's facade or an HTTP endpoint; never the trainer or the server.

Reading order: base (the nouns), scoring (metrics), registry, readers, prompts, text_prompts,
native (nanovl's own format), ruler_sources, ruler_tasks, ruler_files (RULER made here), runner,
report.
"""

from __future__ import annotations

__all__: list[str] = []
