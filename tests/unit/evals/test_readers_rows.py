"""Malformed rows are named and counted; nothing in a file is evaluated or followed."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings, strategies as st

from nanovl.core.errors import InputError
from nanovl.evals.readers import ReadLog, load, read, same_manifest
from nanovl.evals.readers.cells import as_list, literal_list
from nanovl.evals.readers.find import inside, is_url
from nanovl.evals.readers.ns_jsonl import choose_mmlu_pro
from nanovl.evals.registry import benchmark
from tests.unit.evals.official import OFFICIAL, TEDDY, b64, jsonl, mp4, png, tsv

MMSTAR = benchmark("mmstar")


def row(index: object, **more: object) -> dict[str, object]:
    image = b64(png(1))
    base = {"index": index, "image": image, "question": "Q?", "A": "x", "B": "y", "answer": "A"}
    return {**base, **more}


def test_malformed_rows_are_named_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "MMStar.tsv"
    not_a_picture = b64(
        b"this is text, and no picture at all, however long it may become in the end"
    )
    tsv(
        path,
        [
            row(0),
            row(0, question="again"),
            row("", question="no index"),
            row(3, question=""),
            row(4, answer=""),
            row(5, image=""),
            row(6, image="x" * 80),
            row(7, image=not_a_picture),
            row(8, image="99"),
            row(9, image="[not a list of pictures at all, but long enough to be no reference]"),
            row(10),
        ],
    )
    with path.open("ab") as file:
        file.write(b"11\tonly\tfour\tcells\n")
        file.write(b"12\t" + b64(png(1)).encode() + b"\t\xff\xfe\tx\ty\tA\n")
        file.write(b"13\ttorn")
    (unit,) = load(MMSTAR, tmp_path)
    assert [sample.id for sample in unit.samples] == ["0", "10"]
    found = [(p.line, p.reason) for p in unit.problems]
    assert found == [
        (3, "duplicate"),
        (4, "index"),
        (5, "question"),
        (6, "answer"),
        (7, "picture"),
        (8, "picture"),
        (9, "picture"),
        (10, "picture"),
        (11, "picture"),
        (13, "cells"),
        (14, "encoding"),
        (15, "cells"),
    ]
    assert unit.files[0].rows == 14  # nothing lost: 2 usable, 12 named
    assert unit.manifest["malformed"] == {
        "duplicate": 1,
        "index": 1,
        "question": 1,
        "answer": 1,
        "picture": 5,
        "cells": 2,
        "encoding": 1,
    }
    assert all(problem.file == "MMStar.tsv" for problem in unit.problems)
    assert unit.problems[0].where == "MMStar.tsv:3"


def test_lines_are_those_of_the_file_when_cells_span_lines(tmp_path: Path) -> None:
    tsv(tmp_path / "MMStar.tsv", [row(0, question="one\ntwo\nthree"), row(1, answer="")])
    (unit,) = load(MMSTAR, tmp_path)
    assert unit.problems[0].line == 5


def test_without_a_log_the_first_malformed_row_is_an_error(tmp_path: Path) -> None:
    tsv(tmp_path / "MMStar.tsv", [row(0), row(1, answer="")])
    samples = read(tmp_path / "MMStar.tsv", MMSTAR)
    assert next(samples).id == "0"
    with pytest.raises(InputError, match=r"MMStar\.tsv:3: row 1: no answer"):
        next(samples)
    with pytest.raises(InputError, match="MMStar"):
        load(MMSTAR, tmp_path, strict=True)


def test_a_file_without_a_usable_row_is_an_error(tmp_path: Path) -> None:
    tsv(tmp_path / "MMStar.tsv", [row(0, answer="")])
    with pytest.raises(InputError, match=r"no usable row.*1 malformed.*MMStar\.tsv:2"):
        load(MMSTAR, tmp_path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    tsv(tmp_path / "MMStar.tsv", [{"index": 0, "image": b64(png(1)), "query": "Q?"}])
    with pytest.raises(InputError, match=r"no column question, answer; it has index, image, query"):
        load(MMSTAR, tmp_path)
    (tmp_path / "MMStar.tsv").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        load(MMSTAR, tmp_path)
    (tmp_path / "MMStar.tsv").write_bytes(b"index\tindex\n1\t2\n")
    with pytest.raises(InputError, match="names the columns index twice"):
        load(MMSTAR, tmp_path)


def test_none_is_text_unless_pandas_is_imitated(tmp_path: Path) -> None:
    tsv(tmp_path / "MMStar.tsv", [row(0, **{**TEDDY, "C": "None", "D": "N/A"})])
    (kept,) = load(MMSTAR, tmp_path)
    assert kept.samples[0].options == {**TEDDY, "C": "None", "D": "N/A"}
    assert kept.log.lost_options == 0
    for profile in ("vk", "legacy"):
        (lost,) = load(MMSTAR, tmp_path, profile=profile)
        assert list(lost.samples[0].options) == ["A", "B"]
        assert lost.log.lost_options == 2
        assert lost.manifest["lost_options"] == 2
        assert dict(lost.log.lost_cells) == {"C": 1, "D": 1}


def test_an_answer_pandas_loses(tmp_path: Path) -> None:
    OFFICIAL["mtvqa_test"](tmp_path)
    one = benchmark("mtvqa_test")
    tsv(tmp_path / "MTVQA_TEST.tsv", [row(0, answer="null", category="EN")])
    (kept,) = load(one, tmp_path)
    assert kept.samples[0].answer == "null"
    (lost,) = load(one, tmp_path, profile="vk")
    assert lost.samples[0].answer == "nan"


def test_a_reference_may_point_forward(tmp_path: Path) -> None:
    tsv(tmp_path / "MMStar.tsv", [row(0, image="1"), row(1), row(2, image="1")])
    (unit,) = load(MMSTAR, tmp_path)
    assert [sample.media[0].data for sample in unit.samples] == [png(1)] * 3


def test_lists_of_texts_are_data_only(tmp_path: Path) -> None:
    marker = tmp_path / "was_run"
    attack = f"[__import__('pathlib').Path({str(marker)!r}).touch(), 'x' * 40]"
    tsv(tmp_path / "MMStar.tsv", [row(0, image=attack + " " * 60), row(1)])
    tsv(tmp_path / "OCRBench.tsv", [row(0, answer=attack)])
    (unit,) = load(MMSTAR, tmp_path)
    assert [p.reason for p in unit.problems] == ["picture"]
    (unit,) = load(benchmark("ocrbench"), tmp_path)
    assert unit.samples[0].answer == [attack]  # a text like any other
    assert not marker.exists()


@given(st.text(max_size=60))
def test_cells_never_raise(text: str) -> None:
    assert literal_list(text) is None or isinstance(literal_list(text), list)
    assert as_list(f"[{text}]") is not None


@given(
    st.lists(
        st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
        max_size=5,
    )
)
def test_lists_come_back(values: list[object]) -> None:
    assert literal_list(repr(values)) == values


@settings(max_examples=30)
@given(cells=st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=4))
def test_any_text_survives_a_table(
    cells: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    # Pandas writes a lone carriage return without quotes and cannot read it back either.
    questions = [f"Q{cell}".replace("\r", "\n") for cell in cells]
    clean = [q.encode("utf-8", "ignore").decode() for q in questions]
    tsv(folder / "MMStar.tsv", [row(n, question=q) for n, q in enumerate(clean)])
    (unit,) = load(MMSTAR, folder)
    assert [s.question for s in unit.samples] == clean


def test_pictures_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "images" / "MMStar").mkdir(parents=True)
    (tmp_path / "images" / "MMStar" / "a.png").write_bytes(png(1))
    (tmp_path / "b.png").write_bytes(png(2))
    outside = tmp_path.parent / "outside.png"
    outside.write_bytes(png(3))
    names = [
        "a.png",
        "['a.png', 'b.png']",
        "../outside.png",
        str(outside),
        "http://x/y.png",
        "c.png",
    ]
    rows = [
        {k: v for k, v in row(n, image_path=name).items() if k != "image"}
        for n, name in enumerate(names)
    ]
    tsv(tmp_path / "MMStar.tsv", rows)
    (unit,) = load(MMSTAR, tmp_path)
    assert [len(sample.media) for sample in unit.samples] == [1, 2]
    assert unit.samples[0].media[0].path == str(tmp_path / "images" / "MMStar" / "a.png")
    reasons = [p.message for p in unit.problems]
    assert "leads out of" in reasons[0]
    assert "leads out of" in reasons[1]
    assert "on the network" in reasons[2]
    assert "there is no c.png" in reasons[3]
    assert unit.manifest["media"]["files"] == 2


def test_paths_and_urls(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1", encoding="utf-8")
    assert inside(tmp_path, "x") == tmp_path / "x"
    assert inside(tmp_path, "y") is None
    for name in ("../x", "/etc/passwd", "https://a/b", "a\0b"):
        with pytest.raises(InputError):
            inside(tmp_path, name)
    assert is_url("http://a")
    assert not is_url("C:/data")
    assert not is_url("folder/file:/x/../..")


EXPORTS = ["parquet", "jsonl", "json"]


@pytest.mark.parametrize("suffix", EXPORTS)
def test_exports_with_other_names_of_columns(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(png(2))
    records = [
        {
            "question_id": 10,
            "query": "What?",
            "options": ["cat", "None"],
            "answer": "A",
            "image": {"bytes": png(1), "path": None},
            "category": "c",
        },
        {
            "question_id": 11,
            "query": "And?",
            "options": ["dog", "hen"],
            "answer": "B",
            "image": {"bytes": None, "path": "p.png"},
            "category": None,
        },
    ]
    path = tmp_path / f"MMStar.{suffix}"
    if suffix == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
    else:
        plain = [{**r, "image": "p.png" if n else b64(png(1))} for n, r in enumerate(records)]
        text = json.dumps(plain) if suffix == "json" else "\n".join(map(json.dumps, plain))
        path.write_text(text, encoding="utf-8")
    (unit,) = load(MMSTAR, tmp_path)
    assert unit.problems == ()
    first, second = unit.samples
    assert (first.id, first.question, first.answer) == ("10", "What?", "A")
    assert first.options == {"A": "cat", "B": "None"}
    assert first.media[0].data == png(1)
    assert second.media[0].path == str(tmp_path / "p.png")
    assert unit.files[0].name == f"MMStar.{suffix}"


def test_numbered_pictures_of_an_export(tmp_path: Path) -> None:
    records = [
        {
            "id": "validation_Art_1",
            "question": "<image 1> or <image 2>?",
            "options": "['first', 'second']",
            "answer": "A",
            "image_2": {"bytes": png(2), "path": "b.png"},
            "image_1": {"bytes": png(1), "path": "a.png"},
            "image_3": None,
            "split": "validation",
        }
    ]
    path = tmp_path / "MMMU_DEV_VAL.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
    (unit,) = load(benchmark("mmmu_val"), tmp_path)
    (sample,) = unit.samples
    assert [m.data for m in sample.media] == [png(1), png(2)]
    assert sample.options == {"A": "first", "B": "second"}


def test_broken_exports(tmp_path: Path) -> None:
    path = tmp_path / "MMStar.jsonl"
    good = json.dumps({**row(1)})
    path.write_text(f'{good}\n\n{{"torn": \n[1]\n', encoding="utf-8")
    (unit,) = load(MMSTAR, tmp_path)
    assert [(p.line, p.reason) for p in unit.problems] == [(3, "json"), (4, "json")]
    path.unlink()
    (tmp_path / "MMStar.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        load(MMSTAR, tmp_path)
    (tmp_path / "MMStar.parquet").unlink()
    (tmp_path / "MMStar.json").write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(InputError, match="expected a list of objects"):
        load(MMSTAR, tmp_path)


def test_videos_that_are_missing_are_named(tmp_path: Path) -> None:
    OFFICIAL["mlvu_dev"](tmp_path)
    (tmp_path / "video" / "3_ego" / "v.mp4").unlink()
    (tmp_path / "json" / "5_order.json").unlink()
    wrong = [{"video": "v.mp4", "question": "Q?", "candidates": ["a", "b"], "answer": "c"}]
    (tmp_path / "json" / "4_count.json").write_text(json.dumps(wrong), encoding="utf-8")
    (unit,) = load(benchmark("mlvu_dev"), tmp_path)
    assert len(unit.samples) == 4
    assert [(p.file, p.reason) for p in unit.problems] == [
        ("3_ego.json", "video"),
        ("4_count.json", "answer"),
    ]
    assert unit.manifest["notes"] == [f"tasks that are missing in {tmp_path / 'json'}: 5_order"]


def test_videos_from_the_table_of_the_harness(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(mp4())
    base = {
        "index": 0,
        "video": "a",
        "video_path": "./videos/a.mp4",
        "question": "Who?",
        "candidates": "['x', 'y']",
        "correct_choice": 1,
        "duration_group": 60,
        "video_id": "a",
    }
    tsv(tmp_path / "LongVideoBench.tsv", [base, {**base, "index": 1, "correct_choice": 2}])
    (unit,) = load(benchmark("longvideobench_val"), tmp_path)
    (sample,) = unit.samples
    assert (sample.answer, sample.options) == ("B", {"A": "x", "B": "y"})
    assert unit.problems[0].message == "correct_choice 2, expected 0 to 1"


def test_documents_beside_their_list(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "d.pdf").write_bytes(b"%PDF-1.4 made for a test\n" + b"x" * 80)
    record = {
        "doc_id": "d.pdf",
        "question": "Q?",
        "answer": "['a', 'b']",
        "answer_format": "List",
        "evidence_pages": "[3]",
        "evidence_sources": "['Table']",
    }
    missing = {**record, "doc_id": "e.pdf"}
    (tmp_path / "samples.json").write_text(json.dumps([record, missing]), encoding="utf-8")
    (unit,) = load(benchmark("mmlongbench_doc"), tmp_path)
    (sample,) = unit.samples
    assert (sample.media[0].kind, sample.group) == ("pdf", "d.pdf")
    assert sample.answer == "['a', 'b']"  # the metric parses answers of this format
    assert sample.meta["evidence_pages"] == [3]
    assert unit.problems[0].reason == "picture"


def test_pairs_without_their_other_half(tmp_path: Path) -> None:
    OFFICIAL["rd_tablebench"](tmp_path)
    (tmp_path / "groundtruth" / "c.html").write_text("<table></table>", encoding="utf-8")
    (tmp_path / "groundtruth" / "d.html").write_text("nothing", encoding="utf-8")
    (tmp_path / "groundtruth" / "b_page1.html").write_bytes(b"<table>\xff</table>")
    (unit,) = load(benchmark("rd_tablebench"), tmp_path)
    assert [sample.id for sample in unit.samples] == ["a_page0"]
    assert sorted(p.reason for p in unit.problems) == ["answer", "encoding", "picture"]
    assert sum(record.rows for record in unit.files) == 4


def test_records_of_text_benchmarks_that_cannot_be_used(tmp_path: Path) -> None:
    good = {"key": 1, "prompt": "P", "instruction_id_list": ["a:b"], "kwargs": [{}]}
    bad = [{**good, "kwargs": []}, {**good, "prompt": ""}, {"key": 2}, good]
    jsonl(tmp_path / "ifeval.jsonl", [good, *bad])
    (unit,) = load(benchmark("ifeval"), tmp_path)
    assert [p.reason for p in unit.problems] == ["record", "record", "record", "duplicate"]
    steps = [{"step_number": "1.1"}, {}]
    jsonl(tmp_path / "test_aai.jsonl", [{"problem_id": 1, "sub_steps": steps}, {"problem_id": 2}])
    with pytest.raises(InputError, match="no usable row"):
        load(benchmark("scicode"), tmp_path)


def test_rulers_of_both_kinds_say_when_they_are_only_like_it(tmp_path: Path) -> None:
    OFFICIAL["ruler"](tmp_path)
    (unit,) = load(benchmark("ruler"), tmp_path)
    assert unit.manifest["notes"] == []
    (tmp_path / "ruler" / "manifest.json").write_text('{"ruler_like": true}', encoding="utf-8")
    (unit,) = load(benchmark("ruler"), tmp_path)
    assert unit.manifest["notes"] == [
        "ruler-like: the haystack is not that of the public benchmark"
    ]


def test_one_thousand_of_mmlu_pro(tmp_path: Path) -> None:
    sizes = {"law": 1101, "math": 1351, "history": 381}
    categories = {f"{name}{n}": name for name, size in sizes.items() for n in range(size)}
    chosen = choose_mmlu_pro(categories)
    counts = {name: sum(categories[q] == name for q in chosen) for name in sizes}
    # 1000 * size / 2833: 388.6, 476.9, 134.5; the two left over go to the largest remainders.
    assert counts == {"law": 389, "math": 477, "history": 134}
    assert chosen == choose_mmlu_pro(dict(reversed(list(categories.items()))))
    records = [
        {"question_id": q, "question": "Q?", "options": ["a", "b"], "answer": "A", "category": c}
        for q, c in categories.items()
    ]
    jsonl(tmp_path / "mmlu_pro.jsonl", records)
    (unit,) = load(benchmark("mmlu_pro_1000"), tmp_path)
    assert {s.id for s in unit.samples} == chosen
    assert (unit.found, unit.expected) == (1000, 1000)
    assert unit.manifest["left_out"] == 1833
    jsonl(
        tmp_path / "mmlu_pro.jsonl",
        [{k: v for k, v in r.items() if k != "question_id"} for r in records],
    )
    with pytest.raises(InputError, match="no question_id"):
        load(benchmark("mmlu_pro_1000"), tmp_path)


def test_dates_of_livecodebench(tmp_path: Path) -> None:
    OFFICIAL["livecodebench"](tmp_path)
    (unit,) = load(benchmark("livecodebench"), tmp_path)
    assert [s.id for s in unit.samples] == ["first", "last"]
    assert unit.manifest["left_out"] == 2
    assert [record.name for record in unit.files] == [
        "test.jsonl",
        "test2.jsonl",
        "test3.jsonl",
        "test4.jsonl",
    ]


def test_results_of_different_files_are_not_mixed(tmp_path: Path) -> None:
    OFFICIAL["mmstar"](tmp_path)
    (first,) = load(MMSTAR, tmp_path)
    (again,) = load(MMSTAR, tmp_path)
    same_manifest(first.manifest, again.manifest)
    with (tmp_path / "MMStar.tsv").open("ab") as file:
        file.write(b"\n")
    (changed,) = load(MMSTAR, tmp_path)
    with pytest.raises(
        InputError, match=r"run a and run b: come from different data: main: MMStar"
    ):
        same_manifest(first.manifest, changed.manifest, where="run a and run b")


def test_a_log_collects(tmp_path: Path) -> None:
    tsv(tmp_path / "MMStar.tsv", [row(0), row(1, answer="")])
    log = ReadLog()
    assert [s.id for s in read(tmp_path / "MMStar.tsv", MMSTAR, log=log)] == ["0"]
    assert log.counts == {"answer": 1}
    assert log.rows == {"MMStar.tsv": 2}
