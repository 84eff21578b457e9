"""Programs in answers, and the tests that come with a problem.

Takes the code out of a text and the tests out of their packing. Must not run anything: packed
tests are read by an unpickler that admits text only.

Source: evaluation specification, sections 6.14 and 10; public references:
LiveCodeBench/LiveCodeBench and NVIDIA-NeMo/Skills.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nanovl.core.errors import InputError

__all__ = [
    "Problem",
    "last_block",
    "problem_of",
    "program_of",
    "unpack_tests",
    "without_imports",
]

_MOST_UNPACKED_BYTES = 1 << 30


def program_of(text: str) -> str:
    """The program in an answer, as the recipe prepares it.

    What follows `</think>`; the first python block, else the first block, else the whole text. A
    block that is never closed reaches to the end; reasoning that is never closed leaves nothing.
    """
    if "</think>" in text:
        text = text.rpartition("</think>")[2]
    elif "<think>" in text:
        return ""
    fence = "```python" if "```python" in text else "```"
    _, opened, rest = text.partition(fence)
    if not opened:
        return text.strip()
    if fence == "```":
        # The rest of the opening line is the name of another language.
        first, _, others = rest.partition("\n")
        rest = others if re.fullmatch(r"\s*[\w+#.-]*\s*", first) else rest
    return rest.partition("```")[0].strip("\n").rstrip()


def last_block(text: str) -> str:
    """The text between the last two fence lines, as the benchmark itself takes it; "" if none."""
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if "```" in line]
    if len(fences) < 2:
        return ""
    return "\n".join(lines[fences[-2] + 1 : fences[-1]])


def without_imports(program: str) -> str:
    """A program without its lines that import something."""
    return re.sub(r"^[ \t]*(?:import|from)[ \t]+\S.*\n?", "", program, flags=re.MULTILINE)


class _TextOnly(pickle.Unpickler):
    """Admits no class and no function, so nothing but plain data can come out."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(f"refers to {module_name}.{global_name}")


def unpack_tests(packed: str, where: str) -> list[dict[str, str]]:
    """Tests from their cell: JSON, or base64 of zlib of a pickled JSON text.

    Args:
        packed: The cell.
        where: Names the sample in errors.

    Raises:
        InputError: It is neither, is larger than 1 GiB, or holds anything but text.
    """
    text = packed
    if not packed.lstrip().startswith("["):
        try:
            unpacker = zlib.decompressobj()
            raw = unpacker.decompress(base64.b64decode(packed), _MOST_UNPACKED_BYTES)
            if unpacker.unconsumed_tail:
                raise ValueError(f"more than {_MOST_UNPACKED_BYTES} bytes")
            content = _TextOnly(io.BytesIO(raw)).load()
        except Exception as error:  # damaged pickles raise nearly everything
            raise InputError(
                f"{where}: the packed tests cannot be read ({error}); expected base64 of zlib of "
                "a pickled text. Fetch the file again"
            ) from error
        if not isinstance(content, str):
            raise InputError(
                f"{where}: the packed tests hold {type(content).__name__}, expected a text"
            )
        text = content
    try:
        tests = json.loads(text)
        return [{key: str(test[key]) for key in ("input", "output", "testtype")} for test in tests]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{where}: the tests are not a JSON list of objects with input, output and testtype "
            f"({error!r})"
        ) from error


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The tests of one problem.

    Attributes:
        inputs: One per test.
        outputs: One per test.
        function: Name of the method to call; None for programs that read standard input.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    function: str | None


def _loaded(value: Any, where: str, column: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise InputError(f"{where}: column '{column}' is not JSON ({error})") from error


def problem_of(meta: Mapping[str, Any], where: str) -> Problem:
    """The tests of a LiveCodeBench row: public ones first, then private ones.

    Args:
        meta: Columns `public_test_cases`, `private_test_cases`, `metadata`.
        where: Names the sample in errors.

    Raises:
        InputError: A column is damaged, or there is no test.
    """
    tests: list[dict[str, str]] = []
    for column in ("public_test_cases", "private_test_cases"):
        cell = meta.get(column) or "[]"
        packed = cell if isinstance(cell, str) else json.dumps(cell)
        tests += unpack_tests(packed, f"{where}, column '{column}'")
    if not tests:
        raise InputError(f"{where}: no tests in 'public_test_cases' or 'private_test_cases'")
    facts = _loaded(meta.get("metadata") or {}, where, "metadata")
    function = facts.get("func_name") if isinstance(facts, Mapping) else None
    if function is None and any(test["testtype"] == "functional" for test in tests):
        raise InputError(f"{where}: functional tests, but 'metadata' has no 'func_name'")
    return Problem(
        inputs=tuple(test["input"] for test in tests),
        outputs=tuple(test["output"] for test in tests),
        function=str(function) if function is not None else None,
    )
