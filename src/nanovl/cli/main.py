"""`nanovl VERB ...`: which verb runs.

The first word decides; if it is no verb, the words are a question and `chat` runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from nanovl import __version__
from nanovl.cli import console
from nanovl.cli.batch import batch
from nanovl.cli.caption import caption
from nanovl.cli.chat import chat
from nanovl.cli.compare import compare
from nanovl.cli.convert import convert
from nanovl.cli.data import data
from nanovl.cli.demo import demo
from nanovl.cli.doctor import doctor
from nanovl.cli.eval import evaluate
from nanovl.cli.extract import extract
from nanovl.cli.info import info
from nanovl.cli.plan import plan
from nanovl.cli.quantize import quantize
from nanovl.cli.read import read
from nanovl.cli.serve import serve
from nanovl.cli.summarize import summarize
from nanovl.cli.synth import synth
from nanovl.cli.train import train
from nanovl.core.config import nearest
from nanovl.core.events import setup_logging

__all__ = ["app", "route", "run"]

app = typer.Typer(
    name="nanovl",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
_VERBS: dict[str, Callable[..., None]] = {
    "chat": chat,
    "info": info,
    "convert": convert,
    "quantize": quantize,
    "train": train,
    "plan": plan,
    "doctor": doctor,
    "demo": demo,
    "serve": serve,
    "summarize": summarize,
    "extract": extract,
    "caption": caption,
    "compare": compare,
    "read": read,
    "batch": batch,
}
_GROUPS: dict[str, typer.Typer] = {"data": data, "synth": synth, "eval": evaluate}
for _name, _verb in _VERBS.items():
    app.command(_name)(_verb)
for _name, _group in _GROUPS.items():
    app.add_typer(_group, name=_name)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"nanovl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")
    ] = False,
) -> None:
    """Ask a vision-language model about pictures, documents and videos.

    \b
    Examples:
      nanovl "What is the total?" -a receipt.png
      nanovl doctor

    A first word that is no command starts a question: nanovl "..." is nanovl chat "...".
    Without any words, on a terminal, a conversation starts.
    """


def route(words: Sequence[str]) -> list[str]:
    """Put `chat` in front of a question, and --debug out of the way.

    Raises:
        SystemExit: A single word that looks like a misspelt verb.
    """
    words = list(words)
    end = words.index("--") if "--" in words else len(words)
    if "--debug" in words[:end]:
        console.DEBUG = True
        words = [w for i, w in enumerate(words) if w != "--debug" or i > end]
    first = words[0] if words else ""
    if first in (*_VERBS, *_GROUPS, "--version", "--help", "-h"):
        return words
    hint = nearest(first, (*_VERBS, *_GROUPS)) if len(words) == 1 and first.isalpha() else ""
    if hint:
        console.fail(f"no command {first!r}{hint}; to ask it: nanovl chat {first}", 2)
    return ["chat", *words]


def run(words: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Args:
        words: Arguments; None takes the program's.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")  # an ASCII locale must not turn an answer into a crash
    setup_logging()
    try:
        app(args=route(sys.argv[1:] if words is None else words), prog_name="nanovl")
    except KeyboardInterrupt:
        console.fail("interrupted", 130)
