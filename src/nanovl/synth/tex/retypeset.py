"""The same paper in another dress: fonts, columns, sizes, page geometry, and another language.

Style goes through options of the hook package, not through the source. Translation goes paragraph
by paragraph through a `Translator`; maths, citations, references and commands travel as anchors and
come back unchanged, or the paragraph stays as it was. Boxes always come from the new compile.

Source: data synthesis specification, section 3.13.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.tex.translate import Translator

__all__ = ["Style", "TranslatedText", "style_options", "translate_folder", "translate_text"]


@dataclass(frozen=True, kw_only=True)
class Style:
    """How to typeset; None leaves it as the author had it.

    Attributes:
        font, mono_font: OpenType family names.
        columns: 1 or 2.
        size_pt: Size of the running text.
        width_mm, height_mm: Of the page, both or none.
        margin_mm: On all sides.
        line_spacing: Factor.
    """

    font: str | None = None
    mono_font: str | None = None
    columns: int | None = None
    size_pt: float | None = None
    width_mm: float | None = None
    height_mm: float | None = None
    margin_mm: float | None = None
    line_spacing: float | None = None

    def __post_init__(self) -> None:
        if self.columns not in (None, 1, 2):
            raise ConfigError(f"columns {self.columns}; expected 1 or 2")
        if (self.width_mm is None) != (self.height_mm is None):
            raise ConfigError("width_mm and height_mm belong together; give both or none")
        for name, low, high in (
            ("size_pt", 4, 40), ("width_mm", 40, 1200), ("height_mm", 40, 1200),
            ("margin_mm", 1, 200), ("line_spacing", 0.5, 3),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(f"{name} {value}; expected {low} to {high}")
        for name in ("font", "mono_font"):
            value = getattr(self, name)
            if value is not None and not re.fullmatch(r"[\w .+-]+", value):
                raise ConfigError(f"{name} {value!r}; expected a family name")

    def options(self) -> tuple[str, ...]:
        """TeX code for `compile_document(options=...)`."""
        out = []
        if self.width_mm is not None:
            out.append(f"\\def\\ngtwidth{{{self.width_mm:g}mm}}")
            out.append(f"\\def\\ngtheight{{{self.height_mm:g}mm}}")
        margin = self.margin_mm
        if margin is None and self.width_mm is not None and self.height_mm is not None:
            margin = round(min(self.width_mm, self.height_mm) / 9, 2)
        if margin is not None:
            out.append(f"\\def\\ngtmargin{{{margin:g}mm}}")
        for name, macro in (("font", "ngtfont"), ("mono_font", "ngtmonofont")):
            if getattr(self, name) is not None:
                out.append(f"\\def\\{macro}{{{getattr(self, name)}}}")
        if self.columns is not None:
            out.append(f"\\def\\ngtcolumns{{{self.columns}}}")
        if self.size_pt is not None:
            out.append(f"\\def\\ngtsize{{{self.size_pt:g}}}")
        if self.line_spacing is not None:
            out.append(f"\\def\\ngtspacing{{{self.line_spacing:g}}}")
        return ("\\def\\ngtoptions{}", *out) if out else ()


def style_options(settings: Iterable[str]) -> tuple[str, ...]:
    """Options from words such as "columns=2".

    Raises:
        ConfigError: Unknown key, or a value out of range.
    """
    known = {f.name for f in fields(Style)}
    values: dict[str, object] = {}
    for word in settings:
        key, mark, value = word.partition("=")
        if key not in known or not mark:
            raise ConfigError(
                f"restyle {word!r}: expected KEY=VALUE with one of {', '.join(sorted(known))}"
                f"{nearest(key, known)}"
            )
        try:
            values[key] = (
                value if key.endswith("font") else int(value) if key == "columns" else float(value)
            )
        except ValueError:
            raise ConfigError(f"restyle {word!r}: {value!r} is no number") from None
    return Style(**values).options()  # type: ignore[arg-type]


# -- translation --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TranslatedText:
    """A translated source.

    Attributes:
        text: The whole file.
        paragraphs: Pieces of prose found.
        translated: Of those, given back with every anchor.
        kept: Of those, left in the first language, with the reason.
    """

    text: str
    paragraphs: int
    translated: int
    kept: tuple[str, ...]


_BEGIN = "\\begin{document}"
# Environments whose inside is never prose.
_OPAQUE = (
    "equation", "align", "gather", "multline", "flalign", "alignat", "eqnarray", "displaymath",
    "math", "verbatim", "Verbatim", "lstlisting", "minted", "alltt", "tabular", "tabularx",
    "tabulary", "longtable", "array", "tikzpicture", "picture", "pspicture", "thebibliography",
    "algorithm", "algorithmic", "algorithm2e", "filecontents", "comment", "tblr", "IEEEeqnarray",
)  # fmt: skip
_OPAQUE_BLOCK = re.compile(
    r"\\begin\{(" + "|".join(_OPAQUE) + r")(\*?)\}.*?\\end\{\1\2\}|\\\[.*?\\\]|\$\$.*?\$\$",
    re.DOTALL,
)
# Commands whose argument is prose, and stays an argument.
_PROSE = re.compile(
    r"\\(?:section|subsection|subsubsection|paragraph|chapter|caption|title|footnote|thanks)\*?"
    r"(?:\[[^\]]*\])?\{"
)
# What becomes an anchor inside prose.
_ANCHOR = re.compile(
    r"\$[^$]+\$|\\\(.*?\\\)|"
    r"\\(?:cite\w*|ref|eqref|autoref|cref|Cref|pageref|label|url|href|verb|index|input|include|"
    r"includegraphics|vspace|hspace|bibliography|bibliographystyle)\*?(?:\[[^\]]*\])*"
    r"(?:\{[^{}]*\}|\|[^|]*\|)*|"
    r"\\begin\{[^}]*\}(?:\[[^\]]*\])?|\\end\{[^}]*\}|\\item(?:\[[^\]]*\])?|"
    r"\\[A-Za-z@]+\*?(?:\[[^\]]*\])?\s?|\\[^A-Za-z]|[{}~&]",
    re.DOTALL,
)
_CHUNKS = re.compile(r"(\n\s*\n|(?=\\(?:sub)*section\b)|(?=\\caption\b)|(?=\\item\b))")
_MIN_LETTERS = 12


def translate_text(text: str, translator: Translator) -> TranslatedText:
    """Translate the prose of a LaTeX file.

    Args:
        text: The file; what is before \\begin{document} stays.
        translator: Gets paragraphs with anchors <a0>, <a1>, ...
    """
    start = text.find(_BEGIN)
    head, body = (text[: start + len(_BEGIN)], text[start + len(_BEGIN) :]) if start >= 0 else (
        "", text)  # fmt: skip
    body = re.sub(r"(?<!\\)%[^\n]*\n?", "", body)
    parts: list[tuple[bool, str]] = []
    position = 0
    for match in _OPAQUE_BLOCK.finditer(body):
        parts.append((True, body[position : match.start()]))
        parts.append((False, match.group()))
        position = match.end()
    parts.append((True, body[position:]))
    jobs: list[tuple[int, list[str]]] = []
    pieces: list[str] = []
    for is_prose, part in parts:
        if not is_prose:
            pieces.append(part)
            continue
        for chunk in re.split(
            r"(\n\s*\n|(?=\\(?:sub)*section\b)|(?=\\caption\b)|(?=\\item\b))", part
        ):
            if chunk and _letters(chunk) >= _MIN_LETTERS:
                jobs.append((len(pieces), []))
            pieces.append(chunk)
    count = kept_count = 0
    kept: list[str] = []
    marked = []
    for index, anchors in jobs:
        marked.append(_hide(pieces[index], anchors))
    replies = translator.translate([text_ for text_ in marked]) if marked else []
    if len(replies) != len(marked):
        raise ConfigError(
            f"the translator returned {len(replies)} texts for {len(marked)}; expected one each"
        )
    for (index, anchors), before, reply in zip(jobs, marked, replies, strict=True):
        problem = _problem(before, reply, anchors)
        if problem:
            kept.append(problem)
            kept_count += 1
            continue
        pieces[index] = _show(reply, anchors)
        count += 1
    return TranslatedText(
        text=head + "".join(pieces), paragraphs=len(jobs), translated=count, kept=tuple(kept)
    )


def translate_folder(folder: Path, translator: Translator) -> TranslatedText:
    """Translate every .tex file of a prepared source in place; counts are summed."""
    total = [0, 0]
    kept: list[str] = []
    for path in sorted(folder.rglob("*.tex")):
        done = translate_text(path.read_text(encoding="utf-8"), translator)
        path.write_text(done.text, encoding="utf-8")
        total[0] += done.paragraphs
        total[1] += done.translated
        kept += done.kept
    return TranslatedText(text="", paragraphs=total[0], translated=total[1], kept=tuple(kept))


def _letters(text: str) -> int:
    return sum(c.isalpha() for c in _ANCHOR.sub("", text))


def _hide(text: str, anchors: list[str]) -> str:
    def anchor(match: re.Match[str]) -> str:
        anchors.append(match.group())
        return f"<a{len(anchors) - 1}>"

    return _ANCHOR.sub(anchor, text)


def _show(text: str, anchors: Sequence[str]) -> str:
    escaped = re.sub(r"(?<!\\)([#%$_])", r"\\\1", text)
    return re.sub(r"<a(\d+)>", lambda m: anchors[int(m.group(1))], escaped)


def _problem(before: str, reply: str, anchors: Sequence[str]) -> str:
    wanted = list(range(len(anchors)))
    found = [int(n) for n in re.findall(r"<a(\d+)>", reply)]
    if sorted(found) != wanted:
        return "anchors"
    groups = [n for n in found if anchors[n] in "{}" or anchors[n].startswith(("\\begin", "\\end"))]
    if groups != sorted(groups):
        return "anchor_order"
    if len(reply) > 5 * len(before) + 20 or not reply.strip():
        return "length"
    if "\\" in re.sub(r"<a\d+>", "", reply):
        return "commands"
    return ""
