"""Every generator of the registry with settings for tests, and the samples tests share.

Samples are made once per process, whoever asks: a test that needs more gets those of before and the
following ones. Settings keep results apart from the machine where a generator allows it (the
bundled face, no sound); the generators that draw real texts get small made-up sources.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nanovl.core.errors import NanoVLError
from nanovl.synth.base import Generator, Sample
from nanovl.synth.records import sample_records
from nanovl.synth.registry import GENERATORS, create
from tests.unit.synth.checks import make
from tests.unit.synth.documents.conftest import PASSAGE, write_lines

__all__ = ["NAMES", "digest_of", "generator_of", "samples_of", "settings_of", "source_folder"]

NAMES = sorted(GENERATORS)
PLAIN = {"fonts": ["builtin"]}
SETTINGS: dict[str, dict[str, Any]] = {
    "multi-image": {**PLAIN, "typefaces": ["builtin"]},
    "multipage": {**PLAIN, "max_pages": 5},
    "ocr-line": PLAIN,
    "ocr-page": PLAIN,
    "ocr-scene": PLAIN,
    "ocr-word": PLAIN,
    "render-charts": {"source": "tables", "renderer": "pillow"},
    "render-passages": {**PLAIN, "source": "reading"},
    "render-problems": {**PLAIN, "source": "problems"},
    "render-tables": {**PLAIN, "source": "tables"},
    "render-text": {**PLAIN, "paths": ["texts.jsonl.gz"], "characters": [200, 700]},
    "tables": PLAIN,
    "video-slides": {"narration": "off", "max_slides": 3},
}
# Samples that show the form of a generator; those that take seconds each are looked at less often.
_USUAL = 8
_FEW = {
    "formulas": 2,
    "multi-image": 6,
    "multipage": 3,
    "papers": 2,
    "render-text": 3,
    "tables-tex": 3,
    "video-slides": 4,
}


def settings_of(name: str, folder: Path) -> dict[str, Any]:
    """Settings of a generator; files are below a folder `source_folder` filled."""
    found = dict(SETTINGS.get(name, {}))
    if "source" in found:
        found["source"] = str(folder / found["source"])
    if "paths" in found:
        found["paths"] = [str(folder / path) for path in found["paths"]]
    return found


def source_folder(folder: Path) -> Path:
    """Write the sources of the generators that draw real texts."""
    (folder / "reading").mkdir(parents=True)
    (folder / "tables").mkdir()
    sections = [
        {"section_id": f"ft-Mill-{n}", "story": "The-mill", "section": n, "text": f"{n}. {PASSAGE}"}
        for n in (1, 2, 3)
    ]
    asked = [
        {
            "id": f"q{n}",
            "section_ids": [f"ft-Mill-{n}"],
            "question": f"How many sons had the miller of part {n}?",
            "answers": ["three sons", "three"],
        }
        for n in (1, 2, 3)
    ]
    write_lines(folder / "reading" / "fairytaleqa_sections_train.jsonl.gz", sections)
    write_lines(folder / "reading" / "fairytaleqa_train.jsonl.gz", asked)
    rows = [[f"Team {c}", str(n), f"{n * 3},500"] for n, c in enumerate("ABCDEFGH", 1)]
    table = {"table_id": "t1", "title": "League", "header": ["Name", "Wins", "Visitors"],
             "rows": rows}  # fmt: skip
    question = {"id": "w1", "table_id": "t1", "question": "who won 3 times?", "answers": ["Team C"]}
    write_lines(folder / "tables" / "wtq_tables.jsonl.gz", [table])
    write_lines(folder / "tables" / "wtq_train.jsonl.gz", [question])
    (folder / "problems").mkdir()
    problems = [
        {
            "id": f"p{n}",
            "question": f"A mill grinds {n} sacks an hour. How many in {n + 2} hours?",
            "solution": f"{n} sacks x {n + 2} hours = {n * (n + 2)} sacks",
            "answer": str(n * (n + 2)),
        }
        for n in range(2, 12)
    ]
    write_lines(folder / "problems" / "gsm8k_train.jsonl.gz", problems)
    body = "# Mills\n\n" + "\n\n".join(
        f"## Part {n}\n\n{PASSAGE.replace(chr(10), ' ')}\n\n- first point\n- second point"
        for n in range(1, 6)
    )
    write_lines(folder / "texts.jsonl.gz", [{"id": "a", "title": "Mills", "text": body}])
    return folder


@cache
def _sources() -> Path:
    return source_folder(Path(tempfile.mkdtemp(prefix="nanovl-sources-")))


@cache
def generator_of(name: str) -> Generator:
    """A generator, or a skip that says what is missing."""
    made = create(name, settings_of(name, _sources()))
    for requirement in made.requires:
        try:
            requirement.check()
        except NanoVLError as error:
            pytest.skip(f"{name}: {error}")
    return made


def samples_of(name: str, count: int | None = None) -> tuple[Sample, ...]:
    """Samples of the first `count` indices; fewer of slow generators, but at least two."""
    made = _made(name)
    count = _FEW.get(name, _USUAL) if count is None else count
    for index in range(len(made), count):
        made.append(make(generator_of(name), index))
    found = tuple(
        replace(sample, id=f"{name}-train-{index:09d}")
        for index, sample in enumerate(made[:count])
        if sample is not None
    )
    assert len(found) >= 2
    return found


@cache
def _made(name: str) -> list[Sample | None]:
    """Samples of the indices from 0 so far, in order."""
    generator_of(name)
    return []


def records_of(sample: Sample) -> Iterator[Mapping[str, Any]]:
    """The records of a sample as plain data."""
    for record in sample_records(sample):
        yield record.to_json()


def digest_of(sample: Sample, *, with_media: bool = True) -> str:
    """Hash of ground truth, tasks and pixels (of videos and sounds: bytes)."""
    state = hashlib.sha256()
    tasks = [(t.task, t.question, t.answer_text, t.trace, t.template) for t in sample.tasks]
    state.update(json.dumps([sample.gt, tasks, sample.tags], sort_keys=True).encode())
    for media in sample.media if with_media else ():
        if media.kind == "image":
            picture = Image.open(io.BytesIO(media.data)).convert("RGB")
            state.update(np.asarray(picture).tobytes())
        else:
            state.update(media.data)
    return state.hexdigest()[:16]
