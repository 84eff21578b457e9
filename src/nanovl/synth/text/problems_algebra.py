"""Algebra and calculus problems: drawn backwards from their answers, checked at random points.

Every maker returns a `Problem` whose `check` compares question and answer numerically, apart from
how the answer was found. Must not word prompts: `expressions` does.

Source: data synthesis specification, section 13 (expression tasks).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from nanovl.synth.text.polynomials import (
    Poly,
    add,
    content,
    derivative,
    evaluate,
    from_roots,
    integral,
    latex,
    multiply,
    number,
    poly,
    scale,
    signed,
)

__all__ = ["ALGEBRA", "POINTS", "Maker", "Problem", "same_at_points"]

POINTS = 5  # where an answer is compared with its question


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One task with its answer.

    Attributes:
        ask: Wordings of the question, formulas included.
        answer: What stands in the box, LaTeX.
        value: The answer as a number, None when it is an expression.
        trace: Sentences of the solution.
        check: Compares question and answer numerically.
        params: For the ground truth.
    """

    ask: tuple[str, ...]
    answer: str
    trace: tuple[str, ...]
    check: Callable[[random.Random], bool]
    value: Fraction | None = None
    params: dict[str, Any] = field(default_factory=dict)


Maker = Callable[[random.Random], Problem]
_Real = Callable[[Fraction], Fraction]


def same_at_points(f: _Real, g: _Real, rng: random.Random) -> bool:
    """Whether two exact functions agree at five random points."""
    for _ in range(POINTS):
        x = Fraction(rng.randint(-90, 90), rng.randint(7, 19))
        if f(x) != g(x):
            return False
    return True


def _at(p: Poly) -> _Real:
    return lambda x: evaluate(p, x)


def _some(rng: random.Random, low: int, high: int, without: tuple[int, ...] = (0,)) -> int:
    return rng.choice([n for n in range(low, high + 1) if n not in without])


def _letter(rng: random.Random) -> str:
    return rng.choice("xyztu")


def _factor(root: int, letter: str) -> str:
    return letter if root == 0 else f"({letter}{signed(-root)})"


def expand_product(rng: random.Random) -> Problem:
    """(ax + b)(cx + d)."""
    x = _letter(rng)
    p = poly(_some(rng, -9, 9), _some(rng, 1, 6))
    q = poly(_some(rng, -9, 9), _some(rng, 1, 6))
    text, result = f"({latex(p, x)})({latex(q, x)})", multiply(p, q)
    middle = [p[1] * q[0], p[0] * q[1]]
    return Problem(
        ask=(
            f"Expand ${text}$.",
            f"Multiply out ${text}$.",
            f"Write ${text}$ without brackets.",
            f"What polynomial is ${text}$?",
        ),
        answer=latex(result, x),
        trace=(
            f"The highest term is {number(p[1])} * {number(q[1])} = {number(p[1] * q[1])}.",
            f"The terms in {x} are {number(middle[0])}{x} and {number(middle[1])}{x}, together "
            f"{number(sum(middle))}{x}.",
            f"The constant is {number(p[0])} * {number(q[0])} = {number(result[0])}.",
        ),
        check=lambda r: same_at_points(lambda v: evaluate(p, v) * evaluate(q, v), _at(result), r),
        params={"factors": [latex(p, x), latex(q, x)]},
    )


def expand_square(rng: random.Random) -> Problem:
    """(ax + b)^2."""
    x, a, b = _letter(rng), _some(rng, 1, 7), _some(rng, -9, 9)
    p = poly(b, a)
    result = multiply(p, p)
    text = f"({latex(p, x)})^2"
    return Problem(
        ask=(
            f"Expand ${text}$.",
            f"Square the binomial: ${text}$.",
            f"Write ${text}$ as a polynomial.",
            f"Remove the brackets in ${text}$.",
        ),
        answer=latex(result, x),
        trace=(
            "The square of a sum has two squares and twice the product.",
            f"The squares are {a * a}{x}^2 and {b * b}.",
            f"Twice the product is 2 * {a} * {b} = {2 * a * b}, so the middle term is "
            f"{2 * a * b}{x}.",
        ),
        check=lambda r: same_at_points(lambda v: (a * v + b) ** 2, _at(result), r),
        params={"a": a, "b": b},
    )


