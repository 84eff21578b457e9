"""Training data that shares something with validation data is found and left out."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tools.mini_overlap import NOT_FREE, find, main, write_clean
from tools.mini_overlap_parts import MOST_SHARE, english_of, records

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
needs_data = pytest.mark.skipif(
    not (DATA / "MANIFEST.tsv").is_file(), reason="the training data are not beside the repository"
)

HELD = (
    "The keeper of the northern lighthouse climbed the stairs every evening with a brass lamp in "
    "one hand and a loaf of bread in the other while gulls circled above the grey water and the "
    "last boats came home from the banks where cod had been plenty before the war"
)
OWN = (
    "Nobody in the village could remember when the clock on the town hall had last struck noon "
    "although the mayor insisted that it had been repaired twice during his first term of office"
)


def save(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def picture(seed: int) -> bytes:
    image = Image.new("RGB", (96, 96), "white")
    draw = ImageDraw.Draw(image)
    for i in range(6):
        x, y = (seed * 37 + i * 53) % 80, (seed * 71 + i * 29) % 80
        draw.rectangle((x, y, x + 8 + (seed * i) % 30, y + 20), fill=(seed * 40 % 256, i * 40, 90))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def archive(path: Path, items: dict[str, tuple[bytes, dict[str, Any]]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, (data, facts) in items.items():
            for name, content in (
                (f"{key}.png", data),
                (f"{key}.json", json.dumps(facts).encode()),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder like the real one, with one leak of every kind and something innocent beside it."""
    root = tmp_path / "data"
    words = HELD.split()
    save(root / "text/wiki_val.jsonl.gz", [{"id": "v1", "title": "Lamp", "text": HELD}])
    save(
        root / "text/wiki_train.jsonl.gz",
        [
            {"id": "same", "title": "Light", "text": "First words. " + " ".join(words[5:30])},
            {"id": "a-run", "title": "Run", "text": OWN + " " + " ".join(words[:18])},
            {"id": "page", "title": "Ports of 1901", "text": OWN},
            {"id": "fine", "title": "Clock", "text": OWN},
        ],
    )
    save(root / "text/tech_val.jsonl.gz", [{"id": "gnome-help-lamp", "title": "", "text": "x"}])
    save(root / "text/tech_train.jsonl.gz", [{"id": "gnome-help-sun", "title": "", "text": OWN}])
    save(
        root / "text/multilingual.jsonl.gz",
        [
            {"id": "de-lamp", "lang": "de", "doc": "gnome:help/lamp.page", "text": "Die Lampe"},
            {"id": "de-sun", "lang": "de", "doc": "gnome:help/sun.page", "text": "Die Sonne"},
        ],
    )
    rows = [["Kilkeel harbour", "1901", "412"], ["Portavogie harbour", "1902", "268"]]
    save(
        root / "tables/wtq_tables.jsonl.gz",
        [
            {"table_id": "t-val", "title": "Ports of 1901", "header": ["a"], "rows": rows},
            {"table_id": "t-copy", "title": "Other page", "header": ["a"],
             "rows": [["Kilkeel  Harbour", "1901", "412"], ["Larne", "1", "2"]]},
            {"table_id": "t-fine", "title": "Ports", "header": ["a"],
             "rows": [["Larne and some other harbour", "1", "2"]]},
        ],
    )  # fmt: skip
    question = "Which harbour?"
    save(root / "tables/wtq_val.jsonl.gz",
         [{"id": "q0", "table_id": "t-val", "question": question, "answers": ["x"]}])  # fmt: skip
    save(
        root / "tables/wtq_train.jsonl.gz",
        [
            {"id": "q1", "table_id": "t-copy", "question": question, "answers": ["x"]},
            {"id": "q2", "table_id": "t-fine", "question": question, "answers": ["x"]},
        ],
    )
    archive(root / "images/clip_val.tar", {"c0": (picture(1), {"name": "a"})})
    archive(
        root / "images/clip_train.tar",
        {"c1": (picture(1), {"name": "b"}), "c2": (picture(5), {"name": "c"})},
    )
    lines = [{"text": part} for part in (HELD[:70], HELD[70:150], HELD[150:])]
    archive(root / "receipts/r_val.tar", {"r0": (picture(2), {"lines": lines})})
    archive(
        root / "receipts/r_train.tar",
        {
            "r1": (picture(3), {"lines": lines}),
            "r2": (picture(4), {"lines": [*reversed(lines), {"text": OWN}]}),
            "shop": (picture(2)[:-4] + b"xxxx", {"lines": [lines[0], {"text": OWN}]}),
        },
    )
    archive(root / "charts/mcqa_train.tar", {"m": (picture(1), {})})
    return root


def test_every_kind_of_overlap_is_found(data: Path) -> None:
    found = find(data)
    reasons = {key: why for per in found.dropped.values() for key, why in per.items()}
    assert {key: why.split(":")[0] for key, why in reasons.items()} == {
        "same": "text", "a-run": "text", "page": "page", "de-lamp": "page",
        "t-val": "validation", "t-copy": "table", "q1": "table", "c1": "picture",
        "r1": "lines", "r2": "lines",
    }  # fmt: skip
    assert "v1" in reasons["same"]
    assert found.seen["text/wiki_train.jsonl.gz"] == 4
    assert not any(name.startswith(NOT_FREE) for name in found.seen)


