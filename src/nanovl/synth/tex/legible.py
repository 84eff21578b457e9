"""Finds words of a page that cannot be told from what is behind them.

Other colours of text and page meet colours the author chose; the picture decides. Must not change
a page.

Source: data synthesis specification, section 3.16 (contrast ratio).
"""

from __future__ import annotations

import numpy as np

from nanovl.synth.tex.blocks import Page
from nanovl.synth.tex.hues import MIN_CONTRAST
from nanovl.synth.tex.verify import PdfText

__all__ = ["faint_words"]

_SCALE = 2.0  # pixels per point: strokes of small print reach their full colour
_LEAST_PX = 4


def faint_words(page: Page, pdf: PdfText, index: int) -> list[str]:
    """Words of a page, pictures left out, whose contrast with their background is too low.

    Args:
        page: As assembled.
        pdf: Of the same run.
        index: Of the page, from 0.

    Returns:
        The words, in reading order.
    """
    sheet = pdf.document[index]
    pixels = sheet.render(scale=_SCALE, rev_byteorder=True).to_numpy()[..., :3]
    sheet.close()
    value = pixels.astype(np.float32) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    light = linear @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    faint = []
    for block in page.blocks:
        if block.klass == "Picture":
            continue
        for box, text in block.words:
            if sum(c.isalnum() for c in text) < 2:
                continue
            x0, y0, x1, y1 = (round(_SCALE * v) for v in box)
            part = light[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)]
            if min(part.shape) < _LEAST_PX:
                continue
            low, high = float(part.min()), float(part.max())
            if (high + 0.05) / (low + 0.05) < MIN_CONTRAST:
                faint.append(text)
    return faint