def factor_quadratic(rng: random.Random) -> Problem:
    """x^2 + bx + c with whole roots."""
    x = _letter(rng)
    first, second = sorted((_some(rng, -9, 9), _some(rng, -9, 9)))
    p = from_roots((first, second))
    total, product = first + second, first * second
    answer = f"{_factor(first, x)}{_factor(second, x)}"
    if first == second:
        answer = f"{_factor(first, x)}^2"
    return Problem(
        ask=(
            f"Factor ${latex(p, x)}$. Put the smaller root's factor first.",
            f"Write ${latex(p, x)}$ as a product of linear factors, smaller root first.",
            f"Find the factors of ${latex(p, x)}$ (order them by their roots, smaller first).",
            f"Factorise ${latex(p, x)}$; the factor with the smaller root comes first.",
        ),
        answer=answer,
        trace=(
            f"I need two numbers with sum {total} and product {product}.",
            f"They are {first} and {second}, the roots.",
            f"A root r gives the factor {x} - r.",
        ),
        check=lambda r: same_at_points(_at(p), lambda v: (v - first) * (v - second), r),
        params={"roots": [first, second]},
    )


def common_factor(rng: random.Random) -> Problem:
    """A polynomial with a common numeric factor and power."""
    x, k, power = _letter(rng), rng.randint(2, 9), rng.randint(1, 3)
    while True:
        inner = poly(_some(rng, -9, 9), _some(rng, -9, 9), _some(rng, 1, 9))
        if content(inner) == 1:
            break
    p = poly(*([0] * power), *scale(inner, k))
    outer = f"{k}{x}" if power == 1 else f"{k}{x}^{power}"
    return Problem(
        ask=(
            f"Take the greatest common factor out of ${latex(p, x)}$.",
            f"Factor out as much as possible from ${latex(p, x)}$ (numbers and powers).",
            f"Write ${latex(p, x)}$ as its greatest common monomial factor times the rest.",
            f"Pull out the largest monomial from ${latex(p, x)}$.",
        ),
        answer=f"{outer}({latex(inner, x)})",
        trace=(
            f"All coefficients are divisible by {k}.",
            f"Every term has at least {x} to the power {power}.",
            f"Dividing by {outer} leaves {latex(inner, x)}.",
        ),
        check=lambda r: same_at_points(_at(p), lambda v: k * v**power * evaluate(inner, v), r),
        params={"k": k, "power": power},
    )


def like_terms(rng: random.Random) -> Problem:
    """a(bx + c) + d(ex + f)."""
    x, a, d = _letter(rng), _some(rng, 2, 9), _some(rng, -9, 9)
    p = poly(_some(rng, -9, 9), _some(rng, 1, 9))
    q = poly(_some(rng, -9, 9), _some(rng, 1, 9))
    result = add(scale(p, a), scale(q, d))
    text = f"{a}({latex(p, x)}){signed(d)}({latex(q, x)})"
    return Problem(
        ask=(
            f"Simplify ${text}$.",
            f"Combine the like terms of ${text}$.",
            f"Write ${text}$ as simply as possible.",
            f"Reduce ${text}$ to one term in ${x}$ and a constant.",
        ),
        answer=latex(result, x),
        trace=(
            f"The first bracket gives {latex(scale(p, a), x)}.",
            f"The second gives {latex(scale(q, d), x)}.",
            "Adding terms of the same kind gives the result.",
        ),
        check=lambda r: same_at_points(
            lambda v: a * evaluate(p, v) + d * evaluate(q, v), _at(result), r
        ),
        params={"a": a, "d": d},
    )


def cancel(rng: random.Random) -> Problem:
    """A rational expression with a common linear factor."""
    x = _letter(rng)
    shared, top, low = rng.sample([n for n in range(-9, 10) if n], 3)
    p, q = from_roots((shared, top)), from_roots((shared, low))
    text = f"\\frac{{{latex(p, x)}}}{{{latex(q, x)}}}"
    answer = f"\\frac{{{latex(poly(-top, 1), x)}}}{{{latex(poly(-low, 1), x)}}}"

    def check(r: random.Random) -> bool:
        for _ in range(POINTS):
            v = Fraction(r.randint(1, 90), 97)  # never a root: those are whole numbers
            if evaluate(p, v) * (v - low) != evaluate(q, v) * (v - top):
                return False
        return True

    return Problem(
        ask=(
            f"Simplify ${text}$.",
            f"Cancel the common factor in ${text}$.",
            f"Reduce the fraction ${text}$.",
            f"Write ${text}$ in lowest terms.",
        ),
        answer=answer,
        trace=(
            f"The numerator is {_factor(shared, x)}{_factor(top, x)}.",
            f"The denominator is {_factor(shared, x)}{_factor(low, x)}.",
            f"The factor {_factor(shared, x)} cancels.",
        ),
        check=check,
        params={"shared": shared, "top": top, "low": low},
    )


