"""What is made here is read by megatron-energon and by the plain loader, at once and prepared."""

from __future__ import annotations

import json
import tarfile
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml

from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.data.config import DataConfig, PackingConfig
from nanovl.data.loader import build_loader
from nanovl.data.prepare import prepare
from nanovl.synth import energon_ocr
from nanovl.synth.energon_ocr import export_energon_ocr
from nanovl.synth.join import index_of
from nanovl.synth.mixrun import run_mix
from nanovl.synth.run import Job, run
from nanovl.testing import tiny_processor

needs_energon = pytest.mark.skipif(
    energon_ocr.find_spec("megatron") is None, reason="needs energon: pip install 'nanovl[train]'"
)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, texts and pages, two splits."""
    folder = tmp_path_factory.mktemp("mix")
    data = {
        "shard_size": 3,
        "splits": {"train": 0.75, "val": 0.25},
        "generators": {
            "scenes-2d": {"count": 8},
            "text-maths": {"count": 8},
            "ocr-page": {"count": 8},
        },
    }
    (folder / "mix.yaml").write_text(yaml.safe_dump(data))
    run_mix(folder / "mix.yaml", folder / "out", workers=2)
    return folder / "out"


def packs(blend: Path, loader: str, split: str = "train") -> list[Any]:
    # Few samples are looked at for three packs: every one of them takes its time to encode.
    config = DataConfig(
        metadataset=str(blend),
        loader=loader,
        split=split,
        seq_len=8192,
        num_workers=0,
        seed=3,
        max_tiles=2,
        shuffle_buffer=4,
        packing=PackingConfig(buffer_samples=8),
    )
    made = build_loader(config, tiny_processor())
    try:
        found = list(islice(made, 3))
        assert made.drops.counts() == {}
        return found
    finally:
        made.close()


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("loader", ["plain", pytest.param("energon", marks=needs_energon)])
def test_a_mixture_is_read_without_any_preparation(mixture: Path, loader: str, split: str) -> None:
    found = packs(mixture / "blend.yaml", loader, split)
    assert len(found) == 3
    assert any(pack.pixel_values is not None for pack in found)


@pytest.mark.slow
@needs_energon
def test_our_index_is_the_one_energon_writes(mixture: Path) -> None:
    for name in ("scenes-2d", "text-maths"):
        path = mixture / name / f"{name}.jsonl"
        ours = index_of(path).read_bytes()
        index_of(path).unlink()
        made = prepare(mixture / name, num_workers=1)
        assert index_of(path).read_bytes() == ours
        assert made.records[path.name] == len(path.read_text().splitlines())
        assert made.media_indexed == (name == "scenes-2d")
        assert packs(made.metadataset, "energon")


@pytest.mark.slow
@needs_energon
def test_a_mixture_with_energons_media_index(tmp_path: Path) -> None:
    from megatron.energon import WorkerConfig, load_dataset

    data = {"generators": {"scenes-2d": {"count": 4}, "text-maths": {"count": 2}}}
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump(data))
    totals = run_mix(tmp_path / "mix.yaml", tmp_path / "out", energon=True)
    assert totals.blend is not None
    rows = yaml.safe_load(totals.blend.read_text())["splits"]["train"]["blend"]
    assert [row.get("aux") for row in rows] == [{"media": "scenes-2d/media"}, None]
    assert (tmp_path / "out" / "scenes-2d" / "media" / ".nv-meta" / "index.sqlite").is_file()
    assert packs(totals.blend, "energon")
    assert WorkerConfig(rank=0, world_size=1, num_workers=0)
    assert load_dataset(totals.blend)


# --- OCR shards ---------------------------------------------------------------------------------


@pytest.mark.slow
@needs_energon
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_pages_as_ocr_shards_read_by_energon(mixture: Path, tmp_path: Path) -> None:
    from megatron.energon import WorkerConfig, get_loader, get_val_dataset

    made = export_energon_ocr([mixture], tmp_path / "ocr")
    assert made.pages == {"train": 6, "val": 2}
    assert made.left_out == {"no page ground truth": 16}
    assert made.prepared
    truths = {}
    for path in sorted((mixture / "ocr-page" / "shards").glob("*.gt.jsonl")):
        for line in path.read_text().splitlines():
            value = json.loads(line)
            truths[value["media"][0]["name"].partition(".")[0]] = value["gt"]["pages"][0]
    worker = WorkerConfig(rank=0, world_size=1, num_workers=0)
    seen = {}
    dataset = get_val_dataset(
        tmp_path / "ocr", split_part="train", worker_config=worker, batch_size=1
    )
    for batch in get_loader(dataset):
        seen[batch.__key__[0]] = batch
    assert set(seen) == set(truths)
    for key, batch in seen.items():
        page = truths[key]
        assert batch.image.shape[2:] == (page["height"], page["width"])
        assert batch.text == [None]
        assert batch.block_text[0] == [block["text"] for block in page["blocks"]]
        for box, block in zip(batch.block_boxes[0], page["blocks"], strict=True):
            x0, y0, x1, y1 = block["bbox"]
            assert 0 <= x0 - box[0] < 1
            assert 0 <= y0 - box[1] < 1
            assert 0 <= box[2] - x1 < 1
            assert 0 <= box[3] - y1 < 1


def test_the_layout_of_ocr_shards(mixture: Path, tmp_path: Path) -> None:
    """As the specification has it: names of shards and members, keys of labels."""
    made = export_energon_ocr([mixture], tmp_path / "ocr", prepare=False)
    assert not made.prepared
    files = sorted(str(p.relative_to(tmp_path / "ocr")) for p in (tmp_path / "ocr").rglob("*.tar"))
    assert files == ["train/shard_000000.tar", "val/shard_000000.tar"]
    with tarfile.open(tmp_path / "ocr" / files[0]) as tar:
        names = tar.getnames()
        assert names[0::2] == sorted(names[0::2])
        for picture, label in zip(names[0::2], names[1::2], strict=True):
            key, ending = picture.split(".", 1)
            assert (ending, label) == ("png", f"{key}.doclaynet.json")
            member = tar.extractfile(label)
            assert member is not None
            value = json.load(member)
            assert set(value) == {"metadata", "ann"}
            assert {"page_width_px", "page_height_px"} <= set(value["metadata"])
            for block in value["ann"]:
                assert set(block) == {"category_id", "bbox", "content"}
                assert block["category_id"] in energon_ocr._NAMES.values()
                assert all(isinstance(v, int) for v in block["bbox"])


def test_shards_of_pages_have_a_size(
    mixture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(energon_ocr.SHARD_SIZES, "train", 4)
    export_energon_ocr([mixture], tmp_path / "ocr", prepare=False)
    counts = []
    for path in sorted((tmp_path / "ocr" / "train").glob("*.tar")):
        with tarfile.open(path) as tar:
            counts.append(len(tar.getnames()) // 2)
    assert counts == [4, 2]


def test_what_has_no_pages_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(Job(generator="text-maths", out=tmp_path / "set", count=2))
    with pytest.raises(InputError, match="no pages with blocks"):
        export_energon_ocr([tmp_path / "set"], tmp_path / "ocr", prepare=False)
    with pytest.raises(ConfigError, match="not empty"):
        export_energon_ocr([tmp_path / "set"], tmp_path / "set", prepare=False)
    monkeypatch.setattr(energon_ocr, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"pip install 'nanovl\[train\]'"):
        export_energon_ocr([tmp_path / "set"], tmp_path / "ocr")
