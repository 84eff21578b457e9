"""Answers that must have a form: which tokens may come next.

`ConstraintCompiler` turns a specification into a grammar over the tokens of one tokenizer, once;
`CompiledConstraint.start` makes the state of one sequence; `Constraint` says before every token
which ids are allowed and is told which one came. It draws no token and ends no sequence.

The constraint holds for the answer alone. While the model thinks it may write what it likes, but
it has to end thinking before it can stop, and no token may reach over the end of thinking into the
answer:

    thinking --(closing tag)--> between --(first token of the answer)--> answer
    thinking --(tag of a tool call, where calls are allowed)-----------> answer

Source: serving specification, sections 4 and 9.
"""

from __future__ import annotations

import functools
import json
import queue
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Literal

import numpy as np
import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from nanovl.core.errors import CapacityError, InputError, NanoVLError
from nanovl.engine.grammar import (
    CALL_START,
    ConstraintSpec,
    from_response_format,
    from_structured_outputs,
    from_tool_choice,
    grammar_of,
    request_constraint,
)
from nanovl.engine.reasoning import CLOSE_TAG, TOOL_TAG
from nanovl.processing.tokenizer import Tokenizer

__all__ = [
    "CompiledConstraint",
    "Constraint",
    "ConstraintCompiler",
    "ConstraintSpec",
    "compile_constraint",
    "from_response_format",
    "from_structured_outputs",
    "from_tool_choice",
    "request_constraint",
]

# What compiling may take before the request is refused, and how many may do so at once.
COMPILE_SECONDS = 10.0
COMPILE_JOBS = 2
CACHE_SIZE = 64
# Line breaks between the end of thinking and the answer; the model's own habit is two.
_BREAKS = 2
_CLOSE = CLOSE_TAG.encode()
_CALL = TOOL_TAG.encode()
# What a token that completes a tag may hold behind it.
_AFTER = {_CLOSE: b"\n" * _BREAKS, _CALL: CALL_START.encode()}
# The messages of the library quote the whole grammar otherwise.
_LIMITS = LLParserLimits(verbose_errors=False)
_MESSAGE_LENGTH = 300


class _Words:
    """The tokenizer as llguidance wants it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.tokens = [_bytes_of(tokenizer, i) for i in range(tokenizer.size)]
        self.special_token_ids = sorted(tokenizer.control_tokens.values())
        self.eos_token_id = tokenizer.turn_end_id
        self.bos_token_id = tokenizer.bos_id

    def __call__(self, text: bytes) -> list[int]:
        return self._tokenizer.encode(text.decode("utf-8", "replace"))


def _bytes_of(tokenizer: Tokenizer, token_id: int) -> bytes:
    """Bytes of an id; none for gaps in the vocabulary."""
    try:
        return tokenizer.decode_bytes((token_id,), skip_control=False)
    except InputError:
        return b""


class _Vocabulary:
    """What is known of the ids of one tokenizer.

    Attributes:
        size: Ids there are.
        tokens: Their bytes.
        control: bool (v,): control tokens and gaps, which no answer is made of.
        stop_ids: Ids that end an answer.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        words = _Words(tokenizer)
        self.size = tokenizer.size
        self.tokens = words.tokens
        self.stop_ids = tokenizer.eos_ids
        self.library = LLTokenizer(TokenizerWrapper(words), eos_token=list(self.stop_ids))
        self.control = torch.zeros(self.size, dtype=torch.bool)
        self.control[words.special_token_ids] = True
        self.control[[i for i, data in enumerate(self.tokens) if not data]] = True
        lines = (i for i, data in enumerate(self.tokens) if data and not data.strip(b"\n"))
        self.breaks = {i: len(self.tokens[i]) for i in lines if not bool(self.control[i])}
        self._closing = [i for i, data in enumerate(self.tokens) if b">" in data]
        self._beyond: dict[tuple[bytes, int], torch.Tensor] = {}

    def beyond(self, tag: bytes, begun: int) -> torch.Tensor:
        """Ids that complete a tag and go on with what must not stand behind it.

        Args:
            tag: The tag.
            begun: Bytes of it that are there already.

        Returns:
            int64 (n,).
        """
        key = (tag, begun)
        if key not in self._beyond:
            rest = tag[begun:]
            found = ((i, self.tokens[i].find(rest)) for i in self._closing)
            ids = [
                i
                for i, place in found
                if (place == 0 or (place > 0 and begun == 0))
                and not _AFTER[tag].startswith(self.tokens[i][place + len(rest) :])
            ]
            self._beyond[key] = torch.tensor(ids, dtype=torch.int64)
        return self._beyond[key]


