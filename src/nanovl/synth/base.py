"""What every generator makes, and where its randomness comes from.

A generator is a function of an index: the same generator, version, settings, split and index give
the same sample, on any machine and with any number of workers. All randomness comes from `Streams`,
whose seed is derived from exactly those five (and the number of the attempt). Must not write files.

Source: data synthesis specification, sections 2.1 to 2.5.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Literal, Protocol

import numpy as np

from nanovl.core.config import to_dict
from nanovl.core.errors import BackendError, InputError, NanoVLError, missing_extra

__all__ = [
    "MAX_ATTEMPTS",
    "Answer",
    "Box",
    "Generator",
    "Media",
    "Reject",
    "Requirement",
    "Sample",
    "Streams",
    "Task",
    "config_hash",
    "image_box",
    "seed_of",
]

Box = tuple[float, float, float, float]
MediaKind = Literal["image", "video", "audio"]

MAX_ATTEMPTS = 4  # after this an index is given up, never replaced by another one


def config_hash(config: Any) -> str:
    """First 16 hex digits of the SHA-256 of a configuration as canonical JSON."""
    text = json.dumps(to_dict(config), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def seed_of(
    generator: str, version: str, config: str, split: str, index: int, attempt: int = 0
) -> int:
    """Seed of one attempt: 8 bytes of BLAKE2b over its identity.

    Args:
        generator, version, config: Name, version and configuration hash.
        split: "train", "val", ...
        index: Number of the sample in the split.
        attempt: 0, then one more for every rejection.
    """
    text = "|".join((generator, version, config, split, str(index), str(attempt)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class Streams:
    """Named random streams of one attempt.

    A stream's draws depend on the seed and its name alone: drawing more in one never shifts
    another. Asking for a name again continues its stream.

    Args:
        seed: From `seed_of`.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._python: dict[str, random.Random] = {}
        self._numpy: dict[str, np.random.Generator] = {}

    def rng(self, name: str) -> random.Random:
        """Python's generator of a stream."""
        if name not in self._python:
            self._python[name] = random.Random(self._seed(name))
        return self._python[name]

    def np(self, name: str) -> np.random.Generator:
        """NumPy's generator of a stream; independent of `rng(name)`."""
        if name not in self._numpy:
            seed = self._seed(f"{name}/numpy")
            self._numpy[name] = np.random.Generator(np.random.PCG64(seed))
        return self._numpy[name]

    def _seed(self, name: str) -> int:
        text = f"{self.seed}|{name}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


