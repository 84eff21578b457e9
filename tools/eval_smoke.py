"""Every benchmark from its files to the report, on the tiny set in its official form.

    python tools/eval_smoke.py [BENCHMARK ...] [--folder RUNS] [--no-model]

Writes a set of one to ten questions for every benchmark in the form it is published in, reads it,
asks, scores at the levels rules and extended, and writes a report, as `nanovl eval` does. Asked
are five who need no model, and the tiny model with random weights:

    perfect   the right answer
    empty     nothing
    wrong     another option, another number, a program that prints nothing useful
    tricky    the right answer in bold, in a sentence, boxed, with a point, after thoughts
    tiny      a random model, eight tokens

Prints the scores, and exits 1 when perfect is not full marks, when empty, wrong or the random model
get more than a benchmark's floor, or when an answer is lost. EXCEPTIONS says which benchmarks have
another full score or floor on these few questions, and why.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("NANOVL_LOG", "error")
ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from nanovl.cli.eval_run import ask, score_tasks  # noqa: E402
from nanovl.core.errors import NanoVLError  # noqa: E402
from nanovl.evals.base import Sample  # noqa: E402
from nanovl.evals.registry import benchmark, benchmarks  # noqa: E402
from nanovl.evals.report import collect, write_report  # noqa: E402
from nanovl.evals.requests import Answered, Identity, Request, response_of  # noqa: E402
from nanovl.evals.runfolder import RunFolder  # noqa: E402
from nanovl.evals.runner import Job  # noqa: E402
from nanovl.evals.scorefiles import Line  # noqa: E402
from nanovl.evals.source import Source  # noqa: E402
from tests.unit.evals.official import OFFICIAL, Want  # noqa: E402

ROOM = 120.0  # seconds all of it may take on two cores
TOKENS = 8
LEVELS = ("rules", "extended")


@dataclass(frozen=True, kw_only=True)
class Known:
    """Where a benchmark differs on these questions.

    Attributes:
        why: For people.
        full: Score of right answers, in percent; None where nothing can be scored here.
        floor: Largest score of empty, wrong and random answers.
    """

    why: str
    full: float | None = 100.0
    floor: float = 0.0


EXCEPTIONS: Mapping[str, Known] = {
    "ifeval": Known(why="any text without a comma does what is asked", floor=100.0),
    "ocrbench": Known(why="of 1,000 points one question can give one", full=0.1),
    "wemath": Known(why="one of its two chains lacks steps, which count as wrong", full=50.0),
    "wildvision": Known(why="only a judge can compare two answers", full=None),
    "scicode": Known(why="its expected results are no part of the tiny set", full=None),
}


@dataclass
class Speaker:
    """Answers by a function of the question; needs no model.

    Attributes:
        name: Who that is.
        say: From benchmark task and sample to the text.
    """

    name: str
    say: Callable[[str, str], str]

    @property
    def identity(self) -> Identity:
        return Identity(name=self.name, weights=self.name, facts={"kind": "none"})

    def answer(self, requests: Iterable[Request], stop: threading.Event) -> Iterator[Answered]:
        for request in requests:
            if stop.is_set():
                return
            text = self.say(request.benchmark, request.sample)
            yield Answered(request=request, response=response_of(request, text))


@dataclass
class Brief:
    """Another answerer, cut off after a few tokens."""

    inner: Any

    @property
    def identity(self) -> Identity:
        return self.inner.identity

    def answer(self, requests: Iterable[Request], stop: threading.Event) -> Iterator[Answered]:
        short = (replace(r, sampling=replace(r.sampling, max_tokens=TOKENS)) for r in requests)
        return self.inner.answer(short, stop)


# --- what is said -------------------------------------------------------------------------------


def wrong(sample: Sample, perfect: str) -> str:
    """An answer that is not right, in the form a benchmark asks for."""
    if "```python" in perfect:
        return "```python\nprint('no')\n```"
    if sample.options:
        right = set(re.findall(r"[A-Z]", str(sample.answer)))
        for letter, text in sample.options.items():
            if letter not in right and text != sample.answer:
                return letter
    said = str(sample.answer).strip().lower()
    if said in ("yes", "no"):
        return "No" if said == "yes" else "Yes"
    if said in ("true", "false"):
        return "False" if said == "true" else "True"
    return "987654321, qx, zz"


TRICKS: Mapping[str, Callable[[str], str]] = {
    "bold": lambda text: f"**{text}**",
    "sentence": lambda text: f"The answer is ({text}).",
    "boxed": lambda text: f"So it must be $\\boxed{{{text}}}$",
    "point": lambda text: f"{text}.",
    "thoughts": lambda text: f"<think>Is it 12, A or no? Hm.</think>\n\n{text}",
}


def tricky(trick: str, perfect: str) -> str:
    """The right answer in other clothes; programs, tables and long texts only after thoughts."""
    plain = len(perfect) <= 40 and not re.search(r"[\n{}<>\[\]\\]", perfect)
    return TRICKS[trick](perfect) if plain or trick == "thoughts" else perfect


# --- one benchmark ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The questions of a benchmark and their right answers.

    Attributes:
        jobs: Tasks that hold answers.
        perfect: By task and sample.
    """

    jobs: Sequence[Job]
    perfect: Mapping[tuple[str, str], str]


