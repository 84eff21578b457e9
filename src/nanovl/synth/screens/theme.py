"""How a screen looks: colours, typefaces, density, corners; drawn once per sample.

Texts always stand out from what is behind them (contrast of at least 4.5, secondary texts 3.5).
Typefaces are families that are installed; which ones is part of the configuration. Must not know
what is on a screen.

Source: data synthesis specification, sections 8 (themes) and 19 (contrast).
"""

from __future__ import annotations

import colorsys
import os
import random
from dataclasses import dataclass
from functools import lru_cache

from nanovl.core.errors import BackendError, ConfigError
from nanovl.synth.documents.style import Colour, contrast

__all__ = ["FACES", "Theme", "draw_theme", "installed_faces", "resolve_faces"]

# CSS family: (kind, a file that says it is installed, Debian package).
FACES: dict[str, tuple[str, str, str]] = {
    "C059": ("serif", "C059-Roman.otf", "fonts-urw-base35"),
    "Carlito": ("sans", "Carlito-Regular.ttf", "fonts-crosextra-carlito"),
    "DejaVu Sans": ("sans", "DejaVuSans.ttf", "fonts-dejavu-core"),
    "DejaVu Sans Condensed": ("sans", "DejaVuSansCondensed.ttf", "fonts-dejavu-extra"),
    "DejaVu Sans Mono": ("mono", "DejaVuSansMono.ttf", "fonts-dejavu-core"),
    "DejaVu Serif": ("serif", "DejaVuSerif.ttf", "fonts-dejavu-core"),
    "EB Garamond": ("serif", "EBGaramond12-Regular.otf", "fonts-ebgaramond"),
    "Lato": ("sans", "Lato-Regular.ttf", "fonts-lato"),
    "Liberation Mono": ("mono", "LiberationMono-Regular.ttf", "fonts-liberation2"),
    "Liberation Sans": ("sans", "LiberationSans-Regular.ttf", "fonts-liberation2"),
    "Liberation Serif": ("serif", "LiberationSerif-Regular.ttf", "fonts-liberation2"),
    "Nimbus Mono PS": ("mono", "NimbusMonoPS-Regular.otf", "fonts-urw-base35"),
    "Nimbus Roman": ("serif", "NimbusRoman-Regular.otf", "fonts-urw-base35"),
    "Nimbus Sans": ("sans", "NimbusSans-Regular.otf", "fonts-urw-base35"),
    "Nimbus Sans Narrow": ("sans", "NimbusSansNarrow-Regular.otf", "fonts-urw-base35"),
    "Noto Sans": ("sans", "NotoSans-Regular.ttf", "fonts-noto-core"),
    "Noto Sans Display": ("sans", "NotoSansDisplay-Regular.ttf", "fonts-noto-core"),
    "Noto Sans Mono": ("mono", "NotoSansMono-Regular.ttf", "fonts-noto-mono"),
    "Noto Serif": ("serif", "NotoSerif-Regular.ttf", "fonts-noto-core"),
    "Noto Serif Display": ("serif", "NotoSerifDisplay-Regular.ttf", "fonts-noto-core"),
    "Open Sans": ("sans", "OpenSans-Regular.ttf", "fonts-open-sans"),
    "P052": ("serif", "P052-Roman.otf", "fonts-urw-base35"),
    "Roboto": ("sans", "Roboto-Regular.ttf", "fonts-roboto-unhinted"),
    "URW Bookman": ("serif", "URWBookman-Light.otf", "fonts-urw-base35"),
    "URW Gothic": ("sans", "URWGothic-Book.otf", "fonts-urw-base35"),
}
_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts")


@lru_cache(maxsize=1)
def _files() -> frozenset[str]:
    return frozenset(n for root in _FOLDERS for _, _, names in os.walk(root) for n in names)


def installed_faces() -> tuple[str, ...]:
    """Those of `FACES` that are installed, by name."""
    return tuple(name for name in sorted(FACES) if FACES[name][1] in _files())


