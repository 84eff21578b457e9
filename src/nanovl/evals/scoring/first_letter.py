"""Option questions whose answer is read from its first capital letter in range.

Four benchmarks ask for the letter alone and read what comes by the first letter they meet. What
is a letter in range, and which phrases are taken off before, differs between them. Option texts
are never looked at.

Source: evaluation specification, sections 6.2, 6.23 and 12.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nanovl.core.errors import ConfigError
from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.choice_totals import report_columns
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.points import mean_best_iou, tagged_boxes, target_boxes
from nanovl.evals.scoring.tally import mean_result

__all__ = [
    "RULES",
    "FirstLetterRule",
    "McqFirstLetter",
    "create_mcq_first_letter",
    "first_letter",
]

_PHRASES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option is",
    "The correct option is",
    "Best answer:",
    "Best option:",
)
# NOTE(parity): the reference lacks two commas, so four phrases are fused into two that nobody
# ever writes.
_FUSED_PHRASES = (
    *_PHRASES[:4],
    "The best option isThe correct option is",
    "Best answer:Best option:",
)
_LABELS = ("Answer:", "Option:")
_MANY_WORDS = 10
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


@dataclass(frozen=True)
class FirstLetterRule:
    """How one benchmark reads an answer.

    Attributes:
        letters: The letters in range.
        labels: Whether `Answer:` and `Option:` are deleted.
        tags: Whether `<answer>...</answer>` is looked for, and, when no letter is found, whether
            the rest is looked for in `(A)`, `(B)`, ...
    """

    letters: str
    labels: bool
    tags: bool


RULES = {
    "mme_realworld": FirstLetterRule("ABCDE", labels=False, tags=True),
    "treebench": FirstLetterRule("ABCDE", labels=False, tags=True),
    "longvideobench": FirstLetterRule("ABCDE", labels=True, tags=False),
    "video_mme": FirstLetterRule("ABCD", labels=True, tags=False),
}
"""By a part of the benchmark's id."""


def first_letter(text: str, rule: FirstLetterRule, *, fixed: bool) -> str | None:
    """The letter an answer starts with, after stock phrases.

    Args:
        text: The answer.
        rule: The benchmark's rule.
        fixed: nanovl's reading: all phrases and both labels are deleted, and an answer of which
            nothing is left has no letter. Otherwise as the public harness, whose list has two
            commas missing and which reads an empty answer as A where `rule.tags`.
    """
    tagged = _TAGGED.search(text) if rule.tags else None
    left = tagged[1].strip().upper() if tagged else text.strip()
    labels = _LABELS if rule.labels or fixed else ()
    for phrase in (*(_PHRASES if fixed else _FUSED_PHRASES), *labels):
        left = left.replace(phrase, "")
    found = re.search(f"[{rule.letters}]", left)
    if found:
        return found[0]
    if not rule.tags or len(left.split()) > _MANY_WORDS or (fixed and not left.strip()):
        return None
    return next((letter for letter in rule.letters if left.lower() in f"({letter.lower()})"), None)


@dataclass(frozen=True)
class McqFirstLetter:
    """Share of rows whose first letter is the right one.

    Attributes:
        profile: Compatibility profile; "vk" and "legacy" are alike here.
        benchmark: Id of the benchmark, which decides the rule. Without one, samples with a video
            are read like Video-MME when they have four options and like LongVideoBench when they
            do not, and samples without a video like MME-RealWorld.
        name: Name of the metric.
    """

    profile: str = "default"
    benchmark: str = ""
    name: str = "mcq_first_letter"

    def __post_init__(self) -> None:
        check_profile(self.profile, self.name)
        if self.benchmark and self._named_rule() is None:
            raise ConfigError(
                f"metric '{self.name}': no rule for benchmark {self.benchmark!r}; expected an id "
                f"with one of {sorted(RULES)} in it"
            )

    def _named_rule(self) -> FirstLetterRule | None:
        key = re.sub(r"[^a-z]", "", self.benchmark.lower())
        return next((rule for part, rule in RULES.items() if part.replace("_", "") in key), None)

    def rule(self, sample: Sample) -> FirstLetterRule:
        """How this sample's answer is read."""
        named = self._named_rule() if self.benchmark else None
        if named is not None:
            return named
        if any(medium.kind == "video" for medium in sample.media):
            return RULES["video_mme" if len(sample.options) == 4 else "longvideobench"]
        return RULES["mme_realworld"]

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1.0 for the right letter, else 0.0; the rules decide at every level.

        When the sample has target boxes, `detail["iou"]` is the mean IoU of the boxes in the
        answer and its reasoning with them.
        """
        del level, judge
        rule = self.rule(sample)
        reference = first_letter(response.text, rule, fixed=False)
        letter = reference
        if self.profile == "default":
            letter = first_letter(response.text, rule, fixed=True)
        detail: dict[str, object] = {"parsed": letter is not None}
        if letter != reference:
            detail["vk"] = reference
        targets = target_boxes(sample.meta.get("target_instances"))
        if targets is not None:
            said = tagged_boxes(f"{response.reasoning}\n{response.text}")
            detail["iou"] = mean_best_iou(said, targets)
        right = letter is not None and letter == str(sample.answer).strip()
        return Verdict(value=float(right), extracted=letter, level="rules", detail=detail)

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Mean over rows. Unit: 0 to 1.

        `parts["differs_from_vk"]` counts rows the public harness reads as another letter, and
        `parts["miou"]` is the mean IoU when the samples have target boxes.
        """
        ious = [item.verdict.detail["iou"] for item in scored if "iou" in item.verdict.detail]
        parts = {"differs_from_vk": float(sum("vk" in item.verdict.detail for item in scored))}
        if ious:
            parts["miou"] = sum(ious) / len(ious)
        return mean_result(scored, self.name, columns=_columns, parts=parts)


def _columns(item: Scored) -> Iterable[str]:
    """Also the columns video benchmarks report by."""
    names = ("duration", "duration_group", "domain", "sub_category", "task_type")
    meta = item.sample.meta
    return [*report_columns(item), *(f"{name}/{meta[name]}" for name in names if meta.get(name))]


def create_mcq_first_letter(profile: str = "default", *, benchmark: str = "") -> Metric:
    """First letter in range; `benchmark` is the id, which decides the range."""
    return McqFirstLetter(profile, benchmark)
