"""IFEval: which instructions a response follows, strictly and loosely.

Strict looks at the response as it is. Loose takes the best of eight variants: without first line,
last line, both, each also without asterisks. What an instruction means is in `ifeval_checks` and
`ifeval_checks_words`.

Source: evaluation specification, section 6.18; public reference: google-research
instruction_following_eval.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.base import Judge, Level, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.ifeval_checks import FORM_CHECKS, Check
from nanovl.evals.scoring.ifeval_checks_words import WORD_CHECKS
from nanovl.evals.scoring.tally import decision_shares, require

__all__ = ["CHECKS", "IfEval", "create_ifeval_strict", "follows", "loose_variants"]

CHECKS: Mapping[str, Check] = {**FORM_CHECKS, **WORD_CHECKS}
"""All 25 instruction ids."""


def loose_variants(text: str) -> list[str]:
    """The eight readings of a response that the loose measure accepts."""
    lines = text.split("\n")
    cuts = [text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return [*cuts, *(cut.replace("*", "") for cut in cuts)]


def follows(
    texts: Iterable[str], instruction: str, arguments: Mapping[str, Any], prompt: str
) -> bool:
    """Whether any of the texts follows an instruction; a blank text never does.

    Args:
        texts: Readings of one response.
        instruction: An id of `CHECKS`.
        arguments: Its arguments; those that are None are left out.
        prompt: The question, for the instruction that asks to repeat it.

    Raises:
        InputError: The id is unknown, or an argument is missing or of the wrong kind.
    """
    check = CHECKS.get(instruction)
    if check is None:
        raise InputError(f"IFEval: unknown instruction '{instruction}'; known are {sorted(CHECKS)}")
    given = {key: value for key, value in arguments.items() if value is not None}
    try:
        return any(bool(text.strip()) and check(text, given, prompt) for text in texts)
    except (KeyError, TypeError, AttributeError, re.error) as error:
        raise InputError(
            f"IFEval: instruction '{instruction}' cannot be checked with the arguments {given} "
            f"({error!r}); the file's kwargs of this prompt are damaged"
        ) from error


@dataclass(frozen=True)
class IfEval:
    """Share of prompts whose instructions are all followed strictly, in percent.

    The instructions come from `meta["instruction_id_list"]` and `meta["kwargs"]`. `parts` holds
    the four numbers of the benchmark: prompt and instruction level, strict and loose.
    """

    name: str = "ifeval_strict"

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1 when all instructions are followed strictly; levels make no difference.

        Raises:
            InputError: The sample's instructions are damaged.
            BackendError: A package of the extra 'evals' is missing.
        """
        names = list(sample.meta.get("instruction_id_list") or ())
        arguments = list(sample.meta.get("kwargs") or ())
        if not names or len(names) != len(arguments):
            raise InputError(
                f"IFEval sample '{sample.id}': {len(names)} instructions but {len(arguments)} "
                "sets of arguments in 'instruction_id_list' and 'kwargs'; expected as many, and "
                "at least one"
            )
        prompt = str(sample.meta.get("prompt") or sample.question)
        variants = loose_variants(response.text)
        checks = list(zip(names, arguments, strict=True))
        strict = [follows([response.text], name, given, prompt) for name, given in checks]
        loose = [follows(variants, name, given, prompt) for name, given in checks]
        return Verdict(
            value=float(all(strict)),
            extracted=[name for name, followed in zip(names, strict, strict=True) if followed],
            detail={"instructions": names, "strict": strict, "loose": loose},
        )

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Prompt level, strict; groups are the instructions, strict."""
        require(scored, self.name)
        parts: dict[str, float] = {}
        groups: dict[str, list[bool]] = {}
        for kind in ("strict", "loose"):
            rows = [list(item.verdict.detail.get(kind, ())) for item in scored]
            followed = [hit for row in rows for hit in row]
            parts[f"prompt_{kind}"] = 100.0 * sum(bool(r) and all(r) for r in rows) / len(rows)
            parts[f"instruction_{kind}"] = 100.0 * sum(followed) / max(len(followed), 1)
        for item in scored:
            detail = item.verdict.detail
            names, hits = detail.get("instructions", ()), detail.get("strict", ())
            for name, hit in zip(names, hits, strict=True):
                groups.setdefault(name, []).append(bool(hit))
        return Result(
            score=parts["prompt_strict"],
            num_samples=len(scored),
            groups={name: 100.0 * sum(hits) / len(hits) for name, hits in sorted(groups.items())},
            parts={**parts, **decision_shares(scored)},
            unscored=sum(item.verdict.value is None for item in scored),
        )


def create_ifeval_strict(profile: str = "default") -> IfEval:
    """The metric; profiles make no difference."""
    return IfEval()
