"""Video benchmarks: an index of questions, and a folder of videos beside it.

LongVideoBench (`lvb_val.json`, `videos/`, `subtitles/`), MLVU (`json/1_plotQA.json` to
`7_topic_reasoning.json`, `video/<task>/`), Video-MME (`videomme/*.parquet`, `video/`, `subtitle/`),
or the TSV that VLMEvalKit makes of any of them. Videos are not opened beyond their first bytes.

Source: evaluation specification, sections 3.2 and 4.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError
from nanovl.evals.base import Medium, Sample
from nanovl.evals.readers.cells import as_text, literal_list, medium_of_file
from nanovl.evals.readers.find import inside
from nanovl.evals.readers.manifest import ReadLog
from nanovl.evals.readers.records import read_records
from nanovl.evals.readers.rows import RowReader, Unusable
from nanovl.evals.registry import Benchmark, FileSpec

__all__ = ["MLVU_TASKS", "read_video_index"]

MLVU_TASKS = (
    "1_plotQA",
    "2_needle",
    "3_ego",
    "4_count",
    "5_order",
    "6_anomaly_reco",
    "7_topic_reasoning",
)
_FOLDERS = ("videos", "video", "data")
_LETTERED = re.compile(r"\s*\(?([A-Z])[.):]\s*(.*)", re.DOTALL)


def read_video_index(
    path: Path, benchmark: Benchmark, spec: FileSpec, log: ReadLog, *, profile: str = "default"
) -> Iterator[Sample]:
    """Samples of an index; answers are letters.

    Args:
        path: The index, or MLVU's folder of indexes.
        benchmark: Whose it is.
        spec: Part of the benchmark.
        log: Takes questions that cannot be used, such as those whose video is missing.
        profile: "vk" for missing values as pandas sees them.

    Raises:
        InputError: An index cannot be read.
    """
    rows = RowReader(benchmark, spec, path, log, profile)
    for number, (file, line, record, root) in enumerate(_entries(path, benchmark, log)):
        cells = rows.present(_renamed(record, number))

        def media(index: str, cells: Mapping[str, Any] = cells, root: Path = root) -> list[Medium]:
            return [_video(cells, root, log)]

        try:
            yield _lettered(rows.sample(cells, media, number), cells)
        except Unusable as error:
            log.problem(file, line, error.reason, str(error))


def _entries(
    path: Path, benchmark: Benchmark, log: ReadLog
) -> Iterator[tuple[str, int, dict[str, Any], Path]]:
    """File, line and record of every question, with the folder its video is below."""
    if not path.is_dir():
        root = path.parent.parent if path.parent.name == "videomme" else path.parent
        for line, record in read_records(path, log):
            yield path.name, line, record, root
        return
    folder = path / "json" if (path / "json").is_dir() else path
    found = [name for name in MLVU_TASKS if (folder / f"{name}.json").is_file()]
    if not found:
        raise InputError(
            f"{benchmark.id}: {folder} holds none of {MLVU_TASKS[0]}.json to "
            f"{MLVU_TASKS[-1]}.json; get them ({benchmark.source})"
        )
    absent = [name for name in MLVU_TASKS if name not in found]
    if absent:
        log.notes.append(f"tasks that are missing in {folder}: {', '.join(absent)}")
    root = folder.parent if folder.name == "json" else folder
    for name in found:
        file = folder / f"{name}.json"
        for line, record in read_records(file, log):
            task = {"task_type": name.partition("_")[2], "prefix": f"video/{name}"}
            yield file.name, line, {**task, **record}, root


def _renamed(record: Mapping[str, Any], number: int) -> dict[str, Any]:
    """A record with the column names that all three have in common."""
    row = dict(record)
    row.setdefault("index", as_text(record.get("id", record.get("question_id", number))))
    row.setdefault("video", record.get("videoID", record.get("video_id")))
    if "candidates" not in row and "options" in row:
        row["candidates"] = row.pop("options")
    return row


def _video(cells: Mapping[str, Any], root: Path, log: ReadLog) -> Medium:
    names = [as_text(cells[key]) for key in ("video_path", "video") if cells.get(key)]
    if cells.get("prefix") and cells.get("video"):
        names.insert(0, f"{as_text(cells['prefix'])}/{as_text(cells['video'])}")
    names += [f"{name}.mp4" for name in names if not name.endswith(".mp4")]
    if not names:
        raise Unusable("video", "the row names no video")
    bases = [root / name for name in _FOLDERS if (root / name).is_dir()]
    try:
        for name in names:
            path = inside(root, name, bases=bases)
            if path is not None:
                label = path.relative_to(root.absolute()).as_posix()
                log.media[label] = path.stat().st_size
                return medium_of_file(path, label)
    except InputError as error:
        raise Unusable("video", str(error)) from error
    raise Unusable("video", f"there is no {names[0]} below {root}; put the videos there")


def _lettered(sample: Sample, cells: Mapping[str, Any]) -> Sample:
    """The sample with a letter for an answer, and texts without letters for options."""
    texts = literal_list(cells.get("candidates")) or []
    options = dict(sample.options)
    marked = [_LETTERED.fullmatch(text) for text in options.values()]
    if marked and all(m and m[1] == letter for m, letter in zip(marked, options, strict=True)):
        options = {m[1]: m[2] for m in marked if m}
    answer = as_text(sample.answer)
    if "correct_choice" in cells:
        if not answer.isdecimal() or int(answer) >= len(options):
            raise Unusable("answer", f"correct_choice {answer}, expected 0 to {len(options) - 1}")
        letter = list(options)[int(answer)]
    elif answer in options:
        letter = answer
    else:
        letter = _letter_of(answer, texts, options)
    meta = {**sample.meta, "answer_text": options[letter]}
    return replace(sample, answer=letter, options=options, meta=meta)


def _letter_of(answer: str, texts: Sequence[Any], options: Mapping[str, str]) -> str:
    found = [letter for letter, text in zip(options, texts, strict=False) if text == answer]
    if not found:
        raise Unusable("answer", f"the answer {answer[:80]!r} is none of the candidates")
    return found[-1]
