"""From logits to the next token: masks, penalties, temperature, filters, draw; log-probabilities.

Pure functions over a batch of rows, each row with its own parameters. Draws only with the
generators it is given, one uniform number per row, so a request's tokens do not depend on what
else is in the batch or on the device.

Order of operations, that of vLLM: allowed ids, logit bias, repetition, frequency and presence
penalty, temperature, min-p, top-k, top-p, draw. transformers filters by min-p last; the two differ
only when min-p and top-p are combined, because top-p then adds up probabilities over another set.
Log-probabilities are those of the model, from the logits before all of this.

Letters: b rows, v vocabulary.

Source: Holtzman et al. 2020 (top-p); Fan et al. 2018 (top-k); Nguyen et al. 2024 (min-p);
Keskar et al. 2019 (repetition penalty); model specification, sections 1.3 and 8.3; serving
specification, sections 2 and 5.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import torch

from nanovl.core.errors import InputError, NanoVLError
from nanovl.core.generation import SamplingParams, TokenLogprob

__all__ = [
    "TokenCounts",
    "check_token_ids",
    "filter_top_p",
    "position_seed",
    "process_logits",
    "sample",
    "token_logprobs",
]

# The nucleus of a trained model is small: this many candidates are looked at before a full sort.
_CANDIDATES = 1024
_SLACK = 1e-12
# Rows of log-probabilities worked on at once: a whole prompt times a vocabulary is gigabytes.
_LOGPROB_ROWS = 32


class TokenCounts:
    """Distinct ids and how often each was added; adding one costs the same at any length.

    Example:
        >>> counts = TokenCounts([7, 7, 3])
        >>> counts.ids.tolist(), counts.counts.tolist()
        ([7, 3], [2.0, 1.0])
    """

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._place: dict[int, int] = {}
        self._ids = np.zeros(64, np.int64)
        self._counts = np.zeros(64, np.float32)
        for token_id in ids:
            self.add(token_id)

    def __len__(self) -> int:
        return len(self._place)

    def add(self, token_id: int) -> None:
        """Count one more of an id."""
        place = self._place.setdefault(token_id, len(self._place))
        if place == len(self._ids):
            self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
            self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        self._ids[place] = token_id
        self._counts[place] += 1

    @property
    def ids(self) -> torch.Tensor:
        """int64 (distinct,), in order of first appearance; a view, good until the next `add`."""
        return torch.from_numpy(self._ids[: len(self)])

    @property
    def counts(self) -> torch.Tensor:
        """fp32 (distinct,), of `ids`; a view, good until the next `add`."""
        return torch.from_numpy(self._counts[: len(self)])


def process_logits(
    logits: torch.Tensor,
    params: Sequence[SamplingParams],
    seen_ids: Sequence[torch.Tensor | None] | None = None,
    *,
    num_tokens: int | None = None,
    generated: Sequence[TokenCounts | None] | None = None,
    allowed: Sequence[torch.Tensor | None] | None = None,
    banned: Sequence[Collection[int] | None] | None = None,
) -> torch.Tensor:
    """Apply masks, bias, penalties, temperature and filters.

    Greedy rows (temperature 0) are not filtered. Costs nothing for what no row asks for.

    Args:
        logits: fp32 (b, v); not changed.
        params: One per row.
        seen_ids: Per row the distinct int64 ids the repetition penalty applies to (prompt and
            generated, visual placeholders left out), or None.
        num_tokens: Ids from here on are padding rows of the table and can never be chosen.
        generated: Per row the ids generated so far, for presence and frequency penalty, or None.
        allowed: Per row a bool mask (v,) or shorter of what may be drawn, ids behind its end may
            not; or None.
        banned: Per row ids that cannot be drawn, such as stop ids before `min_tokens`, or None.
            Where nothing else is allowed, they can: the mask of a constraint is stronger.

    Returns:
        fp32 (b, v) with -inf where a token must not be drawn.

    Raises:
        NanoVLError: A row holds NaN or +inf, or nothing but -inf.
    """
    rows, width = logits.shape
    for given in (params, seen_ids, generated, allowed, banned):
        if given is not None and len(given) != rows:
            raise ValueError(f"{len(given)} entries for {rows} rows of logits")
    padded = num_tokens is not None and num_tokens < width
    masked = any(m is not None for m in allowed or ()) or any(banned or ())
    if padded or masked:
        _check(logits)  # before masks, which would hide a broken value
    if padded or masked or any(map(_is_shifted, params)):
        logits = logits.clone()
    if padded:
        logits[:, num_tokens:] = -torch.inf
    if masked:
        nothing = [None] * rows
        _restrict(logits, allowed or nothing, banned or nothing)
    _check(logits)
    _add_bias(logits, params)
    _penalise_seen(logits, params, seen_ids)
    _penalise_generated(logits, params, generated)
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


def token_logprobs(
    logits: torch.Tensor,
    ids: Sequence[int],
    top: int | Sequence[int],
    *,
    num_tokens: int | None = None,
    reasoning: Sequence[bool] | None = None,
) -> list[TokenLogprob]:
    """How likely the model found tokens, and what it found likelier.

    Args:
        logits: (b, v) of the model, before masks, penalties and temperature.
        ids: Per row the token that was chosen.
        top: Alternatives to report, for all rows or per row.
        num_tokens: Ids from here on are padding rows of the table and have no probability.
        reasoning: Per row whether the token belongs to the reasoning.

    Returns:
        One entry per row.
    """
    rows = logits.shape[0]
    tops = [top] * rows if isinstance(top, int) else list(top)
    if len(ids) != rows or len(tops) != rows:
        raise ValueError(f"{len(ids)} ids and {len(tops)} counts for {rows} rows of logits")
    entries: list[TokenLogprob] = []
    for start in range(0, rows, _LOGPROB_ROWS):
        # fp32: sums over 10^5 probabilities in bf16 are wrong in the first digit.
        part = logits[start : start + _LOGPROB_ROWS, :num_tokens].float()
        chosen = torch.tensor(ids[start : start + _LOGPROB_ROWS], device=part.device)
        total = part.logsumexp(dim=-1, keepdim=True)
        own = (part.gather(1, chosen[:, None]) - total)[:, 0].tolist()
        most = min(max(tops[start : start + _LOGPROB_ROWS]), part.shape[1])
        best = part.topk(most, dim=-1)
        values, places = (best.values - total).tolist(), best.indices.tolist()
        for at, value in enumerate(own):
            row = start + at
            pairs = zip(places[at][: tops[row]], values[at], strict=False)
            entries.append(
                TokenLogprob(
                    token_id=ids[row],
                    logprob=value,
                    top=tuple(pairs),
                    reasoning=bool(reasoning and reasoning[row]),
                )
            )
    return entries


def check_token_ids(params: SamplingParams, num_tokens: int) -> None:
    """Refuse ids that are not in the vocabulary.

    Raises:
        InputError: Names the field and the id.
    """
    for name, ids in (("logit_bias", params.logit_bias), ("stop_token_ids", params.stop_token_ids)):
        for token_id in ids:
            if not 0 <= token_id < num_tokens:
                raise InputError(
                    f"{name}: token id {token_id}, expected 0 to {num_tokens - 1}; look it up "
                    "with the tokenizer of this model"
                )


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


def _is_shifted(param: SamplingParams) -> bool:
    """Whether a row's logits are edited before the temperature."""
    return bool(
        param.logit_bias
        or param.repetition_penalty != 1.0
        or param.frequency_penalty
        or param.presence_penalty
    )


