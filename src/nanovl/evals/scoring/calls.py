"""Tool calls: whether the calls of an answer are those that were expected.

Calls are compared as what they are, never executed: names, required arguments, no argument too
many, every value one of the accepted ones. Several calls may stand in any order. Where no tool
fits, the right answer calls nothing.

References have the form of the Berkeley function calling files: a list of `{name: {argument:
[accepted values]}}`, where "" among the values says that the argument may be left out. Texts are
compared without case, spaces and light punctuation; numbers by value; a text is no number.

Must not know how prompts show tools.

Source: the measures of the local suite (tool calls); serving format of calls: model specification,
section 8.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.tally import mean_result, values

__all__ = ["CallEquality", "calls_of", "create_call_equality", "same_call"]

Call = tuple[str, dict[str, Any]]

_OMIT = ""
_IGNORED = str.maketrans("", "", " ,./-_*^\t\n")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", '"': "'", "\u201c": "'", "\u201d": "'"})


def _loose(text: str) -> str:
    return text.translate(_QUOTES).translate(_IGNORED).casefold()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(expected: Any, given: Any) -> bool:
    """Whether a value is an accepted one."""
    if isinstance(expected, bool) or isinstance(given, bool):
        return isinstance(expected, bool) and isinstance(given, bool) and expected == given
    if _is_number(expected) or _is_number(given):
        return _is_number(expected) and _is_number(given) and expected == given
    if isinstance(expected, str):
        return isinstance(given, str) and _loose(expected) == _loose(given)
    if isinstance(expected, Mapping):
        return isinstance(given, Mapping) and _fits(expected, given)
    if isinstance(expected, (list, tuple)):
        if not isinstance(given, (list, tuple)) or len(expected) != len(given):
            return False
        return all(_same(a, b) for a, b in zip(expected, given, strict=True))
    return expected is None and given is None


def _fits(accepted: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether keys and values are accepted: values are lists of alternatives."""
    if not set(given) <= set(accepted):
        return False
    for key, alternatives in accepted.items():
        options = alternatives if isinstance(alternatives, (list, tuple)) else [alternatives]
        if key not in given:
            if not any(isinstance(o, str) and o == _OMIT for o in options):
                return False
        elif not any(_same(option, given[key]) for option in options):
            return False
    return True


def _same_name(a: str, b: str) -> bool:
    # Names with points are offered with underscores where a template or server allows none.
    return a == b or a.replace(".", "_") == b.replace(".", "_")


def same_call(accepted: Mapping[str, Any], name: str, arguments: Mapping[str, Any]) -> bool:
    """Whether a call is an accepted one.

    Args:
        accepted: `{name: {argument: [accepted values]}}`.
        name, arguments: Of the call.
    """
    return any(
        _same_name(wanted, name) and _fits(options or {}, arguments)
        for wanted, options in accepted.items()
        if isinstance(options, Mapping) or options is None
    )


def _call(item: Any) -> Call | None:
    """Name and arguments of a call in plain or OpenAI form."""
    if not isinstance(item, Mapping):
        return None
    inner = item.get("function")
    body = inner if isinstance(inner, Mapping) else item
    name, arguments = body.get("name"), body.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError):
            return None
    if arguments is None:
        arguments = {}
    if not isinstance(name, str) or not isinstance(arguments, Mapping):
        return None
    return name, {str(k): v for k, v in arguments.items()}


def calls_of(response: Response) -> list[Call] | None:
    """The calls of an answer, None when it tries to call and cannot be read.

    `meta["tool_calls"]` holds them where an engine or endpoint has parsed them; otherwise the text
    does, between the tags of the chat template.
    """
    from nanovl.engine.tools import ToolCallParser

    given = response.meta.get("tool_calls")
    if given:
        items: list[Any] = list(given)
        rest = ""
    else:
        parser = ToolCallParser()
        rest = parser.feed(response.text) + parser.flush()
        items = [{"name": c.name, "arguments": c.arguments} for c in parser.calls]
    calls = [_call(item) for item in items]
    if "<TOOLCALL>" in rest or None in calls:
        return None
    return [call for call in calls if call is not None]


def _expected(answer: Any, where: str) -> list[Mapping[str, Any]]:
    """The reference as a list of accepted calls.

    Raises:
        InputError: It is no list of calls.
    """
    if answer is None:
        return []
    if isinstance(answer, Mapping):
        answer = [answer]
    if not isinstance(answer, (list, tuple)) or not all(isinstance(c, Mapping) for c in answer):
        raise InputError(
            f"sample {where}: got {str(answer)[:80]!r} for its answer, expected a list of "
            "{name: {argument: [accepted values]}}"
        )
    made: list[Mapping[str, Any]] = []
    for call in answer:
        if isinstance(call.get("name"), str) and isinstance(call.get("arguments"), Mapping):
            # One call as it is made: each value is the only accepted one.
            made.append({call["name"]: {k: [v] for k, v in call["arguments"].items()}})
        else:
            made.append(call)
    return made


def _matched(expected: Sequence[Mapping[str, Any]], given: Sequence[Call]) -> int:
    """Most expected calls that can have a given call of their own (augmenting paths)."""
    partner: dict[int, int] = {}  # given -> expected

    def place(e: int, seen: set[int]) -> bool:
        for g, (name, arguments) in enumerate(given):
            if g in seen or not same_call(expected[e], name, arguments):
                continue
            seen.add(g)
            if g not in partner or place(partner[g], seen):
                partner[g] = e
                return True
        return False

    return sum(place(e, set()) for e in range(len(expected)))


class CallEquality:
    """Share of samples whose calls are exactly the expected ones, 0 to 1."""

    name = "call_equality"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1 if all calls are right and there is none too many, else 0 with the reason.

        Raises:
            InputError: The reference is no list of calls.
        """
        expected = _expected(sample.answer, sample.id)
        given = calls_of(response)
        if given is None:
            detail = {"reason": "malformed", "parsed": False, "expects": len(expected)}
            return Verdict(value=0.0, detail=detail)
        found = _matched(expected, given)
        right = found == len(expected) == len(given)
        shown = [{"name": name, "arguments": arguments} for name, arguments in given]
        reason = "right" if right else _reason(expected, given)
        return Verdict(
            value=float(right),
            extracted=shown,
            detail={"reason": reason, "expects": len(expected), "matched": found},
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """The share, with the two halves of the task apart: calling, and leaving it.

        Raises:
            InputError: There are no samples.
        """
        parts: dict[str, float] = {}
        halves = {
            "calls": [s for s in scored if s.verdict.detail.get("expects")],
            "no_calls": [s for s in scored if not s.verdict.detail.get("expects")],
        }
        for name, half in halves.items():
            if half:
                parts[name] = sum(values(half)) / len(half)
        if len(parts) == 2:
            # Never calling anything gets 0.5 here, whatever the shares of the two are.
            parts["balanced"] = sum(parts.values()) / 2
        return mean_result(scored, self.name, parts=parts)


def _reason(expected: Sequence[Mapping[str, Any]], given: Sequence[Call]) -> str:
    """The first thing that is wrong, for error lists."""
    if not expected:
        return "called without need"
    if not given:
        return "no call"
    if len(given) != len(expected):
        return "number of calls"
    wanted = [name for call in expected for name in call]
    if not all(any(_same_name(w, name) for w in wanted) for name, _ in given):
        return "name"
    return "arguments"


def create_call_equality(profile: str = "default") -> Metric:
    """The metric `call_equality`; the same in every profile."""
    return CallEquality()
