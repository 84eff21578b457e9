"""Questions and answers about documents: written by a model, checked by rule and by asking again.

The writer sees the text of the ground truth, never a picture. A pair is kept when its quotes are in
the text, a second reading gives the same answer, and the answer cannot be had without the document.
Everything else is counted under the rule that rejected it. Must not keep what was not checked.

Source: training specification, section 10.2; data synthesis specification, sections 17.4 and 19.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.core.config import to_dict
from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.data.convert.base import rng as rng_of
from nanovl.data.convert.traces import rough_tokens
from nanovl.data.records import Record
from nanovl.synth.asking import noted
from nanovl.synth.base import Answer
from nanovl.synth.datasets import MediaFile
from nanovl.synth.model import prompts
from nanovl.synth.model.agree import checkable, judged_same, normal, same_by_rule
from nanovl.synth.model.client import ChatClient, Usage
from nanovl.synth.model.documents import Document, Use, read_documents
from nanovl.synth.model.duplicates import NearIndex
from nanovl.synth.model.pairs import UNANSWERED, Pair, pair_problem, same_question
from nanovl.synth.model.structured import BadAnswer, JsonAsker, JsonMode, schema_problem
from nanovl.synth.model.work import run_jobs
from nanovl.synth.model.writing import MediaReader, check_out, shown, write_records, write_report

__all__ = ["QaReport", "QaSettings", "expected_use", "write_qa"]

NEAR_DOCUMENTS = 0.85
NEAR_PAIRS = 0.7
_WORDS = 4  # a longer answer is no "short answer"


@dataclass(frozen=True, kw_only=True)
class QaSettings:
    """What is asked for.

    Attributes:
        count: Pairs per document.
        types: Keys of `prompts.TYPES`.
        levels: Difficulties, of "easy", "medium", "hard".
        use, tasks, most_chars, most_pages, limit: See `read_documents`.
        answers: Whether a second reading has to agree.
        blind: Whether pairs that are answered rightly without the document are dropped.
        judge: Whether the model decides where two answers differ in words only.
        most_repeats: How often much the same pair may stand in the data set.
        seed: Of everything drawn; also sent to the endpoint.
        temperature: Of the writer; readers and judge answer at 0.
        pair_tokens: Longest answer of the writer, per pair.
        answer_tokens: Longest answer of readers and judge.
        json_mode: How JSON is asked for, see `JsonAsker`.
    """

    count: int = 4
    types: tuple[str, ...] = tuple(prompts.TYPES)
    levels: tuple[str, ...] = prompts.LEVELS
    use: Use = "auto"
    tasks: tuple[str, ...] = ()
    most_chars: int = 24_000
    most_pages: int = 8
    limit: int | None = None
    answers: bool = True
    blind: bool = True
    judge: bool = True
    most_repeats: int = 3
    seed: int = 0
    temperature: float = 0.7
    pair_tokens: int = 512
    answer_tokens: int = 1024
    json_mode: JsonMode = "auto"

    def __post_init__(self) -> None:
        for name, known in (("types", tuple(prompts.TYPES)), ("levels", prompts.LEVELS)):
            given = getattr(self, name)
            wrong = [value for value in given if value not in known]
            if wrong or not given:
                raise ConfigError(
                    f"{name}: got {', '.join(wrong) or 'none'}, expected some of {', '.join(known)}"
                )
        for name in ("count", "most_chars", "most_pages", "most_repeats", "pair_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected at least 1")


@dataclass(kw_only=True)
class QaReport:
    """What a run made.

    Attributes:
        documents: Asked about.
        pairs: Written by the model.
        records, media: Kept.
        rejects: Pairs and documents by the rule that rejected them.
        left_out: Samples that held nothing to ask about, by reason.
        failures: Documents without an answer from the endpoint, by reason.
        examples: One message per kind of failure.
        unfinished: Documents that were not reached because the run stopped.
        stopped: Why it stopped; "" when it did not.
        repaired: Answers that were JSON only at the second request.
        types, difficulties: Of what was kept.
        usage: Requests, tokens and cost.
        path: The data set; None when none was written.
    """

    documents: int = 0
    pairs: int = 0
    records: int = 0
    media: int = 0
    rejects: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    unfinished: int = 0
    stopped: str = ""
    repaired: int = 0
    types: dict[str, int] = field(default_factory=dict)
    difficulties: dict[str, int] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    path: Path | None = None


@dataclass(frozen=True, kw_only=True)
class _Kept:
    pair: Pair
    agreed: str  # "rule", "judge" or "none"


@dataclass(kw_only=True)
class _Result:
    kept: list[_Kept] = field(default_factory=list)
    rejects: Counter[str] = field(default_factory=Counter)
    written: int = 0
    is_repaired: bool = False


def write_qa(
    source: Path,
    out: Path,
    client: ChatClient,
    settings: QaSettings | None = None,
    *,
    partial: bool = False,
    on_event: OnEvent = ignore_event,
) -> QaReport:
    """Make a data set of questions and answers about another data set.

    Args:
        source: Folder, see `read_documents`.
        out: Folder of the new data set; must not exist, or be empty.
        client: Who is asked, and where answers are kept.
        settings: What is asked for.
        partial: Write what is complete when the run stops early, instead of nothing.
        on_event: Told about every finished document.

    Raises:
        ConfigError: The folder holds something, or a setting is impossible.
        InputError: There is nothing to ask about, or nothing was kept.
        BackendError: The endpoint cannot be used.
    """
    settings = settings or QaSettings()
    check_out(out)
    found, documents, dropped = read_documents(
        source,
        use=settings.use,
        tasks=settings.tasks,
        most_chars=settings.most_chars,
        most_pages=settings.most_pages,
        limit=settings.limit,
    )
    report = QaReport(documents=len(documents), left_out=dict(sorted(dropped.items())))
    rejects: Counter[str] = Counter()
    fresh = _distinct(documents, rejects)
    worker = _Worker(client, settings)
    outcome = run_jobs(fresh, worker.do, client, name="qa", on_event=on_event)
    report.usage = client.usage()
    report.unfinished = outcome.unfinished
    report.stopped = client.why_stopped
    for _, reason, message in outcome.failures:
        report.failures[reason] = report.failures.get(reason, 0) + 1
        report.examples.setdefault(reason, message)
    if report.stopped and not partial:
        report.rejects = dict(sorted(rejects.items()))
        return report
    records: list[tuple[Record, tuple[MediaFile, ...]]] = []
    seen = NearIndex(NEAR_PAIRS)
    for document, result in zip(fresh, outcome.made, strict=True):
        if result is None:
            continue
        rejects += result.rejects
        report.pairs += result.written
        report.repaired += result.is_repaired
        for number, kept in enumerate(result.kept):
            if seen.pair(kept.pair.question, kept.pair.answer) >= settings.most_repeats:
                rejects["repeated"] += 1
                continue
            records.append(
                (_record(document, number, kept, client, settings, found.name), document.media)
            )
            _count(report.types, kept.pair.type)
            _count(report.difficulties, kept.pair.difficulty)
    report.rejects = dict(sorted(rejects.items()))
    report.types = dict(sorted(report.types.items()))
    report.difficulties = dict(sorted(report.difficulties.items()))
    if not records:
        if report.failures:
            reason, message = next(iter(report.examples.items()))
            raise BackendError(f"no document got an answer; {reason}: {message}")
        counts = ", ".join(f"{rule} {n}" for rule, n in report.rejects.items())
        raise InputError(f"{source}: no pair was kept ({counts or 'none was written'})")
    report.records, report.media = write_records(out, records, MediaReader(found))
    report.path = out / f"{out.resolve().name}.jsonl"
    write_report(out, _facts(report, client, settings, found.name))
    return report


def expected_use(source: Path, settings: QaSettings) -> tuple[int, int, int, int]:
    """What a run will ask for at most: documents, requests, tokens in, tokens out (rough)."""
    _, documents, _ = read_documents(
        source,
        use=settings.use,
        tasks=settings.tasks,
        most_chars=settings.most_chars,
        most_pages=settings.most_pages,
        limit=settings.limit,
    )
    frame = rough_tokens(str(prompts.qa_messages("", 1, settings.types, settings.levels, "")))
    asked = settings.count * (settings.answers + settings.blind)
    requests = len(documents) * (1 + asked)
    tokens_in = sum(
        (rough_tokens(d.text) + frame) * (1 + settings.count * settings.answers)
        + 250 * settings.count * settings.blind
        for d in documents
    )
    tokens_out = len(documents) * (settings.count * 120 + 30 * asked)
    return len(documents), requests, tokens_in, tokens_out


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def _distinct(documents: Sequence[Document], rejects: Counter[str]) -> list[Document]:
    """Documents without those nearly like an earlier one: nobody pays for them twice."""
    seen = NearIndex(NEAR_DOCUMENTS)
    fresh = []
    for document in documents:
        if seen.document(document.text):
            rejects["duplicate_document"] += 1
        else:
            fresh.append(document)
    return fresh


class _Worker:
    """Asks about one document after the other; shared by the threads."""

    def __init__(self, client: ChatClient, settings: QaSettings) -> None:
        self.settings = settings
        self.asker = JsonAsker(client, settings.json_mode)

    def do(self, document: Document) -> _Result:
        """All that is kept of a document."""
        settings = self.settings
        result = _Result()
        base = document.lang.split("-")[0].lower() or "en"
        types = [t for t in settings.types if t != "unanswerable" or base in UNANSWERED]
        rng = rng_of(document.id, settings.seed)
        if not types:
            result.rejects["wrong_type"] += 1
            return result
        # Not always the first types when there are fewer pairs than types.
        turned = rng.randrange(len(types))
        types = types[turned:] + types[:turned]
        body = {
            "messages": prompts.qa_messages(
                document.text, settings.count, types, settings.levels, document.lang,
                rng.randrange(1 << 16),
            ),
            "temperature": settings.temperature,
            "seed": rng.randrange(1 << 31),
            "max_tokens": settings.pair_tokens * settings.count,
        }  # fmt: skip
        for data in self._written(body, result):
            pair = Pair.from_json(data)
            problem = (
                pair_problem(pair, document, types, settings.levels)
                or same_question(pair, [k.pair for k in result.kept])
                or ("surplus" if len(result.kept) >= settings.count else "")
            )
            agreed = ""
            if not problem:
                problem, agreed = self._second_reading(pair, document)
            if not problem and settings.blind and pair.is_answerable:
                problem = self._blind(pair)
            if problem:
                result.rejects[problem] += 1
            else:
                result.kept.append(_Kept(pair=pair, agreed=agreed))
        return result

    def _written(self, body: dict[str, Any], result: _Result) -> list[dict[str, Any]]:
        """The pairs the model writes; of an answer that is partly wrong, the right part."""
        try:
            value, result.is_repaired = self.asker.ask(body, prompts.QA_SCHEMA, "pairs")
        except BadAnswer as problem:
            value = problem.value
            inner = value.get("pairs") if isinstance(value, dict) else None
            if not isinstance(inner, list):
                result.rejects[problem.reason] += 1
                return []
            schema = prompts.QA_SCHEMA["properties"]["pairs"]["items"]
            fitting = [pair for pair in inner if not schema_problem(pair, schema)]
            result.rejects["wrong_schema"] += len(inner) - len(fitting)
            result.written = len(inner)
            return fitting
        result.written = len(value["pairs"])
        return list(value["pairs"])

    def _second_reading(self, pair: Pair, document: Document) -> tuple[str, str]:
        """The rule a pair breaks, and how the second reading agreed."""
        if not self.settings.answers:
            return "", "none"
        try:
            given = self._answer(prompts.answer_messages(document.text, pair.question))
        except BadAnswer:
            return "unverified", ""
        if not pair.is_answerable:
            return ("", "rule") if given is None else ("answerable", "")
        if given is None:
            return "not_found", ""
        same = same_by_rule(pair.kind, pair.answer, given)
        if same is None and self.settings.judge:
            return ("", "judge") if self._judge(pair, given) else ("disagrees", "")
        return ("", "rule") if same else ("disagrees", "")

    def _blind(self, pair: Pair) -> str:
        try:
            given = self._answer(prompts.blind_messages(pair.question))
        except BadAnswer:
            return ""  # no answer is no right answer
        if given is None:
            return ""
        same = same_by_rule(pair.kind, pair.answer, given)
        if same is None and self.settings.judge:
            same = self._judge(pair, given)
        return "blind" if same else ""

    def _answer(self, messages: list[dict[str, Any]]) -> str | None:
        """A reader's answer, None when it finds none."""
        body = {
            "messages": messages,
            "temperature": 0,
            "seed": self.settings.seed,
            "max_tokens": self.settings.answer_tokens,
        }
        value, _ = self.asker.ask(body, prompts.ANSWER_SCHEMA, "answer")
        text = str(value["answer"])
        if not value["known"] or normal(text) in ("", normal(prompts.NOT_STATED)):
            return None
        return text

    def _judge(self, pair: Pair, given: str) -> bool:
        return judged_same(
            self.asker,
            pair.question,
            pair.answer,
            given,
            seed=self.settings.seed,
            most_tokens=self.settings.answer_tokens,
        )