class Reject(NanoVLError):
    """This attempt gave no usable sample; the next attempt may.

    Args:
        reason: A short name, counted in totals.
        message: What exactly.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(f"{reason}: {message}" if message else reason)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[Reject], tuple[str, str]]:
        return Reject, (self.reason, self.message)


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """Something a generator cannot work without.

    Attributes:
        name: Program, or importable Python module.
        kind: Which of the two.
        package: The Debian package that has the program, or the extra that has the module.
        purpose: What it is for.
    """

    name: str
    kind: Literal["program", "module"]
    package: str
    purpose: str

    @property
    def is_there(self) -> bool:
        """Whether it can be used here."""
        if self.kind == "program":
            return shutil.which(self.name) is not None
        return find_spec(self.name) is not None

    def check(self) -> None:
        """Raise unless it is there.

        Raises:
            BackendError: It is missing; says how to get it.
        """
        if self.is_there:
            return
        if self.kind == "module":
            raise missing_extra(self.name, self.package, self.purpose)
        raise BackendError(
            f"{self.name} was not found, {self.purpose} needs it; on Debian and Ubuntu: "
            f"apt install {self.package}"
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A machine-checkable answer, apart from how it is worded.

    Attributes:
        type: "text", "number", "choice", "list", "box", "point", "interval", "json", "markup",
            "call" or "bool".
        value: JSON-able.
        unit: Of a number.
        tolerance: Relative error that still counts as right; None asks for equality.
        boxes: Where the evidence is, in pixels of the medium.
    """

    type: str
    value: Any
    unit: str | None = None
    tolerance: float | None = None
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Task:
    """One question about a sample, or one dialogue.

    Attributes:
        task: Kind, such as "table_lookup"; becomes the record's task.
        question: What the user says, without media.
        answer_text: What the assistant says.
        answer: The same, checkable.
        verifier: Name of the check: "exact", "exact_ci", "anls", "number", "set", "list_ordered",
            "iou", "point_in_box", "json_equal", "teds", "edit_distance", "interval_iou", "exec",
            "mcq", "elements_f1", "html_render".
        trace: Reasoning that leads to the answer; None when there is none.
        media: Names of the media shown before the question; empty for text.
        template: Which wording was used.
        tools: Function descriptions of a tool-calling dialogue.
        messages: A whole dialogue as record messages (JSON form); replaces question and answer.
    """

    task: str
    question: str
    answer_text: str
    answer: Answer
    verifier: str
    trace: str | None = None
    media: tuple[str, ...] = ()
    template: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    messages: tuple[Mapping[str, Any], ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Media:
    """An encoded picture, video or sound.

    Attributes:
        name: Unique in the sample, letters, digits, "-" and "_" only.
        kind: "image", "video" or "audio".
        data: The file.
        ext: "png", "jpg", "webp", "mp4" or "wav".
        width, height: In pixels; 0 for sound.
        extra: fps, duration, dpi, ...
    """

    name: str
    kind: MediaKind
    data: bytes
    ext: str
    width: int = 0
    height: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name or not self.name.replace("-", "").replace("_", "").isalnum():
            raise InputError(
                f"media name {self.name!r}: expected letters, digits, '-' and '_' (shards split "
                "names at the first dot)"
            )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What one index of a generator gives.

    Attributes:
        id: "{generator}-{split}-{index:09d}", filled in by the runner.
        generator, version, seed: Provenance; with the configuration enough to make it again.
        lang: BCP-47.
        license: SPDX name, or "generated".
        media: Pictures, videos, sounds.
        gt: Everything known about them, JSON-able; boxes are (x0, y0, x1, y1) in pixels, floats,
            origin at the top left.
        tasks: Questions with answers that follow from `gt`.
        tags: Skills, categories, "difficulty:0" to "difficulty:4".
        quality: Numbers of the generator's own checks.
        group: Samples made from one source share it, and fall in one split.
    """

    generator: str
    version: str
    seed: int
    gt: Mapping[str, Any]
    tasks: tuple[Task, ...]
    media: tuple[Media, ...] = ()
    id: str = ""
    lang: str = "en"
    license: str = "generated"
    tags: tuple[str, ...] = ()
    quality: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""

    def __post_init__(self) -> None:
        names = [m.name for m in self.media]
        if len(set(names)) != len(names):
            raise InputError(f"{self.generator}: media names {names} are not unique")
        for task in self.tasks:
            unknown = sorted(set(task.media) - set(names))
            if unknown:
                raise InputError(
                    f"{self.generator}: task {task.task} shows {unknown[0]!r}, media are {names}"
                )


class Generator(Protocol):
    """Makes samples.

    Attributes:
        name, version: Identity; the version rises with any change of output.
        requires: What must be installed.
        config: A frozen dataclass.
    """

    name: str
    version: str
    requires: Sequence[Requirement]
    config: Any

    def generate(self, index: int, streams: Streams) -> Sample:
        """The sample of an index.

        Raises:
            Reject: This attempt failed; another one gets other streams.
        """
        ...


def image_box(box: Sequence[float], width: int, height: int) -> Box:
    """A box cut to the picture.

    Raises:
        Reject: Nothing of it is inside.
    """
    x0, y0, x1, y1 = (float(v) for v in box)
    cut = (max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1))
    if not all(map(math.isfinite, cut)) or cut[2] <= cut[0] or cut[3] <= cut[1]:
        raise Reject("box_outside", f"{tuple(box)} in a picture of {width} x {height}")
    return cut
