"""Numbers about a data set, against numbers counted by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanovl.data.blend import load_blend
from nanovl.data.config import DataConfig, PackingConfig
from nanovl.data.encode import SampleEncoder
from nanovl.data.stats import Stats, stats
from nanovl.testing import picture, picture_bytes, tiny_processor

SEQ_LEN = 400


def chat(number: int, answer: str, **extra: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "messages": [
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": answer},
        ],
        **extra,
    }


def tokens(answer: str) -> int:
    """Length of a chat in bytes and control tokens."""
    system, user = "System\n\n", "User\nWhy?\n"
    return len(system + user + "Assistant\n<think></think>" + answer + "\n\n") + 5


def encoder(**packing: Any) -> SampleEncoder:
    settings = PackingConfig(buffer_samples=60, **packing)
    config = DataConfig(seq_len=SEQ_LEN, align=1, packing=settings, max_tiles=4)
    return SampleEncoder(tiny_processor(), config)


@pytest.fixture
def blend(tmp_path: Path) -> Path:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.png").write_bytes(picture_bytes(picture(128, 64)))
    text = [
        chat(0, "So.", task="talk"),
        chat(1, "x" * 100, task="talk", reasoning="off"),
        chat(2, "<think>\na\n</think>\n\nb"),
        chat(3, ""),
        chat(4, "<think>\na\n</think>\n\nb", reasoning="on", task="sums"),
    ]
    seen = chat(9, "Red.", task="look")
    seen["messages"][0]["content"] = [
        {"type": "image", "image": "a.png"},
        {"type": "text", "text": "Why?"},
    ]
    for name, rows in (("text", text), ("seen", [seen])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    path = tmp_path / "blend.yaml"
    path.write_text(
        "__module__: megatron.energon\n__class__: MetadatasetV2\nsplits:\n  train:\n    blend:\n"
        "    - {weight: 3, path: text.jsonl}\n    - {weight: 1, path: seen.jsonl}\n"
    )
    return path


def by_name(found: Stats) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in found.to_json()["sources"]}


def test_counts(blend: Path) -> None:
    found = stats(load_blend(blend), encoder())
    rows = by_name(found)
    text, seen = rows["text"], rows["seen"]
    assert (text["records"], text["used"], text["weight"]) == (5, 4, 0.75)
    assert text["tasks"] == {"none": 2, "talk": 2, "sums": 1}
    assert text["reasoning"] == {"none": 2, "off": 1, "on": 1, "open": 1}
    assert (text["media"], seen["media"]) == ({}, {"image": 1})
    assert found.to_json()["dropped"] == {"empty_turn": {"text": 1}}
    assert "3: messages[1]" in found.to_json()["examples"]["empty_turn"][0]
    total = found.to_json()["total"]
    assert total["records"] == 6
    assert total["tokens"]["total"] == text["tokens"]["total"] + seen["tokens"]["total"]
    assert json.loads(json.dumps(found.to_json())) == found.to_json()


def test_lengths(tmp_path: Path) -> None:
    answers = ["So.", "x" * 20, "x" * 100, "x" * 220]
    path = tmp_path / "set.jsonl"
    path.write_text("".join(json.dumps(chat(i, a)) + "\n" for i, a in enumerate(answers)))
    row = by_name(stats(load_blend(path), encoder()))["set"]
    lengths = [tokens(answer) for answer in answers]
    assert lengths == [53, 70, 150, 270]
    assert row["tokens"] == {
        "total": sum(lengths),
        "mean": sum(lengths) / 4,
        "median": lengths[1],
        "p90": lengths[2],
        "max": lengths[3],
        "histogram": [[0, 64, 1], [64, 128, 1], [128, 256, 1], [256, 512, 1]],
    }
    targets = sum(len(answer) + 3 for answer in answers)  # line break, end of turn, line break
    assert row["loss_tokens"] == targets
    assert row["loss_share"] == pytest.approx(targets / sum(lengths))
    assert row["visual_tokens"]["histogram"] == []


def test_visual_tokens(blend: Path) -> None:
    row = by_name(stats(load_blend(blend), encoder()))["seen"]
    assert row["tiles"] == 3  # 2 x 1 and the thumbnail
    assert (row["visual_tokens"]["total"], row["visual_tokens"]["max"]) == (12, 12)
    assert row["visual_share"] == pytest.approx(12 / row["tokens"]["total"])


def test_packing_is_estimated_for_the_weights(blend: Path) -> None:
    packing = stats(load_blend(blend), encoder()).packing
    assert packing is not None
    assert (packing.seq_len, packing.samples, packing.algorithm) == (SEQ_LEN, 60, "balanced")
    assert 0.7 < packing.fill <= 1
    assert packing.samples_per_pack == 60 / packing.packs
    greedy = stats(load_blend(blend), encoder(algorithm="greedy")).packing
    assert greedy is not None
    assert greedy.fill > packing.fill
    alone = stats(load_blend(blend), encoder(enabled=False)).packing
    assert alone is not None
    assert (alone.packs, alone.algorithm) == (60, "none")
    assert alone.fill < packing.fill


def test_without_a_usable_record(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text('{"id": "a"}\n')
    found = stats(load_blend(path), encoder())
    assert found.packing is None
    assert found.to_json()["total"]["used"] == 0
    assert found.drops.counts() == {"malformed_record": {"set": 1}}
