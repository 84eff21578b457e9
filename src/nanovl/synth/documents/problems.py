"""Problems that are kept as text, read for pages: mathematics, functions to write, requests.

A problem is what stands on the page and what is right: a number with its worked solution, the body
of a function, or the calls a request asks for. Must not render.

Source: the rendering table of the training data (a small share of the text problems is shown as a
page, so that a model also reads problems).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nanovl.core.errors import InputError
from nanovl.data.convert import bfcl, functions, problems as worked
from nanovl.data.convert.base import ConvertOptions
from nanovl.data.convert.items import Item, Malformed
from nanovl.data.convert.markup import is_number
from nanovl.data.convert.sources import find_file, read_lines
from nanovl.synth.documents.stories import Drops
from nanovl.synth.documents.text import clean

__all__ = ["KINDS", "Problem", "read_problems", "sheets"]

_LONGEST = 2400  # characters of a page, and of a function's body


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something to be solved.

    Attributes:
        id: As in the source.
        shown: What stands on the page.
        answer: Number or body of the function; "" for calls.
        solution: How to get there, "" where it is not told.
        place: Where it comes from, such as a module; "" for nowhere.
        system: What a system message says, "" without one.
        tools: Functions a request may use.
        calls: What a request asks for; none when no function fits.
    """

    id: str
    shown: str
    answer: str = ""
    solution: str = ""
    place: str = ""
    system: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    calls: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of source.

    Attributes:
        file: Beginning of its file names.
        licence: As stated.
        read: Makes a problem of a line.
    """

    file: str
    licence: str
    read: Callable[[Item], Problem]


def _short(text: str, what: str) -> str:
    if len(text) > _LONGEST:
        raise Malformed("too_long", f"{what}: {len(text)} characters, at most {_LONGEST}")
    return text


def _worked(item: Item) -> Problem:
    answer = item.text("answer")
    if not is_number(answer):
        raise Malformed("bad_value", f"answer: {answer!r} is not a number")
    return Problem(
        id=item.text("id"),
        shown=_short(" ".join(clean(item.text("question")).split()), "question"),
        answer=answer,
        solution=clean(item.text("solution")),
    )


def _function(item: Item) -> Problem:
    item.text("prompt"), item.text("completion")  # both have to be texts
    shown = str(item.data["prompt"]).expandtabs(4).strip("\n").rstrip()
    body = str(item.data["completion"]).expandtabs(4).strip("\n").rstrip()
    return Problem(
        id=item.text("id"),
        shown=_short(shown, "prompt"),
        answer=_short(body, "completion"),
        place=item.maybe("module"),
    )


def _request(item: Item) -> Problem:
    said: dict[str, list[str]] = {"system": [], "user": []}
    for message in item.children("messages"):
        role = message.text("role")
        if role not in said:
            raise Malformed("dialogue", f"messages: a turn of {role!r} cannot stand on a page")
        said[role].append(message.text("content"))
    if len(said["user"]) != 1:
        raise Malformed("dialogue", "messages: more than one request")
    names = {tool.child("function").text("name") for tool in item.children("tools")}
    calls = []
    for call in item.children("calls"):
        name = call.text("name")
        if name not in names:
            raise Malformed("bad_value", f"{call.name('name')}: {name!r} is not in tools")
        calls.append({"name": name, "arguments": dict(call.child("arguments").data)})
    return Problem(
        id=item.text("id"),
        shown=_short(clean(said["user"][0]), "content"),
        system="\n\n".join(said["system"]),
        tools=tuple(item.items("tools")),
        calls=tuple(calls),
    )


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "gsm8k": Kind(file="gsm8k", licence=worked.FORMATS[-1].licence, read=_worked),
        "code": Kind(
            file="pystdlib_functions", licence=functions.FORMATS[0].licence, read=_function
        ),
        "bfcl": Kind(file="bfcl", licence=bfcl.FORMATS[0].licence, read=_request),
    }
)


def read_problems(
    source: Path, dataset: str, split: str, drops: Drops
) -> tuple[list[Problem], Path]:
    """The problems of a source in its order, and the file.

    Args:
        source: File or folder.
        dataset: A key of `KINDS`.
        split: "train", "val", ...
        drops: Told about what is left out.

    Raises:
        InputError: There is no file, or no problem in it.
    """
    kind = KINDS[dataset]
    options = ConvertOptions(split=split, on_drop=drops)
    names = [f"{kind.file}_{{split}}.jsonl.gz", f"{kind.file}_{{split}}.jsonl"]
    path = find_file(source, options, *names)
    found = []
    for item in read_lines(path, options):
        try:
            found.append(kind.read(item))
        except Malformed as error:
            drops(error.reason, item.where, error.message)
    if not found:
        raise InputError(f"{path}: no usable problem in it; left out: {drops.counts}")
    return found, path


def sheets(problems: Sequence[Problem], most: int, key: str) -> list[tuple[Problem, ...]]:
    """Problems in groups of one to `most`, every problem in one group only.

    Args:
        problems: All of them.
        most: Of a group.
        key: Decides about order and sizes together with the problems' number.
    """
    rng = random.Random(f"sheets|{key}")
    left = list(problems)
    rng.shuffle(left)
    made = []
    while left:
        count = 1 if most == 1 or rng.random() < 0.35 else rng.randint(2, most)
        made.append(tuple(left[:count]))
        left = left[count:]
    return made
