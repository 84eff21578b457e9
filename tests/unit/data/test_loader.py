"""Packs in a fixed order, from any point again, with and without workers."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.core.inputs import PackedBatch
from nanovl.data.config import DataConfig, PackingConfig, ReuseConfig
from nanovl.data.loader import PackLoader, build_loader
from nanovl.processing.processor import Processor
from nanovl.testing import picture, picture_bytes, tiny_model, tiny_processor
from nanovl.train.vision_shard import encode_pack

CHATS, PICTURES = 23, 9
USABLE = 20 + 7


def _chat(number: int, text: str) -> dict[str, Any]:
    return {
        "id": f"chat-{number}",
        "messages": [
            {"role": "user", "content": f"Question {number}?"},
            {"role": "assistant", "content": text},
        ],
    }


def _picture(number: int, name: str) -> dict[str, Any]:
    content = [{"type": "image", "image": name}, {"type": "text", "text": "What is it?"}]
    return {
        "id": f"picture-{number}",
        "messages": [
            {"role": "user", "content": content},
            {"role": "assistant", "content": f"<think>\nA number.\n</think>\n\nPicture {number}."},
        ],
    }


def make_blend(folder: Path, *, epochized: bool = False) -> Path:
    """23 chats, of which 3 are unusable, and 9 pictures, of which 2 are."""
    lines = [json.dumps(_chat(i, "word " * (3 + 7 * i % 40))) for i in range(CHATS)]
    lines[4] = '{"id": "broken", '
    lines[11] = json.dumps(_chat(11, " "))
    lines[17] = json.dumps(_chat(17, "<think>never closed"))
    (folder / "chat.jsonl").write_text("\n".join(lines) + "\n")
    media = folder / "media"
    media.mkdir()
    for i in range(PICTURES - 1):
        size = (64 * (1 + i % 3), 64)
        (media / f"{i}.png").write_bytes(picture_bytes(picture(*size, "noise", seed=i)))
    late = media / "5.png"
    late.write_bytes(late.read_bytes()[:-3000])  # found out when it is decoded
    pictures = [_picture(i, f"{i}.png") for i in range(PICTURES)]  # the last one is missing
    (folder / "pictures.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pictures))
    amount = "repetitions" if epochized else "weight"
    kind = "blend_epochized" if epochized else "blend"
    leaves = [
        {amount: 1 if epochized else 3, "path": "chat.jsonl"},
        {amount: 1, "path": "pictures.jsonl", "aux": {"media": "filesystem://media"}},
    ]
    blend = folder / ("once.yaml" if epochized else "blend.yaml")
    blend.write_text(
        yaml.safe_dump(
            {
                "__module__": "megatron.energon",
                "__class__": "MetadatasetV2",
                "splits": {"train": {kind: leaves}},
            }
        )
    )
    return blend


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_blend(tmp_path_factory.mktemp("blend"))


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_blend(tmp_path_factory.mktemp("once"), epochized=True)


@pytest.fixture(scope="module")
def processor() -> Processor:
    return tiny_processor()


def config(path: Path, **settings: Any) -> DataConfig:
    defaults: dict[str, Any] = {
        "metadataset": str(path),
        "seq_len": 512,
        "pixel_dtype": "float32",
        "packing": PackingConfig(buffer_samples=11),
        "max_tiles": 4,
    }
    return DataConfig(**{**defaults, **settings})


OFF = PackingConfig(enabled=False)
_open: list[PackLoader] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _open:
        _open.pop().close()


def loader_of(processor: Processor, settings: DataConfig, **options: Any) -> PackLoader:
    loader = build_loader(settings, processor, **options)
    _open.append(loader)
    return loader


def same(left: PackedBatch, right: PackedBatch) -> bool:
    for field in dataclasses.fields(PackedBatch):
        a, b = getattr(left, field.name), getattr(right, field.name)
        if isinstance(a, torch.Tensor):
            if b is None or a.dtype != b.dtype or not torch.equal(a, b):
                return False
        elif a != b:
            return False
    return True


def keys(packs: list[PackedBatch]) -> list[str]:
    return [key for pack in packs for key in pack.keys]


# --- packs ----------------------------------------------------------------------------------------


def test_packs_are_full_aligned_and_mixed(processor: Processor, blend: Path) -> None:
    loader = loader_of(processor, config(blend, align=32))
    packs = list(itertools.islice(loader, 12))
    assert all(p.num_tokens <= 512 and p.num_tokens % 32 == 0 for p in packs)
    assert all(p.num_padding < 32 for p in packs)
    assert {s for p in packs for s in p.sources} == {"chat", "pictures"}
    assert len(set(keys(packs))) == len(keys(packs))
    assert any(p.num_tiles for p in packs)
    assert max(len(p.keys) for p in packs) > 2
    assert loader.last_wait_s > 0


def test_every_pack_has_the_length_asked_for(processor: Processor, blend: Path) -> None:
    packs = list(itertools.islice(loader_of(processor, config(blend, pad_packs=True)), 6))
    assert [p.num_tokens for p in packs] == [512] * 6


def test_without_packing_samples_stay_in_order(processor: Processor, once: Path) -> None:
    settings = config(once, packing=OFF, shuffle=False)
    single = list(loader_of(processor, settings))
    pairs = list(loader_of(processor, settings, micro=2))
    assert all(len(p.keys) == 1 for p in single)
    assert all(len(p.keys) <= 2 for p in pairs)
    assert keys(pairs) == keys(single)
    assert len(single) == USABLE
    assert all(p.num_padding < 16 for p in pairs)


def test_packs_follow_the_algorithm(processor: Processor, once: Path) -> None:
    counts = {}
    for algorithm in ("balanced", "greedy"):
        packing = PackingConfig(buffer_samples=100, algorithm=algorithm, delta_frac=0.0)
        packs = list(loader_of(processor, config(once, packing=packing)))
        assert len(keys(packs)) == USABLE
        counts[algorithm] = sorted(p.num_real_tokens for p in packs)
    assert counts["greedy"][-1] > counts["balanced"][-1]


def test_a_bound_on_tiles(processor: Processor, once: Path) -> None:
    packing = PackingConfig(buffer_samples=100, max_tiles_per_pack=5)
    packs = list(loader_of(processor, config(once, packing=packing)))
    assert len(keys(packs)) == USABLE
    assert max(p.num_tiles for p in packs) <= 5


def test_weights_of_the_loss(processor: Processor, once: Path) -> None:
    mass = {}
    for reduction in ("square", "token"):
        packs = list(loader_of(processor, config(once), reduction=reduction))
        mass[reduction] = sum(p.weight_mass for p in packs)
        targets = sum(int((p.labels != -100).sum()) for p in packs)
    assert mass["token"] == targets
    assert mass["square"] < targets


def test_dropped_samples_are_counted(processor: Processor, once: Path) -> None:
    loader = loader_of(processor, config(once))
    assert loader.drops.counts() == {}
    list(loader)
    assert loader.drops.metrics() == {
        "data/dropped/bad_reasoning/chat": 1,
        "data/dropped/empty_turn/chat": 1,
        "data/dropped/malformed_record/chat": 1,
        "data/dropped/missing_media/pictures": 1,
        "data/dropped/undecodable_media/pictures": 1,
    }
    assert "chat.jsonl:5" in loader.drops.examples()["malformed_record"][0]


@pytest.mark.parametrize("prefetch", [0, 5])
def test_preparing_ahead_changes_nothing(processor: Processor, blend: Path, prefetch: int) -> None:
    plain = list(itertools.islice(loader_of(processor, config(blend)), 8))
    other = list(itertools.islice(loader_of(processor, config(blend, prefetch=prefetch)), 8))
    assert all(same(a, b) for a, b in zip(plain, other, strict=True))


def test_the_seed_decides_the_order(processor: Processor, blend: Path) -> None:
    first = keys(list(itertools.islice(loader_of(processor, config(blend)), 4)))
    assert first == keys(list(itertools.islice(loader_of(processor, config(blend)), 4)))
    assert first != keys(list(itertools.islice(loader_of(processor, config(blend, seed=1)), 4)))


@pytest.mark.parametrize(("ranks", "workers"), [(1, 0), (2, 0), (2, 2)])
def test_ranks_and_workers_share_the_data(
    processor: Processor, once: Path, ranks: int, workers: int
) -> None:
    seen: list[str] = []
    for rank in range(ranks):
        settings = config(once, num_workers=workers)
        seen += keys(list(loader_of(processor, settings, dp_rank=rank, dp_size=ranks)))
    assert len(seen) == len(set(seen)) == USABLE


# --- resume ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("packing", [PackingConfig(buffer_samples=11), OFF], ids=["packed", "off"])
@pytest.mark.parametrize("kind", ["blend", "once"])
def test_resume_equals_uninterrupted(
    request: pytest.FixtureRequest,
    processor: Processor,
    kind: str,
    packing: PackingConfig,
    workers: int,
) -> None:
    settings = config(request.getfixturevalue(kind), packing=packing, num_workers=workers)
    loader = loader_of(processor, settings)
    packs, states, drops = [], [loader.state_dict()], [loader.drops.counts()]
    for pack in itertools.islice(loader, 12 if kind == "blend" else 40):
        packs.append(pack)
        states.append(json.loads(json.dumps(loader.state_dict())))
        drops.append(loader.drops.counts())
    loader.close()
    assert len(packs) > 5
    assert drops[-1], "nothing was dropped, so this shows less than it should"
    # From the start, right after the first, inside a buffer, at borders of buffers, at the end.
    marks = range(len(packs) + 1) if workers == 0 else (0, 1, 4, len(packs))
    for mark in marks:
        other = loader_of(processor, settings)
        other.load_state_dict(states[mark])
        assert other.drops.counts() == drops[mark]
        assert other.state_dict() == states[mark]
        for number in range(mark, len(packs)):
            assert same(next(other), packs[number]), f"restored at {mark}, pack {number}"
            assert other.drops.counts() == drops[number + 1]
            assert other.state_dict() == states[number + 1]
        if kind == "once":
            assert next(other, None) is None
        other.close()


def test_resume_of_ranks(processor: Processor, blend: Path) -> None:
    for rank in range(2):
        loader = loader_of(processor, config(blend), dp_rank=rank, dp_size=2)
        next(loader)
        state = loader.state_dict()
        expected = next(loader)
        other = loader_of(processor, config(blend), dp_rank=rank, dp_size=2)
        other.load_state_dict(state)
        assert same(next(other), expected)


def test_a_running_loader_can_be_set_back(processor: Processor, blend: Path) -> None:
    loader = loader_of(processor, config(blend, num_workers=1))
    state = loader.state_dict()
    first = next(loader)
    next(loader)
    loader.load_state_dict(state)
    assert same(next(loader), first)


def test_an_ended_loader_stays_ended(processor: Processor, once: Path) -> None:
    loader = loader_of(processor, config(once))
    assert list(loader)
    assert next(loader, None) is None
    other = loader_of(processor, config(once))
    other.load_state_dict(loader.state_dict())
    assert next(other, None) is None


@pytest.mark.parametrize(
    ("settings", "options", "difference"),
    [
        ({"seed": 1}, {}, r"data\.seed: saved 0, now 1"),
        ({"num_workers": 2}, {}, r"data\.num_workers: saved 0, now 2"),
        ({"max_tiles": 3}, {}, r"data\.max_tiles: saved 4, now 3"),
        (
            {"packing": PackingConfig(buffer_samples=12)},
            {},
            r"data\.packing\.buffer_samples: saved 11, now 12",
        ),
        ({}, {"dp_size": 2}, r"data-parallel size: saved 1, now 2"),
    ],
)
def test_a_state_of_other_settings_is_refused(
    processor: Processor,
    blend: Path,
    settings: dict[str, Any],
    options: dict[str, Any],
    difference: str,
) -> None:
    state = loader_of(processor, config(blend)).state_dict()
    other = loader_of(processor, config(blend, **settings), **options)
    with pytest.raises(ConfigError, match=difference):
        other.load_state_dict(state)


def test_a_state_of_other_data_is_refused(processor: Processor, tmp_path: Path) -> None:
    path = make_blend(tmp_path)
    state = loader_of(processor, config(path)).state_dict()
    with (tmp_path / "chat.jsonl").open("a") as file:
        file.write(json.dumps(_chat(99, "more")) + "\n")
    with pytest.raises(ConfigError, match="sources: saved"):
        loader_of(processor, config(path)).load_state_dict(state)


def test_a_state_may_move_and_be_read_faster(processor: Processor, tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        make_blend(tmp_path / name)
    loader = loader_of(processor, config(tmp_path / "here" / "blend.yaml"))
    next(loader)
    other = loader_of(processor, config(tmp_path / "there" / "blend.yaml", prefetch=0))
    other.load_state_dict(loader.state_dict())
    assert same(next(other), next(loader))


def test_a_state_of_another_loader_is_refused(processor: Processor, blend: Path) -> None:
    with pytest.raises(ConfigError, match="saved by the loader 'energon', this is 'plain'"):
        loader_of(processor, config(blend)).load_state_dict({"loader": "energon"})


# --- workers --------------------------------------------------------------------------------------


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.is_file() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def _gone(pids: list[int], limit_s: float = 20.0) -> bool:
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if not any(_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _pids(loader: Any) -> list[int]:
    return [feed.pid for feed in loader._feeds]


def test_a_worker_that_is_killed_is_an_error(processor: Processor, blend: Path) -> None:
    loader = loader_of(processor, config(blend, num_workers=2, prefetch=1))
    next(loader)
    pids = _pids(loader)
    os.kill(pids[1], signal.SIGKILL)
    with pytest.raises(BackendError, match=r"data worker 1 .*exit code -9.*num_workers"):
        list(itertools.islice(loader, 50))
    assert _gone(pids)
    with pytest.raises(ConfigError, match="closed"):
        next(loader)


def test_a_worker_makes_the_packs_this_process_makes(processor: Processor, blend: Path) -> None:
    here = loader_of(processor, config(blend, pixel_dtype="bfloat16"))
    there = loader_of(processor, config(blend, pixel_dtype="bfloat16", num_workers=1))
    packs = list(itertools.islice(here, 6))
    assert {p.pixel_values.dtype for p in packs if p.pixel_values is not None} == {torch.bfloat16}
    assert all(same(pack, next(there)) for pack in packs)


def test_signals_to_the_group_do_not_end_workers(processor: Processor, blend: Path) -> None:
    loader = loader_of(processor, config(blend, num_workers=1))
    first = next(loader)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(_pids(loader)[0], number)
    second = next(loader)
    plain = loader_of(processor, config(blend, num_workers=0))
    assert same(first, next(plain))
    assert same(second, next(plain))


def test_an_error_of_a_worker_keeps_class_and_message(processor: Processor, tmp_path: Path) -> None:
    loader = loader_of(processor, config(make_blend(tmp_path), num_workers=1))
    (tmp_path / "chat.jsonl").unlink()
    with pytest.raises(InputError, match=r"data worker 0: .*chat\.jsonl"):
        next(loader)


def test_closing_ends_workers_and_may_be_repeated(processor: Processor, blend: Path) -> None:
    loader = loader_of(processor, config(blend, num_workers=2))
    next(loader)
    pids = _pids(loader)
    assert all(map(_alive, pids))
    loader.close()
    assert _gone(pids)
    loader.close()


ORPHANS = """
import os, signal, sys
from nanovl.data.config import DataConfig
from nanovl.data.loader import build_loader
from nanovl.testing import tiny_processor

