"""Asking another model what rules cannot decide: prompts, replies, caching.

A judge answers at temperature 0. A reply that does not have the asked form is asked for again
with a reminder; after three tries the response stays unscored. Nothing here ever guesses or draws
at random. Which question a benchmark asks is decided in its own module; the transport is the
caller's.

Source: evaluation specification, section 7.
"""

from __future__ import annotations

import hashlib
import json
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from nanovl.core.errors import ConfigError
from nanovl.evals.base import Judge, Medium
from nanovl.evals.scoring.keyed_lines import KeyedLines

__all__ = [
    "TRIES",
    "Consultation",
    "LoggedJudge",
    "PictureJudge",
    "Prompt",
    "bracketed",
    "consult",
    "extracted_answer",
    "json_object",
    "judge_key",
    "option_letters",
    "zero_or_one",
]

TRIES = 3
"""How often one question is put to a judge before the response stays unscored."""

T = TypeVar("T")


@runtime_checkable
class PictureJudge(Protocol):
    """A judge that can also look at the media of a sample."""

    def ask(self, prompt: str) -> str | None:
        """As `Judge.ask`."""
        ...

    def ask_about(self, prompt: str, media: Sequence[Medium]) -> str | None:
        """As `ask`, with the media shown before the prompt, in order."""
        ...