class Constraint:
    """Which tokens one sequence may take; made by `CompiledConstraint.start`.

    Attributes:
        done: Whether the answer is complete, so that nothing but a stop id can follow.
    """

    def __init__(
        self,
        vocabulary: _Vocabulary,
        matcher: LLMatcher,
        spec: ConstraintSpec,
        *,
        thinking: bool,
        stop_ids: Collection[int],
    ) -> None:
        self.done = False
        self._vocabulary = vocabulary
        self._matcher = matcher
        self._spec = spec
        self._state: Literal["thinking", "between", "answer"] = "thinking" if thinking else "answer"
        self._stop_ids = frozenset(stop_ids)
        self._stops = torch.tensor(sorted(self._stop_ids), dtype=torch.int64)
        self._tags = (_CLOSE, _CALL) if spec.allows_calls else (_CLOSE,)
        self._tail = b""
        self._breaks = _BREAKS
        self._mask: torch.Tensor | None = None
        self._free: torch.Tensor | None = None  # the mask of thinking far from any tag

    @property
    def is_active(self) -> bool:
        """Whether thinking is over, so that the form of the answer is enforced."""
        return self._state != "thinking"

    def mask(self) -> torch.Tensor:
        """Ids that may come next.

        Returns:
            bool (v,) of the tokenizer's ids; not to be changed.

        Raises:
            InputError: The grammar has become too complex.
        """
        if self._mask is None:
            self._mask = (
                self._thinking_mask() if self._state == "thinking" else self._grammar_mask()
            )
        return self._mask

    def accept(self, token_id: int, *, forced: bool = False) -> None:
        """Report the id that was appended.

        Args:
            token_id: The id.
            forced: Whether it was put there to end thinking, whatever the mask.

        Raises:
            NanoVLError: The id was not allowed.
        """
        if self._state == "thinking":
            self._think(token_id)
        elif not (forced and self._state == "between"):
            self._answer(token_id)
        self._mask = None

    def fork(self) -> Constraint:
        """An independent copy."""
        twin = Constraint(
            self._vocabulary,
            self._matcher.deep_copy(),
            self._spec,
            thinking=False,
            stop_ids=self._stop_ids,
        )
        twin.done, twin._state = self.done, self._state
        twin._tail, twin._breaks = self._tail, self._breaks
        return twin

    # --- while thinking ----------------------------------------------------------------------

    def _thinking_mask(self) -> torch.Tensor:
        if self._free is None:
            self._free = torch.ones(self._vocabulary.size, dtype=torch.bool)
            self._free[self._stops] = False
            for tag in self._tags:
                self._free[self._vocabulary.beyond(tag, 0)] = False
        place = self._tail.rfind(b"<")
        begun = self._tail[place:] if place >= 0 else b""
        mask = self._free
        for tag in self._tags:
            if begun and tag.startswith(begun):
                mask = mask.clone()
                mask[self._vocabulary.beyond(tag, len(begun))] = False
        return mask

    def _think(self, token_id: int) -> None:
        text = self._tail + (
            b"" if bool(self._vocabulary.control[token_id]) else self._vocabulary.tokens[token_id]
        )
        found = [(text.index(tag), tag) for tag in self._tags if tag in text]
        if not found:
            self._tail = text[-len(max(self._tags, key=len)) :]
            return
        start, tag = min(found)
        more = text[start + len(tag) :]
        answer = text[start:] if tag == _CALL else more.lstrip(b"\r\n")
        if answer:
            # Behind the closing tag only for a forced id: the mask lets no other one do that.
            self._state = "answer"
            self._consume(self._vocabulary.library.tokenize_bytes(answer))
        else:
            self._state = "between"
            self._breaks = max(0, _BREAKS - len(more))

    # --- the answer ----------------------------------------------------------------------------

    def _grammar_mask(self) -> torch.Tensor:
        if self.done:
            mask = torch.zeros(self._vocabulary.size, dtype=torch.bool)
            mask[self._stops] = True
            return mask
        mask = self._allowed()
        if self._state == "between" and self._breaks:
            fitting = [i for i, n in self._vocabulary.breaks.items() if n <= self._breaks]
            mask[torch.tensor(fitting, dtype=torch.int64)] = True
        return mask

    def _allowed(self) -> torch.Tensor:
        """What the grammar allows."""
        data = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        bits = np.unpackbits(data, count=self._vocabulary.size, bitorder="little")
        mask = torch.from_numpy(bits).view(torch.bool)
        mask &= ~self._vocabulary.control
        if self._matcher.is_accepting():
            mask[self._stops] = True
        return mask

    def _answer(self, token_id: int) -> None:
        if token_id in self._stop_ids and (self.done or self._matcher.is_accepting()):
            self.done = True
            return
        if self._state == "between" and not bool(self._allowed()[token_id]):
            length = self._vocabulary.breaks.get(token_id, _BREAKS + 1)
            if length <= self._breaks:
                self._breaks -= length
                return
        self._state = "answer"
        self._consume([token_id])

    def _consume(self, ids: Iterable[int]) -> None:
        ids = list(ids)
        if self.done or self._matcher.validate_tokens(ids) < len(ids):
            self._check()
            raise NanoVLError(
                f"{self._spec.where}: token {ids} cannot follow here; only ids of the mask of the "
                "constraint may be appended"
            )
        self._matcher.consume_tokens(ids)
        self._check()
        self.done = self._matcher.is_stopped()

    def _check(self) -> None:
        """After a limit of the library was exceeded, the matcher is of no use."""
        if self._matcher.is_error():
            raise InputError(
                f"{self._spec.where}: cannot be followed any further "
                f"({_message(self._matcher.get_error())}); simplify it"
            )


