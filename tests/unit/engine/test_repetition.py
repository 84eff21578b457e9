"""Loops are found, and nothing that only looks repetitive is."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

import nanovl
from nanovl.core.errors import InputError
from nanovl.core.paths import asset
from nanovl.engine.repetition import (
    DEFAULT_REPETITION,
    RepetitionDetector,
    RepetitionParams,
    from_repetition_detection,
)
from nanovl.processing.tokenizer import Tokenizer

ROOT = Path(nanovl.__file__).parents[2]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_folder(asset("mini"))


def stops_at(ids, params=DEFAULT_REPETITION, **options):
    """How many ids were observed when the loop was found, None if it was not."""
    detector = RepetitionDetector(params)
    return next((n for n, i in enumerate(ids, 1) if detector.observe(i, **options)), None)


def brute_force(ids, params):
    """The definition, by looking back from every id."""
    for end in range(1, len(ids) + 1):
        for size in range(params.min_pattern_size, params.max_pattern_size + 1):
            span = max(params.min_count * size, params.min_span)
            if span > end:
                continue
            tail = ids[end - span : end]
            if all(tail[i] == tail[i - size] for i in range(size, span)):
                return end
    return None


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 2), max_size=60),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(2, 5),
    st.integers(0, 20),
)
def test_equals_the_definition(ids, first, second, count, span):
    low, high = sorted((first, second))
    params = RepetitionParams(
        min_pattern_size=low, max_pattern_size=high, min_count=count, min_span=span
    )
    assert stops_at(ids, params) == brute_force(ids, params)


@pytest.mark.parametrize("size", [1, 2, 7, 60, 102, 103, 300, 512])
def test_a_loop_is_found_as_soon_as_it_is_one(size):
    # Distinct ids before it and in it, so that nothing repeats by chance.
    before, pattern = range(10_000, 11_500), range(size)
    ids = itertools.chain(before, itertools.islice(itertools.cycle(pattern), 20 * 512))
    assert stops_at(ids) == len(before) + max(5 * size, 512)


def test_longer_patterns_are_not_looked_for():
    assert stops_at(list(range(513)) * 12) is None


def test_one_other_token_begins_anew():
    assert stops_at([1] * 511 + [2] + [1] * 511) is None
    assert stops_at([1] * 511 + [2] + [1] * 512) == 1024


TEXTS = {
    "table of zeros": "| 0.00 | 0.00 | 0.00 | 0.00 | 0.00 | 0.00 |\n" * 5,
    "table head": "| a | b | c | d | e | f |\n" + "|---" * 40 + "|\n",
    "rule": "=" * 400 + "\n" + "-" * 400,
    "frames": "".join(f"Frame {i}: the man sits at the table.\n" for i in range(200)),
    "rows": "".join(f"| {i} | 12.50 | 12.50 | yes | yes |\n" for i in range(100)),
    "matrix": ("0 " * 11 + "0\n") * 12,
    "counting": ", ".join(map(str, range(500))),
    "code": "".join(
        f"    if kind == {name!r}:\n        return make(kind, width, height, scale=1.0)\n"
        for name in map("_".join, itertools.permutations(("circle", "square", "line", "star")))
    ),
    "svg": "".join(f'<rect x="{x}" y="0" width="10" height="10" fill="#fff"/>' for x in range(60)),
    "doubts": "Wait, let me check that again. So 12 + 7 = 19. Yes, 19. " * 4,
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_only_looks_repetitive(name, tokenizer):
    assert stops_at(tokenizer.encode(TEXTS[name])) is None


@pytest.mark.parametrize("pattern", ["src/nanovl/**/*.py", "tests/unit/**/*.py"])
def test_code_of_a_whole_project(pattern, tokenizer):
    files = sorted(ROOT.glob(pattern))
    assert len(files) > 100
    detector = RepetitionDetector()
    for path in files[::4]:
        ids = tokenizer.encode(path.read_text(encoding="utf-8"))
        assert not any(map(detector.observe, ids)), path


@pytest.mark.parametrize(
    "sentence",
    [
        "Wait, let me check that again. ",
        "So the answer is 19.\n\n",
        "\n",
        " ha",
        "The chart shows the revenue of the first quarter, which is 12.5 million, and then the "
        "revenue of the second quarter, which is 13.1 million; but let me look at the legend. ",
    ],
)
def test_sentences_that_never_end(sentence, tokenizer):
    ids = tokenizer.encode("Let me look at the picture first. " + sentence * 1200)
    found = stops_at(ids)
    # Within what the thresholds say, the first words and a merged token or two aside.
    size = len(tokenizer.encode(sentence * 2)) - len(tokenizer.encode(sentence))
    assert found is not None
    assert found <= max(512, 5 * size) + 2 * size + 16


def test_the_answer_is_watched_only_where_asked():
    assert stops_at([1] * 900, reasoning=False) is None
    everywhere = RepetitionParams(max_pattern_size=3, min_count=4, min_span=0, in_answer=True)
    assert stops_at([1] * 900, everywhere, reasoning=False) == 4


# --- the field of a request ----------------------------------------------------------------------


def test_field():
    assert from_repetition_detection(None) is DEFAULT_REPETITION
    assert from_repetition_detection(False) is None
    assert from_repetition_detection({"max_pattern_size": 0, "min_count": 0}) is None
    assert from_repetition_detection({"max_pattern_size": 9, "min_count": 3}) == RepetitionParams(
        max_pattern_size=9, min_pattern_size=1, min_count=3, min_span=0, in_answer=True
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("on", "repetition_detection: got 'on', expected an object"),
        ({"max_size": 3}, "unknown field 'max_size'"),
        ({"max_pattern_size": 3}, "min_count is missing"),
        ({"max_pattern_size": 3, "min_count": 1}, "min_count 1, expected 2 to 10000"),
        ({"max_pattern_size": 3, "min_count": True}, "min_count True, expected a whole number"),
        ({"max_pattern_size": 1 << 40, "min_count": 2}, "max_pattern_size 1099511627776"),
        (
            {"max_pattern_size": 3, "min_pattern_size": 4, "min_count": 2},
            "min_pattern_size 4, expected 1 to 3",
        ),
        ({"max_pattern_size": -3, "min_count": 2}, "max_pattern_size -3, expected 1 to 1024"),
    ],
)
def test_field_errors(value, message):
    with pytest.raises(InputError, match=message):
        from_repetition_detection(value)
