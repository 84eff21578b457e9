"""Benchmarks: readers, prompts, metrics, runs, reports.

Knows the engine's facade or an HTTP endpoint; never the trainer or the server.

Reading order: base (the nouns), scoring (metrics).
"""

from __future__ import annotations

__all__: list[str] = []
