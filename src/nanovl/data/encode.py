"""A record becomes token ids with labels, of a length the model can take.

Decides what a sample is: reasoning on or off, how many tiles, where it is cut, or why it cannot be
used. The prompt format belongs to `nanovl.processing.template`; pixels are decoded later, for the
samples of one pack at a time (`SampleEncoder.load`).

Letters: t tokens.
Source: training specification, sections 2.2 to 2.5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nanovl.core.conversation import Conversation
from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.core.layout import IGNORE_LABEL, MediaSpan, TokenLayout
from nanovl.data.config import DataConfig
from nanovl.data.drops import Dropped
from nanovl.data.packing import LoadedSample
from nanovl.processing.content import cleaned, text_of
from nanovl.processing.processor import Processor
from nanovl.processing.template import split_reasoning

if TYPE_CHECKING:
    from nanovl.data.records import Record
    from nanovl.data.stream import StreamItem

__all__ = ["EncodedSample", "SampleEncoder", "truncate"]

# Tile bounds tried one after the other until the pictures of a sample fit.
_LADDER = (12, 8, 6, 4, 2, 1)
# Ids the length policy keeps free when it sizes pictures.
_RESERVE = 4
# A truncated sample needs one target per so many tokens.
_TOKENS_PER_TARGET = 256
# No bound: the length policy is this module's, not the processor's.
_UNBOUNDED = 1 << 40


@dataclass(frozen=True, kw_only=True)
class EncodedSample:
    """A sample without pixels, small enough to keep thousands of.

    Attributes:
        key: Unique name of this draw.
        source: Data set it came from.
        weight: Factor on its loss.
        ids, labels: int32 (t,); labels are not shifted, -100 where there is no loss.
        spans: Its media.
        placeholder: The id that stands for one visual token.
    """

    key: str
    source: str
    weight: float
    ids: np.ndarray[Any, np.dtype[np.int32]]
    labels: np.ndarray[Any, np.dtype[np.int32]]
    spans: tuple[MediaSpan, ...]
    placeholder: int

    @classmethod
    def of(cls, key: str, source: str, weight: float, layout: TokenLayout) -> EncodedSample:
        """Keep a labelled layout in little memory."""
        return cls(
            key=key,
            source=source,
            weight=weight,
            ids=np.asarray(layout.input_ids, dtype=np.int32),
            labels=np.asarray(layout.labels, dtype=np.int32),
            spans=layout.spans,
            placeholder=layout.placeholder,
        )

    @property
    def layout(self) -> TokenLayout:
        """The plan of this sample, labels included, made anew."""
        return TokenLayout(
            input_ids=self.ids.tolist(),
            spans=self.spans,
            placeholder=self.placeholder,
            labels=self.labels.tolist(),
        )

    @property
    def num_tokens(self) -> int:
        """Length in tokens."""
        return len(self.ids)

    @property
    def num_tiles(self) -> int:
        """Tiles and frames."""
        return sum(span.tiles for span in self.spans)


class SampleEncoder:
    """Encodes draws of a record stream; the same draw always gives the same sample.

    Args:
        processor: Tokenizer, template and media pipeline.
        config: Length policy and reasoning settings.
        seq_len: Longest sample in tokens; None takes the config's.
    """

    def __init__(
        self, processor: Processor, config: DataConfig, seq_len: int | None = None
    ) -> None:
        if config.video.max_frames > processor.limits.max_frames:
            raise ConfigError(
                f"data.video.max_frames {config.video.max_frames}: the processor's media limit is "
                f"{processor.limits.max_frames}; lower the setting or raise the limit"
            )
        self.processor = processor
        own = processor.config
        pictures = replace(
            own,
            mode=config.image_mode or own.mode,
            native_min_patches=config.native_min_patches or own.native_min_patches,
        )
        if pictures.mode != "tiles":  # they may grow up to the bound of the recipe
            most = max(config.max_tiles, own.max_num_tiles)
            pictures = replace(pictures, max_num_tiles=most)
        if pictures != own:
            self.processor = processor.with_config(pictures)
        self.config = config
        self.seq_len = seq_len or config.seq_len
        self._dtype = getattr(torch, config.pixel_dtype)

    def encode(self, item: StreamItem) -> EncodedSample:
        """Lay out one draw.

        Args:
            item: Record, its media and the name of the draw.

        Returns:
            A sample of at most `seq_len` tokens with at least one target.

        Raises:
            Dropped: The record cannot be used; says why.
            BackendError: A package this kind of media needs is not installed.
        """
        record = item.record
        conversation = _conversation(item)
        traced = _check_turns(conversation, record.id)
        reasoning = traced and self._keeps_trace(record, item.key)
        layout = self._within_budget(conversation, record, reasoning)
        cut = layout.num_tokens > self.seq_len
        if cut:
            layout = truncate(layout, self.seq_len, name=record.id)
        self._check_targets(layout, record, cut)
        bound = self.config.packing.max_tiles_per_pack
        if bound is not None and layout.num_tiles > bound:
            raise Dropped(
                "oversized",
                f"{record.id}: {layout.num_tiles} tiles, packing.max_tiles_per_pack is {bound}",
            )
        return EncodedSample.of(item.key, item.source, record.weight, layout)

    def load(self, sample: EncodedSample) -> LoadedSample:
        """Decode the pixels of a sample.

        Raises:
            Dropped: Media that turns out to be damaged.
        """
        try:
            inputs = self.processor.load(sample.layout, dtype=self._dtype)
        except InputError as error:
            raise Dropped("undecodable_media", f"{sample.key}: {error}") from error
        return LoadedSample(
            key=sample.key, source=sample.source, inputs=inputs, weight=sample.weight
        )

    # --- the steps of the specification ---------------------------------------------------------

    def _keeps_trace(self, record: Record, key: str) -> bool:
        """On, off, or the draw of a record that leaves it open: a function of seed and key."""
        if record.reasoning is not None:
            return record.reasoning == "on"
        digest = hashlib.sha256(f"{self.config.seed}/reasoning/{key}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64 < self.config.reasoning_probability

    def _within_budget(
        self, conversation: Conversation, record: Record, reasoning: bool
    ) -> TokenLayout:
        """Lower the tile bound until the pictures fit beside everything else."""
        most = self.config.max_tiles
        bounds = [most, *(bound for bound in _LADDER if bound < most)]
        for bound in bounds:
            layout = self._plan(conversation, record, reasoning, bound)
            image = sum(span.num_tokens for span in layout.spans if span.kind == "image")
            if image <= self.seq_len - (layout.num_tokens - image) - _RESERVE or not image:
                break
        return layout

    def _plan(
        self, conversation: Conversation, record: Record, reasoning: bool, max_tiles: int
    ) -> TokenLayout:
        config = self.config
        try:
            return self.processor.plan(
                conversation,
                reasoning=reasoning,
                add_generation_prompt=False,
                bos=config.bos,
                training=True,
                loss=record.loss_flags,
                mask_prompt_reasoning=config.mask_prompt_reasoning,
                max_length=_UNBOUNDED,
                max_tiles=max_tiles,
                fps=config.video.fps,
                max_frames=config.video.max_frames,
            )
        except InputError as error:
            self._check_media(conversation, record.id)
            if not any(record.loss_flags[-1:] if reasoning else record.loss_flags):
                raise Dropped("no_target", f"{record.id}: {error}") from error
            raise Dropped("malformed_record", f"{record.id}: {error}") from error
        except BackendError as error:
            if any(fragment.type == "audio" for fragment in record.media):
                raise Dropped("unsupported_media", f"{record.id}: {error}") from error
            raise

    def _check_media(self, conversation: Conversation, name: str) -> None:
        """Find out whether it is a media file that a sample failed over."""
        for message in conversation.messages:
            for part in message.media:
                with _dropping("undecodable_media", name):
                    self.processor.plan(
                        Conversation.user("", [part]),
                        max_length=_UNBOUNDED,
                        max_tiles=1,
                        fps=self.config.video.fps,
                        max_frames=self.config.video.max_frames,
                    )

    def _check_targets(self, layout: TokenLayout, record: Record, cut: bool) -> None:
        """A sample teaches something: by its targets, and by its weight."""
        targets = _num_targets(layout)
        if not targets or record.weight == 0:
            left = "after it was cut to length" if cut else f"(weight {record.weight:g})"
            raise Dropped("no_target", f"{record.id}: {targets} tokens carry loss {left}")
        if cut and targets * _TOKENS_PER_TARGET < layout.num_tokens:
            raise Dropped(
                "too_few_targets",
                f"{record.id}: cut to {layout.num_tokens} tokens, of which {targets} carry loss",
            )


def truncate(layout: TokenLayout, length: int, *, name: str = "sample") -> TokenLayout:
    """Cut ids, labels and the media behind the cut off the end of a layout.

    Args:
        layout: Longer than `length`.
        length: Tokens to keep.
        name: For the message.

    Returns:
        A valid layout of `length` tokens.

    Raises:
        Dropped: The cut would go through a picture (its `<img>` and `</img>` included) or a video.
    """
    kept = []
    for number, span in enumerate(layout.spans, start=1):
        around = int(span.kind == "image")
        first, last = span.start - around, span.start + span.length + around
        if last <= length:
            kept.append(span)
        elif first < length:
            raise Dropped(
                "too_long_media",
                f"{name}: {layout.num_tokens} tokens, and the limit of {length} lies inside media "
                f"{number} ({span.kind} {span.info.get('name', '')}, tokens {first} to {last - 1})",
            )
    return TokenLayout(
        input_ids=layout.input_ids[:length],
        spans=tuple(kept),
        placeholder=layout.placeholder,
        labels=None if layout.labels is None else layout.labels[:length],
    )


def _num_targets(layout: TokenLayout) -> int:
    """Labels that something predicts: all but the first id's."""
    labels = layout.labels or []
    return sum(label != IGNORE_LABEL for label in labels[1:])


