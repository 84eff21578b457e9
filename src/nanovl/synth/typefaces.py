"""Which typefaces generators draw text with, found by exact file so that pixels can be repeated.

"builtin" is the one face that Pillow carries (ASCII and the degree sign only); every other family
is four files of a Debian package. A missing file is an error that names the package: never is
another face taken in silence.

Source: data synthesis specification, sections 2.2 and 21.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from nanovl.core.config import nearest
from nanovl.core.errors import BackendError, ConfigError

__all__ = ["BUILTIN", "FAMILIES", "font_file", "has_family", "load_font"]

BUILTIN = "builtin"
_ROOT = Path("/usr/share/fonts")
_STYLES = ("regular", "bold", "italic", "bold-italic")


def _family(package: str, folder: str, *names: str) -> tuple[str, dict[str, str]]:
    paths = {style: f"{folder}/{n}" for style, n in zip(_STYLES, names, strict=True)}
    return package, paths


def _dejavu(name: str, *ends: str) -> tuple[str, dict[str, str]]:
    files = [f"{name}{end}.ttf" for end in ends]
    return _family("fonts-dejavu", "truetype/dejavu", *files)


def _liberation(name: str) -> tuple[str, dict[str, str]]:
    ends = ("Regular", "Bold", "Italic", "BoldItalic")
    files = [f"{name}-{end}.ttf" for end in ends]
    return _family("fonts-liberation2", "truetype/liberation2", *files)


def _urw(name: str, *ends: str) -> tuple[str, dict[str, str]]:
    files = [f"{name}-{end}.otf" for end in ends]
    return _family("fonts-urw-base35", "opentype/urw-base35", *files)


FAMILIES: dict[str, tuple[str, dict[str, str]]] = {
    "dejavu-sans": _dejavu("DejaVuSans", "", "-Bold", "-Oblique", "-BoldOblique"),
    "dejavu-serif": _dejavu("DejaVuSerif", "", "-Bold", "-Italic", "-BoldItalic"),
    "dejavu-mono": _dejavu("DejaVuSansMono", "", "-Bold", "-Oblique", "-BoldOblique"),
    "dejavu-condensed": _dejavu("DejaVuSansCondensed", "", "-Bold", "-Oblique", "-BoldOblique"),
    "liberation-sans": _liberation("LiberationSans"),
    "liberation-serif": _liberation("LiberationSerif"),
    "liberation-mono": _liberation("LiberationMono"),
    "bookman": _urw("URWBookman", "Light", "Demi", "LightItalic", "DemiItalic"),
    "gothic": _urw("URWGothic", "Book", "Demi", "BookOblique", "DemiOblique"),
    "palladio": _urw("P052", "Roman", "Bold", "Italic", "BoldItalic"),
    "schola": _urw("C059", "Roman", "Bold", "Italic", "BdIta"),
}


def font_file(family: str, style: str = "regular") -> Path:
    """The file of a style of a family.

    Args:
        family: A key of `FAMILIES`.
        style: "regular", "bold", "italic" or "bold-italic".

    Raises:
        ConfigError: There is no such family or style.
        BackendError: Its package is not installed.
    """
    if family not in FAMILIES:
        raise ConfigError(f"typeface {family!r} does not exist{nearest(family, FAMILIES)}")
    package, files = FAMILIES[family]
    if style not in files:
        raise ConfigError(f"style {style!r} does not exist{nearest(style, files)}")
    path = _ROOT / files[style]
    if not path.is_file():
        raise BackendError(
            f"{path} was not found, typeface {family!r} needs it; on Debian and Ubuntu: "
            f"apt install {package}, or set fonts to {BUILTIN!r}"
        )
    return path


def has_family(family: str) -> bool:
    """Whether all files of a family are there."""
    if family == BUILTIN:
        return True
    return all((_ROOT / name).is_file() for name in FAMILIES[family][1].values())


@lru_cache(maxsize=512)
def load_font(family: str, size: int, style: str = "regular") -> ImageFont.FreeTypeFont:
    """A face at a size in pixels.

    The built-in face has one style only, which every style gets.

    Raises:
        ConfigError: The family or style is unknown, or Pillow was built without FreeType.
        BackendError: The package of the family is not installed.
    """
    if family != BUILTIN:
        return ImageFont.truetype(
            str(font_file(family, style)), size, layout_engine=ImageFont.Layout.BASIC
        )
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise ConfigError("this Pillow has no FreeType, text cannot be drawn")
    return font
