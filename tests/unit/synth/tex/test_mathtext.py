"""Commands the kernel builds from pieces are put back together."""

from __future__ import annotations

import pytest

from nanovl.synth.tex.mathtext import sequences


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        (["a", "\\not", "=", "b"], ["a", "\\neq", "b"]),
        (["a", "\\not", "\\mathrel{=}", "b"], ["a", "\\neq", "b"]),
        (["\\mathrel{-}", "\\joinrel", "x"], ["\\mathrel{-}", "x"]),
        (["-", "\\joinrel", "\\mathrel{\\rightarrow}"], ["\\longrightarrow"]),
        # One made of others that are made first.
        (["f", "\\mapstochar", "-", "\\joinrel", "\\rightarrow"], ["f", "\\longmapsto"]),
        (["=", "\\joinrel", "\\Rightarrow", "\\not", "="], ["\\Longrightarrow", "\\neq"]),
        (["a", "\\joinrel", "b"], ["a", "b"]),
        (["="], ["="]),
        ([], []),
    ],
)
def test_sequences(pieces: list[str], whole: list[str]) -> None:
    assert sequences(pieces) == whole
