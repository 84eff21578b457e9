"""The registry: every benchmark of the report, its suites, its numbers, and its metrics."""

from __future__ import annotations

import sys

import pytest

from nanovl.core.errors import ConfigError
from nanovl.evals.registry import (
    READERS,
    benchmark,
    benchmarks,
    metric_info,
    report_tables,
    select,
    suites,
)
from nanovl.evals.scoring.registry import METRICS, metric


def test_all_benchmarks_of_the_report() -> None:
    known = benchmarks()
    assert len(known) == 53
    assert sum(one.category == "text" for one in known.values()) == 8
    assert {one.reader for one in known.values()} == set(READERS)
    for one in known.values():
        assert one.metric in METRICS
        assert metric_info(one.metric).range[0] < metric_info(one.metric).range[1]
        assert one.source
        assert one.licence
        assert one.paper


def test_suites() -> None:
    lists = suites()
    sizes = {name: len(ids) for name, ids in lists.items()}
    assert sizes == {
        "table4": 12,  # 13 rows: OCRBench v2 has two
        "table7": 9,  # 10 rows, likewise
        "table8": 5,
        "evs": 2,
        "budget": 5,
        "mm45": 45,
        "text8": 8,
        "doc": 13,
        "video": 3,
        "smoke": len({one.metric for one in benchmarks().values()}),
    }
    for ids in lists.values():
        assert len(set(ids)) == len(ids)
        assert set(ids) <= set(benchmarks())
    assert set(lists["mm45"]) | set(lists["text8"]) == set(benchmarks())
    assert {benchmark(name).metric for name in lists["smoke"]} == {
        one.metric for one in benchmarks().values()
    }


def test_numbers_of_the_report_are_kept() -> None:
    assert benchmark("mmstar").paper["table3"]["main"]["reasoning_off"] == 65.9
    assert benchmark("docvqa").paper["table4_reasoning_off"]["stage4"] == 94.4
    assert benchmark("ocrbench_v2").paper["table7_tiling_ablation"]["zh"]["tiling"] == 40.5
    assert benchmark("ruler").paper_text_values == {
        "stage0": 77.91,
        "stage1": 8.8,
        "stage2": 17.39,
        "stage4": 72.12,
    }
    tables = report_tables()
    assert tables["table8_precision"]["rows"]["NVFP4-QAD"] == [87.14, 89.96, 851, 93.95, 61.94]
    assert tables["figure4_evs"]["bf16"][0]["ttft_ms"] == 4131
    assert tables["table7_average"]["tiling"] == 75.0
    assert "reasoning_off" in tables["columns"]
    flags = [flag for one in benchmarks().values() for flag in one.ocr_flags]
    assert {flag["printed"] for flag in flags} >= {"T1.7*", "234", "(illegible)", "89.17"}


def test_starred_columns_exist() -> None:
    columns = set(report_tables()["columns"])
    for one in benchmarks().values():
        for row in one.paper.get("table3", {}).values():
            assert set(row) - {"starred"} <= columns
            assert set(row.get("starred", ())) <= columns


@pytest.mark.parametrize(
    ("word", "hint"),
    [("mmsta", "'mmstar'"), ("docvqa_val", "'docvqa'"), ("tabel4", "'table4'")],
)
def test_unknown_names_have_a_hint(word: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {hint}"):
        select([word])


def test_unknown_benchmark_and_part() -> None:
    with pytest.raises(ConfigError, match="unknown benchmark 'pop'; did you mean 'pope'"):
        benchmark("pop")
    with pytest.raises(ConfigError, match="has no part 'val2'; did you mean 'val'"):
        benchmark("docvqa").file("val2")
    with pytest.raises(ConfigError, match="no benchmark uses a metric 'anl'"):
        metric_info("anl")


def test_select_takes_ids_suites_and_lists() -> None:
    chosen = [one.id for one in select(["evs,pope", "table8", "pope"])]
    assert chosen == [
        "longvideobench_val",
        "videomme",
        "pope",
        "ai2d_test",
        "chartqa_test",
        "ocrbench",
        "docvqa",
        "ocrbench_v2",
    ]
    assert select([" , "]) == ()


def test_expected_counts_follow_the_parts() -> None:
    assert benchmark("docvqa").expected(["val"]) == 5349
    assert benchmark("docvqa").expected(["val", "test"]) == 5349 + 5188
    assert benchmark("charxiv_val").expected(["dq"]) == 4000
    assert benchmark("screenspot").expected(["mobile"]) is None
    assert benchmark("screenspot").expected(["mobile", "desktop", "web"]) == 1272
    assert benchmark("mmbench_v11_dev").expected(["en"]) is None


def test_metrics_are_loaded_when_asked_for() -> None:
    # A fresh interpreter is not needed: the registry alone must not name the modules as imported.
    source = sys.modules["nanovl.evals.scoring.registry"].__dict__
    assert not any(name in source for name in ("choices", "teds", "maths"))


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_can_be_made(name: str) -> None:
    made = metric(name)
    assert made.name == name
    assert metric(name, "vk").name == name


def test_metrics_learn_the_benchmark_where_their_rules_depend_on_it() -> None:
    made = metric("mcq_first_letter", benchmark="videomme")
    assert vars(made)["benchmark"] == "videomme"
    assert metric("anls", benchmark="docvqa").name == "anls"


def test_unknown_metric_and_profile() -> None:
    with pytest.raises(ConfigError, match="unknown metric 'tedss'; did you mean 'teds"):
        metric("tedss")
    with pytest.raises(ConfigError, match=r"profile 'vkk'.*did you mean 'vk'"):
        metric("anls", "vkk")
