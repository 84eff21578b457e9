"""Packs by way of megatron-energon: the same samples, exactly restorable."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.core.inputs import PackedBatch
from nanovl.data.config import DataConfig, PackingConfig
from nanovl.data.loader import PackLoader, build_loader
from nanovl.data.prepare import prepare
from nanovl.processing.processor import Processor
from nanovl.testing import picture, picture_bytes, tiny_processor

pytest.importorskip("megatron.energon", reason="needs the extra train")

# Energon forks its workers, and a process that has decoded a video must not fork any that will.
OWN_PROCESS = "NANOVL_TEST_ENERGON_WORKERS"
forks = pytest.mark.skipif(
    OWN_PROCESS not in os.environ, reason="run by test_worker_processes in a process of its own"
)

WORKERS = "uninterrupted and 2 or first_pack and 2 or workers_too or usable and 1 or dies"
OFF = PackingConfig(enabled=False)
PICTURES = 12
_open: list[PackLoader] = []


def chat(number: int) -> dict[str, Any]:
    trace = "<think>\nhm\n</think>\n\n" if number % 3 == 0 else ""
    answer = f"{trace}{'word ' * (number % 7 + 1)}"
    return {
        "id": f"chat-{number}",
        "source": "talk",
        "weight": 1 + number % 2,
        "messages": [
            {"role": "user", "content": f"Question {number}?"},
            {"role": "assistant", "content": answer},
        ],
    }


def look(number: int) -> dict[str, Any]:
    image = {"type": "image", "image": f"{number}.png"}
    return {
        "id": f"look-{number}",
        "reasoning": "off",
        "messages": [
            {"role": "user", "content": [image, {"type": "text", "text": "What is it?"}]},
            {"role": "assistant", "content": f"Picture {number}."},
        ],
    }


def write_lines(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_blend(path: Path, kind: str, leaves: list[dict[str, Any]]) -> Path:
    document = {
        "__module__": "megatron.energon",
        "__class__": "MetadatasetV2",
        "splits": {"train": {kind: leaves}},
    }
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chats with one that is no record; pictures with one missing and one damaged."""
    folder = tmp_path_factory.mktemp("sets")
    rows: list[Any] = [chat(i) for i in range(40)]
    rows[5] = {"id": "broken"}
    write_lines(folder / "chat.jsonl", rows)
    write_lines(folder / "look.jsonl", [look(i) for i in range(PICTURES)])
    (folder / "media").mkdir()
    with tarfile.open(folder / "media" / "shard_000000.tar", "w") as tar:
        for i in range(PICTURES - 1):
            data = picture_bytes(picture(64 * (1 + i % 3), 64, "noise", seed=i))
            if i == 2:  # beside the archive, where energon does not look at it
                (folder / "media" / f"{i}.png").write_bytes(data[:-3000])
                continue
            info = tarfile.TarInfo(f"{i}.png")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    prepare(folder, num_workers=1)
    return folder


@pytest.fixture(scope="module")
def blend(folder: Path) -> str:
    leaves = [
        {"weight": 3, "path": "chat.jsonl"},
        {"weight": 1, "path": "look.jsonl", "aux": {"media": "media"}},
    ]
    return str(write_blend(folder / "blend.yaml", "blend", leaves))


@pytest.fixture(scope="module")
def processor() -> Processor:
    return tiny_processor()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _open:
        _open.pop().close()


def loader_of(processor: Processor, path: str | Path, **settings: Any) -> PackLoader:
    options = {k: settings.pop(k) for k in ("dp_rank", "dp_size", "micro") if k in settings}
    defaults: dict[str, Any] = {
        "metadataset": str(path),
        "loader": "energon",
        "seq_len": 512,
        "pixel_dtype": "float32",
        "packing": PackingConfig(buffer_samples=11),
        "shuffle_buffer": 5,
        "max_tiles": 4,
    }
    loader = build_loader(DataConfig(**{**defaults, **settings}), processor, **options)
    _open.append(loader)
    return loader


def same(left: PackedBatch, right: PackedBatch, *, but: tuple[str, ...] = ()) -> bool:
    for field in dataclasses.fields(PackedBatch):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if field.name in but:
            continue
        if isinstance(a, torch.Tensor):
            if b is None or a.dtype != b.dtype or not torch.equal(a, b):
                return False
        elif a != b:
            return False
    return True


def lines(packs: list[PackedBatch]) -> list[str]:
    """Source and line of every sample."""
    return [key.rpartition("/")[0] for pack in packs for key in pack.keys]


