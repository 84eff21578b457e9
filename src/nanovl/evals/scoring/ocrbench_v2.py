"""OCRBench v2: which rule scores which of its 30 types, and how the types become two numbers.

English has eight groups of types and Chinese five; the number of a language is the plain mean of
its groups. The rules that are more than a few lines have their own modules.

Source: evaluation specification, section 6.10.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.charts import chart_from_text, chart_table, markdown_table
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.kie import alternatives, pair_score, pairs_from_text
from nanovl.evals.scoring.literals import answer_list, literal
from nanovl.evals.scoring.ocr_answers import (
    box_from_text,
    box_iou,
    counting_score,
    formula_score,
    handwriting_score,
    vqa_score,
)
from nanovl.evals.scoring.page_text import Meteor, page_scores
from nanovl.evals.scoring.spotting import bounding_spots, spot_score, spots_from_text
from nanovl.evals.scoring.stree import steds
from nanovl.evals.scoring.tally import require
from nanovl.evals.scoring.teds import html_table, teds, wrap_table

__all__ = [
    "GROUPS",
    "OCRBenchV2",
    "create_ocrbench_v2",
]

GROUPS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "en": {
        "text_recognition": (
            "text recognition en",
            "fine-grained text recognition en",
            "full-page OCR en",
        ),
        "text_detection": ("text grounding en", "VQA with position en"),
        "text_spotting": ("text spotting en",),
        "relationship_extraction": (
            "key information extraction en",
            "key information mapping en",
        ),
        "element_parsing": (
            "document parsing en",
            "chart parsing en",
            "table parsing en",
            "formula recognition en",
        ),
        "mathematical_calculation": ("math QA en", "text counting en"),
        "visual_text_understanding": (
            "document classification en",
            "cognition VQA en",
            "diagram QA en",
        ),
        "knowledge_reasoning": (
            "reasoning VQA en",
            "science QA en",
            "APP agent en",
            "ASCII art classification en",
        ),
    },
    "zh": {
        "text_recognition": ("full-page OCR cn",),
        "relationship_extraction": (
            "key information extraction cn",
            "handwritten answer extraction cn",
        ),
        "element_parsing": (
            "document parsing cn",
            "table parsing cn",
            "formula recognition cn",
        ),
        "visual_text_understanding": ("cognition VQA cn",),
        "knowledge_reasoning": ("reasoning VQA cn", "text translation cn"),
    },
}
"""Language to group to the types in it."""

_COLUMN = {
    kind: (language, group)
    for language, groups in GROUPS.items()
    for group, kinds in groups.items()
    for kind in kinds
}
_SHORT_ANSWER = "\u7b80\u7b54"


@dataclass(frozen=True)
class _Item:
    """A sample as the rules see it."""

    sample: Sample
    answers: list[Any]
    reply: str

    @property
    def answer(self) -> str:
        return str(self.answers[0])

    def extra(self, name: str) -> Any:
        """A further column; None where the file says "without ..."."""
        value = self.sample.meta.get(name)
        return None if value in (None, "", f"without {name}") else value

    def fail(self, what: str, expected: str) -> InputError:
        return InputError(
            f"sample '{self.sample.id}' of OCRBench v2: {what}; expected {expected}. "
            "Check the benchmark's file"
        )


class _Skip(Exception):
    """The item is not asked: its file lacks what is needed."""


@dataclass(frozen=True)
class OCRBenchV2:
    """The benchmark's metric; the type of a sample is its category.

    Attributes:
        name: As in the benchmark list.
        meteor: How page texts are compared; None to look for WordNet when first needed.
    """

    name: str = "ocrbench_v2"
    meteor: Meteor | None = field(default=None, repr=False)

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """Verdict by the rule of the sample's type.

        Raises:
            BackendError: A package is missing.
            InputError: The type is unknown, or the reference cannot be used.
        """
        kind = sample.category
        rule = _RULES.get(kind)
        item = _Item(sample, answer_list(sample.answer, sample.id), response.text)
        if rule is None:
            raise item.fail(f"its type is '{kind}'", f"one of: {', '.join(sorted(_RULES))}")
        detail: dict[str, Any] = {"type": kind}
        try:
            value = rule(self, item)
        except _Skip as reason:
            return Verdict(value=0.0, detail={**detail, "ignored": str(reason)})
        if rule is _page_rule or (rule is _handwriting_rule and _is_page(item)):
            detail["meteor"] = self._meteor.name
        return Verdict(value=value, extracted=response.text, detail=detail)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean of the group means, for English and for Chinese.

        The score is that of English, or of Chinese where there is no English.

        Raises:
            InputError: There are no samples.
        """
        require(scored, self.name)
        asked = [item for item in scored if "ignored" not in item.verdict.detail]
        columns: dict[str, list[float]] = defaultdict(list)
        for item in asked:
            kind = item.verdict.detail["type"]
            for column in ("/".join(_COLUMN[kind]), kind):
                columns[column].append(item.verdict.value or 0.0)
        means = {name: sum(values) / len(values) for name, values in sorted(columns.items())}
        parts: dict[str, float] = {}
        for language, groups in GROUPS.items():
            found = [means[key] for group in groups if (key := f"{language}/{group}") in means]
            if found:
                parts[language] = sum(found) / len(found)
        score = parts.get("en", parts.get("zh", 0.0))
        parts["ignored"] = len(scored) - len(asked)
        meteors = Counter(item.verdict.detail.get("meteor") for item in asked)
        if meteors["exact+stem"]:
            parts["meteor_without_wordnet"] = meteors["exact+stem"]
        return Result(score=score, num_samples=len(asked), groups=means, parts=parts)

    @cached_property
    def _meteor(self) -> Meteor:
        return self.meteor or Meteor.create()


