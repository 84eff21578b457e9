"""The folder of a gallery: what it holds, and what is refused."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanovl.core.errors import InputError
from nanovl.synth.datasets import open_data_set, open_data_sets
from nanovl.synth.gallery import build_site
from nanovl.synth.gallery.pictures import picture_size
from nanovl.synth.video.encode import encode_mp4
from tests.unit.synth.gallery.data_sets import (
    BOXES,
    HOSTILE,
    blocks,
    page_set,
    picture,
    record,
    write_set,
)


def data(path: Path) -> Any:
    """The value a data script hands over."""
    text = path.read_text(encoding="ascii")
    start, end = text.index("{"), text.rindex("}")
    return json.loads(text[start : end + 1])


def test_a_gallery_of_pages(tmp_path: Path) -> None:
    source = open_data_set(page_set(tmp_path / "pages", 5))
    site = build_site([source], tmp_path / "site")
    assert (site.samples, site.total, site.wrong, site.outside) == (5, 5, 0, 0)
    index = data(tmp_path / "site" / "data" / "index.js")
    assert [r["id"] for r in index["samples"]] == [f"ocr-page-train-{k:09d}" for k in range(5)]
    row = index["samples"][2]
    assert (row["g"], row["t"], row["a"], row["d"]) == ("ocr-page", ["ocr"], ["ocr"], "1")
    assert picture_size((tmp_path / "site" / row["p"]).read_bytes())[0] <= 320
    sample = data(tmp_path / "site" / "data" / f"{row['k']}.js")
    (medium,) = sample["media"]
    assert (tmp_path / "site" / medium["src"]).read_bytes() == picture()
    shown = {p["c"]: p["b"] for p in medium["boxes"]}
    assert shown["title"] == list(BOXES[0])
    assert shown["answer"] == pytest.approx([40, 29.9, 200, 89.96])
    assert [r["score"] for r in sample["records"]] == [1.0, 1.0]
    assert sample["texts"][0]["h"] == "<h1>Title 2</h1><p>Some words 2</p>"
    assert sample["command"] == "nanovl synth run ocr-page again --start 2 --count 1 --split train"
    assert dict(sample["about"])["seed"] == "7"


def test_files_need_nothing_from_elsewhere(tmp_path: Path) -> None:
    build_site([open_data_set(page_set(tmp_path / "pages", 1))], tmp_path / "site")
    for path in (tmp_path / "site").rglob("*"):
        if path.suffix in (".html", ".css", ".js"):
            text = path.read_text(encoding="ascii").replace("http://www.w3.org/2000/svg", "")
            assert "http" not in text.replace("http-equiv", ""), path
            assert "//cdn" not in text


def test_same_data_same_bytes(tmp_path: Path) -> None:
    source = open_data_set(page_set(tmp_path / "pages", 2))
    made = []
    for name in ("a", "b"):
        build_site([source], tmp_path / name)
        made.append({p.relative_to(tmp_path / name): p.read_bytes()
                     for p in (tmp_path / name).rglob("*") if p.is_file()})  # fmt: skip
    assert made[0] == made[1]


def test_limits_are_spread_and_old_files_go(tmp_path: Path) -> None:
    source = open_data_set(page_set(tmp_path / "pages", 6))
    build_site([source], tmp_path / "site", limit=0)
    assert build_site([source], tmp_path / "site", limit=2).samples == 2
    index = data(tmp_path / "site" / "data" / "index.js")
    assert [r["n"] for r in index["samples"]] == ["ocr-page 0", "ocr-page 3"]
    assert len(list((tmp_path / "site" / "data").glob("s*.js"))) == 2
    assert index["subtitle"] == "2 of 6 samples"


def test_one_shard_and_folders_of_sets(tmp_path: Path) -> None:
    page_set(tmp_path / "all" / "a", 3)
    page_set(tmp_path / "all" / "b", 2)
    shard = tmp_path / "all" / "a" / "shards" / "000001.gt.jsonl"
    assert [made.id[-1] for made in open_data_set(shard)] == ["2"]
    assert [s.name for s in open_data_sets([tmp_path / "all"])] == ["a", "b"]


def test_wrong_answers_and_boxes_outside_are_told(tmp_path: Path) -> None:
    name = "ocr-page-train-000000000"
    gt = {"width": 400, "height": 260, "blocks": [{"class": "text", "bbox": [0, 0, 500, 20]}]}
    media = {"image": ("image", "png", picture(), {"width": 400, "height": 260})}
    wrong = record(name, 0, "What?", "no", {"type": "text", "value": "yes"})
    odd = record(name, 1, "What?", "no", {"type": "text", "value": "yes"}, "no-such-check")
    write_set(tmp_path / "set", {name: {"gt": gt, "media": media, "records": [wrong, odd]}})
    site = build_site([open_data_set(tmp_path / "set")], tmp_path / "site")
    assert (site.wrong, site.outside) == (2, 1)
    sample = data(tmp_path / "site" / "data" / "s000000.js")
    assert sample["records"][0]["score"] == 0.0
    assert "no-such-check" in sample["records"][1]["problem"]
    assert sample["warnings"] == [
        "1 boxes leave their picture.", "2 reference answers do not pass their own check.",
    ]  # fmt: skip


def test_videos_have_frames_and_times(tmp_path: Path) -> None:
    frames = [np.full((48, 64, 3), 10 * k, np.uint8) for k in range(24)]
    video = encode_mp4(iter(frames), 4)
    name = "video-shapes-train-000000000"
    track = [[k / 4, k, 0, k + 10, 10, 1.0] for k in range(24)]
    gt = {
        "duration": 6.0,
        "objects": [{"attributes": {"shape": "star"}, "track": track}],
        "events": [{"type": "move", "t0": 1.0, "t1": 3.0}],
    }
    said = record(name, 0, "When?", "00:01-00:03", {"type": "interval", "value": [1.0, 3.0]},
                  "interval_iou", [("video", "clip.mp4")])  # fmt: skip
    media = {"clip": ("video", "mp4", video, {"width": 64, "height": 48})}
    write_set(tmp_path / "set", {name: {"gt": gt, "media": media, "records": [said]}})
    build_site([open_data_set(tmp_path / "set")], tmp_path / "site")
    (medium,) = data(tmp_path / "site" / "data" / "s000000.js")["media"]
    assert medium["duration"] == 6.0
    assert len(medium["frames"]) == 20
    for frame in medium["frames"]:
        assert frame["boxes"][0]["b"][0] == round(frame["t"] * 4)
        assert picture_size((tmp_path / "site" / frame["src"]).read_bytes()) == (64, 48)
    assert {s["g"]: (s["a"], s["z"]) for s in medium["spans"]} == {
        "events": (1.0, 3.0), "answers": (1.0, 3.0),
    }  # fmt: skip


def test_sounds_have_a_picture(tmp_path: Path) -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        tone = 9000 * np.sin(np.arange(16000) / 10)
        sound.writeframes(tone.astype("<i2").tobytes())
    name = "audio-train-000000000"
    media = {"talk": ("audio", "wav", out.getvalue(), {"duration": 1.0})}
    write_set(tmp_path / "set", {name: {"gt": {}, "media": media}})
    build_site([open_data_set(tmp_path / "set")], tmp_path / "site")
    (medium,) = data(tmp_path / "site" / "data" / "s000000.js")["media"]
    assert medium["duration"] == pytest.approx(1.0, abs=0.02)
    assert picture_size((tmp_path / "site" / medium["wave"]).read_bytes()) == (640, 96)


def test_pages_of_synth_tex(tmp_path: Path) -> None:
    page = {
        "page": 1, "width": 400, "height": 260, "dpi": 144, "tags": [], "blocks": blocks("A", "b"),
        "verify": {"pos": 1.0},
    }  # fmt: skip
    (tmp_path / "paper-p0001.json").write_text(json.dumps(page))
    (tmp_path / "paper-p0001.png").write_bytes(picture())
    (tmp_path / "paper-report.json").write_text('{"source": "my paper"}')
    source = open_data_set(tmp_path)
    assert (source.kind, source.size) == ("tex", 1)
    build_site([source], tmp_path / "site")
    sample = data(tmp_path / "site" / "data" / "s000000.js")
    assert [p["c"] for p in sample["media"][0]["boxes"]] == ["title", "text"]
    assert sample["command"] == "nanovl synth tex 'my paper' --out pages --dpi 144"


def test_other_data_sets_have_no_boxes(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    (folder / "media").mkdir(parents=True)
    (folder / "media" / "r-1-image.png").write_bytes(picture())
    line = record("r-1", 0, "What?", "yes", {"type": "text", "value": "yes"})
    del line["metadata"]["sample"]
    (folder / "plain.jsonl").write_text(json.dumps(line) + "\n")
    site = build_site([open_data_set(folder)], tmp_path / "site")
    assert site.samples == 1
    sample = data(tmp_path / "site" / "data" / "s000000.js")
    assert sample["media"][0]["boxes"] == []


def test_hostile_names_and_texts_stay_data(tmp_path: Path) -> None:
    name = f"../../{HOSTILE}"
    gt = {"width": 400, "height": 260, "blocks": blocks(HOSTILE, f"**{HOSTILE}**\u2028"),
          "title": HOSTILE, "data_table": [[HOSTILE]]}  # fmt: skip
    said = record("x", 0, HOSTILE, f"# {HOSTILE}", {"type": "text", "value": HOSTILE}, media=[])
    said["metadata"]["sample"] = name
    write_set(tmp_path / "set", {name: {"gt": gt, "records": [said], "tags": [HOSTILE]}})
    build_site([open_data_set(tmp_path / "set")], tmp_path / "site", title=HOSTILE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set", "site"]
    sample = data(tmp_path / "site" / "data" / "s000000.js")
    for part in (*sample["texts"], *sample["tables"], sample["records"][0]["messages"][1]["p"][0]):
        assert "<img" not in part["h"]
        assert "<script" not in part["h"]


def test_what_cannot_be_shown_is_named(tmp_path: Path) -> None:
    folder = page_set(tmp_path / "pages", 2)
    bad = {
        "ocr-page-train-000000009": {
            "gt": {},
            "media": {"image": ("image", "png", b"no picture", {"width": 1, "height": 1})},
        }
    }
    write_set(tmp_path / "bad", bad)  # fmt: skip
    site = build_site([open_data_set(folder), open_data_set(tmp_path / "bad")], tmp_path / "site")
    assert site.samples == 2
    assert "cannot be decoded" in site.skipped["ocr-page-train-000000009"]
    with pytest.raises(InputError, match="no sample can be shown"):
        build_site([open_data_set(tmp_path / "bad")], tmp_path / "other")


def test_folders_that_are_something_else_are_refused(tmp_path: Path) -> None:
    source = open_data_set(page_set(tmp_path / "pages", 1))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="no gallery"):
        build_site([source], tmp_path / "mine")
    with pytest.raises(InputError, match="does not exist"):
        open_data_set(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no data set"):
        open_data_set(tmp_path / "empty")
