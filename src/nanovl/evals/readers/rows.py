"""From a row of a table to a sample: which column is what, and which rows belong together.

Rows come from a TSV or from an export with the same columns; media are given. What is unusual
about a benchmark's columns stands in its entry of the registry. Opens no file.

Source: evaluation specification, sections 3.1 and 4.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.base import Medium, Sample
from nanovl.evals.readers.cells import MISSING_NAMES, as_list, as_text, is_listing, letters
from nanovl.evals.readers.manifest import ReadLog
from nanovl.evals.registry import Benchmark, FileSpec

__all__ = ["ROTATION", "RowReader", "Unusable"]

ROTATION = 10**6
"""Rows of a circular file whose index differs by multiples of this ask the same question."""

_OWN = frozenset(("index", "image", "image_path", "question", "hint", *string.ascii_uppercase))
_NO_QUESTION = (("mmmu_pro", "vision"),)
_NO_MEDIA = "text"


class Unusable(Exception):
    """A row that is left out; becomes a `Problem`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RowReader:
    """Makes the samples of one file.

    Args:
        benchmark: Whose rows.
        spec: Part of the benchmark.
        file: Where they come from; its stem names the data set.
        log: Takes what is lost and left out.
        profile: "vk" takes the names of missing values for missing values.
    """

    def __init__(
        self, benchmark: Benchmark, spec: FileSpec, file: Path, log: ReadLog, profile: str
    ) -> None:
        self.benchmark = benchmark
        self.spec = spec
        self.file = file
        self.log = log
        self._drops_missing = profile == "vk"
        self._question = benchmark.question_column or "question"
        self._answer = benchmark.answer_column or "answer"
        self._category = benchmark.category_column or "category"
        self._seen: set[str] = set()

    def check_columns(self, columns: Sequence[str]) -> None:
        """Refuse a file that cannot be this benchmark's.

        Raises:
            InputError: A needed column is missing; names it and those that are there.
        """
        needed = ["index"]
        if (self.benchmark.id, self.spec.part) not in _NO_QUESTION:
            needed.append(self._question)
        if self.spec.answers:
            needed.append(self._answer)
        missing = [name for name in needed if name not in columns]
        if self.benchmark.modality != _NO_MEDIA and not {"image", "image_path"} & set(columns):
            missing.append("image (or image_path)")
        if missing:
            raise InputError(
                f"{self.file.name}: no column {', '.join(missing)}; it has "
                f"{', '.join(columns) or 'none'}. Is it the file of {self.benchmark.id}? "
                f"Get it from: {self.benchmark.source}"
            )

    def present(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Cells that hold something, by column; counts what the profile takes for missing."""
        kept: dict[str, Any] = {}
        for column, cell in row.items():
            if cell is None or cell == "":
                continue
            if self._drops_missing and isinstance(cell, str) and cell in MISSING_NAMES:
                self.log.lost_cells[column] += 1
                self.log.lost_options += len(column) == 1 and column in string.ascii_uppercase
                continue
            kept[column] = cell
        return kept

    def wanted(self, row: Mapping[str, Any]) -> bool:
        """Whether a row belongs to the split that counts; counts the others."""
        for column, values in self.benchmark.keep.items():
            if column in row and as_text(row[column]) not in values:
                self.log.left_out[self.file.name] += 1
                return False
        return True

    def sample(
        self, cells: Mapping[str, Any], media: Callable[[str], Sequence[Medium]], number: int
    ) -> Sample:
        """The sample of a row.

        Args:
            cells: What the row holds, missing cells left out.
            media: From the row's index to its media; may raise `Unusable`.
            number: Of the row in the file, from 0; rows that are left out count.

        Raises:
            Unusable: Says why.
        """
        index = as_text(cells.get("index")).strip()
        if not index:
            raise Unusable("index", "the row has no index")
        if index in self._seen:
            raise Unusable("duplicate", f"a second row with index {index}")
        question = as_text(cells.get(self._question))
        if not question.strip() and (self.benchmark.id, self.spec.part) not in _NO_QUESTION:
            if "question" not in cells:
                raise Unusable("question", f"row {index}: no {self._question}")
            question = as_text(cells["question"])
        answer = self._answer_of(cells, index)
        shown = tuple(media(index))
        if not shown and self.benchmark.modality != _NO_MEDIA:
            raise Unusable("picture", f"row {index}: neither image nor image_path")
        meta = self._meta(cells)
        sample = Sample(
            id=self.identity(index),
            question=question,
            answer=answer,
            options=self._options(cells, index),
            media=shown,
            hint=as_text(cells.get("hint")),
            group=self._group(cells, index, number),
            category=as_text(cells.get(self._category)),
            meta=meta,
        )
        self._seen.add(index)
        return sample

    def identity(self, index: str) -> str:
        """Unique in the benchmark: parts that are scored together have their name before it."""
        if self.benchmark.combine == "together" and len(self.benchmark.files) > 1:
            return f"{self.spec.part}:{index}"
        return index

    def _answer_of(self, cells: Mapping[str, Any], index: str) -> Any:
        answer = cells.get(self._answer)
        if self._answer in self.benchmark.list_columns:
            answer = as_list(answer)
            if isinstance(answer, list) and not self.benchmark.box:
                # Numbers in a list of answers are texts to compare with; inner lists stay.
                answer = [v if isinstance(v, (list, dict)) else as_text(v) for v in answer]
            elif not isinstance(answer, list) and answer is not None:
                answer = [as_text(answer)]
        elif answer is not None and not isinstance(answer, (list, tuple, dict)):
            answer = as_text(answer)
        if answer is None and self.spec.answers:
            if self._drops_missing and self.log.lost_cells[self._answer]:
                return "nan"  # NOTE(parity): what pandas makes of a lost cell
            raise Unusable("answer", f"row {index}: no {self._answer}")
        return answer

    def _options(self, cells: Mapping[str, Any], index: str) -> dict[str, str]:
        found = {
            letter: as_text(cells[letter]) for letter in string.ascii_uppercase if letter in cells
        }
        listing = cells.get(self.benchmark.options_column) if not found else None
        if listing is None:
            return found
        texts = as_list(listing)
        if not isinstance(texts, (list, tuple)):
            raise Unusable(
                "options",
                f"row {index}: {self.benchmark.options_column} is no list: {str(listing)[:80]!r}",
            )
        try:
            return letters(texts)
        except InputError as error:
            raise Unusable("options", f"row {index}: {error}") from error

    def _group(self, cells: Mapping[str, Any], index: str, number: int) -> str:
        rule = self.benchmark.group_by
        if rule == "circular":
            if not index.isdecimal():
                raise Unusable("index", f"row {index!r}: the index must be a whole number")
            return str(int(index) % ROTATION)
        if rule == "four_rows":
            return str(number // 4)
        if rule == "chain":
            steps = as_text(cells.get("key")).partition("_")[0]
            return f"{steps}:{as_text(cells.get('ID'))}"
        return as_text(cells.get(rule)) if rule else ""

    def _meta(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        meta: dict[str, Any] = {}
        for column, cell in cells.items():
            if column in _OWN or column in (self._answer, self._question):
                continue
            meta[column] = as_list(cell) if column in self.benchmark.list_columns else cell
        if self._answer != "answer":
            answer = cells.get(self._answer)
            meta[self._answer] = as_list(answer) if is_listing(answer) else answer
        stem = self.file.stem
        meta["dataset"] = stem
        meta["part"] = self.spec.part
        if self.benchmark.box:
            meta["box"] = self.benchmark.box
        if stem.lower().endswith("_cot"):
            meta["cot"] = True
        if self.benchmark.id == "mmmu_pro":
            meta["variant"] = self.spec.part
        return meta
