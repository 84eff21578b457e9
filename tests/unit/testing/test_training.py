"""Made training sets are the same every time, readable, and their answers are true."""

from __future__ import annotations

import io
import re
from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from PIL import Image

from nanovl.data import DataConfig, SampleEncoder, load_blend
from nanovl.data.config import PackingConfig
from nanovl.data.loader import build_loader
from nanovl.data.stream import RecordStream
from nanovl.testing import tiny_processor, training_record, training_set
from nanovl.testing.training import KINDS, PICTURE_KINDS, TEXT_KINDS, colour_of

NUMBERS = range(20)


def question_and_answer(kind: str, number: int) -> tuple[str, str, list[bytes]]:
    record, media = training_record(kind, number, size=96)
    assert record.id == f"{kind}-{number:05d}"
    assert (record.source, record.task) == (kind, kind)
    assert [f.value for f in record.media] == list(media)
    return record.messages[0].text, record.messages[-1].text, list(media.values())


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def seen_colours(picture: np.ndarray) -> list[str]:
    """Named colours of a picture from left to right."""
    first: dict[str, int] = {}
    for pixel in np.unique(picture.reshape(-1, 3), axis=0):
        if name := colour_of(pixel):
            first[name] = int((picture == pixel).all(axis=-1).any(axis=0).argmax())
    return sorted(first, key=first.__getitem__)


