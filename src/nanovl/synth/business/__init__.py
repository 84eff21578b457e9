"""Business documents: invoices, forms, statements, cards and more, with every field's place.

Reading order: phrases (words of six languages), formats (numbers, dates, money), parties (made-up
companies and people), model (what a document knows), nodes (what stands where), theme, drawings,
parts and pages (arrangements); the families in commerce, offices, records, finance, cards and
boards; html and typeset (two renderers), placed (ground truth), quiz (a document
that is asked about), asks, judge and sums (questions), generator.
"""

from __future__ import annotations

__all__: list[str] = []
