"""Problems about whole numbers. Must not be read as library code: they are shown to the model.

Source: data synthesis specification, section 14.
"""

from __future__ import annotations

from nanovl.synth.text.algorithms.problem import problem

__all__: list[str] = []


@problem("n=0..9999")
def digit_sum(n: int) -> int:
    """Return the sum of the decimal digits of n."""
    total = 0
    while n > 0:
        total += n % 10
        n //= 10
    return total


@problem("n=0..99999")
def digital_root(n: int) -> int:
    """Replace n by the sum of its decimal digits until one digit is left, and return it."""
    while n > 9:
        total = 0
        while n > 0:
            total += n % 10
            n //= 10
        n = total
    return n


@problem("n=2..200", "O(n)")
def smallest_divisor(n: int) -> int:
    """Return the smallest divisor of n that is greater than 1."""
    d = 2
    while n % d != 0:
        d += 1
    return d


@problem("n=1..60", "O(n)")
def count_divisors(n: int) -> int:
    """Return how many positive divisors n has."""
    count = 0
    for d in range(1, n + 1):
        if n % d == 0:
            count += 1
    return count


@problem("n=2..60")
def is_prime(n: int) -> bool:
    """Return whether n is a prime number."""
    d = 2
    while d * d <= n:
        if n % d == 0:
            return False
        d += 1
    return True


@problem("n=5..50")
def primes_up_to(n: int) -> list[int]:
    """Return all prime numbers from 2 to n in increasing order."""
    found: list[int] = []
    for k in range(2, n + 1):
        if all(k % p != 0 for p in found):
            found.append(k)
    return found


@problem("n=2..400")
def prime_factor_list(n: int) -> list[int]:
    """Return the prime factors of n in increasing order, repeated ones as often as they occur."""
    factors = []
    d = 2
    while n > 1:
        while n % d == 0:
            factors.append(d)
            n //= d
        d += 1
    return factors


@problem("a=4..90 b=4..90", "O(log n)")
def common_divisor(a: int, b: int) -> int:
    """Return the greatest common divisor of a and b."""
    while b > 0:
        a, b = b, a % b
    return a


@problem("n=1..40", "O(n)")
def fibonacci(n: int) -> int:
    """Return Fibonacci number n, where numbers 0 and 1 are 0 and 1."""
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


@problem("n=1..27")
def collatz_steps(n: int) -> int:
    """Halve n when it is even, else take 3n + 1; return how many steps it takes to reach 1."""
    steps = 0
    while n != 1:
        if n % 2 == 0:
            n //= 2
        else:
            n = 3 * n + 1
        steps += 1
    return steps


@problem("n=0..300", "O(log n)")
def binary_text(n: int) -> str:
    """Return n in binary, without leading zeros."""
    digits = ""
    while n > 0:
        digits = str(n % 2) + digits
        n //= 2
    return digits or "0"


@problem("n=0..1000")
def count_ones(n: int) -> int:
    """Return how many ones the binary form of n has."""
    count = 0
    while n > 0:
        count += n % 2
        n //= 2
    return count


@problem("n=10..99999")
def reverse_number(n: int) -> int:
    """Return the number whose decimal digits are those of n backwards."""
    result = 0
    while n > 0:
        result = result * 10 + n % 10
        n //= 10
    return result


@problem("n=0..2000", "O(log n)")
def whole_root(n: int) -> int:
    """Return the largest whole number whose square is at most n."""
    low, high = 0, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        if middle * middle <= n:
            low = middle
        else:
            high = middle
    return low


@problem("base=2..9 power=1..9")
def power_last_digit(base: int, power: int) -> int:
    """Return the last decimal digit of base to the given power."""
    digit = 1
    for _ in range(power):
        digit = digit * base % 10
    return digit


@problem("n=3..12", "O(n^2)")
def triangle_row(n: int) -> list[int]:
    """Return row n of Pascal's triangle; row 1 is [1]."""
    row = [1]
    for _ in range(n - 1):
        row = [1, *[row[i] + row[i + 1] for i in range(len(row) - 1)], 1]
    return row


@problem("a=1..30 b=1..30")
def common_multiple(a: int, b: int) -> int:
    """Return the smallest positive number that both a and b divide."""
    multiple = a
    while multiple % b != 0:
        multiple += a
    return multiple


@problem("n=1..500")
def roman(n: int) -> str:
    """Return n as a Roman numeral."""
    pairs = [(100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V")]
    text = ""
    if n >= 500:
        text, n = "D", n - 500
    if n >= 400:
        text, n = "CD", n - 400
    for value, letters in [*pairs, (4, "IV"), (1, "I")]:
        while n >= value:
            text += letters
            n -= value
    return text


@problem("seconds=0..99999")
def clock_text(seconds: int) -> str:
    """Return a number of seconds as hours:minutes:seconds, minutes and seconds in two digits."""
    minutes = seconds // 60
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds % 60:02d}"


@problem("year=1600..2400")
def is_leap(year: int) -> bool:
    """Return whether a year of the Gregorian calendar is a leap year."""
    if year % 400 == 0:
        return True
    if year % 100 == 0:
        return False
    return year % 4 == 0


@problem("n=2..40 k=2..9")
def last_standing(n: int, k: int) -> int:
    """Players 0 to n-1 stand in a circle and every k-th leaves. Return who is left."""
    place = 0
    for size in range(2, n + 1):
        place = (place + k) % size
    return place


@problem("amount=1..99")
def fewest_coins(amount: int) -> int:
    """Return the least number of coins of 1, 4, 5 and 20 that add up to the amount."""
    best = [0] + [amount + 1] * amount
    for total in range(1, amount + 1):
        for coin in (1, 4, 5, 20):
            if coin <= total:
                best[total] = min(best[total], best[total - coin] + 1)
    return best[amount]


@problem("n=1..20")
def stair_ways(n: int) -> int:
    """Return in how many ways n stairs can be climbed in steps of 1, 2 or 3."""
    ways = [1]
    for i in range(1, n + 1):
        ways.append(sum(ways[max(0, i - 3) : i]))
    return ways[n]