def test_a_set_is_the_same_every_time(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, seed in zip(folders, (0, 0, 1), strict=True):
        training_set(folder, samples=23, seed=seed, held_out=5, size=64)
    files = [
        {str(p.relative_to(f)): p.read_bytes() for p in sorted(f.rglob("*")) if p.is_file()}
        for f in folders
    ]
    assert files[0] == files[1]
    assert files[0].keys() == files[2].keys()
    assert all(files[0][n] != files[2][n] for n in files[0] if n.endswith(".jsonl"))


def test_shares_and_splits(tmp_path: Path) -> None:
    blend = training_set(tmp_path, samples=23, held_out=3, size=64)
    train, val = load_blend(blend), load_blend(blend, "val")
    assert [source.name for source in train] == list(KINDS)
    counts = [source.stop - source.start for source in train]
    assert sum(counts) == 23
    assert set(counts) == {2, 3}
    assert [source.weight * 23 for source in train] == pytest.approx(counts)
    for kept, held in zip(train, val, strict=True):
        assert (held.path, held.start) == (kept.path, kept.stop)
    with_media = {source.name for source in train if source.media is not None}
    assert with_media == {*PICTURE_KINDS, "videos"}
    assert "&" not in blend.read_text()  # no YAML anchors: not every reader knows them


def test_without_held_out_records_there_is_one_split(tmp_path: Path) -> None:
    blend = training_set(tmp_path, samples=2, kinds=("words", "tools", "recall"))
    content = yaml.safe_load(blend.read_text())
    assert list(content["splits"]) == ["train"]
    assert [leaf["path"] for leaf in content["splits"]["train"]["blend"]] == [
        "words/words.jsonl",
        "tools/tools.jsonl",
    ]


def test_every_record_can_be_trained_on(tmp_path: Path) -> None:
    blend = training_set(tmp_path, samples=40, size=64)
    config = DataConfig(metadataset=str(blend), seq_len=1024, pixel_dtype="float32")
    encoder = SampleEncoder(tiny_processor(), config)
    count = 0
    for item in RecordStream(load_blend(blend), seed=0, epochs=1):
        sample = encoder.encode(item)
        assert (sample.num_tiles > 0) == (item.source not in TEXT_KINDS)
        encoder.load(sample)
        count += 1
    assert count == 40


def test_packs_come_out(tmp_path: Path) -> None:
    blend = training_set(tmp_path, samples=20, size=64)
    config = DataConfig(
        metadataset=str(blend), seq_len=1024, packing=PackingConfig(buffer_samples=20)
    )
    loader = build_loader(config, tiny_processor())
    pack = next(loader)
    loader.close()
    assert len(pack.keys) > 2
    assert not loader.drops.counts()


# --- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", NUMBERS)
def test_shapes(number: int) -> None:
    question, answer, (data,) = question_and_answer("shapes", number)
    picture = pixels(data)
    (colour,) = seen_colours(picture)
    inside = np.array([[colour_of(p) is not None for p in row] for row in picture])
    corner, middle = inside[21, 21], inside[21, 48]
    shape = "square" if corner else "circle" if inside[48, 21] else "triangle"
    assert middle  # all three touch the middle of their upper edge
    truth = {
        "What shape is this?": shape,
        f"Which colour is the {shape}?": colour,
        "Describe the picture.": f"A {colour} {shape}.",
    }
    assert answer == truth[question]


@pytest.mark.parametrize("number", NUMBERS)
def test_charts(number: int) -> None:
    question, answer, (data,) = question_and_answer("charts", number)
    picture = pixels(data)[:, 3:]  # without the scale
    names = seen_colours(picture)
    assert len(names) == 3
    heights = {
        name: max(96 - row for row in range(96) if name in seen_colours(picture[row : row + 1]))
        for name in names
    }
    values = {name: round(height / (96 * 0.9 / 9)) for name, height in heights.items()}
    ranked = sorted(values, key=values.__getitem__)
    if "How tall" in question:
        name = question.split()[4]
        assert answer == str(values[name])
    else:
        assert answer == (ranked[-1] if "tallest" in question else ranked[0])


@pytest.mark.parametrize("number", NUMBERS)
def test_pairs(number: int) -> None:
    question, answer, files = question_and_answer("pairs", number)
    colours = [seen_colours(pixels(data))[0] for data in files]
    assert len(set(colours)) == len(colours) in (2, 3)
    if match := re.fullmatch(r"Which picture is (\w+)\?", question):
        assert colours[int(answer) - 1] == match[1]
    elif "How many" in question:
        assert answer == str(len(files))
    else:
        assert answer == ", ".join(colours)


@pytest.mark.parametrize("number", range(8))
def test_videos(number: int) -> None:
    question, answer, (data,) = question_and_answer("videos", number)
    with av.open(io.BytesIO(data)) as container:
        frames = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    shown = [(time, colour_of(frame[48, 48], tolerance=24)) for time, frame in frames]
    assert None not in {colour for _, colour in shown}
    order = list(dict.fromkeys(colour for _, colour in shown))
    assert len(order) == 3
    if match := re.fullmatch(r"When is it (\w+)\?", question):
        times = [time for time, colour in shown if colour == match[1]]
        begin, end = re.fullmatch(r"00:(\d\d)-00:(\d\d)", answer).groups()  # type: ignore[union-attr]
        assert (times[0], times[-1] + 0.25) == (int(begin), int(end))
    else:
        assert answer == (order[0] if "first" in question else order[-1])


@pytest.mark.parametrize("number", NUMBERS)
def test_texts(number: int) -> None:
    question, answer, _ = question_and_answer("recall", number)
    room = re.search(r"What is the code of room (\d+)\?", question)
    assert room is not None
    assert f"The code of room {room[1]} is {answer}." in question
    question, answer, _ = question_and_answer("reasoning", number)
    total = sum(map(int, re.findall(r"\d+", question)))
    assert answer.endswith(f"</think>\n\n{total}")
    assert f" = {total}." in answer
    record, _ = training_record("dialogue", number)
    city = record.messages[0].text.split(" from ")[1]
    assert record.messages[3].text == f"In {city}"
    record, _ = training_record("tools", number)
    (call,) = record.messages[1].tool_calls
    assert call["arguments"]["city"] in record.messages[0].text
    assert re.findall(r"\d+", record.messages[2].text)[0] in record.messages[3].text


@pytest.mark.parametrize("kind", ["words", "tables"])
def test_printed_text_is_in_the_picture(kind: str) -> None:
    # Equal pictures have equal answers: nothing but the picture decides.
    known: dict[tuple[str, bytes], str] = {}
    answers = set()
    for number in NUMBERS:
        question, answer, (data,) = question_and_answer(kind, number)
        assert known.setdefault((question, data), answer) == answer
        assert (pixels(data) < 128).all(axis=-1).sum() > 30  # black ink
        answers.add(answer)
    assert len(answers) > 5


def test_a_recall_text_is_as_long_as_wanted() -> None:
    short, _ = training_record("recall", 0, facts=2)
    long, _ = training_record("recall", 0, facts=200)
    assert short.messages[0].text.count("\n") == 2
    assert long.messages[0].text.count("\n") == 200
