"""For any records, sizes and shards: nothing is lost, repeated or changed on the way."""

from __future__ import annotations

import collections
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import given, settings, strategies as st

from nanovl.core.errors import InputError
from nanovl.data.blend import Source
from nanovl.data.jsonl import JsonlFile, read_jsonl
from nanovl.data.records import Record
from nanovl.data.shuffle import Permutation
from nanovl.data.stream import RecordStream
from nanovl.data.writer import RecordWriter

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
WORDS = st.sampled_from(
    ["id", "messages", "role", "content", "type", "text", "image", "user", "assistant", "loss"]
)


def fragment(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    value = TEXT if kind == "text" else TEXT.filter(bool)
    metadata = st.dictionaries(TEXT.map("x".__add__), JSON, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {"type": st.just(kind), kind: value}, optional={"metadata": metadata}
    )


USER = st.lists(
    st.one_of(*(fragment(k) for k in ("text", "image", "video", "audio"))), min_size=1, max_size=4
).map(lambda content: {"role": "user", "content": content})
ASSISTANT = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": st.lists(fragment("text"), min_size=1, max_size=2)},
    optional={"loss": st.just(False)},
)
RECORDS = st.fixed_dictionaries(
    {
        "id": TEXT.filter(bool),
        "messages": st.lists(st.tuples(USER, ASSISTANT), min_size=1, max_size=3).map(
            lambda pairs: [message for pair in pairs for message in pair]
        ),
    },
    optional={
        "reasoning": st.sampled_from(["on", "off"]),
        "source": TEXT.filter(bool),
        "weight": st.floats(0, 100).filter(lambda w: w != 1.0),
        "task": TEXT.filter(bool),
        "metadata": st.dictionaries(TEXT, JSON, min_size=1, max_size=3),
    },
)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@settings(max_examples=50, deadline=None)
@given(RECORDS)
def test_records_round_trip(obj: dict[str, Any]) -> None:
    record = Record.from_json(obj)
    assert record.to_json() == obj
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record


@settings(max_examples=50, deadline=None)
@given(st.recursive(JSON | WORDS, lambda i: st.dictionaries(WORDS, i) | st.lists(i), max_leaves=12))
def test_anything_else_is_refused_in_one_way(obj: Any) -> None:
    message = ""
    try:
        record = Record.from_json(obj, where="x.jsonl:1")
    except InputError as error:
        message = str(error)
    assert "x.jsonl:1: " in message or Record.from_json(record.to_json()) == record


@settings(max_examples=30, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=6, unique_by=lambda obj: obj["id"]))
def test_written_records_are_read_as_they_were(objs: list[dict[str, Any]]) -> None:
    for obj in objs:
        for message in obj["messages"]:
            message["content"] = [f for f in message["content"] if f["type"] == "text"] or "x"
    records = [Record.from_json(obj) for obj in objs]
    with folder() as work:
        with RecordWriter(work / "set") as writer:
            for record in records:
                writer.write(record)
        read = [Record.from_json(obj) for _, obj in read_jsonl(work / "set" / "set.jsonl")]
    assert read == records


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([b"", b" ", b"\t\r", b"{}", b"[1,  2]", b'"x"']), max_size=12))
def test_lines_at_random_are_the_lines_in_order(lines: list[bytes]) -> None:
    for end in (b"", b"\n"):
        with folder() as work:
            path = work / "a.jsonl"
            path.write_bytes(b"\n".join(lines) + end)
            file = JsonlFile(path)
            got = [(file.line_number(i), file[i]) for i in range(len(file))]
            assert got == list(read_jsonl(path))


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9000), st.text(max_size=5))
def test_permutations_permute(size: int, key: str) -> None:
    order = Permutation(size, key)
    assert sorted(order[i] for i in range(size)) == list(range(size))


@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    repetitions=st.lists(st.floats(0, 3), min_size=3, max_size=3),
    passes=st.sampled_from([1, 2, -1, None]),
    shards=st.integers(1, 5),
    epochs=st.none() | st.integers(1, 2),
    seed=st.integers(0, 3),
    cut=st.integers(0, 30),
)
def test_shards_cover_everything_and_resume(
    sizes: list[int],
    repetitions: list[float],
    passes: int | None,
    shards: int,
    epochs: int | None,
    seed: int,
    cut: int,
) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    with folder() as work:
        sources = []
        for number, size in enumerate(sizes):
            path = work / f"s{number}.jsonl"
            rows = [json.dumps({"id": f"{number}.{i}", "messages": turns}) for i in range(size)]
            path.write_text("\n".join(rows))
            source = Source(
                name="s",
                path=path,
                repetitions=repetitions[number],
                shuffle_over_epochs=passes,
            )
            sources.append(source)
        keys: list[str] = []
        counts: collections.Counter[str] = collections.Counter()
        for index in range(shards):

            def stream(index: int = index) -> RecordStream:
                return RecordStream(sources, seed=seed, shard=(index, shards), epochs=epochs)

            items = list(stream())
            assert len(items) == stream().total
            keys += [item.key for item in items]
            counts.update(item.record.id for item in items)
            begun = stream()
            for _ in zip(range(cut), begun, strict=False):
                pass
            resumed = stream()
            resumed.load_state_dict(json.loads(json.dumps(begun.state_dict())))
            assert [i.key for i in resumed] == [i.key for i in items[min(cut, len(items)) :]]
    assert len(set(keys)) == len(keys)
    for number, size in enumerate(sizes):
        mine = [counts[f"{number}.{i}"] for i in range(size)]
        assert sum(mine) == round(size * repetitions[number] * (epochs or 1))
        if passes in (1, None):
            assert max(mine) - min(mine) <= 1