class CompiledConstraint:
    """A specification ready for use; may be shared by threads.

    Attributes:
        spec: The specification.
    """

    def __init__(self, vocabulary: _Vocabulary, matcher: LLMatcher, spec: ConstraintSpec) -> None:
        self.spec = spec
        self._vocabulary = vocabulary
        self._matcher = matcher

    def start(
        self, *, thinking: bool = False, stop_ids: Collection[int] | None = None
    ) -> Constraint:
        """The state of a new sequence.

        Args:
            thinking: Whether the prompt ends with an open `<think>`.
            stop_ids: Ids that end the answer; None takes the tokenizer's.
        """
        return Constraint(
            self._vocabulary,
            self._matcher.deep_copy(),
            self.spec,
            thinking=thinking,
            stop_ids=self._vocabulary.stop_ids if stop_ids is None else stop_ids,
        )


class ConstraintCompiler:
    """Compiles specifications for one tokenizer; safe to use from several threads.

    Args:
        tokenizer: Whose ids are to be constrained.
        timeout_s: What compiling one specification may take.
        cache_size: Compiled specifications that are kept.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        timeout_s: float = COMPILE_SECONDS,
        cache_size: int = CACHE_SIZE,
    ) -> None:
        self._vocabulary = _Vocabulary(tokenizer)
        self._timeout_s = timeout_s
        self._cache_size = cache_size
        self._cache: OrderedDict[ConstraintSpec, CompiledConstraint] = OrderedDict()
        self._lock = threading.Lock()
        self._jobs = threading.Semaphore(COMPILE_JOBS)

    def compile(self, spec: ConstraintSpec) -> CompiledConstraint:
        """Compile a specification, or find it among those compiled before.

        Raises:
            InputError: It is not valid, or too complex; names the field.
            CapacityError: Others have been compiling all the while.
        """
        with self._lock:
            if spec in self._cache:
                self._cache.move_to_end(spec)
                return self._cache[spec]
        compiled = CompiledConstraint(self._vocabulary, self._in_time(spec), spec)
        with self._lock:
            self._cache[spec] = compiled
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        return compiled

    def _in_time(self, spec: ConstraintSpec) -> LLMatcher:
        """Compile in a thread of its own, which cannot be stopped but can be left behind."""
        if not self._jobs.acquire(timeout=self._timeout_s):
            raise CapacityError(
                f"{spec.where}: {COMPILE_JOBS} other grammars have been compiling for "
                f"{self._timeout_s:g} s; try again later"
            )
        answer: queue.SimpleQueue[LLMatcher | BaseException] = queue.SimpleQueue()

        def work() -> None:
            try:
                answer.put(_build(spec, self._vocabulary))
            except BaseException as error:  # handed to the thread that waits
                answer.put(error)
            finally:
                self._jobs.release()

        threading.Thread(target=work, name="compile-constraint", daemon=True).start()
        try:
            result = answer.get(timeout=self._timeout_s)
        except queue.Empty:
            raise InputError(
                f"{spec.where}: not compiled within {self._timeout_s:g} s; simplify it"
            ) from None
        if isinstance(result, BaseException):
            raise result
        return result


def _build(spec: ConstraintSpec, vocabulary: _Vocabulary) -> LLMatcher:
    """The start of every sequence with this specification.

    Raises:
        InputError: The library refuses it.
    """
    matcher = LLMatcher(vocabulary.library, grammar_of(spec), log_level=0, limits=_LIMITS)
    if matcher.is_error():
        where, message = _culprit(spec, vocabulary) or (spec.where, matcher.get_error())
        raise InputError(
            f"{where}: {_message(message)}; correct it, or leave out what is not supported"
        )
    return matcher


def _culprit(spec: ConstraintSpec, vocabulary: _Vocabulary) -> tuple[str, str] | None:
    """Which tool it is that cannot be compiled, and why."""
    tools = spec.payload if spec.kind == "tool_calls" else spec.tools
    for tool in json.loads(tools or "[]"):
        grammar = LLMatcher.grammar_from_json_schema(tool["parameters"])
        alone = LLMatcher(vocabulary.library, grammar, log_level=0, limits=_LIMITS)
        if alone.is_error():
            return f"tools: parameters of {tool['name']!r}", alone.get_error()
    return None


def _message(text: str) -> str:
    """The part of a message of the library that people can use."""
    words = " ".join(line.strip() for line in text.splitlines() if line.strip(" ^"))
    return words if len(words) <= _MESSAGE_LENGTH else f"{words[:_MESSAGE_LENGTH]} ..."


_compiler_of = functools.lru_cache(maxsize=4)(ConstraintCompiler)
_compiler_lock = threading.Lock()


def compile_constraint(spec: ConstraintSpec, tokenizer: Tokenizer) -> CompiledConstraint:
    """Compile a specification for a tokenizer; both are remembered.

    Raises:
        InputError: It is not valid, or too complex; names the field.
        CapacityError: Others have been compiling all the while.
    """
    with _compiler_lock:  # so that two threads do not read the same vocabulary
        compiler = _compiler_of(tokenizer)
    return compiler.compile(spec)
