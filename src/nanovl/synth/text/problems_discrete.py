"""Problems of matrices, number theory, counting, probability and sequences, each checked by force.

The check of a problem counts or tries out what the solution computes by rule. Must not word
prompts beyond the question: `expressions` does.

Source: data synthesis specification, section 13 (expression tasks).
"""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

from nanovl.synth.text.polynomials import number
from nanovl.synth.text.problems_algebra import Maker, Problem

__all__ = ["DISCRETE"]

_WORDS = "LEVEL BANANA PEPPER COFFEE LETTER KAYAK TATTOO SUNSET PAPER BUBBLE ROTOR NOON SALAD EERIE"


def _matrix(rows: list[list[int]]) -> str:
    body = " \\\\ ".join(" & ".join(map(str, row)) for row in rows)
    return f"\\begin{{pmatrix}} {body} \\end{{pmatrix}}"


def _draw(rng: random.Random, rows: int, columns: int) -> list[list[int]]:
    return [[rng.randint(-6, 9) for _ in range(columns)] for _ in range(rows)]


def _number(
    ask: tuple[str, ...],
    value: Fraction | int,
    trace: tuple[str, ...],
    forced: Fraction | int,
    **params: object,
) -> Problem:
    """A problem whose answer is a number that was also found by force."""
    return Problem(
        ask=ask,
        answer=number(value),
        value=Fraction(value),
        trace=trace,
        check=lambda r: value == forced,
        params=params,
    )


def determinant(rng: random.Random) -> Problem:
    """Determinant of a 2 x 2 or 3 x 3 matrix."""
    size = rng.choice((2, 3))
    m = _draw(rng, size, size)
    forced = sum(
        math.prod(m[i][p[i]] for i in range(size)) * _sign(p)
        for p in itertools.permutations(range(size))
    )
    if size == 2:
        value = m[0][0] * m[1][1] - m[0][1] * m[1][0]
        trace: tuple[str, ...] = (
            f"The diagonal gives {m[0][0]} * ({m[1][1]}) = {m[0][0] * m[1][1]}.",
            f"The other one gives {m[0][1]} * ({m[1][0]}) = {m[0][1] * m[1][0]}.",
            f"The difference is {value}.",
        )
    else:
        minors = [_minor(m, j) for j in range(3)]
        value = m[0][0] * minors[0] - m[0][1] * minors[1] + m[0][2] * minors[2]
        trace = (
            "I expand along the first row.",
            *(f"The minor of {m[0][j]} is {minors[j]}." for j in range(3)),
            f"{m[0][0]} * ({minors[0]}) - ({m[0][1]}) * ({minors[1]}) + ({m[0][2]}) * "
            f"({minors[2]}) = {value}.",
        )
    text = _matrix(m)
    asks = (
        f"Find the determinant of ${text}$.",
        f"What is $\\det {text}$?",
        f"Compute the determinant: ${text}$.",
        f"Evaluate $\\det {text}$.",
    )
    return _number(asks, value, trace, forced, matrix=m)


def _minor(m: list[list[int]], column: int) -> int:
    a, b = [[row[j] for j in range(3) if j != column] for row in m[1:]]
    return a[0] * b[1] - a[1] * b[0]


def _sign(p: tuple[int, ...]) -> int:
    return 1 - 2 * (sum(p[i] > p[j] for i in range(len(p)) for j in range(i + 1, len(p))) % 2)


def matrix_product(rng: random.Random) -> Problem:
    """Product of two 2 x 2 matrices."""
    a, b = _draw(rng, 2, 2), _draw(rng, 2, 2)
    product = [[sum(a[i][k] * b[k][j] for k in range(2)) for j in range(2)] for i in range(2)]

    def check(r: random.Random) -> bool:
        # (AB)v = A(Bv) at random vectors.
        for _ in range(5):
            v = [r.randint(-50, 50), r.randint(-50, 50)]
            inner = [sum(b[i][j] * v[j] for j in range(2)) for i in range(2)]
            outer = [sum(a[i][j] * inner[j] for j in range(2)) for i in range(2)]
            if outer != [sum(product[i][j] * v[j] for j in range(2)) for i in range(2)]:
                return False
        return True

    text = f"{_matrix(a)} {_matrix(b)}"
    return Problem(
        ask=(
            f"Multiply the matrices ${text}$.",
            f"Compute ${text}$.",
            f"What is the matrix product ${text}$?",
            f"Work out ${text}$.",
        ),
        answer=_matrix(product),
        trace=tuple(
            f"Row {i + 1} times column {j + 1}: {a[i][0]} * ({b[0][j]}) + {a[i][1]} * "
            f"({b[1][j]}) = {product[i][j]}."
            for i in range(2)
            for j in range(2)
        ),
        check=check,
        params={"a": a, "b": b},
    )


