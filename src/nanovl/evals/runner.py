"""Asks a model every question of every benchmark, once, and survives whatever happens meanwhile.

Answers on disk are not asked for again; failures are stored with their reason and tried again at
the next start; Ctrl-C ends in order (a second one at once), a killed process loses at most the
answers that were under way. Generation, scoring and reporting are apart: nothing here knows a
metric.

Source: evaluation specification, sections 2.5, 3.2 and 11.2.
"""

from __future__ import annotations

import contextlib
import random
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nanovl.core.errors import BackendError, InputError, NanoVLError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.evals.base import Sample
from nanovl.evals.modes import Setting
from nanovl.evals.requests import (
    Answered,
    Answerer,
    Chain,
    Prompt,
    Request,
    Task,
    digest,
    failure_of,
)
from nanovl.evals.runfolder import ResponseLog, RunFolder, answer_texts, read_log

__all__ = ["Counts", "Job", "Totals", "Verification", "generate", "in_order", "verify"]

_FAILURES_IN_A_ROW = 25


@dataclass(frozen=True, kw_only=True)
class Job:
    """A benchmark under some settings.

    Attributes:
        task: What is asked.
        settings: How; every one is a number of its own in the report.
        runs: Runs of settings that sample; None takes the task's. Greedy settings run once.
        seed: Of run 0.
        source: Where the questions come from, for `run.json`.
    """

    task: Task
    settings: Sequence[Setting]
    runs: int | None = None
    seed: int = 0
    source: Mapping[str, Any] = field(default_factory=dict)

    def runs_of(self, setting: Setting) -> int:
        """How often every question is asked."""
        if setting.mode.is_greedy:
            return 1
        return self.task.runs if self.runs is None else self.runs


@dataclass(kw_only=True)
class Counts:
    """What became of the questions of one benchmark.

    Attributes:
        wanted: Questions times runs times settings.
        kept: Answers that were there before.
        answered: Answers of this session.
        failed: Failures of this session; they are asked again at the next start.
    """

    wanted: int = 0
    kept: int = 0
    answered: int = 0
    failed: int = 0

    @property
    def left(self) -> int:
        """Questions without an answer, failures included."""
        return self.wanted - self.kept - self.answered


