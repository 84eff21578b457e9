"""A conversation becomes model inputs, in two steps.

`Processor.plan` needs sizes only and returns a `TokenLayout` within milliseconds: enough to refuse
a prompt that is too long, to tell what it costs, or to pack training samples. `Processor.load`
decodes the pixels of a plan. Neither touches the model.

Source: model specification, sections 6 to 8; training specification, section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import torch

from nanovl.core.conversation import Conversation
from nanovl.core.errors import InputError
from nanovl.core.generation import ReasoningParams
from nanovl.core.inputs import ProcessedInputs
from nanovl.core.layout import IGNORE_LABEL, MediaSpan, TokenLayout
from nanovl.processing.config import ProcessorConfig, Request
from nanovl.processing.fingerprint import fingerprint
from nanovl.processing.fit import too_long
from nanovl.processing.images import open_image
from nanovl.processing.media import Limits
from nanovl.processing.opening import MediaOpener, OpenedMessage
from nanovl.processing.pdf import render_pages
from nanovl.processing.pieces import Control, Piece, Slot
from nanovl.processing.pixels import to_pixels, to_tiles
from nanovl.processing.sizing import ImagePlan, VideoPlan, size_images, size_video
from nanovl.processing.speech import Transcriber
from nanovl.processing.template import (
    reasoning_enabled,
    render,
    render_training,
    split_reasoning,
)
from nanovl.processing.tokenizer import Tokenizer
from nanovl.processing.video import load_frames
from nanovl.processing.video_layout import spread

__all__ = ["Processor", "TokenCount"]

# Ids the reference keeps free when it sizes pictures of the native mode.
_NATIVE_RESERVE = 4


@dataclass(frozen=True)
class _Run:
    """Ids of consecutive text, all supervised or none."""

    ids: list[int]
    supervised: bool


@dataclass(frozen=True, kw_only=True)
class TokenCount:
    """What a prompt costs.

    Attributes:
        total: Length of the prompt in tokens.
        text: Ordinary text and control tokens, frame announcements included.
        image, video: Visual tokens, after pruning.
        media: Per picture and video what was decided (the `info` of its span).
    """

    total: int
    text: int
    image: int
    video: int
    media: tuple[dict[str, Any], ...]


class Processor:
    """Tokenizer, template and media pipeline of one checkpoint.

    Safe to use from several threads.

    Args:
        tokenizer: The checkpoint's.
        config: Settings.
        limits: What media is accepted; the default takes any local file the caller names and
            nothing from the network.
        transcriber: Speech recognition for audio and the sound of videos, or None.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: ProcessorConfig | None = None,
        *,
        limits: Limits | None = None,
        transcriber: Transcriber | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.config = config or ProcessorConfig()
        self.limits = limits or Limits()
        self._transcriber = transcriber
        self._opener = MediaOpener(self.config, self.limits, transcriber)

    def with_config(self, config: ProcessorConfig) -> Processor:
        """The same tokenizer, limits and transcriber with other settings."""
        return Processor(self.tokenizer, config, limits=self.limits, transcriber=self._transcriber)

    def localize(self, conversation: Conversation) -> Conversation:
        """Fetch everything behind URLs once, for a conversation that is planned repeatedly.

        Raises:
            InputError: Media that is not allowed, too large or cannot be fetched.
        """
        return self._opener.localized(conversation)

    def plan(
        self,
        conversation: Conversation,
        *,
        reasoning: ReasoningParams | bool | None = None,
        add_generation_prompt: bool = True,
        bos: bool = True,
        keep_history_reasoning: bool = True,
        training: bool = False,
        loss: Sequence[bool] | None = None,
        mask_prompt_reasoning: bool = True,
        max_length: int | None = None,
        max_tiles: int | None = None,
        total_tiles: int | None = None,
        use_thumbnail: bool | None = None,
        pruning_rate: float | Literal["auto"] | None = None,
        fps: float | None = None,
        max_frames: int | None = None,
    ) -> TokenLayout:
        """Lay out a prompt, or a training sample, without decoding a pixel.

        Args:
            conversation: What was said.
            reasoning: Thinking on or off; None and mode "auto" leave it to `/think` and
                `/no_think` in the messages. In training, None is on when the last answer has a
                trace.
            add_generation_prompt: Whether to end with the opening of an assistant turn.
            bos: Whether to begin with `<s>`.
            keep_history_reasoning: Whether earlier assistant turns keep their reasoning.
            training: Make a sample with labels; the conversation ends in an answer.
            loss: Training: per assistant message whether it may carry loss.
            mask_prompt_reasoning: Training: see `render_training`.
            max_length: Longest prompt in tokens; None takes the config's.
            max_tiles, total_tiles, use_thumbnail, pruning_rate, fps, max_frames: See `Request`.

        Returns:
            The layout. Videos that are going to be pruned hold the right number of visual
            tokens, spread evenly; the encoder decides later which frames keep them.

        Raises:
            InputError: Unusable media, mismatched placeholders, or a prompt that is too long.
            BackendError: Audio without a transcript and no transcriber.
        """
        request = Request(
            max_tiles=max_tiles,
            total_tiles=total_tiles,
            use_thumbnail=use_thumbnail,
            pruning_rate=pruning_rate,
            fps=fps,
            max_frames=max_frames,
        )
        opened = self._opener.open(conversation)
        media = [message.media for message in opened]
        if training:
            pieces = render_training(
                conversation,
                reasoning=_trains_reasoning(conversation, reasoning),
                bos=bos,
                loss=loss,
                mask_prompt_reasoning=mask_prompt_reasoning,
                media=media,
            )
        else:
            pieces = render(
                conversation,
                reasoning=reasoning_enabled(conversation, reasoning),
                add_generation_prompt=add_generation_prompt,
                bos=bos,
                keep_history_reasoning=keep_history_reasoning,
                media=media,
            )
        limit = max_length if max_length is not None else self.config.max_length
        runs = self._encode(pieces)
        layout = self._assemble(runs, opened, request, limit, training)
        if limit is not None and layout.num_tokens > limit:
            raise too_long(
                layout,
                limit,
                self.config,
                request,
                lambda other: self._assemble(runs, opened, other, limit, training).num_tokens,
            )
        return layout

    def count_tokens(self, conversation: Conversation, **options: Any) -> TokenCount:
        """What a prompt costs, without decoding a pixel; options as for `plan`."""
        layout = self.plan(conversation, **options)
        image = sum(s.num_tokens for s in layout.spans if s.kind == "image")
        video = sum(s.num_tokens for s in layout.spans if s.kind == "video")
        return TokenCount(
            total=layout.num_tokens,
            text=layout.num_tokens - image - video,
            image=image,
            video=video,
            media=tuple(span.info for span in layout.spans),
        )

    def load(self, layout: TokenLayout, *, dtype: torch.dtype = torch.bfloat16) -> ProcessedInputs:
        """Decode the media of a plan.

        Args:
            layout: From `plan` of this processor.
            dtype: Of the pixels.

        Returns:
            Ids, labels and one tensor (m, 3, height, width) per span.

        Raises:
            InputError: Media that turns out to be damaged, or changed since it was planned.
        """
        pixels: list[torch.Tensor] = []
        for (document, _), spans in groupby(layout.spans, key=_document_of):
            plans = [span.source for span in spans]
            if document is None:
                pixels += [self._pixels(plan, dtype) for plan in plans]
                continue
            first = plans[0].opened
            pages = render_pages(first.ref, [p.opened.page for p in plans], first.dpi, self.limits)
            pixels += [
                self._image_pixels(plan, page, dtype)
                for plan, page in zip(plans, pages, strict=True)
            ]
        labels = layout.labels
        return ProcessedInputs(
            layout=layout,
            input_ids=torch.tensor(layout.input_ids, dtype=torch.int64),
            pixel_values=tuple(pixels),
            labels=None if labels is None else torch.tensor(labels, dtype=torch.int64),
        )

    def fingerprints(self, layout: TokenLayout) -> tuple[bytes | None, ...]:
        """Per span a name under which what the encoder makes of it may be kept, or None."""
        shared = repr(self.config)
        return tuple(fingerprint(span, shared) for span in layout.spans)

    # --- planning -------------------------------------------------------------------------------

    def _encode(self, pieces: Sequence[Piece]) -> list[_Run | Slot]:
        runs: list[_Run | Slot] = []
        for piece in pieces:
            if isinstance(piece, Slot):
                runs.append(piece)
            elif isinstance(piece, Control):
                runs.append(_Run([self.tokenizer.token_id(piece.name)], piece.supervised))
            else:
                runs.append(_Run(self.tokenizer.encode(piece.text), piece.supervised))
        return runs

    def _assemble(
        self,
        runs: Sequence[_Run | Slot],
        opened: Sequence[OpenedMessage],
        request: Request,
        limit: int | None,
        training: bool,
    ) -> TokenLayout:
        tokenizer = self.tokenizer
        plans: dict[Slot, ImagePlan | VideoPlan] = {}
        used = sum(len(run.ids) for run in runs if isinstance(run, _Run))
        for message, found in enumerate(opened):
            for number, video in enumerate(found.videos):
                plan = size_video(video, self.config, request, tokenizer)
                if len(plan.indices) > self.limits.max_frames:
                    raise InputError(
                        f"{video.name}: {len(plan.indices)} frames wanted, limit "
                        f"{self.limits.max_frames}; lower max_frames or raise the media limit"
                    )
                plans[Slot("video", message, number)] = plan
                used += plan.length
        slots = [
            Slot("image", m, n) for m, found in enumerate(opened) for n in range(len(found.images))
        ]
        # Each picture also brings <img> and </img>.
        room = None if limit is None else limit - used - 2 * len(slots) - _NATIVE_RESERVE
        images = [image for found in opened for image in found.images]
        plans.update(zip(slots, size_images(images, self.config, request, room), strict=True))

        ids: list[int] = []
        labels: list[int] = []
        spans: list[MediaSpan] = []
        for run in runs:
            if isinstance(run, Slot):
                block, span = self._block(plans[run], len(ids))
                spans.append(span)
                ids += block
                labels += [IGNORE_LABEL] * len(block)
            else:
                ids += run.ids
                labels += run.ids if run.supervised else [IGNORE_LABEL] * len(run.ids)
        return TokenLayout(
            input_ids=ids,
            spans=tuple(spans),
            placeholder=tokenizer.image_id,
            labels=labels if training else None,
        )

    def _block(self, plan: ImagePlan | VideoPlan, start: int) -> tuple[list[int], MediaSpan]:
        """Ids of one piece of media, and its span when the block begins at `start`."""
        tokenizer = self.tokenizer
        if isinstance(plan, ImagePlan):
            visual = [tokenizer.image_id] * plan.num_tokens
            span = MediaSpan(
                kind="image",
                start=start + 1,
                length=plan.num_tokens,
                num_tokens=plan.num_tokens,
                tiles=plan.tiles,
                tile_size=plan.tile_size,
                grid=plan.grid,
                source=plan,
                info=plan.info,
            )
            return [tokenizer.image_start_id, *visual, tokenizer.image_end_id], span
        span = MediaSpan(
            kind="video",
            start=start,
            length=plan.length,
            num_tokens=plan.num_tokens,
            tiles=len(plan.indices),
            tile_size=plan.tile_size,
            grid=plan.grid,
            before=plan.before,
            after=plan.after,
            pruning_rate=plan.pruning_rate,
            source=plan,
            info=plan.info,
        )
        return span.frame_ids(spread(plan.num_tokens, len(plan.indices)), tokenizer.image_id), span

    # --- loading --------------------------------------------------------------------------------

    def _pixels(self, plan: ImagePlan | VideoPlan, dtype: torch.dtype) -> torch.Tensor:
        config = self.config
        if isinstance(plan, VideoPlan):
            return load_frames(
                plan.opened.ref,
                plan.indices,
                plan.tile_size,
                mean=config.norm_mean,
                std=config.norm_std,
                dtype=dtype,
                limits=self.limits,
            )
        image = open_image(
            plan.opened.ref, self.limits, exif=config.apply_exif, background=config.background
        )
        return self._image_pixels(plan, image, dtype)

    def _image_pixels(self, plan: ImagePlan, image: Any, dtype: torch.dtype) -> torch.Tensor:
        config, opened = self.config, plan.opened
        if image.size != (opened.width, opened.height):
            raise InputError(
                f"{opened.name}: {image.size[0]}x{image.size[1]} pixels, but it was "
                f"{opened.width}x{opened.height} when the prompt was planned; do not change media "
                "in between"
            )
        if plan.cut is None:
            whole = to_pixels(
                image, plan.tile_size, mean=config.norm_mean, std=config.norm_std, dtype=dtype
            )
            return whole[None]
        return to_tiles(
            image,
            plan.cut,
            config.image_size,
            use_thumbnail=plan.has_thumbnail,
            mean=config.norm_mean,
            std=config.norm_std,
            dtype=dtype,
        )


def _document_of(span: MediaSpan) -> tuple[int | None, int]:
    """Groups neighbouring pages of one document, which is opened once for all of them."""
    plan = span.source
    if isinstance(plan, ImagePlan) and plan.opened.page is not None:
        return id(plan.opened.ref), plan.opened.dpi
    return None, 0


def _trains_reasoning(conversation: Conversation, reasoning: ReasoningParams | bool | None) -> bool:
    """Whether a sample is rendered with its trace."""
    if isinstance(reasoning, bool):
        return reasoning
    if isinstance(reasoning, ReasoningParams) and (
        reasoning.mode != "auto" or reasoning.budget == 0
    ):
        return reasoning_enabled(conversation, reasoning)
    answers = [m for m in conversation.messages if m.role == "assistant"]
    return bool(answers) and bool(split_reasoning(answers[-1])[0])
