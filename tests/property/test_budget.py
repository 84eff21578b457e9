"""The budget machine and the text pipe hold for any stream of tokens."""

import itertools
import json

from hypothesis import given, settings, strategies as st

from nanovl.engine.detokenize import Detokenizer, StopMatcher
from nanovl.engine.output import OutputStream
from nanovl.engine.reasoning import BudgetMachine

# Tokens that are awkward on purpose: parts of tags, of characters, line breaks, nothing at all.
WORDS = [
    b"<",
    b"</",
    b"think",
    b">",
    b"</think>",
    b".</",
    b">\n\n",
    b"\n",
    b".\n",
    b"<TOOLCALL>",
    b"[",
    b"]",
    b'{"name": "f"}',
    b'{"name": "f", "arguments": {"x": 1',
    b"}",
    b"</TOOLCALL>",
    b"\xe2",
    b"\x82",
    b"\xac",
    b"\xf0\x9f",
    b"a",
    b"END",
    b" ",
    b"",
]
BYTE = len(WORDS)


def token_bytes(ids):
    return b"".join(WORDS[i] if i < BYTE else bytes([i - BYTE]) for i in ids)


def encode(text):
    return [BYTE + b for b in text.encode()]


tokens = st.lists(st.integers(0, BYTE - 1), max_size=60)


@settings(max_examples=50, deadline=None)
@given(tokens, st.integers(1, 30), st.integers(0, 10))
def test_thinking_ends_within_budget_and_grace(chosen, soft, grace):
    budget = BudgetMachine(soft=soft, hard=soft + grace, encode=encode, token_bytes=token_bytes)
    ids, forced = [], []
    for token in chosen:
        while budget.forced is not None:
            if not forced:
                before = token_bytes(ids).decode("utf-8", "replace")
                assert budget.count >= soft
                assert before.endswith("\n") or budget.count >= soft + grace
            forced.append(budget.forced)
            ids.append(budget.forced)
            budget.observe(budget.forced)
        ids.append(token)
        budget.observe(token)
    closing = len(".\n</think>\n\n")
    assert len(forced) <= closing
    # Three tokens may be needed to finish a character.
    assert budget.count <= soft + grace + 3
    text = token_bytes(ids).decode("utf-8", "replace")
    if len(ids) > soft + grace + 3 + closing:
        assert budget.state == "done"
        assert "</think>" in text or "<TOOLCALL>" in text


@settings(max_examples=50, deadline=None)
@given(tokens, st.booleans(), st.booleans(), st.lists(st.sampled_from(["END", "\n", "a a"])))
def test_streamed_text_is_final_text(chosen, thinking, tools, stops):
    stream = OutputStream(token_bytes, thinking=thinking, tools=tools, stops=stops)
    parts, deltas = [], []
    for token in chosen:
        parts.append(stream.feed(token))
        deltas += stream.take_tool_deltas()
    parts.append(stream.finish())
    deltas += stream.take_tool_deltas()
    assert "".join(p[0] for p in parts) == stream.reasoning
    assert "".join(p[1] for p in parts) == stream.text
    assert not any(s in stream.text for s in stops)
    assert [d.name for d in deltas if d.name is not None] == [c.name for c in stream.tool_calls]
    assert len(stream.tool_call_ids) == len(stream.tool_calls)
    for index, call in enumerate(stream.tool_calls):
        joined = "".join(d.arguments for d in deltas if d.index == index)
        text = call.arguments
        assert joined == (text if isinstance(text, str) else json.dumps(text, ensure_ascii=False))
    # The same bytes cut differently give the same result.
    other = OutputStream(token_bytes, thinking=thinking, tools=tools, stops=stops)
    for byte in token_bytes(chosen):
        other.feed(BYTE + byte)
    other.finish()
    assert (other.reasoning, other.text) == (stream.reasoning, stream.text)
    assert other.matched_stop == stream.matched_stop
    assert [c.name for c in other.tool_calls] == [c.name for c in stream.tool_calls]


@settings(max_examples=50, deadline=None)
@given(tokens)
def test_plain_stream_is_the_decoded_text(chosen):
    stream = Detokenizer(token_bytes)
    text = "".join(stream.feed(t) for t in chosen) + stream.flush()
    assert text == token_bytes(chosen).decode("utf-8", "replace")


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.text(alphabet="ab\n", min_size=1, max_size=4), max_size=4),
    st.text(alphabet="ab\n", max_size=30),
    st.lists(st.integers(0, 30), max_size=5),
)
def test_stop_strings_do_not_depend_on_cuts(stops, text, cuts):
    whole = StopMatcher(stops)
    expected = whole.feed(text)
    expected += whole.flush()
    pieces = StopMatcher(stops)
    borders = [0, *sorted(min(c, len(text)) for c in cuts), len(text)]
    shown = "".join(pieces.feed(text[a:b]) for a, b in itertools.pairwise(borders))
    assert (shown + pieces.flush(), pieces.matched) == (expected, whole.matched)