def greatest_divisor(rng: random.Random) -> Problem:
    """Greatest common divisor by the Euclidean algorithm."""
    common = rng.randint(2, 40)
    a, b = (common * rng.randint(3, 60) for _ in range(2))
    a, b = max(a, b), min(a, b)
    steps, x, y = [], a, b
    while y:
        steps.append(f"{x} = {x // y} * {y} + {x % y}.")
        x, y = y, x % y
    forced = max(d for d in range(1, b + 1) if a % d == 0 and b % d == 0)
    asks = (
        f"Find the greatest common divisor of {a} and {b}.",
        f"What is the largest number that divides both {a} and {b}?",
        f"Compute gcd({a}, {b}).",
        f"Determine the greatest common factor of {a} and {b}.",
    )
    return _number(asks, x, (*steps, f"The last divisor is {x}."), forced, a=a, b=b)


def least_multiple(rng: random.Random) -> Problem:
    """Least common multiple."""
    common = rng.randint(2, 12)
    a, b = (common * rng.randint(2, 14) for _ in range(2))
    divisor = math.gcd(a, b)
    value = a * b // divisor
    forced = next(m for m in itertools.count(a, a) if m % b == 0)
    asks = (
        f"Find the least common multiple of {a} and {b}.",
        f"What is the smallest positive number divisible by both {a} and {b}?",
        f"Compute lcm({a}, {b}).",
        f"Determine the lowest common multiple of {a} and {b}.",
    )
    trace = (
        f"The greatest common divisor is {divisor}.",
        f"{a} * {b} / {divisor} = {value}.",
    )
    return _number(asks, value, trace, forced, a=a, b=b)


def prime_factors(rng: random.Random) -> Problem:
    """Prime factorisation."""
    n = math.prod(rng.choice((2, 2, 2, 3, 3, 5, 7, 11, 13)) for _ in range(rng.randint(3, 6)))
    powers: list[tuple[int, int]] = []
    steps, rest, p = [], n, 2
    while rest > 1:
        count = 0
        while rest % p == 0:
            steps.append(f"{rest} / {p} = {rest // p}.")
            rest, count = rest // p, count + 1
        if count:
            powers.append((p, count))
        p += 1
    answer = " \\cdot ".join(f"{b}^{e}" if e > 1 else str(b) for b, e in powers)

    def check(r: random.Random) -> bool:
        primes = all(b % d for b, _ in powers for d in range(2, b))
        return primes and math.prod(b**e for b, e in powers) == n

    return Problem(
        ask=(
            f"Write {n} as a product of prime powers, in increasing order with \\cdot between.",
            f"Factor {n} into primes (increasing, powers as p^k, joined by \\cdot).",
            f"What is the prime factorisation of {n}? Join the prime powers by \\cdot.",
            f"Decompose {n} into prime powers, smallest prime first, written with \\cdot.",
        ),
        answer=answer,
        trace=tuple(steps),
        check=check,
        params={"n": n},
    )


def power_modulo(rng: random.Random) -> Problem:
    """Remainder of a power."""
    base, exponent, modulus = rng.randint(2, 15), rng.randint(5, 40), rng.randint(5, 40)
    steps, result, square, rest = [], 1, base % modulus, exponent
    while rest:
        if rest & 1:
            steps.append(f"{result} * {square} leaves {result * square % modulus}.")
            result = result * square % modulus
        rest >>= 1
        if rest:
            steps.append(f"{square}^2 leaves {square * square % modulus}.")
            square = square * square % modulus
    forced = 1
    for _ in range(exponent):
        forced = forced * base % modulus
    asks = (
        f"What is the remainder of ${base}^{{{exponent}}}$ divided by {modulus}?",
        f"Compute ${base}^{{{exponent}}} \\bmod {modulus}$.",
        f"Find the remainder when {base} to the power {exponent} is divided by {modulus}.",
        f"Reduce ${base}^{{{exponent}}}$ modulo {modulus}.",
    )
    head = f"I square repeatedly and keep remainders modulo {modulus}."
    return _number(
        asks, result, (head, *steps), forced, base=base, exponent=exponent, modulus=modulus
    )


