"""A conversation on the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from nanovl.cli.answer import show, summary
from nanovl.cli.chat import attachments
from nanovl.cli.console import Progress, note, one_line
from nanovl.core.config import nearest
from nanovl.core.conversation import Conversation, Message, Part, TextPart
from nanovl.core.errors import ConfigError, InputError, NanoVLError
from nanovl.core.generation import ReasoningParams
from nanovl.engine.vlm import NanoVL

if TYPE_CHECKING:
    from nanovl.core.generation import Generation

__all__ = ["Repl"]

_HELP = """\
/attach FILE...        add pictures, PDFs, videos, sound or text to your next question
/reasoning on|off|auto [BUDGET]
/reset                 forget the conversation and its files
/quit                  leave, as does Ctrl-D; Ctrl-C stops an answer"""


class Repl:
    """Reads questions, prints answers, remembers both.

    Args:
        model: Who answers.
        asking: Arguments of `NanoVL.stream` for every question.
        parts: Files for the first question.
        system: System text.
        usage: Whether to print tokens and speed after every answer.
        reasoning: Whether to print the reasoning.
        read: Reads a line after a prompt; raises EOFError at the end.
    """

    def __init__(
        self,
        model: NanoVL,
        asking: dict[str, Any],
        parts: Sequence[Part] = (),
        system: str | None = None,
        *,
        usage: bool = False,
        reasoning: bool = True,
        read: Callable[[str], str] | None = None,
    ) -> None:
        self._model = model
        self._asking = asking
        self._parts = list(parts)
        self._system = system
        self._usage = usage
        self._reasoning = reasoning
        self._read = read or _terminal_reader()
        self.messages: list[Message] = []

    def run(self) -> None:
        """Until /quit or the end of input."""
        note(f"{self._model.name}: ask something; /help lists commands, /quit leaves")
        while True:
            try:
                line = self._read("> ").strip()
            except EOFError:
                note("")
                return
            except KeyboardInterrupt:
                note("\n(Ctrl-D or /quit leaves)")
                continue
            if line == "/quit":
                return
            try:
                if line.startswith("/") and not line.startswith(("/think", "/no_think")):
                    self._command(*line.split(maxsplit=1))
                elif line:
                    self._ask(line)
            except NanoVLError as error:
                note(f"error: {one_line(str(error))}")

    def _ask(self, text: str) -> None:
        question = Message(role="user", parts=(*self._parts, TextPart(text=text)))
        conversation = Conversation(messages=(*self.messages, question))
        answer: Generation | None = None
        with Progress() as progress:
            deltas = self._model.stream(
                conversation, system=self._system, on_event=progress, **self._asking
            )
            try:
                answer = show(deltas, progress, reasoning=self._reasoning)
            except KeyboardInterrupt:
                note("\n(stopped; the question is forgotten)")
        if answer is None:
            return
        self._parts = []
        self.messages += [question, Message.text("assistant", answer.text)]
        if self._usage:
            note(summary(answer))

    def _command(self, name: str, rest: str = "") -> None:
        commands = {
            "/help": lambda: note(_HELP),
            "/attach": lambda: self._attach(rest),
            "/reasoning": lambda: self._set_reasoning(rest.split()),
            "/reset": self._reset,
        }
        if name not in commands:
            raise InputError(f"no command {name}{nearest(name, [*commands, '/quit'])}; see /help")
        commands[name]()

    def _attach(self, rest: str) -> None:
        try:
            files = shlex.split(rest)
        except ValueError as error:
            raise InputError(f"/attach: {error}") from None
        if not files or "-" in files:
            raise InputError("/attach: expected one or more files or URLs")
        self._parts += attachments(files, self._model.processor.limits)
        note(f"attached {', '.join(files)}")

    def _set_reasoning(self, words: list[str]) -> None:
        modes = ("off", "on", "auto")
        if not words or words[0] not in modes or len(words) > 2:
            raise ConfigError(f"/reasoning: expected one of {', '.join(modes)}, then a budget")
        if len(words) == 2 and not words[1].isdecimal():
            raise ConfigError(f"/reasoning: budget {words[1]!r} is not a number of tokens")
        budget = int(words[1]) if len(words) == 2 else None
        self._asking["reasoning"] = ReasoningParams(mode=words[0], budget=budget)  # type: ignore[arg-type]
        note(f"reasoning {' '.join(words)}")

    def _reset(self) -> None:
        self.messages, self._parts = [], []
        note("the conversation is forgotten")


def _terminal_reader() -> Callable[[str], str]:
    """`input` with line editing and history, where the platform has it."""
    try:
        import readline

        readline.set_history_length(1000)
    except ImportError:
        pass
    return input
