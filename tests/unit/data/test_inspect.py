"""Every record checked, and every wrong one named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import InputError
from nanovl.core.events import Event
from nanovl.data.blend import load_blend
from nanovl.data.config import DataConfig, PackingConfig
from nanovl.data.encode import SampleEncoder
from nanovl.data.inspect import Problem, check, validate
from nanovl.testing import picture, picture_bytes, tiny_processor


def chat(number: int, answer: str = "So.", **extra: Any) -> dict[str, Any]:
    return {
        "id": f"chat-{number}",
        "messages": [
            {"role": "user", "content": f"Question {number}?"},
            {"role": "assistant", "content": answer},
        ],
        **extra,
    }


def look(number: int, name: str) -> dict[str, Any]:
    content = [{"type": "image", "image": name}, {"type": "text", "text": "What?"}]
    record = chat(number)
    record["messages"][0]["content"] = content
    return record


@pytest.fixture
def encoder() -> SampleEncoder:
    config = DataConfig(seq_len=256, align=1, packing=PackingConfig(buffer_samples=50))
    return SampleEncoder(tiny_processor(), config)


def write(path: Path, rows: list[Any]) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def problems(path: Path, encoder: SampleEncoder, **options: Any) -> list[Problem]:
    found: list[Problem] = []
    result = validate(load_blend(path), encoder, on_problem=found.append, **options)
    assert result.num_problems == len(found)
    assert sum(len(sources) for sources in result.counts.values()) <= len(found)
    return found


def test_every_problem_names_file_line_and_field(tmp_path: Path, encoder: SampleEncoder) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "good.png").write_bytes(picture_bytes())
    wrong = chat(3)
    wrong["messages"][1]["content"] = [{"type": "txet", "text": "So."}]
    rows = [
        chat(0),
        "",
        '{"id": "cut',
        wrong,
        look(4, "god.png"),
        look(5, "good.png"),
        chat(0),
        chat(6, "<think>a</think><think>"),
        chat(7, source="elsewhere", weight=0),
    ]
    found = problems(write(tmp_path / "set.jsonl", rows), encoder)
    seen = {(p.where, p.reason): p for p in found}
    assert list(seen) == [
        ("set.jsonl:3", "malformed_record"),
        ("set.jsonl:4", "malformed_record"),
        ("set.jsonl:5", "missing_media"),
        ("set.jsonl:7", "duplicate_id"),
        ("set.jsonl:8", "bad_reasoning"),
        ("set.jsonl:9", "no_target"),
    ]
    assert "not JSON" in seen["set.jsonl:3", "malformed_record"].message
    field = seen["set.jsonl:4", "malformed_record"].message
    assert field.startswith("messages[1].content[0].type: got 'txet'")
    assert "did you mean 'text'" in field
    assert "did you mean 'good.png'" in seen["set.jsonl:5", "missing_media"].message
    duplicate = seen["set.jsonl:7", "duplicate_id"]
    assert duplicate.message == "id: 'chat-0' was used before, at set.jsonl:1"
    assert seen["set.jsonl:9", "no_target"].source == "elsewhere"


def test_media_is_decoded_on_request(tmp_path: Path, encoder: SampleEncoder) -> None:
    (tmp_path / "media").mkdir()
    data = picture_bytes(picture(64, 64, "noise"))
    (tmp_path / "media" / "whole.png").write_bytes(data)
    (tmp_path / "media" / "cut.png").write_bytes(data[:-3000])
    path = write(tmp_path / "set.jsonl", [look(0, "whole.png"), look(1, "cut.png")])
    assert problems(path, encoder) == []
    (problem,) = problems(path, encoder, decode=True)
    assert (problem.where, problem.reason) == ("set.jsonl:2", "undecodable_media")
    assert "cut.png" in problem.message


def test_counts_and_progress(tmp_path: Path, encoder: SampleEncoder) -> None:
    path = write(tmp_path / "set.jsonl", [chat(i) for i in range(450)])
    events: list[Event] = []
    result = validate(load_blend(path), encoder, on_event=events.append)
    assert (result.records, result.num_problems, result.decoded) == (450, 0, False)
    assert [event.done for event in events] == [200, 400]


def test_a_part_of_a_source(tmp_path: Path, encoder: SampleEncoder) -> None:
    path = write(tmp_path / "set.jsonl", [chat(i) for i in range(40)])
    (source,) = load_blend(path)
    assert len(list(check(source, encoder))) == 40
    drawn = [c.where for c in check(source, encoder, limit=10)]
    assert len(set(drawn)) == 10
    assert drawn == sorted(drawn, key=lambda where: int(where.partition(":")[2]))
    assert drawn == [c.where for c in check(source, encoder, limit=10)]
    assert drawn != [c.where for c in check(source, encoder, limit=10, seed=1)]
    blend = tmp_path / "blend.yaml"
    blend.write_text(
        "__module__: megatron.energon\n__class__: MetadatasetV2\n"
        "splits: {train: {path: set.jsonl, subset: {range: [25%, 50%]}}}\n"
    )
    (source,) = load_blend(blend)
    assert [c.where for c in check(source, encoder)] == [f"set.jsonl:{i}" for i in range(11, 21)]


def test_file_that_cannot_be_read(tmp_path: Path, encoder: SampleEncoder) -> None:
    path = write(tmp_path / "set.jsonl", [chat(0)])
    (source,) = load_blend(path)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        next(check(source, encoder))
