"""The whole conversion: formats by name, files on disk, counted drops."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.events import Event
from nanovl.data.convert import FORMATS, convert, find_format
from nanovl.data.convert.base import (
    Converted,
    ConvertOptions,
    Format,
    Media,
    Turn,
    conversation,
)
from nanovl.data.convert.templates import literal
from nanovl.data.convert.write import ConvertReport, write_records
from nanovl.data.records import Record, read_jsonl


def made(options: ConvertOptions, key: str, *media: Media, task: str = "t") -> Converted:
    turn = Turn(question=literal("a?"), answer="b", task=task)
    return conversation(options, id=key, turns=[turn], source="s", media=media)


def toy(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Ten records, two a picture; the third is malformed, the last repeats an id."""
    for number in range(10):
        if number == 3:
            options.on_drop("empty", f"{source.name}:{number}", "question is blank")
            continue
        shared = Media(name=f"p{number // 2}.png", payload=f"{number // 2}".encode())
        yield made(options, f"r{min(number, 8)}", shared, task="even" if number % 2 == 0 else "odd")


TOY = Format(name="toy", description="", convert=toy, expects="", options={"size": "of it"})


def run(out: Path, **options: object) -> ConvertReport:
    given = ConvertOptions(**options)  # type: ignore[arg-type]
    return write_records(TOY, Path("toy.json"), out, options=given)


def test_records_and_media_are_written_once_each(tmp_path: Path) -> None:
    report = run(tmp_path / "out")
    assert (report.written, report.media) == (8, 5)
    assert report.tasks == {"even": 5, "odd": 3}
    assert report.dropped == {"empty": 1, "duplicate_id": 1}
    assert report.examples["empty"] == ["toy.json:3: question is blank"]
    (path,) = (tmp_path / "out").glob("*.jsonl")
    records = [Record.from_json(value, where=f"{n}") for n, value in read_jsonl(path)]
    assert [r.id for r in records] == [f"r{n}" for n in (0, 1, 2, 4, 5, 6, 7, 8)]
    found = {}
    for shard in (tmp_path / "out" / "media").glob("*.tar"):
        with tarfile.open(shard) as archive:
            for info in archive:
                stream = archive.extractfile(info)
                assert stream is not None
                assert info.name not in found
                found[info.name] = stream.read()
    assert found == {f"p{n}.png": f"{n}".encode() for n in range(5)}


def test_the_limit_counts_records(tmp_path: Path) -> None:
    assert run(tmp_path / "out", limit=4).written == 4
    assert run(tmp_path / "out2", limit=4).dropped == {"empty": 1}


def test_the_caller_hears_drops_and_progress(tmp_path: Path) -> None:
    heard: list[tuple[str, str, str]] = []
    events: list[Event] = []
    options = ConvertOptions(on_drop=lambda *what: heard.append(what))
    write_records(TOY, Path("x"), tmp_path, options=options, on_event=events.append)
    assert [h[0] for h in heard] == ["empty", "duplicate_id"]
    assert (events[-1].name, events[-1].done, events[-1].unit) == ("convert", 8, "records")


def test_examples_are_bounded() -> None:
    report = ConvertReport(format="x", folder=Path())
    for number in range(10):
        report.drop("empty", f"f:{number}", "m")
    assert report.dropped == {"empty": 10}
    assert report.examples == {"empty": ["f:0: m", "f:1: m", "f:2: m"]}


def test_one_name_for_two_files_is_an_error_and_leaves_no_data_set(tmp_path: Path) -> None:
    def clash(source: Path, options: ConvertOptions) -> Iterator[Converted]:
        for number in range(2):
            yield made(options, f"r{number}", Media(name="p.png", payload=f"{number}".encode()))

    format = Format(name="clash", description="", convert=clash, expects="")
    with pytest.raises(InputError, match=r"record r1: media name 'p\.png' already stands"):
        write_records(format, Path("x"), tmp_path / "out", options=ConvertOptions())
    assert not list((tmp_path / "out").glob("*.jsonl"))


def test_files_are_read_when_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")

    def files(source: Path, options: ConvertOptions) -> Iterator[Converted]:
        for name in ("a.png", "a.png", "gone.png"):
            media = Media(name=name, payload=MediaRef(path=tmp_path / name))
            yield made(options, f"r{len(seen)}", media)
            seen.append(name)

    seen: list[str] = []
    format = Format(name="files", description="", convert=files, expects="")
    report = write_records(format, tmp_path, tmp_path / "out", options=ConvertOptions(limit=2))
    assert (report.written, report.media) == (2, 1)
    seen.clear()
    with pytest.raises(InputError, match=r"record r2: .*gone\.png: cannot be read"):
        write_records(format, tmp_path, tmp_path / "out2", options=ConvertOptions())


def test_nothing_converted_is_an_error_that_says_why(tmp_path: Path) -> None:
    path = tmp_path / "gsm8k_train.jsonl"
    path.write_text('{"id": 1}\n{"id": 2}\n')
    with pytest.raises(InputError) as caught:
        convert("nanovl-gsm8k", path, tmp_path / "out")
    expected = (
        "2 were dropped for 'missing_field', such as gsm8k_train.jsonl:1: question is missing"
    )
    assert expected in str(caught.value)
    path.write_text("")
    with pytest.raises(InputError, match="not a single item of format 'nanovl-gsm8k'"):
        convert("nanovl-gsm8k", path, tmp_path / "out")


def test_convert_by_name(tmp_path: Path) -> None:
    path = tmp_path / "gsm8k_train.jsonl"
    row = {"id": "g1", "question": "1+1?", "solution": "1+1 = 2", "answer": 2}
    path.write_text(json.dumps(row))
    report = convert("nanovl-gsm8k", tmp_path, str(tmp_path / "out"), extra={"twins": "false"})
    assert (report.format, report.written) == ("nanovl-gsm8k", 1)


def test_unknown_names_are_errors_that_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown data format 'chartqq'; did you mean 'chartqa'"):
        convert("chartqq", tmp_path, tmp_path)
    with pytest.raises(ConfigError, match="no option 'sizes'; did you mean 'size'"):
        run(tmp_path, extra={"sizes": 3})
    with pytest.raises(ConfigError, match="it has: none"):
        convert("nanovl-code", tmp_path, tmp_path, extra={"multi_turn": True})


def test_every_format_describes_itself() -> None:
    for name, format in FORMATS.items():
        assert find_format(name) is format
        assert name == format.name
        assert format.description
        assert not format.description.endswith(".")
        assert format.expects
        assert all(format.options.values())
