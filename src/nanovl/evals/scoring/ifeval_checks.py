"""Checks of the form of an answer: lists, sections, titles, JSON, quotation, punctuation, case.

One function per instruction of IFEval: `check(text, arguments, prompt) -> followed`. Texts are
never blank here. Checks of words and lengths are in `ifeval_words`.

Source: evaluation specification, section 6.18; public reference: google-research
instruction_following_eval, whose quirks are kept on purpose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["FORM_CHECKS", "Arguments", "Check"]

Arguments = Mapping[str, Any]
Check = Callable[[str, Arguments, str], bool]

_FIXED_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def _placeholders(text: str, arguments: Arguments, prompt: str) -> bool:
    return bool(len(re.findall(r"\[.*?\]", text)) >= arguments["num_placeholders"])


def _postscript(text: str, arguments: Arguments, prompt: str) -> bool:
    marker = str(arguments["postscript_marker"]).strip()
    known = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return re.search(known.get(marker, marker.lower()), text.lower()) is not None


def _bullets(text: str, arguments: Arguments, prompt: str) -> bool:
    stars = re.findall(r"^\s*\*[^*].*$", text, re.MULTILINE)
    dashes = re.findall(r"^\s*-.*$", text, re.MULTILINE)
    return bool(len(stars) + len(dashes) == arguments["num_bullets"])


def _fixed_answer(text: str, arguments: Arguments, prompt: str) -> bool:
    return any(answer in text for answer in _FIXED_ANSWERS)


def _highlights(text: str, arguments: Arguments, prompt: str) -> bool:
    # Bold text is empty for the first pattern (its stars pair up) and counts by the second.
    single = [part for part in re.findall(r"\*[^\n*]*\*", text) if part.strip("*").strip()]
    double = [part for part in re.findall(r"\*\*([^\n*]*)\*\*", text) if part.strip()]
    return bool(len(single) + len(double) >= arguments["num_highlights"])


def _sections(text: str, arguments: Arguments, prompt: str) -> bool:
    splitter = str(arguments["section_spliter"]).strip()  # spelled so in the data
    parts = re.split(rf"\s?{splitter}\s?\d+\s?", text)
    return bool(len(parts) - 1 >= arguments["num_sections"])


def _json(text: str, arguments: Arguments, prompt: str) -> bool:
    body = text.strip()
    # Each prefix at most once and in this order, as in the reference.
    for fence in ("```json", "```Json", "```JSON", "```"):
        body = body.removeprefix(fence)
    try:
        json.loads(body.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def _title(text: str, arguments: Arguments, prompt: str) -> bool:
    titles = re.findall(r"<<[^\n]+>>", text)
    return any(title.lstrip("<").rstrip(">").strip() for title in titles)


def _two_responses(text: str, arguments: Arguments, prompt: str) -> bool:
    parts = [part.strip() for part in text.split("******")]
    if not all(parts[1:-1]):
        return False
    given = [part for part in parts if part]
    return len(given) == 2 and given[0] != given[1]


def _repeat_prompt(text: str, arguments: Arguments, prompt: str) -> bool:
    repeated = str(arguments.get("prompt_to_repeat") or prompt).strip().lower()
    return text.strip().lower().startswith(repeated)


def _end(text: str, arguments: Arguments, prompt: str) -> bool:
    phrase = str(arguments["end_phrase"]).strip().lower()
    return text.strip().strip('"').lower().endswith(phrase)


def _quotation(text: str, arguments: Arguments, prompt: str) -> bool:
    bare = text.strip()
    return len(bare) > 1 and bare.startswith('"') and bare.endswith('"')


def _no_comma(text: str, arguments: Arguments, prompt: str) -> bool:
    return "," not in text


FORM_CHECKS: Mapping[str, Check] = {
    "combination:repeat_prompt": _repeat_prompt,
    "combination:two_responses": _two_responses,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "detectable_format:constrained_response": _fixed_answer,
    "detectable_format:json_format": _json,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:title": _title,
    "punctuation:no_comma": _no_comma,
    "startend:end_checker": _end,
    "startend:quotation": _quotation,
}
"""Instruction id to check."""
