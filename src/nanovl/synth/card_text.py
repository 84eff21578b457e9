"""A card's facts as Markdown.

Must not read data sets; everything comes from the facts. Text from data is kept from being markup.

Source: data synthesis specification, section 20.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nanovl.synth.asking import plural

__all__ = ["card_text"]

_BAR = 30
_FILES_SHOWN = 60
_SPECIAL = re.compile(r"([\\`*\[\]<>|]|(?<!\w)_|_(?!\w)|~~)")


def card_text(facts: Mapping[str, Any]) -> str:
    """The Markdown file of a card.

    Args:
        facts: What `dataset.json` holds.
    """
    sets = facts["data_sets"]
    parts = [
        f"# {_plain(facts['name'])}",
        *_head(facts),
        "## Data sets",
        *_overview(sets),
        "## Counts",
        *_counts(sets),
        "## Lengths and sizes",
        *_sizes(sets),
        "## Checks",
        *_checks(facts),
        "## Licences",
        *_licences(facts),
        "## What it replaces",
        *_replaces(facts["replaces"]),
        "## Known gaps",
        _items(facts["known_gaps"]),
        "## Make it again",
        *_again(facts),
        "## Files",
        *_files(sets),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(facts: Mapping[str, Any]) -> Iterator[str]:
    total = facts["total"]
    makers = sorted({d["generator"] for d in facts["data_sets"]})
    yield (
        f"Training data made by nanovl {facts['nanovl']} with {_listed(makers)}: "
        f"{plural(total['samples'], 'sample')}, {plural(total['records'], 'conversation')}. Every "
        "answer follows from ground truth that is stored beside it. All numbers are in "
        "`dataset.json`."
    )
    if facts["problems"]:
        yield "**Problems found:**"
        yield _items(facts["problems"])


def _overview(sets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows = [
        (
            _plain(d["name"]), f"{_plain(d['generator'])} {d['version']}".strip(), d["config_hash"],
            d["split"], f"{d['start']}+{d['indices']}", f"{d['samples']:,}", f"{d['records']:,}",
        )
        for d in sets
    ]  # fmt: skip
    head = ("data set", "generator", "configuration", "split", "indices", "samples", "records")
    yield _table(head, rows, right=5)
    yield _items(f"{d['name']}: {d['purpose']}" for d in sets if d["purpose"])


def _counts(sets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    splits: dict[str, int] = {}
    for entry in sets:
        splits[entry["split"] or "none"] = (
            splits.get(entry["split"] or "none", 0) + entry["samples"]
        )
    yield _table(("split", "samples"), [(k, f"{v:,}") for k, v in sorted(splits.items())], right=1)
    for title, key in (("language", "languages"), ("difficulty", "difficulty"), ("media", "media")):
        yield _crossed(title, key, sets)
    rows = [
        (_plain(d["name"]), ", ".join(f"{_plain(k)} {v:,}" for k, v in d["tasks"].items()))
        for d in sets
        if d["tasks"]
    ]
    yield _table(("data set", "records by task"), rows)


def _crossed(title: str, key: str, sets: Sequence[Mapping[str, Any]]) -> str:
    names = sorted({name for d in sets for name in d[key]})
    rows = [(_plain(d["name"]), *(f"{d[key].get(name, 0):,}" for name in names)) for d in sets]
    return _table((f"data set by {title}", *map(_plain, names)), rows, right=1) if names else ""


def _sizes(sets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows = []
    for entry in sets:
        tokens = entry["tokens"]
        if tokens and tokens["records"]:
            both = tokens["all"]
            rows.append((_plain(entry["name"]), f"{tokens['records']:,}", f"{both['total']:,}",
                         f"{both['mean']:,.0f}", f"{both['median']:,}", f"{both['p90']:,}",
                         f"{both['max']:,}", f"{tokens['visual']['total']:,}",
                         f"{tokens['loss_tokens']:,}"))  # fmt: skip
    if rows:
        models = sorted({d["tokens"]["model"] for d in sets if d["tokens"]})
        yield f"Tokens of the model {_listed(models)}, pictures as tiles of 512 pixels:"
        head = ("data set", "records", "tokens", "mean", "median", "90 %", "longest", "visual",
                "learned")  # fmt: skip
        yield _table(head, rows, right=1)
    lengths = [d["tokens"]["all"]["histogram"] for d in sets if d["tokens"]]
    yield _bars("Tokens of a record", _added(lengths))
    sides = [d["longer_side_px"] for d in sets]
    yield _bars("Longer side of pictures and videos in pixels", _added(sides))
    yield _bars("Length of videos and sounds in seconds", _added(d["duration_s"] for d in sets))


def _added(histograms: Iterable[Sequence[Sequence[Any]]]) -> list[list[Any]]:
    """Histograms with the same edges as one."""
    total: dict[tuple[Any, Any], int] = {}
    for histogram in histograms:
        for low, high, count in histogram:
            total[low, high] = total.get((low, high), 0) + count
    ordered = sorted(total.items(), key=lambda item: float(item[0][0]))
    return [[low, high, count] for (low, high), count in ordered]


def _bars(title: str, histogram: Sequence[Sequence[Any]]) -> str:
    if not histogram:
        return ""
    most = max(count for _, _, count in histogram)
    labels = [f"{a:,} to {b:,}" if b is not None else f"{a:,} and more" for a, b, _ in histogram]
    wide = max(map(len, labels))
    digits = max(len(f"{count:,}") for _, _, count in histogram)
    lines = [
        f"{label:<{wide}}  {count:>{digits},}  {'#' * round(_BAR * count / most)}".rstrip()
        for label, (_, _, count) in zip(labels, histogram, strict=True)
    ]
    return f"{title}:\n\n```text\n" + "\n".join(lines) + "\n```"


def _checks(facts: Mapping[str, Any]) -> Iterator[str]:
    sets = facts["data_sets"]
    rows = [
        (
            _plain(d["name"]), f"{d['answers']['checked']:,}", f"{d['answers']['wrong']:,}",
            f"{d['boxes']['found']:,}", f"{d['boxes']['samples_outside']:,}", f"{d['lost']:,}",
        )
        for d in sets
    ]  # fmt: skip
    head = ("data set", "answers checked", "that fail", "boxes", "samples with boxes outside",
            "indices without a sample")  # fmt: skip
    yield _table(head, rows, right=1)
    rejected = [
        (_plain(d["name"]), _plain(reason), f"{count:,}")
        for d in sets
        for reason, count in sorted(d["rejects"].items())
    ]
    if rejected:
        yield "Rejected attempts (a rejected attempt is made again from other random numbers):"
        yield _table(("data set", "reason", "attempts"), rejected, right=2)
    else:
        yield "No attempt was rejected."
    quality = [
        (_plain(d["name"]), _plain(key), *(f"{s[k]:g}" for k in ("min", "median", "mean", "max")))
        for d in sets
        for key, s in d["quality"].items()
    ]
    if quality and not all(d["kind"] == "tex" for d in sets):
        yield "Measured by the generators:"
        yield _table(("data set", "what", "least", "median", "mean", "most"), quality, right=2)
    for entry in sets:
        if "verification" in entry:
            yield from _verification(entry)


def _verification(entry: Mapping[str, Any]) -> Iterator[str]:
    found = entry["verification"]
    yield (
        f"{_plain(entry['name'])}: {found['good_pages']:,} of {found['pages']:,} pages agree with "
        "their own PDF:"
    )
    rows = [(name, "-" if rate is None else f"{rate:.4%}") for name, rate in found["rates"].items()]
    yield _table(("share", "value"), rows, right=1)


def _licences(facts: Mapping[str, Any]) -> Iterator[str]:
    contents = [(_plain(name), f"{count:,}") for name, count in facts["licences"].items()]
    yield _table(("licence of the content", "samples"), contents, right=1)
    yield '"generated" is made by nanovl from nothing but random numbers and its own word lists.'
    if facts["fonts"]:
        fonts = [(_plain(f["family"]), _plain(f["licence"]), f["origin"]) for f in facts["fonts"]]
        yield _table(("font", "licence", "stated by"), fonts)
        unknown = [f["family"] for f in facts["fonts"] if f["origin"] == "unknown"]
        yield (
            f"Check before passing renderings on: {_listed(map(_plain, unknown))}."
            if unknown
            else "None of these forbids passing renderings on."
        )
    tools = [(_plain(t["name"]), t["version"] or "-", _plain(t["licence"])) for t in facts["tools"]]
    yield _table(("tool", "version where this was written", "licence"), tools)


def _replaces(replaces: Mapping[str, Sequence[Mapping[str, str]]]) -> Iterator[str]:
    rows = [
        (_plain(generator), _plain(one["stage"]), _plain(one["cover"]))
        for generator, found in replaces.items()
        for one in found
    ]
    yield _table(("generator", "stage and category of the paper", "cover"), rows)


def _again(facts: Mapping[str, Any]) -> Iterator[str]:
    commands = [d["command"] for d in facts["data_sets"] if d["command"]]
    yield "```text\n" + "\n".join(c.replace("`", "'") for c in commands) + "\n```"
    yield (
        f"nanovl {facts['nanovl']}. The seed of a sample is the hash of generator, version, "
        "configuration, split, index and attempt, so these commands give the same bytes where "
        "fonts and tools are the same. Names in capitals stand for files that must be named again."
    )


def _files(sets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows = [(_plain(d["name"]), f"{len(d['files']):,}", f"`{d['sha256']}`") for d in sets if
            d["files"]]  # fmt: skip
    if not rows:
        return
    yield "Each data set's SHA-256 is that of the list of its files as `sha256sum` prints it:"
    yield _table(("data set", "files", "SHA-256"), rows)
    count = sum(len(d["files"]) for d in sets)
    if count > _FILES_SHOWN:
        yield f"The hashes of all {count:,} files are in `dataset.json`."
        return
    listed = [
        f"{digest}  {d['name']}/{name}" for d in sets for name, digest in sorted(d["files"].items())
    ]
    yield "```text\n" + "\n".join(listed) + "\n```"


# -- Markdown ------------------------------------------------------------------------------------


def _plain(text: object) -> str:
    """Text in which nothing is markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _items(texts: Iterable[str]) -> str:
    return "\n".join(f"* {_plain(text)}" for text in texts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: int = 99) -> str:
    """A table; columns from number `right` on hold numbers."""
    bars = ["---:" if k >= right else "---" for k in range(len(head))]
    lines = [head, bars, *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) if rows else ""
