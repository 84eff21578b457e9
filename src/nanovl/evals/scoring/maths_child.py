"""The process that compares mathematical answers: one JSON request a line, one JSON reply a line.

Run by path as a program of its own, so that an expression that never ends, eats all memory or
crashes the parser takes down this process and nothing else. Imports nothing of nanovl. It parses
LaTeX only; no text is ever evaluated as Python.

Source: evaluation specification, section 6.12; public reference: NVIDIA-NeMo/Skills, which builds
on math-verify.
"""

from __future__ import annotations

import json
import re
import resource
import sys
from typing import Any

__all__ = ["main"]

LETTERS = "ABCDEFGHIJ"
MEMORY_BYTES = 4 << 30


def _equality() -> Any:
    """Build the comparison; imports math-verify and SymPy."""
    from latex2sympy2_extended import NormalizationConfig, normalize_latex
    from math_verify import (
        LatexExtractionConfig,
        StringExtractionConfig,
        parse,
        verify,
    )

    letter_config = [StringExtractionConfig(strings=tuple(LETTERS))]
    latex_config = [LatexExtractionConfig()]

    def trimmed(text: str) -> str:
        """Without a percent sign behind a plain number, and without a closing full stop."""
        percent = re.fullmatch(r"(\d+\.?\d*)(?:\\%|%)", text)
        return (percent.group(1) if percent else text).rstrip(".\\")

    def in_formula(text: str) -> str:
        marked = re.search(r"\$.*\$|\\\(.*\\\)|\\\[.*\\\]|\\boxed\{", text, re.DOTALL)
        return text if marked else f"${text}$"

    def equal(truth: str, answer: str, precision: int, seconds: int | None) -> bool:
        if truth.strip() in tuple(LETTERS) and verify(
            parse(truth, letter_config), parse(answer, letter_config)
        ):
            return True
        truth, answer = trimmed(truth), trimmed(answer)
        plain_truth, plain_answer = (
            normalize_latex(text, NormalizationConfig) for text in (truth, answer)
        )
        same = bool(plain_truth.replace(" ", "") == plain_answer.replace(" ", ""))
        # Pure words or pure digits are compared as text; that is why 070 is not 70 here.
        literal = r"[a-zA-Z ,]+|[0-9 ]+"
        if same or (re.fullmatch(literal, plain_truth) and re.fullmatch(literal, plain_answer)):
            return same
        return bool(
            verify(
                parse(in_formula(truth), latex_config),
                parse(in_formula(answer), latex_config),
                numeric_precision=precision,
                timeout_seconds=seconds,
            )
        )

    return equal


def main() -> None:
    """Serve requests until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        equal = _equality()
    except ImportError as error:
        sys.stdout.write(json.dumps({"missing": error.name or str(error)}) + "\n")
        return
    sys.stdout.write(json.dumps({"ready": True}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            value = equal(
                request["truth"], request["answer"], request["precision"], request["seconds"]
            )
            reply: dict[str, Any] = {"equal": value}
        except (Exception, RecursionError) as error:
            reply = {"equal": False, "problem": f"{type(error).__name__}: {error}"[:200]}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
