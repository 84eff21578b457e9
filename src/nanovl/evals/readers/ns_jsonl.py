"""Text benchmarks: JSONL as NeMo-Skills makes it, or the files of the publishers.

MATH-500, AIME, GPQA, MMLU-Pro, LiveCodeBench, IFEval, SciCode, RULER. Options of GPQA are shuffled
as NeMo-Skills shuffles them, MMLU-Pro is reduced to nanovl's own 1,000 questions, LiveCodeBench to
the dates of the report. No program and no test is run or unpacked here.

Source: evaluation specification, sections 5.1 to 5.5.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.base import Sample
from nanovl.evals.readers.cells import as_text, letters, literal_list
from nanovl.evals.readers.manifest import ReadLog
from nanovl.evals.readers.records import first_of, read_records
from nanovl.evals.readers.rows import Unusable
from nanovl.evals.registry import Benchmark, FileSpec

__all__ = ["LCB_DATES", "MMLU_PRO_SEED", "RULER_TASKS", "choose_mmlu_pro", "read_text"]

LCB_DATES = ("2024-07-01", "2024-12-31")
"""First and last contest date that counts."""

MMLU_PRO_SEED = "nanovl-mmlupro-v1:"
"""What the hash of a question id begins with; the name of the subset is mmlu_pro_1000_nanovl_v1."""

RULER_TASKS = (
    "niah_single_1",
    "niah_single_2",
    "niah_single_3",
    "niah_multikey_1",
    "niah_multikey_2",
    "niah_multikey_3",
    "niah_multivalue",
    "niah_multiquery",
    "vt",
    "cwe",
    "fwe",
    "qa_1",
    "qa_2",
)
_RULER_FILES = ("test.jsonl", "validation.jsonl")
_OPTION_LINE = re.compile(r"^([A-J])[).] ?(.*)$", re.MULTILINE)
_GPQA_SEED = 42

Record = Mapping[str, Any]
Numbered = tuple[str, int, Record]


def read_text(path: Path, benchmark: Benchmark, spec: FileSpec, log: ReadLog) -> Iterator[Sample]:
    """Samples of a text benchmark, in the order of its files.

    Args:
        path: A file, or a folder that holds the benchmark's files.
        benchmark: Whose they are.
        spec: Part of the benchmark.
        log: Takes records that cannot be used.

    Raises:
        InputError: A file cannot be read, or a folder holds none of the files.
    """
    build = _BUILDERS[benchmark.id]
    prepare = _PREPARED.get(benchmark.id)
    records: Iterable[Numbered] = _records(path, benchmark, log)
    if prepare is not None:
        records = prepare(records, log)
    seen: set[str] = set()
    for number, (label, line, record) in enumerate(records):
        try:
            samples = build(record, number, label)
            for sample in samples:
                if sample.id in seen:
                    raise Unusable("duplicate", f"a second record with id {sample.id}")
                seen.add(sample.id)
        except Unusable as error:
            log.problem(label, line, error.reason, str(error))
            continue
        yield from samples


def _records(path: Path, benchmark: Benchmark, log: ReadLog) -> Iterator[Numbered]:
    if path.is_file():
        files = [(path, path.name)]
    else:
        files = _FILES[benchmark.id](path)
        if not files:
            raise InputError(
                f"{benchmark.id}: {path} holds none of its files; get them ({benchmark.source})"
            )
        made = path / "manifest.json"
        if made.is_file() and _is_ruler_like(made):
            log.notes.append("ruler-like: the haystack is not that of the public benchmark")
    for file, label in files:
        for line, record in read_records(file, log, label=label):
            yield label, line, record


def _is_ruler_like(manifest: Path) -> bool:
    try:
        facts = json.loads(manifest.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{manifest}: not JSON ({error}); make the set again") from error
    return isinstance(facts, dict) and bool(facts.get("ruler_like"))


def _lcb_files(folder: Path) -> list[tuple[Path, str]]:
    def number(file: Path) -> int:
        return int(re.sub(r"\D", "", file.stem) or 1)

    files = [f for f in folder.glob("*.jsonl") if re.fullmatch(r"test\d*", f.stem)]
    return [(f, f.name) for f in sorted(files, key=number)]


def _scicode_files(folder: Path) -> list[tuple[Path, str]]:
    whole = folder / "test_aai.jsonl"
    if whole.is_file():
        return [(whole, whole.name)]
    parts = [folder / f"problems_{split}.jsonl" for split in ("dev", "test")]
    return [(f, f.name) for f in parts if f.is_file()]


def _ruler_files(folder: Path) -> list[tuple[Path, str]]:
    found = []
    for task in RULER_TASKS:
        names = [f"{task}.jsonl", *(f"{task}/{name}" for name in _RULER_FILES)]
        file = next((folder / name for name in names if (folder / name).is_file()), None)
        if file is not None:
            found.append((file, f"{task}/{file.name}"))
    return found


_FILES: Mapping[str, Callable[[Path], list[tuple[Path, str]]]] = {
    "livecodebench": _lcb_files,
    "scicode": _scicode_files,
    "ruler": _ruler_files,
}


def _need(record: Record, *names: str) -> Any:
    value = first_of(record, names)
    if value is None or value == "":
        raise Unusable("record", f"no {' or '.join(names)}")
    return value


def _rest(record: Record, *names: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in names and value is not None}


def _identity(record: Record, number: int, *names: str) -> str:
    found = first_of(record, (*names, "id", "unique_id", "index"))
    return as_text(number if found is None else found)


def _maths(record: Record, number: int, label: str) -> list[Sample]:
    return [
        Sample(
            id=_identity(record, number),
            question=as_text(_need(record, "problem", "question")),
            answer=as_text(_need(record, "expected_answer", "answer")),
            category=as_text(first_of(record, ("subject", "category"))),
            meta=_rest(record, "problem", "question"),
        )
    ]


def _gpqa(record: Record, number: int, label: str) -> list[Sample]:
    """A record whose options are in order already; see `_shuffled`."""
    question = as_text(_need(record, "problem", "Question", "question"))
    options = _options(record)
    return [
        Sample(
            id=_identity(record, number, "Record ID"),
            question=question,
            answer=as_text(_need(record, "expected_answer", "answer")),
            options=options,
            category=as_text(first_of(record, ("subset_for_metrics", "Subdomain"))),
            meta=_rest(record, "problem", "options"),
        )
    ]


def _options(record: Record) -> dict[str, str]:
    """Options as a list, as columns A..J, or as lines of text."""
    listing = record.get("options")
    texts = literal_list(listing)
    if texts is not None:
        return letters(texts)
    columns = {key: as_text(record[key]) for key in "ABCDEFGHIJ" if record.get(key) is not None}
    return columns or dict(_OPTION_LINE.findall(as_text(listing or record.get("problem"))))


def _clean(text: Any) -> str:
    return as_text(text).strip().replace(" [title]", ". ").replace("  ", " ")


def _shuffled(records: Iterable[Numbered], log: ReadLog) -> Iterator[Numbered]:
    """GPQA's own records with their options in the order NeMo-Skills gives them.

    One generator is used for the whole file, so the order depends on the rows before.
    """
    draw = random.Random(_GPQA_SEED)
    for label, line, record in records:
        if "Correct Answer" not in record:
            yield label, line, record
            continue
        right = _clean(record["Correct Answer"])
        options = [_clean(record.get(f"Incorrect Answer {n}")) for n in (1, 2, 3)] + [right]
        draw.shuffle(options)
        answer = "ABCD"[options.index(right)]
        yield label, line, {**record, "options": options, "expected_answer": answer}


def _mmlu_pro(record: Record, number: int, label: str) -> list[Sample]:
    options = _options(record)
    answer = as_text(_need(record, "expected_answer", "answer"))
    if options and answer not in options:
        raise Unusable("answer", f"the answer {answer!r} is none of {', '.join(options)}")
    return [
        Sample(
            id=_identity(record, number, "question_id"),
            question=as_text(_need(record, "problem", "question")),
            answer=answer,
            options=options,
            category=_mmlu_category(record),
            meta={**_rest(record, "problem", "question", "options"), "subset": "nanovl_v1"},
        )
    ]


def _mmlu_category(record: Record) -> str:
    return as_text(first_of(record, ("category", "subset_for_metrics"))).replace("_", " ")


def _thousand(records: Iterable[Numbered], log: ReadLog) -> Iterator[Numbered]:
    everything = list(records)
    if len(everything) <= 1000:  # somebody's subset, or a test's
        log.notes.append(f"{len(everything):,} questions; the subset is drawn from more than 1,000")
        yield from everything
        return
    by_id = {}
    for label, line, record in everything:
        question_id = first_of(record, ("question_id", "id"))
        if question_id is None:
            raise InputError(
                f"{label}:{line}: no question_id, by which the 1,000 questions are chosen; read "
                "the Parquet file of the publisher"
            )
        by_id[as_text(question_id)] = _mmlu_category(record)
    chosen = choose_mmlu_pro(by_id)
    for label, line, record in everything:
        if as_text(first_of(record, ("question_id", "id"))) in chosen:
            yield label, line, record
        else:
            log.left_out[label] += 1


def choose_mmlu_pro(categories: Mapping[str, str], size: int = 1000) -> frozenset[str]:
    """The question ids of `mmlu_pro_1000_nanovl_v1`.

    Every category gets its share of `size`, by largest remainder; inside a category the questions
    with the smallest hash of their id are taken.

    Args:
        categories: From question id to category, all questions of the test split.
        size: Questions to choose.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for question_id, category in categories.items():
        members[category].append(question_id)
    total = len(categories)
    shares = {name: divmod(size * len(ids), total) for name, ids in members.items()}
    taken = {name: whole for name, (whole, _) in shares.items()}
    left = size - sum(taken.values())
    for name in sorted(shares, key=lambda name: (-shares[name][1], name))[:left]:
        taken[name] += 1

    def place(question_id: str) -> str:
        return hashlib.sha256(f"{MMLU_PRO_SEED}{question_id}".encode()).hexdigest()

    return frozenset(
        question_id
        for name, ids in members.items()
        for question_id in sorted(ids, key=place)[: taken[name]]
    )


