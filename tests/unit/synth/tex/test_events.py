"""What the hooks write is read back: units, matrices, page rotation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nanovl.synth.base import Reject
from nanovl.synth.tex.events import SP, read_recording

FONT = ["font", 1, "f", "F-Roman", "real", 655360, 2, "f.otf", 655360, 0,
        [[65, 5 * SP, 7 * SP, 2 * SP, "0041", []]]]  # fmt: skip


def _page(events: list[object], rotation: int = 0) -> list[object]:
    return ["page", 1, 1, 600 * SP, 800 * SP, rotation, events]


def _read(tmp_path: Path, *lines: object):
    path = tmp_path / "x-gt.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_recording(path)


def test_positions_are_page_points(tmp_path: Path) -> None:
    state = ["s", 2, 5, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 0, 3]
    recording = _read(
        tmp_path, FONT, _page([state, [1, 65, 100 * SP, 200 * SP, 5 * SP]]), ["end", 1, 0.5]
    )
    (item,) = recording.pages[0].items
    assert item.text == "A"
    assert item.box == pytest.approx((100, 193, 105, 202))
    assert (item.state.klass, item.state.inst, item.state.par, item.state.column) == (2, 5, 9, 3)
    assert recording.is_complete


def test_a_matrix_turns_what_comes_after_it(tmp_path: Path) -> None:
    glyph = [1, 65, 110 * SP, 200 * SP, 5 * SP]
    events = [["q", 0, 0], ["m", "0 1 -1 0", 100 * SP, 200 * SP], glyph, ["Q"], glyph]
    turned, plain = _read(tmp_path, FONT, _page(events)).pages[0].items
    assert (turned.x, turned.y) == pytest.approx((100, 190))
    assert turned.is_turned
    assert (plain.x, plain.y) == pytest.approx((110, 200))


def test_a_rotated_page_is_seen_as_shown(tmp_path: Path) -> None:
    page = _read(tmp_path, FONT, _page([[1, 65, 100 * SP, 200 * SP, 5 * SP]], 90)).pages[0]
    assert (page.width, page.height) == pytest.approx((800, 600))
    assert (page.items[0].x, page.items[0].y) == pytest.approx((600, 100))


def test_damage_and_absence_are_named(tmp_path: Path) -> None:
    with pytest.raises(Reject, match="no_pages"):
        read_recording(tmp_path / "nothing")
    (tmp_path / "bad").write_text("[1,")
    with pytest.raises(Reject, match="recording"):
        read_recording(tmp_path / "bad")