def create_ocrbench_v2(profile: str = "default") -> OCRBenchV2:
    """The metric of OCRBench v2; the same in all profiles."""
    check_profile(profile, "ocrbench_v2")
    return OCRBenchV2()


Rule = Callable[[OCRBenchV2, _Item], float]


def _vqa_rule(metric: OCRBenchV2, item: _Item) -> float:
    method = item.extra("eval")
    if method == "multiple choice":
        letters = "".join(character for character in item.reply if character.isalpha())
        return float(letters == item.answer)
    if method == "case sensitive":
        return vqa_score(item.reply, item.answers, case_sensitive=True)
    if method is not None:
        raise item.fail(f"its column 'eval' is '{method}'", "'multiple choice', 'case sensitive'")
    return vqa_score(item.reply, item.answers, chinese=item.sample.category.endswith(" cn"))


def _counting_rule(metric: OCRBenchV2, item: _Item) -> float:
    method = item.extra("eval")
    if method not in ("exact match", "regression"):
        raise item.fail(f"its column 'eval' is '{method}'", "'exact match' or 'regression'")
    return counting_score(item.reply, item.answers, method)


def _formula_rule(metric: OCRBenchV2, item: _Item) -> float:
    return formula_score(item.reply, item.answers, chinese=item.sample.category.endswith(" cn"))


def _page_rule(metric: OCRBenchV2, item: _Item) -> float:
    if item.sample.category.startswith("text translation") and not item.answer and item.reply:
        raise _Skip("no reference translation")
    return page_scores(item.answer, item.reply, metric._meteor).mean


def _is_page(item: _Item) -> bool:
    return _SHORT_ANSWER in item.sample.question


def _handwriting_rule(metric: OCRBenchV2, item: _Item) -> float:
    if _is_page(item):
        return _page_rule(metric, item)
    return handwriting_score(item.reply, item.answer)


def _table_rule(metric: OCRBenchV2, item: _Item) -> float:
    question = item.sample.question.lower()
    html = item.sample.category.endswith(" cn") or "html" in question
    if not html and "markdown" not in question:
        raise _Skip("the question asks for neither HTML nor Markdown")
    if html:
        found = html_table(item.reply)
        return 0.0 if found is None else teds(wrap_table(item.answer), found)
    return teds(markdown_table(item.answer), markdown_table(item.reply))


def _chart_rule(metric: OCRBenchV2, item: _Item) -> float:
    truth = item.answers[0]
    truth = literal(truth) if isinstance(truth, str) else truth
    if not isinstance(truth, Mapping):
        raise item.fail(f"its answer is {item.answer[:60]!r}", "a mapping")
    chart = chart_from_text(item.reply)
    return teds(chart_table(truth), chart_table(chart)) if chart else 0.0


def _document_rule(metric: OCRBenchV2, item: _Item) -> float:
    return steds(item.answer, item.reply)


def _pairs_rule(metric: OCRBenchV2, item: _Item) -> float:
    truth = alternatives(item.answers[0])
    if truth is None:
        raise item.fail(f"its answer is {item.answer[:60]!r}", "a mapping")
    return pair_score(truth, pairs_from_text(item.reply))


def _position_rule(metric: OCRBenchV2, item: _Item) -> float:
    pairs = pairs_from_text(item.reply)
    content = vqa_score(pairs["answer"], item.answers) if "answer" in pairs else 0.0
    place = box_iou(literal(pairs["bbox"]), _listed(item, "bbox")) if "bbox" in pairs else 0.0
    return 0.5 * content + 0.5 * place


def _grounding_rule(metric: OCRBenchV2, item: _Item) -> float:
    nested = item.answers[0] if len(item.answers) == 1 else item.answers
    truth = literal(nested) if isinstance(nested, str) else nested
    box = box_from_text(item.reply)
    return 0.0 if box is None else box_iou(box, truth)


def _spotting_rule(metric: OCRBenchV2, item: _Item) -> float:
    boxes, texts = _listed(item, "bbox"), _listed(item, "content")
    if len(boxes) != len(texts):
        raise item.fail(f"it has {len(boxes)} boxes and {len(texts)} texts", "as many of both")
    truth = bounding_spots(boxes, map(str, texts))
    return spot_score(truth, spots_from_text(item.reply))


def _listed(item: _Item, name: str) -> Sequence[Any]:
    value = item.extra(name)
    value = literal(value) if isinstance(value, str) else value
    if not isinstance(value, list | tuple):
        raise item.fail(f"its column '{name}' is {str(value)[:60]!r}", "a list")
    return value


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        (
            "APP agent en",
            "ASCII art classification en",
            "cognition VQA cn",
            "cognition VQA en",
            "diagram QA en",
            "document classification en",
            "math QA en",
            "reasoning VQA cn",
            "reasoning VQA en",
            "science QA en",
            "text recognition en",
        ),
        _vqa_rule,
    ),
    **dict.fromkeys(
        (
            "fine-grained text recognition en",
            "full-page OCR cn",
            "full-page OCR en",
            "text translation cn",
        ),
        _page_rule,
    ),
    "VQA with position en": _position_rule,
    "chart parsing en": _chart_rule,
    "document parsing cn": _document_rule,
    "document parsing en": _document_rule,
    "formula recognition cn": _formula_rule,
    "formula recognition en": _formula_rule,
    "handwritten answer extraction cn": _handwriting_rule,
    "key information extraction cn": _pairs_rule,
    "key information extraction en": _pairs_rule,
    "key information mapping en": _pairs_rule,
    "table parsing cn": _table_rule,
    "table parsing en": _table_rule,
    "text counting en": _counting_rule,
    "text grounding en": _grounding_rule,
    "text spotting en": _spotting_rule,
}
