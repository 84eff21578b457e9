"""Ranges of sampling and reasoning settings; sums of usage and timings."""

from typing import Any

import pytest

from nanovl.core.errors import ConfigError
from nanovl.core.generation import ReasoningParams, SamplingParams, Timings, Usage


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"temperature": -0.1}, "temperature -0.1: expected >= 0"),
        ({"temperature": float("nan")}, "temperature nan"),
        ({"top_k": -1}, "top_k -1"),
        ({"top_p": 0.0}, "top_p 0.0"),
        ({"top_p": 1.1}, "top_p 1.1"),
        ({"min_p": 1.0}, "min_p 1.0"),
        ({"repetition_penalty": 0.0}, "repetition_penalty 0.0"),
        ({"max_tokens": 0}, "max_tokens 0"),
        ({"stop": ("",)}, "stop: an empty string"),
    ],
)
def test_sampling_ranges(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        SamplingParams(**changes)


def test_one_stop_string_may_stand_alone() -> None:
    assert SamplingParams(stop="END").stop == ("END",)  # type: ignore[arg-type]
    assert SamplingParams(stop=["a", "b"]).stop == ("a", "b")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mode": "maybe"}, "reasoning mode 'maybe'"),
        ({"mode": "on", "budget": -1}, "reasoning budget -1"),
        ({"mode": "on", "grace": -1}, "reasoning grace -1"),
        ({"mode": "off", "budget": 5}, "budget 5 with reasoning off"),
    ],
)
def test_reasoning_ranges(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        ReasoningParams(**changes)


def test_defaults_of_the_report() -> None:
    assert (SamplingParams().temperature, SamplingParams().max_tokens) == (0.0, 1024)
    assert ReasoningParams().grace == 500


def test_sums() -> None:
    assert Usage(prompt_tokens=3, completion_tokens=4).total_tokens == 7
    timings = Timings(prefill_s=2.0, prefill_tokens=10, decode_s=0.5, decode_tokens=4)
    assert (timings.prefill_tokens_per_s, timings.decode_tokens_per_s) == (5.0, 8.0)
    assert (Timings().prefill_tokens_per_s, Timings().decode_tokens_per_s) == (0.0, 0.0)
