"""RD-TableBench: a page for every ground-truth HTML file of the same name.

Pages are PDFs or pictures in `pdfs/` (also `images/`, `pages/`), tables in `groundtruth/`.

Source: evaluation specification, sections 3.2 and 4.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nanovl.core.errors import InputError
from nanovl.evals.base import Sample
from nanovl.evals.readers.cells import medium_of_file
from nanovl.evals.readers.manifest import ReadLog
from nanovl.evals.registry import Benchmark

__all__ = ["read_pairs"]

_TRUTH = ("groundtruth", "ground_truth", "html")
_PAGES = ("pdfs", "images", "pages")
_SUFFIXES = (".pdf", ".png", ".jpg", ".jpeg", ".webp")


def read_pairs(path: Path, benchmark: Benchmark, log: ReadLog) -> Iterator[Sample]:
    """Samples of a folder of pairs, in the order of their names.

    Args:
        path: The folder that holds pages and ground truth, or the folder of the pages.
        benchmark: Whose files they are.
        log: Takes pairs that cannot be used: no page, an unreadable page, no table.

    Raises:
        InputError: There is no ground truth at all.
    """
    root = path if any((path / name).is_dir() for name in _TRUTH) else path.parent
    folder = next((root / name for name in _TRUTH if (root / name).is_dir()), None)
    tables = sorted(folder.rglob("*.html")) if folder is not None else []
    if folder is None or not tables:
        raise InputError(
            f"{benchmark.id}: no ground truth: expected HTML files in {root / _TRUTH[0]}; "
            f"get them ({benchmark.source})"
        )
    pages = _pages(root, folder)
    for table in tables:
        label = log.opened(table, table.relative_to(root).as_posix())
        log.rows[label] += 1
        try:
            html = table.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            log.problem(label, 0, "encoding", f"cannot be read as UTF-8 ({error})")
            continue
        if "<table" not in html.lower():
            log.problem(label, 0, "answer", "holds no <table")
            continue
        page = pages.get(table.stem)
        if page is None:
            log.problem(label, 0, "picture", f"no page {table.stem} ({', '.join(_SUFFIXES)})")
            continue
        try:
            medium = medium_of_file(page, page.name)
        except InputError as error:
            log.problem(label, 0, "picture", str(error))
            continue
        log.media[page.name] = page.stat().st_size
        yield Sample(
            id=table.stem,
            question="",
            answer=html,
            media=(medium,),
            group=table.stem,
            meta={"dataset": benchmark.id, "part": "main", "page": page.name},
        )


def _pages(root: Path, truth: Path) -> dict[str, Path]:
    """Pages by stem; a picture is preferred to a PDF, which has to be rendered."""
    folders = [root / name for name in _PAGES if (root / name).is_dir()] or [root]
    found: dict[str, Path] = {}
    for suffix in _SUFFIXES:
        for folder in folders:
            for page in sorted(folder.rglob(f"*{suffix}")):
                if not page.is_relative_to(truth):
                    found[page.stem] = page
    return found
