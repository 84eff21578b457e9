"""Pages as OCR shards of the layout NVIDIA's own generator writes, for loaders that expect it.

    OUT/train/shard_000000.tar      KEY.png, KEY.doclaynet.json; 5,000 pages a shard
    OUT/val/shard_000000.tar        all other splits; 1,000 pages a shard
    OUT/.nv-meta                    energon's index, `dataset.yaml` and `sample_loader.py`

A label is `{"metadata": {page_width_px, page_height_px}, "ann": [{category_id, bbox, content}]}`:
DocLayNet's class names, boxes as [x0, y0, x1, y1] in whole pixels, in reading order. Only data sets
with page ground truth (`gt.pages[].blocks`) can be written. Must not make pages.

Source: data synthesis specification, section 2.6 (`--export energon-ocr`).
"""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from nanovl.core.errors import ConfigError, InputError, missing_extra
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.data.media import MediaStore, open_media
from nanovl.synth.quality.datasets import Dataset, Unit, open_datasets, pieces, units
from nanovl.synth.quality.inspect import read_media
from nanovl.synth.shards import unwritable

__all__ = ["SHARD_SIZES", "Exported", "export_energon_ocr"]

SHARD_SIZES = {"train": 5000, "val": 1000}
_NAMES = {
    "bibliography": "Text",
    "caption": "Caption",
    "code": "Text",
    "figure": "Picture",
    "footnote": "Footnote",
    "formula": "Formula",
    "image": "Picture",
    "list_item": "List-item",
    "page_footer": "Page-footer",
    "page_header": "Page-header",
    "picture": "Picture",
    "section_header": "Section-header",
    "table": "Table",
    "text": "Text",
    "title": "Title",
}
_DATASET_YAML = """\
__module__: megatron.energon
__class__: OCRWebdataset
sample_loader: sample_loader.py:sample_loader
part_filter: sample_loader.py:part_filter
"""
_SAMPLE_LOADER = """\
PARTS = ("png", "doclaynet.json")


def sample_loader(raw: dict) -> dict:
    blocks = raw["doclaynet.json"]["ann"]
    return {
        "__key__": raw["__key__"],
        "image": raw["png"],
        "text": None,
        "block_boxes": [block["bbox"] for block in blocks],
        "block_classes": [block["category_id"] for block in blocks],
        "block_text": [block["content"] for block in blocks],
    }


def part_filter(part: str) -> bool:
    return part in PARTS
"""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        folder: Where.
        pages: By part ("train", "val").
        left_out: Samples and pages that could not be written, by reason.
        prepared: Whether energon's index is there.
    """

    folder: Path
    pages: dict[str, int]
    left_out: dict[str, int]
    prepared: bool


@dataclass
class _Part:
    """Shards of one split."""

    folder: Path
    size: int
    pages: int = 0
    tar: tarfile.TarFile | None = None
    keys: set[str] = field(default_factory=set)

    def write(self, key: str, png: bytes, label: Mapping[str, Any]) -> None:
        """Add a page."""
        if self.tar is None or self.pages % self.size == 0:
            self.close()
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"shard_{self.pages // self.size:06d}.tar"
            self.tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        if key in self.keys:
            raise InputError(f"page {key!r} occurs twice; export data sets of different names")
        self.keys.add(key)
        text = json.dumps(label, ensure_ascii=False).encode()
        for ending, data in (("png", png), ("doclaynet.json", text)):
            info = tarfile.TarInfo(f"{key}.{ending}")
            info.size = len(data)
            self.tar.addfile(info, io.BytesIO(data))
        self.pages += 1

    def close(self) -> None:
        """The shard in work is complete."""
        if self.tar is not None:
            self.tar.close()
            self.tar = None


def export_energon_ocr(
    paths: Sequence[str | Path],
    out: str | Path,
    *,
    prepare: bool = True,
    on_event: OnEvent = ignore_event,
) -> Exported:
    """Write the pages of data sets as OCR shards.

    Args:
        paths: Data sets made here, or folders of mixtures; sets without pages are left out.
        out: A new folder.
        prepare: Run energon's own index tool (needs the extra `train`).
        on_event: Told about progress in shards.

    Raises:
        ConfigError: The folder holds something, or cannot be written.
        InputError: None of the data sets has pages, or energon refuses what was written.
        BackendError: megatron-energon is not installed.
    """
    if prepare and find_spec("megatron.energon") is None:
        raise missing_extra("megatron-energon", "train", "--export energon-ocr")
    out = Path(out).expanduser().absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: exists and is not empty; choose another folder")
    parts = {name: _Part(out / name, size) for name, size in SHARD_SIZES.items()}
    left_out: Counter[str] = Counter()
    try:
        for dataset in open_datasets(paths):
            part = parts["train" if dataset.split == "train" else "val"]
            _export(dataset, part, left_out, on_event)
        for part in parts.values():
            part.close()
        pages = {name: part.pages for name, part in parts.items()}
        if not sum(pages.values()):
            raise InputError(
                f"{', '.join(map(str, paths))}: no pages with blocks; export data sets of "
                f"ocr-page, render-text and the like (left out: {dict(left_out)})"
            )
        if prepare:
            _prepare(out, [name for name, count in pages.items() if count])
    except OSError as error:
        raise unwritable(out, error) from error
    reasons = dict(sorted(left_out.items()))
    return Exported(folder=out, pages=pages, left_out=reasons, prepared=prepare)


def _export(dataset: Dataset, part: _Part, left_out: Counter[str], on_event: OnEvent) -> None:
    store = open_media(dataset.media, dataset.folder)
    todo = pieces(dataset)
    for done, piece in enumerate(todo, start=1):
        for unit in units(piece):
            if isinstance(unit, InputError):
                left_out["malformed"] += 1
                continue
            for key, png, label in _pages(unit, store, left_out):
                part.write(key, png, label)
        on_event(Event(name=f"export {dataset.name}", done=done, total=len(todo), unit="shards"))


def _pages(
    unit: Unit, store: MediaStore, left_out: Counter[str]
) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Key, picture and label of every page of a unit."""
    truth = (unit.gt or {}).get("pages")
    if not isinstance(truth, list) or not all("blocks" in page for page in truth):
        left_out["no page ground truth"] += 1
        return
    if len(truth) != len(unit.media):
        left_out["pages and pictures differ in number"] += 1
        return
    for name, page in zip(unit.media, truth, strict=True):
        label = _label(page, left_out)
        if label is None:
            continue
        data = read_media(store.find(name))
        if not name.endswith(".png"):
            buffer = io.BytesIO()
            with Image.open(io.BytesIO(data)) as image:
                image.save(buffer, "PNG")
            data = buffer.getvalue()
        yield name.partition(".")[0], data, label


