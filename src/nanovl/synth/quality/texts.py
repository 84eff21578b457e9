"""Texts as numbers: canonical ground truth, words, shingles, MinHash, n-grams.

All hashes are fixed functions of the text, the same on every machine. Must not read files.

Source: data synthesis specification, section 19; MinHash and its bands after Broder (1997) and
Leskovec et al., "Mining of Massive Datasets", chapter 3.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "BANDS",
    "PERMUTATIONS",
    "bands",
    "digest",
    "exact_digest",
    "gram_hashes",
    "leaves",
    "signature",
    "similarity",
    "strings",
    "words",
]

U64 = npt.NDArray[np.uint64]
U32 = npt.NDArray[np.uint32]

PERMUTATIONS = 128
BANDS = 16
"""Of 8 rows: two texts of similarity 0.85 meet in one with probability 0.994."""

_SHINGLE = 5
_CHUNK = 2048
_PRIME = np.uint64((1 << 31) - 1)
_BASE = np.uint64(0x9E3779B97F4A7C15)

# What says how a thing looks or where it came from, but not what it is.
_STYLE = frozenset(
    (
        "augmentation", "background", "dpi", "effects", "font", "fonts", "id", "palette",
        "renderer", "seed", "style", "template", "theme", "world",
    )
)  # fmt: skip
# What repeats the text beside it.
_REPEATS = frozenset(("chars", "characters", "lines", "markdown", "words", "forms"))
# Where things are, which differs between two renderings of one text.
_PLACES = frozenset(
    (
        "bbox", "box", "boxes", "center", "height", "ink", "page", "order", "origin", "points",
        "polygon", "quad", "size", "text_bbox", "width",
    )
)  # fmt: skip
# Words, but one ideograph, kana or Hangul syllable at a time.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u3040-\u9fff\uac00-\ud7af]+")


def _without_style(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _without_style(v) for k, v in value.items() if k not in _STYLE}
    if isinstance(value, list | tuple):
        return [_without_style(v) for v in value]
    return value


def exact_digest(gt: Mapping[str, Any] | None, texts: Sequence[str]) -> bytes:
    """SHA-256 of what a sample is about.

    Args:
        gt: Ground truth; ids, seeds and style are left out.
        texts: What else it consists of.
    """
    text = json.dumps(
        [_without_style(gt), list(texts)], sort_keys=True, ensure_ascii=False, default=str
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def digest(text: str) -> int:
    """64 bits of a text, signed, as SQLite stores them."""
    found = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(found, "little", signed=True)


def strings(value: Any) -> Iterator[str]:
    """All texts of a ground truth, without style and repetitions, keys in order."""
    return (text for text in leaves(value) if isinstance(text, str))


def leaves(value: Any) -> Iterator[str | float]:
    """All texts and numbers of a ground truth, without style, places and repetitions."""
    if isinstance(value, Mapping):
        for key in sorted(map(str, value)):
            known = key in _STYLE or key in _PLACES
            if not known and (key not in _REPEATS or "text" not in value):
                yield from leaves(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield value


def words(text: str) -> list[str]:
    """Words of a text, without case, accents' composition and punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


@lru_cache(maxsize=200_000)
def _word_hash(word: str) -> int:
    found = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(found, "little")


def gram_hashes(tokens: Sequence[str], size: int) -> U64:
    """One hash per run of `size` words, (len - size + 1,); empty when there are fewer."""
    count = len(tokens) - size + 1
    if count < 1:
        return np.zeros(0, np.uint64)
    hashes = np.fromiter((_word_hash(t) for t in tokens), np.uint64, len(tokens))
    total = np.full(count, np.uint64(size))
    for place in range(size):
        total = total * _BASE + hashes[place : place + count]  # modulo 2**64
        total ^= total >> np.uint64(29)
    return total


def _coefficients() -> tuple[U64, U64]:
    rng = np.random.Generator(np.random.PCG64(20231))
    shape = (1, PERMUTATIONS)
    high = int(_PRIME)
    return (
        rng.integers(1, high, shape, dtype=np.uint64),
        rng.integers(0, high, shape, dtype=np.uint64),
    )


_A, _B = _coefficients()


def signature(tokens: Sequence[str], *, least: int = 20) -> U32 | None:
    """MinHash of the 5-word shingles, uint32 (128,); None for fewer than `least` words."""
    if len(tokens) < least:
        return None
    # 31 bits, so that products stay below 2**64
    shingles = np.unique(gram_hashes(tokens, _SHINGLE) >> np.uint64(33))
    lowest = np.full(PERMUTATIONS, _PRIME)
    for start in range(0, len(shingles), _CHUNK):
        chunk = shingles[start : start + _CHUNK, None]  # (c, 1)
        lowest = np.minimum(lowest, ((chunk * _A + _B) % _PRIME).min(axis=0))
    return lowest.astype(np.uint32)


def similarity(a: U32, b: U32) -> float:
    """Estimate of the Jaccard similarity of two signatures; standard error at most 0.045."""
    return float((a == b).mean())


def bands(sign: U32) -> list[int]:
    """One signed 64-bit hash per band; similar texts share one."""
    rows = sign.reshape(BANDS, -1).astype("<u4")
    return [
        int.from_bytes(
            hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little", signed=True
        )
        for row in rows
    ]
