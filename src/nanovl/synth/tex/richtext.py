"""Text of a run of pieces: plain, as Markdown with maths, as code, and cut into words and lines.

Source: data synthesis specification, section 3.12.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nanovl.synth.tex.events import Font, Item

if TYPE_CHECKING:
    from nanovl.synth.tex.maths import Converter

__all__ = ["code_lines", "font_style", "markdown_of", "plain_of", "words_of"]

Boxed = list[tuple[tuple[float, float, float, float], str]]
_BOLD, _ITALIC, _MONO = 1, 2, 4
_SHORT_NAME = 12


def font_style(font: Font | None) -> int:
    """Bold 1, italic 2, mono 4, added up; from the font's name."""
    if font is None:
        return 0
    if font.style is None:
        font.style = _style_of(font.style_name)
    return font.style


def _style_of(name: str) -> int:
    style = 0
    if re.search(r"bold|black|heavy|cmbx|cmb1|cmssbx|ecbx|sfbx|-b\b|bx\d|medi(?!um)|demi", name):
        style |= _BOLD
    if re.search(r"italic|oblique|slanted|cmti|cmsl|cmbxti|ecti|cmmi|-it\b|-ital", name):
        style |= _ITALIC
    if re.search(r"mono|cmtt|cmsltt|ectt|courier|typewriter|consol|lmtt|inconsolata|txtt", name):
        style |= _MONO
    # Metric files of the PostScript fonts: ptmbi8t, ec-qcsb, pcrr8t.
    short = re.match(
        r"(?:\w+-)?(?:p(tm|hv|cr|pl|nc|bk|ag)|q(tm|pl|cs|bk|hv|cr))([bdrl])c?([io]?)", name
    )
    if short and len(name) <= _SHORT_NAME:
        family = short.group(1) or short.group(2)
        style |= _BOLD * (short.group(3) in "bd") | _ITALIC * bool(short.group(4))
        style |= _MONO * (family == "cr")
    return style


def _is_cjk(text: str) -> bool:
    return bool(text) and unicodedata.name(text[-1], "").startswith(("CJK", "HIRAGANA", "KATAKANA"))


def _line_of(item: Item) -> tuple[int, int, int, int]:
    s = item.state
    return (s.par, s.line, s.row, s.cell)


def _pieces(items: Sequence[Item]) -> list[tuple[str, Item | None]]:
    """Text with blanks where TeX had glue or a line ended; None marks a blank."""
    out: list[tuple[str, Item | None]] = []
    line: tuple[int, int, int, int] | None = None
    last: Item | None = None
    pending = False
    for item in items:
        if item.kind == "space":
            pending = True
            continue
        if item.kind != "glyph" or item.is_leader:
            pending = pending or item.is_leader
            continue
        now = _line_of(item)
        if line is not None and now != line and last is not None:
            if last.state.soft and now[0] == line[0] and out:
                out[-1] = (out[-1][0][:-1], out[-1][1])
                pending = False
            elif _is_cjk(last.text) and _is_cjk(item.text):
                pending = False
            elif (
                now[0] == line[0]
                and now[2:] == line[2:]
                and last.text in ("-", "\u2010", "/", "\u2014")
            ):
                before = out[-2][0] if len(out) > 1 else ""
                pending = before == " "
            elif item.state.math and item.state.math == last.state.math:
                pending = pending and now[1] != line[1]
            else:
                pending = True
        if pending and out:
            out.append((" ", None))
        pending = False
        out.append((item.text, item))
        line, last = now, item
    return out


def plain_of(items: Sequence[Item]) -> str:
    """Characters as printed, lines joined."""
    text = "".join(text for text, _ in _pieces(items))
    return unicodedata.normalize("NFC", text.replace("\u2212", "-")).strip()


def markdown_of(items: Sequence[Item], converter: Converter, *, styled: bool = True) -> str:
    r"""Markdown: styles as marks, inline maths as \(...\).

    Args:
        items: Of one block.
        converter: Knows the maths lists.
        styled: Mark bold, italic and mono.
    """
    runs: list[tuple[int, str, str]] = []  # style, raised or lowered, text
    last_math = 0
    for text, item in _pieces(items):
        if item is None:
            if runs and last_math == 0:
                style, shift, before = runs[-1]
                runs[-1] = (style, shift, before + " ")
            elif runs:
                runs.append((0, "", " "))
            continue
        number = item.state.math
        shift = {1: "sup", 2: "sub"}.get(item.state.style, "")
        if number and not shift:
            plain = converter.plain_text(number)
            if plain is None:
                if number != last_math:
                    latex = converter.latex(number)
                    runs.append((0, "math", f"\\({latex}\\)" if latex else ""))
                elif runs and runs[-1][1] != "math" and runs[-1][2] == " ":
                    runs.pop()  # a line break inside the formula
                last_math = number
                continue
        last_math = 0
        style = font_style(item.font) if styled and not shift else 0
        shown = _escape(text, runs)
        if runs and runs[-1][0] == style and runs[-1][1] == shift:
            runs[-1] = (style, shift, runs[-1][2] + shown)
        else:
            runs.append((style, shift, shown))
    out = "".join(_marked(*run) for run in runs)
    out = re.sub(r" {2,}", " ", out).strip()
    return unicodedata.normalize("NFC", _escape_start(out))


