"""CharXiv: reasoning and descriptive questions about charts.

The official number comes from a judge that fills in a grading form of the file. Without a judge a
substitute per kind of question compares the final answer; it is marked `proxy` and must not be
put beside the paper's number.

Source: evaluation specification, section 6.21.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.extraction import after_answer_marker, last_line, plain_number
from nanovl.evals.scoring.judging import Prompt, consult, json_object
from nanovl.evals.scoring.tally import mean_result

__all__ = ["CharXiv", "create_charxiv", "proxy_right", "question_family"]

_REASONING = {
    1: "text-in-chart",
    2: "text-in-general",
    3: "number-in-chart",
    4: "number-in-general",
}
_DESCRIPTIVE = {
    "information extraction": (1, 2, 3, 4, 5, 6, 7),
    "enumeration": (8, 9, 13, 14, 15),
    "counting": (10, 12, 19),
    "pattern recognition": (11, 16, 18),
    "compositionality": (17,),
}
_QUANTITIES = (8, 9, 10, 12, 14, 15, 17, 19)
_NOT_APPLICABLE = "not applicable"
_TRENDS = ("increase", "decrease", "stable", "constant", "rise", "fall", "fluctuate", "oscillate")
_GREEK_LETTERS = """
    alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma
    tau upsilon phi chi psi omega
"""
_GREEK = frozenset(_GREEK_LETTERS.split())

_PROMPT = Prompt(
    name="charxiv",
    text="{grading_query}",
    reminder='Reply with a JSON object with the keys "extracted_answer" and "score" only.',
)


def question_family(qid: int) -> str:
    """The report column of a descriptive question's number, 1 to 19."""
    return next((name for name, ids in _DESCRIPTIVE.items() if qid in ids), "other")


def _flat(text: str) -> str:
    """Lower case; LaTeX and Greek letters by name; no punctuation; `2 = 2` becomes `2`."""
    text = unicodedata.normalize("NFKC", text)
    named = []
    for char in text:
        name = unicodedata.name(char, "") if ord(char) > 127 else ""
        found = re.fullmatch(r"GREEK (?:SMALL|CAPITAL) LETTER (?:FINAL )?([A-Z]+)", name)
        word = found.group(1).lower().replace("lamda", "lambda") if found else ""
        named.append(f" {word} " if word in _GREEK else char)
    text = re.sub(r"\\(?:text|mathrm|mathbf|mathit|rm|it)\b", " ", "".join(named))
    text = re.sub(r"\\([a-zA-Z]+)", r" \1 ", text).lower()
    text = re.sub(r"(?<!\d)\.|\.(?!\d)|[^\w\s.]|_", " ", text)
    return " ".join(text.split())


def _final(text: str) -> str:
    return (after_answer_marker(text) or last_line(text)).strip(" *`$")


def _trend(text: str) -> list[str]:
    found = []
    for word in re.findall(r"[a-z]+", text.lower()):
        known = next((trend for trend in _TRENDS if word.startswith(trend.rstrip("e"))), None)
        if known:
            found.append({"rise": "increase", "fall": "decrease"}.get(known, known))
    return found


def _layout(text: str) -> tuple[int, int] | None:
    found = re.search(r"(\d+)\s*(?:by|x|\u00d7)\s*(\d+)", text.lower())
    return (int(found.group(1)), int(found.group(2))) if found else None


def _same_number(truth: str, answer: str) -> bool:
    wanted, given = plain_number(truth), plain_number(answer)
    return wanted is not None and given is not None and wanted == given


