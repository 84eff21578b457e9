"""Displays: the log against the pixels, questions against the log."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nanovl.core.errors import ConfigError
from nanovl.data.convert import templates
from nanovl.synth.video.panels import FAMILIES
from nanovl.synth.video.ticker import TickerConfig, TickerGenerator, create
from tests.unit.synth.checks import check_hash_seeds, made, make
from tests.unit.synth.video.video_checks import check_others_fail, check_video, shown


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_samples_are_sound(family: str) -> None:
    samples = made(TickerGenerator(TickerConfig(families=(family,), max_s=15)), 12)
    for sample in samples:
        frames = check_video(sample)
        log, fps = sample.gt["events"], sample.gt["fps"]
        assert log[0]["t0"] == 0
        assert log[-1]["t1"] == sample.gt["duration"]
        for before, after in itertools.pairwise(log):
            assert before["t1"] == after["t0"]
            assert before["value"] != after["value"]
            assert after["t1"] - after["t0"] >= 1.0
            k = round(after["t0"] * fps)  # the picture changes in this frame
            change = np.abs(frames[k].astype(int) - frames[k - 1].astype(int)).max()
            still = np.abs(frames[k + 1].astype(int) - frames[k].astype(int)).mean()
            assert change > 60
            assert still < 3
    check_others_fail(samples)


@pytest.mark.slow
def test_answers_follow_from_the_log() -> None:
    checked = 0
    for sample in made(TickerGenerator(TickerConfig(tasks=8)), 40):
        log = sample.gt["events"]
        for task in sample.tasks:
            times = [int(m) * 60 + float(s) for m, s in re.findall(r"(\d+):(\d\d(?:\.\d)?)(?!\d)",
                                                                   task.question)]  # fmt: skip
            if task.task == "ticker_at" and sample.gt["family"] != "clock":
                value = next(e["value"] for e in log if times[0] < e["t1"])
                assert task.answer_text == value
            elif task.task == "ticker_difference":
                a, b = (next(int(e["value"]) for e in log if t < e["t1"]) for t in times)
                assert task.answer.value == abs(a - b)
            elif task.task == "ticker_changes":
                assert task.answer.value == len(log) - 1
            elif task.task == "ticker_last":
                assert task.answer_text == log[-1]["value"]
            elif task.task == "ticker_when":
                spans = [templates.span(e["t0"], e["t1"]) for e in log]
                assert task.answer_text in spans
            elif task.task in ("ticker_total", "ticker_times"):
                value = max((e["value"] for e in log if e["value"] in task.question), key=len)
                found = [e["t1"] - e["t0"] for e in log if e["value"] == value]
                assert task.answer.value in (sum(found), len(found))
            else:
                continue
            checked += 1
    assert checked > 150


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="counter"):
        create({"families": ["counters"]})
    with pytest.raises(ConfigError, match="even"):
        create({"fps": 5})


def test_golden(golden: Callable[[str, Any], None]) -> None:
    sample = make(TickerGenerator(), 0)
    assert sample is not None
    golden("synth/video-ticker.json", shown(sample))


def test_hash_seeds_do_not_matter() -> None:
    check_hash_seeds("nanovl.synth.video.ticker", indices="range(4)")
