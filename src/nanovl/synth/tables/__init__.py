"""Tables: a grid of cells is the truth, drawn, written in several forms, and asked about.

Reading order: grid (what a table is), vocabulary, content (what stands in it), forms, parse, teds
(as text and back), style, render, html, latex (as a picture), phrases, qa (questions), generator.
"""

from __future__ import annotations

__all__: list[str] = []