def proxy_right(truth: str, text: str, *, qid: int | None, category: int | None) -> bool:
    """nanovl's own comparison of a final answer.

    Args:
        truth: The reference.
        text: The response.
        qid: Number of a descriptive question, or None.
        category: 1 to 4 of a reasoning question, or None.
    """
    answer = _final(text)
    if not answer:
        return False
    if _flat(truth) == _NOT_APPLICABLE or _flat(answer) == _NOT_APPLICABLE:
        return _flat(truth) == _flat(answer)
    if _flat(truth) == _flat(answer):
        return True
    if qid in _QUANTITIES or category in (3, 4):
        return _same_number(truth, answer)
    if qid == 11:
        wanted = re.match(r"yes|no", truth.lower())
        given = re.match(r"(?:yes|no)\b", answer.lower())
        return wanted is not None and given is not None and wanted.group() == given.group()
    if qid == 13:
        left, right = ([_flat(item) for item in part.split(",")] for part in (truth, answer))
        return left == right
    if qid == 16:
        return bool(_trend(truth)) and _trend(truth)[:1] == _trend(answer)[:1]
    if qid == 18:
        return _layout(truth) is not None and _layout(truth) == _layout(answer)
    return False


def _kind(sample: Sample) -> tuple[int | None, int | None]:
    """Number of a descriptive question and category of a reasoning one; one of them is None."""
    numbers = []
    for column in ("qid", "inst_category"):
        text = str(sample.meta.get(column, "")).strip()
        numbers.append(int(float(text)) if re.fullmatch(r"\d+(?:\.0)?", text) else None)
    return numbers[0], numbers[1]


@dataclass(frozen=True)
class CharXiv:
    """Mean score, 0 to 1; `parts` holds `rq` and `dq`, groups are kinds of questions."""

    name: str = "charxiv"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Level "rules" knows equal texts only; "judge" sends `meta["grading_query"]`."""
        text, truth = response.text.strip(), str(sample.answer).strip()
        if level == "judge":
            return self._judged(sample, text, judge)
        if text == truth:
            return Verdict(value=1.0, extracted=text)
        if level != "extended":
            return Verdict(value=0.0, detail={"parsed": False})
        qid, category = _kind(sample)
        right = proxy_right(truth, text, qid=qid, category=category)
        return Verdict(
            value=float(right),
            extracted=_final(text) or None,
            level="extended",
            detail={"proxy": True, "parsed": bool(text)},
        )

    def _judged(self, sample: Sample, text: str, judge: Judge | None) -> Verdict:
        if judge is None:
            return Verdict(value=None, level="judge", detail={"reason": "needs a judge"})
        query = str(sample.meta.get("grading_query") or "")
        if not query:
            detail = {"reason": "the row has no grading_query"}
            return Verdict(value=None, level="judge", detail=detail)
        hole = "{PREDICTION}"
        form = query.replace(hole, text) if hole in query else f"{query}\n\nResponse: {text}"
        asked = consult(judge, _PROMPT, _grade, grading_query=form)
        if asked.value is None:
            return Verdict(value=None, level="judge", detail=asked.detail)
        extracted, score = asked.value
        return Verdict(value=score, extracted=extracted, level="judge", detail=asked.detail)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over all rows given, and apart for reasoning and descriptive questions."""
        parts: dict[str, float] = {}
        for name, place in (("dq", 0), ("rq", 1)):
            rows = [item for item in scored if _kind(item.sample)[place] is not None]
            if rows:
                parts[name] = mean_result(rows, self.name).score
        return mean_result(scored, self.name, columns=_columns, parts=parts)


def _grade(reply: str) -> tuple[Any, float] | None:
    """Extracted answer and score of a filled form; the score must be 0 or 1."""
    form = json_object(reply, ("extracted_answer", "score"))
    if form is None:
        return None
    score = form["score"]
    if isinstance(score, str) and score.strip() in ("0", "1"):
        score = int(score)
    return (form["extracted_answer"], float(score)) if score in (0, 1) else None


def _columns(item: Scored) -> Iterable[str]:
    qid, category = _kind(item.sample)
    if qid is not None:
        yield question_family(qid)
    if category in _REASONING:
        yield _REASONING[category]


def create_charxiv(profile: str = "default") -> CharXiv:
    """The metric; profiles make no difference."""
    return CharXiv()
