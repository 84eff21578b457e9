"""Options of a harness: words become numbers, mistakes are named before a model is loaded."""

from __future__ import annotations

import pytest

from nanovl.core.errors import ConfigError
from nanovl.core.generation import ReasoningParams
from nanovl.integrations.settings import AskSettings, LoadSettings, split_settings


def test_words_of_a_command_line_become_values():
    load, ask = split_settings(
        {
            "model": "folder",
            "batch_size": "4",
            "reasoning": "on",
            "reasoning_budget": "2048",
            "temperature": "0.5",
            "pruning_rate": 0.75,
            "fps": "1",
            "max_frames": "64",
            "max_tiles": 6,
            "show_reasoning": "True",
            "quant": None,
        },
        where="test",
    )
    assert load == LoadSettings(model="folder", batch_size=4)
    assert ask.params == ReasoningParams(mode="on", budget=2048)
    assert ask.sampling == {"temperature": 0.5}
    assert ask.media == {"max_tiles": 6, "pruning_rate": 0.75, "fps": 1, "max_frames": 64}
    assert ask.show_reasoning is True


def test_nothing_given_is_the_report_without_reasoning():
    load, ask = split_settings({}, where="test")
    assert (load, ask) == (LoadSettings(), AskSettings())
    assert ask.params == ReasoningParams(mode="off")
    assert ask.sampling == {}
    assert ask.media == {}


@pytest.mark.parametrize(("given", "mode"), [(True, "on"), (False, "off"), ("true", "on")])
def test_on_and_off_may_arrive_as_truth_values(given, mode):
    assert split_settings({"reasoning": given}, where="test")[1].reasoning == mode


def test_a_folder_named_like_a_number_stays_a_name():
    assert split_settings({"model": "7"}, where="test")[0].model == "7"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"resoning": "on"}, r"unknown option 'resoning'.*reasoning"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"batch_size": "auto"}, "batch_size"),
        ({"reasoning": "maybe"}, "reasoning"),
        ({"reasoning_budget": 100}, "reasoning off"),
        ({"temperature": -1}, "temperature"),
        ({"max_tokens": 0}, "max_tokens 0"),
        ({"on_error": "ignore"}, "on_error"),
    ],
)
def test_mistakes_are_named(options, says):
    with pytest.raises(ConfigError, match=says):
        split_settings(options, where="test")