def _escape(text: str, runs: list[tuple[int, str, str]]) -> str:
    before = runs[-1][2][-1:] if runs else ""
    text = text.replace("\u2212", "-")
    if text in ("*", "_", "`", "~") and before in ("", " "):
        return "\\" + text
    return text


def _escape_start(text: str) -> str:
    if re.match(r"(#{1,6} |> |[-+] |(?:=+|-{3,})$)", text):
        return "\\" + text
    parts = re.split(r"(\\\(.*?\\\))", text, flags=re.DOTALL)
    parts[::2] = [re.sub(r"<(?=[A-Za-z/])(?!/?(?:sup|sub)>)", r"\\<", p) for p in parts[::2]]
    return "".join(parts)


def _marked(style: int, shift: str, text: str) -> str:
    if shift in ("sup", "sub"):
        return f"<{shift}>{text.strip()}</{shift}>" + (" " if text.endswith(" ") else "")
    if shift == "math" or not style or not text.strip():
        return text
    lead = text[: len(text) - len(text.lstrip())]
    trail = text[len(text.rstrip()) :]
    core = text.strip()
    if not any(c.isalnum() for c in core):
        return text
    if style & _MONO:
        return f"{lead}`{core}`{trail}"
    if style & _ITALIC:
        core = f"_{core}_"
    if style & _BOLD:
        core = f"**{core}**"
    return lead + core + trail


def code_lines(items: Sequence[Item]) -> str:
    """Lines of code, indented as printed.

    Blanks are measured: listings sets every character in a box of its own.
    """
    rows: dict[tuple[int, int], list[Item]] = {}
    for item in items:
        if item.kind == "glyph":
            s = item.state
            rows.setdefault((s.par, s.line), []).append(item)
    lines = [line for line in rows.values() if any(i.text.strip() for i in line)]
    if not lines:
        return ""
    left = min(i.x for line in lines for i in line)
    widths = sorted(i.width for line in lines for i in line if i.width > 0)
    width = widths[len(widths) // 2] if widths else 5.0
    is_mono = bool(widths) and widths[-1] - widths[0] < 0.02 * widths[0] + 1e-6
    size = max((i.font.size for line in lines for i in line if i.font), default=10.0)
    gaps = sorted(
        b.x - a.x - a.width for line in lines for a, b in itertools.pairwise(line) if b.x > a.x
    )
    # Fixed columns of a proportional font: every letter has air around it.
    is_spread = not is_mono and bool(gaps) and gaps[len(gaps) // 2] > 0.03 * size
    step = width if is_mono else 0.6 * size
    least = 0.5 * step if is_mono else 0.45 * size if is_spread else 0.15 * size
    out = []
    for line in lines:
        text = " " * max(0, round((line[0].x - left) / step))
        edge = line[0].x
        for item in line:
            gap = item.x - edge
            if gap > least:
                is_wide = is_mono or is_spread or re.fullmatch(r" *\d+:?", text)
                text += " " * (max(1, round(gap / step)) if is_wide else 1)
            text += item.text
            edge = item.x + item.width
        out.append(text.rstrip())
    return unicodedata.normalize("NFC", "\n".join(out))


def words_of(items: Sequence[Item]) -> tuple[Boxed, Boxed]:
    """Words and lines with their boxes, as printed (hyphens of line breaks stay)."""
    words: Boxed = []
    lines: Boxed = []
    word: list[Item] = []
    line_words: list[int] = []
    now: tuple[int, int, int, int] | None = None

    def end_word() -> None:
        if word:
            shown = "".join(i.text for i in word)
            if shown.strip():
                words.append((_hull(word), unicodedata.normalize("NFC", shown)))
                line_words.append(len(words) - 1)
            word.clear()

    def end_line() -> None:
        end_word()
        if line_words:
            boxes = [words[i][0] for i in line_words]
            box = (
                min(b[0] for b in boxes), min(b[1] for b in boxes),
                max(b[2] for b in boxes), max(b[3] for b in boxes),
            )  # fmt: skip
            lines.append((box, " ".join(words[i][1] for i in line_words)))
            line_words.clear()

    for item in items:
        if item.kind == "space":
            end_word()
            continue
        if item.kind != "glyph" or item.is_leader:
            if item.is_leader or item.kind in ("image", "picture"):
                end_word()
            continue
        place = _line_of(item)
        if now is not None and place != now and place[0] >= 0:
            end_line()
        now = place
        word.append(item)
    end_line()
    return words, lines


def _hull(items: Sequence[Item]) -> tuple[float, float, float, float]:
    return (
        min(i.box[0] for i in items), min(i.box[1] for i in items),
        max(i.box[2] for i in items), max(i.box[3] for i in items),
    )  # fmt: skip
