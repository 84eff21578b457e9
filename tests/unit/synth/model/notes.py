"""Data sets to ask about: pictures with a text each, in the released layout."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanovl.synth.base import Answer, Media, Sample, Streams, Task
from nanovl.synth.join import join
from nanovl.synth.shards import Shard, make_shard
from nanovl.testing import picture, picture_bytes


@dataclass(frozen=True)
class _Config:
    texts: tuple[str, ...] = ()


class _Notes:
    """A picture and a text per index, with a question that has an answer."""

    name = "notes"
    version = "1"
    requires = ()

    def __init__(self, truths: Sequence[Mapping[str, Any]], lang: str) -> None:
        self.truths = truths
        self.lang = lang
        self.config = _Config(tuple(json.dumps(t, sort_keys=True) for t in truths))

    def generate(self, index: int, streams: Streams) -> Sample:
        data = picture_bytes(picture(16, 16, seed=index))
        task = Task(
            task="sum",
            question=f"What is {index} + 40?",
            answer_text=str(index + 40),
            answer=Answer(type="number", value=index + 40),
            verifier="number",
            media=("image",),
        )
        media = Media(name="image", kind="image", data=data, ext="png", width=16, height=16)
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt=self.truths[index],
            tasks=(task,),
            media=(media,),
            lang=self.lang,
        )


def data_set(folder: Path, truths: Sequence[Mapping[str, Any]], lang: str = "en") -> Path:
    """A data set in the released layout, with pictures and ground truth."""
    generator = _Notes(truths, lang)
    shard = Shard(generator="notes", number=0, start=0, stop=len(truths), out=folder)
    make_shard(shard, generator)
    join(folder, [shard])
    (folder / "synth.json").write_text(json.dumps({"generator": "notes"}))
    return folder


NAMES = ("Ada", "Bo", "Cleo", "Dan", "Eve", "Finn", "Gus", "Hana", "Ida", "Jo", "Kim", "Lou")


def facts(number: int) -> dict[str, Any]:
    """Ground truth with three facts of its own."""
    name = NAMES[number % len(NAMES)] + (f" {number}" if number >= len(NAMES) else "")
    town = ("Oslo", "Lima", "Cairo", "Delhi")[number % 4] + " " + name
    text = (
        f"The age of {name} is {20 + number}. The town of {name} is {town} North.\n"
        f"The trade of {name} is glass blowing in workshop {NAMES[(number * 5) % len(NAMES)]}."
    )
    return {"markdown": text}