def _in_dates(records: Iterable[Numbered], log: ReadLog) -> Iterator[Numbered]:
    first, last = LCB_DATES
    for label, line, record in records:
        day = as_text(record.get("contest_date"))[:10]
        if not day or first <= day <= last:
            yield label, line, record
        else:
            log.left_out[label] += 1


def _lcb(record: Record, number: int, label: str) -> list[Sample]:
    question = as_text(_need(record, "question_content", "question"))
    return [
        Sample(
            id=_identity(record, number, "question_id", "task_id"),
            question=question,
            answer=None,
            category=as_text(record.get("difficulty")),
            meta=_rest(record, "question_content"),
        )
    ]


def _ifeval(record: Record, number: int, label: str) -> list[Sample]:
    instructions = record.get("instruction_id_list")
    kwargs = record.get("kwargs")
    if not isinstance(instructions, list) or not isinstance(kwargs, list):
        raise Unusable("record", "no instruction_id_list or no kwargs, which are lists")
    if len(instructions) != len(kwargs):
        raise Unusable("record", f"{len(instructions)} instructions, {len(kwargs)} kwargs")
    return [
        Sample(
            id=_identity(record, number, "key"),
            question=as_text(_need(record, "prompt", "question", "problem")),
            answer=None,
            meta=_rest(record, "question"),
        )
    ]


