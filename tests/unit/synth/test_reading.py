"""Text in pictures is the text of the ground truth: an independent reader reads it.

Every generator that shows text is made in its clean form (no augmentation, no handwriting, text of
a usual size) and read by Tesseract at the boxes of the ground truth: at least 98 % of the words, in
lower case and without punctuation around them. What Tesseract cannot read however clear it is, is
left out, and the reason stands beside the generator.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nanovl.core.errors import NanoVLError
from nanovl.synth.base import Sample
from nanovl.synth.gallery.overlay import Place, find_places
from nanovl.synth.registry import GENERATORS, create
from nanovl.synth.video.encode import decode_frames
from tests.unit.synth.checks import make
from tests.unit.synth.generator_cases import settings_of, source_folder
from tests.unit.synth.reader import HAS_READER, Piece, read_pieces, words_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not HAS_READER, reason="needs tesseract: apt install tesseract-ocr"),
]

LEAST = 0.98
Pieces = Callable[[Sample], Iterator[Piece]]


def pictures(sample: Sample) -> list[Image.Image]:
    return [Image.open(io.BytesIO(m.data)).convert("RGB") for m in sample.media]


def places(sample: Sample, sizes: Sequence[tuple[int, int]]) -> tuple[Place, ...]:
    return find_places(sample.gt, sizes, [m.name for m in sample.media]).places


def of_class(*classes: str) -> Pieces:
    """Pieces of some classes, each read at its own box."""

    def pieces(sample: Sample) -> Iterator[Piece]:
        shown = pictures(sample)
        for place in places(sample, [p.size for p in shown]):
            if place.klass in classes and place.text:
                yield Piece(place.text, shown[place.medium], place.box)

    return pieces


def lines(sample: Sample) -> Iterator[Piece]:
    """Words of a line that stand close together; leaders and wide gaps part them."""
    shown = pictures(sample)
    run: list[Place] = []
    for place in places(sample, [p.size for p in shown]):
        if place.klass == "word" and run and _follows(run[-1], place):
            run.append(place)
            continue
        if run:
            yield _joined(run, shown)
        run = [place] if place.klass == "word" and words_of(place.text) else []
    if run:
        yield _joined(run, shown)


def _follows(before: Place, after: Place) -> bool:
    _, y0, x1, y1 = before.box
    tall = y1 - y0
    is_level = abs((after.box[1] + after.box[3]) / 2 - (y0 + y1) / 2) < 0.7 * tall
    return is_level and 0 <= after.box[0] - x1 + 2 < 1.6 * tall and bool(words_of(after.text))


def _joined(run: Sequence[Place], shown: Sequence[Image.Image]) -> Piece:
    boxes = [p.box for p in run]
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    text = " ".join(p.text for p in run)
    return Piece(text, shown[run[0].medium], (min(x0), min(y0), max(x1), max(y1)))


def chart(sample: Sample) -> Iterator[Piece]:
    """Titles, labels, ticks, legends and values; text that runs upwards is turned first."""
    (picture,) = pictures(sample)
    for found in _text_elements(sample.gt):
        x0, y0, x1, y1 = found["bbox"]
        text, role = str(found["text"]), str(found["role"])
        wide, tall = x1 - x0, y1 - y0
        turn = 0
        if role.startswith("tick") and len(text) > 3 and 0.55 * wide < tall < 1.6 * wide:
            turn = 45  # its box is about as wide as it is tall
        elif tall > wide and len(text) > 2:
            turn = 90
        yield Piece(text, picture, (x0, y0, x1, y1), turn)


def _text_elements(value: Any) -> Iterator[Mapping[str, Any]]:
    """Of a chart, or of all panels of one."""
    if isinstance(value, Mapping):
        yield from value.get("text_elements", ())
        for key in ("panels", "charts"):
            for panel in value.get(key, ()):
                yield from _text_elements(panel)


def _frames(sample: Sample) -> list[Image.Image]:
    return [Image.fromarray(frame) for frame in decode_frames(sample.media[0].data)]


def slides(sample: Sample) -> Iterator[Piece]:
    """Every title and point, in the last frame of its slide."""
    frames = _frames(sample)
    for slide in sample.gt["slides"]:
        frame = frames[round(slide["t1"] * sample.gt["fps"]) - 1]
        yield Piece(slide["title"], frame, slide["box"])
        for point in slide["points"]:
            yield Piece(point["text"], frame, point["box"])


def ticker(sample: Sample) -> Iterator[Piece]:
    """What the display shows; a traffic light shows no text."""
    if sample.gt["family"] not in ("counter", "words"):
        return
    frames = _frames(sample)
    for event in sample.gt["events"]:
        middle = (event["t0"] + event["t1"]) / 2
        yield Piece(str(event["value"]), frames[int(middle * sample.gt["fps"])], event["box"])


def measures(sample: Sample) -> Iterator[Piece]:
    """Measures and scales; single letters are no words for Tesseract ("C" becomes "Cc").

    Nor are degrees: the angle's arc touches the box, and the sign is read as a digit.
    """
    (picture,) = pictures(sample)
    for label in sample.gt.get("labels", ()):
        text = str(label["text"])
        if len(text) > 1 and not text.endswith("\u00b0"):
            yield Piece(text, picture, label["bbox"])


def without_odd_words(pieces: Pieces, *, numbers: bool = True) -> Pieces:
    """Without single letters (initials, bullets), invented codes and arithmetic.

    Tesseract reads by a language model: "D." becomes "OD.", "O1l" becomes "Oll". The page is right,
    as the exact character boxes show.
    """

    def kept(sample: Sample) -> Iterator[Piece]:
        for piece in pieces(sample):
            words = words_of(piece.text)
            if all((w.isalpha() and len(w) > 1) or (numbers and w.isdigit()) for w in words):
                yield piece

    return kept


@dataclass(frozen=True)
class Case:
    """How a generator is read.

    Attributes:
        pieces: Where its text is.
        settings: Of its clean form.
        samples: To make.
        least: Words that must be there to be read.
    """

    pieces: Pieces
    settings: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 8
    least: int = 100


PLAIN_PAGE = {"augment": "none"}
CELLS = of_class("cell text", "caption", "note")
CASES: dict[str, Case] = {
    "business": Case(lines, {"languages": ["en"], "handwriting": 0.0, "scales": [2.0]}),
    "charts": Case(chart),
    "charts-drawn": Case(chart),
    "charts-vega": Case(chart),
    "html-pages": Case(without_odd_words(lines), {"scale": 1.5}),
    "multipage": Case(without_odd_words(lines), {"max_pages": 4}, samples=4),
    "ocr-line": Case(without_odd_words(of_class("line")), PLAIN_PAGE, samples=60),
    "ocr-page": Case(of_class("line"), PLAIN_PAGE),
    "ocr-scene": Case(of_class("line"), PLAIN_PAGE),
    "ocr-word": Case(without_odd_words(of_class("line")), PLAIN_PAGE, samples=400, least=250),
    "papers": Case(without_odd_words(of_class("line")), {"languages": ["en"]}, samples=3),
    "render-charts": Case(chart, samples=12),
    "render-passages": Case(of_class("line"), PLAIN_PAGE, samples=3),
    "render-problems": Case(of_class("line"), PLAIN_PAGE, samples=3, least=40),
    "render-tables": Case(lines, PLAIN_PAGE, samples=3),
    "render-text": Case(of_class("line"), PLAIN_PAGE, samples=3),
    "scenes-2d": Case(
        measures, {"scene": 0, "count": 0, "pair": 0, "puzzle": 0}, samples=40, least=40
    ),
    "scenes-geometry": Case(measures, {"size": [900, 1100]}, samples=60, least=60),
    "screens": Case(of_class("word"), {"languages": ["en"], "image": "png", "pairs": 0.0}),
    "tables": Case(CELLS),
    "tables-html": Case(CELLS, samples=5),
    "tables-tex": Case(CELLS, samples=3, least=60),
    "video-slides": Case(slides, {"narration": "off"}, samples=5),
    "video-ticker": Case(ticker, samples=14, least=30),
}
# No text in their pictures, or no picture; or their pictures are made by the painters of others and
# come without boxes.
UNREAD = {
    "formulas": "formulas alone: Tesseract reads no mathematics; their glyphs are checked with TeX",
    "business-scan": "the same documents as business, made hard to read on purpose",
    "multi-image": "its tables, charts and pages are drawn by the generators above",
    "video-shapes": "shapes alone",
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return source_folder(tmp_path_factory.mktemp("sources") / "all")


def test_every_generator_that_shows_text_is_read() -> None:
    textless = {name for name in GENERATORS if name.startswith("text-")}
    assert set(CASES) | set(UNREAD) | textless >= set(GENERATORS), "how is its text read?"


@pytest.mark.parametrize("name", sorted(CASES))
def test_an_independent_reader_reads_the_truth(
    name: str, sources: Path, record_property: Callable[[str, object], None]
) -> None:
    case = CASES[name]
    settings = {k: v for k, v in settings_of(name, sources).items() if k in ("source", "paths")}
    generator = create(name, {**settings, **case.settings})
    for requirement in generator.requires:
        try:
            requirement.check()
        except NanoVLError as error:
            pytest.skip(f"{name}: {error}")
    made = [make(generator, index) for index in range(case.samples)]
    pieces = [piece for sample in made if sample is not None for piece in case.pieces(sample)]
    reading = read_pieces(pieces)
    record_property("words_read", f"{reading.right}/{reading.total}")
    print(f"{name}: {reading.right} of {reading.total} words, {reading.rate:.2%}")  # noqa: T201
    assert reading.total >= case.least
    assert reading.rate >= LEAST, reading.wrong[:25]
