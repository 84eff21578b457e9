"""The crossover picker, with a clock that says what it is told."""

import pytest
import torch

from nanovl.quant import Int4Linear, Int8Linear
from nanovl.quant.crossover import measure_gemv_rows


class Clock:
    """Charges a product by the way it takes: packed kernels per token, decoding a flat price."""

    def __init__(self, monkeypatch, module, per_token, flat):
        self.now = 0.0
        forward = type(module).forward

        def charged(layer, x):
            tokens = x.shape[0]
            self.now += per_token * tokens if tokens <= layer.gemv_rows else flat
            return forward(layer, x)

        monkeypatch.setattr(type(module), "forward", charged)

    def __call__(self):
        return self.now


@pytest.mark.parametrize("cls", [Int8Linear, Int4Linear])
@pytest.mark.parametrize(
    ("per_token", "flat", "expected"), [(1, 5, 4), (1, 100, 16), (1, 1, 1), (2, 1, 0), (1, 8, 8)]
)
def test_picks_the_last_number_of_tokens_that_wins(monkeypatch, cls, per_token, flat, expected):
    module = cls.from_float(torch.randn(64, 64))
    clock = Clock(monkeypatch, module, per_token, flat)
    assert measure_gemv_rows(module, clock=clock) == expected
    assert module.gemv_rows == 4


def test_measures_a_real_layer():
    module = Int8Linear.from_float(torch.randn(64, 64))
    assert measure_gemv_rows(module, candidates=(1, 2)) in (0, 1, 2)
