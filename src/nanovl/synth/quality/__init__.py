"""Looks at finished data sets: duplicates, overlap with evaluation files, pictures, boxes, answers.

Checks change nothing; `filter_datasets` writes what is left. Must not make samples.

Reading order: config (the rules), datasets (what is read), texts, images, languages, geometry,
answers, lengths, balance, overlap (single rules), guesses, blind, blindmodel (questions without
pictures), inspect (one shard), store (comparisons), check, filter.
"""

from __future__ import annotations

from nanovl.synth.quality.check import Report, check
from nanovl.synth.quality.config import DROPPING, RULES, Finding, QualityConfig
from nanovl.synth.quality.filter import Filtered, filter_datasets

__all__ = [
    "DROPPING",
    "RULES",
    "Filtered",
    "Finding",
    "QualityConfig",
    "Report",
    "check",
    "filter_datasets",
]
