"""nanovl's own format: what is written comes back, counts are checked, nothing is overwritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.base import Medium, Sample
from nanovl.evals.native import check_count, import_benchmark, write_native
from nanovl.evals.readers import ReadLog, load
from nanovl.evals.readers.folder import read_folder
from nanovl.evals.registry import benchmark
from tests.unit.evals.official import OFFICIAL, png, tsv

TEXT = st.text(max_size=20).filter(lambda t: not any("\ud800" <= c <= "\udfff" for c in t))
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
SAMPLES = st.builds(
    Sample,
    id=TEXT.filter(bool),
    question=TEXT,
    answer=st.one_of(st.none(), TEXT, st.lists(JSON, max_size=3), st.dictionaries(TEXT, JSON)),
    options=st.dictionaries(st.sampled_from("ABC"), TEXT),
    hint=TEXT,
    group=TEXT,
    category=TEXT,
    meta=st.dictionaries(TEXT | st.just("category"), JSON, max_size=3),
)


def everything(sample: Sample) -> dict[str, Any]:
    facts = {**vars(sample), "options": dict(sample.options), "meta": dict(sample.meta)}
    facts["media"] = [
        (m.kind, m.data if m.data is not None else Path(str(m.path)).read_bytes())
        for m in sample.media
    ]
    return facts


@settings(max_examples=60, deadline=None)
@given(samples=st.lists(SAMPLES, max_size=4, unique_by=lambda s: s.id))
def test_any_sample_comes_back(
    samples: list[Sample], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("native")
    assert write_native(samples, folder, manifest={}) == len(samples)
    log = ReadLog(strict=True)
    assert [everything(s) for s in read_folder(folder, log)] == [everything(s) for s in samples]


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_imported_benchmarks_are_read_like_their_own_files(name: str, tmp_path: Path) -> None:
    OFFICIAL[name](tmp_path / "files")
    one = benchmark(name)
    before = load(one, tmp_path / "files")
    done = import_benchmark(one, tmp_path / "files", tmp_path / "out")
    after = load(one, tmp_path / "out")
    assert [u.part for u in after] == [u.part for u in before] == [d.loaded.part for d in done]
    for a, b in zip(after, before, strict=True):
        assert [everything(s) for s in a.samples] == [everything(s) for s in b.samples]
        assert a.found == b.found
    for imported in done:
        facts = json.loads((imported.folder / "manifest.json").read_text(encoding="utf-8"))
        assert facts["benchmark"] == name
        assert facts["samples"] == len(imported.loaded.samples)
        assert facts["converter"].startswith("nanovl ")
        assert facts["licence"] == one.licence
        assert all(len(file["sha256"]) == 64 for file in facts["files"])
    assert not (tmp_path / "out" / ".media.part").exists()


def test_parts_of_an_imported_benchmark(tmp_path: Path) -> None:
    OFFICIAL["screenspot"](tmp_path / "files")
    one = benchmark("screenspot")
    import_benchmark(one, tmp_path / "files", tmp_path / "out")
    (unit,) = load(one, tmp_path / "out", parts=["web"])
    assert [s.id for s in unit.samples] == ["web:0"]
    assert unit.manifest["left_out"] == 2
    (unit,) = load(one, tmp_path / "out")
    assert (unit.found, unit.expected) == (3, 1272)


def test_equal_pictures_are_stored_once(tmp_path: Path) -> None:
    OFFICIAL["crpe_relation"](tmp_path / "files")
    import_benchmark(benchmark("crpe_relation"), tmp_path / "files", tmp_path / "out")
    assert len(list((tmp_path / "out" / "media").iterdir())) == 1


def test_a_different_count_is_told(tmp_path: Path) -> None:
    OFFICIAL["mmmu_val"](tmp_path)
    table = tmp_path / "MMMU_DEV_VAL.tsv"
    with table.open("a", encoding="utf-8") as file:
        file.write("9\ttorn\n")
    (unit,) = load(benchmark("mmmu_val"), tmp_path)
    check = check_count(unit)
    assert not check.agrees
    assert check.lines() == [
        "mmmu_val: samples: expected 900, found 2 (-898)",
        "mmmu_val: malformed rows (cells): 1",
        "mmmu_val: rows of other splits: 1",
    ]


def test_an_unknown_count_is_no_difference(tmp_path: Path) -> None:
    OFFICIAL["r_bench_dis"](tmp_path)
    (unit,) = load(benchmark("r_bench_dis"), tmp_path)
    assert check_count(unit).agrees
    assert check_count(unit).lines() == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    OFFICIAL["mmstar"](tmp_path / "files")
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(InputError, match="holds something already"):
        import_benchmark(benchmark("mmstar"), tmp_path / "files", out)
    assert [p.name for p in out.iterdir()] == ["mine.txt"]


def test_a_failed_import_leaves_nothing(tmp_path: Path) -> None:
    OFFICIAL["mmbench_v11_dev"](tmp_path / "files")
    tsv(tmp_path / "files" / "MMBench_DEV_CN_V11.tsv", [{"index": 1, "image": "x"}])
    with pytest.raises(InputError, match="no column"):
        import_benchmark(benchmark("mmbench_v11_dev"), tmp_path / "files", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_lines_that_are_no_samples_are_named(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "p.png").write_bytes(png(1))
    lines: list[Any] = [
        {"id": "1", "images": ["media/p.png"], "text": "Q"},
        {"id": "1", "text": "again"},
        {"id": "", "text": "Q"},
        {"id": "2", "text": "Q", "colour": "red"},
        {"id": "3", "images": ["media/none.png"]},
        {"id": "4", "images": ["../p.png"]},
        {"id": "5", "images": "media/p.png"},
        {"id": "6", "answers": "x"},
        {"id": "7", "answers": ["a", "b"], "answer_type": "text"},
        {"id": "8", "text": 5},
        {"id": "9", "options": ["a"]},
        "no object",
        {"id": "10", "answers": ["a"], "answer_type": "text", "meta": {"category": "c"}},
    ]
    text = "\n".join(json.dumps(line) for line in lines)
    (tmp_path / "samples.jsonl").write_text(text, encoding="utf-8")
    log = ReadLog()
    found = list(read_folder(tmp_path, log))
    assert [s.id for s in found] == ["1", "10"]
    assert (found[1].answer, found[1].category) == ("a", "c")
    assert [p.line for p in log.problems] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert log.counts == {"duplicate": 1, "sample": 9, "json": 1}
    assert log.rows["samples.jsonl"] == 13


def test_what_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    clip = Medium(kind="video", data=b"\x1a\x45\xdf\xa3", name="v")
    two = Sample(id="1", question="Q", answer=None, media=(clip, clip))
    with pytest.raises(InputError, match="sample 1: one video"):
        write_native([two], tmp_path / "a", manifest={})
    odd = Sample(id="2", question="Q", answer=None, meta={"x": object()})
    with pytest.raises(InputError, match="sample 2: cannot be stored as JSON"):
        write_native([odd], tmp_path / "b", manifest={})
    assert not (tmp_path / "b" / "samples.jsonl").exists()
    empty = Sample(id="3", question="Q", answer=None, media=(Medium(kind="image", name="p"),))
    with pytest.raises(InputError, match="neither bytes nor a path"):
        write_native([empty], tmp_path / "c", manifest={})
