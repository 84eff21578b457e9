"""Pages of text: fonts, layout, painting, paper and camera, random and real text, human questions.

Draws with Pillow alone and knows where every character is. Knows no TeX, no browser and no file
but fonts and the sources it is given.

Reading order: scripts, sfnt, fonts (what can be shown); glyphs (words as ink); blocks (what a
document says), style (how it looks), lines, tablelayout, layout, pages (where it stands), draw
(pixels and boxes), truth (text and ground truth of a page); warp, effects, backgrounds, augment
(scanner and camera); wordings, asks, tableasks (questions); words, cjk, text, stories, problems,
problemasks (content); build, ocrpage, scenepage, rendersettings, rendered, rendertables,
renderproblems (the generators).
"""

from __future__ import annotations

__all__: list[str] = []
