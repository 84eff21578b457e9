"""MMLongBench-Doc: questions about whole documents.

Either VLMEvalKit's TSV, whose image cells are PDFs in base64, or the authors' JSON list beside a
folder `documents/` with one PDF per `doc_id`. Pages are not rendered here.

Source: evaluation specification, sections 3.2 and 4.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.base import Medium, Sample
from nanovl.evals.readers.cells import as_text, medium_of_file
from nanovl.evals.readers.find import inside
from nanovl.evals.readers.manifest import ReadLog
from nanovl.evals.readers.records import read_records
from nanovl.evals.readers.rows import RowReader, Unusable
from nanovl.evals.readers.tsv import CellPictures, read_table
from nanovl.evals.registry import Benchmark, FileSpec

__all__ = ["read_documents"]


def read_documents(
    path: Path, benchmark: Benchmark, spec: FileSpec, log: ReadLog, *, profile: str = "default"
) -> Iterator[Sample]:
    """Samples with one PDF, or the pages of one document as pictures.

    Args:
        path: A TSV, or a JSON list.
        benchmark: Whose file it is.
        spec: Part of the benchmark.
        log: Takes rows that cannot be used.
        profile: "vk" for missing values as pandas sees them.

    Raises:
        InputError: The file cannot be read or lacks a column.
    """
    rows = RowReader(benchmark, spec, path, log, profile)
    is_tsv = path.suffix == ".tsv"
    pictures = CellPictures(path, log)
    records: Iterator[tuple[int, Mapping[str, Any]]] = (
        iter(read_table(path, log, check=rows.check_columns))
        if is_tsv
        else iter(read_records(path, log))
    )
    for number, (line, record) in enumerate(records):
        cells = rows.present(record if is_tsv else {"index": str(number), **record})

        def media(index: str, cells: Mapping[str, Any] = cells) -> Sequence[Medium]:
            if "image" in cells or "image_path" in cells:
                return pictures.of(cells, index)
            return (_document(cells, path.parent, log),)

        try:
            yield rows.sample(cells, media, number)
        except Unusable as error:
            log.problem(path.name, line, error.reason, str(error))


def _document(cells: Mapping[str, Any], folder: Path, log: ReadLog) -> Medium:
    name = as_text(cells.get("doc_id"))
    if not name:
        raise Unusable("picture", "neither image, image_path nor doc_id")
    try:
        path = inside(folder, name, bases=(folder / "documents",))
        if path is None:
            raise InputError(f"there is no {name} in {folder / 'documents'}; put it there")
        medium = medium_of_file(path, name)
    except InputError as error:
        raise Unusable("picture", str(error)) from error
    log.media[name] = path.stat().st_size
    return medium
