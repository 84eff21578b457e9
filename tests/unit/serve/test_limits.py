"""Bodies that are hostile, and what is left of them."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, strategies as st

from nanovl.serve.errors import ApiError
from nanovl.serve.limits import check_headers, dumps, parse_json
from nanovl.serve.settings import RequestLimits

LIMITS = RequestLimits()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON))
def test_ordinary_bodies_are_read_as_json_reads_them(value: dict[str, object]) -> None:
    assert parse_json(json.dumps(value).encode(), LIMITS) == value
    assert json.loads(dumps(value)) == value


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'"text"', "expected a JSON object"),
        (b"[1]", "expected a JSON object"),
        (b'{"a": NaN}', "NaN is not a JSON value"),
        (b'{"a": -Infinity}', "not a JSON value"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "number"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "deeper than 64"),
        (b'{"a": [' + b"1," * 600_000 + b"1]}", "more than 500000 values"),
        (b"[" * 1_000_000, "deeper than 64"),
    ],
)
def test_hostile_bodies_are_refused_with_the_reason(body: bytes, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        parse_json(body, LIMITS)
    assert caught.value.status == 400


def test_brackets_and_commas_in_strings_do_not_count() -> None:
    text = '[{,"\\' * 100
    assert parse_json(json.dumps({"a": text}).encode(), RequestLimits(max_json_values=5)) == {
        "a": text
    }


@pytest.mark.parametrize("body", [b'{"a": "' + b'\\"' * 500_000, b'"' * 1_000_001, b'{"' * 400_000])
def test_strings_that_never_end_take_linear_time(body: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(ApiError):
        parse_json(body, LIMITS)
    assert time.perf_counter() - started < 2


def test_a_large_string_is_scanned_quickly() -> None:
    body = json.dumps({"a": "QUJD" * 4_000_000}).encode()
    started = time.perf_counter()
    assert len(parse_json(body, LIMITS)["a"]) == 16_000_000
    assert time.perf_counter() - started < 3


def test_half_surrogate_pairs_can_be_written() -> None:
    assert dumps({"a": "\ud800"}) == b'{"a":"?"}'


def test_headers_are_bounded_in_number_and_size() -> None:
    limits = RequestLimits(max_headers=3, max_header_bytes=100)
    assert check_headers([(b"a", b"b")] * 3, limits) is None
    for headers in ([(b"a", b"b")] * 4, [(b"a", b"b" * 100)]):
        error = check_headers(headers, limits)
        assert error is not None
        assert error.status == 431
