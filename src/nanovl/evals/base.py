"""The nouns of evaluation: a sample, a model's response, a verdict on it, a result of many.

Scoring needs neither model nor media: everything a metric may look at is in `Sample` and
`Response`. Nothing here reads files or talks to a model.

Source: evaluation specification, sections 2.2, 3.2, 6, 7.2 and 11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = [
    "LEVELS",
    "Judge",
    "Level",
    "Medium",
    "Metric",
    "Response",
    "Result",
    "Sample",
    "Scored",
    "Verdict",
    "answer_part",
]

Level = Literal["rules", "extended", "judge"]
LEVELS: tuple[Level, ...] = ("rules", "extended", "judge")


@dataclass(frozen=True, kw_only=True)
class Medium:
    """A file shown to the model.

    Attributes:
        kind: "image", "video", "pdf" or "audio".
        data: The file's bytes, or None when `path` names it.
        path: Where it is, or None.
        name: Shown in reports, and used for caches.
    """

    kind: Literal["image", "video", "pdf", "audio"]
    data: bytes | None = None
    path: str | None = None
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One question of a benchmark, as its reader found it.

    Attributes:
        id: Unique in the benchmark; the `index` column of a TSV.
        question: The text of the question; the prompt builder adds options and instructions.
        options: Letter to text, in order; empty when there are none.
        answer: The reference as the file has it: a letter, a string, a list, a mapping.
        media: What is shown, in order.
        hint: Text the file wants before the question.
        group: Samples that belong together: rotations of a question, questions about a document.
        category: Column of the report this sample counts in.
        meta: All other columns a metric may need.
    """

    id: str
    question: str
    answer: Any
    options: Mapping[str, str] = field(default_factory=dict)
    media: Sequence[Medium] = ()
    hint: str = ""
    group: str = ""
    category: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Response:
    """What a model said to one sample in one run.

    Attributes:
        text: The answer, reasoning taken off; see `answer_part`.
        reasoning: The reasoning, or "".
        run: Number of the run, from 0.
        finish_reason: "stop", "length", ...
        unfinished: Whether reasoning was opened and never closed; `text` is then "".
        meta: Token counts, timings, preprocessing facts.
    """

    text: str
    reasoning: str = ""
    run: int = 0
    finish_reason: str = "stop"
    unfinished: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How good one response is.

    Attributes:
        value: Usually 0 to 1; None when it could not be scored (a judge is needed and there is
            none, code was not executed).
        extracted: What was taken for the answer; None when nothing was found.
        level: What decided.
        detail: Parts a metric's aggregation needs, and reasons worth reading.
    """

    value: float | None
    extracted: Any = None
    level: Level = "rules"
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A sample with its response and verdict."""

    sample: Sample
    response: Response
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Result:
    """The number of a benchmark.

    Attributes:
        score: In the unit of the benchmark (see `benchmarks.yaml`, `range` of the metric).
        num_samples: What it is an average of.
        groups: Scores by column of the report.
        parts: Other numbers the benchmark prints.
        unscored: Responses without a verdict; they count as wrong in `score`.
    """

    score: float
    num_samples: int
    groups: Mapping[str, float] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)
    unscored: int = 0


class Judge(Protocol):
    """Another model that decides what rules cannot; never random."""

    def ask(self, prompt: str) -> str | None:
        """Its reply at temperature 0; None when it gave none after three tries."""
        ...


class Metric(Protocol):
    """A scoring rule of `nanovl.evals.scoring`.

    Attributes:
        name: As in `benchmarks.yaml`.
    """

    @property
    def name(self) -> str: ...

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Verdict on one response. Never raises for what a model said."""
        ...

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """The benchmark's number of one run. Raises `InputError` for no samples."""
        ...


def answer_part(text: str, *, reasoning: bool) -> tuple[str, str, bool]:
    """Split a raw completion into answer and reasoning.

    Args:
        text: As generated, tags included.
        reasoning: Whether the model was asked to reason (a `<think>` may be in the prompt).

    Returns:
        Answer, reasoning, and whether reasoning was opened and never closed (the answer is then
        empty, which scores as wrong).
    """
    if "</think>" in text:
        before, _, after = text.rpartition("</think>")
        return after.strip(), before.replace("<think>", "", 1).strip(), False
    if "<think>" in text:
        return "", text.split("<think>", 1)[1].strip(), True
    return text, "", False
