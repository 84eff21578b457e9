"""`nanovl data ...` as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nanovl.testing import picture, picture_bytes, requires_extra
from tests.e2e.typed import Done, typed

OPTIONS = ("--model", "tiny", "--seq-len", "512")


def nanovl(*words: object, code: int = 0) -> Done:
    done = typed("data", *words)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def alone(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """In a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "nanovl", "data", *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


def record(number: int, image: str = "") -> dict[str, Any]:
    content: list[Any] = [{"type": "text", "text": "What is this?"}]
    if image:
        content.insert(0, {"type": "image", "image": image})
    return {
        "id": f"r-{number}",
        "task": "look" if image else "talk",
        "messages": [
            {"role": "user", "content": content},
            {"role": "assistant", "content": [{"type": "text", "text": "[bold]A thing."}]},
        ],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "things"
    (folder / "media").mkdir(parents=True)
    (folder / "media" / "a.png").write_bytes(picture_bytes(picture(64, 64, "noise")))
    rows = [record(0, "a.png"), record(1), record(2)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "things.jsonl").write_text(lines, encoding="utf-8")
    return folder


def test_inspect(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "page"
    done = alone("inspect", folder, "--out", out, "-n", 2, *OPTIONS)
    printed = done.stdout.splitlines()
    assert printed == [str(out / name) for name in ("sample_00.png", "sample_01.png", "index.html")]
    assert all(Path(line).is_file() for line in printed)


def test_stats(folder: Path) -> None:
    text = nanovl("stats", folder, *OPTIONS).stdout
    assert "things: tokens per sample" in text
    assert "\u2588" in text
    assert "look" in text
    assert "fill" in text
    done = nanovl("stats", folder, "--json", *OPTIONS, "-o", "packing.algorithm=greedy")
    found = json.loads(done.stdout)
    assert (found["total"]["records"], found["total"]["tasks"]) == (3, {"talk": 2, "look": 1})
    assert found["packing"]["algorithm"] == "greedy"


def test_validate(folder: Path) -> None:
    with (folder / "things.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "r-3", "mesages": []}\n')
        file.write(json.dumps(record(4, "b.png")) + "\n")
    done = alone("validate", folder, *OPTIONS, code=1)
    first, second, *table, last = done.stdout.splitlines()
    assert first.startswith("things.jsonl:4: malformed_record: unknown key 'mesages'")
    assert "did you mean 'messages'" in first
    assert second.startswith("things.jsonl:5: missing_media: r-4: ")
    assert "b.png" in second
    assert any("missing_media" in row and "things" in row for row in table)
    assert last == "5 records parsed and encoded: 2 problems"
    assert done.stderr == ""
    cut = folder / "media" / "a.png"
    cut.write_bytes(cut.read_bytes()[:-3000])
    done = nanovl("validate", folder, "--decode", "--json", *OPTIONS, code=1)
    found = json.loads(done.stdout)
    assert [p["where"].partition(":")[2] for p in found["problems"]] == ["1", "4", "5"]
    assert found["counts"]["undecodable_media"] == {"things": 1}


@pytest.mark.slow
@requires_extra("megatron.energon", "train")
def test_prepare(folder: Path) -> None:
    done = alone("prepare", folder)
    blend = folder / "metadataset.yaml"
    assert done.stdout == f"things.jsonl: 3 records\nmedia/: nothing to do\n{blend}\n"
    assert (folder / "things.jsonl.idx").is_file()
    again = json.loads(alone("prepare", folder, "--json").stdout)
    assert (again["records"], again["blend_written"]) == ({"things.jsonl": 3}, False)


def test_convert(tmp_path: Path) -> None:
    formats = json.loads(nanovl("convert", "--json").stdout)
    assert {"captions", "docvqa"} <= set(formats)
    assert all(entry["description"] for entry in formats.values())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(picture_bytes())
    captions = [{"image": "a.png", "caption": "A picture of colours."}]
    (tmp_path / "in" / "captions.json").write_text(json.dumps(captions))
    out = tmp_path / "out"
    done = nanovl("convert", "captions", tmp_path / "in" / "captions.json", out, "--seed", 3)
    assert done.stdout.startswith(f"{out}: 1 records, 1 media files\n")
    checked = nanovl("validate", out, "--decode", *OPTIONS).stdout
    assert checked == "1 records parsed, encoded and decoded: no problems\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["stats", "gone.jsonl"], 2, "gone.jsonl"),
        (["stats", "FOLDER", "-o", "seq_lne=3"], 2, "did you mean 'seq_len'"),
        (["inspect", "FOLDER", "-m", "minni"], 1, "minni"),
        (["convert", "docvqa"], 2, "expected FORMAT SOURCE OUT"),
        (["convert", "docvaq", "in", "out"], 2, "did you mean 'docvqa'"),
        (["prepare", "gone"], 2, "no such folder"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes(folder: Path, words: list[str], code: int, says: str) -> None:
    done = nanovl(*(str(folder) if word == "FOLDER" else word for word in words), code=code)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert says in line