@pytest.mark.slow
@pytest.mark.skipif(OWN_PROCESS in os.environ, reason="this is that process")
def test_worker_processes() -> None:
    """The tests that fork, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", __file__, "-q", "-p", "no:cacheprovider", "-k", WORKERS],
        env=os.environ | {OWN_PROCESS: "1"},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "6 passed" in done.stdout


@pytest.mark.parametrize("name", ["chat", "look"])
def test_records_have_the_tokens_of_the_plain_loader(
    processor: Processor, folder: Path, name: str
) -> None:
    settings: dict[str, Any] = {"packing": OFF, "shuffle": False, "reasoning_probability": 1.0}
    path = folder / f"{name}.jsonl"
    plain = loader_of(processor, path, loader="plain", epochs=1, **settings)
    expected = list(plain)
    loader = loader_of(processor, path, **settings)
    got = list(islice(loader, len(expected)))
    assert lines(got) == lines(expected)
    assert all(same(a, b, but=("keys",)) for a, b in zip(got, expected, strict=True))
    next(loader)  # of the next pass; brings the drops behind the last record
    assert loader.drops.counts() == plain.drops.counts()
    assert loader.drops.total == (1 if name == "chat" else 2)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=forks)])
@pytest.mark.parametrize("packing", [PackingConfig(buffer_samples=11), OFF], ids=["packed", "off"])
def test_resume_equals_uninterrupted(
    processor: Processor, blend: str, packing: PackingConfig, workers: int
) -> None:
    settings = {"packing": packing, "num_workers": workers, "micro": 1 if packing.is_on else 2}
    loader = loader_of(processor, blend, **settings)
    before = list(islice(loader, 7))
    state = json.loads(json.dumps(loader.state_dict()))
    after = list(islice(loader, 9))
    final = loader.drops.counts()
    if packing.is_on:
        assert max(len(pack.keys) for pack in before) > 1
    assert any(pack.num_tiles for pack in (*before, *after))

    again = loader_of(processor, blend, **settings)
    again.load_state_dict(state)
    resumed = list(islice(again, 9))
    assert [p.keys for p in resumed] == [p.keys for p in after]
    assert all(same(a, b) for a, b in zip(resumed, after, strict=True))
    assert again.drops.counts() == final
    # Twice in a row, and the state of a loader that has not moved is the state it was given.
    other = loader_of(processor, blend, **settings)
    other.load_state_dict(state)
    assert other.state_dict() == state


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=forks)])
def test_state_before_the_first_pack(processor: Processor, blend: str, workers: int) -> None:
    """The trainer looks at some packs and then starts over."""
    loader = loader_of(processor, blend, num_workers=workers)
    state = loader.state_dict()
    first = next(loader)
    again = loader_of(processor, blend, num_workers=workers)
    again.load_state_dict(state)
    assert same(next(again), first)


@forks
def test_drops_are_counted_in_workers_too(processor: Processor, blend: str) -> None:
    loader = loader_of(processor, blend, num_workers=2)
    list(islice(loader, 40))
    assert set(loader.drops.counts()) == {"malformed_record", "missing_media", "undecodable_media"}
    assert set(loader.drops.counts()["malformed_record"]) == {"chat"}
    (example, *_) = loader.drops.examples()["malformed_record"]
    assert "chat.jsonl, record 6: messages" in example


def test_repetitions_end_and_show_every_record_as_often(processor: Processor, folder: Path) -> None:
    leaves = [
        {"repetitions": 2, "path": "chat.jsonl"},
        {"repetitions": 1, "path": "look.jsonl"},
    ]
    path = write_blend(folder / "once.yaml", "blend_epochized", leaves)
    packs = list(loader_of(processor, path))
    counts = Counter(lines(packs))
    assert {counts[f"chat/{i + 1}"] for i in range(40) if i != 5} == {2}
    # Beside the records, media is found without being named.
    assert [counts[f"look/{i + 1}"] for i in range(PICTURES)] == [1, 1, 0, *[1] * 8, 0]


def test_weights_and_subsets(processor: Processor, folder: Path) -> None:
    """A quarter of the chats is used again, at twice the share of the pictures."""
    leaves = [
        {"weight": 2, "path": "chat.jsonl", "subset": {"range": ["25%", "50%"]}},
        {"weight": 1, "path": "look.jsonl", "subflavors": {"source": "seen"}},
    ]
    path = write_blend(folder / "reuse.yaml", "blend", leaves)
    packs = list(islice(loader_of(processor, path), 60))
    drawn = Counter(line.partition("/")[0] for line in lines(packs))
    assert 1.4 < drawn["chat"] / drawn["seen"] < 2.9
    used = {int(line.partition("/")[2]) for line in lines(packs) if line.startswith("chat")}
    assert used == set(range(11, 21))
    assert {s for pack in packs for s in pack.sources} == {"talk", "seen"}


def test_ranks_share_the_data(processor: Processor, folder: Path) -> None:
    leaves = [{"repetitions": 1, "path": "chat.jsonl"}]
    path = write_blend(folder / "ranks.yaml", "blend_epochized", leaves)
    parts = [lines(list(loader_of(processor, path, dp_rank=rank, dp_size=2))) for rank in range(2)]
    assert len(set(parts[0]) | set(parts[1])) == 39
    assert not set(parts[0]) & set(parts[1])


def test_reasoning_is_drawn_anew_but_repeatably(processor: Processor, folder: Path) -> None:
    packs = list(islice(loader_of(processor, folder / "chat.jsonl", packing=OFF), 160))
    again = list(islice(loader_of(processor, folder / "chat.jsonl", packing=OFF), 160))
    assert all(same(a, b) for a, b in zip(packs, again, strict=True))
    lengths: dict[str, set[int]] = {}
    for pack, line in zip(packs, lines(packs), strict=True):
        lengths.setdefault(line, set()).add(pack.num_real_tokens)
    assert {len(found) for found in lengths.values()} == {1, 2}
    assert all(len(lengths[f"chat/{i + 1}"]) == 1 for i in range(40) if i % 3 and i != 5)


def test_says_nothing_on_its_own(
    processor: Processor, blend: str, capfd: pytest.CaptureFixture[str]
) -> None:
    list(islice(loader_of(processor, blend), 3))
    assert capfd.readouterr() == ("", "")


def test_state_belongs_to_one_set_up(processor: Processor, folder: Path, blend: str) -> None:
    loader = loader_of(processor, blend)
    next(loader)
    state = loader.state_dict()
    with pytest.raises(ConfigError, match="before the first pack"):
        loader.load_state_dict(state)
    for changed in ({"seed": 1}, {"num_workers": 1}, {"seq_len": 256}):
        with pytest.raises(ConfigError, match=rf"data\.{next(iter(changed))}: saved"):
            loader_of(processor, blend, **changed).load_state_dict(state)
    with pytest.raises(ConfigError, match=r"sources: saved"):
        loader_of(processor, folder / "chat.jsonl").load_state_dict(state)
    with pytest.raises(ConfigError, match="saved 'plain'"):
        loader_of(processor, blend).load_state_dict({"loader": "plain"})
    # What only changes how packs travel may change.
    loader_of(processor, blend, prefetch=5).load_state_dict(state)


def test_data_that_is_not_prepared(processor: Processor, tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    write_lines(path, [chat(i) for i in range(3)])
    with pytest.raises(InputError, match=r"no index for energon; run: nanovl data prepare"):
        loader_of(processor, path)
    prepare(tmp_path)
    next(loader_of(processor, path))
    write_lines(path, [chat(i) for i in range(4)])
    with pytest.raises(InputError, match="has changed since it was indexed"):
        loader_of(processor, path)
    prepare(tmp_path)
    (tmp_path / "pictures").mkdir()
    leaves = [{"path": "set.jsonl", "aux": {"media": "pictures"}}]
    blend = write_blend(tmp_path / "blend.yaml", "blend", leaves)
    with pytest.raises(ConfigError, match="is everything prepared"):
        loader_of(processor, blend)


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=forks)])
def test_data_without_one_usable_record(processor: Processor, tmp_path: Path, workers: int) -> None:
    path = tmp_path / "set.jsonl"
    write_lines(path, [{"id": f"{i}"} for i in range(3)])
    prepare(tmp_path)
    loader = loader_of(processor, path, num_workers=workers)
    with pytest.raises((InputError, BackendError), match="1000 samples in a row") as caught:
        next(loader)
    assert "\n" not in str(caught.value)


@forks
def test_a_worker_that_dies_is_an_error(processor: Processor, blend: str) -> None:
    loader: Any = loader_of(processor, blend, num_workers=2)
    next(loader)
    for worker in loader._loader._iterator._workers:
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    with pytest.raises(BackendError, match="a worker process has died"):
        loader.state_dict()
    with pytest.raises(BackendError, match="data loading with energon failed"):
        list(islice(loader, 20))


def test_without_the_package(
    processor: Processor, blend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "nanovl.data.energon", raising=False)
    monkeypatch.setitem(sys.modules, "megatron.energon", None)  # type: ignore[arg-type]
    with pytest.raises(BackendError, match=r"pip install 'nanovl\[train\]'"):
        loader_of(processor, blend)
