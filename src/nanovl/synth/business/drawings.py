"""Logos, stamps, signatures, portraits, bar charts, bar codes and QR codes as SVG of our own.

Code 128 bar codes are encoded here; QR codes come from the package `segno`. Must not imitate the
marks of any company, bank or state.

Source: data synthesis specification, section 9 and 4.3 (stamps); ISO/IEC 15417 (Code 128).
"""

from __future__ import annotations

import html
import math
import random
from collections.abc import Sequence

from nanovl.core.errors import InputError, missing_extra
from nanovl.synth.business.nodes import Drawing

__all__ = [
    "CODE128",
    "bar_chart",
    "barcode",
    "check_svg",
    "code128",
    "logo",
    "portrait",
    "qr",
    "signature",
    "stamp",
]

# Widths of bars and gaps of the values 0 to 105, then the stop sign.
_WIDTHS = (
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 "
    "122132 122231 113222 123122 123221 223211 221132 221231 213212 223112 312131 311222 321122 "
    "321221 312212 322112 322211 212123 212321 232121 111323 131123 131321 112313 132113 132311 "
    "211313 231113 231311 112133 112331 132131 113123 113321 133121 313121 211331 231131 213113 "
    "213311 213131 311123 311321 331121 312113 312311 332111 314111 221411 431111 111224 111422 "
    "121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 241211 221114 413111 "
    "241112 134111 111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 214121 "
    "412121 111143 111341 131141 114113 114311 411113 411311 113141 114131 311141 411131 211412 "
    "211214 211232 2331112"
)
CODE128 = tuple(_WIDTHS.split(" "))
_START_B, _START_C, _STOP = 104, 105, 106


def _svg(width: float, height: float, inner: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}">{inner}</svg>'
    )


def code128(text: str) -> list[int]:
    """Values of a bar code: start, data, check sum, stop.

    Raises:
        InputError: A character is not printable ASCII.
    """
    if not text or any(not 32 <= ord(mark) < 127 for mark in text):
        raise InputError(f"bar code {text!r}: expected printable ASCII")
    if text.isdigit() and len(text) % 2 == 0:
        values = [_START_C, *(int(text[k : k + 2]) for k in range(0, len(text), 2))]
    else:
        values = [_START_B, *(ord(mark) - 32 for mark in text)]
    check = values[0] + sum(k * v for k, v in enumerate(values[1:], 1))
    return [*values, check % 103, _STOP]


def barcode(text: str, width: float, height: float, align: str = "left") -> Drawing:
    """A Code 128 bar code."""
    steps = [int(w) for value in code128(text) for w in CODE128[value]]
    unit = width / (sum(steps) + 20)
    at, bars = 10 * unit, []
    for k, step in enumerate(steps):
        if k % 2 == 0:
            bars.append(f'<rect x="{at:.3f}" y="0" width="{step * unit:.3f}" height="{height:g}"/>')
        at += step * unit
    ground = f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>'
    svg = _svg(width, height, f'{ground}<g fill="#000000">{"".join(bars)}</g>')
    return Drawing(svg=svg, width=width, height=height, what="barcode", align=align, text=text)


def qr(text: str, size: float, align: str = "left") -> Drawing:
    """A QR code.

    Raises:
        BackendError: The package segno is missing.
    """
    try:
        import segno
    except ImportError as error:
        raise missing_extra("segno", "synth", "drawing QR codes") from error
    rows = [list(row) for row in segno.make(text, error="m", micro=False).matrix_iter(border=2)]
    count = len(rows)
    path = "".join(
        f"M{x} {y}h1v1h-1z"
        for y, row in enumerate(rows)
        for x, is_dark in enumerate(row)
        if is_dark
    )
    inner = f'<rect width="{count}" height="{count}" fill="#ffffff"/><path d="{path}"/>'
    return Drawing(
        svg=_svg(count, count, inner), width=size, height=size, what="qr", align=align, text=text
    )


