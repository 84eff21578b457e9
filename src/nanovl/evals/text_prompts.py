"""Prompts of the text benchmarks: one user turn, as NeMo-Skills asks.

RULER also puts the beginning of the answer into the model's mouth; SciCode shows the model its own
code of the steps before. Programs are neither run nor cleaned beyond what a prompt needs.

Source: evaluation specification, sections 5.1 to 5.5 and 6.14.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from nanovl.core.errors import InputError
from nanovl.evals.base import Sample
from nanovl.evals.readers.cells import as_text
from nanovl.evals.requests import Prompt

__all__ = ["RULER_TOKENS", "TEXT_STYLES", "fill", "problem_text"]

RULER_TOKENS: Mapping[str, int] = {"niah": 128, "vt": 30, "cwe": 120, "fwe": 50, "qa": 32}
"""New tokens at most, by the first word of the task."""

_NAME = re.compile(r"\{([a-z]+)\}")
_PREFIX_CHARS = 10


def fill(template: str, **values: str) -> str:
    """A template with its names filled in; other braces, and names without a value, stay."""
    return _NAME.sub(lambda match: values.get(match[1], match[0]), template)


def problem_text(sample: Sample) -> str:
    """Question, blank line, and one line per option, "A) text"; the question alone without any.

    A file made by NeMo-Skills has its options in the question already.
    """
    lines = [f"{letter}) {text}" for letter, text in sample.options.items()]
    if not lines or sample.question.rstrip().endswith(lines[-1]):
        return sample.question
    if re.search(r"^A[).] ?\S", sample.question, re.MULTILINE) and re.search(
        rf"^{list(sample.options)[-1]}[).] ?\S", sample.question, re.MULTILINE
    ):
        return sample.question
    return "\n".join((sample.question, "", *lines))


def _problem(pieces: Mapping[str, str], sample: Sample, previous: Sequence[str]) -> Prompt:
    return Prompt(content=(fill(pieces["text"], problem=problem_text(sample)),))


def _raw(pieces: Mapping[str, str], sample: Sample, previous: Sequence[str]) -> Prompt:
    return Prompt(content=(fill(pieces["text"], question=sample.question),))


def _lcb(pieces: Mapping[str, str], sample: Sample, previous: Sequence[str]) -> Prompt:
    given = as_text(sample.meta.get("question"))
    if given:  # put together by NeMo-Skills
        return Prompt(content=(fill(pieces["text"], question=given),))
    code = as_text(sample.meta.get("starter_code"))
    rest = fill(pieces["starter"], code=code) if code else pieces["stdin"]
    # NOTE(parity): every run of four spaces becomes a tab, in the question as in the code.
    question = f"{sample.question}\n\n{rest}".replace("    ", "\t")
    return Prompt(content=(fill(pieces["text"], question=question),))


def _ruler(pieces: Mapping[str, str], sample: Sample, previous: Sequence[str]) -> Prompt:
    task = as_text(sample.meta.get("task")) or sample.category
    text = fill(pieces["text"], question=sample.question)
    prefix = as_text(sample.meta.get("prefix"))
    if prefix:
        # Files of NeMo-Skills hold the question without its prefix, those of RULER with it.
        cut = text.rfind(prefix[:_PREFIX_CHARS])
        if cut >= 0 and text[cut:].strip() == prefix.strip():
            text = text[:cut]
    return Prompt(
        content=(text,),
        prefix=prefix.strip(),
        max_tokens=RULER_TOKENS.get(task.partition("_")[0]),
    )


def _scicode(pieces: Mapping[str, str], sample: Sample, previous: Sequence[str]) -> Prompt:
    meta = sample.meta
    steps = list(meta.get("sub_steps") or ())
    place = int(meta.get("step", 0))
    if len(previous) != place:
        raise InputError(
            f"scicode step {sample.id}: got the code of {len(previous)} earlier steps, expected "
            f"{place}; ask the steps of a problem in order"
        )
    done = "".join(
        fill(pieces["done"], description=_step_text(pieces, step, header=False), code=code)
        for step, code in zip(steps, previous, strict=False)
    )
    text = fill(
        pieces["text"],
        done=done,
        step=_step_text(pieces, meta, header=True),
        dependencies=as_text(meta.get("required_dependencies")),
    )
    return Prompt(content=(text,))


def _step_text(pieces: Mapping[str, str], step: Mapping[str, object], *, header: bool) -> str:
    text = as_text(step.get("step_description_prompt"))
    background = as_text(step.get("step_background"))
    if background:
        text += fill(pieces["background"], background=background)
    lines = "\n".join(
        part
        for part in (as_text(step.get("function_header")), as_text(step.get("return_line")))
        if part
    )
    return text + fill(pieces["header"], header=lines) if header and lines else text


TEXT_STYLES: Mapping[str, Callable[[Mapping[str, str], Sample, Sequence[str]], Prompt]] = {
    "ns_math_boxed": _problem,
    "ns_mcq4_boxed": _problem,
    "ns_mcq10_boxed": _problem,
    "ns_lcb": _lcb,
    "ns_raw": _raw,
    "ns_scicode_background": _scicode,
    "ruler_completion": _ruler,
}
