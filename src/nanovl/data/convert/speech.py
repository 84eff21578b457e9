"""Recordings with transcripts: what is said, in writing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nanovl.data.convert.base import (
    Converted,
    ConvertOptions,
    Format,
    Item,
    Media,
    Turn,
    each,
    media_name,
    records,
    rng,
)
from nanovl.data.convert.sources import find_file, media_file, read_lines
from nanovl.data.convert.templates import question

__all__ = ["FORMATS", "convert_speech"]


def convert_speech(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Lines of file and text beside the recordings."""
    path = find_file(source, options, "transcripts_{split}.jsonl", "transcripts.jsonl")

    def make(item: Item) -> list[Converted]:
        file, text = item.text("file"), item.text("text")
        ref = media_file(file, "file", options.images, path.parent)
        key = f"audio-{item.text('id')}"
        media = Media(
            name=media_name("audio", Path(file).stem, suffix=Path(file).suffix),
            payload=ref,
            kind="audio",
            metadata={"transcript": text},
        )
        asked = question("speech_text", rng(key, options.seed))
        turn = Turn(question=asked, answer=text, task="transcription")
        return records(options, id=key, turns=[turn], source="nanovl-audio", media=[media])

    return each(read_lines(path, options), make, options)


FORMATS = (
    Format(
        name="nanovl-audio",
        description="Recordings with their transcripts",
        convert=convert_speech,
        expects="transcripts.jsonl beside the recordings, or their folder",
        licence="BSD-2 package; LibriVox recordings are public domain",
    ),
)