def test_few_common_words_are_no_overlap(data: Path) -> None:
    # Six runs of 13 words out of more than ten times as many.
    long = " ".join(f"{word} number {i}" for i, word in enumerate((HELD + " " + HELD).split()))
    save(data / "text/wiki_val.jsonl.gz", [{"id": "v1", "title": "L", "text": HELD + " " + long}])
    (data / "receipts/r_val.tar").unlink()
    found = find(data)
    assert "a-run" not in found.dropped["text/wiki_train.jsonl.gz"]
    assert 0 < found.shares["wiki_val.jsonl.gz"]["v1"] < MOST_SHARE
    assert found.most == max(s for per in found.shares.values() for s in per.values())


def test_the_copy_has_everything_but_the_overlap(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "clean"
    assert main(["--data", str(data)]) == 1
    assert main(["--data", str(data), "--out", str(out)]) == 0
    assert main(["--data", str(out), "--held", str(data)]) == 0
    assert "left out" in capsys.readouterr().out
    ids = [row["id"] for row in records(out / "text/wiki_train.jsonl.gz")]
    assert ids == ["fine"]
    assert [r["id"] for r in records(out / "text/multilingual.jsonl.gz")] == ["de-sun"]
    assert [r["table_id"] for r in records(out / "tables/wtq_tables.jsonl.gz")] == ["t-fine"]
    assert [r["id"] for r in records(out / "tables/wtq_train.jsonl.gz")] == ["q2"]
    with tarfile.open(out / "images/clip_train.tar") as tar:
        assert tar.getnames() == ["c2.png", "c2.json"]
        member = tar.extractfile("c2.png")
        assert member is not None
        assert member.read() == picture(5)
    assert (out / "text/tech_train.jsonl.gz").is_symlink()  # nothing to leave out
    assert not (out / "tables/wtq_val.jsonl.gz").exists()
    assert not (out / "charts").exists()
    report = json.loads((out / "overlap.json").read_text(encoding="utf-8"))
    assert report["files"]["text/wiki_train.jsonl.gz"]["reasons"] == {"text": 2, "page": 1}
    # Writing it again changes no byte.
    before = (out / "text/wiki_train.jsonl.gz").read_bytes()
    write_clean(data, out, find(data))
    assert (out / "text/wiki_train.jsonl.gz").read_bytes() == before


def test_translations_know_their_original() -> None:
    assert english_of("gnome:gnome-help/a-b.page") == "gnome-gnome-help-a-b"
    assert english_of("debian-handbook:sect.apt.html") == "dhb-sect.apt"


def test_the_command_line_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path)]) == 1
    assert "no training data" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([])
    (tmp_path / "text").mkdir()
    (tmp_path / "text/wiki_train.jsonl.gz").write_bytes(b"no gzip")
    assert main(["--data", str(tmp_path)]) == 1
    assert "wiki_train.jsonl.gz: cannot be read" in capsys.readouterr().err


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Two sets of a suite: made pictures with a worded question, and problems in text."""
    root = tmp_path / "suite"
    asked = "Where in the picture do you see " + " ".join(f"thing{i}" for i in range(14))
    for name, question in (("grounding", asked), ("maths-text", HELD)):
        folder = root / name
        (folder / "media").mkdir(parents=True)
        row: dict[str, Any] = {"id": name, "text": question, "answers": ["x"]}
        if name == "grounding":
            (folder / "media" / "a.png").write_bytes(picture(1))
            row["images"] = ["media/a.png"]
        (folder / "samples.jsonl").write_text(json.dumps(row) + "\n")
    sets = {"grounding": {"origin": "made: scenes-2d"}, "maths-text": {"origin": "GSM8K"}}
    (root / "manifest.json").write_text(json.dumps({"suite": "s", "sets": sets, "files": {}}))
    return root


def training(folder: Path, text: str, shown: bytes) -> Path:
    """A training set of one record."""
    (folder / "media").mkdir(parents=True)
    (folder / "media" / "p.png").write_bytes(shown)
    content = [{"type": "image", "image": "p.png"}, {"type": "text", "text": text}]
    record = {"id": "r", "messages": [{"role": "user", "content": content},
                                      {"role": "assistant", "content": "x"}]}  # fmt: skip
    (folder / "train.jsonl").write_text(json.dumps(record) + "\n")
    return folder / "train.jsonl"


def test_a_suite_is_looked_for_in_training_sets(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = json.loads((suite / "grounding" / "samples.jsonl").read_text())["text"]
    for number, (text, shown, leaks) in enumerate(
        (
            (OWN, picture(5), []),
            (asked, picture(5), []),  # a wording of the template, another picture
            (HELD, picture(5), ["maths-text: text"]),
            (OWN, picture(1), ["grounding: medium"]),
        )
    ):
        path = training(tmp_path / f"set{number}", text, shown)
        assert main(["--suite", str(suite), "--sets", str(path)]) == bool(leaks)
        told = capsys.readouterr().out
        assert [line.split(",")[0] for line in told.splitlines()[:-1]] == leaks
        assert f"{len(leaks)} leaks" in told


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs_data
def test_the_real_training_data_hold_nothing_of_the_validation_data(tmp_path: Path) -> None:
    out = tmp_path / "clean"
    before = find(DATA)
    assert sum(before.seen.values()) > 80_000
    write_clean(DATA, out, before)
    after = find(out, DATA)
    assert not any(after.dropped.values())
    left = sum(after.seen.values()) / sum(before.seen.values())
    assert 0.9 < left < 1.0  # the data are still there
    # Together, all that is left has less than a third of any validation text; receipts of one
    # shop share heads and feet, and are taken in turns as they were typed.
    worst = {name: max(found.values()) for name, found in after.shares.items()}
    assert all(share < 1 / 3 for name, share in worst.items() if name != "sroie_val.tar"), worst
    assert worst["sroie_val.tar"] < 0.65