def _scicode(record: Record, number: int, label: str) -> list[Sample]:
    """One sample per step, in order; the steps of a problem are a group."""
    problem = as_text(_need(record, "problem_id"))
    steps = record.get("sub_steps")
    if not isinstance(steps, Sequence) or isinstance(steps, str) or not steps:
        raise Unusable("record", f"problem {problem}: no sub_steps")
    common = _rest(record, "sub_steps", "general_solution", "general_tests", "solution")
    samples = []
    for place, step in enumerate(steps):
        if not isinstance(step, Mapping) or not step.get("step_number"):
            raise Unusable("record", f"problem {problem}: step {place + 1} has no step_number")
        samples.append(
            Sample(
                id=as_text(step["step_number"]),
                question=as_text(step.get("step_description_prompt")),
                answer=None,
                group=problem,
                meta={
                    **common,
                    **step,
                    "problem_id": problem,
                    "step": place,
                    "num_steps": len(steps),
                    "sub_steps": list(steps[: place + 1]),
                },
            )
        )
    return samples


def _ruler(record: Record, number: int, label: str) -> list[Sample]:
    task = label.partition("/")[0].removesuffix(".jsonl")
    task = as_text(record.get("task")) or task
    references = first_of(record, ("expected_answer", "outputs", "answer"))
    if isinstance(references, str):
        references = [references]
    if not isinstance(references, list) or not references:
        raise Unusable("record", "no expected_answer, which is a list")
    prefix = as_text(first_of(record, ("generation", "answer_prefix")))
    return [
        Sample(
            id=f"{task}:{_identity(record, number)}",
            question=as_text(_need(record, "question", "input")),
            answer=[as_text(reference) for reference in references],
            category=task,
            meta={**_rest(record, "question", "input"), "task": task, "prefix": prefix},
        )
    ]


_BUILDERS: Mapping[str, Callable[[Record, int, str], list[Sample]]] = {
    "math_500": _maths,
    "aime_2025": _maths,
    "gpqa_diamond": _gpqa,
    "mmlu_pro_1000": _mmlu_pro,
    "livecodebench": _lcb,
    "ifeval": _ifeval,
    "scicode": _scicode,
    "ruler": _ruler,
}
_PREPARED: Mapping[str, Callable[[Iterable[Numbered], ReadLog], Iterator[Numbered]]] = {
    "gpqa_diamond": _shuffled,
    "mmlu_pro_1000": _thousand,
    "livecodebench": _in_dates,
}
