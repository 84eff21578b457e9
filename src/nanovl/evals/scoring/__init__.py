"""Metrics: how a response is compared with the reference, and how verdicts become a score.

Reading order: text, edits, literals, extraction and keyed_lines (reading what was said), tally
and statistics with student (many verdicts), judging; choices, choice_totals, first_letter and
letters_ns (letters); yesno, vqa, anls, relaxed, contains, ocrbench (short answers); points.
"""

from __future__ import annotations

__all__: list[str] = []
