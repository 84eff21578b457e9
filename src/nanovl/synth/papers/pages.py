"""A plan printed: compiled pages, and every block held against what the source said.

The compiler knows what the engine put where; the plan knows what was meant. Headings, captions,
tables, formulas, footnotes and entries of the bibliography are matched, and a paper whose pages say
something else than its source is rejected. Must not draw random numbers.

Source: data synthesis specification, sections 3.12, 3.15 and 22.
"""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.synth.base import Box, Reject
from nanovl.synth.papers.dress import Dress
from nanovl.synth.papers.formulas import same_formula
from nanovl.synth.papers.plan import Display, Figure, Items, Paper, Tabular
from nanovl.synth.papers.source import write_source
from nanovl.synth.tex import compile_document

__all__ = ["Printed", "Sheet", "Spot", "letters", "match", "print_paper", "without_marks"]

_CONTINUED = "<tbc>"
_NOTE_MARK = re.compile(r"^\s*(?:<sup>.*?</sup>|\\?[\d*]+[.)]?)\s*")


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One printed page.

    Attributes:
        number: From 1.
        data: The encoded picture.
        width, height: In pixels.
        page: Of the compiler, with `source` at blocks that were matched.
    """

    number: int
    data: bytes
    width: int
    height: int
    page: Mapping[str, Any]

    @property
    def blocks(self) -> Sequence[Mapping[str, Any]]:
        """In reading order."""
        found: Sequence[Mapping[str, Any]] = self.page["blocks"]
        return found


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A block on a page."""

    page: int
    block: Mapping[str, Any]

    @property
    def box(self) -> Box:
        """In pixels of its page."""
        x0, y0, x1, y1 = self.block["bbox"]
        return (x0, y0, x1, y1)


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A printed paper.

    Attributes:
        paper, dress: What was printed.
        sheets: Its first pages.
        is_whole: There are no more.
        headings: Pieces of every heading of the plan that is on the sheets: (place in
            `paper.headings()`, spot).
        figures, tables: Number -> (caption, float); a float alone is on no sheet.
        formulas: Place among the displays of the plan -> spot.
        notes: Place in `paper.notes()` -> spot.
        references: Number -> spot.
        title: Where it stands.
        agreement: Kind -> (found, expected) on all pages.
    """

    paper: Paper
    dress: Dress
    sheets: tuple[Sheet, ...]
    is_whole: bool
    headings: tuple[tuple[int, Spot], ...] = ()
    figures: Mapping[int, tuple[Spot, Spot]] = field(default_factory=dict)
    tables: Mapping[int, tuple[Spot, Spot]] = field(default_factory=dict)
    formulas: Mapping[int, Spot] = field(default_factory=dict)
    notes: Mapping[int, Spot] = field(default_factory=dict)
    references: Mapping[int, Spot] = field(default_factory=dict)
    title: Spot | None = None
    agreement: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def letters(text: str) -> str:
    """Letters and digits alone, without case and accents: what survives any style."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in plain if c.isalnum())


def without_marks(text: str) -> str:
    """A text without the marks of blocks that go on elsewhere."""
    return text.replace(_CONTINUED, "")


def print_paper(paper: Paper, dress: Dress, *, dpi: int, image: str, most_pages: int) -> Printed:
    """Compile a paper and match its pages with its plan.

    Args:
        paper, dress: What to print.
        dpi: Of the pictures.
        image: "png" or "jpg".
        most_pages: Later pages are left out.

    Raises:
        Reject: It does not compile, a page fails its checks, or says something else.
        BackendError: A program is missing.
    """
    with tempfile.TemporaryDirectory(prefix="nanovl-paper-") as name:
        folder = Path(name)
        main = folder / "main.tex"
        main.write_text(write_source(paper, dress), encoding="utf-8")
        result = compile_document(main, folder / "out", dpi=dpi, image=image)  # type: ignore[arg-type]
        if not result.pages:
            raise Reject(result.status, f"{dress.kind.name}: {result.message}")
        bad = next((p for p in result.pages[:most_pages] if not p.ok), None)
        if bad is not None:
            raise Reject(
                f"page_{bad.reasons[0].split()[0]}", f"{dress.kind.name}: {', '.join(bad.reasons)}"
            )
        pages = []
        pictures: list[bytes] = []
        for page in result.pages:
            if not page.ok:
                break
            text = (folder / "out" / page.files["json"]).read_text(encoding="utf-8")
            pages.append(json.loads(text))
            if len(pictures) < most_pages:
                pictures.append((folder / "out" / page.files["image"]).read_bytes())
    is_complete = len(pages) == len(result.pages)
    printed = match(paper, dress, pages, pictures, is_complete=is_complete)
    for kind, (found, expected) in printed.agreement.items():
        if is_complete and found < expected:
            raise Reject("disagree", f"{dress.kind.name}: {found} of {expected} {kind}")
    return printed


