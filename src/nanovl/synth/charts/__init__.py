"""Charts: data with a look, drawn by matplotlib or by Pillow, with boxes, tables and questions.

Reading order: spec (what a chart is), topics, data (random charts), look (colours and typefaces);
mpl and mpl_more (matplotlib), pil (Pillow); phrases, view, qa (questions); tell (tables, captions,
code); generator.
"""

from __future__ import annotations

__all__: list[str] = []