def questions(name: str, folder: Path) -> Asked:
    """Write the tiny set of a benchmark and read it as `nanovl eval run` does.

    Args:
        name: Of the benchmark.
        folder: New folder for the files.
    """
    folder.mkdir(parents=True)
    wanted: Sequence[Want] = OFFICIAL[name](folder)
    one = benchmark(name)
    jobs = []
    perfect = {}
    for job in Source(words=(name,), data=str(folder)).jobs(("off",)):
        part = job.task.id.partition("/")[2]
        if part and not one.file(part).answers:
            continue  # a test split, whose answers nobody has
        jobs.append(job)
        for want in wanted:
            if not part or want.part == part or len(one.files) == 1:
                perfect[job.task.id, want.id] = want.perfect
    return Asked(jobs=jobs, perfect=perfect)


def scores(out: Path, who: Any, asked: Sequence[Asked]) -> dict[str, dict[str, Line]]:
    """Ask, score and report; by task, then by level.

    Raises:
        NanoVLError: A step of the path fails.
        SystemExit: An answer is missing.
    """
    folder = RunFolder(out)
    jobs = [job for one in asked for job in one.jobs]
    totals, _ = ask(folder, jobs, who)
    left = {name: counts.left for name, counts in totals.benchmarks.items() if counts.left}
    if left:
        sys.exit(f"{out.name}: questions without an answer: {left}; {dict(totals.reasons)}")
    lines = score_tasks(folder, [job.task for job in jobs], ("default",))
    write_report(collect(folder), out)
    found: dict[str, dict[str, Line]] = {}
    for line in lines:
        found.setdefault(line.benchmark, {})[line.level] = line
    return found


# --- the whole ----------------------------------------------------------------------------------


def problems(
    task: str, kinds: Mapping[str, Mapping[str, Mapping[str, Line]]], tricks: Sequence[str]
) -> list[str]:
    """What is not as it should be with one task."""
    name = task.partition("/")[0]
    known = EXCEPTIONS.get(name, Known(why=""))
    found = []
    right = kinds["perfect"][task]["extended"]
    if known.full is None:
        if right.unscored != right.answered:
            found.append(f"{task}: perfect: {right.answered - right.unscored} were scored")
    elif abs(right.score - known.full) > 0.05:
        found.append(f"{task}: perfect: {right.score:.1f}, expected {known.full:.1f}")
    for kind, by_task in kinds.items():
        if kind in ("perfect", *tricks) or task not in by_task:
            continue
        for level, line in by_task[task].items():
            if line.score > known.floor + 0.05:
                found.append(
                    f"{task}: {kind}: {line.score:.1f} at {level}, at most {known.floor:.1f}"
                )
    return found