@contextmanager
def _dropping(reason: str, name: str) -> Iterator[None]:
    """Bad data met inside drops the sample for this reason."""
    try:
        yield
    except InputError as error:
        raise Dropped(reason, f"{name}: {error}") from error


def _conversation(item: StreamItem) -> Conversation:
    record, store = item.record, item.store
    with _dropping("missing_media", record.id):
        for fragment in record.media:
            store.find(fragment.value)
    _check_order(record)
    with _dropping("malformed_record", record.id):
        return record.conversation(store)


def _check_order(record: Record) -> None:
    """Answers follow questions or tool results, tool results follow answers, an answer is last."""
    previous = ""
    for number, message in enumerate(record.messages):
        allowed = {
            "assistant": ("user", "tool"),
            "tool": ("assistant", "tool"),
        }.get(message.role)
        if allowed is not None and previous not in allowed:
            raise Dropped(
                "bad_turn_order",
                f"{record.id}: messages[{number}] is of {message.role} after "
                f"{previous or 'nothing'}; expected {' or '.join(allowed)} before it",
            )
        if message.role != "system":
            previous = message.role
    if record.messages[-1].role != "assistant":
        raise Dropped(
            "bad_turn_order",
            f"{record.id}: ends with {record.messages[-1].role}, expected an assistant message",
        )


def _check_turns(conversation: Conversation, name: str) -> bool:
    """Every question and answer says something and think tags are well formed.

    Returns:
        Whether the last answer has a trace.
    """
    trace: str | None = None
    for number, message in enumerate(conversation.messages):
        text = cleaned(text_of(message)).strip()
        if message.role == "assistant":
            with _dropping("bad_reasoning", name):
                trace, text = split_reasoning(message)
        empty = not text and not message.media and not message.tool_calls
        if empty and message.role in ("user", "assistant"):
            raise Dropped("empty_turn", f"{name}: messages[{number}] of {message.role} is empty")
    return bool(trace)
