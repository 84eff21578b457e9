"""Small data sets of synth, written by hand, for the tests of gallery, card and reject."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

BOXES = ((40.0, 30.0, 200.0, 90.0), (60.0, 120.0, 300.0, 210.0))
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>window.owned = 1</script>&amp;"


def picture(boxes: Sequence[Sequence[float]] = BOXES, size: tuple[int, int] = (400, 260)) -> bytes:
    """White, with a filled magenta rectangle in every box."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for x0, y0, x1, y1 in boxes:
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=(255, 0, 255))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def blocks(*texts: str) -> list[dict[str, Any]]:
    """Blocks of a page, one in each of `BOXES`."""
    kinds = ("title", "text")
    return [
        {
            "id": k,
            "class": kinds[k],
            "order": k,
            "bbox": list(BOXES[k]),
            "text": text,
            "markdown": f"# {text}" if k == 0 else text,
        }
        for k, text in enumerate(texts)
    ]


def write_set(
    folder: Path,
    samples: Mapping[str, Mapping[str, Any]],
    *,
    generator: str = "ocr-page",
    shard_size: int = 2,
) -> Path:
    """A data set as `synth run` writes it.

    Args:
        folder: New.
        samples: Id -> "gt", "media" (name -> (kind, ext, data, facts)), "records" and other keys of
            the truth.
        generator: Its name.
        shard_size: Samples per shard.
    """
    (folder / "shards").mkdir(parents=True)
    (folder / "media").mkdir()
    claim = {
        "generator": generator,
        "version": "1",
        "config_hash": "0" * 16,
        "config": {},
        "split": "train",
        "start": 0,
        "count": len(samples),
        "shard_size": shard_size,
    }
    (folder / "synth.json").write_text(json.dumps(claim))
    items = list(samples.items())
    everything = ""
    for number in range(0, len(items), shard_size):
        part = items[number : number + shard_size]
        everything += _shard(folder, f"{number // shard_size:06d}", number, part, claim)
    (folder / f"{folder.name}.jsonl").write_text(everything)
    return folder


def _shard(
    folder: Path, stem: str, start: int, part: list[tuple[str, Any]], claim: Mapping[str, Any]
) -> str:
    truths, records, count = "", "", 0
    archive = folder / "media" / f"shard_{stem}.tar"
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, sample in part:
            media = []
            for short, (kind, ext, data, facts) in sample.get("media", {}).items():
                file = f"{name}-{short}.{ext}"
                info = tarfile.TarInfo(file)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
                media.append({"name": file, "kind": kind, **facts})
            truth = {
                "id": name,
                "generator": claim["generator"],
                "version": "1",
                "seed": 7,
                "license": "generated",
                "lang": "en",
                "group": name,
                "media": media,
                "gt": sample["gt"],
                "tags": sample.get("tags", ["ocr", "difficulty:1"]),
                "quality": {},
            }
            truths += json.dumps(truth) + "\n"
            for record in sample.get("records", ()):
                records += json.dumps(record) + "\n"
                count += 1
    names = (f"shards/{stem}.gt.jsonl", f"shards/{stem}.jsonl", f"media/shard_{stem}.tar")
    for name, text in zip(names, (truths, records), strict=False):
        (folder / name).write_text(text)
    done = {
        **{k: claim[k] for k in ("generator", "version", "config_hash", "split")},
        "start": start,
        "stop": start + len(part),
        "samples": len(part),
        "records": count,
        "media": sum(len(s.get("media", ())) for _, s in part),
        "rejects": {},
        "lost": 0,
        "files": {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in names},
        "bytes": {n: (folder / n).stat().st_size for n in names},
        "cpu_s": 1.0,
        "wall_s": 1.0,
    }
    (folder / "shards" / f"{stem}.done.json").write_text(json.dumps(done))
    return records


def record(
    sample: str,
    number: int,
    question: str,
    said: str,
    answer: Mapping[str, Any],
    verifier: str = "exact",
    media: Sequence[tuple[str, str]] = (("image", "image.png"),),
) -> dict[str, Any]:
    """A record of a sample that shows some media."""
    shown = [{"type": kind, kind: f"{sample}-{name}"} for kind, name in media]
    return {
        "id": f"{sample}-{number:02d}",
        "messages": [
            {"role": "user", "content": [*shown, {"type": "text", "text": question}]},
            {"role": "assistant", "content": [{"type": "text", "text": said}]},
        ],
        "reasoning": "off",
        "source": "ocr-page",
        "task": "ocr",
        "metadata": {
            "sample": sample,
            "lang": "en",
            "license": "generated",
            "verifier": verifier,
            "answer": {"unit": None, "tolerance": None, **answer},
        },
    }


def page_set(folder: Path, count: int = 3, *, text: str = "Some words") -> Path:
    """Pages with two blocks and two questions each."""
    samples = {}
    for k in range(count):
        name = f"ocr-page-train-{k:09d}"
        said = f"{text} {k}"
        box = "<ref>title</ref><box>(100,115),(500,346)</box>"
        samples[name] = {
            "gt": {"pages": [{"width": 400, "height": 260, "blocks": blocks(f"Title {k}", said)}]},
            "media": {"image": ("image", "png", picture(), {"width": 400, "height": 260})},
            "records": [
                record(name, 0, f"What does it say? {text}", said, {"type": "text", "value": said}),
                record(
                    name,
                    1,
                    "Where is the title?",
                    box,
                    {"type": "box", "value": [[100, 115, 500, 346]]},
                    "iou",
                ),
            ],
        }
    return write_set(folder, samples)