def match(
    paper: Paper,
    dress: Dress,
    pages: Sequence[dict[str, Any]],
    pictures: Sequence[bytes],
    *,
    is_complete: bool = True,
) -> Printed:
    """Hold pages against the plan they were printed from.

    Args:
        paper, dress: The plan.
        pages: All pages as the compiler wrote them; formulas get the plan's LaTeX.
        pictures: Of the pages to keep.
        is_complete: `pages` are all pages there are.
    """
    for page in pages:
        page["blocks"] = _algorithms(page["blocks"])
    spots = [Spot(page=n, block=b) for n, page in enumerate(pages) for b in page["blocks"]]
    headings = _headings(paper, spots)
    is_slides = dress.kind.name == "beamer"
    figures, tables = _bare_floats(paper, spots) if is_slides else _floats(paper, spots)
    formulas = _formulas(paper, spots)
    notes = _notes(paper, spots)
    references = _references(paper, spots)
    displays = sum(isinstance(b, Display) for b in paper.body)
    items = sum(s.block["class"] == "List-item" and not s.block.get("chain_pos") for s in spots)
    agreement = {
        "headings": (len(headings), len(paper.headings())),
        "figures": (
            len(figures),
            0 if is_slides else sum(isinstance(b, Figure) for b in paper.body),
        ),
        "tables": (len(tables), sum(isinstance(b, Tabular) for b in paper.body)),
        "formulas": (len(formulas), displays),
        "footnotes": (len(notes), len(paper.notes())),
        "references": (len(references), 0 if is_slides else len(paper.references)),
        "list items": (items, sum(b.count() for b in paper.body if isinstance(b, Items))),
    }
    kept = len(pictures)

    def seen(spot: Spot) -> bool:
        return spot.page < kept

    sheets = tuple(
        Sheet(number=n + 1, data=data, width=page["width"], height=page["height"], page=page)
        for n, (page, data) in enumerate(zip(pages, pictures, strict=False))
    )
    return Printed(
        paper=paper,
        dress=dress,
        sheets=sheets,
        is_whole=is_complete and kept == len(pages),
        headings=tuple(h for h in headings if seen(h[1])),
        figures={k: v for k, v in figures.items() if seen(v[0]) and seen(v[1])},
        tables={k: v for k, v in tables.items() if seen(v[0]) and seen(v[1])},
        formulas={k: v for k, v in formulas.items() if seen(v)},
        notes={k: v for k, v in notes.items() if seen(v)},
        references={k: v for k, v in references.items() if seen(v)},
        title=_title(paper, spots),
        agreement=agreement,
    )


