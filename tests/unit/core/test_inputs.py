"""Tensors that enter the model check shapes and types."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from nanovl.core.errors import InputError
from nanovl.core.inputs import PackedBatch, ProcessedInputs
from nanovl.core.layout import MediaSpan, TokenLayout

SPAN = MediaSpan(
    kind="image", start=1, length=4, num_tokens=4, tiles=1, tile_size=(64, 64), grid=(2, 2)
)
LAYOUT = TokenLayout(input_ids=[1, 9, 9, 9, 9, 2], spans=(SPAN,), placeholder=9)
IDS = torch.tensor(LAYOUT.input_ids)
PIXELS = torch.zeros(1, 3, 64, 64, dtype=torch.bfloat16)


def test_one_sample() -> None:
    inputs = ProcessedInputs(layout=LAYOUT, input_ids=IDS, pixel_values=(PIXELS,))
    assert inputs.labels is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"input_ids": IDS[:-1]}, r"got torch.int64 \(5,\), expected int64 \(6,\)"),
        ({"input_ids": IDS.int()}, "got torch.int32"),
        ({"pixel_values": ()}, "0 pixel tensors for 1 media spans"),
        ({"pixel_values": (PIXELS[:, :1],)}, r"\(1, 1, 64, 64\), expected .*\(1, 3, 64, 64\)"),
        ({"pixel_values": (PIXELS.to(torch.uint8),)}, "torch.uint8"),
    ],
)
def test_samples_that_do_not_fit(changes: dict[str, Any], expected: str) -> None:
    fields: dict[str, Any] = {"layout": LAYOUT, "input_ids": IDS, "pixel_values": (PIXELS,)}
    with pytest.raises(InputError, match=expected):
        ProcessedInputs(**fields | changes)


def pack() -> PackedBatch:
    return PackedBatch(
        input_ids=torch.arange(5),
        labels=torch.tensor([1, -100, 3, 4, -100]),
        loss_weight=torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0]),
        cu_seqlens=torch.tensor([0, 2, 5], dtype=torch.int32),
        seq_idx=torch.tensor([0, 0, 1, 1, 1], dtype=torch.int32),
        position_ids=torch.tensor([0, 1, 0, 1, 2]),
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"labels": torch.zeros(4)}, r"labels has shape \(4,\), expected \(5,\)"),
        ({"cu_seqlens": torch.tensor([0, 2, 2, 5])}, "must rise from 0 to 5"),
        ({"cu_seqlens": torch.tensor([0, 4])}, "must rise from 0 to 5"),
        ({"loss_weight": torch.ones(5)}, "loss_weight is not zero where labels are -100"),
    ],
)
def test_packs_that_do_not_fit(changes: dict[str, Any], expected: str) -> None:
    assert pack().pixel_values is None
    with pytest.raises(InputError, match=expected):
        replace(pack(), **changes)
