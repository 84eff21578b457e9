"""Charts: data with a look, drawn by one of three renderers, with boxes, tables and questions.

Reading order: spec (what a chart is), topics, data (random charts), look (colours and typefaces);
mpl and mpl_more (matplotlib), pil (Pillow), vegaspec and vega (Vega-Lite); phrases, view, qa, dual,
panels (questions); tell (tables, captions, code); generator.
"""

from __future__ import annotations

__all__: list[str] = []
