"""Make the bundled demo inputs and `questions.json`: pictures, a PDF and videos, with true answers.

    python -m tools.demo_inputs [FOLDER] [--only NAME,NAME]

Everything is ours: three pictures are drawn by `make_demo_media`, all others come from the
generators of `nanovl.synth` with fixed numbers, in a split of their own that neither training nor
evaluation uses. No answer is typed in: it is a task of the generator, or a value of its ground
truth. Generators need fonts, Chromium (screen), LuaLaTeX (paper) and Typst (business documents).

Source: design, section 5.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from nanovl.core.errors import NanoVLError
from nanovl.synth.base import Media, Sample, Task
from nanovl.synth.registry import create
from nanovl.synth.shards import make_sample
from tools import make_demo_media

FOLDER = make_demo_media.FOLDER
QUESTIONS = "questions.json"
SPLIT = "demo"
MOST_BYTES = 1_500_000  # of all inputs together

_PAGE = {"max_tiles": 6}
_SMALL = {"max_tiles": 1}
_PAPERWORK = {
    "languages": ["en"], "renderers": ["typst"], "scales": [1.0], "questions": 8,
    "transcriptions": 0, "tables": 0,
}  # fmt: skip
_SCENE = {
    "scene": 1.0, "count": 0, "pair": 0, "puzzle": 0, "instrument": 0, "nested": 0, "symmetry": 0,
    "questions": 6, "image": "png",
}  # fmt: skip
_SCREEN = {
    "families": ["settings", "cart", "weather", "table"], "languages": ["en"], "overlays": 0.0,
    "pairs": 0.0, "unanswerable": 0.0, "tasks": 8, "max_side": 1024, "image": "png",
}  # fmt: skip
_PAGES = {
    "max_pages": 4, "min_pages": 3, "unanswerable": 0.0, "as_text": 0.0, "dialogue": 0.0,
    "labels": 0.0,
}  # fmt: skip
_TALK = {
    "min_slides": 3, "max_slides": 4, "sizes": [[480, 360]], "fps": 2, "narration": "off",
    "tasks": 8,
}  # fmt: skip
_CLIP = {
    "min_s": 5, "max_s": 9, "tasks": 8, "card": 0.0, "sizes": [[320, 240]], "max_crf": 26
}  # fmt: skip


@dataclass(frozen=True)
class Ask:
    """A question of ours whose answer is a value of the ground truth.

    Attributes:
        question: Its words.
        path: Of the value: a field of a document, or a key of the truth.
        check: How an answer is compared.
    """

    question: str
    path: str
    check: str = "field"


@dataclass(frozen=True)
class Input:
    """One demo input.

    Attributes:
        name: What people call it.
        title: What it shows.
        files: Names of its files, in order.
        generator, index, settings: Where it comes from.
        asks: Questions of ours, and kinds of tasks of the generator.
        media: Media of the sample that are taken; empty takes all.
        options: How it is asked: tiles, frames.
    """

    name: str
    title: str
    files: tuple[str, ...]
    generator: str
    index: int
    settings: Mapping[str, Any]
    asks: tuple[Ask | str, ...]
    media: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


INPUTS = (
    Input("photo", "a receipt, photographed", ("photo.jpg",), "business-scan", 2,
          {**_PAPERWORK, "families": ["receipt"]},
          (Ask("What is the total?", "total"), Ask("Which shop is this?", "merchant.name"),
           Ask("Which receipt number is printed?", "receipt_number")), options=_PAGE),
    Input("invoice", "an invoice", ("invoice.jpg",), "business", 5,
          {**_PAPERWORK, "families": ["invoice"]},
          (Ask("What is the total?", "totals.total"), Ask("What is the invoice number?",
           "invoice_number"), "business_cell", "business_compare"), options=_PAGE),
    Input("form", "a form filled in by hand", ("form.jpg",), "business", 3,
          {**_PAPERWORK, "families": ["form"], "handwriting": 1.0},
          (Ask("What is the surname of the applicant?", "applicant.surname"),
           Ask("What is the occupation?", "applicant.occupation"), "business_checks_count",
           "business_normalised"), options=_PAGE),
    Input("delivery", "a delivery note, badly copied", ("delivery.jpg",), "business-scan", 3,
          {**_PAPERWORK, "families": ["letter", "delivery_note", "menu"], "handwriting": 1.0},
          (Ask("Which carrier brought the goods?", "carrier"), Ask("What is the delivery note "
           "number?", "delivery_number"), "business_cell"), options=_PAGE),
    Input("table", "a table", ("table.png",), "tables", 7,
          {"most_rows": 8, "questions": 8, "transcriptions": 0, "multipage": 0.0},
          ("table_lookup", "table_argmin", "table_reverse", "table_sum"), options=_PAGE),
    Input("lines", "a line chart", ("lines.png",), "charts-drawn", 4,
          {"kinds": ["line", "grouped"], "questions": 6, "forms": 0, "panels": 0.0},
          ("chart_by_color", "chart_argmin", "chart_color_max"), options=_PAGE),
    Input("shapes", "a picture of shapes", ("shapes.png",), "scenes-2d", 6, _SCENE,
          ("scene_zero_hop", "scene_comparison", "scene_other_than", "scene_single_or"),
          options=_SMALL),
    Input("angle", "a figure of geometry", ("angle.jpg",), "scenes-geometry", 3, {},
          ("geometry_angle",), options=_SMALL),
    Input("screen", "a screenshot of a shop", ("screen.png",), "screens", 6, _SCREEN,
          ("ui_value", "ui_state", "ui_count"), options=_PAGE),
    Input("paper", "the first page of a paper", ("paper.png",), "papers", 0, {},
          (Ask("What is the title of this paper?", "title", "anls"),
           Ask("Who wrote this paper?", "authors.0", "anls")), media=("p001",), options=_PAGE),
    Input("odd", "three pictures, one of them different", ("odd-1.jpg", "odd-2.jpg", "odd-3.jpg"),
          "multi-image", 4, {"labels": 0.0}, ("album_odd", "album_odd_what"), options=_SMALL),
    Input("report", "a report of three pages", ("report.pdf",), "multipage", 0, _PAGES,
          ("pages_page_heading", "pages_page_fact", "pages_is_larger"), options=_PAGE),
    Input("talk", "a talk with slides", ("talk.mp4",), "video-slides", 1, _TALK,
          ("slides_value", "slides_count", "slides_next"), options={"max_frames": 16}),
    Input("clip", "a clip of moving shapes", ("clip.mp4",), "video-shapes", 3, _CLIP,
          ("video_reverse_localisation", "video_place_at", "video_temporal_grounding"),
          options={"max_frames": 16}),
)  # fmt: skip
"""What the generators make; `make_demo_media` draws three more."""


def sample_of(made: Input) -> Sample:
    """The sample of the generator.

    Raises:
        NanoVLError: A renderer is missing, or the generator rejects its number here.
    """
    generator = create(made.generator, made.settings)
    for need in generator.requires:
        need.check()
    sample, why = make_sample(generator, SPLIT, made.index, timeout_s=300)
    if sample is None:
        raise NanoVLError(f"{made.name}: {made.generator} {made.index} was rejected: {dict(why)}")
    return sample


def value_at(truth: Mapping[str, Any], path: str) -> str:
    """A value of the ground truth: a field of a document by its path, or a key.

    Raises:
        NanoVLError: There is none.
    """
    for known in truth.get("fields", ()):
        if known["path"] == path:
            return str(known["text"])
    value: Any = truth
    for part in path.split("."):
        try:
            value = value[int(part)] if isinstance(value, Sequence) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise NanoVLError(f"the ground truth has no {path!r}") from None
    return str(value)


def questions_of(made: Input, sample: Sample) -> list[dict[str, Any]]:
    """Entries of the questions file.

    Raises:
        NanoVLError: The sample has no such task or value.
    """
    found = []
    for ask in made.asks:
        if isinstance(ask, Ask):
            asked, answer, check = ask.question, value_at(sample.gt, ask.path), ask.check
        else:
            task = _task(made, sample, ask)
            asked, answer, check = task.question, task.answer_text, task.verifier
        found.append(_entry(made, asked, answer, check))
    return found


def _task(made: Input, sample: Sample, kind: str) -> Task:
    names = made.media or tuple(m.name for m in sample.media)
    for task in sample.tasks:
        if task.task == kind and task.messages is None and task.media == names:
            return task
    raise NanoVLError(f"{made.name}: no task {kind} among {[t.task for t in sample.tasks]}")


def _entry(made: Input, question: str, answer: str, check: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": made.name, "title": made.title, "file": made.files[0]}
    if len(made.files) > 1:
        entry["files"] = list(made.files)
    entry |= {"question": question, "answer": answer, "check": check}
    if made.options:
        entry["options"] = dict(made.options)
    return entry


def write_files(made: Input, sample: Sample, folder: Path) -> None:
    """Write the media of a sample under the names of the input."""
    shown = [m for m in sample.media if not made.media or m.name in made.media]
    if made.files[0].endswith(".pdf"):
        (folder / made.files[0]).write_bytes(pdf_of(shown))
        return
    for name, medium in zip(made.files, shown, strict=True):
        if name.rpartition(".")[2] == medium.ext:
            data = medium.data
        else:
            raise NanoVLError(f"{made.name}: {medium.name} is a {medium.ext}, wanted {name}")
        (folder / name).write_bytes(data)


def pdf_of(pages: Sequence[Media]) -> bytes:
    """Pages of A4 width, without a date, so that the same pages give the same bytes."""
    pictures = [Image.open(io.BytesIO(page.data)).convert("RGB") for page in pages]
    never = time.struct_time((2025, 1, 1, 0, 0, 0, 2, 1, 0))
    out = io.BytesIO()
    pictures[0].save(
        out, "PDF", save_all=True, append_images=pictures[1:], quality=50,
        resolution=pictures[0].width / 8.27, creationDate=never, modDate=never,
    )  # fmt: skip
    return out.getvalue()


def drawn() -> list[dict[str, Any]]:
    """Entries of the three pictures that need nothing but Pillow."""
    titles = {"receipt": "a receipt", "chart": "a bar chart", "page": "a page of a report"}
    found = []
    for file, (_, asked) in make_demo_media.drawings().items():
        name = file.rpartition(".")[0]
        for entry in asked:
            check = "number" if entry["answer"].replace(".", "").isdigit() else "exact_ci"
            found.append({"name": name, "title": titles[name], "file": file, **entry,
                          "check": check})  # fmt: skip
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--only", default="", help="names, with commas; the others stay")
    options = parser.parse_args(arguments)
    only = [name for name in options.only.split(",") if name]
    unknown = sorted(set(only) - {made.name for made in INPUTS})
    if unknown:
        parser.error(f"--only {unknown[0]}: expected some of {', '.join(m.name for m in INPUTS)}")
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / QUESTIONS
    before = json.loads(path.read_text(encoding="utf-8")) if only and path.is_file() else []
    entries = drawn()
    if not only:
        make_demo_media.main(options.folder)
    for made in INPUTS:
        if only and made.name not in only:
            entries += [entry for entry in before if entry.get("name") == made.name]
            continue
        try:
            sample = sample_of(made)
            entries += questions_of(made, sample)
            write_files(made, sample, options.folder)
        except NanoVLError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    path.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    total = 0
    for file in sorted(options.folder.iterdir()):
        total += file.stat().st_size
        print(f"{file.name:16} {file.stat().st_size:9,} bytes")
    print(f"{'together':16} {total:9,} bytes")
    return 0 if total < MOST_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