def table(
    tasks: Sequence[str],
    kinds: Mapping[str, Mapping[str, Mapping[str, Line]]],
    tricks: Sequence[str],
) -> list[str]:
    """A line per task: scores at rules, and at extended where they differ."""
    heads = ["benchmark", "asked", *(k for k in kinds if k not in tricks)]
    heads += ["tricky", "not understood"] if tricks else []
    rows = [heads]
    for task in tasks:
        cells = [task, str(kinds["perfect"][task]["rules"].answered)]
        cells += [_cell(kinds[k].get(task)) for k in kinds if k not in tricks]
        if tricks:
            own = {trick: kinds[trick][task] for trick in tricks}
            full = kinds["perfect"][task]["extended"].score
            mean = [sum(o[level].score for o in own.values()) / len(own) for level in LEVELS]
            lost = kinds["perfect"][task]["extended"]
            cells.append("unscored" if lost.unscored == lost.answered else _both(*mean))
            cells.append(" ".join(t for t, o in own.items() if o["extended"].score < full - 0.05))
        rows.append(cells)
    widths = [max(len(row[place]) for row in rows) for place in range(len(heads))]
    return [
        "  ".join(f"{c:{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _cell(lines: Mapping[str, Line] | None) -> str:
    if lines is None:
        return ""
    if all(line.unscored == line.answered for line in lines.values()):
        return "unscored"
    return _both(*(lines[level].score for level in LEVELS))


def _both(rules: float, extended: float) -> str:
    return f"{rules:.1f}" if abs(rules - extended) < 0.05 else f"{rules:.1f}/{extended:.1f}"


def run(names: Sequence[str], folder: Path, *, model: bool = True) -> tuple[list[str], list[str]]:
    """Everything; the lines of the table, and what is wrong.

    Args:
        names: Benchmarks.
        folder: For files and runs.
        model: Whether the random model is asked, too.
    """
    asked = [questions(name, folder / "files" / name) for name in names]
    perfect = {key: text for one in asked for key, text in one.perfect.items()}
    samples = {
        (job.task.id, s.id): s for one in asked for job in one.jobs for s in job.task.samples
    }
    speakers: dict[str, Callable[[str, str], str]] = {
        "perfect": lambda task, sample: perfect[task, sample],
        "empty": lambda task, sample: "",
        "wrong": lambda task, sample: wrong(samples[task, sample], perfect[task, sample]),
    }
    for trick in TRICKS:
        speakers[trick] = lambda task, sample, trick=trick: tricky(trick, perfect[task, sample])
    kinds = {
        kind: scores(folder / "runs" / kind, Speaker(name=kind, say=say), asked)
        for kind, say in speakers.items()
    }
    if model:
        kinds["tiny"] = scores(folder / "runs" / "tiny", _tiny(folder), [_few(a) for a in asked])
    tasks = list(kinds["perfect"])
    tricks = list(TRICKS)
    return table(tasks, kinds, tricks), [w for t in tasks for w in problems(t, kinds, tricks)]


def _tiny(folder: Path) -> Brief:
    from nanovl.checkpoint.random_weights import write_random
    from nanovl.cli.eval_options import answerer

    path = write_random("tiny", folder / "tiny")
    return Brief(answerer(str(path), server={}, device="cpu", dtype="float32"))


def _few(asked: Asked) -> Asked:
    """With small inputs: a tile per picture, a few frames per clip."""
    options = {"max_tiles": 1, "max_frames": 4}
    jobs = [
        replace(job, settings=[replace(s, options=options) for s in job.settings])
        for job in asked.jobs
    ]
    return replace(asked, jobs=jobs)


def main() -> None:
    """Run, print, and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("benchmark", nargs="*", help="ids; left out: all")
    parser.add_argument("--folder", type=Path, help="where files and runs are kept")
    parser.add_argument("--no-model", action="store_true", help="do not ask the random model")
    given = parser.parse_args()
    names = given.benchmark or list(benchmarks())
    unknown = [name for name in names if name not in OFFICIAL]
    if unknown:
        sys.exit(f"no tiny set of {', '.join(unknown)}")
    began = time.monotonic()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="nanovl-eval-smoke-"))
    try:
        lines, wrongs = run(names, folder, model=not given.no_model)
    except NanoVLError as error:
        sys.exit(f"error: {error}")
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    print("scores in percent, rules/extended where they differ")
    print("\n".join(lines))
    for name, known in EXCEPTIONS.items():
        if name in names:
            full = "unscored" if known.full is None else f"full score {known.full:g}"
            print(f"{name}: {full}, floor {known.floor:g}: {known.why}")
    took = time.monotonic() - began
    print(f"{len(names)} benchmarks in {took:.0f} s" + (" (too long)" if took > ROOM else ""))
    for line in wrongs:
        print(f"FAILED {line}")
    sys.exit(bool(wrongs))


if __name__ == "__main__":
    main()
