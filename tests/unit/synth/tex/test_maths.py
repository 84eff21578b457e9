"""Maths lists become LaTeX; lists are built by hand with Unicode fonts."""

from __future__ import annotations

from typing import Any

import pytest

from nanovl.synth.tex.events import Maths
from nanovl.synth.tex.maths import Converter
from tests.unit.synth.tex.pieces import font

_ITALIC = {chr(0x1D44E + k): chr(ord("a") + k) for k in range(26)}


def _char(text: str) -> list[Any]:
    italic = {v: k for k, v in _ITALIC.items()}
    return ["c", 1, ord(italic.get(text, text))]


def _atom(text: str, kind: int = 0, sup: Any = None, sub: Any = None) -> list[Any]:
    return ["n", kind, _char(text), sup, sub]


def _latex(tree: list[Any], *others: list[Any]) -> str:
    maths = font(1, "latinmodern-math")
    for code in range(32, 0x1D7FF):
        if code < 0x2B00 or code > 0x1D3FF:
            maths.texts[code] = chr(code)
    lists = {k: Maths(k, False, 1, 10.0, t) for k, t in enumerate([tree, *others])}
    return Converter({1: maths}, lists).latex(0)


def test_letters_scripts_and_symbols() -> None:
    tree = [_atom("x", sup=_char("2"), sub=["l", [_atom("i"), _atom("j")]]), _atom("\u2264", 5),
            _atom("\u03b1"), _atom("a")]  # fmt: skip
    assert _latex(tree) == "x_{ij}^2\\leq\\alpha a"


def test_primes_collapse() -> None:
    primes = ["l", [_atom("\u2032"), _atom("\u2032")]]
    assert _latex([_atom("f", sup=primes)]) == "f''"


def test_fractions_binomials_and_roots() -> None:
    top, bottom = ["l", [_atom("a")]], ["l", [_atom("b")]]
    assert _latex([["f", 1 << 30, top, bottom, None, None]]) == "\\frac{a}{b}"
    assert _latex([["f", 0, top, bottom, _char("("), _char(")")]]) == "\\binom{a}{b}"
    assert _latex([["R", 0, top, _char("3"), None, None, None]]) == "\\sqrt[3]{a}"


def test_fences_around_rows_are_matrices() -> None:
    rows = ["b", "v", [["r", [["m", 1]], [["m", 2]]], ["r", [["m", 2]], [["m", 1]]]], 0]
    tree = [["F", 1, _char("(")], ["n", 12, rows, None, None], ["F", 3, _char(")")]]
    assert _latex(tree, [_atom("a")], [_atom("b")]) == (
        "\\begin{pmatrix} a & b \\\\ b & a \\end{pmatrix}"
    )


@pytest.mark.parametrize(("limits", "latex"), [(3, "\\sin x"), (1, "\\operatorname*{foo}_ix")])
def test_operators_by_name(limits: int, latex: str) -> None:
    word = "sin" if limits == 3 else "foo"
    letters = ["l", [["n", 0, ["c", 1, ord(c)], None, None] for c in word]]
    sub = None if limits == 3 else _char("i")
    assert _latex([["n", limits, letters, None, sub], _atom("x")]) == latex


def test_an_unknown_glyph_is_counted() -> None:
    converter = Converter(
        {1: font()}, {0: Maths(0, False, 1, 10.0, [["n", 0, ["c", 1, 5], None, None]])}
    )
    assert not converter.is_exact(0)
    assert sum(converter.unknown.values()) == 1
