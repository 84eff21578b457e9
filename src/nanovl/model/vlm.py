"""The whole model: pictures and ids in, logits out.

    pixels -> vision encoder -> pixel shuffle -> projector -> EVS -> merged with token embeddings
           -> hybrid decoder -> logits

Opens nothing and samples nothing. `embed` is the only place where placeholders are replaced, and
it refuses any mismatch.

Letters: m tiles, t tokens, d width, v vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from nanovl.core.errors import InputError
from nanovl.core.inputs import ProcessedInputs
from nanovl.core.layout import MediaSpan, TokenLayout, relay_videos
from nanovl.model.config import VLMConfig
from nanovl.model.context import ForwardContext
from nanovl.model.lm import HybridLM, Rows
from nanovl.model.projector import projector
from nanovl.model.vision import VisionModel
from nanovl.ops.evs import kept_per_frame, retention_mask
from nanovl.ops.pixel_shuffle import pixel_shuffle

__all__ = ["VLM", "EmbeddedPrompt"]


@dataclass(frozen=True, kw_only=True)
class EmbeddedPrompt:
    """A prompt ready for the decoder.

    Attributes:
        x: Input rows (t, d).
        input_ids: int64 (t,), placeholders where visual tokens stand.
        layout: As planned, videos written again after pruning.
    """

    x: torch.Tensor
    input_ids: torch.Tensor
    layout: TokenLayout


class VLM(nn.Module):
    """Nemotron Nano V2 VL.

    Args:
        config: Shape.
        device: Where parameters are made; "meta" makes none.
        dtype: Of all parameters but `A_log`, `D` and `dt_bias`, which stay fp32 (fp64 with fp64).
    """

    def __init__(
        self,
        config: VLMConfig,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__()
        self.config = config
        with torch.device(device if device is not None else "cpu"):
            self.vision_model = VisionModel(config.vision)
            self.mlp1 = projector(
                config.projector_input_size,
                config.projector.hidden_size,
                config.lm.hidden_size,
                config.projector.norm_eps,
            )
            self.language_model = HybridLM(config.lm)
        for name, parameter in self.named_parameters():
            if dtype == torch.float64 or name.rsplit(".", 1)[-1] not in {"A_log", "D", "dt_bias"}:
                parameter.data = parameter.data.to(dtype)
        # Tiles per encoder call; the result does not depend on it, the peak memory does.
        # None takes what suits the device.
        self.max_tiles_per_call: int | None = None
        # Number type in which EVS compares frames; None means that of the embeddings.
        self.evs_dtype: torch.dtype | None = torch.float32

    @property
    def dtype(self) -> torch.dtype:
        """Number type of activations."""
        return self.language_model.backbone.embeddings.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the embedding table is."""
        return self.language_model.backbone.embeddings.weight.device

    @property
    def tiles_per_call(self) -> int:
        """Tiles the encoder takes at a time."""
        return self.max_tiles_per_call or (4 if self.device.type == "cpu" else 64)

    def encode_media(self, pixels: torch.Tensor) -> torch.Tensor:
        """Turn normalised pictures of one size into visual tokens.

        Args:
            pixels: (m, 3, height, width), tiles or frames.

        Returns:
            (m, rows, columns, d), rows and columns half the number of patches.
        """
        parts = []
        count = self.tiles_per_call
        for start in range(0, pixels.shape[0], count):
            tiles = pixels[start : start + count]
            features = self.vision_model(tiles.to(self.device, self.dtype))
            shuffled = pixel_shuffle(features, version=self.config.pixel_shuffle_version)
            parts.append(self.mlp1(shuffled))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def encode_pictures(self, pictures: Sequence[torch.Tensor]) -> torch.Tensor:
        """Turn normalised pictures of several sizes into visual tokens.

        Args:
            pictures: (m, 3, height, width) each.

        Returns:
            All of their tokens, in order (j, d).
        """
        room = self.tiles_per_call * self.config.image_size**2
        visual = []
        for group in _groups(pictures, room):
            features = self.vision_model.encode([p.to(self.device, self.dtype) for p in group])
            cells = [pixel_shuffle(f, version=self.config.pixel_shuffle_version) for f in features]
            visual.append(self.mlp1(torch.cat([c.flatten(0, 2) for c in cells])))
        return visual[0] if len(visual) == 1 else torch.cat(visual)

    def embed_tokens(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Rows of the embedding table: int64 (t,) to (t, d)."""
        return self.language_model.embed(input_ids.to(self.device))

    def embed(self, inputs: ProcessedInputs) -> EmbeddedPrompt:
        """Encode the media of a sample and put it where its placeholders stand.

        Raises:
            InputError: Placeholders and visual tokens do not match.
        """
        visual, counts = [], {}
        for index, (span, pixels) in enumerate(
            zip(inputs.layout.spans, inputs.pixel_values, strict=True)
        ):
            tokens, kept = self.prune(span, self.encode_media(pixels))
            visual.append(tokens)
            if kept is not None:
                counts[index] = kept
        layout = relay_videos(inputs.layout, counts)
        input_ids = torch.tensor(layout.input_ids, dtype=torch.int64, device=self.device)
        return EmbeddedPrompt(
            x=self.merge(input_ids, visual, layout.placeholder), input_ids=input_ids, layout=layout
        )

    def prune(self, span: MediaSpan, tokens: torch.Tensor) -> tuple[torch.Tensor, list[int] | None]:
        """What a picture or video brings into the prompt.

        Args:
            span: As planned.
            tokens: Of all its tiles or frames, (m, rows, columns, d) from `encode_media`.

        Returns:
            Visual tokens (kept, d), and kept tokens per frame where the span is pruned.

        Raises:
            InputError: The encoder made another grid than planned.
        """
        if tuple(tokens.shape[1:3]) != span.grid:
            raise InputError(
                f"{span.kind}: encoder made a grid of {tuple(tokens.shape[1:3])} visual tokens "
                f"per tile, planned were {span.grid}"
            )
        if not span.is_pruned:
            return tokens.flatten(0, 2), None
        mask = retention_mask(tokens, span.pruning_rate, dtype=self.evs_dtype)
        return tokens.flatten(1, 2)[mask], kept_per_frame(mask)

    def merge(
        self, input_ids: torch.Tensor, visual: Sequence[torch.Tensor], placeholder: int
    ) -> torch.Tensor:
        """Token embeddings with visual tokens in place of placeholders, in order.

        Args:
            input_ids: int64 (t,).
            visual: Visual tokens (n_i, d), one tensor per picture or video.
            placeholder: Id to replace.

        Returns:
            (t, d).

        Raises:
            InputError: The number of placeholders is not the number of visual tokens.
        """
        x = self.embed_tokens(input_ids)
        if not visual:
            return x
        positions = (input_ids == placeholder).nonzero()[:, 0]
        made = sum(v.shape[0] for v in visual)
        if positions.shape[0] != made:
            raise InputError(
                f"prompt holds {positions.shape[0]} visual placeholders (id {placeholder}) "
                f"but the encoder made {made} visual tokens"
            )
        return x.index_copy(0, positions, torch.cat([v.to(x.dtype) for v in visual]))

    def forward(self, x: torch.Tensor, ctx: ForwardContext, rows: Rows = "last") -> torch.Tensor:
        """Run the decoder over a packed stream of input rows.

        Args:
            x: (t, d); with `ctx.parallel` this rank's rows of them.
            ctx: Segments and cache.
            rows: Rows to turn into logits: "last" of every segment, "all", "none", or indices.

        Returns:
            fp32 (rows, v).

        Raises:
            InputError: x does not have as many rows as the context expects.
        """
        if x.shape[0] != ctx.num_rows:
            raise InputError(
                f"decoder: {x.shape[0]} input rows for a context of {ctx.num_tokens} tokens, "
                f"{ctx.num_rows} of them here"
            )
        return self.language_model(x, ctx, rows)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator | None = None) -> None:
        """Draw weights for training from scratch."""
        self.vision_model.initialize(generator)
        self.language_model.initialize(generator)
        for name, parameter in self.mlp1.named_parameters():
            if name.startswith("0."):
                parameter.fill_(1.0)
            else:
                parameter.normal_(0.0, self.config.lm.initializer_range, generator=generator)


def _groups(pictures: Sequence[torch.Tensor], room: int) -> Iterator[list[torch.Tensor]]:
    """Neighbouring pictures of together so many pixels, or a single larger one."""
    group: list[torch.Tensor] = []
    used = 0
    for pixels in pictures:
        size = pixels.shape[0] * pixels.shape[2] * pixels.shape[3]
        if group and used + size > room:
            yield group
            group, used = [], 0
        group.append(pixels)
        used += size
    if group:
        yield group