def logo(rng: random.Random, accent: str, size: float, align: str = "left") -> Drawing:
    """An abstract mark without letters."""
    kind = rng.randrange(6)
    pale = f'fill="{accent}" fill-opacity="0.45"'
    full = f'fill="{accent}"'
    if kind == 0:
        radius = rng.randint(16, 26)
        inner = f'<circle cx="38" cy="50" r="{radius}" {full}/>'
        inner += f'<circle cx="62" cy="50" r="{radius}" {pale}/>'
    elif kind == 1:
        turn = rng.choice((0, 15, 45))
        inner = f'<g transform="rotate({turn} 50 50)"><rect x="18" y="18" width="30" height="64" '
        inner += f'{full}/><rect x="52" y="34" width="30" height="48" {pale}/></g>'
    elif kind == 2:
        count = rng.choice((5, 6, 8))
        parts = []
        for k in range(count):
            angle = 2 * math.pi * k / count
            x, y = 50 + 28 * math.cos(angle), 50 + 28 * math.sin(angle)
            style = full if k % 2 else pale
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="13" {style}/>')
        inner = "".join(parts)
    elif kind == 3:
        inner = f'<path d="M10 82L42 20L60 54L70 38L92 82Z" {full}/>'
        inner += f'<circle cx="76" cy="22" r="9" {pale}/>'
    elif kind == 4:
        lines = [
            f'<path d="M12 {30 + 16 * k}q19 -18 38 0t38 0" fill="none" stroke="{accent}" '
            f'stroke-width="8" stroke-opacity="{1 - 0.25 * k:g}"/>'
            for k in range(3)
        ]
        inner = "".join(lines)
    else:
        inner = f'<path d="M50 8L88 30V70L50 92L12 70V30Z" {pale}/>'
        inner += f'<path d="M50 26L73 40V64L50 77L27 64V40Z" {full}/>'
    return Drawing(svg=_svg(100, 100, inner), width=size, height=size, what="logo", align=align)


def signature(rng: random.Random, width: float, align: str = "left") -> Drawing:
    """A scribble in ink."""
    at, parts = 8.0, [f"M8 {rng.randint(24, 40)}"]
    while at < 176:
        step = rng.uniform(8, 24)
        high, low = rng.uniform(4, 30), rng.uniform(30, 52)
        parts.append(
            f"C{at + step * 0.2:.1f} {high:.1f} {at + step * 0.7:.1f} {low:.1f} "
            f"{at + step:.1f} {rng.uniform(22, 40):.1f}"
        )
        at += step * rng.uniform(0.5, 1)
        parts.append(f"S{at:.1f} {rng.uniform(8, 52):.1f} {at + 4:.1f} {rng.uniform(22, 40):.1f}")
    colour = rng.choice(("#12246b", "#1b1b1b", "#0a3d91", "#243a2a"))
    stroke = rng.uniform(1.4, 2.6)
    inner = (
        f'<path d="{"".join(parts)}" fill="none" stroke="{colour}" stroke-width="{stroke:.1f}" '
        'stroke-linecap="round"/>'
    )
    return Drawing(
        svg=_svg(200, 60, inner), width=width, height=width * 0.3, what="signature", align=align
    )


def stamp(rng: random.Random, text: str, width: float, align: str = "left") -> Drawing:
    """A stamp with a word, a little turned."""
    colour = rng.choice(("#b3202c", "#1d4f9e", "#2d6e35", "#6a2c8a"))
    turn = rng.uniform(-7, 7)
    size = min(30.0, 150 / (0.68 * max(4, len(text))))
    frame = (
        '<rect x="14" y="18" width="172" height="54" rx="6"/>'
        '<rect x="19" y="23" width="162" height="44" rx="4"/>'
        if rng.random() < 0.6
        else '<ellipse cx="100" cy="45" rx="90" ry="34"/>'
        '<ellipse cx="100" cy="45" rx="84" ry="29"/>'
    )
    inner = (
        f'<g transform="rotate({turn:.1f} 100 45)"><g fill="none" stroke="{colour}" '
        f'stroke-width="2.5">{frame}</g><text x="100" y="{45 + size * 0.36:.1f}" '
        f'text-anchor="middle" font-family="Liberation Sans" font-weight="bold" '
        f'font-size="{size:.1f}" fill="{colour}">{html.escape(text)}</text></g>'
    )
    return Drawing(
        svg=_svg(200, 90, inner), width=width, height=width * 0.45, what="stamp", align=align,
        text=text,
    )  # fmt: skip


