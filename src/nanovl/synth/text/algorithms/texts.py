"""Problems about strings and words.

Source: data synthesis specification, section 14.
"""

from __future__ import annotations

from nanovl.synth.text.algorithms.problem import problem

__all__: list[str] = []


@problem("s=text2..5")
def count_vowels(s: str) -> int:
    """Return how many letters of s are vowels (a, e, i, o, u)."""
    count = 0
    for c in s:
        if c in "aeiou":
            count += 1
    return count


@problem("s=str3..9:abc")
def is_palindrome(s: str) -> bool:
    """Return whether s reads the same backwards."""
    i, j = 0, len(s) - 1
    while i < j:
        if s[i] != s[j]:
            return False
        i += 1
        j -= 1
    return True


@problem("s=str4..14:aab")
def run_lengths(s: str) -> str:
    """Replace every run of equal letters by the letter and the length of the run."""
    result = ""
    i = 0
    while i < len(s):
        j = i
        while j < len(s) and s[j] == s[i]:
            j += 1
        result += s[i] + str(j - i)
        i = j
    return result


@problem("s=text1..3 k=1..25")
def shift_letters(s: str, k: int) -> str:
    """Shift every letter of s by k places in the alphabet, around its end; keep spaces."""
    result = ""
    for c in s:
        if c == " ":
            result += c
        else:
            result += chr((ord(c) - ord("a") + k) % 26 + ord("a"))
    return result


@problem("s=text3..6")
def reverse_words(s: str) -> str:
    """Return the words of s in reverse order."""
    words = s.split()
    result: list[str] = []
    for word in words:
        result.insert(0, word)
    return " ".join(result)


@problem("s=text3..6")
def longest_word(s: str) -> str:
    """Return the longest word of s; of several, the first."""
    best = ""
    for word in s.split():
        if len(word) > len(best):
            best = word
    return best


@problem("s=text2..5")
def initials(s: str) -> str:
    """Return the first letters of the words of s in upper case."""
    result = ""
    for word in s.split():
        result += word[0].upper()
    return result


@problem("s=str4..12:abcde")
def first_unique(s: str) -> str:
    """Return the first letter of s that occurs only once, or "-" if there is none."""
    for c in s:
        if s.count(c) == 1:
            return c
    return "-"


@problem("s=str2..4:ab t=str2..4:ab")
def are_anagrams(s: str, t: str) -> bool:
    """Return whether t has exactly the letters of s in some order."""
    return sorted(s) == sorted(t)


@problem("s=str2..4:()")
def is_balanced(s: str) -> bool:
    """Return whether the brackets of s are balanced."""
    depth = 0
    for c in s:
        if c == "(":
            depth += 1
        else:
            depth -= 1
        if depth < 0:
            return False
    return depth == 0


@problem("s=str5..12:ab p=str1..2:ab")
def count_places(s: str, p: str) -> int:
    """Return at how many places in s the text p begins; places may overlap."""
    count = 0
    for i in range(len(s) - len(p) + 1):
        if s[i : i + len(p)] == p:
            count += 1
    return count


@problem("s=str4..10:abcd", "O(n^2)")
def distinct_run(s: str) -> int:
    """Return the length of the longest part of s without a repeated letter."""
    best = 0
    for start in range(len(s)):
        seen = ""
        for c in s[start:]:
            if c in seen:
                break
            seen += c
        best = max(best, len(seen))
    return best


@problem("s=str3..7:abcd t=str3..7:abcd")
def edit_distance(s: str, t: str) -> int:
    """Return the least number of insertions, deletions and replacements that turn s into t."""
    row = list(range(len(t) + 1))
    for i, a in enumerate(s):
        previous = row
        row = [i + 1]
        for j, b in enumerate(t):
            change = previous[j] + (a != b)
            row.append(min(change, previous[j + 1] + 1, row[j] + 1))
    return row[-1]


@problem("s=str3..8:abc t=str3..8:abc")
def common_subsequence(s: str, t: str) -> int:
    """Return the length of the longest common subsequence of s and t."""
    row = [0] * (len(t) + 1)
    for a in s:
        corner = 0
        for j, b in enumerate(t):
            above = row[j + 1]
            if a == b:
                row[j + 1] = corner + 1
            else:
                row[j + 1] = max(row[j + 1], row[j])
            corner = above
    return row[-1]


@problem("w=words3..6")
def shared_start(w: list[str]) -> int:
    """Return how many words of w begin with the same letter as the first word."""
    count = 0
    for word in w:
        if word[0] == w[0][0]:
            count += 1
    return count


@problem("w=words3..7")
def sort_by_length(w: list[str]) -> list[str]:
    """Return the words of w by increasing length; equally long ones keep their order."""
    result: list[str] = []
    for word in w:
        place = len(result)
        while place > 0 and len(result[place - 1]) > len(word):
            place -= 1
        result.insert(place, word)
    return result


@problem("w=words3..6")
def letter_total(w: list[str]) -> int:
    """Return the number of different letters used in all words of w together."""
    seen = ""
    for word in w:
        for c in word:
            if c not in seen:
                seen += c
    return len(seen)


@problem("s=str4..9:0123456789")
def checksum(s: str) -> int:
    """Add the digits of s, doubling every second one from the left; return the sum modulo 10."""
    total = 0
    for i, c in enumerate(s):
        value = int(c)
        if i % 2 == 1:
            value *= 2
        total += value
    return total % 10


@problem("s=text2..4")
def title_case(s: str) -> str:
    """Return s with the first letter of every word in upper case."""
    result = ""
    start = True
    for c in s:
        result += c.upper() if start else c
        start = c == " "
    return result


@problem("s=str6..14:abcd k=2..4")
def every_kth(s: str, k: int) -> str:
    """Return every k-th letter of s, beginning with the first."""
    result = ""
    for i in range(0, len(s), k):
        result += s[i]
    return result
