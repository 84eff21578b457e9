"""What a user of a harness may set: the model, reasoning, sampling, and how media is read.

Harnesses hand options over as words of a command line or of a JSON file; here they become one
checked object. Must not load anything.

Source: evaluation specification, sections 2.1 and 9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError
from nanovl.core.generation import ReasoningParams, SamplingParams

__all__ = ["AskSettings", "LoadSettings", "split_settings"]

_SAMPLING = ("max_tokens", "temperature", "top_p", "top_k")
_MEDIA = ("max_tiles", "total_tiles", "pruning_rate", "fps", "max_frames")


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """Which model, and where it runs.

    Attributes:
        model: "mini", a checkpoint folder, or a hub repository.
        device, dtype, quant: As for `nanovl.load`.
        context_length: Longest prompt and answer together; None takes the model's.
        batch_size: Questions decoded together.
    """

    model: str = "mini"
    device: str = "auto"
    dtype: str = "auto"
    quant: str | None = None
    context_length: int | None = None
    batch_size: int = 8

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size {self.batch_size}: expected at least 1")


@dataclass(frozen=True, kw_only=True)
class AskSettings:
    """How every question is asked; None leaves a thing to the task, then to the report.

    Attributes:
        reasoning: "on" or "off".
        reasoning_budget: Reasoning tokens after which thinking is ended; only with reasoning on.
        max_tokens: Upper bound of generated tokens, reasoning included.
        temperature, top_p, top_k: Sampling.
        seed: Of sampling; the same for every question.
        max_tiles: Tiles per picture.
        total_tiles: Tiles of all pictures of a question together.
        pruning_rate: Share of video tokens dropped (EVS), in [0, 1); None takes the checkpoint's.
        fps: Frames per second of a video.
        max_frames: Most frames of a video.
        show_reasoning: Whether answers carry the reasoning in `<think>` tags. The harness must
            then be told to take it out before it scores.
        on_error: What a question that cannot be asked does: "raise" ends the run, "empty" is
            answered by nothing, with a warning in the log.
    """

    reasoning: Literal["off", "on"] = "off"
    reasoning_budget: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int = 0
    max_tiles: int | None = None
    total_tiles: int | None = None
    pruning_rate: float | None = None
    fps: float | None = None
    max_frames: int | None = None
    show_reasoning: bool = False
    on_error: Literal["raise", "empty"] = "raise"

    def __post_init__(self) -> None:
        if self.reasoning_budget is not None and self.reasoning == "off":
            raise ConfigError(
                f"reasoning_budget {self.reasoning_budget} with reasoning off; "
                "set reasoning=on beside it"
            )
        SamplingParams(**self.sampling)  # refuses values out of range now, not at the first row

    @property
    def params(self) -> ReasoningParams:
        """Reasoning as the facade takes it."""
        return ReasoningParams(mode=self.reasoning, budget=self.reasoning_budget)

    @property
    def sampling(self) -> dict[str, Any]:
        """Fields of sampling that were set."""
        return {n: getattr(self, n) for n in _SAMPLING if getattr(self, n) is not None}

    @property
    def media(self) -> dict[str, Any]:
        """Fields of media handling that were set."""
        return {n: getattr(self, n) for n in _MEDIA if getattr(self, n) is not None}


def split_settings(options: Mapping[str, Any], *, where: str) -> tuple[LoadSettings, AskSettings]:
    """Options of a harness as the two objects.

    Args:
        options: Names and values. Numbers may be words; `reasoning` may be a truth value, which is
            what some files make of "on" and "off". None counts as not given.
        where: Where they come from, for messages.

    Raises:
        ConfigError: An unknown option, or a value of the wrong type or range.
    """
    given = {k: _number(v) for k, v in options.items() if v is not None}
    if isinstance(given.get("reasoning"), bool):
        given["reasoning"] = "on" if given["reasoning"] else "off"
    for name in ("model", "device", "dtype", "quant"):
        if name in given:
            given[name] = str(given[name])
    load_names = {f.name for f in fields(LoadSettings)}
    load = {k: v for k, v in given.items() if k in load_names}
    unknown = set(given) - load_names - {f.name for f in fields(AskSettings)}
    if unknown:
        from nanovl.core.config import nearest

        known = sorted(load_names | {f.name for f in fields(AskSettings)})
        name = min(unknown)
        raise ConfigError(f"{where}: unknown option {name!r}{nearest(name, known)}")
    ask = {k: v for k, v in given.items() if k not in load_names}
    return (
        from_dict(LoadSettings, load, where=where),
        from_dict(AskSettings, ask, where=where),
    )


def _number(value: Any) -> Any:
    """A word that is a number or a truth value as one."""
    if not isinstance(value, str):
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
