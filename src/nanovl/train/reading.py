"""Reading as a task of the vision encoder alone: characters of known lines, by CTC.

A small encoder that starts from random weights learns to tell letters apart an order of magnitude
sooner when it is asked for them directly than through a language model. The head is thrown away
afterwards. Must not know where pictures and lines come from.

Source: design, section 5 (dense auxiliary reading loss in the pre-stage); CTC: Graves et al. 2006.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from nanovl.core.errors import InputError

__all__ = ["ReadingHead", "placing_loss", "reading_loss"]

BLANK = 0
_NEVER = -1e4
_HOPELESS = 50.0  # nats per character; only characters pressed out of their line cost that much
_SILENCE_COUNTS = 0.3  # there are several steps without a character to each that has one


class ReadingHead(nn.Module):
    """Characters of lines from the features of tiles.

    Two heights of every line are looked at, and every column of patches may say several letters.

    Args:
        width: Features of a patch (u).
        alphabet: The characters it can say, each once.
        steps: Letters or blanks per column of patches.
        hidden: Width between the two layers, per step.
    """

    def __init__(self, width: int, alphabet: str, *, steps: int = 4, hidden: int = 128) -> None:
        super().__init__()
        if len(set(alphabet)) != len(alphabet) or not alphabet:
            raise InputError("reading head: expected an alphabet with every character once")
        self.alphabet = alphabet
        self.steps = steps
        self.look = nn.Linear(2 * width, steps * hidden)
        self.say = nn.Linear(hidden, len(alphabet) + 1)
        self._numbers = {char: k + 1 for k, char in enumerate(alphabet)}

    def forward(
        self, features: torch.Tensor, tiles: torch.Tensor, boxes: torch.Tensor
    ) -> torch.Tensor:
        """Log probabilities of characters, blank first.

        Args:
            features: (m, rows, columns, u) of the encoder.
            tiles: (n,) int64, the tile of every line.
            boxes: (n, 4) x0, y0, x1, y1 of the lines, in patches.

        Returns:
            (columns * steps, n, characters + 1) in fp32; certain blanks beside the line.
        """
        rows, columns = features.shape[1:3]
        n = tiles.shape[0]
        x0, y0, x1, y1 = boxes.unbind(1)  # each (n,)
        seen = []
        for part in (0.3, 0.7):
            # Centres of patches are at halves.
            y = (y0 + part * (y1 - y0) - 0.5).clamp(0, rows - 1)
            above = y.floor().long().clamp(max=max(rows - 2, 0))
            share = (y - above).to(features.dtype)[:, None, None]
            upper = features[tiles, above]  # (n, columns, u)
            lower = features[tiles, (above + 1).clamp(max=rows - 1)]
            seen.append(upper + share * (lower - upper))
        hidden = F.gelu(self.look(torch.cat(seen, dim=-1)))  # (n, columns, steps * hidden)
        logits = self.say(hidden.view(n, columns * self.steps, -1)).float()
        centres = torch.arange(columns * self.steps, device=features.device) + 0.5
        x = centres / self.steps  # (t,) in patches
        beside = (x < x0[:, None] - 0.5) | (x > x1[:, None] + 0.5)  # (n, t)
        silence = torch.full((logits.shape[-1],), _NEVER, device=logits.device)
        silence[BLANK] = 0.0
        logits = torch.where(beside[..., None], silence, logits)
        return logits.log_softmax(-1).transpose(0, 1)

    def numbers(self, text: str) -> list[int]:
        """Targets of a text; characters outside the alphabet are left out."""
        return [self._numbers[char] for char in text if char in self._numbers]

    def read(self, log_probs: torch.Tensor) -> list[str]:
        """The likeliest characters of every line, step by step (t, n, characters + 1)."""
        best = log_probs.argmax(-1).t().tolist()  # n lists of t
        texts = []
        for line in best:
            said = [k for k, before in zip(line, [BLANK, *line], strict=False) if k != before]
            texts.append("".join(self.alphabet[k - 1] for k in said if k != BLANK))
        return texts


def reading_loss(
    head: ReadingHead, log_probs: torch.Tensor, texts: Sequence[str]
) -> tuple[torch.Tensor, int]:
    """CTC loss per character.

    Args:
        head: For its alphabet.
        log_probs: (t, n, characters + 1) of `head`.
        texts: n lines.

    Returns:
        The loss, and how many characters it is the mean of. Lines that have more characters than
        steps, or so many that they do not fit between their ends, count as nothing.
    """
    wanted = [head.numbers(text) for text in texts]
    steps, n, _ = log_probs.shape
    lengths = torch.tensor([len(w) for w in wanted], device=log_probs.device)
    targets = torch.tensor([k for w in wanted for k in w], dtype=torch.long)
    each = F.ctc_loss(
        log_probs,
        targets.to(log_probs.device),
        torch.full((n,), steps),
        lengths,
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )  # (n,)
    # Equal neighbours need a blank between them.
    needed = [len(w) + sum(a == b for a, b in itertools.pairwise(w)) for w in wanted]
    fits = torch.tensor(needed, device=log_probs.device) <= steps
    possible = fits & (each.detach() < _HOPELESS * lengths)
    count = int((lengths * possible).sum())
    return torch.where(possible, each, 0.0).sum() / max(count, 1), count


def placing_loss(
    head: ReadingHead,
    log_probs: torch.Tensor,
    boxes: torch.Tensor,
    texts: Sequence[str],
    centres: Sequence[Sequence[float]],
) -> torch.Tensor:
    """Cross-entropy of every step, where it is known which character stands there.

    CTC has to find out by itself which step says which character, and for long says nothing at all.
    With places from the renderer that part is given; CTC takes over when letters are told apart.

    Args:
        head: For its alphabet and steps.
        log_probs: (t, n, characters + 1) of `head`.
        boxes: (n, 4) of the lines, in patches.
        texts: n lines.
        centres: Per line the middle of every character, in patches from the left.

    Returns:
        The mean over the steps of all lines; steps without a character count less.
    """
    steps, n, _ = log_probs.shape
    wanted = np.zeros((n, steps), dtype=np.int64)
    for row, (text, places) in enumerate(zip(texts, centres, strict=True)):
        taken = -1
        for char, place in zip(text, places, strict=True):
            number = head.numbers(char)
            at = max(int(place * head.steps), taken + 1)
            if number and at < steps:
                wanted[row, at], taken = number[0], at
    targets = torch.from_numpy(wanted)
    middles = (torch.arange(steps) + 0.5) / head.steps  # (t,) in patches
    low, high = boxes[:, :1].float().cpu(), boxes[:, 2:3].float().cpu()
    inside = (middles >= low) & (middles <= high)  # (n, t)
    weights = torch.where(targets == BLANK, _SILENCE_COUNTS, 1.0) * inside
    targets, weights = targets.to(log_probs.device), weights.to(log_probs.device)
    said = log_probs.transpose(0, 1).gather(2, targets[..., None])[..., 0]  # (n, t)
    return -(said * weights).sum() / weights.sum().clamp_min(1.0)
