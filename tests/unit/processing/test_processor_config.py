"""Settings of the input pipeline: bounds, hints, derived numbers."""

from typing import Any

import pytest

from nanovl.core.config import from_dict, to_dict
from nanovl.core.errors import ConfigError, InputError
from nanovl.processing.config import ProcessorConfig, Request


def test_derived_numbers_of_the_released_model() -> None:
    config = ProcessorConfig()
    assert (config.cell, config.patches_per_tile, config.tokens_per_tile) == (32, 1024, 256)
    assert config.native_patches == (1024, 13312)


def test_derived_numbers_of_a_small_tile() -> None:
    config = ProcessorConfig(image_size=64)
    assert (config.patches_per_tile, config.tokens_per_tile) == (16, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 500}, "image_size 500: expected a positive multiple of 32"),
        ({"image_size": 0}, "image_size 0"),
        ({"mode": "tile"}, "did you mean 'tiles'"),
        ({"video_sampling": "recip"}, "did you mean 'recipe'"),
        ({"video_layout": "wide"}, "expected one of train, trt, vllm, compact"),
        ({"max_num_tiles": 0}, "max_num_tiles 0: expected at least 1"),
        ({"max_num_tiles": 65}, "at most 64"),
        ({"max_frames": 0}, "max_frames 0"),
        ({"pdf_dpi": 0}, "pdf_dpi 0"),
        ({"max_length": 0}, "max_length 0"),
        ({"video_fps": 0.0}, "video_fps 0.0"),
        ({"video_fps": float("nan")}, "video_fps nan"),
        ({"video_pruning_rate": 1.0}, "video_pruning_rate 1.0"),
        ({"norm_std": (0.2, 0.0, 0.2)}, "norm_std"),
    ],
)
def test_bad_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProcessorConfig(**changes)


def test_settings_survive_a_file() -> None:
    config = ProcessorConfig(mode="native", max_length=4096, background=(255, 255, 255))
    assert from_dict(ProcessorConfig, to_dict(config)) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_tiles": 0}, "max_tiles 0: expected at least 1"),
        ({"max_tiles": 1000}, "max_tiles 1000: expected at most 64"),
        ({"total_tiles": 0}, "total_tiles 0"),
        ({"max_frames": 0}, "max_frames 0"),
        ({"fps": -1.0}, "fps -1.0"),
        ({"pruning_rate": 1.0}, r"pruning_rate 1.0: expected in \[0, 1\)"),
        ({"pruning_rate": -0.1}, "pruning_rate -0.1"),
        ({"pruning_rate": "much"}, "pruning_rate 'much'"),
    ],
)
def test_bad_requests(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Request(**changes)
