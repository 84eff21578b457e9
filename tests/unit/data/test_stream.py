"""nanovl.data.stream: every record as often as it should come, from any point again."""

from __future__ import annotations

import collections
import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.blend import Source
from nanovl.data.media import FolderStore
from nanovl.data.stream import RecordStream, StreamItem


def line(id: str, **values: Any) -> str:
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    return json.dumps({"id": id, "messages": messages, **values})


def source(folder: Path, name: str, count: int, **values: Any) -> Source:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(line(f"{name}{i}") + "\n" for i in range(count)))
    return Source(name=name, path=path, **values)


def ids(stream: RecordStream, count: int | None = None) -> list[str]:
    return [item.record.id for item in itertools.islice(stream, count)]


def test_one_item(tmp_path: Path) -> None:
    item = next(RecordStream([source(tmp_path, "a", 1)], seed=0))
    assert isinstance(item, StreamItem)
    assert (item.key, item.source, item.draw, item.record.id) == ("a/1/0", "a", 0, "a0")
    assert isinstance(item.store, FolderStore)


def test_the_records_own_source_counts(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_text(line("x", source="charts") + "\n" + line("y") + "\n")
    stream = RecordStream([Source(name="mixed", path=path)], seed=0, shuffle=False)
    assert [next(stream).source for _ in range(2)] == ["charts", "mixed"]


def test_weights_never_end_and_every_pass_is_complete(tmp_path: Path) -> None:
    stream = RecordStream([source(tmp_path, "a", 7)], seed=0)
    assert stream.total is None
    passes = [ids(stream, 7) for _ in range(5)]
    assert all(sorted(p) == sorted(passes[0]) for p in passes)
    assert len({tuple(p) for p in passes}) == 5
    assert next(stream).key.endswith("/5")


def test_weights_are_kept(tmp_path: Path) -> None:
    sources = [
        source(tmp_path, "a", 5, weight=0.6),
        source(tmp_path, "b", 50, weight=0.3),
        source(tmp_path, "c", 3, weight=0.0),
        source(tmp_path, "d", 3, weight=0.1),
        source(tmp_path, "e", 3, weight=0.0),
    ]
    counts = collections.Counter(i[0] for i in ids(RecordStream(sources, seed=1), 4000))
    assert counts["c"] == counts["e"] == 0
    for name, share in (("a", 0.6), ("b", 0.3), ("d", 0.1)):
        assert abs(counts[name] / 4000 - share) < 0.04


def test_without_shuffling_files_are_read_in_order(tmp_path: Path) -> None:
    sources = [source(tmp_path, "a", 2), source(tmp_path, "b", 3)]
    stream = RecordStream(sources, seed=0, shuffle=False, epochs=2)
    assert ids(stream) == ["a0", "a1", "a0", "a1", "b0", "b1", "b2", "b0", "b1", "b2"]
    one = RecordStream([sources[1]], seed=0, shuffle=False)
    assert ids(one, 5) == ["b0", "b1", "b2", "b0", "b1"]


def test_a_source_may_refuse_shuffling(tmp_path: Path) -> None:
    still = source(tmp_path, "a", 4, shuffle_over_epochs=None)
    assert ids(RecordStream([still], seed=0), 6) == ["a0", "a1", "a2", "a3", "a0", "a1"]


def test_shuffling_over_several_passes(tmp_path: Path) -> None:
    double = source(tmp_path, "a", 6, shuffle_over_epochs=2)
    stream = RecordStream([double], seed=3)
    items = list(itertools.islice(stream, 24))
    for window in (items[:12], items[12:]):
        assert set(collections.Counter(i.record.id for i in window).values()) == {2}
    # Some record comes twice before another has come once.
    assert len({i.record.id for i in items[:6]}) < 6
    assert len({i.key for i in items}) == 24


def test_drawing_with_replacement(tmp_path: Path) -> None:
    again = source(tmp_path, "a", 5, shuffle_over_epochs=-1)
    items = list(itertools.islice(RecordStream([again], seed=0), 1000))
    counts = collections.Counter(i.record.id for i in items)
    assert all(abs(n - 200) < 65 for n in counts.values())
    assert len({i.record.id for i in items[:5]}) < 5
    assert len({i.key for i in items}) == 1000


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("shuffle", [True, False])
def test_shards_share_every_pass(count: int, shuffle: bool, tmp_path: Path) -> None:
    sources = [source(tmp_path, "a", 11), source(tmp_path, "b", 2), source(tmp_path, "c", 1)]
    shards = [
        RecordStream(sources, seed=5, shard=(i, count), epochs=2, shuffle=shuffle)
        for i in range(count)
    ]
    drawn = [list(shard) for shard in shards]
    assert [len(d) for d in drawn] == [shard.total for shard in shards]
    assert max(map(len, drawn)) - min(map(len, drawn)) <= 1
    everything = [item for items in drawn for item in items]
    counts = collections.Counter(item.record.id for item in everything)
    assert len(counts) == 14
    assert set(counts.values()) == {2}
    assert len({item.key for item in everything}) == 28
    assert {item.key.rsplit("/", 1)[1] for item in everything} == {"0", "1"}


def test_endless_shards_never_draw_the_same(tmp_path: Path) -> None:
    sources = [source(tmp_path, "a", 5, weight=3.0), source(tmp_path, "b", 40)]
    streams = [RecordStream(sources, seed=5, shard=(i, 3)) for i in range(3)]
    keys = [item.key for stream in streams for item in itertools.islice(stream, 300)]
    assert len(set(keys)) == 900


@pytest.mark.parametrize(
    ("repetitions", "epochs", "expected"),
    [(1.0, None, 10), (0.25, None, 2), (2.5, None, 25), (0.5, 3, 15), (3, 2, 60)],
)
@pytest.mark.parametrize("count", [1, 4])
def test_repetitions_are_exact(
    repetitions: float, epochs: int | None, expected: int, count: int, tmp_path: Path
) -> None:
    part = source(tmp_path, "a", 10, repetitions=repetitions)
    other = source(tmp_path, "b", 3, repetitions=1.0)
    counts: collections.Counter[str] = collections.Counter()
    for index in range(count):
        counts.update(ids(RecordStream([part, other], seed=0, shard=(index, count), epochs=epochs)))
    mine = [counts[f"a{i}"] for i in range(10)]
    assert sum(mine) == expected
    assert max(mine) - min(mine) <= 1
    assert sum(counts.values()) - sum(mine) == 3 * (epochs or 1)


def test_sources_of_a_finite_stream_are_mixed(tmp_path: Path) -> None:
    sources = [source(tmp_path, "a", 300), source(tmp_path, "b", 100)]
    drawn = ids(RecordStream(sources, seed=0, epochs=1))
    for part in (drawn[:100], drawn[150:250], drawn[300:]):
        assert 8 <= sum(i.startswith("b") for i in part) <= 42


def test_a_limit(tmp_path: Path) -> None:
    sources = [source(tmp_path, "a", 5)]
    assert len(ids(RecordStream(sources, seed=0, limit=8))) == 8
    stream = RecordStream(sources, seed=0, limit=3, epochs=1)
    assert (stream.total, len(ids(stream))) == (3, 3)
    assert next(stream, None) is None


def test_a_range_of_a_file(tmp_path: Path) -> None:
    stream = RecordStream([source(tmp_path, "a", 10, start=3, stop=6)], seed=0, epochs=1)
    assert sorted(ids(stream)) == ["a3", "a4", "a5"]


def test_one_file_twice_gives_different_keys(tmp_path: Path) -> None:
    first = source(tmp_path, "a", 4, start=0, stop=3)
    second = source(tmp_path, "a", 4, start=1, stop=4)
    items = list(RecordStream([first, second], seed=0, epochs=1))
    assert len({item.key for item in items}) == 6
    assert {item.key.split("/")[0] for item in items} == {"a", "a#2"}
    assert {item.source for item in items} == {"a"}


def test_the_order_is_a_function_of_seed_and_shard(tmp_path: Path) -> None:
    sources = [source(tmp_path, "a", 50), source(tmp_path, "b", 50)]

    def drawn(seed: int, shard: tuple[int, int] = (0, 2)) -> list[str]:
        return ids(RecordStream(sources, seed=seed, shard=shard), 40)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(1) != drawn(1, (1, 2))


# --- records that cannot be read ----------------------------------------------------------------


def broken(folder: Path, *lines: str) -> Source:
    path = folder / "x.jsonl"
    path.write_text("".join(text + "\n" for text in lines))
    return Source(name="x", path=path)


def test_bad_records_are_reported_and_passed_over(tmp_path: Path) -> None:
    turned = json.dumps({"id": "t", "messages": [{"role": "assistant", "content": "a"}]})
    drops: list[tuple[str, str, str]] = []
    stream = RecordStream(
        [broken(tmp_path, line("good"), "{", '{"id": 1}', turned, line("fine"))],
        seed=0,
        shuffle=False,
        epochs=1,
        on_drop=lambda *drop: drops.append(drop),
    )
    assert [(item.record.id, item.draw) for item in stream] == [("good", 0), ("fine", 4)]
    assert [drop[:2] for drop in drops] == [
        ("x", "malformed_record"),
        ("x", "malformed_record"),
        ("x", "bad_turn_order"),
    ]
    assert [drop[2].split(" ")[0] for drop in drops] == [
        "x.jsonl:2:2:",
        "x.jsonl:3:",
        "x.jsonl:4:",
    ]


def test_it_goes_on_without_anybody_listening(tmp_path: Path) -> None:
    stream = RecordStream([broken(tmp_path, "{", line("good"))], seed=0)
    assert ids(stream, 3) == ["good"] * 3


def test_a_source_of_nothing_but_bad_records_is_an_error(tmp_path: Path) -> None:
    good = source(tmp_path, "a", 3)
    stream = RecordStream([good, broken(tmp_path, "{", "[]", "7")], seed=0)
    with pytest.raises(InputError, match=r"x\.jsonl: not one of its 3 records can be used"):
        ids(stream, 1000)
    assert ids(RecordStream([broken(tmp_path, "{", "[]")], seed=0, epochs=3)) == []


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ({"path": Path("none.jsonl")}, InputError, "no such file"),
        ({"stop": 0}, InputError, "no records between 0 and 0"),
        ({"stop": 9}, InputError, "has 5 records, but the blend uses 0 to 9"),
        ({"media": Path("nowhere")}, InputError, "no such folder or archive"),
        ({"weight": 0.0}, ConfigError, "all weights are 0"),
    ],
)
def test_sources_of_no_use(
    values: dict[str, Any], kind: type[Exception], message: str, tmp_path: Path
) -> None:
    good = source(tmp_path, "a", 5)
    with pytest.raises(kind, match=message):
        RecordStream([Source(**{"name": "a", "path": good.path, **values})], seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard": (2, 2)}, "shard 2 of 2"),
        ({"shard": (-1, 2)}, "shard -1 of 2"),
        ({"epochs": 0}, "epochs: got 0"),
        ({"limit": 0}, "limit: got 0"),
    ],
)
def test_numbers_of_no_use(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        RecordStream([source(tmp_path, "a", 1)], seed=0, **options)


def test_kinds_of_blends_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no sources"):
        RecordStream([], seed=0)
    sources = [source(tmp_path, "a", 1), source(tmp_path, "b", 1, repetitions=1.0)]
    with pytest.raises(ConfigError, match="some sources have weights and some"):
        RecordStream(sources, seed=0)


# --- state --------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [None, 3])
@pytest.mark.parametrize("shuffle", [True, False])
def test_resuming_is_exact(epochs: int | None, shuffle: bool, tmp_path: Path) -> None:
    bad = broken(tmp_path, line("x0"), "{", line("x2"))
    sources = [
        source(tmp_path, "a", 9, weight=2.0),
        bad,
        source(tmp_path, "b", 30, shuffle_over_epochs=2),
    ]

    def stream() -> RecordStream:
        return RecordStream(sources, seed=4, shard=(1, 2), epochs=epochs, shuffle=shuffle)

    def drawn(stream: RecordStream, count: int) -> list[tuple[str, str, int]]:
        return [(i.key, i.record.id, i.draw) for i in itertools.islice(stream, count)]

    whole = drawn(stream(), 80)
    assert len(whole) > 50
    for mark in (0, 1, 17, len(whole) - 1):
        begun = stream()
        assert drawn(begun, mark) == whole[:mark]
        state = json.loads(json.dumps(begun.state_dict()))
        assert len(json.dumps(state)) < 500
        resumed = stream()
        ids(resumed, 5)  # whatever it did before does not matter
        resumed.load_state_dict(state)
        assert drawn(resumed, len(whole) - mark) == whole[mark:]


def test_states_of_other_streams_are_refused(tmp_path: Path) -> None:
    a, b = source(tmp_path, "a", 5), source(tmp_path, "b", 5)
    state = RecordStream([a, b], seed=0, shard=(0, 2)).state_dict()

    def refused(sources: list[Source], message: str, **options: Any) -> None:
        given = {"seed": 0, "shard": (0, 2), **options}
        with pytest.raises(ConfigError, match=message):
            RecordStream(sources, **given).load_state_dict(state)

    refused([a, b], "seed 0, not 1", seed=1)
    refused([a, b], r"shard \[0, 2\], not \[0, 3\]", shard=(0, 3))
    refused([a, b], "shuffle True, not False", shuffle=False)
    refused([a, b], "epochs None, not 1", epochs=1)
    refused([a], "2 sources, not 1")
    refused([b, a], "source 1 .b. with name 'a', not 'b'")
    refused([a, Source(name="b", path=b.path, weight=0.5)], "weight or repetitions 1.0, not 0.5")
    refused([a, Source(name="b", path=b.path, stop=4)], "records 5, not 4")
    refused([a, source(tmp_path, "b", 6)], "records 5, not 6")
    source(tmp_path, "b", 5)
    b.path.write_text(b.path.read_text().replace('"q"', '"other"'))
    refused([a, b], r"source 2 \(b\) with bytes")


def test_drawing_is_fast(tmp_path: Path) -> None:
    sources = [source(tmp_path, "a", 20_000), source(tmp_path, "b", 5000)]
    stream = RecordStream(sources, seed=0)
    next(stream)
    start = time.perf_counter()
    for _ in itertools.islice(stream, 2000):
        pass
    assert (time.perf_counter() - start) / 2000 < 200e-6
