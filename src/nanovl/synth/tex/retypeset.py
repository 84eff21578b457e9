"""Another language for a paper: prose is translated, everything else comes back unchanged.

Paragraph by paragraph through a `Translator`; maths, citations, references and commands travel as
anchors and come back, or the paragraph stays as it was. Boxes always come from the new compile.
Must not change how a paper looks (`restyle` does).

Source: data synthesis specification, section 3.13.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nanovl.core.errors import ConfigError
from nanovl.synth.tex.translate import Translator

__all__ = ["TranslatedText", "translate_folder", "translate_text"]


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
        if not problem and reply.split() == before.split():
            problem = "unchanged"
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
