"""Training data without anything of the validation data: found, reported, left out.

    python -m tools.mini_overlap --data DATA                     what overlaps; status 1 if anything
    python -m tools.mini_overlap --data DATA --out CLEAN         a copy to train on, without it
    python -m tools.mini_overlap --data CLEAN --held DATA        the copy against all of it, again
    python -m tools.mini_overlap --suite SUITE --sets SET ...    the suite in finished training sets

The splits of the data are disjoint by document, and still share text: a manual in another language
left untranslated, a module that holds a function of the other split, the same table twice. A
training record is left out if it has

    a tenth of the runs of 13 words of some validation record, or more (a receipt: half of the runs
    or four fifths of the lines, since shops come again),
    the page a validation record stands on (articles of validation tables, translations),
    a table with a row of a validation table,
    the bytes of a validation picture, or its looks where a picture has no text.

Sets whose licence keeps them out of weights that ship are neither looked at nor copied. Must not
change the validation data, and looks at nothing but text, tables and pictures.

Source: evaluation specification, section 11.2 (contamination).
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError, NanoVLError
from nanovl.evals.leaks import LEAST_SHARE, Leak
from nanovl.evals.mini_suite import TASKS, read_manifest, read_samples
from tools import mini_suite
from tools.mini_overlap_parts import (
    SAME_LINES,
    Pages,
    Pictures,
    Purchases,
    Runs,
    Tables,
    name_of,
    pictures,
    records,
    text_of_picture,
    texts_of,
)

NOT_FREE = ("charts/mcqa", "math/tabmwp")
"""Sets that are not trained on: no licence stated, and non-commercial."""
# Files of lines to train on that do not say so by their name.
_UNSPLIT = ("text/multilingual.jsonl.gz", "code/*_modules.jsonl.gz", "web/*.jsonl.gz")


@dataclass
class Overlap:
    """What was found.

    Attributes:
        seen: Training records of every file.
        dropped: File -> id -> why it is left out.
        shares: Validation file -> id -> share of its 13-grams that training has after that.
    """

    seen: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    shares: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def most(self) -> float:
        """The largest share of a validation record that is left in the training data."""
        return max((s for found in self.shares.values() for s in found.values()), default=0.0)

    def document(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "files": {
                name: {
                    "records": count,
                    "left_out": len(self.dropped.get(name, {})),
                    "reasons": dict(Counter(_kind(r) for r in self.dropped.get(name, {}).values())),
                }
                for name, count in sorted(self.seen.items())
            },
            "validation": {
                name: {
                    "records": len(found),
                    "with_a_common_run": sum(s > 0 for s in found.values()),
                    "most": max(found.values(), default=0.0),
                }
                for name, found in sorted(self.shares.items())
            },
            "dropped": {name: dict(sorted(found.items())) for name, found in self.dropped.items()},
        }


def _kind(reason: str) -> str:
    return reason.split(":")[0]


# --- everything together ------------------------------------------------------------------------


def training_files(data: Path) -> tuple[list[Path], list[Path]]:
    """Files of lines, and archives of pictures, that are for training.

    Raises:
        InputError: There are none.
    """
    patterns = ("*/*_train*.jsonl.gz", *_UNSPLIT)
    lines = sorted(path for pattern in patterns for path in data.glob(pattern))
    tars = [path for path in sorted(data.glob("*/*_train.tar")) if _is_free(path, data)]
    if not lines and not tars:
        raise InputError(f"{data}: no training data; expected files such as text/wiki_train...")
    return lines, tars


def _is_free(path: Path, data: Path) -> bool:
    return not path.relative_to(data).as_posix().startswith(NOT_FREE)


def find(data: Path, held_in: Path | None = None) -> Overlap:
    """Compare all training data of a folder with all validation data.

    Args:
        data: Folder of the training data.
        held_in: Folder of the validation data; None for the same folder.

    Raises:
        InputError: A file is missing or damaged.
    """
    lines, tars = training_files(data)
    base = held_in or data
    held = sorted(base.glob("*/*_val*.jsonl.gz"))
    held_tars = [path for path in sorted(base.glob("*/*_val.tar")) if _is_free(path, base)]
    tables = Tables(base)
    out = tables.dropped(data)
    pages = Pages(base, tables.titles, out)
    runs = Runs(
        [
            *(((f.name, name_of(r)), texts_of(r)) for f in held for r in records(f)),
            *(
                ((f.name, key), [text_of_picture(facts)])
                for f in held_tars
                for key, _, facts in pictures(f)
            ),
        ]
    )
    found = Overlap()
    for path in lines:
        file = path.relative_to(data).as_posix()
        for record in records(path):
            found.seen[file] += 1
            reason = pages.reason(file, record) or runs.reason(texts_of(record))
            if reason:
                found.dropped[file][name_of(record)] = reason
    for path in tars:
        file = path.relative_to(data).as_posix()
        same = [p for p in held_tars if p.parent.name == path.parent.name]
        looks = Pictures(same)
        purchases = Purchases((key, facts) for p in same for key, _, facts in pictures(p))
        for key, picture, facts in pictures(path):
            found.seen[file] += 1
            text = text_of_picture(facts)
            reason = (
                looks.reason(picture, by_looks=not text)
                or purchases.reason(facts)
                or runs.reason([text], LEAST_SHARE)
            )
            if reason:
                found.dropped[file][key] = reason
    for path in sorted((data / "tables").glob("*_tables.jsonl.gz")):
        file = path.relative_to(data).as_posix()
        for record in records(path):
            found.seen[file] += 1
            if (table := str(record["table_id"])) in out:
                found.dropped[file][table] = out[table]
    for (name, held_id), size in runs.sizes.items():
        found.shares[name][held_id] = len(runs.left.get((name, held_id), ())) / size
    return found


def write_clean(data: Path, out: Path, overlap: Overlap) -> None:
    """Write a folder like `data` whose training files lack what is left out.

    Files without overlap are links. Validation files of text are links too: the pre-stage of the
    encoder is measured on them; all other ones are absent.
    """
    for path in sorted(p for p in data.rglob("*") if p.is_file()):
        file = path.relative_to(data).as_posix()
        if not _is_free(path, data) or ("_val" in path.name and path.parent.name != "text"):
            continue
        target = out / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        dropped = overlap.dropped.get(file, {})
        if not dropped:
            target.symlink_to(path.resolve())
        elif path.suffix == ".tar":
            _copy_tar(path, target, dropped)
        else:
            _copy_lines(path, target, dropped)


def _copy_lines(path: Path, target: Path, dropped: Mapping[str, str]) -> None:
    with target.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
        for record in records(path):
            if name_of(record) not in dropped and str(record.get("table_id")) not in dropped:
                line = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
                file.write(line.encode() + b"\n")


def _copy_tar(path: Path, target: Path, dropped: Mapping[str, str]) -> None:
    with tarfile.open(path) as archive, tarfile.open(target, "w") as copy:
        for member in archive:
            if member.name.partition(".")[0] not in dropped:
                copy.addfile(member, archive.extractfile(member))


def suite_leaks(suite: Path, sets: Sequence[Path]) -> tuple[list[Leak], str]:
    """Samples of a suite that training sets hold, and what was looked at, in words.

    A question about a made picture has the wording of a template, which training asks about other
    pictures: for those the picture alone counts. Receipts of one shop share heads and feet: for
    those a text counts from the share on at which it is the same purchase.

    Raises:
        InputError: Something cannot be read.
    """
    finder, found = mini_suite.find_leaks(suite, sets)
    least: dict[str, float] = {}
    sets_there = read_manifest(suite)["sets"]
    for task in TASKS:
        made = str(sets_there.get(task.folder, {}).get("origin", "")).startswith("made:")
        if task.folder in sets_there and (made or task.folder == "receipts"):
            bound = math.inf if made else SAME_LINES
            least |= {s.id: bound for s in read_samples(suite, task) if s.media}
    leaks = [
        leak for leak in found if leak.what == "medium" or leak.share >= least.get(leak.sample, 0)
    ]
    told = (
        f"{len(leaks)} leaks; {finder.texts:,} texts and {finder.files:,} files seen, "
        f"{len(found) - len(leaks)} common wordings"
    )
    return leaks, told


def show(overlap: Overlap) -> None:
    """Print the report."""
    for name, found in overlap.document()["files"].items():
        why = ", ".join(f"{count} {kind}" for kind, count in found["reasons"].items())
        print(f"{name:42} {found['records']:7,} records, {found['left_out']:5,} left out  {why}")
    for name, found in overlap.document()["validation"].items():
        print(
            f"{name:42} {found['records']:7,} records, {found['with_a_common_run']:5,} with a run "
            f"of 13 words in common with what is left, {found['most']:.1%} of one at most"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the real data")
    parser.add_argument("--held", type=Path, help="validation data, if in another folder")
    parser.add_argument("--out", type=Path, help="write a copy without the overlap")
    parser.add_argument("--suite", type=Path, help="folder of the suite")
    parser.add_argument("--sets", type=Path, nargs="+", default=[], help="training sets or blends")
    options = parser.parse_args(arguments)
    if (options.data is None) == (options.suite is None):
        parser.error("give --data, or --suite with --sets")
    try:
        if options.suite is not None:
            leaks, told = suite_leaks(options.suite, options.sets)
            for leak in leaks:
                print(f"{leak.sample}: {leak.what}, {leak.share:.0%}, in {leak.source}")
            print(told)
            return 1 if leaks else 0
        overlap = find(options.data, options.held)
        show(overlap)
        if options.out is None:
            return 1 if any(overlap.dropped.values()) else 0
        write_clean(options.data, options.out, overlap)
        report = json.dumps(overlap.document(), indent=1, ensure_ascii=False)
        (options.out / "overlap.json").write_text(report + "\n", encoding="utf-8")
    except NanoVLError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
