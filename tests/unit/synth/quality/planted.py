"""A data set in shards in which every rule is broken where a test wants it broken."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nanovl.synth.base import Answer, Media, Sample, Task
from nanovl.synth.records import media_file_name, sample_records, truth


def png(seed: int, size: tuple[int, int] = (96, 64)) -> bytes:
    """A picture like no other."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (8, 12, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def sample(number: int, **changes: Any) -> Sample:
    """A sound sample; `question`, `text`, `gt`, `picture`, `answer`, `verifier` can be replaced."""
    text = changes.pop("text", f"The {number} quick parcels of depot {number * 7} left at noon.")
    picture = changes.pop("picture", png(number))
    size = changes.pop("size", (96, 64))
    media = (
        (Media(name="p000", kind="image", data=picture, ext="png", width=size[0], height=size[1]),)
        if picture
        else ()
    )
    task = Task(
        task="read",
        question=changes.pop("question", f"What does parcel {number} say?"),
        answer_text=changes.pop("said", text),
        answer=changes.pop("answer", Answer(type="text", value=text)),
        verifier=changes.pop("verifier", "exact"),
        media=tuple(m.name for m in media),
        template=changes.pop("template", f"read/{number}"),
    )
    box = [2.0, 2.0, 60.0, 40.0]
    gt = changes.pop("gt", {"blocks": [{"text": text, "bbox": box, "id": number}]})
    made = Sample(
        generator="planted",
        version="1",
        seed=number,
        id=f"planted-train-{number:09d}",
        gt=gt,
        tasks=changes.pop("tasks", (task,)),
        media=media,
        lang=changes.pop("lang", "en"),
        group=changes.pop("group", ""),
        quality=changes.pop("quality", {}),
    )
    assert not changes
    return made


def dataset(
    folder: Path, samples: Sequence[Sample], *, size: int = 4, split: str = "train"
) -> Path:
    """Write samples as a run would."""
    (folder / "shards").mkdir(parents=True)
    (folder / "media").mkdir()
    joined = b""
    for number, start in enumerate(range(0, len(samples), size)):
        stem = f"{number:06d}"
        part = samples[start : start + size]
        records = [line(r.to_json()) for s in part for r in sample_records(s)]
        (folder / "shards" / f"{stem}.jsonl").write_bytes(b"".join(records))
        truths = b"".join(line(truth(s)) for s in part)
        (folder / "shards" / f"{stem}.gt.jsonl").write_bytes(truths)
        with tarfile.open(folder / "media" / f"shard_{stem}.tar", "w") as tar:
            for one in part:
                for media in one.media:
                    info = tarfile.TarInfo(media_file_name(one, media))
                    info.size = len(media.data)
                    tar.addfile(info, io.BytesIO(media.data))
        counts = {"samples": len(part), "records": len(records), "media": len(part), "lost": 0}
        done = counts | {"rejects": {}, "files": {}, "bytes": {}, "cpu_s": 0.0, "wall_s": 0.0}
        (folder / "shards" / f"{stem}.done.json").write_text(json.dumps(done))
        joined += b"".join(records)
    (folder / f"{folder.name}.jsonl").write_bytes(joined)
    (folder / "synth.json").write_text(json.dumps({"generator": "planted", "split": split}))
    return folder


def line(value: Any) -> bytes:
    """As the shard writer writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
