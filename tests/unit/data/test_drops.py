"""Counting dropped samples."""

from __future__ import annotations

import json
import logging
import pickle

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.drops import REASONS, DropCounter, Dropped


def _filled() -> DropCounter:
    drops = DropCounter()
    for number in range(5):
        drops.add("ocr", "missing_media", f"picture {number}")
    drops.add("chat", "empty_turn", "messages[1]")
    drops.add("chat", "missing_media")
    return drops


def test_counts_per_reason_and_source() -> None:
    drops = _filled()
    assert drops.counts() == {"missing_media": {"ocr": 5, "chat": 1}, "empty_turn": {"chat": 1}}
    assert drops.metrics() == {
        "data/dropped/empty_turn/chat": 1,
        "data/dropped/missing_media/chat": 1,
        "data/dropped/missing_media/ocr": 5,
    }
    assert drops.total == 7


def test_keeps_the_first_three_messages() -> None:
    assert _filled().examples() == {
        "missing_media": ["picture 0", "picture 1", "picture 2"],
        "empty_turn": ["messages[1]"],
    }


def test_state_is_json_and_restores() -> None:
    drops = _filled()
    drops.used("ocr")
    other = DropCounter()
    other.load_state_dict(json.loads(json.dumps(drops.state_dict())))
    assert other.state_dict() == drops.state_dict()
    other.add("ocr", "no_target")
    assert other.state_dict() != drops.state_dict()


def test_merging_adds_up() -> None:
    merged = DropCounter.merged([_filled().state_dict(), _filled().state_dict()])
    assert merged.counts() == {
        "missing_media": {"ocr": 10, "chat": 2},
        "empty_turn": {"chat": 2},
    }
    assert merged.examples()["missing_media"] == ["picture 0", "picture 1", "picture 2"]
    assert DropCounter.merged([]).counts() == {}


def test_the_set_of_reasons_is_closed() -> None:
    with pytest.raises(ConfigError, match="did you mean 'missing_media'"):
        DropCounter().add("ocr", "missing_medium")
    with pytest.raises(ConfigError, match="unknown reason"):
        Dropped("because", "of this")
    assert all(REASONS.values())


def test_dropped_is_an_input_error_that_travels() -> None:
    drop = pickle.loads(pickle.dumps(Dropped("no_target", "record 7")))
    assert isinstance(drop, InputError)
    assert (drop.reason, drop.message) == ("no_target", "record 7")
    assert str(drop) == "no_target: record 7"


@pytest.mark.parametrize(("bad", "warns"), [(100, False), (101, True)])
def test_warns_about_a_source_that_loses_too_much(
    bad: int, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    drops = DropCounter()
    with caplog.at_level(logging.WARNING):
        for _ in range(10_000 - bad):
            drops.used("ocr")
        for _ in range(bad):
            drops.add("ocr", "undecodable_media")
    assert [r.getMessage() for r in caplog.records] == (
        [
            "source ocr: 101 of the last 10000 samples were dropped (all so far: "
            "undecodable_media 101)"
        ]
        if warns
        else []
    )
