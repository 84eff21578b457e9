"""Samples per second and core of every generator, beside the targets of the specification.

    python benchmarks/synth_speed.py
    python benchmarks/synth_speed.py charts screens --seconds 20
    python benchmarks/synth_speed.py --data FOLDER     # also those that draw real texts
    python benchmarks/synth_speed.py --smoke --check   # two samples each, at least 25 % of a target

A generator makes samples of fixed indices with its default settings, after two that are not counted
(fonts, browser, TeX format); the same indices three times, median and spread. The time is processor
time of the process and of every program it started (browser, TeX, synthesizer), so a second core
that is free makes no difference. Writing shards is not part of it. FOLDER has `math`, `reading`,
`tables` and `text` as `nanovl data convert nanovl-...` takes them. Prints a table and one JSON line
last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from machine import describe

from nanovl.core.errors import NanoVLError
from nanovl.synth.base import Generator
from nanovl.synth.registry import GENERATORS, create
from nanovl.synth.shards import make_sample
from nanovl.synth.usage import cpu_seconds

# Per second and core (data synthesis specification, section 18.6); "media" counts pages or clips.
TARGETS: dict[str, tuple[float, str]] = {
    "business": (20, "media"),
    "charts": (12, "samples"),
    "charts-vega": (8, "samples"),
    "html-pages": (10, "samples"),
    "ocr-page": (12, "samples"),
    "papers": (3, "media"),
    "scenes-2d": (300, "samples"),
    "screens": (10, "samples"),
    "text-code": (40, "samples"),
    "text-expressions": (500, "samples"),
    "text-longctx": (500, "samples"),
    "text-maths": (500, "samples"),
    "text-tools": (500, "samples"),
    "video-shapes": (15, "samples"),
}
SOURCES = {
    "render-charts": {"source": "tables"},
    "render-passages": {"source": "reading"},
    "render-problems": {"source": "math"},
    "render-tables": {"source": "tables"},
    "render-text": {"paths": ["text/*.jsonl.gz"]},
}
LEAST_SHARE = 0.25  # of a target, for a busy machine
WARM_UP = 2


@dataclass
class Measured:
    """One generator.

    Attributes:
        name: In the registry.
        version: Of the generator.
        samples, media: Made in every repeat.
        lost: Indices without a sample.
        rates: Samples per second of processor time, of every repeat.
        wall_s: Of every repeat.
        why_not: Why it was not measured.
    """

    name: str
    version: str = ""
    samples: int = 0
    media: int = 0
    lost: int = 0
    rates: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    why_not: str = ""

    @property
    def rate(self) -> float:
        """Median samples per second and core."""
        return statistics.median(self.rates)

    @property
    def spread(self) -> float:
        """Greatest less least rate, relative to the median."""
        return (max(self.rates) - min(self.rates)) / self.rate

    @property
    def media_rate(self) -> float:
        """Median pictures, pages or clips per second and core."""
        return self.rate * self.media / self.samples

    @property
    def share(self) -> float | None:
        """Of the target; None without one."""
        if self.name not in TARGETS:
            return None
        target, unit = TARGETS[self.name]
        return (self.rate if unit == "samples" else self.media_rate) / target

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the medians."""
        if not self.rates:
            return asdict(self)
        target = TARGETS.get(self.name)
        return asdict(self) | {
            "rate": self.rate,
            "media_rate": self.media_rate,
            "target": None if target is None else {"per_s": target[0], "of": target[1]},
            "share": self.share,
        }


def settings_of(name: str, data: Path | None) -> dict[str, Any] | None:
    """Settings of a generator, None when its source is missing."""
    if name not in SOURCES:
        return {}
    if data is None:
        return None
    wanted = SOURCES[name]
    if "source" in wanted:
        return {"source": str(data / str(wanted["source"]))}
    found = [str(p) for pattern in wanted["paths"] for p in sorted(data.glob(pattern))]
    return {"paths": found} if found else None


def run(generator: Generator, start: int, stop: int) -> tuple[int, int, float, float]:
    """Samples, media, processor and wall seconds of a range of indices."""
    samples = media = 0
    used, begun = cpu_seconds(), time.monotonic()
    for index in range(start, stop):
        sample, _ = make_sample(generator, "train", index, timeout_s=180)
        if sample is not None:
            samples += 1
            media += len(sample.media)
    return samples, media, cpu_seconds() - used, time.monotonic() - begun


def measure(name: str, args: argparse.Namespace) -> Measured:
    """Time a generator."""
    found = Measured(name)
    settings = settings_of(name, args.data)
    if settings is None:
        found.why_not = "needs --data"
        return found
    try:
        generator = create(name, settings)
        found.version = generator.version
        for requirement in generator.requires:
            requirement.check()
        run(generator, 1_000_000, 1_000_000 + WARM_UP)
        count = 2 if args.smoke else _enough(generator, args.seconds)
        for _ in range(1 if args.smoke else args.repeats):
            found.samples, found.media, used, wall = run(generator, 0, count)
            found.lost = count - found.samples
            if not found.samples:
                found.why_not = "no index gave a sample"
                return found
            # The clock of the system ticks a hundred times a second: less is not measured.
            found.rates.append(found.samples / max(used, 0.01))
            found.wall_s.append(wall)
    except NanoVLError as error:
        found.why_not = " ".join(str(error).split())
    return found


def _enough(generator: Generator, seconds: float) -> int:
    """Indices that take about so long."""
    count = 4
    while True:
        _, _, used, _ = run(generator, 0, count)
        if used >= seconds / 4 or count >= 20_000:
            return max(4, min(20_000, round(count * seconds / max(used, 1e-3))))
        count *= 4


def row(found: Measured) -> str:
    """A line of the table."""
    if found.why_not:
        return f"| {found.name} | {found.why_not} | | | | | |"
    target = ""
    if found.name in TARGETS:
        value, unit = TARGETS[found.name]
        target = f"{value:g}" + ("" if unit == "samples" else f" {unit}")
    share = "" if found.share is None else f"{found.share:.0%}"
    media = f"{found.media_rate:,.1f}" if found.media else "-"
    return (
        f"| {found.name} | {found.samples:,} | {found.rate:,.1f} | {found.spread:.0%} | {media} "
        f"| {target} | {share} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("generators", nargs="*", metavar="GENERATOR", help="default: all")
    parser.add_argument("--seconds", type=float, default=6.0, help="of one repeat, about")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", type=Path, help="folder with real texts, tables and questions")
    parser.add_argument("--smoke", action="store_true", help="two samples of each, once")
    parser.add_argument("--check", action="store_true", help="fail below 25 %% of a target")
    args = parser.parse_args()
    unknown = sorted(set(args.generators) - set(GENERATORS))
    if unknown:
        parser.error(f"{unknown[0]!r} is no generator; nanovl synth list names them")
    print(f"{describe()}\n", flush=True)
    print("| generator | samples | samples/s/core | spread | media/s/core | target | of target |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    results = []
    for name in args.generators or sorted(GENERATORS):
        results.append(measure(name, args))
        print(row(results[-1]), flush=True)
    slow = [r.name for r in results if r.share is not None and not r.why_not
            and r.share < LEAST_SHARE]  # fmt: skip
    print()
    print(json.dumps({"seconds": args.seconds, "repeats": args.repeats, "smoke": args.smoke,
                      "slow": slow, "results": [r.to_json() for r in results]}))  # fmt: skip
    if args.check and slow:
        sys.exit(f"below {LEAST_SHARE:.0%} of their target: {', '.join(slow)}")


if __name__ == "__main__":
    main()
