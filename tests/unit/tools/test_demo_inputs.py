"""The bundled demo inputs: all there, ours, small, and asked about with true answers."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nanovl.core.conversation import Conversation
from nanovl.core.errors import BackendError, NanoVLError
from nanovl.processing.attachments import attach
from nanovl.processing.media import Limits
from nanovl.processing.processor import Processor
from nanovl.processing.tokenizer import byte_tokenizer
from nanovl.synth.base import Answer
from nanovl.synth.verify import VERIFIERS, is_right
from tools import demo_inputs
from tools.demo_inputs import INPUTS, Input, questions_of, sample_of, value_at


@pytest.fixture
def entries(demo: Path) -> list[dict[str, Any]]:
    return list(json.loads((demo / "questions.json").read_text(encoding="utf-8")))


def test_files_and_questions_belong_together(demo: Path, entries: list[dict[str, Any]]) -> None:
    files = {p.name for p in demo.iterdir()} - {"questions.json"}
    assert {name for e in entries for name in e.get("files", [e["file"]])} == files
    assert sum(p.stat().st_size for p in demo.iterdir()) < demo_inputs.MOST_BYTES
    assert len({e["name"] for e in entries}) >= 12
    assert entries[0]["file"] == "receipt.png"  # the first command of all documents
    for entry in entries:
        assert entry["file"] == entry.get("files", [entry["file"]])[0]
        assert entry["question"].strip()
        assert entry["answer"].strip()
        assert entry["check"] in VERIFIERS


def test_every_kind_is_there(demo: Path) -> None:
    suffixes = {p.suffix for p in demo.iterdir()}
    assert {".png", ".jpg", ".pdf", ".mp4"} <= suffixes
    generators = {made.generator for made in INPUTS}
    assert {"business", "business-scan", "tables", "charts-drawn", "scenes-2d", "screens", "papers",
            "multi-image", "multipage", "video-slides", "video-shapes"} <= generators  # fmt: skip


def test_every_input_can_be_opened(demo: Path, entries: list[dict[str, Any]]) -> None:
    processor = Processor(byte_tokenizer())
    for entry in entries:
        parts = [
            attach(str(demo / name), limits=Limits.local())
            for name in entry.get("files", [entry["file"]])
        ]
        layout = processor.plan(
            Conversation.user(entry["question"], parts), **entry.get("options", {})
        )
        assert layout.spans
        assert layout.num_tokens < 16_384, entry["name"]  # seconds on a CPU, not minutes


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("made", INPUTS, ids=lambda made: made.name)
def test_answers_are_those_of_the_generator(made: Input, entries: list[dict[str, Any]]) -> None:
    try:
        sample = sample_of(made)
    except BackendError as error:
        pytest.skip(str(error))
    asked = [entry for entry in entries if entry["name"] == made.name]
    assert questions_of(made, sample) == asked
    by_question = {task.question: task for task in sample.tasks}
    for entry in asked:
        task = by_question.get(entry["question"])
        if task is not None:
            assert is_right(task.verifier, task.answer, entry["answer"])


def test_drawn_answers_are_right_in_their_own_check() -> None:
    for entry in demo_inputs.drawn():
        kind = "number" if entry["check"] == "number" else "text"
        value = float(entry["answer"]) if kind == "number" else entry["answer"]
        assert is_right(entry["check"], Answer(type=kind, value=value), entry["answer"])


def test_values_come_from_fields_then_from_keys() -> None:
    truth = {"title": "T", "authors": ["A", "B"], "fields": [{"path": "a.b", "text": "9"}]}
    assert value_at(truth, "a.b") == "9"
    assert value_at(truth, "title") == "T"
    assert value_at(truth, "authors.1") == "B"
    for path in ("a.c", "authors.2", "authors.x", "title.0.x.y"):
        with pytest.raises(NanoVLError, match="no '"):
            value_at(truth, path)


def test_a_small_input_is_made_again(tmp_path: Path, demo: Path) -> None:
    assert demo_inputs.main([str(tmp_path), "--only", "lines"]) == 0
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {"lines.png", "questions.json"}
    with Image.open(tmp_path / "lines.png") as again, Image.open(demo / "lines.png") as kept:
        assert again.size == kept.size
    made = [e["answer"] for e in json.loads((tmp_path / "questions.json").read_text())]
    kept_answers = json.loads((demo / "questions.json").read_text())
    assert made[-3:] == [e["answer"] for e in kept_answers if e["name"] == "lines"]


def test_pdf_pages_are_the_same_bytes_twice() -> None:
    from nanovl.synth.base import Media

    out = io.BytesIO()
    Image.new("RGB", (80, 120), "#336699").save(out, "JPEG")
    pages = [Media(name=f"p{i}", kind="image", data=out.getvalue(), ext="jpg") for i in range(2)]
    first = demo_inputs.pdf_of(pages)
    assert first == demo_inputs.pdf_of(pages)
    assert first.startswith(b"%PDF")
