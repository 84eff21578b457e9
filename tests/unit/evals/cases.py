"""Benchmarks and metrics small enough to know every number of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.evals.base import Judge, Level, Medium, Response, Result, Sample, Scored, Verdict
from nanovl.evals.modes import Setting, mode
from nanovl.evals.requests import Answered, Failure, Identity, Prompt, Request, Task, response_of
from nanovl.evals.runfolder import RunFolder
from nanovl.evals.runner import Job, generate

OFF = Setting(mode=mode("mm_off"))
ON = Setting(mode=mode("mm_on"))


@dataclass(frozen=True)
class Exact:
    """1 for the reference, 0 for anything else; the level "extended" ignores case."""

    profile: str = "default"
    name: str = "exact"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        text = response.text.strip()
        if level == "judge" and judge is not None:
            reply = judge.ask(f"{text} = {sample.answer}?")
            if reply not in ("0", "1"):
                return Verdict(value=None, extracted=text, level="judge")
            return Verdict(value=float(reply), extracted=text, level="judge")
        if text == str(sample.answer):
            return Verdict(value=1.0, extracted=text)
        if level != "rules" and text.lower() == str(sample.answer).lower():
            return Verdict(value=1.0, extracted=text, level="extended")
        return Verdict(value=0.0, extracted=text or None)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        values = [item.verdict.value or 0.0 for item in scored]
        return Result(
            score=sum(values) / len(values),
            num_samples=len(values),
            unscored=sum(item.verdict.value is None for item in scored),
        )


def samples(count: int, *, media: bytes | None = None) -> list[Sample]:
    """Questions "What is 0?" with the answers "0" ..."""
    shown = (Medium(kind="image", data=media, name="picture.png"),) if media else ()
    return [
        Sample(id=str(i), question=f"What is {i}?", answer=str(i), media=shown)
        for i in range(count)
    ]


def prompt_of(sample: Sample) -> Prompt:
    """Media first, then the question."""
    return Prompt(content=(*sample.media, sample.question))


def task(count: int = 5, *, name: str = "sums", media: bytes | None = None, **more: Any) -> Task:
    """A benchmark of `samples`."""
    return Task(
        id=name,
        samples=samples(count, media=media),
        prompt=prompt_of,
        metric="exact",
        **{"manifest": {"files": [{"name": f"{name}.tsv", "sha256": "0" * 64}]}, **more},
    )


@dataclass
class FakeAnswerer:
    """Answers by a function; failures are strings.

    Attributes:
        say: From request to text, reasoning and finish reason, or to a failure.
        asked: Requests so far.
    """

    say: Callable[[Request], Any]
    name: str = "fake"
    asked: list[Request] = field(default_factory=list)
    meta: Callable[[Request], dict[str, Any]] = lambda request: {}

    @property
    def identity(self) -> Identity:
        return Identity(name=self.name, weights="w", facts={"kind": "loaded"})

    def answer(self, requests: Iterable[Request], stop: threading.Event) -> Iterator[Answered]:
        for request in requests:
            if stop.is_set():
                return
            self.asked.append(request)
            said = self.say(request)
            if isinstance(said, Failure):
                yield Answered(request=request, failure=said)
                continue
            text, reasoning, finish = said if isinstance(said, tuple) else (said, None, "stop")
            yield Answered(
                request=request,
                response=response_of(
                    request,
                    text,
                    reasoning=reasoning,
                    finish_reason=finish,
                    meta=self.meta(request),
                ),
            )


def number_of(request: Request) -> int:
    """i of "What is i?"."""
    return int(request.prompt.text.rsplit(" ", 1)[1].rstrip("?"))


def right(request: Request) -> str:
    """The right answer."""
    return str(number_of(request))


def run_of(
    path: Path,
    answerer: Any,
    tasks: Sequence[Task] | None = None,
    settings: Sequence[Setting] = (OFF,),
    **more: Any,
) -> RunFolder:
    """A run with its answers."""
    folder = RunFolder(path)
    jobs = [Job(task=t, settings=settings, **more) for t in (tasks or [task()])]
    generate(folder, jobs, answerer)
    return folder