def _label(page: Mapping[str, Any], left_out: Counter[str]) -> dict[str, Any] | None:
    """The label of a page; None when one of its classes has no name there."""
    width, height = int(page["width"]), int(page["height"])
    blocks = []
    for block in sorted(page["blocks"], key=lambda one: int(one["order"])):
        name = _NAMES.get(str(block["class"]))
        if name is None:
            left_out[f"class {block['class']!r}"] += 1
            return None
        x0, y0, x1, y1 = block["bbox"]
        box = [
            max(0, math.floor(x0)),
            max(0, math.floor(y0)),
            min(width, math.ceil(x1)),
            min(height, math.ceil(y1)),
        ]
        content = block.get("markdown" if name == "Table" else "text") or ""
        blocks.append({"category_id": name, "bbox": box, "content": content})
    facts = {"dpi": page.get("dpi"), "page_width_px": width, "page_height_px": height}
    return {"metadata": {k: v for k, v in facts.items() if v is not None}, "ann": blocks}


def _prepare(out: Path, parts: Sequence[str]) -> None:
    """Energon's index, and its description of the samples."""
    words = [sys.executable, "-m", "megatron.energon.cli.main", "prepare", str(out)]
    words += ["--no-progress", "--non-interactive", "--skip-dataset-yaml"]
    for part in parts:
        words += ["--split-parts", f"{part}:{part}/.*"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    meta = out / ".nv-meta"
    if done.returncode or not (meta / "index.sqlite").is_file():
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise InputError(f"{out}: energon prepare failed: {lines[-1]}")
    (meta / "dataset.yaml").write_text(_DATASET_YAML, encoding="utf-8")
    (meta / "sample_loader.py").write_text(_SAMPLE_LOADER, encoding="utf-8")