# --- records ------------------------------------------------------------------------------------


def _record(
    document: Document,
    number: int,
    kept: _Kept,
    client: ChatClient,
    settings: QaSettings,
    name: str,
) -> Record:
    pair = kept.pair
    where = f"{document.id}-qa{number:02d}"
    rng = rng_of(where, settings.seed)
    base = document.lang.split("-")[0].lower() or "en"
    question = pair.question
    if pair.is_answerable:
        text = pair.answer
        made = checkable(pair.kind, text)
        assert made is not None, "checked by pair_problem"
        answer, verifier = made
        form = pair.kind if pair.kind != "text" else "word"
        if base == "en" and (form != "word" or len(text.split()) <= _WORDS):
            question = noted(question, form, rng)
    else:
        text = rng.choice(UNANSWERED[base])
        answer, verifier = Answer(type="text", value=text), "exact_ci"
    content: list[dict[str, Any]] = [shown(m) for m in document.media]
    if not content:
        content.append({"type": "text", "text": f"{document.text}\n\n"})
    content.append({"type": "text", "text": question})
    facts: dict[str, Any] = {
        "sample": document.id,
        "group": document.group or document.id,
        "lang": document.lang,
        "license": document.license,
        "verifier": verifier,
        "answer": {
            "type": answer.type,
            "value": answer.value,
            "unit": answer.unit,
            "tolerance": answer.tolerance,
        },
        "question": pair.question,
        "difficulty": pair.difficulty,
        "evidence": list(pair.evidence),
        "made_by": {
            "model": client.endpoint.model,
            "prompts": prompts.VERSION,
            "prompt_hash": prompts.prompt_hash("qa"),
            "seed": settings.seed,
            "agreed": kept.agreed,
            "blind_checked": settings.blind and pair.is_answerable,
        },
    }
    if len(document.pages) > 1:
        facts["pages"] = list(pair.pages)
    data = {
        "id": where,
        "messages": [
            {"role": "user", "content": content},
            {"role": "assistant", "content": [{"type": "text", "text": text}]},
        ],
        "reasoning": "off",
        "source": f"{name}-qa",
        "task": f"qa_{pair.type}",
        "metadata": {k: v for k, v in facts.items() if v != ""},
    }
    return Record.from_json(data, where=where)


def _facts(report: QaReport, client: ChatClient, settings: QaSettings, name: str) -> dict[str, Any]:
    """What the data set was made with, and what became of everything."""
    counts = to_dict(report)
    for key in ("usage", "path", "examples"):
        counts.pop(key)
    return {
        "command": "qa",
        "source": name,
        "model": client.endpoint.model,
        "prompts": prompts.VERSION,
        "prompt_hash": prompts.prompt_hash("qa"),
        "settings": to_dict(settings),
        **counts,
    }
