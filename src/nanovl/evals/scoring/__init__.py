"""Metrics: how a response is compared with the reference, and how verdicts become a score.

Reading order: text (normalisation), then one module per family.
"""

from __future__ import annotations

__all__: list[str] = []
