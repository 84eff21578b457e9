"""Reading data that a model or a file wrote as text: JSON, Python literals, fenced blocks.

Nothing is ever executed: only numbers, strings, lists, tuples, mappings and sets are understood.
It must not raise for any text.

Source: evaluation specification, section 6 (security rule) and 6.10.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from typing import Any

from nanovl.core.errors import InputError

__all__ = ["UNREADABLE", "answer_list", "fenced", "json_value", "literal"]


class _Unreadable:
    def __repr__(self) -> str:
        return "UNREADABLE"


UNREADABLE: Any = _Unreadable()
"""What stands for text that is no data (None is data)."""

_FENCE = re.compile(r"```(?:python|json)?\n(.*?)\n```", re.DOTALL | re.IGNORECASE)


def literal(text: str) -> Any:
    """The value of a Python literal, or `UNREADABLE`."""
    try:
        with warnings.catch_warnings():
            # Unknown escapes and numbers that run into words warn while they are parsed.
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return UNREADABLE


def json_value(text: str) -> Any:
    """The value of a JSON text, or `UNREADABLE`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return UNREADABLE


def fenced(text: str) -> list[str]:
    """Contents of all blocks between three back quotes, with no language or Python or JSON."""
    return _FENCE.findall(text)


def answer_list(value: Any, sample: str) -> list[Any]:
    """The references of a sample; a cell of a table holds them as a literal.

    Args:
        value: A list, the text of a list, or a single reference.
        sample: Its name, for the message.

    Raises:
        InputError: There is no reference.
    """
    found = value
    if isinstance(value, str):
        parsed = literal(value)
        found = parsed if isinstance(parsed, list | tuple) else [value]
    elif not isinstance(value, list | tuple):
        found = [value]
    if value is None or not len(found):
        raise InputError(
            f"sample '{sample}': no reference answer; got {value!r}, expected at least one. "
            "Check the column 'answer' of the benchmark's file"
        )
    return list(found)
