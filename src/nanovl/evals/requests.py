"""What the runner passes around: a prompt, a request, what came of it, and the keys of both.

A request is known by a hash of everything its answer depends on. Two requests with equal keys have
the same answer, so an answer that is on disk is never asked for again. Nothing here opens a model
or a connection; files of media are read to be hashed.

Source: evaluation specification, sections 2.2 and 11.2.
"""

from __future__ import annotations

import hashlib
import json
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from nanovl.core.errors import InputError
from nanovl.core.generation import SamplingParams
from nanovl.evals.base import Medium, Response, Sample, answer_part
from nanovl.evals.modes import Setting

__all__ = [
    "Answered",
    "Answerer",
    "Chain",
    "Failure",
    "Identity",
    "Prompt",
    "Request",
    "Task",
    "content_id",
    "digest",
    "failure_of",
    "response_of",
]

_WHOLE_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20
_BLOCKS = 16
_TRACEBACK_CHARS = 4000
# For the order of a run, in characters; only proportions matter.
_LENGTH = {"image": 8_000, "video": 120_000, "pdf": 60_000, "audio": 8_000}


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One user turn.

    Attributes:
        content: Texts and media in the order the benchmark shows them.
        system: The benchmark's own system text; the mode's comes before it.
        prefix: Beginning of the answer, put into the model's mouth.
        max_tokens: The benchmark's own limit; None leaves it to the mode.
    """

    content: Sequence[str | Medium]
    system: str = ""
    prefix: str = ""
    max_tokens: int | None = None

    @property
    def text(self) -> str:
        """All text, for people and hashes; media shows as `<image>` and so on."""
        parts = [p if isinstance(p, str) else f"<{p.kind}>" for p in self.content]
        return "".join(parts)

    @property
    def media(self) -> tuple[Medium, ...]:
        """The media, in order."""
        return tuple(p for p in self.content if isinstance(p, Medium))

    @cached_property
    def hash(self) -> str:
        """Of the text, the system text and the places of media."""
        content = [p if isinstance(p, str) else {"medium": p.kind} for p in self.content]
        return digest([self.system, content, self.prefix])

    @cached_property
    def media_hash(self) -> str:
        """Of what the media files hold, "" without any."""
        return digest([content_id(m) for m in self.media]) if self.media else ""

    @property
    def length(self) -> int:
        """A guess at the work, to begin with the longest."""
        return len(self.text) + sum(_LENGTH[m.kind] for m in self.media)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question to the model.

    Attributes:
        key: Hash of everything the answer depends on.
        benchmark, sample: Where it comes from.
        run: Number of the run, from 0.
        setting: Mode and changes to the input.
        prompt: What is shown.
        sampling: How tokens are chosen.
        notes: Put into the response's `meta` for the metric.
    """

    key: str
    benchmark: str
    sample: str
    run: int
    setting: Setting
    prompt: Prompt
    sampling: SamplingParams
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def system(self) -> str:
        """System text of the turn: the mode's, then the benchmark's."""
        return "\n".join(t for t in (self.setting.mode.system, self.prompt.system) if t)

    @classmethod
    def make(
        cls,
        benchmark: str,
        sample: Sample,
        prompt: Prompt,
        setting: Setting,
        *,
        model: str,
        run: int = 0,
        seed: int = 0,
        notes: Mapping[str, Any] | None = None,
    ) -> Request:
        """A request with its key.

        The reference answer is no part of the key: a corrected one asks for nothing again.

        Args:
            benchmark: Its id.
            sample: The question.
            prompt: Made of it.
            setting: How it is asked.
            model: Who is asked, weights included.
            run: Number of the run.
            seed: Of run 0.
            notes: For the metric; no part of the key.
        """
        sampling = setting.mode.sampling(run, seed=seed, max_tokens=prompt.max_tokens)
        mode = setting.mode
        key = digest(
            {
                "benchmark": benchmark,
                "sample": [sample.id, sample.question, dict(sample.options), sample.hint],
                "prompt": prompt.hash,
                "media": prompt.media_hash,
                "system": mode.system,
                "reasoning": [mode.reasoning, mode.budget, mode.grace],
                "sampling": vars(sampling),
                "options": dict(setting.options),
                "run": run,
                "model": model,
            }
        )
        return cls(
            key=key,
            benchmark=benchmark,
            sample=sample.id,
            run=run,
            setting=setting,
            prompt=prompt,
            sampling=sampling,
            notes=notes or {},
        )


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why there is no answer; the request is tried again at the next start.

    Attributes:
        kind: Short name for counts: "InputError", "http_500", "timeout".
        message: What happened.
        traceback: Where, "" when that says nothing.
        retries: Tries before the last one.
    """

    kind: str
    message: str
    traceback: str = ""
    retries: int = 0


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What came of a request: exactly one of response and failure."""

    request: Request
    response: Response | None = None
    failure: Failure | None = None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who answers.

    Attributes:
        name: Model name for people.
        weights: Hash of the weights, "" when it cannot be known (an endpoint).
        facts: Precision, tiling, EVS rate, device, address: all that belongs into `run.json`.
    """

    name: str
    weights: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Part of every request's key."""
        return digest([self.name, self.weights, self.facts.get("precision", "")])