def resolve_faces(wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The families of a configuration; empty means all that are installed.

    Raises:
        ConfigError: A name is not one of `FACES`.
        BackendError: A family is not installed, or there is none without monospacing.
    """
    unknown = sorted(set(wanted) - set(FACES))
    if unknown:
        raise ConfigError(f"fonts: {unknown[0]!r} is not one of {', '.join(sorted(FACES))}")
    found = installed_faces()
    for name in wanted:
        if name not in found:
            raise BackendError(
                f"fonts: {name} is not installed; on Debian and Ubuntu: apt install "
                f"{FACES[name][2]}"
            )
    chosen = tuple(sorted(wanted)) or found
    if not any(FACES[name][0] != "mono" for name in chosen):
        raise BackendError(
            "fonts: no text family is installed; on Debian and Ubuntu: apt install "
            "fonts-dejavu fonts-liberation2 fonts-noto-core"
        )
    return chosen


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Looks of a screen; colours as CSS writes them.

    Attributes:
        is_dark: Light text on dark ground.
        page, surface, raised, line: Grounds and borders.
        ink, muted: Texts.
        accent, on_accent: Of main buttons and selected things, and text on it.
        tint: A weak form of the accent behind selected rows.
        good, bad, warn: Colours of states, on `surface`.
        face, head, mono: Families.
        size: Of text, in CSS pixels.
        gap: Unit of spacing, in CSS pixels.
        radius: Of corners, in CSS pixels.
        shadow: Of raised boxes, "none" without.
        bordered: Whether boxes have borders.
        weight: Of headings.
    """

    is_dark: bool
    page: str
    surface: str
    raised: str
    line: str
    ink: str
    muted: str
    accent: str
    on_accent: str
    tint: str
    good: str
    bad: str
    warn: str
    face: str
    head: str
    mono: str
    size: int
    gap: int
    radius: int
    shadow: str
    bordered: bool
    weight: int


def _css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _hls(hue: float, light: float, saturation: float) -> Colour:
    r, g, b = colorsys.hls_to_rgb(hue % 1.0, light, saturation)
    return round(r * 255), round(g * 255), round(b * 255)


def _readable(hue: float, saturation: float, ground: Colour, least: float) -> Colour:
    """A colour of a hue that stands out from a ground."""
    from_dark = contrast((255, 255, 255), ground) > contrast((0, 0, 0), ground)
    for step in range(20):
        light = 0.5 + step * 0.025 if from_dark else 0.5 - step * 0.022
        colour = _hls(hue, light, saturation)
        if contrast(colour, ground) >= least:
            return colour
    return (255, 255, 255) if from_dark else (0, 0, 0)


def _mixed(a: Colour, b: Colour, share: float) -> Colour:
    r, g, bl = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return r, g, bl


def draw_theme(
    rng: random.Random, faces: tuple[str, ...], *, compact: bool = False, dark: float = 0.33
) -> Theme:
    """Random looks.

    Args:
        rng: The generator of the stream "style".
        faces: Families to choose from.
        compact: Smaller text and spacing, for full screens.
        dark: Share with light text on a dark ground.
    """
    is_dark = rng.random() < dark
    hue, cold = rng.random(), rng.random()
    tone = rng.choice((0.0, 0.0, 0.06, 0.14))
    if is_dark:
        page = _hls(cold, rng.uniform(0.06, 0.13), tone)
        surface = _hls(cold, rng.uniform(0.13, 0.18), tone)
        raised = _hls(cold, rng.uniform(0.19, 0.25), tone)
        line = _hls(cold, rng.uniform(0.28, 0.38), tone)
        ink = _hls(cold, rng.uniform(0.88, 0.97), tone)
        muted = _readable(cold, tone, raised, 4.2)
    else:
        page = _hls(cold, rng.uniform(0.93, 0.985), tone * 2)
        surface = (255, 255, 255) if rng.random() < 0.7 else _hls(cold, 0.985, tone)
        raised = _hls(cold, rng.uniform(0.9, 0.97), tone)
        line = _hls(cold, rng.uniform(0.75, 0.87), tone)
        ink = _hls(cold, rng.uniform(0.05, 0.2), tone)
        muted = _readable(cold, tone, raised, 4.2)
    accent = _readable(hue, rng.uniform(0.45, 0.95), surface, 4.5 if not is_dark else 4.0)
    white, black = (255, 255, 255), (12, 12, 12)
    on_accent = white if contrast(white, accent) >= contrast(black, accent) else black
    kinds = [FACES[name][0] for name in faces]
    text = [n for n, k in zip(faces, kinds, strict=True) if k != "mono"]
    mono = [n for n, k in zip(faces, kinds, strict=True) if k == "mono"] or text
    weights = [3.0 if FACES[n][0] == "sans" else 1.0 for n in text]
    face = rng.choices(text, weights)[0]
    tint = _mixed(surface, accent, 0.16)
    return Theme(
        is_dark=is_dark,
        page=_css(page),
        surface=_css(surface),
        raised=_css(raised),
        line=_css(line),
        ink=_css(ink),
        muted=_css(muted),
        accent=_css(accent),
        on_accent=_css(on_accent),
        tint=_css(tint),
        good=_css(_readable(0.38, 0.7, surface, 3.5)),
        bad=_css(_readable(0.0, 0.75, surface, 3.5)),
        warn=_css(_readable(0.1, 0.9, surface, 3.0)),
        face=face,
        head=rng.choice(text) if rng.random() < 0.25 else face,
        mono=rng.choice(mono),
        size=rng.randint(13, 17) if compact else rng.randint(13, 18),
        gap=rng.choice((6, 8, 8, 10) if compact else (6, 8, 10, 12)),
        radius=rng.choice((0, 2, 4, 6, 8, 12, 18)),
        shadow=rng.choice(("none", "0 1px 3px rgba(0,0,0,.25)", "0 3px 10px rgba(0,0,0,.18)")),
        bordered=rng.random() < 0.65,
        weight=rng.choice((500, 600, 700, 700)),
    )
