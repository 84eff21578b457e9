"""`nanovl demo`: a bundled input, a question about it, and the answer beside the right one.

Must not hold questions or answers of its own: they are read from `assets/demo/questions.json`.
"""

from __future__ import annotations

import json as json_
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from nanovl.cli import options
from nanovl.cli.answer import as_document, show
from nanovl.cli.chat import attachments
from nanovl.cli.console import Progress, guarded, note, write, write_json
from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.core.paths import asset

__all__ = ["demo", "find", "questions"]

_MAX_TOKENS = 64


@guarded
def demo(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Which input; --list shows them.")
    ] = "receipt",
    question: Annotated[
        int,
        typer.Option("--question", "-q", metavar="N", min=1, help="Which of its questions."),
    ] = 1,
    list_: Annotated[bool, typer.Option("--list", help="Show all inputs and questions.")] = False,
    model: options.Model = "mini",
    max_tokens: options.MaxTokens = _MAX_TOKENS,
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Ask about a bundled input: a receipt, a form, a chart, a PDF, a video ...

    \b
    Examples:
      nanovl demo
      nanovl demo invoice --question 2

    The answer goes to standard output, everything else to standard error.
    """
    known = questions()
    if list_:
        _tell_all(known, json)
        return
    entry = find(known, name, question)
    files = [str(asset("demo", file)) for file in files_of(entry)]

    from nanovl.engine.vlm import load
    from nanovl.processing.media import Limits

    if not json:
        note(f"input     {', '.join(files_of(entry))}: {entry['title']}")
        note("question  " + str(entry["question"]).replace("\n", "\n          "))
    with Progress() as progress:
        loaded = load(model, device, on_event=progress)
    if not json:
        note("answer    ", end="")
    with Progress() as progress:
        parts = attachments(files, Limits.local())
        asking = {"max_tokens": max_tokens or _MAX_TOKENS, **entry.get("options", {})}
        deltas = loaded.stream(str(entry["question"]), parts, on_event=progress, **asking)
        answer = show(deltas, progress, stream=not json, text=not json, reasoning=not json)
    if json:
        write_json({"demo": entry, **as_document(loaded.name, answer)})
        return
    usage, timings = answer.usage, answer.timings
    note(f"expected  {entry['answer']}")
    note(
        f"speed     {usage.prompt_tokens} prompt tokens, first token after {timings.ttft_s:.2f} s, "
        f"then {timings.decode_tokens_per_s:.1f} tokens/s"
    )
    note("next      " + "\n          ".join(_suggestions(known, entry)))


def questions() -> list[dict[str, Any]]:
    """All entries: name, title, file (files), question, answer, check and maybe options."""
    text = asset("demo", "questions.json").read_text(encoding="utf-8")
    return list(json_.loads(text))


def files_of(entry: Mapping[str, Any]) -> list[str]:
    """Files of an entry, in the order they are shown."""
    return list(entry.get("files", [entry["file"]]))


def find(known: Sequence[Mapping[str, Any]], name: str, number: int = 1) -> Mapping[str, Any]:
    """The entry for a name, or the name of its file.

    Args:
        known: From `questions`.
        name: Of the input.
        number: Which of its questions, from 1.

    Raises:
        ConfigError: There is no such input or question.
    """
    fit = [entry for entry in known if name in (entry["name"], *files_of(entry))]
    names = list(dict.fromkeys(str(entry["name"]) for entry in known))
    if not fit:
        raise ConfigError(
            f"demo {name!r}: there is no such input{nearest(name, names)}; expected one of "
            f"{', '.join(names)}"
        )
    if number > len(fit):
        raise ConfigError(f"--question {number}: {name} has {len(fit)} questions")
    return fit[number - 1]


def _tell_all(known: Sequence[Mapping[str, Any]], json: bool) -> None:
    if json:
        write_json({"demos": list(known)})
        return
    before = ""
    for entry in known:
        if entry["name"] != before:
            before = str(entry["name"])
            write(f"{before:10} {entry['title']} ({', '.join(files_of(entry))})\n")
            number = 0
        number += 1
        first, _, more = str(entry["question"]).partition("\n")
        write(f"{'':10} {number}. {first}{' ...' if more else ''}\n")


def _suggestions(known: Sequence[Mapping[str, Any]], entry: Mapping[str, Any]) -> list[str]:
    """What to type now: another question, another input, a file of one's own."""
    names = list(dict.fromkeys(str(e["name"]) for e in known))
    own = [e for e in known if e["name"] == entry["name"]]
    after = names[(names.index(str(entry["name"])) + 3) % len(names)]
    found = [f"nanovl demo {after}", "nanovl demo --list"]
    if len(own) > 1:
        other = 2 if entry is own[0] else 1
        found.insert(0, f"nanovl demo {entry['name']} --question {other}")
    return [*found, 'nanovl "What do you see?" -a YOUR-PICTURE.png']
