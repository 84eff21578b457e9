"""Key information: reading pairs of key and value from a reply, and comparing them.

Source: evaluation specification, section 6.10 (KIE).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nanovl.evals.scoring.literals import UNREADABLE, fenced, json_value, literal

__all__ = ["alternatives", "pair_score", "pairs_from_text"]

# A run of words that no colon follows matches too, without a value: it is skipped as a whole, and
# long replies take linear time.
_PAIR = re.compile(r"""["']?([\w\s]++)(?:["']?\s*[:=]\s*["']?([^\n,"'{}]+)["']?)?""")


def pairs_from_text(text: str) -> dict[str, str]:
    """Pairs in a reply: its first fenced block, else all of it.

    JSON is tried first, then a Python literal, then anything that looks like `key: value`. Data
    that is no mapping of text gives no pairs.
    """
    blocks = fenced(text)
    content = blocks[0] if blocks else text.strip()
    data = json_value(content)
    if data is UNREADABLE:
        data = literal(content)
    if data is UNREADABLE:
        found = (match for match in _PAIR.finditer(content) if match[2] is not None)
        data = {match[1].strip(): match[2].strip() for match in found}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        return {}
    return {key.strip(): str(value).strip() for key, value in data.items()}


def alternatives(answer: Any) -> dict[str, list[str | None]] | None:
    """Right values for each key of a reference.

    Args:
        answer: A mapping, or its text (JSON or Python, perhaps inside double quotes); values may
            be lists of alternatives.

    Returns:
        Key to values, or None when it is no mapping.
    """
    data = answer
    for _ in range(2):
        if isinstance(data, str):
            text = data.strip('"')
            data = json_value(text)
            data = literal(text) if data is UNREADABLE else data
    if not isinstance(data, Mapping):
        return None
    return {
        str(key): [
            None if one is None else str(one)
            for one in (value if isinstance(value, list | tuple) else [value])
        ]
        for key, value in data.items()
    }


def pair_score(truth: Mapping[str, Sequence[str | None]], found: Mapping[str, str]) -> float:
    """Share of the keys, of both sides together, whose values are equal.

    Case, newlines and blanks do not count. The reference looks for the best of all combinations
    of alternatives; as keys count one by one, that is the best alternative of each key.
    """
    hits: list[bool] = []
    for key in dict.fromkeys([*truth, *found]):
        given = _plain(found[key]) if key in found else None
        right = [None if one is None else _plain(one) for one in truth.get(key, [None])]
        if given is None and None in right:
            continue
        hits.append(given is not None and given in right)
    return sum(hits) / len(hits) if hits else 0.0


def _plain(text: str) -> str:
    return text.lower().strip().replace("\n", " ").replace(" ", "")
