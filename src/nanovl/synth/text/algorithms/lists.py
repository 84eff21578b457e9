"""Problems about lists of numbers.

Source: data synthesis specification, section 14.
"""

from __future__ import annotations

from nanovl.synth.text.algorithms.problem import problem

__all__: list[str] = []


@problem("a=3..9*-20..40", "O(n)")
def largest(a: list[int]) -> int:
    """Return the largest number in a."""
    best = a[0]
    for x in a:
        if x > best:
            best = x
    return best


@problem("a=4..9*-20..40d")
def second_largest(a: list[int]) -> int:
    """Return the second largest number of a; all numbers are different."""
    first, second = max(a[0], a[1]), min(a[0], a[1])
    for x in a[2:]:
        if x > first:
            first, second = x, first
        elif x > second:
            second = x
    return second


@problem("a=4..10*-30..30")
def spread(a: list[int]) -> int:
    """Return the difference between the largest and the smallest number of a."""
    low = high = a[0]
    for x in a:
        low = min(low, x)
        high = max(high, x)
    return high - low


@problem("a=4..10*0..50 k=2..6")
def count_multiples(a: list[int], k: int) -> int:
    """Return how many numbers of a are divisible by k."""
    count = 0
    for x in a:
        if x % k == 0:
            count += 1
    return count


@problem("a=4..10*-9..30")
def even_sum(a: list[int]) -> int:
    """Return the sum of the even numbers in a."""
    total = 0
    for x in a:
        if x % 2 == 0:
            total += x
    return total


@problem("a=3..9*-9..20")
def running_sums(a: list[int]) -> list[int]:
    """Return the list of running totals of a."""
    sums = []
    total = 0
    for x in a:
        total += x
        sums.append(total)
    return sums


@problem("a=4..9*-20..20", "O(n^2)")
def inversions(a: list[int]) -> int:
    """Return how many pairs of places i < j have a[i] > a[j]."""
    count = 0
    for i in range(len(a)):
        for j in range(i + 1, len(a)):
            if a[i] > a[j]:
                count += 1
    return count


@problem("a=4..9*-9..15", "O(n)")
def best_run(a: list[int]) -> int:
    """Return the largest sum of a non-empty run of neighbours in a."""
    best = current = a[0]
    for x in a[1:]:
        current = max(x, current + x)
        best = max(best, current)
    return best


@problem("a=4..9*1..9")
def remove_repeats(a: list[int]) -> list[int]:
    """Return the numbers of a without repetitions, in the order of their first occurrence."""
    kept: list[int] = []
    for x in a:
        if x not in kept:
            kept.append(x)
    return kept


@problem("a=4..8*-20..40", "O(n^2)")
def bubble_passes(a: list[int]) -> int:
    """Return how many swaps bubble sort needs to put a in increasing order."""
    a = a[:]
    swaps = 0
    for end in range(len(a) - 1, 0, -1):
        for i in range(end):
            if a[i] > a[i + 1]:
                a[i], a[i + 1] = a[i + 1], a[i]
                swaps += 1
    return swaps


