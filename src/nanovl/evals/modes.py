"""How a model is asked: the modes of the report and what a sweep varies.

A mode fixes system text, sampling, token limit and reasoning; a setting adds what changes the
input (tiles, frames, pruning). Neither knows a benchmark or a model.

Source: evaluation specification, sections 2.1, 2.3 and 2.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.core.generation import SamplingParams

__all__ = [
    "BUDGETS",
    "MODES",
    "OPTIONS",
    "PRUNING_RATES",
    "UNRESTRICTED",
    "Mode",
    "Setting",
    "budget_mode",
    "mode",
    "mode_for",
]

GRACE_TOKENS = 500
UNRESTRICTED = 16_384
"""Budget that stands for no budget: as many tokens as an answer may have."""
BUDGETS: tuple[int, ...] = (0, 2048, 4096, 8192, 12288, UNRESTRICTED)
PRUNING_RATES: tuple[float, ...] = (0.0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
OPTIONS = ("max_tiles", "total_tiles", "pruning_rate", "fps", "max_frames", "image_mode")
"""What a setting may change about the input."""

_BUDGET_ID = re.compile(r"mm_budget_(\d+)")


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How answers are generated.

    Attributes:
        id: As in the specification's table.
        reasoning: Whether the model thinks before it answers.
        system: Text that says so to the model; stands before a benchmark's own system text.
        temperature, top_p, top_k: Of sampling; temperature 0 is greedy.
        max_tokens: Most tokens of an answer, reasoning included, where the benchmark says nothing.
        budget: Reasoning tokens after which thinking is ended at a line break; None is no budget.
        grace: Tokens beyond the budget after which thinking is ended anywhere.
    """

    id: str
    reasoning: Literal["off", "on"]
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 1024
    budget: int | None = None
    grace: int = GRACE_TOKENS

    @property
    def system(self) -> str:
        """The published switch of the model family."""
        return "/think" if self.reasoning == "on" else "/no_think"

    @property
    def is_greedy(self) -> bool:
        """Whether every run gives the same answer."""
        return self.temperature == 0

    def sampling(self, run: int, *, seed: int = 0, max_tokens: int | None = None) -> SamplingParams:
        """Sampling of one run.

        Args:
            run: From 0; run i draws with seed + i, so that runs differ.
            seed: Of run 0. Greedy modes take none.
            max_tokens: The benchmark's own limit; None takes the mode's.
        """
        return SamplingParams(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            seed=None if self.is_greedy else seed + run,
            max_tokens=self.max_tokens if max_tokens is None else max_tokens,
        )


def _on(name: str, *, max_tokens: int = UNRESTRICTED, budget: int | None = None) -> Mode:
    return Mode(
        id=name,
        reasoning="on",
        temperature=0.6,
        top_p=0.95,
        max_tokens=max_tokens,
        budget=budget,
    )


MODES: Mapping[str, Mode] = {
    m.id: m
    for m in (
        Mode(id="mm_off", reasoning="off"),
        _on("mm_on"),
        _on("text_on", max_tokens=32_768),
        Mode(id="text_ruler", reasoning="off", max_tokens=128),
    )
}


def mode(name: str) -> Mode:
    """A mode by its id; `mm_budget_2048` and other budgets exist as well.

    Raises:
        ConfigError: There is no such mode.
    """
    if name in MODES:
        return MODES[name]
    found = _BUDGET_ID.fullmatch(name)
    if found:
        return budget_mode(int(found[1]))
    raise ConfigError(
        f"mode {name!r}: expected {', '.join(MODES)} or mm_budget_<tokens>{nearest(name, MODES)}"
    )


def budget_mode(budget: int) -> Mode:
    """The mode of a point of the budget sweep.

    Args:
        budget: Reasoning tokens; 0 is reasoning off, 16,384 and more are no budget.

    Raises:
        ConfigError: A negative number.
    """
    if budget < 0:
        raise ConfigError(f"reasoning budget {budget}: expected at least 0")
    if budget == 0:
        return MODES["mm_off"]
    if budget >= UNRESTRICTED:
        return MODES["mm_on"]
    return _on(f"mm_budget_{budget}", budget=budget)


def mode_for(word: str, *, modality: str, benchmark: str = "") -> Mode:
    """The mode meant by "off" or "on" for a benchmark; other words are ids.

    Args:
        word: "off", "on" or an id.
        modality: Of the benchmark; "text" has settings of its own.
        benchmark: Its id: RULER is always asked in its own way.
    """
    if word not in ("off", "on"):
        return mode(word)
    if modality == "text" and benchmark.startswith("ruler"):
        return MODES["text_ruler"]
    if word == "off":
        return MODES["mm_off"]
    return MODES["text_on" if modality == "text" else "mm_on"]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A mode, and what is changed about the input.

    Attributes:
        mode: How answers are generated.
        options: Values of `OPTIONS`; what is absent is left to the model.

    Raises:
        ConfigError: An option there is not.
    """

    mode: Mode
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.options:
            if name not in OPTIONS:
                raise ConfigError(
                    f"setting {name!r}: expected {', '.join(OPTIONS)}{nearest(name, OPTIONS)}"
                )
        rate = self.options.get("pruning_rate")
        if rate is not None and not 0 <= rate < 1:
            raise ConfigError(f"pruning_rate {rate}: expected in [0, 1)")

    @property
    def label(self) -> str:
        """Name in files and tables: "mm_off", "mm_off,pruning_rate=0.5"."""
        changed = [f"{name}={self.options[name]}" for name in sorted(self.options)]
        return ",".join((self.mode.id, *changed))

    @classmethod
    def parse(cls, label: str) -> Setting:
        """The setting of a label, the other way round.

        Raises:
            ConfigError: No label.
        """
        name, *changed = label.split(",")
        options: dict[str, Any] = {}
        for word in changed:
            key, sign, value = word.partition("=")
            if not sign:
                raise ConfigError(f"setting {label!r}: expected mode,name=value,...")
            options[key] = _value(value)
        return cls(mode=mode(name), options=options)


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
