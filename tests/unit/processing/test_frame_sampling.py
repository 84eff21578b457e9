"""Frame selection and printed times: every row of model specification 11.7."""

from __future__ import annotations

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.processing.sampling import select_frames, timestamps, train_times

NTSC = 30_000 / 1001
# total, fps, n, first indices, last indices
VLLM = [
    (1, 30, 1, [0], [0]),
    (5, 30, 1, [0], [0]),
    (14, 30, 1, [0], [0]),
    (15, 30, 1, [0], [0]),
    (30, 30, 2, [0, 29], [0, 29]),
    (45, 30, 3, [0, 22, 44], [44]),
    (60, 30, 4, [0, 19, 39, 59], [59]),
    (90, 30, 6, [0, 17, 35, 53, 71, 89], [89]),
    (150, 30, 10, [0, 16, 33, 49, 66, 82], [115, 132, 149]),
    (240, 24, 20, [0, 12, 25, 37, 50, 62], [213, 226, 239]),
    (300, 29.97, 20, [0, 15, 31, 47, 62, 78], [267, 283, 299]),
    (300, NTSC, 20, [0, 15, 31, 47, 62, 78], [267, 283, 299]),
    (1500, 25, 120, [0, 12, 25, 37, 50, 62], [1473, 1486, 1499]),
    (1919, 30, 127, [0, 15, 30, 45, 60, 76], [1887, 1902, 1918]),
    (1920, 30, 128, [0, 15, 30, 45, 60, 75], [1888, 1903, 1919]),
    (1950, 30, 128, [0, 15, 30, 46, 61, 76], [1918, 1933, 1949]),
    (3600, 30, 128, [0, 28, 56, 85, 113, 141], [3542, 3570, 3599]),
    (9000, 30, 128, [0, 70, 141, 212, 283, 354], [8857, 8928, 8999]),
    (108_000, 30, 128, [0, 850, 1700, 2551, 3401, 4251], [106_298, 107_148, 107_999]),
    (120, 1, 120, [0, 1, 2, 3], [118, 119]),
    (50, 0, 1, [0], [0]),
]
RECIPE = [
    (60, 30, [0, 20, 39, 59], [59]),
    (90, 30, [0, 18, 36, 53, 71, 89], [89]),
    (150, 30, [0, 17, 33, 50, 66, 83], [116, 132, 149]),
    (300, 29.97, [0, 16, 31, 47, 63, 79], [268, 283, 299]),
    (1950, 30, [0, 15, 31, 46, 61, 77], [1918, 1934, 1949]),
    (3600, 30, [0, 28, 57, 85, 113, 142], [3542, 3571, 3599]),
]
# seconds, n, first times, last time
TRAIN = [
    (2, 8, [0.06, 0.19, 0.31], 0.94),
    (5, 10, [0.20, 0.60, 1.00], 3.80),
    (10, 20, [0.23, 0.68, 1.12], 8.78),
    (64, 128, [0.25, 0.74, 1.23], 62.75),
    (120, 128, [0.46, 1.39, 2.32], 118.54),
    (600, 128, [2.34, 7.02, 11.70], 596.66),
]
TIMES = [
    (60, 30, ["0.00", "0.63", "1.29", "1.95"], "1.95"),
    (240, 24, ["0.00", "0.49", "1.02", "1.52"], "9.80"),
    (300, 29.97, ["0.00", "0.49", "1.02", "1.55"], "9.87"),
    (1500, 25, ["0.00", "0.48", "1.00", "1.48"], "59.96"),
    (1920, 30, ["0.00"], "63.33"),
    (3600, 30, ["0.00", "0.92", "1.85", "2.81"], "118.77"),
]


@pytest.mark.parametrize(("total", "fps", "n", "first", "last"), VLLM)
def test_rule_vllm(total: int, fps: float, n: int, first: list[int], last: list[int]) -> None:
    found = list(select_frames(total, fps))
    assert len(found) == n
    assert found[: len(first)] == first
    assert found[-len(last) :] == last