@problem("a=4..9*0..60s x=0..60", "O(log n)")
def insert_place(a: list[int], x: int) -> int:
    """Return the first place in the increasing list a whose number is at least x, else len(a)."""
    low, high = 0, len(a)
    while low < high:
        middle = (low + high) // 2
        if a[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


@problem("a=3..6*0..30s b=3..6*0..30s", "O(n)")
def merge(a: list[int], b: list[int]) -> list[int]:
    """Return one increasing list with the numbers of the increasing lists a and b."""
    i = j = 0
    merged = []
    while i < len(a) and j < len(b):
        if a[i] <= b[j]:
            merged.append(a[i])
            i += 1
        else:
            merged.append(b[j])
            j += 1
    return merged + a[i:] + b[j:]


@problem("a=4..9*1..30 k=1..8")
def rotate_left(a: list[int], k: int) -> list[int]:
    """Return a rotated to the left by k places."""
    k %= len(a)
    return a[k:] + a[:k]


@problem("a=5..10*0..20 target=5..30", "O(n^2)")
def pair_count(a: list[int], target: int) -> int:
    """Return how many pairs of different places in a hold numbers that add up to target."""
    count = 0
    for i in range(len(a)):
        for j in range(i + 1, len(a)):
            if a[i] + a[j] == target:
                count += 1
    return count


@problem("a=4..9*1..20")
def longest_rise(a: list[int]) -> int:
    """Return the length of the longest run of neighbours that strictly increases."""
    best = length = 1
    for i in range(1, len(a)):
        if a[i] > a[i - 1]:
            length += 1
        else:
            length = 1
        best = max(best, length)
    return best


@problem("a=4..9*1..20", "O(n^2)")
def longest_increasing(a: list[int]) -> int:
    """Return the length of the longest strictly increasing subsequence of a."""
    best = [1] * len(a)
    for i in range(len(a)):
        for j in range(i):
            if a[j] < a[i]:
                best[i] = max(best[i], best[j] + 1)
    return max(best)


@problem("a=4..9*1..6")
def most_common(a: list[int]) -> int:
    """Return the number that occurs most often in a; of several, the smallest."""
    best = a[0]
    for x in a:
        if a.count(x) > a.count(best) or (a.count(x) == a.count(best) and x < best):
            best = x
    return best


@problem("a=3..8*0..9 b=3..8*0..9")
def shared_numbers(a: list[int], b: list[int]) -> list[int]:
    """Return the numbers that occur in both a and b, each once, in increasing order."""
    shared = []
    for x in sorted(a):
        if x in b and x not in shared:
            shared.append(x)
    return shared


@problem("a=4..10*-9..9")
def zeros_last(a: list[int]) -> list[int]:
    """Return a with all zeros moved to the end, other numbers in their order."""
    kept = [x for x in a if x != 0]
    return kept + [0] * (len(a) - len(kept))


@problem("a=5..12*1..40 k=2..4")
def window_maxima(a: list[int], k: int) -> list[int]:
    """Return the largest number of every run of k neighbours in a."""
    maxima = []
    for i in range(len(a) - k + 1):
        maxima.append(max(a[i : i + k]))
    return maxima


@problem("a=3..7*1..9 k=2..4")
def chunks(a: list[int], k: int) -> list[int]:
    """Cut a into pieces of k neighbours (the last may be shorter); return their sums."""
    sums = []
    for start in range(0, len(a), k):
        sums.append(sum(a[start : start + k]))
    return sums


@problem("prices=4..9*5..60")
def best_trade(prices: list[int]) -> int:
    """Return the largest profit of buying on one day and selling on a later one, at least 0."""
    lowest = prices[0]
    profit = 0
    for price in prices:
        lowest = min(lowest, price)
        profit = max(profit, price - lowest)
    return profit


@problem("a=4..9*0..12 limit=5..25")
def longest_within(a: list[int], limit: int) -> int:
    """Return the length of the longest run of neighbours in a with sum at most limit."""
    best = start = total = 0
    for end, x in enumerate(a):
        total += x
        while total > limit:
            total -= a[start]
            start += 1
        best = max(best, end - start + 1)
    return best


@problem("heights=4..9*0..6", "O(n)")
def trapped_water(heights: list[int]) -> int:
    """Return how many units of rain stay between bars of the given heights."""
    left, right = 0, len(heights) - 1
    high_left = high_right = water = 0
    while left <= right:
        if high_left <= high_right:
            high_left = max(high_left, heights[left])
            water += high_left - heights[left]
            left += 1
        else:
            high_right = max(high_right, heights[right])
            water += high_right - heights[right]
            right -= 1
    return water


@problem("a=4..8*1..20")
def can_halve(a: list[int]) -> bool:
    """Return whether a can be divided into two groups with equal sums."""
    total = sum(a)
    if total % 2 == 1:
        return False
    sums = [True] + [False] * (total // 2)
    for x in a:
        for s in range(total // 2, x - 1, -1):
            if sums[s - x]:
                sums[s] = True
    return sums[total // 2]


@problem("values=3..5*1..30 capacity=4..15")
def best_load(values: list[int], capacity: int) -> int:
    """Item number i (from 0) weighs i + 2. Return the largest value that fits the capacity."""
    best = [0] * (capacity + 1)
    for i, value in enumerate(values):
        weight = i + 2
        for room in range(capacity, weight - 1, -1):
            best[room] = max(best[room], best[room - weight] + value)
    return best[capacity]