def linear_equation(rng: random.Random) -> Problem:
    """ax + b = cx + d."""
    x, root = _letter(rng), Fraction(_some(rng, -12, 12), rng.choice((1, 1, 1, 2)))
    a = _some(rng, -9, 9) * root.denominator
    c = _some(rng, -9, 9, (0, a))
    b = rng.randint(-20, 20)
    d = a * root + b - c * root
    if d.denominator != 1:
        c *= 2
        if c == a:
            c += 2
        d = a * root + b - c * root
    left, right = poly(b, a), poly(d, c)
    move = f"Bringing the terms in {x} to one side gives {latex(poly(0, a - c), x)} = {d - b}."
    return Problem(
        ask=(
            f"Solve ${latex(left, x)} = {latex(right, x)}$ for ${x}$.",
            f"Find ${x}$ with ${latex(left, x)} = {latex(right, x)}$.",
            f"For which ${x}$ does ${latex(left, x)} = {latex(right, x)}$ hold?",
            f"What is ${x}$ if ${latex(left, x)} = {latex(right, x)}$?",
        ),
        answer=number(root),
        value=root,
        trace=(move, f"Dividing by {a - c} gives {x} = {number(root)}."),
        check=lambda r: evaluate(left, root) == evaluate(right, root) and a != c,
        params={"a": a, "b": b, "c": c, "d": int(d)},
    )


def quadratic_equation(rng: random.Random) -> Problem:
    """A quadratic with two different rational roots."""
    x, lead = _letter(rng), rng.choice((1, 1, 2, 3))
    first, second = sorted(rng.sample(range(-9, 10), 2))
    p = from_roots((first, second), lead)
    a, b, c = p[2], p[1], p[0]
    under = b * b - 4 * a * c
    return Problem(
        ask=(
            f"Solve ${latex(p, x)} = 0$. Give both solutions, smaller first, with a comma.",
            f"Find the roots of ${latex(p, x)}$ in increasing order, comma separated.",
            f"Which two numbers solve ${latex(p, x)} = 0$? Smaller first, comma between.",
            f"Determine both zeros of ${latex(p, x)}$ (increasing, separated by a comma).",
        ),
        answer=f"{first}, {second}",
        trace=(
            f"The discriminant is ({b})^2 - 4 * {a} * ({c}) = {under}.",
            f"Its root is {math.isqrt(int(under))}.",
            f"So {x} = ({-b} - {math.isqrt(int(under))}) / {2 * a} = {first} and "
            f"{x} = ({-b} + {math.isqrt(int(under))}) / {2 * a} = {second}.",
        ),
        check=lambda r: (
            evaluate(p, Fraction(first)) == evaluate(p, Fraction(second)) == 0 and first < second
        ),
        params={"coefficients": [int(v) for v in p]},
    )


def system_of_two(rng: random.Random) -> Problem:
    """Two linear equations."""
    vx, vy = _some(rng, -9, 9), _some(rng, -9, 9)
    while True:
        a, b, c, d = (_some(rng, -6, 6) for _ in range(4))
        if a * d != b * c:
            break
    e, f = a * vx + b * vy, c * vx + d * vy
    first = f"{latex(poly(0, a))}{_term(b, 'y')} = {e}"
    second = f"{latex(poly(0, c))}{_term(d, 'y')} = {f}"
    det = a * d - b * c
    return Problem(
        ask=(
            f"Solve the system ${first}$, ${second}$. Answer as (x, y).",
            f"Find the pair (x, y) with ${first}$ and ${second}$.",
            f"Both ${first}$ and ${second}$ hold. What is (x, y)?",
            f"Where do the lines ${first}$ and ${second}$ meet? Give (x, y).",
        ),
        answer=f"({vx}, {vy})",
        trace=(
            f"The determinant is {a} * ({d}) - ({b}) * ({c}) = {det}.",
            f"x = ({e} * ({d}) - ({b}) * ({f})) / {det} = {vx}.",
            f"y = ({a} * ({f}) - ({e}) * ({c})) / {det} = {vy}.",
        ),
        check=lambda r: a * vx + b * vy == e and c * vx + d * vy == f and det != 0,
        params={"rows": [[a, b, e], [c, d, f]]},
    )