def _algorithms(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lines of pseudo code are one block of code, not entries of a list."""
    out: list[dict[str, Any]] = []
    for block in blocks:
        is_line = block["class"] == "List-item" and block.get("float") is not None
        last = out[-1] if out else None
        if not is_line:
            out.append(block)
            continue
        text = without_marks(block["text"])
        if last is None or last.get("float") != block["float"] or last["class"] != "Code":
            last = {**block, "class": "Code", "text": "", "lines": [], "words": []}
            last.pop("list", None)
            out.append(last)
        boxes = (last["bbox"], block["bbox"])
        last["bbox"] = [min(b[k] for b in boxes) for k in (0, 1)] + [
            max(b[k] for b in boxes) for k in (2, 3)
        ]
        last["text"] = f"{last['text']}\n{text}".strip()
        last["markdown"] = f"```\n{last['text']}\n```"
        last["lines"] = [*last["lines"], *block["lines"]]
        last["words"] = [*last["words"], *block["words"]]
    for number, block in enumerate(out):
        block["id"] = block["order"] = number
    return out


def _title(paper: Paper, spots: Sequence[Spot]) -> Spot | None:
    wanted = letters(paper.title)
    for spot in spots:
        if spot.block["class"] == "Title" and letters(spot.block["text"]).startswith(wanted):
            return spot
    return None


def _headings(paper: Paper, spots: Sequence[Spot]) -> list[tuple[int, Spot]]:
    """The printed headings, in order; each ends in the words of its plan."""
    found: list[tuple[int, Spot]] = []
    wanted = [letters(h.text) for h in paper.headings()]
    place = 0
    for spot in spots:
        if spot.block["class"] != "Section-header" or place == len(wanted):
            continue
        if letters(spot.block["text"]).endswith(wanted[place]):
            found.append((place, spot))
            place += 1
    return found


def _floats(
    paper: Paper, spots: Sequence[Spot]
) -> tuple[dict[int, tuple[Spot, Spot]], dict[int, tuple[Spot, Spot]]]:
    """Figures and tables with their captions; a table has to say what its plan says."""
    captions = [s for s in spots if s.block["class"] == "Caption"]
    figures: dict[int, tuple[Spot, Spot]] = {}
    tables: dict[int, tuple[Spot, Spot]] = {}
    taken: set[int] = set()
    for block in paper.body:
        if not isinstance(block, Figure | Tabular):
            continue
        wanted = letters(block.caption)
        klass = "Picture" if isinstance(block, Figure) else "Table"
        for number, caption in enumerate(captions):
            if number in taken or not letters(caption.block["text"]).endswith(wanted):
                continue
            other = next(
                (
                    s
                    for s in spots
                    if s.page == caption.page
                    and s.block["class"] == klass
                    and s.block.get("float") == caption.block.get("float")
                ),
                None,
            )
            if other is None:
                continue
            if isinstance(block, Tabular):
                if not _same_table(block, other.block):
                    continue
                tables[block.number] = (caption, other)
            else:
                figures[block.number] = (caption, other)
            taken.add(number)
            break
    return figures, tables


def _bare_floats(
    paper: Paper, spots: Sequence[Spot]
) -> tuple[dict[int, tuple[Spot, Spot]], dict[int, tuple[Spot, Spot]]]:
    """Tables without captions, recognised by what they say."""
    tables: dict[int, tuple[Spot, Spot]] = {}
    printed = [s for s in spots if s.block["class"] == "Table"]
    for block in paper.body:
        if isinstance(block, Tabular):
            same = next((s for s in printed if _same_table(block, s.block)), None)
            if same is not None:
                tables[block.number] = (same, same)
                printed.remove(same)
    return {}, tables


def _same_table(block: Tabular, printed: Mapping[str, Any]) -> bool:
    """Cell for cell, spans included."""
    grid = printed.get("grid")
    table = block.table
    if grid is None or (grid["rows"], grid["columns"]) != (table.height, table.width):
        return False
    shown = {
        (c["r"], c["c"], c["rowspan"], c["colspan"]): letters(c["text"]) for c in grid["cells"]
    }
    meant = {(c.row, c.column, c.rows, c.columns): letters(c.text) for c in table.cells}
    return shown == meant


def _formulas(paper: Paper, spots: Sequence[Spot]) -> dict[int, Spot]:
    """Displays of the plan and where they are printed.

    A formula that agrees gets the LaTeX of the plan, which knows its alignment.
    """
    displays = [b for b in paper.body if isinstance(b, Display)]
    printed = [s for s in spots if s.block["class"] == "Formula"]
    found: dict[int, Spot] = {}
    if len(displays) < len(printed):
        return found
    for place, (display, spot) in enumerate(zip(displays, printed, strict=False)):
        found[place] = spot
        if same_formula(display.formula.latex, spot.block.get("latex", "")):
            assert isinstance(spot.block, dict)
            spot.block["latex"] = display.formula.latex
            spot.block["markdown"] = f"\\[ {display.formula.latex} \\]"
            spot.block["is_source"] = True
    return found


def _notes(paper: Paper, spots: Sequence[Spot]) -> dict[int, Spot]:
    wanted = [letters(note) for note in paper.notes()]
    printed = [s for s in spots if s.block["class"] == "Footnote"]
    found: dict[int, Spot] = {}
    place = 0
    for spot in printed:
        for k in range(place, len(wanted)):
            if letters(_NOTE_MARK.sub("", spot.block["markdown"], count=1)) == wanted[k]:
                found[k] = spot
                place = k + 1
                break
    return found


def _references(paper: Paper, spots: Sequence[Spot]) -> dict[int, Spot]:
    found: dict[int, Spot] = {}
    for spot in spots:
        if spot.block["class"] != "Bibliography":
            continue
        shown = letters(without_marks(spot.block["text"]))
        for number, entry in enumerate(paper.references, 1):
            meant = letters(entry)
            if number not in found and (
                shown in (f"{number}{meant}", meant)
                or (
                    spot.block.get("chain")
                    and shown
                    and meant.startswith(shown[len(str(number)) :])
                )
            ):
                found[number] = spot
                break
    return found