def inverse_modulo(rng: random.Random) -> Problem:
    """Inverse modulo a prime."""
    modulus = rng.choice((7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47))
    a = rng.randint(2, modulus - 1)
    value = pow(a, -1, modulus)
    forced = next(x for x in range(modulus) if a * x % modulus == 1)
    asks = (
        f"Find the inverse of {a} modulo {modulus}, between 1 and {modulus - 1}.",
        f"Which x from 1 to {modulus - 1} satisfies ${a}x \\equiv 1 \\pmod{{{modulus}}}$?",
        f"What is ${a}^{{-1}} \\bmod {modulus}$?",
        f"Solve ${a}x \\equiv 1 \\pmod{{{modulus}}}$ for the smallest positive x.",
    )
    trace = (
        f"I look for x with {a}x = 1 + a multiple of {modulus}.",
        f"{a} * {value} = {a * value} = {a * value // modulus} * {modulus} + 1.",
    )
    return _number(asks, value, trace, forced, a=a, modulus=modulus)


def remainders(rng: random.Random) -> Problem:
    """Two congruences."""
    m, n = rng.choice(((3, 5), (4, 7), (5, 8), (7, 9), (5, 11), (8, 13), (9, 10), (6, 11)))
    a, b = rng.randrange(m), rng.randrange(n)
    value = next(x for x in range(m * n) if x % m == a and x % n == b)
    by_rule = (a * n * pow(n, -1, m) + b * m * pow(m, -1, n)) % (m * n)
    tried = [x for x in range(a, m * n, m)][: value // m + 1]
    shown = tried if len(tried) <= 6 else [*tried[:4], tried[-1]]
    asks = (
        f"Find the smallest non-negative number with remainder {a} modulo {m} and {b} modulo {n}.",
        f"Which is the least x >= 0 with x mod {m} = {a} and x mod {n} = {b}?",
        f"Divided by {m} a number leaves {a}, divided by {n} it leaves {b}. What is the smallest "
        "such number (0 counts)?",
        f"Solve $x \\equiv {a} \\pmod{{{m}}}$, $x \\equiv {b} \\pmod{{{n}}}$ for the least x >= 0.",
    )
    trace = (
        f"Numbers with remainder {a} modulo {m}: {', '.join(map(str, shown))}.",
        f"The first with remainder {b} modulo {n} is {value}.",
    )
    return _number(asks, value, trace, by_rule, m=m, n=n, a=a, b=b)


def divisor_count(rng: random.Random) -> Problem:
    """Number of divisors."""
    powers = sorted((p, rng.randint(1, 3)) for p in rng.sample((2, 3, 5, 7), rng.randint(2, 3)))
    n = math.prod(p**e for p, e in powers)
    value = math.prod(e + 1 for _, e in powers)
    forced = sum(n % d == 0 for d in range(1, n + 1)) if n <= 4000 else _paired(n)
    product = " * ".join(f"{p}^{e}" for p, e in powers)
    asks = (
        f"How many positive divisors does {n} have?",
        f"Count the positive divisors of {n}.",
        f"What is the number of divisors of {n}, 1 and {n} included?",
        f"In how many ways can a positive integer divide {n} without remainder?",
    )
    trace = (
        f"{n} = {product}.",
        f"Each exponent grows by one: {' * '.join(str(e + 1) for _, e in powers)} = {value}.",
    )
    return _number(asks, value, trace, forced, n=n)


def _paired(n: int) -> int:
    """Number of divisors, found up to the square root."""
    root = math.isqrt(n)
    return sum(2 for d in range(1, root + 1) if n % d == 0) - (root * root == n)


def other_base(rng: random.Random) -> Problem:
    """A number written in another base."""
    base, n = rng.choice((2, 3, 5, 7, 8)), rng.randint(20, 500)
    digits, steps, rest = "", [], n
    while rest:
        steps.append(f"{rest} = {rest // base} * {base} + {rest % base}.")
        digits, rest = str(rest % base) + digits, rest // base
    asks = (
        f"Write {n} in base {base}.",
        f"Convert the decimal number {n} to base {base}.",
        f"What are the digits of {n} in base {base}?",
        f"Express {n} (base ten) in base {base}.",
    )
    read = f"The remainders from last to first: {digits}."
    return Problem(
        ask=asks,
        answer=digits,
        value=Fraction(int(digits)),
        trace=(*steps, read),
        check=lambda r: int(digits, base) == n,
        params={"n": n, "base": base},
    )


def choose(rng: random.Random) -> Problem:
    """Committees: combinations of two groups."""
    a, b = rng.randint(3, 7), rng.randint(3, 7)
    i, j = rng.randint(1, a - 1), rng.randint(1, b - 1)
    value = math.comb(a, i) * math.comb(b, j)
    forced = sum(1 for _ in itertools.combinations(range(a), i)) * sum(
        1 for _ in itertools.combinations(range(b), j)
    )
    asks = (
        f"A committee of {i} out of {a} teachers and {j} out of {b} pupils is formed. How many "
        "committees are possible?",
        f"In how many ways can {i} of {a} red cards and {j} of {b} black cards be chosen?",
        f"{i} of {a} starters and {j} of {b} desserts are picked. How many menus are there?",
        f"How many choices of {i} from {a} books and {j} from {b} films exist?",
    )
    trace = (
        f"C({a}, {i}) = {math.comb(a, i)}.",
        f"C({b}, {j}) = {math.comb(b, j)}.",
        f"The product is {value}.",
    )
    return _number(asks, value, trace, forced, a=a, b=b, i=i, j=j)


def arrangements(rng: random.Random) -> Problem:
    """Orders of the letters of a word with repeated letters."""
    word = rng.choice(_WORDS.split())
    counts = [word.count(c) for c in sorted(set(word))]
    value = math.factorial(len(word)) // math.prod(map(math.factorial, counts))
    forced = len(set(itertools.permutations(word)))
    repeated = " * ".join(f"{c}!" for c in counts if c > 1)
    asks = (
        f"In how many different ways can the letters of {word} be arranged?",
        f"How many distinct words (with or without meaning) use exactly the letters of {word}?",
        f"Count the different orders of the letters in {word}.",
        f"How many arrangements of the letters {', '.join(word)} are different?",
    )
    trace = (
        f"{len(word)} letters have {len(word)}! = {math.factorial(len(word))} orders.",
        f"Equal letters do not count: divide by {repeated}.",
        f"That leaves {value}.",
    )
    return _number(asks, value, trace, forced, word=word)


def dice(rng: random.Random) -> Problem:
    """Probability of a sum of two dice."""
    total = rng.randint(3, 11)
    at_least = rng.random() < 0.5
    hits = sum(
        (a + b >= total) if at_least else (a + b == total)
        for a, b in itertools.product(range(1, 7), repeat=2)
    )
    ways = {s: 6 - abs(s - 7) for s in range(2, 13)}
    count = sum(w for s, w in ways.items() if (s >= total if at_least else s == total))
    event = f"at least {total}" if at_least else f"exactly {total}"
    asks = (
        f"Two fair dice are thrown. What is the probability that the sum is {event}?",
        f"Find the probability of a sum of {event} with two fair dice.",
        f"How likely is it, as a fraction, that two fair dice show a sum of {event}?",
        f"You throw two fair dice. Give the probability, as a reduced fraction, of {event} in "
        "total.",
    )
    trace = (
        "There are 36 equally likely pairs.",
        f"{count} of them have a sum of {event}.",
        f"The probability is {number(Fraction(count, 36))}.",
    )
    return _number(asks, Fraction(count, 36), trace, Fraction(hits, 36), event=event)


def urn(rng: random.Random) -> Problem:
    """Two draws without putting back."""
    a, b = rng.randint(2, 8), rng.randint(2, 8)
    colours = rng.sample(("red", "blue", "green", "white", "black"), 2)
    n = a + b
    value = Fraction(a * (a - 1), n * (n - 1))
    pairs = list(itertools.permutations(range(n), 2))
    forced = Fraction(sum(i < a and j < a for i, j in pairs), len(pairs))
    asks = (
        f"A bag holds {a} {colours[0]} and {b} {colours[1]} balls. Two are drawn without putting "
        f"back. What is the probability that both are {colours[0]}?",
        f"From {a} {colours[0]} and {b} {colours[1]} balls, two are taken one after the other. "
        f"Find the probability of two {colours[0]} ones.",
        f"Two of {n} balls ({a} {colours[0]}, {b} {colours[1]}) are picked at random. How likely "
        f"are two {colours[0]} balls, as a fraction?",
        f"An urn has {a} {colours[0]} and {b} {colours[1]} balls. Give the probability that two "
        f"balls drawn together are both {colours[0]}.",
    )
    trace = (
        f"The first ball is {colours[0]} with probability {a}/{n}.",
        f"Then the second is {colours[0]} with probability {a - 1}/{n - 1}.",
        f"The product is {number(value)}.",
    )
    return _number(asks, value, trace, forced, a=a, b=b)


def arithmetic_sequence(rng: random.Random) -> Problem:
    """A term or the sum of an arithmetic sequence."""
    first, step, n = rng.randint(-9, 20), rng.choice((-4, -3, -2, 2, 3, 4, 5, 6, 7)), 0
    n = rng.randint(8, 40)
    shown = ", ".join(str(first + step * k) for k in range(4))
    last = first + step * (n - 1)
    if rng.random() < 0.5:
        forced = first
        for _ in range(n - 1):
            forced += step
        asks = (
            f"What is term number {n} of the sequence {shown}, ...?",
            f"A sequence goes {shown}, ... with constant steps. Find term {n}.",
            f"The sequence {shown}, ... continues evenly. Give its {n}th term.",
            f"Compute the term with number {n} of {shown}, ... (constant difference).",
        )
        trace = (
            f"The difference is {step}.",
            f"Term {n} is {first} + {n - 1} * ({step}) = {last}.",
        )
        return _number(asks, last, trace, forced, first=first, step=step, n=n)
    value = n * (first + last) // 2
    asks = (
        f"Add up the first {n} terms of {shown}, ...",
        f"What is the sum of the first {n} terms of the sequence {shown}, ...?",
        f"The sequence {shown}, ... has constant steps. Find the sum of its first {n} terms.",
        f"Sum the arithmetic sequence {shown}, ... up to term {n}.",
    )
    trace = (
        f"The difference is {step}, so term {n} is {last}.",
        f"The sum is {n} * ({first} + ({last})) / 2 = {value}.",
    )
    forced = sum(first + step * k for k in range(n))
    return _number(asks, value, trace, forced, first=first, step=step, n=n)


def recurrence(rng: random.Random) -> Problem:
    """A term of a sequence given by a rule."""
    a, b, first, n = rng.randint(2, 3), rng.randint(-5, 7), rng.randint(1, 6), rng.randint(4, 7)
    values = [first]
    for _ in range(n - 1):
        values.append(a * values[-1] + b)
    # Closed form: a_n = a^(n-1) (first + b/(a-1)) - b/(a-1).
    shift = Fraction(b, a - 1)
    forced = a ** (n - 1) * (first + shift) - shift
    rule = f"a_{{k+1}} = {a}a_k" + (f" {'-' if b < 0 else '+'} {abs(b)}" if b else "")
    asks = (
        f"A sequence has $a_1 = {first}$ and ${rule}$. What is $a_{{{n}}}$?",
        f"Given $a_1 = {first}$ and ${rule}$, find $a_{{{n}}}$.",
        f"Compute $a_{{{n}}}$ of the sequence with ${rule}$ and $a_1 = {first}$.",
        f"Start with {first} and apply ${rule}$ until $a_{{{n}}}$. Which number comes out?",
    )
    trace = tuple(
        f"a_{k + 1} = {a} * {values[k - 1]}{f' + ({b})' if b else ''} = {values[k]}."
        for k in range(1, n)
    )
    return _number(asks, values[-1], trace, forced, a=a, b=b, first=first, n=n)


DISCRETE: dict[str, Maker] = {
    "arithmetic_sequence": arithmetic_sequence,
    "arrangements": arrangements,
    "choose": choose,
    "determinant": determinant,
    "dice": dice,
    "divisor_count": divisor_count,
    "greatest_divisor": greatest_divisor,
    "inverse_modulo": inverse_modulo,
    "least_multiple": least_multiple,
    "matrix_product": matrix_product,
    "other_base": other_base,
    "power_modulo": power_modulo,
    "prime_factors": prime_factors,
    "recurrence": recurrence,
    "remainders": remainders,
    "urn": urn,
}
