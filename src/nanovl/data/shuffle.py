"""Random order without a list of it: permutations and draws as functions of a key.

Nothing here has a state that moves: an element of a permutation, or the choice of a draw, is
computed from a key and a number, so any point of an endless order can be reached at once. Knows
nothing about records.

Source: a Feistel network walked until it lands inside the range (Black and Rogaway, "Ciphers with
Arbitrary Finite Domains", 2002); small ranges are shuffled as lists.
"""

from __future__ import annotations

import hashlib
import random

__all__ = ["Permutation", "draw_below", "draw_unit"]

_LISTED = 4096
_ROUNDS = 6
_MASK = (1 << 64) - 1


class Permutation:
    """The numbers 0 to size - 1 in an order given by a key; takes no memory to speak of.

    Args:
        size: How many numbers.
        key: Any text; equal keys give equal orders.
    """

    def __init__(self, size: int, key: str) -> None:
        self.size = size
        self._list: list[int] | None = None
        if size <= _LISTED:
            # Few rounds over a few bits would not reach every order of a short list.
            self._list = list(range(size))
            random.Random(f"permutation/{key}").shuffle(self._list)
            return
        self._half = ((size - 1).bit_length() + 1) // 2
        digest = hashlib.blake2b(f"permutation/{key}".encode()).digest()
        self._keys = [int.from_bytes(digest[8 * i : 8 * i + 8], "big") for i in range(_ROUNDS)]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < self.size:
            raise IndexError(f"element {index} of a permutation of {self.size}")
        if self._list is not None:
            return self._list[index]
        index = self._cipher(index)
        while index >= self.size:  # at most four tries on average
            index = self._cipher(index)
        return index

    def _cipher(self, value: int) -> int:
        half = self._half
        mask = (1 << half) - 1
        left, right = value >> half, value & mask
        for key in self._keys:
            mixed = ((right ^ key) * 0x9E3779B97F4A7C15) & _MASK
            mixed = ((mixed ^ (mixed >> 32)) * 0xD6E8FEB86659FD93) & _MASK
            left, right = right, left ^ (mixed >> (64 - half))
        return (left << half) | right


def draw_unit(key: str) -> float:
    """A number in [0, 1) that depends on the key alone."""
    return (_bits(key) >> 11) * 2.0**-53


def draw_below(bound: int, key: str) -> int:
    """A whole number below `bound` that depends on the key alone."""
    return _bits(key) * bound >> 64


def _bits(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
