import pytest
import torch

from nanovl.core.errors import InputError
from nanovl.ops.evs import frame_dissimilarity, kept_per_frame, retained_count, retention_mask

RATES = (0.0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.99)
COUNTS = {
    1: (256, 256, 256, 256, 256, 256, 256, 256),
    2: (512, 256, 256, 256, 256, 256, 256, 256),
    3: (768, 384, 307, 256, 256, 256, 256, 256),
    4: (1024, 512, 409, 307, 256, 256, 256, 256),
    8: (2048, 1024, 819, 614, 512, 409, 256, 256),
    10: (2560, 1280, 1024, 768, 640, 511, 256, 256),
    16: (4096, 2048, 1638, 1228, 1024, 819, 409, 256),
    32: (8192, 4096, 3276, 2457, 2048, 1638, 819, 256),
    64: (16384, 8192, 6553, 4915, 4096, 3276, 1638, 256),
    100: (25600, 12800, 10240, 7680, 6400, 5119, 2559, 256),
    128: (32768, 16384, 13107, 9830, 8192, 6553, 3276, 327),
}


@pytest.mark.parametrize("frames", COUNTS)
def test_published_counts(frames):
    assert tuple(retained_count(frames, 256, q) for q in RATES) == COUNTS[frames]


@pytest.mark.parametrize(
    ("tokens", "frames", "rate", "kept"),
    [
        (4, 3, 0.5, 6),
        (4, 10, 0.9, 4),
        (9, 7, 0.3, 44),
        (16, 5, 0.7, 24),
        (256, 10, 0.1, 2304),
        (256, 3, 1 / 3, 512),
    ],
)
def test_published_counts_of_other_grids(tokens, frames, rate, kept):
    assert retained_count(frames, tokens, rate) == kept


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_rate_outside_its_range(rate):
    with pytest.raises(InputError, match="pruning rate"):
        retained_count(4, 256, rate)


def frames():
    rows = [
        [(1, 0), (0, 1), (1, 1), (1, -1)],
        [(1, 0), (1, 0), (1, 1), (-1, 1)],
        [(0, 1), (1, 0), (2, 2), (-1, 1)],
    ]
    return torch.tensor(rows, dtype=torch.float32).view(3, 2, 2, 2)


def bits(mask):
    return ["".join("1" if v else "0" for v in row) for row in mask.tolist()]


def test_published_dissimilarities():
    d = frame_dissimilarity(frames()).view(3, 4)
    assert d[0].tolist() == [255.0] * 4
    torch.testing.assert_close(
        d[1:], torch.tensor([[0.0, 1, 0, 2], [1, 0, 0, 0]]), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (0.0, ["1111", "1111", "1111"]),
        (0.5, ["1111", "0101", "0000"]),
        (0.6, ["1111", "0000", "0000"]),
        (0.9, ["1111", "0000", "0000"]),
    ],
)
def test_published_masks(rate, expected):
    assert bits(retention_mask(frames(), rate)) == expected


def test_ties_go_to_earlier_positions():
    still = torch.ones(5, 2, 2, 3)
    assert bits(retention_mask(still, 0.5)) == ["1111", "1111", "1100", "0000", "0000"]


@pytest.mark.parametrize(
    ("rate", "per_frame", "positions"),
    [
        (0.5, [16, 5, 5, 6], [range(1, 6), range(9, 14), range(6)]),
        (0.7, [16, 1, 1, 1], [[3], [11], [2]]),
        (0.75, [16, 0, 0, 0], [[], [], []]),
    ],
)
def test_published_wave(rate, per_frame, positions):
    i = torch.arange(4 * 4 * 4 * 8, dtype=torch.float64)
    frame = torch.arange(4, dtype=torch.float64).repeat_interleave(128)
    x = torch.sin(0.37 * i + 1.3 * frame).view(4, 4, 4, 8).float()
    mask = retention_mask(x, rate)
    assert kept_per_frame(mask) == per_frame
    assert [mask[f].nonzero()[:, 0].tolist() for f in (1, 2, 3)] == [list(p) for p in positions]


def test_a_zero_vector_is_similar_to_nothing():
    x = torch.zeros(2, 1, 2, 3)
    x[:, 0, 1] = 1.0
    d = frame_dissimilarity(x)
    assert d[1].view(-1).tolist() == pytest.approx([1.0, 0.0], abs=1e-6)


def test_the_model_dtype_can_decide():
    x = torch.randn(3, 4, 4, 16).bfloat16()
    assert frame_dissimilarity(x, dtype=None).dtype == torch.bfloat16
    assert int(retention_mask(x, 0.5, dtype=None).sum()) == retained_count(3, 16, 0.5)
