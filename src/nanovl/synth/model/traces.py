"""Reasoning traces by a model: several are sampled, those that end in the right answer are kept.

Right is what the record's own verifier accepts; where there is no answer, what most samples say.
A kept trace gives up to three records: with the trace, without it, and with the trace cut at a
sentence as a budget would cut it. Rejections are counted by rule. Must not look at how questions
were made.

Source: training specification, sections 2.4, 10.2 and 10.3; data synthesis specification, 17.5.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from nanovl.core.config import to_dict
from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.data.convert.base import rng as rng_of, with_trace
from nanovl.data.convert.traces import choose_trace, rough_tokens, split_trace
from nanovl.data.records import Fragment, Record, RecordMessage
from nanovl.synth.base import Answer
from nanovl.synth.datasets import DataSet, MediaFile, open_data_set
from nanovl.synth.model import prompts
from nanovl.synth.model.agree import judged_same, same_by_rule
from nanovl.synth.model.client import ChatClient, Usage
from nanovl.synth.model.structured import JsonAsker, JsonMode
from nanovl.synth.model.thoughts import (
    Thought,
    answers_right,
    cut_trace,
    read_thought,
    thought_problem,
)
from nanovl.synth.model.work import run_jobs
from nanovl.synth.model.writing import MediaReader, check_out, write_records, write_report
from nanovl.synth.quality.answers import answer_of

__all__ = ["TraceReport", "TraceSettings", "expected_use", "write_traces"]

_LABEL_CHARS = 400
_EASY, _MEDIUM = 0.99, 0.5  # pass rates from which on a question is easy, or of medium difficulty
_MEDIA_TYPES = {"jpg": "jpeg", "mp4": "mp4", "png": "png", "wav": "wav", "webp": "webp"}


@dataclass(frozen=True, kw_only=True)
class TraceSettings:
    """How traces are sampled and chosen.

    Attributes:
        samples: Per question.
        right: "label" asks for the record's own answer, "majority" for the one most samples give.
        agreement: Share of the samples that have to give it, for "majority".
        least_pass, most_pass: Share of right samples a question must have; a question none of
            whose samples is right is never kept.
        think: "native" sends the question as it is, to a model that thinks by itself; "tags" asks
            for thoughts between think tags.
        answer: "label" ends records in the record's own answer, "model" in the sample's.
        off_share, cut_share: Share of the kept questions that also give a record without the trace,
            and one with a cut trace.
        language: Traces must be in; "" for any.
        least_tokens, most_tokens: Of a trace, four bytes a token.
        judge: Whether the model decides where words differ and the record has no verifier.
        tasks: Take records of these tasks alone; all when empty.
        limit: Questions at most.
        most_media_bytes: Of one request.
        temperature, top_p: Of the samples.
        seed: Of everything drawn; also sent to the endpoint.
        json_mode: Of the judge, see `JsonAsker`.
    """

    samples: int = 4
    right: Literal["label", "majority"] = "label"
    agreement: float = 0.5
    least_pass: float = 0.0
    most_pass: float = 1.0
    think: Literal["native", "tags"] = "native"
    answer: Literal["label", "model"] = "label"
    off_share: float = 1 / 3
    cut_share: float = 0.25
    language: str = ""
    least_tokens: int = 8
    most_tokens: int = 8192
    judge: bool = True
    tasks: tuple[str, ...] = ()
    limit: int | None = None
    most_media_bytes: int = 40 << 20
    temperature: float = 0.6
    top_p: float = 0.95
    seed: int = 0
    json_mode: JsonMode = "auto"

    def __post_init__(self) -> None:
        for name in ("agreement", "least_pass", "most_pass", "off_share", "cut_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected 0 to 1")
        if self.samples < 1 or self.most_tokens < self.least_tokens:
            raise ConfigError(
                f"samples {self.samples}, trace tokens {self.least_tokens} to {self.most_tokens}: "
                "expected at least one sample and a range of lengths"
            )
        for name, known in (
            ("right", ("label", "majority")),
            ("think", ("native", "tags")),
            ("answer", ("label", "model")),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"{name}: got {getattr(self, name)!r}, expected {' or '.join(known)}"
                )


@dataclass(kw_only=True)
class TraceReport:
    """What a run made.

    Attributes:
        questions: Asked.
        samples: Answers of the endpoint.
        kept: Questions with a trace.
        records, media: Written.
        rejects: Samples and questions by the rule that rejected them.
        failures: Questions without an answer from the endpoint, by reason.
        examples: One message per kind of failure.
        unfinished: Questions that were not reached because the run stopped.
        stopped: Why it stopped; "" when it did not.
        variants, difficulties: Of what was kept.
        usage: Requests, tokens and cost.
        path: The data set; None when none was written.
    """

    questions: int = 0
    samples: int = 0
    kept: int = 0
    records: int = 0
    media: int = 0
    rejects: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    unfinished: int = 0
    stopped: str = ""
    variants: dict[str, int] = field(default_factory=dict)
    difficulties: dict[str, int] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    path: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _Question:
    record: Record
    label: str
    check: tuple[str, Answer] | None
    media: tuple[MediaFile, ...]

    @property
    def text(self) -> str:
        return "\n".join(m.text for m in self.record.messages if m.role != "assistant")


@dataclass(kw_only=True)
class _Result:
    samples: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    chosen: Thought | None = None
    answer: str = ""
    pass_rate: float = 0.0


def write_traces(
    source: Path,
    out: Path,
    client: ChatClient,
    settings: TraceSettings | None = None,
    *,
    partial: bool = False,
    on_event: OnEvent = ignore_event,
) -> TraceReport:
    """Make a data set of reasoning traces for the questions of another data set.

    Args:
        source: Folder of a data set with records.
        out: Folder of the new data set; must not exist, or be empty.
        client: Who is asked, and where answers are kept.
        settings: How traces are sampled and chosen.
        partial: Write what is complete when the run stops early, instead of nothing.
        on_event: Told about every finished question.

    Raises:
        ConfigError: The folder holds something, or a setting is impossible.
        InputError: There is no question, or no trace was kept.
        BackendError: The endpoint cannot be used.
    """
    settings = settings or TraceSettings()
    check_out(out)
    found = open_data_set(source)
    rejects: Counter[str] = Counter()
    questions = _questions(found, settings, rejects)
    if not questions:
        raise InputError(f"{source}: no question to think about{_listed(rejects)}")
    read = MediaReader(found)
    worker = _Worker(client, settings, read)
    outcome = run_jobs(questions, worker.do, client, name="traces", on_event=on_event)
    report = TraceReport(questions=len(questions), usage=client.usage())
    report.unfinished = outcome.unfinished
    report.stopped = client.why_stopped
    for _, reason, message in outcome.failures:
        report.failures[reason] = report.failures.get(reason, 0) + 1
        report.examples.setdefault(reason, message)
    if report.stopped and not partial:
        report.rejects = dict(sorted(rejects.items()))
        return report
    records: list[tuple[Record, tuple[MediaFile, ...]]] = []
    variants: Counter[str] = Counter()
    levels: Counter[str] = Counter()
    for question, result in zip(questions, outcome.made, strict=True):
        if result is None:
            continue
        rejects += result.rejects
        report.samples += result.samples
        if result.chosen is None:
            continue
        report.kept += 1
        levels[_difficulty(result.pass_rate)] += 1
        for variant, record in _records(question, result, client, settings, found.name):
            variants[variant] += 1
            records.append((record, question.media))
    report.rejects = dict(sorted(rejects.items()))
    report.variants, report.difficulties = (
        dict(sorted(variants.items())),
        dict(sorted(levels.items())),
    )
    if not records:
        if report.failures:
            reason, message = next(iter(report.examples.items()))
            raise BackendError(f"no question got an answer; {reason}: {message}")
        raise InputError(f"{source}: no trace was kept{_listed(rejects)}")
    report.records, report.media = write_records(out, records, read)
    report.path = out / f"{out.resolve().name}.jsonl"
    counts = {
        key: value
        for key, value in to_dict(report).items()
        if key not in ("usage", "path", "examples")
    }
    write_report(
        out,
        {
            "command": "traces",
            "source": found.name,
            "model": client.endpoint.model,
            "prompts": prompts.VERSION,
            "prompt_hash": prompts.prompt_hash("traces"),
            "settings": to_dict(settings),
            **counts,
        },
    )
    return report


def expected_use(source: Path, settings: TraceSettings) -> tuple[int, int, int, int]:
    """What a run will ask for at most: questions, requests, tokens in, tokens out (rough)."""
    questions = _questions(open_data_set(source), settings, Counter())
    tokens_in = sum(rough_tokens(q.text) + 1024 * len(q.media) for q in questions)
    requests = len(questions) * settings.samples
    return len(questions), requests, tokens_in * settings.samples, requests * 800


def _listed(rejects: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{k} {n}' for k, n in sorted(rejects.items()))})" if rejects else ""


# --- questions ----------------------------------------------------------------------------------


def _questions(found: DataSet, settings: TraceSettings, rejects: Counter[str]) -> list[_Question]:
    made: list[_Question] = []
    seen: set[bytes] = set()
    for sample in found:
        media = {m.name: m for m in sample.media}
        for line in sample.records:
            if settings.tasks and str(line.get("task", "")) not in settings.tasks:
                continue
            if settings.limit is not None and len(made) >= settings.limit:
                return made
            record = Record.from_json(line, where=f"{found.name}, record {line.get('id')!r}")
            label, problem = _label(record, settings)
            if not problem:
                key = _identity(record)
                problem = "duplicate_question" if key in seen else ""
                seen.add(key)
            if problem:
                rejects[problem] += 1
                continue
            shown = tuple(media[f.value] for f in record.media if f.value in media)
            check = answer_of(line)
            made.append(_Question(record=record, label=label, check=check, media=shown))
    return made


def _label(record: Record, settings: TraceSettings) -> tuple[str, str]:
    """The right answer of a record, and the rule it breaks."""
    if record.tools:
        return "", "tools"
    said = [m for m in record.messages if m.role == "assistant"]
    if len(said) > 1 or (said and record.messages[-1].role != "assistant"):
        return "", "multi_turn"
    label = split_trace(said[0].text)[1] if said else ""
    if settings.right == "label" and not label:
        return "", "no_label"
    return label, "label_long" if len(label) > _LABEL_CHARS else ""


def _identity(record: Record) -> bytes:
    content = [
        [f.type, f.value] for m in record.messages if m.role != "assistant" for f in m.content
    ]
    return hashlib.sha256(json.dumps(content).encode()).digest()


# --- asking -------------------------------------------------------------------------------------


class _Worker:
    """Samples and chooses; shared by the threads."""

    def __init__(self, client: ChatClient, settings: TraceSettings, read: MediaReader) -> None:
        self.client = client
        self.settings = settings
        self.read = read
        needs_judge = settings.judge and settings.right == "label"
        self._asker = JsonAsker(client, settings.json_mode) if needs_judge else None

    def do(self, question: _Question) -> _Result:
        """The trace of a question, where one is good."""
        settings = self.settings
        result = _Result()
        messages = self._messages(question)
        if messages is None:
            result.rejects["media_large"] += 1
            return result
        rng = rng_of(question.record.id, settings.seed)
        thoughts: list[Thought] = []
        for number in range(settings.samples):
            body = {
                "messages": messages,
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "seed": rng.randrange(1 << 31),
                "max_tokens": settings.most_tokens + 512,
            }
            thought, problem = read_thought(self.client.ask(body, sample=number))
            result.samples += 1
            if thought is None:
                result.rejects[problem] += 1
            else:
                thoughts.append(thought)
        right, answer = self._right(question, thoughts, result)
        result.pass_rate = len(right) / settings.samples
        good = []
        for thought in right:
            problem = thought_problem(
                thought,
                question.text,
                language=settings.language,
                least_tokens=settings.least_tokens,
                most_tokens=settings.most_tokens,
            )
            if problem:
                result.rejects[problem] += 1
            else:
                good.append(thought)
        if not right or result.pass_rate < settings.least_pass:
            nobody = not right and settings.right == "majority"
            result.rejects["no_agreement" if nobody else "too_hard"] += 1
            return result
        if result.pass_rate > settings.most_pass:
            result.rejects["too_easy"] += 1
            return result
        chosen = choose_trace(
            [(t.trace, t.text) for t in good], None, rng, easy=result.pass_rate >= _EASY
        )
        if chosen is not None:
            result.chosen = Thought(trace=chosen[0], text=chosen[1])
            keeps_label = settings.answer == "label" and settings.right == "label"
            result.answer = (
                question.label
                if keeps_label
                else (answer if settings.right == "majority" else chosen[1])
            )
        return result

    def _right(
        self, question: _Question, thoughts: Sequence[Thought], result: _Result
    ) -> tuple[list[Thought], str]:
        """The samples that are right, and what most of them say."""
        if self.settings.right == "majority":
            return self._majority(thoughts, result)
        right = []
        for thought in thoughts:
            same = answers_right(thought, question.label, question.check)
            if same is None and self._asker is not None:
                same = judged_same(
                    self._asker,
                    question.text,
                    question.label,
                    thought.final,
                    seed=self.settings.seed,
                    most_tokens=1024,
                )
            if same:
                right.append(thought)
            else:
                result.rejects["wrong_answer"] += 1
        return right, question.label

    def _majority(self, thoughts: Sequence[Thought], result: _Result) -> tuple[list[Thought], str]:
        groups: list[list[Thought]] = []
        for thought in thoughts:
            for group in groups:
                if same_by_rule("text", group[0].final, thought.final):
                    group.append(thought)
                    break
            else:
                groups.append([thought])
        largest = max(groups, key=len, default=[])
        # More than the share, and more than any other answer.
        ties = sum(len(g) == len(largest) for g in groups) > 1
        if not largest or ties or len(largest) <= self.settings.agreement * self.settings.samples:
            return [], ""
        result.rejects["wrong_answer"] += len(thoughts) - len(largest)
        return largest, largest[0].final

    def _messages(self, question: _Question) -> list[dict[str, Any]] | None:
        """The request's messages; None when the media are too large."""
        files = {m.name: m for m in question.media}
        left = self.settings.most_media_bytes
        made: list[dict[str, Any]] = []
        if self.settings.think == "tags":
            made.append({"role": "system", "content": prompts.TRACE_SYSTEM})
        for message in question.record.messages:
            if message.role == "assistant":
                continue
            if message.role == "system":
                if made:
                    made[0]["content"] = f"{message.text}\n\n{made[0]['content']}"
                else:
                    made.append({"role": "system", "content": message.text})
                continue
            parts: list[dict[str, Any]] = []
            for fragment in message.content:
                if fragment.type == "text":
                    parts.append({"type": "text", "text": fragment.value})
                    continue
                data = self.read(files[fragment.value])
                left -= len(data)
                if left < 0:
                    return None
                parts.append(_attached(fragment, data))
            alone = len(parts) == 1 and parts[0]["type"] == "text"
            made.append({"role": "user", "content": parts[0]["text"] if alone else parts})
        return made