def _restrict(
    logits: torch.Tensor,
    allowed: Sequence[torch.Tensor | None],
    banned: Sequence[Collection[int] | None],
) -> None:
    """Put -inf where nothing may be drawn, in place."""
    width = logits.shape[1]
    for row, (mask, ban) in enumerate(zip(allowed, banned, strict=True)):
        if mask is not None and (mask.dtype != torch.bool or mask.shape[0] > width):
            raise ValueError(
                f"mask of row {row}: got {mask.dtype} {tuple(mask.shape)}, expected bool of at "
                f"most {width} ids"
            )
        if ban:
            ids = torch.tensor([i for i in ban if i < width], dtype=torch.int64)
            if mask is None:
                logits[row, ids.to(logits.device)] = -torch.inf
            else:
                rest = mask.clone()
                rest[ids[ids < mask.shape[0]].to(mask.device)] = False
                mask = rest if bool(rest.any()) else mask
        if mask is not None:
            end = mask.shape[0]
            logits[row, :end].masked_fill_(~mask.to(logits.device), -torch.inf)
            logits[row, end:] = -torch.inf


def _add_bias(logits: torch.Tensor, params: Sequence[SamplingParams]) -> None:
    for row, param in enumerate(params):
        if param.logit_bias:
            ids = torch.tensor(list(param.logit_bias), dtype=torch.int64, device=logits.device)
            bias = torch.tensor(list(param.logit_bias.values()), dtype=logits.dtype)
            logits[row, ids] += bias.to(logits.device)


def _penalise_seen(
    logits: torch.Tensor,
    params: Sequence[SamplingParams],
    seen_ids: Sequence[torch.Tensor | None] | None,
) -> None:
    """Positive logits of seen ids are divided by the penalty, negative ones multiplied."""
    for row, (param, seen) in enumerate(zip(params, seen_ids or (), strict=False)):
        if param.repetition_penalty != 1.0 and seen is not None and seen.numel():
            ids = seen.to(logits.device)
            old = logits[row, ids]
            penalty = param.repetition_penalty
            logits[row, ids] = torch.where(old > 0, old / penalty, old * penalty)


def _penalise_generated(
    logits: torch.Tensor,
    params: Sequence[SamplingParams],
    generated: Sequence[TokenCounts | None] | None,
) -> None:
    """Subtract from generated ids: one penalty per occurrence, the other once."""
    for row, (param, seen) in enumerate(zip(params, generated or (), strict=False)):
        if (param.frequency_penalty or param.presence_penalty) and seen:
            shift = seen.counts * param.frequency_penalty + param.presence_penalty
            logits[row, seen.ids.to(logits.device)] -= shift.to(logits.device)


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