def _term(c: int, letter: str) -> str:
    size = "" if abs(c) == 1 else str(abs(c))
    return f" {'-' if c < 0 else '+'} {size}{letter}"


def derivative_polynomial(rng: random.Random) -> Problem:
    """Derivative of a polynomial of degree 2 to 4."""
    x = _letter(rng)
    p = poly(*(rng.randint(-9, 9) for _ in range(rng.randint(2, 4))), _some(rng, 1, 6))
    result = derivative(p)
    steps = tuple(
        f"{latex(poly(*([0] * i), c), x)} becomes {latex(derivative(poly(*([0] * i), c)), x)}."
        for i, c in enumerate(p)
        if i and c
    )

    def check(r: random.Random) -> bool:
        # The central difference of a cubic is off by h^2 times its third derivative / 6; the
        # difference of step h and h/2 removes that exactly, up to degree 4.
        def slope(v: Fraction, h: Fraction) -> Fraction:
            return (evaluate(p, v + h) - evaluate(p, v - h)) / (2 * h)

        return same_at_points(
            lambda v: (4 * slope(v, Fraction(1, 2)) - slope(v, Fraction(1))) / 3, _at(result), r
        )

    return Problem(
        ask=(
            f"Differentiate $f({x}) = {latex(p, x)}$.",
            f"What is the derivative of ${latex(p, x)}$ with respect to ${x}$?",
            f"Find $f'({x})$ for $f({x}) = {latex(p, x)}$.",
            f"Compute $\\frac{{d}}{{d{x}}}\\left({latex(p, x)}\\right)$.",
        ),
        answer=latex(result, x),
        trace=(f"The rule is: c{x}^n becomes n * c{x}^(n-1).", *steps),
        check=check,
        params={"coefficients": [int(c) for c in p]},
    )


def derivative_product(rng: random.Random) -> Problem:
    """Derivative of (ax + b) e^(kx) or of sine and cosine of a multiple."""
    a, b, k = _some(rng, 1, 9), _some(rng, -9, 9), _some(rng, 2, 6)
    if rng.random() < 0.5:
        f_text = f"({latex(poly(b, a))})e^{{{k}x}}"
        inner = poly(a + k * b, k * a)
        answer = f"({latex(inner)})e^{{{k}x}}"
        trace = (
            f"Product rule: the derivative of {latex(poly(b, a))} is {a}.",
            f"The derivative of e^({k}x) is {k}e^({k}x).",
            f"So the bracket becomes {a} + {k}({latex(poly(b, a))}) = {latex(inner)}.",
        )

        def f(v: float) -> float:
            return (a * v + b) * math.exp(k * v)

        def g(v: float) -> float:
            return (k * a * v + a + k * b) * math.exp(k * v)

    else:
        which = rng.choice(("sin", "cos"))
        other = "cos" if which == "sin" else "sin"
        c = a * k if which == "sin" else -a * k
        f_text = f"{a if a > 1 else ''}\\{which}({k}x)"
        answer = f"{c}\\{other}({k}x)"
        trace = (
            f"The derivative of {which} is {'cos' if which == 'sin' else '-sin'}.",
            f"The inner derivative of {k}x is {k}.",
            f"Together the factor is {c}.",
        )

        def f(v: float) -> float:
            return a * (math.sin(k * v) if which == "sin" else math.cos(k * v))

        def g(v: float) -> float:
            return c * (math.cos(k * v) if which == "sin" else math.sin(k * v))

    def check(r: random.Random) -> bool:
        h = 1e-5
        points = [r.uniform(-1, 1) for _ in range(POINTS)]
        return all(
            math.isclose((f(v + h) - f(v - h)) / (2 * h), g(v), rel_tol=1e-5, abs_tol=1e-4)
            for v in points
        )

    return Problem(
        ask=(
            f"Differentiate $f(x) = {f_text}$.",
            f"What is the derivative of ${f_text}$?",
            f"Find $f'(x)$ for $f(x) = {f_text}$.",
            f"Compute $\\frac{{d}}{{dx}} {f_text}$.",
        ),
        answer=answer,
        trace=trace,
        check=check,
        params={"function": f_text},
    )


