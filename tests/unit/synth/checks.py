"""What every generator of pictures must hold: shared by the tests of tables, charts and scenes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from nanovl.synth.base import MAX_ATTEMPTS, Generator, Reject, Sample, Streams, config_hash, seed_of
from nanovl.synth.verify import is_right

GOLDEN = Path(__file__).parents[2] / "golden" / "synth"

_MOST_BYTES = 100 << 20
_kept: dict[tuple[tuple[type, str, str, str], int], Sample | None] = {}


def make(generator: Generator, index: int) -> Sample | None:
    """The sample of an index as the runner makes it."""
    settings = config_hash(generator.config)
    for attempt in range(MAX_ATTEMPTS):
        seed = seed_of(generator.name, generator.version, settings, "train", index, attempt)
        try:
            return generator.generate(index, Streams(seed))
        except Reject:
            continue
    return None


def made(generator: Generator, count: int) -> list[Sample]:
    """Samples of the first indices; at most one in twenty may have been given up.

    Made once: the tests of a file look at the same ones from several sides. Whoever wants to see
    whether they are the same again calls `make`.
    """
    if sum(len(m.data) for s in _kept.values() if s is not None for m in s.media) > _MOST_BYTES:
        _kept.clear()
    whose = (type(generator), generator.name, generator.version, config_hash(generator.config))
    for index in range(count):
        if (whose, index) not in _kept:
            _kept[whose, index] = make(generator, index)
    samples = [s for s in (_kept[whose, index] for index in range(count)) if s is not None]
    assert len(samples) >= 0.95 * count
    return samples


def boxes_in(gt: Any) -> Iterator[list[float]]:
    """All boxes of the first picture in a ground truth."""
    if isinstance(gt, Mapping):
        for key, value in gt.items():
            if key in ("bbox", "text_bbox") and value:
                yield value
            elif key == "boxes":
                yield from value
            elif key not in ("second_scene", "pages"):
                yield from boxes_in(value)
    elif isinstance(gt, list | tuple):
        for value in gt:
            yield from boxes_in(value)


def check_sample(sample: Sample) -> None:
    """Ground truth is JSON, boxes are inside, questions are whole, answers pass their check."""
    json.dumps(sample.gt)
    for media in sample.media:
        assert Image.open(io.BytesIO(media.data)).size == (media.width, media.height)
    if sample.media:
        width, height = sample.media[0].width, sample.media[0].height
        for x0, y0, x1, y1 in boxes_in(sample.gt):
            assert -0.51 <= x0 < x1 <= width + 0.51, (x0, x1, width)
            assert -0.51 <= y0 < y1 <= height + 0.51, (y0, y1, height)
    assert sample.tasks
    for task in sample.tasks:
        assert is_right(task.verifier, task.answer, task.answer_text), task
        text = f"{task.question} {task.trace or ''}"
        assert "  " not in text.replace("\n", " ").replace("   ", ""), text
        assert "{" not in task.question or "json" in task.question.lower(), text
        assert task.question[0].upper() == task.question[0]


def check_others_fail(samples: list[Sample]) -> None:
    """Another sample's answer to the same kind of question is seldom accepted."""
    by_kind: dict[str, list[Any]] = {}
    for sample in samples:
        for task in sample.tasks:
            by_kind.setdefault(f"{task.task}/{task.verifier}", []).append(task)
    tried = 0
    for kind, tasks in by_kind.items():
        for one, other in pairwise(tasks):
            same = one.answer_text.casefold() == other.answer_text.casefold()
            loose = ("edit_distance", "anls", "teds", "iou", "point_in_box", "html_render")
            close = one.answer.tolerance or one.verifier in loose
            if not same and not close:
                tried += 1
                assert not is_right(one.verifier, one.answer, other.answer_text), (kind, one, other)
    assert tried > 10


def yes_share(samples: list[Sample]) -> float:
    """Share of yes among the yes/no answers."""
    said = [t.answer.value for s in samples for t in s.tasks if t.answer.type == "bool"]
    assert len(said) > 30
    return sum(said) / len(said)


def print_of(sample: Sample) -> dict[str, str]:
    """Short digests of a sample: pixels, ground truth, tasks."""
    pixels = hashlib.sha256()
    for media in sample.media:
        pixels.update(np.asarray(Image.open(io.BytesIO(media.data)).convert("RGB")).tobytes())
    tasks = [(t.task, t.question, t.answer_text, t.trace) for t in sample.tasks]
    return {
        "pixels": pixels.hexdigest()[:16],
        "gt": _digest(sample.gt),
        "tasks": _digest(tasks),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def check_golden(name: str, sample: Sample, update: bool, *, with_pixels: bool = True) -> None:
    """A sample is as it was when its golden file was written.

    Pixels are compared under the version of Pillow that wrote the file only.
    """
    path = GOLDEN / f"{name}.json"
    found = {"pillow": PIL.__version__, "digest": print_of(sample), "gt": sample.gt}
    found["tasks"] = [[t.task, t.question, t.answer_text] for t in sample.tasks]
    if update:
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    expected = json.loads(path.read_text())
    got = json.loads(json.dumps(found))
    assert got["tasks"] == expected["tasks"]
    assert got["gt"] == expected["gt"]
    if with_pixels and expected["pillow"] == PIL.__version__:
        assert got["digest"] == expected["digest"]


def check_hash_seeds(
    module: str, settings: str = "{}", indices: str = "range(4)", factory: str = "create"
) -> None:
    """A process with another hash seed makes the same bytes as this one."""
    code = (
        "import hashlib, importlib, json\n"
        "from nanovl.synth.base import Reject, Streams\n"
        f"g = importlib.import_module({module!r}).{factory}(json.loads({settings!r}))\n"
        "h = hashlib.sha256()\n"
        f"for k in {indices}:\n"
        "    try: s = g.generate(k, Streams(1000 + k))\n"
        "    except Reject as error: h.update(str(error).encode()); continue\n"
        "    for m in s.media: h.update(m.data)\n"
        "    h.update(repr((s.gt, s.tasks, s.tags)).encode())\n"
        "print(h.hexdigest())\n"
    )
    other = "77" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": other},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with contextlib.redirect_stdout(io.StringIO()) as ours:
        exec(code, {})
    assert ours.getvalue() == done.stdout != ""