def _attached(fragment: Fragment, data: bytes) -> dict[str, Any]:
    """A medium inside a request: pictures and videos as data URLs, sound as its bytes."""
    ext = fragment.value.rpartition(".")[2].lower()
    kind = _MEDIA_TYPES.get(ext, ext)
    text = base64.b64encode(data).decode()
    if fragment.type == "audio":
        return {"type": "input_audio", "input_audio": {"data": text, "format": kind}}
    name = f"{fragment.type}_url"
    return {"type": name, name: {"url": f"data:{fragment.type}/{kind};base64,{text}"}}


# --- records ------------------------------------------------------------------------------------


def _difficulty(pass_rate: float) -> str:
    return "easy" if pass_rate >= _EASY else "medium" if pass_rate >= _MEDIUM else "hard"


def _records(
    question: _Question, result: _Result, client: ChatClient, settings: TraceSettings, name: str
) -> list[tuple[str, Record]]:
    """The records of a kept trace, with the names of their variants."""
    assert result.chosen is not None
    rng = rng_of(f"{question.record.id}/variants", settings.seed)
    wants_off, wants_cut = rng.random() < settings.off_share, rng.random() < settings.cut_share
    trace = result.chosen.trace
    facts: dict[str, Any] = {
        "model": client.endpoint.model,
        "prompts": prompts.VERSION,
        "prompt_hash": prompts.prompt_hash("traces"),
        "seed": settings.seed,
        "samples": settings.samples,
        "pass_rate": round(result.pass_rate, 4),
        "right": settings.right,
        "trace_tokens": rough_tokens(trace),
    }
    made = [("on", with_trace(trace, result.answer), facts)]
    if wants_off:
        made.append(("off", result.answer, facts))
    cut = cut_trace(trace, rng) if wants_cut else None
    if cut is not None:
        text = with_trace(cut[0], result.answer)
        made.append(("cut", text, {**facts, "budget_tokens": cut[1]}))
    return [
        (variant, _variant(question, result, variant, text, about, name))
        for variant, text, about in made
    ]


def _variant(
    question: _Question,
    result: _Result,
    variant: str,
    text: str,
    facts: Mapping[str, Any],
    name: str,
) -> Record:
    record = question.record
    said = RecordMessage(role="assistant", content=(Fragment(type="text", value=text),))
    kept = tuple(m for m in record.messages if m.role != "assistant")
    return replace(
        record,
        id=f"{record.id}-{variant}",
        messages=(*kept, said),
        reasoning="off" if variant == "off" else "on",
        source=f"{record.source or name}-traces",
        metadata={
            "group": record.id,
            **record.metadata,
            "difficulty": _difficulty(result.pass_rate),
            "variant": variant,
            "made_by": dict(facts),
        },
    )
