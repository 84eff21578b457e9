"""Every benchmark of the report: its files, reader, prompt style, metric, and printed numbers.

The facts are in one packaged YAML file; this module checks and serves them. It opens no benchmark
file, and imports no reader or metric.

Source: evaluation specification, sections 4, 5 and 11.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from nanovl.core import paths
from nanovl.core.config import from_dict, load_yaml, nearest
from nanovl.core.errors import ConfigError

__all__ = [
    "READERS",
    "Benchmark",
    "FileSpec",
    "MetricInfo",
    "benchmark",
    "benchmarks",
    "metric_info",
    "report_tables",
    "select",
    "suites",
]

READERS = ("tsv", "pdf", "html_pairs", "video_index", "ns_jsonl")
TEXT = "text"
_TABLE_8 = ("ai2d_test", "chartqa_test", "ocrbench", "docvqa", "ocrbench_v2")
_EVS = ("longvideobench_val", "videomme")
_BUDGET = ("mathvista_mini", "mmmu_val", "mathvision", "ocr_reasoning", "charxiv_val")


@dataclass(frozen=True, kw_only=True)
class FileSpec:
    """One part of a benchmark and the names its file may have.

    Attributes:
        part: "main", or a language, platform or question kind.
        names: Paths below the data folder, the preferred one first. A `.tsv` may also be there as
            `.parquet`, `.jsonl` or `.json` of the same name.
        n_items: Samples of this part; None when not known.
        answers: Whether the file holds the reference answers.
        optional: Whether the benchmark can be scored without it.
        folder: Whether names may be folders.
    """

    part: str
    names: tuple[str, ...]
    n_items: int | None = None
    answers: bool = True
    optional: bool = False
    folder: bool = False


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark.

    Attributes:
        id, name, category, modality, split: As in the report; category "text" has no media.
        n_items: Expected count; per part where the parts are counted apart; None when not known.
        n_status: How well the count is established.
        metric: Name in `nanovl.evals.scoring`.
        prompt_style: Name in `nanovl.evals.prompts`.
        reader: One of `READERS`.
        files: The parts, in the order of the report.
        source: Where to get the files.
        licence: What is known of it.
        max_tokens: New tokens at most, by "reasoning_off" and "reasoning_on".
        runs: Runs whose pass@1 is averaged.
        needs_judge: "no", "optional" (rules first) or "required" (the official number).
        offline_fidelity: What the number without a judge is worth.
        combine: "together" (all parts are one set; ids of samples begin with the part) or
            "separate" (one number per part, never averaged).
        group_by: A column, or "circular" (index modulo 10^6), "four_rows" or "chain" (steps of one
            problem).
        count_by: What `n_items` counts: "samples", "groups", or "categories" (a row counts once
            for each category of its comma list).
        keep: Column to the values of rows that count.
        box: What `bbox` holds: "size" (x, y, width, height) or "corners"; "" without boxes.
        question_column, answer_column, options_column, category_column: Columns with another name
            than usual; "" for the usual one.
        list_columns: Columns whose cells may be lists.
        paper: Numbers of the report by table.
        ocr_flags: Cells that were repaired.
        sandbox: Whether answers are programs to be run.
    """

    id: str
    name: str
    category: str
    modality: str
    split: str
    metric: str
    prompt_style: str
    reader: str
    files: tuple[FileSpec, ...]
    source: str
    licence: str
    max_tokens: dict[str, int]
    needs_judge: Literal["no", "optional", "required"]
    n_items: int | dict[str, int] | None = None
    n_status: str = "public"
    n_subtasks: int | None = None
    secondary_metrics: tuple[str, ...] = ()
    runs: int = 1
    reference_judge: str = ""
    offline_fallback: str = "not_needed"
    offline_fidelity: str = "exact"
    combine: Literal["together", "separate"] = "together"
    group_by: str = ""
    count_by: Literal["samples", "groups", "categories"] = "samples"
    keep: dict[str, list[str]] = field(default_factory=dict)
    box: Literal["", "size", "corners"] = ""
    question_column: str = ""
    answer_column: str = ""
    options_column: str = ""
    category_column: str = ""
    list_columns: tuple[str, ...] = ()
    paper: dict[str, Any] = field(default_factory=dict)
    paper_text_values: dict[str, float] = field(default_factory=dict)
    ocr_flags: tuple[dict[str, Any], ...] = ()
    notes: str = ""
    sandbox: bool = False
    vlmevalkit: dict[str, Any] = field(default_factory=dict)
    lmms_eval: dict[str, Any] | None = None
    nemo_skills: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.reader not in READERS:
            raise ConfigError(
                f"benchmark {self.id}: reader {self.reader!r}, expected one of "
                f"{', '.join(READERS)}{nearest(self.reader, READERS)}"
            )
        if not self.files or len({f.part for f in self.files}) != len(self.files):
            raise ConfigError(f"benchmark {self.id}: files must be parts with different names")

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts."""
        return tuple(spec.part for spec in self.files)

    def file(self, part: str) -> FileSpec:
        """The file of a part.

        Raises:
            ConfigError: There is no such part.
        """
        for spec in self.files:
            if spec.part == part:
                return spec
        raise ConfigError(
            f"benchmark {self.id} has no part {part!r}{nearest(part, self.parts)}; "
            f"parts: {', '.join(self.parts)}"
        )

    def expected(self, parts: Sequence[str]) -> int | None:
        """Samples, groups or category rows these parts should have, as `count_by` counts.

        Returns:
            None when it is not known for one of them.
        """
        per_part = [self.file(part).n_items for part in parts]
        if all(count is not None for count in per_part):
            return sum(count for count in per_part if count is not None)
        if set(parts) == set(self.parts) and isinstance(self.n_items, int):
            return self.n_items
        return None


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """What is known of a metric besides its code.

    Attributes:
        spec: Where it is specified.
        range: Smallest and largest score.
        library: What it is made of.
    """

    spec: str
    range: tuple[float, float]
    library: str


@cache
def _file() -> dict[str, Any]:
    return load_yaml(paths.asset("evals", "benchmarks.yaml"))


@cache
def benchmarks() -> Mapping[str, Benchmark]:
    """All benchmarks by id, in the order of the report: multimodal ones, then text."""
    found: dict[str, Benchmark] = {}
    for entry in (*_file()["benchmarks"], *_file()["text_benchmarks"]):
        one = from_dict(Benchmark, entry, where=f"benchmarks.yaml, {entry.get('id', '?')}")
        if one.id in found:
            raise ConfigError(f"benchmarks.yaml: two benchmarks have the id {one.id!r}")
        found[one.id] = one
    return MappingProxyType(found)


def benchmark(name: str) -> Benchmark:
    """The benchmark of this id.

    Raises:
        ConfigError: There is none; names the nearest.
    """
    known = benchmarks()
    if name not in known:
        raise ConfigError(
            f"unknown benchmark {name!r}{nearest(name, known)}; nanovl eval list names all of them"
        )
    return known[name]


@cache
def _metrics() -> Mapping[str, MetricInfo]:
    known = {
        name: from_dict(MetricInfo, entry, where=f"benchmarks.yaml, metric {name}")
        for name, entry in _file()["metrics"].items()
    }
    return MappingProxyType(known)


def metric_info(name: str) -> MetricInfo:
    """What the file says of a metric.

    Raises:
        ConfigError: It is used by no benchmark.
    """
    known = _metrics()
    if name not in known:
        raise ConfigError(f"no benchmark uses a metric {name!r}{nearest(name, known)}")
    return known[name]


def report_tables() -> Mapping[str, Any]:
    """Everything else the file holds: columns, generation settings, Tables 7 and 8, Figures 3, 4.

    Numbers that belong to one benchmark are in `Benchmark.paper`.
    """
    left_out = ("benchmarks", "text_benchmarks", "metrics")
    return MappingProxyType({k: v for k, v in _file().items() if k not in left_out})


@cache
def suites() -> Mapping[str, tuple[str, ...]]:
    """Lists of benchmarks that belong together, by name.

    `smoke` has the first benchmark of every metric.
    """
    known = benchmarks()
    first: dict[str, str] = {}
    for one in known.values():
        first.setdefault(one.metric, one.id)

    def of_category(*names: str) -> tuple[str, ...]:
        return tuple(b.id for b in known.values() if b.category in names)

    def in_table(key: str) -> tuple[str, ...]:
        return tuple(b.id for b in known.values() if key in b.paper)

    text = of_category(TEXT)
    return MappingProxyType(
        {
            "table4": in_table("table4_reasoning_off"),
            "table7": in_table("table7_tiling_ablation"),
            "table8": _TABLE_8,
            "evs": _EVS,
            "budget": _BUDGET,
            "mm45": tuple(name for name in known if name not in text),
            "text8": text,
            "doc": of_category("document_ocr_chart"),
            "video": of_category("video"),
            "smoke": tuple(first.values()),
        }
    )


def select(words: Sequence[str]) -> tuple[Benchmark, ...]:
    """Benchmarks named by ids or suites, each once, in the order named.

    Args:
        words: Ids, names of suites, or comma lists of both.

    Raises:
        ConfigError: A word is neither; names the nearest.
    """
    lists = suites()
    chosen: dict[str, Benchmark] = {}
    for word in (part.strip() for words_ in words for part in words_.split(",")):
        if not word:
            continue
        if word not in lists and word not in benchmarks():
            hint = nearest(word, (*lists, *benchmarks()))
            raise ConfigError(
                f"{word!r} is no benchmark and no suite{hint}; nanovl eval list names the "
                f"benchmarks, the suites are {', '.join(lists)}"
            )
        for name in lists.get(word, (word,)):
            chosen.setdefault(name, benchmark(name))
    return tuple(chosen.values())