@dataclass(frozen=True)
class Prompt:
    """A fixed question to a judge with named holes.

    Attributes:
        name: Shown in logs and results.
        text: The question; `{field}` marks a hole, `{{` and `}}` are braces.
        reminder: Added when a reply did not have the asked form.
    """

    name: str
    text: str
    reminder: str

    def __post_init__(self) -> None:
        if not self.fields:
            raise ConfigError(f"judge prompt '{self.name}' has no hole; expected at least one")

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the holes, sorted."""
        names = {name for _, name, _, _ in string.Formatter().parse(self.text) if name}
        return tuple(sorted(names))

    @property
    def hash(self) -> str:
        """SHA-256 of the question and the reminder; stored with every result that used it."""
        return hashlib.sha256(f"{self.text}\0{self.reminder}".encode()).hexdigest()

    def fill(self, **given: str) -> str:
        """The question about one response.

        Raises:
            ConfigError: The holes and the given fields differ.
        """
        if tuple(sorted(given)) != self.fields:
            raise ConfigError(
                f"judge prompt '{self.name}' has the holes {list(self.fields)} but got "
                f"{sorted(given)}"
            )
        return self.text.format(**given)


@dataclass(frozen=True, kw_only=True)
class Consultation(Generic[T]):
    """What came of asking a judge.

    Attributes:
        value: The parsed reply, or None: then the response stays unscored.
        replies: The raw replies, in order; None for a try without any.
        prompt_hash: `Prompt.hash`.
    """

    value: T | None
    replies: tuple[str | None, ...]
    prompt_hash: str

    @property
    def detail(self) -> dict[str, Any]:
        """What a verdict keeps of it."""
        kept: dict[str, Any] = {
            "judge_prompt": self.prompt_hash[:16],
            "judge_replies": list(self.replies),
        }
        if self.value is None:
            kept["reason"] = (
                "the judge gave no reply"
                if all(reply is None for reply in self.replies)
                else "no reply of the judge had the asked form"
            )
        return kept


def consult(
    judge: Judge,
    prompt: Prompt,
    parse: Callable[[str], T | None],
    *,
    media: Sequence[Medium] | None = None,
    **fields: str,
) -> Consultation[T]:
    """Ask until a reply can be parsed, at most `TRIES` times.

    A judge at temperature 0 repeats itself, so every further try adds the prompt's reminder.

    Args:
        judge: Whom to ask.
        prompt: What to ask.
        parse: Reply to value, or None when it does not have the asked form.
        media: Shown to the judge; needs a `PictureJudge`.
        fields: The prompt's holes.

    Raises:
        ConfigError: The fields do not fit the prompt, or the judge cannot look at media.
    """
    text = prompt.fill(**fields)
    if media is not None and not isinstance(judge, PictureJudge):
        raise ConfigError(
            f"judge prompt '{prompt.name}' shows the picture, but this judge only reads text; "
            "configure a judge that takes pictures"
        )
    replies: list[str | None] = []
    for attempt in range(TRIES):
        asked = text + f"\n\n{prompt.reminder}" * attempt
        if media is not None and isinstance(judge, PictureJudge):
            reply = judge.ask_about(asked, media)
        else:
            reply = judge.ask(asked)
        replies.append(reply)
        if reply is None:
            break  # the judge itself has already tried three times
        value = parse(reply)
        if value is not None:
            return Consultation(value=value, replies=tuple(replies), prompt_hash=prompt.hash)
    return Consultation(value=None, replies=tuple(replies), prompt_hash=prompt.hash)


def extracted_answer(reply: str) -> str | None:
    """The answer in a reply to "extract the answer": after its last label, else the whole reply.

    Only an empty reply is None.
    """
    _, found, after = reply.rpartition("xtracted answer:")
    answer = (after if found else reply).strip()
    return answer or None


def zero_or_one(reply: str) -> int | None:
    """A verdict that must be exactly `0` or `1`."""
    text = reply.strip()
    return int(text) if text in ("0", "1") else None


def option_letters(reply: str) -> str | None:
    """Option letters and nothing else: `AC`, `A, C`. Capital letters only; None otherwise."""
    if not re.fullmatch(r"[A-Z](?:[\s,;]*[A-Z])*", reply.strip()):
        return None
    return "".join(re.findall("[A-Z]", reply))


def bracketed(reply: str, allowed: Sequence[str]) -> str | None:
    """The last `[[...]]` of a reply that is one of the allowed contents."""
    found = [text.strip() for text in re.findall(r"\[\[([^\[\]]*)\]\]", reply)]
    known = [text for text in found if text in allowed]
    return known[-1] if known else None


def json_object(reply: str, keys: Sequence[str]) -> dict[str, Any] | None:
    """The outermost JSON object of a reply, when it has all the keys."""
    start, end = reply.find("{"), reply.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        value = json.loads(reply[start : end + 1])
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or any(key not in value for key in keys):
        return None
    return value


def judge_key(judge: str, prompt: str, media: Sequence[Medium] = ()) -> str:
    """Cache key of one question: SHA-256 over the judge's name, the filled prompt and the media.

    Args:
        judge: Name of the judge's model.
        prompt: The prompt as sent, so the template and its holes.
        media: What is shown.
    """
    digest = hashlib.sha256()
    for piece in (judge, prompt):
        digest.update(hashlib.sha256(piece.encode("utf-8", "surrogatepass")).digest())
    for medium in media:
        data = medium.data if medium.data is not None else Path(medium.path or "").read_bytes()
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()


class LoggedJudge:
    """A judge with a memory: one JSON line per question, asked once.

    The file is both the request log and the cache. A try without reply is not remembered.

    Args:
        judge: Who answers what is not known yet.
        model: Its name; part of every key.
        path: The log; made when missing.

    Raises:
        InputError: The file is not such a log.
    """

    def __init__(self, judge: Judge, model: str, path: Path) -> None:
        self._judge = judge
        self.model = model
        self._lines = KeyedLines(path)

    def _remember(self, key: str, prompt: str, reply: str | None) -> str | None:
        if reply is not None:
            self._lines.add(key, reply, judge=self.model, prompt=prompt)
        return reply

    def ask(self, prompt: str) -> str | None:
        """The remembered reply, or a new one."""
        key = judge_key(self.model, prompt)
        if key in self._lines:
            return str(self._lines.get(key))
        return self._remember(key, prompt, self._judge.ask(prompt))

    def ask_about(self, prompt: str, media: Sequence[Medium]) -> str | None:
        """As `ask`, with media.

        Raises:
            ConfigError: The judge behind only reads text.
        """
        if not isinstance(self._judge, PictureJudge):
            raise ConfigError(
                f"judge '{self.model}' only reads text, but the question shows a picture; "
                "configure a judge that takes pictures"
            )
        key = judge_key(self.model, prompt, media)
        if key in self._lines:
            return str(self._lines.get(key))
        return self._remember(key, prompt, self._judge.ask_about(prompt, media))
