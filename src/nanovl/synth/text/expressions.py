"""Problems of algebra, calculus, numbers, counting and chance ("text-expressions").

Picks a family, words the question and the solution, and keeps only problems whose answer passes
their own numeric check. The families themselves are in `problems_algebra` and
`problems_discrete`.

Source: data synthesis specification, section 13.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Answer, Reject, Requirement, Sample, Streams, Task
from nanovl.synth.text.forms import boxed_prompt, direct_prompt
from nanovl.synth.text.problems_algebra import ALGEBRA
from nanovl.synth.text.problems_discrete import DISCRETE

__all__ = ["FAMILIES", "ExpressionsConfig", "ExpressionsGenerator", "create"]

FAMILIES = {**ALGEBRA, **DISCRETE}

_CLOSINGS = (
    "So the answer is {answer}.",
    "The result is {answer}.",
    "That gives {answer}.",
    "Hence {answer}.",
    "",
)


@dataclass(frozen=True, kw_only=True)
class ExpressionsConfig:
    """Settings of "text-expressions".

    Attributes:
        families: Which kinds of problems; empty means all.
        direct: Share of samples that also appear with the bare answer and no trace.
    """

    families: tuple[str, ...] = ()
    direct: float = 1 / 3

    def __post_init__(self) -> None:
        for name in self.families:
            if name not in FAMILIES:
                raise ConfigError(
                    f"text-expressions: family {name!r} does not exist{nearest(name, FAMILIES)}"
                )


class ExpressionsGenerator:
    """Makes algebra and number problems.

    Args:
        config: Settings.
    """

    name = "text-expressions"
    version = "1"
    requires: Sequence[Requirement] = ()

    def __init__(self, config: ExpressionsConfig | None = None) -> None:
        self.config = config or ExpressionsConfig()

    def generate(self, index: int, streams: Streams) -> Sample:
        """One problem with one or two tasks.

        Raises:
            Reject: The answer failed its numeric check.
        """
        rng, qa = streams.rng("content"), streams.rng("qa")
        family = rng.choice(self.config.families or tuple(sorted(FAMILIES)))
        problem = FAMILIES[family](rng)
        if not problem.check(streams.rng("check")):
            raise Reject("recheck", f"{family}: {problem.answer} fails its check")
        wording = qa.randrange(len(problem.ask))
        question, template = boxed_prompt(qa, problem.ask[wording])
        closing = qa.choice(_CLOSINGS).format(answer=problem.answer)
        boxed = f"\\boxed{{{problem.answer}}}"
        tasks = [
            Task(
                task=f"maths_{family}",
                question=question,
                answer_text=boxed,
                answer=_answer(problem.answer, problem.value, boxed),
                verifier=_verifier(problem.value),
                trace="\n".join(line for line in (*problem.trace, closing) if line),
                template=f"{family}/{wording}/{template}",
            )
        ]
        if qa.random() < self.config.direct:
            question, template = direct_prompt(qa, problem.ask[wording])
            tasks.append(
                Task(
                    task=f"maths_{family}_direct",
                    question=question,
                    answer_text=problem.answer,
                    answer=_answer(problem.answer, problem.value, problem.answer),
                    verifier=_verifier(problem.value),
                    template=f"{family}/{wording}/{template}",
                )
            )
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt={
                "schema": family,
                "params": problem.params,
                "answer": str(problem.value) if problem.value is not None else problem.answer,
                "answer_latex": problem.answer,
                "problem": problem.ask[0],
            },
            tasks=tuple(tasks),
            tags=("maths", "reasoning", family, "difficulty:2"),
            quality={"checked_points": 5},
        )


def _verifier(value: object) -> str:
    return "number" if _is_whole(value) else "exact"


def _is_whole(value: object) -> bool:
    return value is not None and getattr(value, "denominator", 0) == 1


def _answer(bare: str, value: object, text: str) -> Answer:
    """Whole numbers are compared as numbers, everything else as the text that was asked for."""
    if _is_whole(value):
        return Answer(type="number", value=int(str(value)))
    return Answer(type="text", value=text)


def create(config: Mapping[str, Any]) -> ExpressionsGenerator:
    """The generator from settings as a mapping.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    return ExpressionsGenerator(from_dict(ExpressionsConfig, config, where="text-expressions"))
