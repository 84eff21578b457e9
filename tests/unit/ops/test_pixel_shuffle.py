import pytest
import torch

from nanovl.ops.activation import squared_relu
from nanovl.ops.pixel_shuffle import pixel_shuffle, pixel_shuffle_reference


def grid(height, width):
    n = torch.arange(height * width, dtype=torch.float32)
    return torch.stack([10 * n, 10 * n + 1], dim=-1).view(1, height, width, 2)


def tokens(version):
    return pixel_shuffle(grid(4, 4), version=version).view(4, 8).tolist()


def test_published_example_v2():
    assert tokens("v2") == [
        [0, 1, 10, 11, 40, 41, 50, 51],
        [20, 21, 30, 31, 60, 61, 70, 71],
        [80, 81, 90, 91, 120, 121, 130, 131],
        [100, 101, 110, 111, 140, 141, 150, 151],
    ]


def test_published_example_v1_is_transposed():
    v1, v2 = tokens("v1"), tokens("v2")
    assert v1 == [v2[0], v2[2], v2[1], v2[3]]


def test_patch_indices_of_a_wide_grid():
    out = pixel_shuffle(grid(2, 6))[0, 0, :, ::2] / 10
    assert out.int().tolist() == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_equals_reference(version):
    x = torch.randn(3, 4, 8, 5)
    assert torch.equal(
        pixel_shuffle(x, version=version), pixel_shuffle_reference(x, version=version)
    )


def test_squared_relu():
    x = torch.tensor([-2.0, 0.0, 3.0])
    assert squared_relu(x).tolist() == [0.0, 0.0, 9.0]
    assert squared_relu(x.clone(), inplace=True).tolist() == [0.0, 0.0, 9.0]
