"""Evaluation files in all forms, found again in other texts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from nanovl.core.errors import InputError
from nanovl.synth.quality.overlap import OverlapIndex, build_overlap, evaluation_files

LONG = "what is the total amount due on the invoice that was sent to the city of ghent in may"
SHORT = "how many blue cubes stand behind the large sphere"


def index(tmp_path: Path, *files: Path) -> OverlapIndex:
    build_overlap(evaluation_files(files), tmp_path / "index.sqlite")
    return OverlapIndex(tmp_path / "index.sqlite")


def write(path: Path, value: list[dict[str, object]]) -> Path:
    lines = "\n".join(json.dumps(row) for row in value)
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
        pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
        parquet.write_table(pyarrow.Table.from_pylist(value), path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif path.suffix == ".jsonl":
        path.write_text(lines)
    elif path.suffix == ".json":
        path.write_text(json.dumps(value))
    else:
        path.write_text("\n\n".join(str(v) for row in value for v in row.values()))
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.parquet", "a.txt"])
def test_every_form_is_read(tmp_path: Path, name: str) -> None:
    rows: list[dict[str, object]] = [{"q": "too short"}, {"q": LONG}, {"q": SHORT}]
    found = index(tmp_path, write(tmp_path / name, rows))
    embedded = f"Please say {LONG.upper()}, and be brief."
    hit = found.hit(["nothing", embedded], 13, 8)
    assert hit.startswith(f"{name}:")
    assert "what is the total amount due on the invoice that was sent" in hit
    assert found.hit([f"{SHORT.capitalize()}?"], 13, 8)
    assert not found.hit([LONG[: LONG.index("sent")]], 13, 8)  # 12 words in a row
    assert not found.hit([f"{SHORT} today"], 13, 8)
    assert not found.hit(["too short"], 13, 8)


def test_nested_values_are_read_and_short_ones_counted(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"a": {"b": [{"c": LONG}], "n": 3}, "short": "yes"}]
    path = write(tmp_path / "nested.json", rows)
    counted = build_overlap([path], tmp_path / "x.sqlite")
    assert (counted.files, counted.texts, counted.short) == (1, 2, 1)
    assert counted.grams == len(LONG.split()) - 12
    assert OverlapIndex(tmp_path / "x.sqlite").hit([LONG], 13, 8)


def test_folders_are_searched(tmp_path: Path) -> None:
    folder = tmp_path / "eval" / "deep"
    folder.mkdir(parents=True)
    write(folder / "a.jsonl", [{"q": LONG}])
    (folder / "picture.png").write_bytes(b"x")
    assert evaluation_files([tmp_path / "eval"]) == [folder / "a.jsonl"]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.csv").write_text("x")
    for path, message in {
        tmp_path / "none.jsonl": "no such evaluation file",
        tmp_path / "empty": "holds no evaluation file",
        tmp_path / "a.csv": "are read as",
    }.items():
        with pytest.raises(InputError, match=message):
            evaluation_files([path])
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "bad.jsonl").write_text("{\n")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\xfa")
    for number, name in enumerate(("bad.json", "bad.jsonl", "bad.txt")):
        with pytest.raises(InputError, match=name):
            build_overlap([tmp_path / name], tmp_path / f"{number}.sqlite")


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match=r"bad.parquet: cannot be read as parquet"):
        build_overlap([tmp_path / "bad.parquet"], tmp_path / "x.sqlite")
