"""The engine's work on tensors: pictures into tokens, prompts into rows, steps into logits, logits
into ids.

Holds the model and the cache; does not know who waits for what.

Source: serving specification, sections 7.2 to 7.4.
"""

from __future__ import annotations

from collections.abc import Sequence as Seq
from typing import Any

import torch

from nanovl.core.errors import NanoVLError
from nanovl.core.generation import TokenLogprob
from nanovl.core.layout import relay_videos
from nanovl.engine.media_cache import Encoded, MediaCache
from nanovl.engine.sequence import Sequence
from nanovl.engine.task import Task
from nanovl.model.cache import HybridCache, LayerStates
from nanovl.model.context import ForwardContext
from nanovl.model.vlm import VLM
from nanovl.ops.sampling import process_logits, sample, token_logprobs

__all__ = ["Runner", "choose", "choose_each"]

Captures = list[tuple[int, LayerStates]]


class Runner:
    """One model at work.

    Args:
        model: Its weights are not changed.
        cache: Of all sequences.
        media: What the encoder made before.
    """

    def __init__(self, model: VLM, cache: HybridCache, media: MediaCache) -> None:
        self.model = model
        self.cache = cache
        self.media = media

    def encode(self, task: Task, max_tiles: int) -> int:
        """Encode some tiles of a sequence's next picture or video.

        Returns:
            Tiles that were encoded; 0 when nothing is left to encode.
        """
        number = next((i for i in missing(task) if not self._found(task, i)), None)
        if number is None:
            return 0
        assert task.inputs is not None
        span, pixels = task.request.layout.spans[number], task.inputs.pixel_values[number]
        at = sum(part.shape[0] for part in task.tiles)
        count = min(max(max_tiles, self.model.tiles_per_call), span.tiles - at)
        task.tiles.append(self.model.encode_media(pixels[at : at + count]))
        if at + count == span.tiles:
            tokens, counts = self.model.prune(span, torch.cat(task.tiles))
            task.tiles = []
            task.encoded[number] = Encoded(tokens, None if counts is None else tuple(counts))
            self.media.put(task.names[number], task.encoded[number])
        return count

    def _found(self, task: Task, number: int) -> bool:
        """Whether somebody else has encoded it meanwhile."""
        found = None if task.tiles else self.media.get(task.names[number])
        if found is not None:
            task.encoded[number] = found
        return found is not None

    def fill(self, task: Task) -> None:
        """Make the input rows of everything that is not in the cache yet."""
        layout, start = task.request.layout, task.computed
        counts = {i: e.counts for i, e in task.encoded.items() if e.counts is not None}
        layout = relay_videos(layout, counts)
        ids = torch.tensor([*layout.input_ids[start:], *task.sequence.ids[:-1]], dtype=torch.int64)
        inside = task.prompt_tokens - start
        wanted = int((ids[:inside] == layout.placeholder).sum()) if layout.spans else 0
        needed = [task.encoded[i].tokens for i in range(len(layout.spans)) if i in task.encoded]
        visual = [torch.cat(needed)[-wanted:]] if wanted else []
        rows = self.model.merge(ids[:inside].to(self.model.device), visual, layout.placeholder)
        if inside < ids.shape[0]:
            rows = torch.cat([rows, self.model.embed_tokens(ids[inside:])])
        task.rows, task.first_row = rows, start
        task.inputs, task.encoded = None, {}

    def forward(
        self,
        steps: Seq[Task],
        prompts: Seq[tuple[Task, int]],
        captures: Seq[Captures],
        wanted: Seq[int],
    ) -> torch.Tensor:
        """One pass: a token of each of `steps`, the next tokens of each of `prompts`.

        Args:
            steps: Sequences with their last id not in the cache yet, in neighbouring slots.
            prompts: Sequences, and how many of their rows.
            captures: Per prompt where Mamba states are wanted.
            wanted: Rows of the stream that become logits.

        Returns:
            fp32 (rows, v).
        """
        parts = []
        if steps:
            last = torch.tensor([task.sequence.ids[-1] for task in steps], dtype=torch.int64)
            parts.append(self.model.embed_tokens(last))
        borders = list(range(len(steps) + 1))
        for task, count in prompts:
            assert task.rows is not None
            at = task.computed - task.first_row
            parts.append(task.rows[at : at + count])
            borders.append(borders[-1] + count)
        x = parts[0] if len(parts) == 1 else torch.cat(parts)
        context = ForwardContext(
            cu_seqlens=tuple(borders),
            cache=self.cache,
            slots=tuple(task.slot for task in (*steps, *(t for t, _ in prompts))),
            captures={len(steps) + i: c for i, c in enumerate(captures) if c},
        )
        if not wanted:
            return self.model(x, context, rows="none")  # type: ignore[no-any-return]
        if len(wanted) == x.shape[0]:
            return self.model(x, context, rows="all")  # type: ignore[no-any-return]
        rows = torch.tensor(wanted, dtype=torch.int64, device=x.device)
        return self.model(x, context, rows=rows)  # type: ignore[no-any-return]


def missing(task: Task) -> list[int]:
    """Pictures and videos of which visual tokens are needed and not there."""
    return [
        i
        for i, span in enumerate(task.request.layout.spans)
        if span.start + span.length > task.computed and i not in task.encoded
    ]


def choose(
    logits: torch.Tensor, sequences: Seq[Sequence], num_tokens: int
) -> list[tuple[int, TokenLogprob | None]]:
    """The next id of every sequence from its row of logits, and how likely it was if asked for.

    Raises:
        NanoVLError: A row holds NaN, or allows nothing.
    """
    params = [s.request.sampling for s in sequences]
    processed = process_logits(
        logits,
        params,
        [s.seen for s in sequences],
        num_tokens=num_tokens,
        generated=[s.generated for s in sequences],
        allowed=[s.allowed() for s in sequences],
        banned=[s.banned for s in sequences],
    )
    drawn: list[Any] = sample(processed, params, [s.generator() for s in sequences]).tolist()
    ids = [s.resolve(int(token)) for s, token in zip(sequences, drawn, strict=True)]
    found: dict[int, TokenLogprob] = {}
    rows = [row for row, p in enumerate(params) if p.logprobs is not None]
    if rows:
        made = token_logprobs(
            logits[rows],
            [ids[row] for row in rows],
            [params[row].logprobs or 0 for row in rows],
            num_tokens=num_tokens,
            reasoning=[not sequences[row].reasoning_over for row in rows],
        )
        found = dict(zip(rows, made, strict=True))
    return [(token, found.get(row)) for row, token in enumerate(ids)]


def choose_each(
    logits: torch.Tensor, sequences: Seq[Sequence], num_tokens: int
) -> list[tuple[int, TokenLogprob | None] | NanoVLError]:
    """`choose`, where a broken row is the error of its own sequence alone."""
    try:
        return [*choose(logits, sequences, num_tokens)]
    except NanoVLError as error:
        if len(sequences) == 1:
            return [error]
    result: list[tuple[int, TokenLogprob | None] | NanoVLError] = []
    for row, sequence in enumerate(sequences):
        try:
            result += choose(logits[row : row + 1], [sequence], num_tokens)
        except NanoVLError as error:
            result.append(error)
    return result
