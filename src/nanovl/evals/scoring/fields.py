"""Key information: which fields of a document a model gave, and how many of them are right.

A field counts as found when its value is the reference's, dates and amounts in any form. A value
that is wrong, or of a field that is not there, lowers precision; a field that is missing or wrong
lowers recall. Counts are summed over all documents (micro average). The answer is a JSON object;
level "extended" also reads lines of "name: value" and JSON that was cut off.

Must not know where documents come from.

Source: the measures of the local suite (receipts and forms); evaluation specification, section 7.2
(levels).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.tally import decision_shares, require
from nanovl.evals.scoring.values import same_value

__all__ = ["FieldF1", "create_field_f1", "guess_kind", "parse_fields"]

_PAIR = re.compile(
    r'"((?:[^"\\]|\\.)*)"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?![\d.])|true|false|null)'
)
_LINE = re.compile(r"^\s*(?:[-*]\s*)?[\"'*`]*([\w .#/()-]{1,60}?)[\"'*`]*\s*[:=]\s*(.+?)\s*$")
_MOST_OBJECTS = 50  # tries to find an object in a text that is not one
_KIND_WORDS = (
    ("date", ("date", "birthday", "birth_date", "expires", "due")),
    ("amount", ("total", "amount", "price", "tax", "sum", "balance", "cost", "fee", "cash")),
)


def guess_kind(name: str) -> str:
    """Kind of a field whose file does not tell, by the words of its name."""
    words = set(re.split(r"[^a-z]+", name.lower()))
    for kind, known in _KIND_WORDS:
        if words & set(known) or name.lower() in known:
            return kind
    return "text"


def _same_name(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a JSON value with their paths: "items.0.price"."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{path}.{number}" if path else str(number))
    else:
        yield path, value


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    start = text.find("{")
    for _ in range(_MOST_OBJECTS):
        if start < 0:
            return
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        if isinstance(value, dict):
            yield value
        start = text.find("{", end)


def parse_fields(text: str, names: Sequence[str], level: Level) -> tuple[dict[str, Any], Level]:
    """The fields an answer gives, and what it took to read them.

    Args:
        text: The answer.
        names: Names that were asked for; lines with other names are not fields.
        level: "rules" takes the first JSON object alone.

    Returns:
        Values by path, and the level that found them ("rules" when nothing was found).
    """
    for found in _objects(text):
        return dict(_flat(found)), "rules"
    if level == "rules":
        return {}, "rules"
    pairs: dict[str, Any] = {}
    for name, value in _PAIR.findall(text):
        try:
            pairs.setdefault(name, json.loads(value))
        except ValueError:  # a control character, or an escape there is not
            pairs.setdefault(name, value.strip('"'))
    if not pairs:
        known = {_same_name(name): name for name in names}
        for line in text.splitlines():
            match = _LINE.match(line)
            if match and _same_name(match[1]) in known:
                pairs.setdefault(known[_same_name(match[1])], match[2].strip("\"'`*, "))
    return pairs, "extended" if pairs else "rules"


def _is_given(value: Any) -> bool:
    return value is not None and (not isinstance(value, str) or bool(value.strip()))


def _alternatives(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


class FieldF1:
    """F1 over the fields of all documents, in percent.

    The reference is a mapping of name to value; a list of values are alternatives and None says
    that the document has no such field. `meta["kinds"]` may give the kind of each field (see
    `nanovl.evals.scoring.values`); otherwise the name decides.
    """

    name = "field_f1"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """F1 of one document; the counts are in the detail."""
        expected = _reference(sample.answer)
        kinds = sample.meta.get("kinds") or {}
        given, used = parse_fields(response.text, list(expected), level)
        known = {_same_name(name): name for name in expected}
        said: dict[str, Any] = {}
        extra = 0
        for name, value in given.items():
            if not _is_given(value):
                continue
            if _same_name(name) in known:
                said.setdefault(known[_same_name(name)], value)
            else:
                extra += 1
        fields: dict[str, list[int]] = {}
        strict = 0
        for name, reference in expected.items():
            options = [v for v in _alternatives(reference) if _is_given(v)]
            value = said.get(name)
            kind = str(kinds.get(name) or guess_kind(name))
            right = name in said and any(same_value(kind, option, value) for option in options)
            strict += name in said and any(option == value for option in options)
            fields[name] = [
                int(right),
                int(name in said and not right),
                int(bool(options) and not right),
            ]
        tp, fp, fn = (sum(counts[k] for counts in fields.values()) for k in range(3))
        fp += extra
        return Verdict(
            value=_f1(tp, fp, fn),
            extracted=said,
            level=used,
            detail={
                "tp": tp,
                "fp": fp,
                "fn": fn,
                "strict_tp": strict,
                "fields": fields,
                "extra": extra,
                "parsed": bool(given),
            },
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Micro F1 in percent; groups are the fields.

        Raises:
            InputError: There are no samples.
        """
        require(scored, self.name)
        totals = {"tp": 0, "fp": 0, "fn": 0, "strict_tp": 0}
        fields: dict[str, list[int]] = {}
        for item in scored:
            for key in totals:
                totals[key] += int(item.verdict.detail.get(key, 0))
            for name, counts in item.verdict.detail.get("fields", {}).items():
                before = fields.setdefault(name, [0, 0, 0])
                fields[name] = [a + b for a, b in zip(before, counts, strict=True)]
        tp, fp, fn, strict = totals["tp"], totals["fp"], totals["fn"], totals["strict_tp"]
        whole = [item for item in scored if item.verdict.value == 1.0]
        wrong = tp + fp - strict
        return Result(
            score=100 * _f1(tp, fp, fn),
            num_samples=len(scored),
            groups={name: 100 * _f1(*counts) for name, counts in fields.items()},
            parts={
                "precision": 100 * tp / (tp + fp) if tp + fp else 0.0,
                "recall": 100 * tp / (tp + fn) if tp + fn else 0.0,
                "strict_f1": 100 * _f1(strict, wrong, tp + fn - strict),
                "whole_documents": 100 * len(whole) / len(scored),
                **decision_shares(scored),
            },
        )


def _reference(answer: Any) -> dict[str, Any]:
    """The mapping of a reference, which a reader may have put into a list of one."""
    if isinstance(answer, (list, tuple)) and len(answer) == 1:
        answer = answer[0]
    return dict(answer) if isinstance(answer, Mapping) else {}


def _f1(tp: int, fp: int, fn: int) -> float:
    if not tp + fp + fn:
        return 1.0  # nothing was asked for and nothing said
    return 2 * tp / (2 * tp + fp + fn)


def create_field_f1(profile: str = "default") -> Metric:
    """The metric `field_f1`; the same in every profile."""
    return FieldF1()
