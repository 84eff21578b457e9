"""Names of all metrics. A new metric gets a line here.

Must not import a metric before it is asked for: some of them load parsers and tokenizers.

Source: evaluation specification, section 6.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, cast

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.evals.base import Metric

__all__ = ["METRICS", "Entry", "metric"]

_PROFILES = ("default", "vk", "legacy")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Where a metric is.

    Attributes:
        module: Below `nanovl.evals.scoring`.
        factory: A function there that takes a profile.
    """

    module: str
    factory: str


_MODULES: Mapping[str, tuple[str, ...]] = {
    "choice_totals": ("mcq_vanilla", "mcq_circular", "mcq_mmmu", "cvbench"),
    "first_letter": ("mcq_first_letter",),
    "yesno": ("hallusion", "pope_f1"),
    "vqa": ("vqa_accuracy",),
    "anls": ("anls",),
    "relaxed": ("relaxed_accuracy",),
    "ocrbench": ("ocrbench_v1",),
    "contains": ("curly_contains", "contains_multilingual", "crpe_group4"),
    "letters_ns": ("mcq_letter_pass1",),
    "points": ("point_in_box",),
    "edits": ("cer", "wer"),
    "teds": ("teds", "teds_s"),
    "ocrbench_v2": ("ocrbench_v2",),
    "vcr": ("vcr",),
    "table_alignment": ("table_alignment_similarity",),
    "maths": ("math_equal_pass1",),
    "vision_maths": (
        "mathvista",
        "mathvision",
        "mathverse",
        "dynamath_worst",
        "logicvista",
        "wemath_strict",
    ),
    "ifeval": ("ifeval_strict",),
    "ruler": ("ruler_mean13",),
    "longdoc": ("mmlongbench",),
    "charxiv": ("charxiv",),
    "mlvu": ("mlvu_mavg",),
    "ocr_reasoning": ("ocr_reasoning",),
    "wildvision": ("wildvision_winrate",),
    "code": ("code_pass1", "scicode"),
    # Of the local suite.
    "calls": ("call_equality",),
    "fields": ("field_f1",),
    "grounding": ("box_iou", "time_iou"),
    "needles": ("needles",),
    "short_answers": ("set_match", "word_match", "number_match"),
}

METRICS: Mapping[str, Entry] = MappingProxyType(
    {
        name: Entry(module=module, factory=f"create_{name}")
        for module, names in _MODULES.items()
        for name in names
    }
)


def metric(name: str, profile: str = "default", *, benchmark: str = "") -> Metric:
    """Make a metric.

    Args:
        name: As in the registry of benchmarks.
        profile: Compatibility profile: "default", "vk" or "legacy".
        benchmark: Id of the benchmark, for metrics whose rules depend on it.

    Raises:
        ConfigError: There is no such metric or profile.
        BackendError: A package it needs is not installed.
    """
    if name not in METRICS:
        raise ConfigError(
            f"unknown metric {name!r}{nearest(name, METRICS)}; known: {', '.join(sorted(METRICS))}"
        )
    if profile not in _PROFILES:
        raise ConfigError(
            f"metric {name}: profile {profile!r}, expected one of {', '.join(_PROFILES)}"
            f"{nearest(profile, _PROFILES)}"
        )
    entry = METRICS[name]
    factory: Any = getattr(import_module(f"nanovl.evals.scoring.{entry.module}"), entry.factory)
    more = {}
    if benchmark and "benchmark" in inspect.signature(factory).parameters:
        more["benchmark"] = benchmark
    return cast(Metric, factory(profile, **more))
