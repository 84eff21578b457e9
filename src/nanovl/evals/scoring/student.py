"""Student's distribution: how unlikely a t statistic is.

Written out, so that comparing two models needs no library of special functions. It must not know
what is compared.

Source: evaluation specification, section 6.15; the continued fraction of the incomplete beta
function is that of NIST's Digital Library of Mathematical Functions, section 8.17(v).
"""

from __future__ import annotations

import math

__all__ = ["student_p", "student_quantile"]

_TINY = 1e-300
_PRECISION = 1e-15
_MAX_STEPS = 500


def student_p(t: float, freedom: int) -> float:
    """Two-sided probability of a t statistic at least as large in size."""
    if math.isinf(t):
        return 0.0
    return _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def student_quantile(probability: float, freedom: int) -> float:
    """The t below which a share of Student's distribution lies; 0 < probability < 1."""
    if probability < 0.5:
        return -student_quantile(1 - probability, freedom)
    above = 2 * (1 - probability)
    high = 1.0
    while student_p(high, freedom) > above:
        high *= 2
    low = 0.0
    for _ in range(_MAX_STEPS):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if student_p(middle, freedom) > above:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function, by its continued fraction where that is quick."""
    if x <= 0.0 or x >= 1.0:
        return float(x > 0.0)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x > (a + 1) / (a + b + 2):
        return 1.0 - front * _beta_fraction(1 - x, b, a) / b
    return front * _beta_fraction(x, a, b) / a


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction, evaluated from the front (modified Lentz)."""
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    total = d
    for m in range(1, _MAX_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = 1.0
        for factor in (even, odd):
            d = 1.0 + factor * d
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = 1.0 + factor / c
            c = c if abs(c) > _TINY else _TINY
            change = c * d
            total *= change
        if abs(change - 1.0) < _PRECISION:
            break
    return total
