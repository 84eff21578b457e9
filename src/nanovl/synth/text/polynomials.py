"""Exact polynomials in one letter, and how numbers and polynomials are written in LaTeX.

A polynomial is a tuple of fractions, constant term first, without zeros at the end. Knows no task.

Source: data synthesis specification, section 13 (expression tasks).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm

__all__ = [
    "Poly",
    "add",
    "content",
    "derivative",
    "evaluate",
    "from_roots",
    "integral",
    "latex",
    "multiply",
    "number",
    "poly",
    "scale",
    "signed",
]

Poly = tuple[Fraction, ...]


def poly(*coefficients: int | Fraction) -> Poly:
    """A polynomial from its coefficients, constant term first."""
    found = [Fraction(c) for c in coefficients]
    while found and found[-1] == 0:
        found.pop()
    return tuple(found)


def add(p: Poly, q: Poly) -> Poly:
    """Sum."""
    size = max(len(p), len(q))
    return poly(*(sum((r[i] for r in (p, q) if i < len(r)), Fraction(0)) for i in range(size)))


def scale(p: Poly, factor: int | Fraction) -> Poly:
    """A polynomial times a number."""
    return poly(*(c * factor for c in p))


def multiply(p: Poly, q: Poly) -> Poly:
    """Product."""
    found = [Fraction(0)] * max(len(p) + len(q) - 1, 0)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            found[i + j] += a * b
    return poly(*found)


def from_roots(roots: Sequence[int], lead: int = 1) -> Poly:
    """`lead` times the product of (x - root)."""
    found = poly(lead)
    for root in roots:
        found = multiply(found, poly(-root, 1))
    return found


def derivative(p: Poly) -> Poly:
    """First derivative."""
    return poly(*(c * i for i, c in enumerate(p) if i))


def integral(p: Poly) -> Poly:
    """The antiderivative without constant."""
    return poly(0, *(c / (i + 1) for i, c in enumerate(p)))


def evaluate(p: Poly, x: Fraction) -> Fraction:
    """Value at a point (Horner)."""
    found = Fraction(0)
    for c in reversed(p):
        found = found * x + c
    return found


def content(p: Poly) -> Fraction:
    """The greatest common factor of the coefficients, positive; 0 for the zero polynomial."""
    if not p:
        return Fraction(0)
    top = gcd(*(c.numerator for c in p))
    return Fraction(top, lcm(*(c.denominator for c in p)))


def number(value: Fraction | int) -> str:
    """A number in LaTeX, a fraction as `\\frac{a}{b}`."""
    value = Fraction(value)
    if value.denominator == 1:
        return str(value.numerator)
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


def signed(value: Fraction | int) -> str:
    """A number to be added: " + 3" or " - 3"."""
    return f" {'-' if value < 0 else '+'} {number(abs(Fraction(value)))}"


def latex(p: Poly, letter: str = "x") -> str:
    """A polynomial in LaTeX, highest power first."""
    if not p:
        return "0"
    text = ""
    for power in range(len(p) - 1, -1, -1):
        c = p[power]
        if c == 0:
            continue
        size = abs(c)
        digits = "" if size == 1 and power else number(size)
        raised = f"^{power}" if power < 10 else f"^{{{power}}}"
        unknown = "" if not power else letter if power == 1 else f"{letter}{raised}"
        sign = ("-" if c < 0 else "") if not text else (" - " if c < 0 else " + ")
        text += f"{sign}{digits}{unknown}"
    return text
