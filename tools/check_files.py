"""The file checks of .pre-commit-config.yaml, without a download.

    python tools/check_files.py --end-of-file --merge-conflict --large FILE...

Prints one line per problem and exits 1 if there is one; changes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

LARGEST_BYTES = 500_000
CONFLICT_MARKERS = (b"<" * 7 + b" ", b">" * 7 + b" ", b"=" * 7 + b"\n")


def problems(path: Path, options: argparse.Namespace) -> Iterator[str]:
    """What is wrong with one file, in words."""
    data = path.read_bytes()
    if options.end_of_file and data and (data[-1:] != b"\n" or data[-2:] == b"\n\n"):
        yield "does not end with exactly one line break"
    if options.merge_conflict:
        lines = data.splitlines(keepends=True)
        found = {m for m in CONFLICT_MARKERS for line in lines if line.startswith(m)}
        if len(found) == len(CONFLICT_MARKERS):
            yield "contains merge conflict markers"
    if options.large and len(data) > LARGEST_BYTES:
        yield f"has {len(data)} bytes, more than {LARGEST_BYTES}; is it meant to be committed?"


def main(arguments: list[str] | None = None) -> int:
    """Check the files; returns the exit status."""
    parser = argparse.ArgumentParser(description="Check files before they are committed.")
    parser.add_argument("--end-of-file", action="store_true")
    parser.add_argument("--merge-conflict", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args(arguments)
    found = [f"{path}: {text}" for path in options.files for text in problems(path, options)]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