class Answerer(Protocol):
    """A loaded model or an endpoint."""

    @property
    def identity(self) -> Identity:
        """Who answers."""
        ...

    def answer(self, requests: Iterable[Request], stop: Event) -> Iterator[Answered]:
        """Answers as they come, in any order; every request ends in exactly one.

        Args:
            requests: Taken as they are needed.
            stop: When set, no new request is begun and the iterator ends soon; requests that
                were not answered by then are simply missing.

        Raises:
            NanoVLError: Nothing can be answered at all; says what to do.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Questions that build on the model's own answers to earlier ones.

    Attributes:
        before: From sample to the ids of the earlier steps, in order.
        prompt: From sample and the earlier steps' code to prompt.
        code: What of an answer later steps see.
        given: Code of steps that are not asked, by id.
    """

    before: Callable[[Sample], Sequence[str]]
    prompt: Callable[[Sample, Sequence[str]], Prompt]
    code: Callable[[str], str]
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A benchmark ready to be asked and scored.

    Attributes:
        id: Of the benchmark.
        samples: All of them, or the subset that is run.
        prompt: From sample to prompt.
        metric: Name of the scoring rule.
        manifest: Where the samples come from: files, SHA-256, counts; results of different
            manifests are never mixed.
        total: Samples the benchmark has; more than `samples` when a subset is run.
        runs: Runs of modes that sample.
        best: Largest score of the metric; scores are shown as percent of it.
        lower_is_better: For errors and distances.
        chain: For questions that need answers to earlier ones.
        peers: Answers that need no model to compare with, see `nanovl.evals.baselines`.
        prompt_set: Hash of the templates.
        metric_options: Attributes the metric is made with, such as a file of expected results.
    """

    id: str
    samples: Sequence[Sample]
    prompt: Callable[[Sample], Prompt]
    metric: str
    manifest: Mapping[str, Any] = field(default_factory=dict)
    total: int = 0
    runs: int = 1
    best: float = 1.0
    lower_is_better: bool = False
    chain: Chain | None = None
    peers: Sequence[str] = ()
    prompt_set: str = ""
    metric_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for sample in self.samples:
            if sample.id in seen:
                raise InputError(
                    f"{self.id}: two samples have the id {sample.id!r}; ids must be unique, or "
                    "one answer would count for both"
                )
            seen.add(sample.id)

    @property
    def asked(self) -> list[Sample]:
        """Samples that are put to the model."""
        given = {} if self.chain is None else self.chain.given
        return [sample for sample in self.samples if sample.id not in given]


def digest(value: Any) -> str:
    """SHA-256 of anything that can be written as JSON, 32 digits of it."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def content_id(medium: Medium) -> str:
    """A hash of what a medium holds; where it lies does not matter.

    Files of more than 64 MiB count by their size and sixteen blocks spread over them.

    Raises:
        InputError: The file cannot be read, or the medium has neither bytes nor a path.
    """
    if medium.data is not None:
        return hashlib.sha256(medium.data).hexdigest()
    if medium.path is None:
        raise InputError(f"{medium.kind} {medium.name!r}: has neither bytes nor a path")
    try:
        facts = os.stat(medium.path)
        return _file_id(medium.path, facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise InputError(
            f"{medium.path}: cannot be read ({error.strerror or error}); is the data folder "
            "complete?"
        ) from error


@lru_cache(maxsize=1 << 17)
def _file_id(path: str, size: int, changed_ns: int) -> str:
    hasher = hashlib.sha256(b"" if size <= _WHOLE_BYTES else f"{size}:".encode())
    with Path(path).open("rb") as file:
        if size <= _WHOLE_BYTES:
            while block := file.read(_BLOCK_BYTES):
                hasher.update(block)
        else:
            for index in range(_BLOCKS):
                file.seek((size - _BLOCK_BYTES) * index // (_BLOCKS - 1))
                hasher.update(file.read(_BLOCK_BYTES))
    return hasher.hexdigest()


def failure_of(error: BaseException) -> Failure:
    """An exception as something that can be stored."""
    where = "".join(traceback.format_exception(error))
    kind = str(getattr(error, "reason", "") or type(error).__name__)
    return Failure(
        kind=kind,
        message=str(error)[:2000],
        traceback=where[-_TRACEBACK_CHARS:],
        retries=int(getattr(error, "retries", 0)),
    )


def response_of(
    request: Request,
    text: str,
    *,
    reasoning: str | None = None,
    finish_reason: str = "stop",
    unfinished: bool | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Response:
    """What was generated as a response, reasoning taken off.

    Args:
        request: What was asked.
        text: Answer; may still hold tags when the reasoning was not split off.
        reasoning: Where it came apart from the answer, else None.
        finish_reason: Why generation ended.
        unfinished: Whether thinking was opened and never closed, where that is known.
        meta: Token counts, timings, facts.
    """
    wanted = request.setting.mode.reasoning == "on"
    if reasoning and "</think>" not in text:  # the split was made; other tags are the answer's own
        answer, inner, open_thought = text, "", False
    else:
        answer, inner, open_thought = answer_part(text, reasoning=wanted)
    thought = "\n".join(t for t in (reasoning or "", inner) if t)
    if unfinished is None:
        unfinished = open_thought or (
            bool(reasoning) and not text.strip() and finish_reason == "length"
        )
    facts = dict(meta or {})
    if wanted and not thought and not unfinished:
        facts["no_reasoning"] = True
    return Response(
        text="" if unfinished else answer,
        reasoning=thought,
        run=request.run,
        finish_reason=finish_reason,
        unfinished=unfinished,
        meta=facts,
    )