def definite_integral(rng: random.Random) -> Problem:
    """Integral of a polynomial between whole bounds."""
    p = poly(*(rng.randint(-6, 6) for _ in range(rng.randint(1, 2))), _some(rng, 1, 6))
    low = rng.randint(-3, 2)
    high = low + rng.randint(1, 4)
    whole = integral(p)
    value = evaluate(whole, Fraction(high)) - evaluate(whole, Fraction(low))

    def check(r: random.Random) -> bool:
        # Simpson's rule is exact up to degree 3.
        middle = Fraction(low + high, 2)
        ends = evaluate(p, Fraction(low)) + evaluate(p, Fraction(high))
        return Fraction(high - low, 6) * (ends + 4 * evaluate(p, middle)) == value

    text = f"\\int_{{{low}}}^{{{high}}} ({latex(p)})\\,dx"
    return Problem(
        ask=(
            f"Evaluate ${text}$.",
            f"What is the value of ${text}$?",
            f"Compute the integral ${text}$ exactly.",
            f"Find ${text}$.",
        ),
        answer=number(value),
        value=value,
        trace=(
            f"An antiderivative is {latex(whole)}.",
            f"At {high} it is {number(evaluate(whole, Fraction(high)))}.",
            f"At {low} it is {number(evaluate(whole, Fraction(low)))}.",
            f"The difference is {number(value)}.",
        ),
        check=check,
        params={"low": low, "high": high, "coefficients": [int(c) for c in p]},
    )


def antiderivative(rng: random.Random) -> Problem:
    """Indefinite integral, generated backwards from a polynomial with whole coefficients."""
    p = poly(0, *(rng.randint(-9, 9) for _ in range(rng.randint(1, 3))), _some(rng, 1, 6))
    inside = derivative(p)
    text = f"\\int ({latex(inside)})\\,dx"
    return Problem(
        ask=(
            f"Find ${text}$. Use C for the constant.",
            f"Integrate ${latex(inside)}$ and add the constant C.",
            f"What is ${text}$, with C as constant of integration?",
            f"Give the general antiderivative of ${latex(inside)}$ (constant C).",
        ),
        answer=f"{latex(p)} + C",
        trace=(
            "Each power goes up by one and is divided by the new exponent.",
            f"That gives {latex(p)}, plus a constant.",
        ),
        check=lambda r: same_at_points(_at(integral(inside)), _at(p), r),
        params={"coefficients": [int(c) for c in p]},
    )


def limit_removable(rng: random.Random) -> Problem:
    """A limit where a factor cancels."""
    a, b = rng.sample(range(-8, 9), 2)
    p = from_roots((a, b))
    value = Fraction(a - b)
    text = f"\\lim_{{x \\to {a}}} \\frac{{{latex(p)}}}{{{latex(poly(-a, 1))}}}"

    def check(r: random.Random) -> bool:
        for sign in (1, -1):
            h = Fraction(sign, 10**6)
            if abs(evaluate(p, a + h) / h - value) > Fraction(1, 10**5):
                return False
        return True

    return Problem(
        ask=(
            f"Find ${text}$.",
            f"What is ${text}$?",
            f"Evaluate the limit ${text}$.",
            f"Determine ${text}$.",
        ),
        answer=str(a - b),
        value=value,
        trace=(
            f"The numerator is {_factor(a, 'x')}{_factor(b, 'x')}.",
            f"After cancelling, {latex(poly(-b, 1))} remains.",
            f"At x = {a} this is {a - b}.",
        ),
        check=check,
        params={"a": a, "b": b},
    )


ALGEBRA: dict[str, Maker] = {
    "antiderivative": antiderivative,
    "cancel": cancel,
    "common_factor": common_factor,
    "definite_integral": definite_integral,
    "derivative_polynomial": derivative_polynomial,
    "derivative_product": derivative_product,
    "expand_product": expand_product,
    "expand_square": expand_square,
    "factor_quadratic": factor_quadratic,
    "like_terms": like_terms,
    "limit_removable": limit_removable,
    "linear_equation": linear_equation,
    "quadratic_equation": quadratic_equation,
    "system_of_two": system_of_two,
}