@dataclass(kw_only=True)
class Totals:
    """What a session did.

    Attributes:
        benchmarks: By id.
        reasons: Failures by kind.
        retries: Tries that failed and were repeated.
        dropped: Bytes of torn last lines that were cut off, by benchmark.
        stopped: Whether the session was ended before everything was asked.
    """

    benchmarks: dict[str, Counts] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    stopped: bool = False

    def sum(self, name: str) -> int:
        """A count over all benchmarks."""
        return sum(getattr(counts, name) for counts in self.benchmarks.values())


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Whether the same question gives the same text.

    Attributes:
        checked: Answers that were generated again.
        alone: How many differ when asked one at a time.
        other_order: How many differ in a batch of another order.
    """

    checked: int
    alone: int
    other_order: int


def generate(
    folder: RunFolder,
    jobs: Sequence[Job],
    answerer: Answerer,
    *,
    facts: dict[str, Any] | None = None,
    order_seed: int = 0,
    on_event: OnEvent = ignore_event,
    stop: threading.Event | None = None,
) -> Totals:
    """Ask everything that has no answer yet.

    Args:
        folder: Where answers are kept.
        jobs: What is asked.
        answerer: Who is asked.
        facts: Further contents of `run.json`.
        order_seed: Of the order across benchmarks; changes no answer of its own.
        on_event: Told after every answer.
        stop: Ends the session in order when set; Ctrl-C sets it too.

    Raises:
        KeyboardInterrupt: After Ctrl-C, when everything that was answered is on disk.
        InputError: The folder holds a run of another model, or other data.
        BackendError: Nobody answers; what was answered is kept.
    """
    identity = answerer.identity
    folder.begin(identity, facts or {})
    totals = Totals()
    stop = stop or threading.Event()
    with contextlib.ExitStack() as stack:
        logs: dict[str, ResponseLog] = {}
        for job in jobs:
            folder.add_benchmark(job.task.id, job.task.manifest, _facts(job))
            log = logs[job.task.id] = stack.enter_context(folder.log(job.task.id))
            totals.benchmarks[job.task.id] = Counts()
            if log.dropped:
                totals.dropped[job.task.id] = log.dropped
        interrupted = stack.enter_context(_orderly_interrupt(stop))
        todo = in_order(
            [list(_missing(job, identity.key, logs[job.task.id], totals)) for job in jobs],
            order_seed,
        )
        tried: set[str] = set()
        while todo and not stop.is_set():
            _ask(todo, answerer, logs, totals, stop, on_event)
            # Steps that were waiting for these answers.
            tried |= {request.key for request in todo}
            todo = in_order(
                [list(_next_steps(j, identity.key, logs[j.task.id], tried)) for j in jobs],
                order_seed,
            )
    totals.stopped = stop.is_set()
    if interrupted.is_set():
        raise KeyboardInterrupt
    return totals


def in_order(queues: Sequence[Sequence[Request]], seed: int = 0) -> list[Request]:
    """Longest first inside a benchmark, shuffled across benchmarks."""
    ordered = [sorted(q, key=lambda r: -r.prompt.length) for q in queues]
    turns = [index for index, queue in enumerate(ordered) for _ in queue]
    random.Random(seed).shuffle(turns)
    sources = [iter(queue) for queue in ordered]
    return [next(sources[index]) for index in turns]


def verify(
    folder: RunFolder,
    jobs: Sequence[Job],
    answerer: Answerer,
    count: int,
    *,
    on_event: OnEvent = ignore_event,
) -> Verification:
    """Generate some answers again, one at a time and in another batch order.

    Args:
        folder: Run with the answers to compare with.
        jobs: What was asked.
        answerer: Who was asked.
        count: Answers to check, spread over all.

    Raises:
        InputError: There is no answer to check.
    """
    key = answerer.identity.key
    found: list[tuple[Request, str]] = []
    for job in jobs:
        texts = {
            line["key"]: _said(line)
            for line in read_log(folder.responses(job.task.id))
            if "error" not in line
        }
        said = answer_texts(folder.responses(job.task.id)) if job.task.chain else {}
        asked = _requests(job, key, said, lambda found: None)
        found += [(r, texts[r.key]) for r in asked if r.key in texts]
    if not found:
        raise InputError(f"{folder.path}: there is no answer of this model to verify")
    step = max(1, len(found) // max(1, count))
    chosen = found[::step][:count]
    texts = {request.key: text for request, text in chosen}
    requests = [request for request, _ in chosen]
    stop = threading.Event()
    differ = {"alone": 0, "other_order": 0}
    batches = {"alone": [[r] for r in requests], "other_order": [requests[::-1]]}
    for name, groups in batches.items():
        for group in groups:
            for answered in answerer.answer(group, stop):
                if answered.failure is not None:
                    raise BackendError(
                        f"verify: sample {answered.request.sample!r} of "
                        f"{answered.request.benchmark} failed ({answered.failure.message})"
                    )
                assert answered.response is not None
                again = answered.response.reasoning + "\0" + answered.response.text
                differ[name] += again != texts[answered.request.key]
                on_event(Event(name=f"verify {name}", total=len(requests), unit="answers"))
    return Verification(checked=len(requests), **differ)


# --- inside -------------------------------------------------------------------------------------


def _ask(
    todo: Sequence[Request],
    answerer: Answerer,
    logs: dict[str, ResponseLog],
    totals: Totals,
    stop: threading.Event,
    on_event: OnEvent,
) -> None:
    in_a_row = 0
    with contextlib.closing(_checked(answerer.answer(todo, stop))) as answers:
        for done, answered in enumerate(answers, start=1):
            name = answered.request.benchmark
            logs[name].append(_noted(answered))
            counts = totals.benchmarks[name]
            if answered.failure is not None:
                counts.failed += 1
                kind = answered.failure.kind
                totals.retries += answered.failure.retries
                totals.reasons[kind] = totals.reasons.get(kind, 0) + 1
                # A question that cannot be asked says nothing about the next one.
                in_a_row += kind != InputError.__name__
            else:
                assert answered.response is not None
                counts.answered += 1
                totals.retries += int(answered.response.meta.get("retries", 0))
                in_a_row = 0
            on_event(
                Event(
                    name=name,
                    done=done,
                    total=len(todo),
                    unit="answers",
                    data={"failed": totals.sum("failed")},
                )
            )
            if in_a_row >= _FAILURES_IN_A_ROW:
                last = answered.failure.message if answered.failure else ""
                raise BackendError(
                    f"{in_a_row} questions in a row got no answer, the last one: {last}; what was "
                    "answered is kept, the same command goes on from there"
                )


def _noted(answered: Answered) -> Answered:
    """With what the metric needs to know of the request."""
    notes, response = answered.request.notes, answered.response
    if not notes or response is None:
        return answered
    return replace(answered, response=replace(response, meta={**response.meta, **notes}))


def _checked(answers: Iterator[Answered]) -> Generator[Answered, None, None]:
    """Every request ends in exactly one answer; a second one would count double."""
    seen: set[str] = set()
    for answered in answers:
        if answered.request.key in seen:
            raise AssertionError(f"two answers to one request: {answered.request.key}")
        seen.add(answered.request.key)
        yield answered


def _missing(job: Job, model: str, log: ResponseLog, totals: Totals) -> Iterator[Request]:
    """What has no answer yet and can be asked now; counts everything that is wanted."""
    counts = totals.benchmarks[job.task.id]
    counts.wanted = sum(job.runs_of(s) for s in job.settings) * len(job.task.asked)
    texts = log.texts() if job.task.chain else {}
    for request in _requests(job, model, texts, lambda found: _note_broken(found, log, totals)):
        if request.key in log.done:
            counts.kept += 1
        else:
            yield request


def _next_steps(job: Job, model: str, log: ResponseLog, tried: set[str]) -> Iterator[Request]:
    """Of chains, what can be asked since the last answers."""
    if job.task.chain is not None:
        for request in _requests(job, model, log.texts(), lambda found: None):
            if request.key not in log.done and request.key not in tried:
                yield request


def _requests(
    job: Job,
    model: str,
    texts: Mapping[tuple[str, int, str], str],
    broken: Callable[[Answered], None],
) -> Iterator[Request]:
    """All requests of a job that can be made.

    Args:
        job: What is asked.
        model: Key of who is asked.
        texts: Answers by setting, run and sample, for chains.
        broken: Told about questions that cannot even be put.
    """
    chain = job.task.chain
    for sample in job.task.asked:
        plain: Prompt | None = None
        for setting in job.settings:
            for run in range(job.runs_of(setting)):
                try:
                    notes: dict[str, Any] = {}
                    if chain is None:
                        prompt = plain = plain or job.task.prompt(sample)
                    else:
                        earlier = _earlier(chain, sample, setting.label, run, texts)
                        if earlier is None:
                            continue
                        prompt = chain.prompt(sample, earlier)
                        notes = {"previous_code": earlier}
                    yield Request.make(
                        job.task.id,
                        sample,
                        prompt,
                        setting,
                        model=model,
                        run=run,
                        seed=job.seed,
                        notes=notes,
                    )
                except NanoVLError as error:
                    broken(_broken(job, sample, setting, run, model, error))


def _earlier(
    chain: Chain,
    sample: Sample,
    setting: str,
    run: int,
    texts: Mapping[tuple[str, int, str], str],
) -> list[str] | None:
    """Code of the steps before, None while one of them has no answer."""
    found = []
    for name in chain.before(sample):
        if name in chain.given:
            found.append(chain.given[name])
        elif (setting, run, name) in texts:
            found.append(chain.code(texts[setting, run, name]))
        else:
            return None
    return found


_BROKEN = Prompt(content=())


def _broken(
    job: Job, sample: Sample, setting: Setting, run: int, model: str, error: NanoVLError
) -> Answered:
    """A question that cannot even be put: its picture is missing, its row makes no prompt."""
    request = Request(
        key=digest(["broken", job.task.id, sample.id, setting.label, run, model]),
        benchmark=job.task.id,
        sample=sample.id,
        run=run,
        setting=setting,
        prompt=_BROKEN,
        sampling=setting.mode.sampling(run, seed=job.seed),
    )
    return Answered(request=request, failure=failure_of(error))


def _note_broken(found: Answered, log: ResponseLog, totals: Totals) -> None:
    assert found.failure is not None
    counts = totals.benchmarks[found.request.benchmark]
    counts.failed += 1
    kind = found.failure.kind
    totals.reasons[kind] = totals.reasons.get(kind, 0) + 1
    if found.request.key not in log.failed:
        log.append(found)


def _facts(job: Job) -> dict[str, Any]:
    task = job.task
    return {
        "metric": task.metric,
        "prompt_set": task.prompt_set,
        "samples": len(task.asked),
        "total": task.total or len(task.samples),
        "seed": job.seed,
        "source": dict(job.source),
        "settings": {
            s.label: {
                "runs": job.runs_of(s),
                **vars(s.mode),
                "system": s.mode.system,
                "options": dict(s.options),
            }
            for s in job.settings
        },
    }


def _said(line: dict[str, Any]) -> str:
    return str(line.get("reasoning", "")) + "\0" + str(line.get("text", ""))


@contextlib.contextmanager
def _orderly_interrupt(stop: threading.Event) -> Iterator[threading.Event]:
    """The first Ctrl-C sets `stop`, the second one interrupts at once."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # signals belong to the main thread
        return

    def handle(number: int, frame: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        stop.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
