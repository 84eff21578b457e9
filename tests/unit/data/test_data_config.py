"""Data settings: defaults of the recipe, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from nanovl.core.config import from_dict, to_dict
from nanovl.core.errors import ConfigError
from nanovl.data.config import DataConfig, PackingConfig, ReuseConfig, VideoSampling


def test_defaults_are_those_of_the_specification() -> None:
    config = DataConfig()
    assert (config.seq_len, config.align, config.max_tiles) == (16384, 16, 12)
    assert config.packing == PackingConfig(
        enabled=True,
        algorithm="balanced",
        buffer_samples=4000,
        delta_frac=0.01,
        max_tiles_per_pack=None,
    )
    assert config.video == VideoSampling(fps=2.0, max_frames=128)
    assert (config.reasoning_probability, config.mask_prompt_reasoning) == (0.5, True)
    assert ReuseConfig() == ReuseConfig(multimodal=0.25, text=0.5)
    assert config.reuse is None


def test_survives_a_trip_through_plain_values() -> None:
    config = DataConfig(
        metadataset="blend.yaml", reuse=ReuseConfig(text=0.25), packing=PackingConfig(enabled=False)
    )
    assert from_dict(DataConfig, to_dict(config)) == config


def test_unknown_key_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'buffer_samples'"):
        from_dict(DataConfig, {"packing": {"buffer_sample": 3}})


@pytest.mark.parametrize(
    ("packing", "on"),
    [({}, True), ({"enabled": False}, False), ({"algorithm": "none"}, False)],
)
def test_packing_is_on(packing: dict[str, Any], on: bool) -> None:
    assert PackingConfig(**packing).is_on is on


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seq_len": 1000}, "not a multiple of data.align 16"),
        ({"seq_len": 0}, "data.seq_len 0"),
        ({"num_workers": -1}, "data.num_workers -1"),
        ({"reasoning_probability": 1.5}, "expected 0 to 1"),
        ({"loader": "webdataset"}, "expected one of plain, energon"),
        ({"pixel_dtype": "int8"}, "expected one of bfloat16, float32"),
        ({"epochs": 0}, "data.epochs 0"),
        ({"split": ""}, "data.split is empty"),
        ({"loader": "energon", "epochs": 2}, "data.epochs is for the loader 'plain'"),
        ({"loader": "energon", "reuse": ReuseConfig()}, "data.reuse is for the loader 'plain'"),
    ],
)
def test_refuses(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DataConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"algorithm": "best"}, "expected one of balanced, greedy, none"),
        ({"buffer_samples": 0}, "buffer_samples 0"),
        ({"delta_frac": -0.1}, "delta_frac -0.1"),
        ({"max_tiles_per_pack": 0}, "max_tiles_per_pack 0"),
        ({"max_tiles_per_pack": 9, "algorithm": "greedy"}, "'balanced' only"),
    ],
)
def test_packing_refuses(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PackingConfig(**settings)


def test_shares_and_rates_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"reuse\.text 0"):
        ReuseConfig(text=0)
    with pytest.raises(ConfigError, match=r"video\.fps 0"):
        VideoSampling(fps=0)
    with pytest.raises(ConfigError, match=r"video\.max_frames 0"):
        VideoSampling(max_frames=0)