if __name__ == "__main__":
    config = DataConfig(metadataset=sys.argv[1], seq_len=512, max_tiles=4, num_workers=2)
    loader = build_loader(config, tiny_processor())
    next(loader)
    print(*[feed.pid for feed in loader._feeds], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(blend: Path, tmp_path: Path) -> None:
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    done = subprocess.run(
        [sys.executable, str(script), str(blend)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    assert _gone(pids)


# --- building -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"metadataset": None}, {}, "data.metadataset is not set"),
        ({}, {"micro": 2}, "with packing on, a micro-batch is one pack"),
        ({}, {"align": 48}, "data.seq_len 512 is not a multiple of 48"),
        ({}, {"dp_rank": 2, "dp_size": 2}, "rank 2 of 2"),
        ({"split": "val"}, {}, "has no split 'val'"),
    ],
)
def test_what_cannot_be_built(
    processor: Processor,
    blend: Path,
    settings: dict[str, Any],
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_loader(config(blend, **settings), processor, **options)


def test_data_without_a_usable_record(processor: Processor, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "1", "messages": []}\n' * 7)
    with pytest.raises(InputError, match="not one of its 7 records can be used"):
        next(loader_of(processor, config(path)))
    path.write_text((json.dumps(_chat(1, " ")) + "\n") * 7)
    with pytest.raises(InputError, match=r"last 1000 records .* empty_turn \(1000\)"):
        next(loader_of(processor, config(path)))


def test_reuse_takes_a_share_of_marked_sources(processor: Processor, tmp_path: Path) -> None:
    path = make_blend(tmp_path, epochized=True)
    data = yaml.safe_load(path.read_text())
    leaf = data["splits"]["train"]["blend_epochized"][0]
    leaf["subflavors"] = {"reuse": "text"}
    path.write_text(yaml.safe_dump(data))
    reuse = ReuseConfig(text=0.5, multimodal=0.1)
    packs = list(loader_of(processor, config(path, reuse=reuse)))
    chats = [k for p in packs for k, s in zip(p.keys, p.sources, strict=True) if s == "chat"]
    assert len(chats) == round(CHATS / 2) - 2  # the broken line and the empty turn
    assert len(keys(packs)) - len(chats) == 7
    leaf["subflavors"] = {"reuse": "txt"}
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match="'txt': expected one of multimodal, text"):
        build_loader(config(path, reuse=reuse), processor)
    del leaf["subflavors"]
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match="no source of the blend has the subflavor reuse"):
        build_loader(config(path, reuse=reuse), processor)


@pytest.mark.parametrize("workers", [0, 1])
def test_native_pictures_of_several_sizes(
    processor: Processor, tmp_path: Path, workers: int
) -> None:
    """They come out of a worker as they went in, and train as whole pictures."""
    path = make_blend(tmp_path, epochized=True)
    settings = config(path, image_mode="native", native_min_patches=4, num_workers=workers)
    packs = list(loader_of(processor, settings))
    sizes = {tuple(p.shape[2:]) for pack in packs for p in pack.pictures}
    assert sizes == {(64, 64), (64, 128), (64, 192)}
    assert any(isinstance(pack.pixel_values, tuple) for pack in packs)
    vlm = tiny_model()
    for pack in packs:
        if pack.image_pos is not None:
            assert encode_pack(vlm, pack).shape[0] == len(pack.image_pos)