@pytest.mark.parametrize(("total", "fps", "first", "last"), RECIPE)
def test_rule_recipe(total: int, fps: float, first: list[int], last: list[int]) -> None:
    found = list(select_frames(total, fps, "recipe"))
    assert found[: len(first)] == first
    assert found[-len(last) :] == last


def test_rule_recipe_at_its_ends() -> None:
    assert select_frames(5, 30, "recipe") == (0,)
    assert select_frames(120, 1, "recipe") == tuple(range(120))


@pytest.mark.parametrize(("seconds", "n", "first", "last"), TRAIN)
def test_rule_train_times(seconds: int, n: int, first: list[float], last: float) -> None:
    times = train_times(seconds * 30, float(seconds))
    assert len(times) == n
    assert times[: len(first)] == pytest.approx(first, abs=0.0051)
    assert times[-1] == pytest.approx(last, abs=0.0051)


def test_rule_train_shows_the_frame_at_its_time() -> None:
    assert select_frames(60, 30, "train")[:3] == (1, 5, 9)  # 0.0625, 0.1875, 0.3125 s
    assert select_frames(150, 30, "train")[:3] == (6, 18, 30)  # 0.2, 0.6, 1.0 s
    assert select_frames(7, 30, "train") == tuple(range(7))
    assert select_frames(8, 30, "train") == tuple(range(8))
    # A second or less: the last second cannot be left out.
    assert select_frames(20, 30, "train") == (1, 3, 6, 8, 11, 13, 16, 18)
    # Slow videos repeat frames rather than look behind the end.
    slow = select_frames(9, 0.5, "train")
    assert slow == tuple(sorted(slow))
    assert slow[-1] <= 8
    assert select_frames(40, 0, "train") == (0,) * 8


@pytest.mark.parametrize(("total", "fps", "first", "last"), TIMES)
def test_printed_times(total: int, fps: float, first: list[str], last: str) -> None:
    times = timestamps(select_frames(total, fps), fps)
    assert times is not None
    printed = [f"{t:.2f}" for t in times]
    assert printed[: len(first)] == first
    assert printed[-1] == last


def test_times_count_whole_milliseconds() -> None:
    assert timestamps([1919], 30) == (63.327,)
    assert timestamps([100, 100], 24) == (4.1, 4.1)
    assert timestamps([0, 1], 0) is None
    assert timestamps([0, 1], 2000) is None


@pytest.mark.parametrize("rule", ["vllm", "recipe", "train"])
def test_bounds(rule: str) -> None:
    assert len(select_frames(9000, 30, rule, max_frames=16)) == 16
    assert len(select_frames(900, 30, rule, fps_wanted=1)) == 30
    with pytest.raises(ConfigError, match="at most 0"):
        select_frames(10, 30, rule, max_frames=0)
    with pytest.raises(InputError, match="0 frames"):
        select_frames(0, 30, rule)


def test_unknown_rule() -> None:
    with pytest.raises(ConfigError, match="expected one of vllm, recipe, train"):
        select_frames(10, 30, "random")


def test_part_of_a_video() -> None:
    part = select_frames(300, 30, start_s=2, end_s=4)
    assert part == tuple(60 + i for i in select_frames(60, 30))
    assert select_frames(300, 30, start_s=8)[0] == 240
    assert select_frames(300, 30, end_s=1)[-1] == 29
    assert select_frames(300, 30, end_s=99) == select_frames(300, 30)
    assert select_frames(300, 30, start_s=0.1, end_s=0.11) == (3,)


@pytest.mark.parametrize(
    ("start", "end", "fps", "message"),
    [
        (10, None, 30, r"no frames from 10 s to its end; it is 10\.00 s long"),
        (3, 3, 30, "not a part"),
        (-1, 3, 30, "not a part"),
        (0.101, 0.102, 30, r"no frames from 0\.101 s to 0\.102 s"),
        (1, 2, 0, "rate is unknown"),
    ],
)
def test_parts_that_are_none(start: float, end: float, fps: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        select_frames(300, fps, start_s=start, end_s=end)