def portrait(rng: random.Random, width: float, align: str = "left") -> Drawing:
    """A head and shoulders without a face: plainly nobody."""
    ground = rng.choice(("#dfe6ee", "#e9e2d8", "#dde8df"))
    figure = rng.choice(("#8796a8", "#a08d7a", "#7f9a88"))
    hair = rng.choice(("#3c3228", "#6b4a2b", "#26282c", "#8a7a5a"))
    inner = (
        f'<rect width="80" height="100" fill="{ground}"/>'
        f'<path d="M8 100Q12 66 40 66Q68 66 72 100Z" fill="{figure}"/>'
        f'<circle cx="40" cy="42" r="20" fill="{figure}" fill-opacity="0.75"/>'
        f'<path d="M19 40Q20 {rng.randint(14, 22)} 40 18Q60 {rng.randint(14, 22)} 61 40Q50 30 40 '
        f'30Q30 30 19 40Z" fill="{hair}"/>'
    )
    return Drawing(
        svg=_svg(80, 100, inner), width=width, height=width * 1.25, what="photo", align=align
    )


def bar_chart(
    values: Sequence[float], accent: str, width: float, height: float, align: str = "left"
) -> Drawing:
    """Bars without labels, for reports and slides."""
    top, step = max(values), 100 / len(values)
    bars = "".join(
        f'<rect x="{k * step + step * 0.2:.2f}" y="{58 - 52 * v / top:.2f}" '
        f'width="{step * 0.6:.2f}" height="{52 * v / top:.2f}" fill="{accent}" '
        f'fill-opacity="{0.55 + 0.45 * (k % 2):g}"/>'
        for k, v in enumerate(values)
    )
    inner = f'{bars}<path d="M0 58.5H100" stroke="#555555" stroke-width="0.8"/>'
    return Drawing(svg=_svg(100, 60, inner), width=width, height=height, what="chart", align=align)


def check_svg(rng: random.Random, is_on: bool, ink: str, style: int) -> str:
    """A check box; styles are cross, tick, filled and round."""
    shape = (
        f'<circle cx="10" cy="10" r="8" fill="#ffffff" stroke="{ink}" stroke-width="1.6"/>'
        if style == 3
        else f'<rect x="2" y="2" width="16" height="16" fill="#ffffff" stroke="{ink}" '
        'stroke-width="1.6"/>'
    )
    mark = ""
    if is_on:
        a, b = rng.uniform(-1, 1), rng.uniform(-1, 1)
        mark = (
            f'<path d="M{4 + a:.1f} {4 + b:.1f}L{16 + b:.1f} {16 + a:.1f}M{16 - a:.1f} {4 + b:.1f}'
            f'L{4 + b:.1f} {16 - a:.1f}" stroke="{ink}" stroke-width="2.2" fill="none"/>',
            f'<path d="M{3.5 + a:.1f} {10 + b:.1f}L{8 + a:.1f} 15.5L{17 + a:.1f} {3 + b:.1f}" '
            f'stroke="{ink}" stroke-width="2.6" fill="none"/>',
            f'<rect x="5" y="5" width="10" height="10" fill="{ink}"/>',
            f'<circle cx="10" cy="10" r="4.6" fill="{ink}"/>',
        )[style]
    return _svg(20, 20, shape + mark)
