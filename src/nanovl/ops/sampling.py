"""From logits to the next token: penalty, temperature, filters, draw.

Pure functions over a batch of rows, each row with its own parameters. Draws only with the
generators it is given, one uniform number per row, so a request's tokens do not depend on what
else is in the batch or on the device.

Order of operations, that of vLLM: repetition penalty, temperature, min-p, top-k, top-p, draw.
transformers filters by min-p last; the two differ only when min-p and top-p are combined, because
top-p then adds up probabilities over another set.

Letters: b rows, v vocabulary.

Source: Holtzman et al. 2020 (top-p); Fan et al. 2018 (top-k); Nguyen et al. 2024 (min-p);
Keskar et al. 2019 (repetition penalty); model specification, sections 1.3 and 8.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nanovl.core.errors import NanoVLError
from nanovl.core.generation import SamplingParams

__all__ = ["filter_top_p", "position_seed", "process_logits", "sample"]

# The nucleus of a trained model is small: this many candidates are looked at before a full sort.
_CANDIDATES = 1024
_SLACK = 1e-12


def process_logits(
    logits: torch.Tensor,
    params: Sequence[SamplingParams],
    seen_ids: Sequence[torch.Tensor | None] | None = None,
    *,
    num_tokens: int | None = None,
) -> torch.Tensor:
    """Apply penalty, temperature and filters.

    Greedy rows (temperature 0) get the repetition penalty only.

    Args:
        logits: fp32 (b, v); not changed.
        params: One per row.
        seen_ids: Per row the distinct int64 ids the repetition penalty applies to (prompt and
            generated, visual placeholders left out), or None.
        num_tokens: Ids from here on are padding rows of the table and can never be chosen.

    Returns:
        fp32 (b, v) with -inf where a token must not be drawn.

    Raises:
        NanoVLError: A row holds NaN or +inf, or nothing but -inf.
    """
    if len(params) != logits.shape[0]:
        raise ValueError(f"{len(params)} parameter sets for {logits.shape[0]} rows of logits")
    if num_tokens is not None and num_tokens < logits.shape[1]:
        _check(logits)  # before the mask, which would hide a broken padding row
        logits = logits.clone()
        logits[:, num_tokens:] = -torch.inf
    _check(logits)
    logits = _penalise(logits, params, seen_ids)
    hot = [row for row, p in enumerate(params) if p.temperature > 0]
    if not hot:
        return logits
    result = logits.clone()
    result[hot] = _filter(logits[hot], [params[row] for row in hot])
    return result


def sample(
    logits: torch.Tensor,
    params: Sequence[SamplingParams],
    generators: Sequence[torch.Generator | None],
) -> torch.Tensor:
    """Choose one id per row of processed logits.

    Args:
        logits: fp32 (b, v) from `process_logits`.
        params: One per row; temperature 0 takes the largest logit.
        generators: One CPU generator per row; needed for rows with a temperature.

    Returns:
        int64 (b,).
    """
    ids = logits.argmax(dim=-1)
    hot = [row for row, p in enumerate(params) if p.temperature > 0]
    if not hot:
        return ids
    draws = [torch.rand((), dtype=torch.float64, generator=generators[row]) for row in hot]
    uniform = torch.stack(draws).to(logits.device)[:, None]
    # Inverse of the cumulative distribution; fp64 because fp32 sums over 10^5 ids lose the tail.
    cumulative = logits[hot].softmax(dim=-1).double().cumsum(dim=-1)
    target = uniform * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, target, right=True)[:, 0]
    # Rounding may step past the last id with a probability; the likeliest one is always allowed.
    drawn = drawn.clamp_max(logits.shape[1] - 1)
    allowed = logits[hot].gather(1, drawn[:, None])[:, 0] > -torch.inf
    ids[hot] = torch.where(allowed, drawn, ids[hot])
    return ids


def position_seed(seed: int, position: int) -> int:
    """A well mixed 63-bit seed for one position of one request (SplitMix64).

    Seeding every position by itself makes a request repeatable after preemption and in any batch.
    """
    z = (seed * 0x9E3779B97F4A7C15 + (position + 1) * 0xD1B54A32D192ED03) & (2**64 - 1)
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (z ^ (z >> 31)) & (2**63 - 1)


def _check(logits: torch.Tensor) -> None:
    """One pass: the maximum is NaN if anything is, and -inf if everything is."""
    top = logits.amax(dim=-1)
    if bool(top.isfinite().all()):
        return
    row = int((~top.isfinite()).nonzero()[0, 0])
    if bool(top[row] == -torch.inf):
        raise NanoVLError(
            f"next-token logits of row {row} are all -inf: no token is allowed; "
            "relax the constraints of the request or check the output layer of the checkpoint"
        )
    bad = int((~logits[row].isfinite() & (logits[row] != -torch.inf)).sum())
    raise NanoVLError(
        f"next-token logits of row {row} hold {bad} of {logits.shape[1]} values that are NaN or "
        "infinite, expected finite numbers: weights or activations are broken; check the "
        "checkpoint with `nanovl info` and try dtype float32"
    )


def _penalise(
    logits: torch.Tensor,
    params: Sequence[SamplingParams],
    seen_ids: Sequence[torch.Tensor | None] | None,
) -> torch.Tensor:
    """Positive logits of seen ids are divided by the penalty, negative ones multiplied."""
    if seen_ids is None or all(p.repetition_penalty == 1.0 for p in params):
        return logits
    result = logits.clone()
    for row, (param, seen) in enumerate(zip(params, seen_ids, strict=True)):
        if param.repetition_penalty != 1.0 and seen is not None and seen.numel():
            ids = seen.to(logits.device)
            old = result[row, ids]
            penalty = param.repetition_penalty
            result[row, ids] = torch.where(old > 0, old / penalty, old * penalty)
    return result


def _filter(logits: torch.Tensor, params: Sequence[SamplingParams]) -> torch.Tensor:
    """Temperature, min-p, top-k, top-p of rows that are all drawn."""

    def column(values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=logits.dtype, device=logits.device)[:, None]

    # Shifting by the maximum first keeps tiny temperatures from overflowing to inf - inf.
    logits = logits - logits.amax(dim=-1, keepdim=True)
    logits = logits / column([p.temperature for p in params])
    if any(p.min_p > 0 for p in params):
        # p_i < min_p * p_max is logit_i < log(min_p) + logit_max, and logit_max is 0 here.
        floor = column([p.min_p for p in params]).log()
        logits = logits.masked_fill(logits < floor, -torch.inf)
    for row, param in enumerate(params):
        if 0 < param.top_k < logits.shape[1]:
            # Ties with the k-th largest stay, as in vLLM and transformers.
            least = logits[row].topk(param.top_k).values[-1]
            logits[row].masked_fill_(logits[row] < least, -torch.inf)
        if param.top_p < 1:
            logits[row] = filter_top_p(logits[row], param.top_p)
    return logits


def filter_top_p(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keep the smallest set of likeliest tokens whose probability reaches `top_p`.

    Exact, with the boundary of vLLM and transformers: a token stays if those likelier than it hold
    less than `top_p` together, so at least one always stays. Equal logits at the boundary are
    taken by ascending id.

    Args:
        logits: (v,); -inf entries have no probability.
        top_p: In (0, 1).

    Returns:
        (v,) with -inf outside the set.
    """
    total = logits.double().logsumexp(dim=0)
    for count in (min(_CANDIDATES, logits.shape[0]), logits.shape[0]):
        values = (
            logits.topk(count).values if count < logits.shape[0] else logits.sort().values.flip(0)
        )
        reached = (values.double() - total).exp().cumsum(dim=0)
        if float(reached[-1]) >= top_p:
            break
    # A token stays while the sum before it is below top_p, rounding of the sum aside.
    keep = 1 + int((reached[:-1] < top_p - _SLACK).sum())
    least = values[keep - 1]
    stays = logits > least
    missing = keep - int(stays.sum())
    ties = (logits == least).nonzero()[:missing, 0]
    stays[ties] = True
    return logits.masked_fill(~stays, -torch.inf)
