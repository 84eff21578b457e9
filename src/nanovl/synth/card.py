"""The card of data sets: `dataset.json` with every number, `DATASET.md` for people.

Everything is read from the data sets; nothing is guessed. The same data sets give the same card.
Must not judge or change samples.

Source: data synthesis specification, section 20.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nanovl import __version__
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.synth.card_text import card_text
from nanovl.synth.datasets import DataSet, Made
from nanovl.synth.gallery.overlay import find_places
from nanovl.synth.gallery.sample import settings_words, verified
from nanovl.synth.provenance import categories_of, font_licences, gaps_of, tools_of
from nanovl.synth.registry import GENERATORS

__all__ = ["Card", "write_card"]

_SIDES = (0, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 4096)  # pixels of the longer side
_SECONDS = (0, 5, 10, 20, 30, 60, 120, 300, 600)
_FONT_KEYS = ("font", "fonts", "face", "faces", "typeface", "typefaces")
_LONGEST = 1 << 22  # tokens: nothing is cut when lengths are counted
_EVENT_EVERY = 100


@dataclass(frozen=True)
class Card:
    """What was written.

    Attributes:
        markdown, json: The files.
        facts: Content of the JSON file.
        problems: What is wrong with the data, one line each.
    """

    markdown: Path
    json: Path
    facts: dict[str, Any]
    problems: tuple[str, ...]


@dataclass
class _Counts:
    """Counts of one data set."""

    samples: int = 0
    records: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    levels: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    media: Counter[str] = field(default_factory=Counter)
    sides: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    fonts: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    quality: dict[str, list[float]] = field(default_factory=dict)
    checked: int = 0
    wrong: list[str] = field(default_factory=list)
    boxes: int = 0
    outside: list[str] = field(default_factory=list)


def write_card(
    sources: Sequence[DataSet],
    out: Path | None = None,
    *,
    model: str = "mini",
    name: str = "",
    limit: int | None = None,
    on_event: OnEvent = ignore_event,
) -> Card:
    """Describe data sets.

    Args:
        sources: One or more.
        out: Folder of the two files; None takes the data set's own, if there is one.
        model: Whose tokenizer and tiles are used to count tokens.
        name: Of the collection; the folder's name when empty.
        limit: Records per data set whose tokens are counted; None counts all.
        on_event: Told about progress in samples.

    Raises:
        ConfigError: Several data sets and no folder.
        InputError: A data set cannot be read, or the folder cannot be written.
    """
    if out is None:
        if len(sources) != 1:
            raise ConfigError(f"{len(sources)} data sets: name the folder of the card (--out)")
        out = sources[0].path
    facts: dict[str, Any] = {
        "name": name or (sources[0].name if len(sources) == 1 else out.resolve().name),
        "nanovl": __version__,
        "data_sets": [],
    }
    counted = []
    for source in sources:
        counts = _count(source, on_event)
        counted.append(counts)
        facts["data_sets"].append(_data_set(source, counts, model, limit))
    generators = sorted({d["generator"] for d in facts["data_sets"]})
    fonts = font_licences(f for counts in counted for f in counts.fonts)
    facts |= {
        "total": {
            key: sum(d[key] for d in facts["data_sets"]) for key in ("samples", "records", "lost")
        },
        "licences": _merged(counts.licences for counts in counted),
        "fonts": [asdict(font) for font in fonts],
        "tools": [dict(zip(("name", "version", "licence"), t, strict=True))
                  for t in tools_of(generators)],
        "known_gaps": [*gaps_of(generators), *_lacks(facts["data_sets"])],
        "replaces": {
            generator: [asdict(one) for one in categories_of(generator)] for generator in generators
        },
    }  # fmt: skip
    problems = _problems(facts, fonts_unknown=[f.family for f in fonts if not f.is_open])
    facts["problems"] = problems
    card = Card(out / "DATASET.md", out / "dataset.json", facts, tuple(problems))
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(facts, indent=1, ensure_ascii=False, sort_keys=True)
        card.json.write_text(f"{text}\n", encoding="utf-8")
        card.markdown.write_text(card_text(facts), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from error
    return card


# -- Counting ------------------------------------------------------------------------------------


def _count(source: DataSet, on_event: OnEvent) -> _Counts:
    counts = _Counts()
    for made in source:
        counts.samples += 1
        _count_sample(counts, made)
        if counts.samples % _EVENT_EVERY == 0:
            on_event(Event(name=f"read {source.name}", done=counts.samples, unit="samples"))
    return counts


def _count_sample(counts: _Counts, made: Made) -> None:
    truth = made.truth
    counts.records += len(made.records)
    counts.languages[str(truth.get("lang") or "not stated")] += 1
    counts.licences[str(truth.get("license") or "not stated")] += 1
    tags = [str(t) for t in truth.get("tags", ())]
    levels = [t.removeprefix("difficulty:") for t in tags if t.startswith("difficulty:")]
    counts.levels[levels[0] if levels else "not stated"] += 1
    counts.groups.add(str(truth.get("group") or made.id))
    counts.fonts |= set(_fonts(truth.get("gt"), 0))
    for key, value in (truth.get("quality") or {}).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            counts.quality.setdefault(str(key), []).append(float(value))
    sizes = []
    for medium in made.media:
        counts.media[medium.kind] += 1
        size = int(medium.facts.get("width", 0)), int(medium.facts.get("height", 0))
        if medium.kind != "audio":
            sizes.append(size)
            counts.sides.append(float(max(size)))
        seconds = medium.facts.get("video_duration", medium.facts.get("duration"))
        if isinstance(seconds, int | float):
            counts.seconds.append(float(seconds))
    places = find_places(truth.get("gt"), sizes).places if sizes else ()
    counts.boxes += len(places)
    for place in places:
        width, height = sizes[place.medium] if place.medium < len(sizes) else (0, 0)
        x0, y0, x1, y1 = place.box
        if width and not (-1 <= x0 <= x1 <= width + 1 and -1 <= y0 <= y1 <= height + 1):
            counts.outside.append(made.id)
            break
    for record in made.records:
        counts.tasks[str(record.get("task") or "none")] += 1
        right, score, problem = verified(record)
        if score is not None or problem:
            counts.checked += 1
            if not right:
                counts.wrong.append(str(record["id"]))


def _fonts(value: Any, depth: int) -> Iterator[str]:
    """Names of fonts in a ground truth, not looked for in its leaves."""
    if depth > 3 or not isinstance(value, Mapping):
        return
    for key, found in value.items():
        if key in _FONT_KEYS:
            names = found.values() if isinstance(found, Mapping) else found
            names = [names] if isinstance(names, str) else names
            if isinstance(names, list | tuple) or isinstance(found, Mapping):
                yield from (n for n in names if isinstance(n, str))
        elif isinstance(found, Mapping):
            yield from _fonts(found, depth + 1)


# -- One data set --------------------------------------------------------------------------------


def _data_set(source: DataSet, counts: _Counts, model: str, limit: int | None) -> dict[str, Any]:
    claim = source.claim
    generator = str(claim.get("generator") or ("tex" if source.kind == "tex" else "other"))
    entry = GENERATORS.get(generator)
    rejects = _merged(Counter(d.get("rejects", {})) for d in source.done.values())
    found: dict[str, Any] = {
        "name": source.name,
        "kind": source.kind,
        "generator": generator,
        "purpose": entry.description if entry else _PURPOSES.get(source.kind, ""),
        "version": str(claim.get("version", "")),
        "config_hash": str(claim.get("config_hash", "")),
        "config": dict(claim.get("config") or {}),
        "split": str(claim.get("split", "")),
        "start": int(claim.get("start", 0)),
        "indices": sum(int(d["stop"]) - int(d["start"]) for d in source.done.values()),
        "samples": counts.samples,
        "records": counts.records,
        "lost": sum(int(d.get("lost", 0)) for d in source.done.values()),
        "rejects": rejects,
        "tasks": _largest(counts.tasks),
        "languages": _largest(counts.languages),
        "difficulty": dict(sorted(counts.levels.items())),
        "media": _largest(counts.media),
        "groups": len(counts.groups),
        "quality": {key: _spread(values) for key, values in sorted(counts.quality.items())},
        "answers": {"checked": counts.checked, "wrong": len(counts.wrong)},
        "boxes": {"found": counts.boxes, "samples_outside": len(counts.outside)},
        "longer_side_px": _histogram(counts.sides, _SIDES),
        "duration_s": _histogram(counts.seconds, _SECONDS),
        "tokens": _tokens(source, model, limit),
        "files": _files(source),
        "command": _command(source),
        "flagged": len(claim.get("flagged") or {}),
        "examples_of_problems": [*counts.wrong[:5], *counts.outside[:5]],
    }
    found["sha256"] = _digest(found["files"])
    if source.kind == "tex":
        found["verification"], found["rejects"], found["lost"] = _pages(source)
    return found


_PURPOSES = {"tex": "pages of LaTeX sources with exact ground truth", "plain": "other data"}


def _tokens(source: DataSet, model: str, limit: int | None) -> dict[str, Any] | None:
    """Lengths of records in tokens; None for data without records."""
    if source.kind == "tex":
        return None
    from nanovl.checkpoint.build import load_processor
    from nanovl.data.blend import load_blend
    from nanovl.data.config import DataConfig
    from nanovl.data.encode import SampleEncoder
    from nanovl.data.stats import stats

    shape, processor = load_processor(model)
    config = DataConfig(seq_len=_LONGEST, align=1, max_tiles=shape.max_num_tiles)
    total = stats(load_blend(source.path), SampleEncoder(processor, config), limit=limit)
    summary = total.to_json()["total"]
    return {
        "model": model,
        "records": summary["used"],
        "all": summary["tokens"],
        "visual": summary["visual_tokens"],
        "loss_tokens": summary["loss_tokens"],
        "reasoning": summary["reasoning"],
        "unusable": total.to_json()["dropped"],
    }


def _files(source: DataSet) -> dict[str, str]:
    return {
        name: digest
        for done in source.done.values()
        for name, digest in sorted((done.get("files") or {}).items())
    }


def _digest(files: Mapping[str, str]) -> str:
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest() if files else ""


def _command(source: DataSet) -> str:
    claim = source.claim
    if source.kind == "tex":
        return "nanovl synth tex SOURCES --out pages"
    if not claim:
        return ""
    sizes = [int(d["stop"]) - int(d["start"]) for d in source.done.values()]
    words = ["nanovl", "synth", "run", str(claim["generator"]), source.name]
    words += ["--count", str(sum(sizes)), "--split", str(claim["split"])]
    words += ["--start", str(claim["start"])] if claim.get("start") else []
    words += ["--shard-size", str(claim["shard_size"])] if claim.get("shard_size") else []
    words += settings_words(str(claim["generator"]), claim.get("config") or {})
    return " ".join(shlex.quote(word) for word in words)


def _pages(source: DataSet) -> tuple[dict[str, Any], dict[str, int], int]:
    """Gates of compiled pages: totals, rates, rejected pages by reason and in all."""
    totals: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    pages = good = 0
    for path in sorted(source.path.glob("*-report.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        totals.update(report.get("totals", {}))
        rejected.update(report.get("rejected", {}))
        if report.get("status") not in ("ok", "no_good_pages"):
            rejected[f"source: {report.get('status')}"] += 1
        pages += int(report.get("pages", 0))
        good += int(report.get("good_pages", 0))
    rates = {
        name: round(totals[part] / totals[whole], 6) if totals[whole] else None
        for name, part, whole in (
            ("positions", "found", "glyphs"),
            ("unicode", "same", "found"),
            ("coverage", "covered", "chars"),
            ("maths", "maths_exact", "maths"),
        )
    }
    found = {"pages": pages, "good_pages": good, "totals": dict(sorted(totals.items()))}
    return found | {"rates": rates}, dict(sorted(rejected.items())), pages - good


def _lacks(data_sets: Sequence[Mapping[str, Any]]) -> list[str]:
    found = []
    for entry in data_sets:
        if entry["lost"]:
            found.append(f"{entry['name']}: {entry['lost']} indices have no sample")
        if not categories_of(entry["generator"]):
            found.append(f"{entry['name']}: no category of the paper is stated for its generator")
    return found


def _problems(facts: Mapping[str, Any], fonts_unknown: Sequence[str]) -> list[str]:
    found = []
    for entry in facts["data_sets"]:
        wrong, outside = entry["answers"]["wrong"], entry["boxes"]["samples_outside"]
        if wrong:
            found.append(f"{entry['name']}: {wrong} reference answers do not pass their own check")
        if outside:
            found.append(f"{entry['name']}: {outside} samples have boxes outside their picture")
        unusable = (entry["tokens"] or {}).get("unusable") or {}
        for reason, per_source in sorted(unusable.items()):
            found.append(f"{entry['name']}: {sum(per_source.values())} records: {reason}")
    if fonts_unknown:
        found.append(f"licence unknown of the fonts {', '.join(fonts_unknown)}")
    return found


# -- Numbers -------------------------------------------------------------------------------------


def _merged(counters: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return dict(sorted(total.items()))


def _largest(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _spread(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    middle = ordered[(len(ordered) - 1) // 2]
    mean = round(sum(ordered) / len(ordered), 4)
    return {"min": ordered[0], "median": middle, "mean": mean, "max": ordered[-1]}


def _histogram(values: Sequence[float], edges: Sequence[int]) -> list[list[float | None]]:
    """[from, to, count] with the empty ends left out."""
    counts = [0] * len(edges)
    for value in values:
        counts[bisect_right(edges, value) - 1] += 1
    used = [k for k, count in enumerate(counts) if count]
    ends = [*edges[1:], None]
    return [[edges[k], ends[k], counts[k]] for k in range(used[0], used[-1] + 1)] if used else []
