"""Scores what is on disk: verdicts per response and level, and the numbers of every benchmark.

Needs neither the model nor its media. Every level that can be computed is kept; what could not be
scored is counted, never guessed. Metrics come from outside, reports are made elsewhere.

Source: evaluation specification, sections 2.2, 6.15, 7.2 and 11.2.
"""

from __future__ import annotations

import math
import statistics
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.evals.base import LEVELS, Judge, Level, Metric, Response, Sample, Scored, Verdict
from nanovl.evals.health import Health, health_of, is_unparsed
from nanovl.evals.intervals import interval_of, over_runs
from nanovl.evals.judge import agreement
from nanovl.evals.requests import Task
from nanovl.evals.runfolder import RunFolder, answered_of, read_log
from nanovl.evals.scorefiles import PEER, SCORES, Line, percentile, write_rows, write_summary

__all__ = ["Answers", "read_answers", "score_task"]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one setting of a benchmark has on disk.

    Attributes:
        setting: Its label.
        responses: By run, then by sample.
        clusters: By sample, what belongs together for intervals: group or media.
        errors: Questions that have a failure and no answer.
    """

    setting: str
    responses: Mapping[int, Mapping[str, Response]]
    clusters: Mapping[str, str] = field(default_factory=dict)
    errors: int = 0

    @property
    def count(self) -> int:
        """Responses of all runs."""
        return sum(map(len, self.responses.values()))


def read_answers(folder: RunFolder, task: Task) -> list[Answers]:
    """All answers of a benchmark, by setting.

    Of several answers to one question (the prompt was changed meanwhile) the last one counts.

    Raises:
        InputError: Answers to questions the files do not hold.
    """
    known = {sample.id: sample for sample in task.samples}
    found: dict[str, dict[int, dict[str, Response]]] = {}
    failed: dict[str, set[tuple[int, str]]] = defaultdict(set)
    clusters = {s.id: s.group for s in task.samples if s.group}
    strange: Counter[str] = Counter()
    for line in read_log(folder.responses(task.id)):
        sample, run, setting = str(line["sample"]), int(line["run"]), str(line["setting"])
        if sample not in known:
            strange[sample] += 1
            continue
        response, _ = answered_of(line)
        if response is None:
            failed[setting].add((run, sample))
            found.setdefault(setting, {})
            continue
        found.setdefault(setting, {}).setdefault(run, {})[sample] = response
        if line.get("media") and sample not in clusters:
            clusters[sample] = str(line["media"])
    if strange and not found:
        raise InputError(
            f"{folder.responses(task.id)}: {len(strange)} answers are to questions that the files "
            f"of {task.id} do not hold (such as {next(iter(strange))!r}); were the files changed?"
        )
    return [
        Answers(
            setting=setting,
            responses={run: runs[run] for run in sorted(runs)},
            clusters=clusters,
            errors=sum(s not in runs.get(run, {}) for run, s in failed[setting]),
        )
        for setting, runs in found.items()
    ]


def score_task(
    folder: RunFolder,
    task: Task,
    metric: Callable[[str], Metric],
    *,
    profiles: Sequence[str] = ("default",),
    judge: Judge | None = None,
    threads: int = 8,
    on_event: OnEvent = ignore_event,
) -> list[Line]:
    """Score a benchmark of a run and write `scores.jsonl` and `summary.json`.

    Args:
        folder: The run.
        task: The benchmark with its samples.
        metric: From profile to scoring rule.
        profiles: Compatibility profiles; each is a number of its own.
        judge: Decides what rules cannot; None scores offline.
        threads: Questions put to the judge at a time.
        on_event: Told about progress.

    Returns:
        One line per setting, profile and level.

    Raises:
        InputError: There is no answer to score.
        BackendError: A package the metric needs is missing.
    """
    answers = read_answers(folder, task)
    if not any(a.count for a in answers):
        raise InputError(
            f"{folder.path}: {task.id} has no answer yet; run it first with nanovl eval run"
        )
    levels: Sequence[Level] = LEVELS if judge is not None else LEVELS[:2]
    lines: list[Line] = []
    rows: list[dict[str, Any]] = []
    settings: dict[str, Any] = {}
    for one in answers:
        if not one.count:
            settings[one.setting] = _facts(one, None)
            continue
        for profile in profiles:
            rule = metric(profile)
            by_level: dict[str, dict[int, list[Scored]]] = {}
            for level in levels:
                asked = judge if level == "judge" else None
                by_level[level] = _verdicts(task, one, rule, level, asked, threads, on_event)
                lines.append(_line(task, one, rule, profile, level, by_level[level]))
                rows += _rows(one, profile, level, by_level[level])
            if profile == profiles[0]:
                settings[one.setting] = _facts(one, by_level)
    silent = _score_peers(task, metric(profiles[0]), profiles[0], lines, on_event)
    write_rows(folder.file(task.id, SCORES), rows, keep=set(profiles))
    write_summary(folder, task, lines, settings, profiles, silent)
    return lines


def _score_peers(
    task: Task, rule: Metric, profile: str, lines: list[Line], on_event: OnEvent
) -> dict[str, str]:
    """Numbers of answers that need no model; why those are missing that there are not."""
    if not task.peers:
        return {}
    from nanovl.evals.baselines import Ocr, baseline_responses

    silent: dict[str, str] = {}
    ocr: Ocr | None = None
    for number, name in enumerate(task.peers, start=1):
        try:
            responses = baseline_responses(name, task.samples, ocr=ocr)
        except BackendError as error:
            silent[name] = str(error)
            continue
        pairs = list(zip(task.samples, responses, strict=True))
        answers = Answers(
            setting=f"{PEER}{name}",
            responses={0: {s.id: r for s, r in pairs}},
            clusters={s.id: s.group for s in task.samples if s.group},
        )
        for level in LEVELS[:2]:
            runs = _verdicts(task, answers, rule, level, None, 1, ignore_event)
            lines.append(_line(task, answers, rule, profile, level, runs))
        on_event(Event(name=f"peers of {task.id}", done=number, total=len(task.peers)))
    return silent


# --- verdicts -----------------------------------------------------------------------------------


def _verdicts(
    task: Task,
    answers: Answers,
    rule: Metric,
    level: Level,
    judge: Judge | None,
    threads: int,
    on_event: OnEvent,
) -> dict[int, list[Scored]]:
    pairs = [
        (run, sample, responses[sample.id])
        for run, responses in answers.responses.items()
        for sample in task.samples
        if sample.id in responses
    ]

    def decide(pair: tuple[int, Sample, Response]) -> Scored:
        _, sample, response = pair
        return Scored(
            sample=sample,
            response=response,
            verdict=_verdict(rule, sample, response, level, judge),
        )

    found: dict[int, list[Scored]] = defaultdict(list)
    if judge is None:
        decided: Iterable[Scored] = map(decide, pairs)
        for (run, _, _), scored in zip(pairs, decided, strict=True):
            found[run].append(scored)
        return found
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for number, ((run, _, _), scored) in enumerate(
            zip(pairs, pool.map(decide, pairs), strict=True), start=1
        ):
            found[run].append(scored)
            on_event(Event(name=f"judge {task.id}", done=number, total=len(pairs)))
    return found


def _verdict(
    rule: Metric, sample: Sample, response: Response, level: Level, judge: Judge | None
) -> Verdict:
    try:
        return rule.score(sample, response, level=level, judge=judge)
    except (BackendError, ConfigError):
        raise  # nothing would be scored
    except Exception as error:  # a bug in a metric must not cost the other responses
        return Verdict(
            value=None,
            detail={
                "reason": f"{type(error).__name__}: {error}",
                "traceback": traceback.format_exc()[-2000:],
                "metric_error": True,
            },
        )


# --- numbers ------------------------------------------------------------------------------------


def _line(
    task: Task,
    answers: Answers,
    rule: Metric,
    profile: str,
    level: str,
    runs: Mapping[int, Sequence[Scored]],
) -> Line:
    results = {run: rule.aggregate(scored) for run, scored in runs.items() if scored}
    flat = [item for scored in runs.values() for item in scored]
    percent = 100.0 / task.best
    scores = [percent * result.score for result in results.values()]
    mean = statistics.fmean(scores)
    std = statistics.stdev(scores) if len(scores) > 1 else None
    return Line(
        benchmark=task.id,
        setting=answers.setting,
        profile=profile,
        level=level,
        metric=rule.name,
        score=mean,
        lenient=_lenient(rule, runs, percent, mean),
        raw=mean / percent,
        runs=len(results),
        samples=len(task.asked),
        answered=len(flat),
        items=max(result.num_samples for result in results.values()),
        interval=interval_of(runs, results, rule=rule, percent=percent, clusters=answers.clusters),
        std=std,
        se=None if std is None else std / math.sqrt(len(scores)),
        unscored=sum(item.verdict.value is None for item in flat),
        decided=_shares(item.verdict for item in flat),
        unparsed=sum(is_unparsed(item.verdict) for item in flat) / len(flat),
        groups=_mean_of([result.groups for result in results.values()]),
        parts=_mean_of([result.parts for result in results.values()]) | over_runs(runs),
    )


def _lenient(
    rule: Metric, runs: Mapping[int, Sequence[Scored]], percent: float, strict: float
) -> float:
    """The score without responses that could not be scored."""
    if all(item.verdict.value is not None for scored in runs.values() for item in scored):
        return strict
    known = [[i for i in scored if i.verdict.value is not None] for scored in runs.values()]
    scores = [percent * rule.aggregate(scored).score for scored in known if scored]
    return statistics.fmean(scores) if scores else 0.0


def _shares(verdicts: Iterable[Verdict]) -> dict[str, float]:
    found = Counter("unscored" if v.value is None else v.level for v in verdicts)
    total = found.total()
    return {name: count / total for name, count in sorted(found.items())}


def _mean_of(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in found for name in one)
    return {name: statistics.fmean(o[name] for o in found if name in o) for name in names}


# --- facts beside the numbers ------------------------------------------------------------------


def _rows(
    answers: Answers, profile: str, level: str, runs: Mapping[int, Sequence[Scored]]
) -> list[dict[str, Any]]:
    return [
        {
            "sample": item.sample.id,
            "run": run,
            "setting": answers.setting,
            "profile": profile,
            "level": level,
            "value": item.verdict.value,
            "extracted": item.verdict.extracted,
            "decided": item.verdict.level,
            "cluster": answers.clusters.get(item.sample.id, ""),
            "detail": dict(item.verdict.detail),
        }
        for run, scored in runs.items()
        for item in scored
    ]


def _facts(answers: Answers, by_level: Mapping[str, Mapping[int, list[Scored]]] | None) -> Any:
    """Health, token counts and agreement of the levels of one setting."""
    responses = [r for run in answers.responses.values() for r in run.values()]
    verdicts: list[Verdict | None] = [None] * len(responses)
    levels: dict[str, dict[str, int]] = {}
    errors = 0
    if by_level:
        last = [item for scored in by_level["extended"].values() for item in scored]
        responses = [item.response for item in last]
        verdicts = [item.verdict for item in last]
        flat = {
            name: [i.verdict for scored in runs.values() for i in scored]
            for name, runs in by_level.items()
        }
        values = [{name: found[i].value for name, found in flat.items()} for i in range(len(last))]
        levels = agreement(values)
        errors = sum(bool(v.detail.get("metric_error")) for found in flat.values() for v in found)
    health: Health = health_of(zip(responses, verdicts, strict=True), errors=answers.errors)
    return {
        "answers": health.answers,
        "health": health.counts,
        "colours": health.colours,
        "tokens": _tokens(responses),
        "agreement": levels,
        "metric_errors": errors,
    }


def _tokens(responses: Sequence[Response]) -> dict[str, dict[str, float]]:
    """Mean, 95th percentile and largest of the token counts that are known."""
    found: dict[str, list[float]] = defaultdict(list)
    for response in responses:
        for name, count in (response.meta.get("tokens") or {}).items():
            if isinstance(count, (int, float)):
                found[name].append(float(count))
    return {
        name: {
            "mean": statistics.fmean(counts),
            "p95": percentile(counts, 95),
            "max": max(counts),
        }
        for name, counts in found.items()
    }
