"""Budget machine and reasoning/answer split."""

import copy

import pytest

from nanovl.core.errors import ConfigError
from nanovl.core.generation import ReasoningParams
from nanovl.engine.output import OutputStream
from nanovl.engine.reasoning import (
    BudgetMachine,
    ReasoningSplitter,
    budget_limits,
    ends_thinking,
)

# A vocabulary of bytes plus the splits of the 12B's vocabulary (model specification, 10.3).
PIECES = {
    1885: "</",
    74045: "think",
    1062: ">",
    3318: ">\n\n",
    1626: ".\n",
    1010: "\n",
    15342: ".</",
    1060: "<",
    2000: "\u00e9\n",
}
CLOSE = [1885, 74045, 3318]
DOTTED = [1626, 1885, 74045, 3318]


def token_bytes(ids):
    return b"".join(
        PIECES[i].encode() if i in PIECES else bytes([i]) if i < 256 else b"" for i in ids
    )


def encode(text):
    known = {"</think>\n\n": CLOSE, ".\n</think>\n\n": DOTTED}
    return list(known[text]) if text in known else list(text.encode())


def machine(soft, hard):
    return BudgetMachine(soft=soft, hard=hard, encode=encode, token_bytes=token_bytes)


def drive(budget, chosen, steps=None):
    """Play a model that would choose these ids; forced ids replace its choice."""
    out, forced = [], 0
    chosen = iter(chosen)
    for _ in range(steps or 10_000):
        token = budget.forced
        if token is None:
            token = next(chosen, None)
            if token is None:
                break
        else:
            forced += 1
        out.append(token)
        budget.observe(token)
    return out, forced


def text_ids(text):
    return list(text.encode())


def test_newline_rule():
    # The line break at token 4 comes too early, the one at token 8 is taken.
    out, forced = drive(machine(5, 505), text_ids("abc\ndef\nghi"), 20)
    assert out == text_ids("abc\ndef\n") + CLOSE + text_ids("ghi")
    assert forced == 3


def test_budget_is_reached_exactly_at_a_newline():
    out, _ = drive(machine(4, 504), text_ids("abc\nxyz"), 7)
    assert out == text_ids("abc\n") + CLOSE


def test_newline_inside_a_token_does_not_count():
    # The rule looks at the end of the last token, not at any line break in it.
    budget = BudgetMachine(
        soft=1, hard=99, encode=encode, token_bytes=lambda ids: b"a\nb" if ids == (7,) else b"\n"
    )
    budget.observe(7)
    assert budget.forced is None
    budget.observe(8)
    assert budget.forced == CLOSE[0]


def test_grace_exhausted():
    out, forced = drive(machine(5, 8), text_ids("abcdefghijkl"), 12)
    assert out == text_ids("abcdefgh") + DOTTED
    assert forced == 4


def test_default_grace_is_500():
    soft, hard = budget_limits(ReasoningParams(mode="on", budget=2048), None)
    assert (soft, hard) == (2048, 2548)


@pytest.mark.parametrize(
    ("params", "max_tokens", "expected"),
    [
        ({"budget": None}, None, (None, None)),
        ({"budget": None}, 200, (None, None)),
        ({"budget": 100}, 256, (100, 600)),
        ({"budget": None}, 1256, (1000, 1128)),
        ({"budget": 5000}, 1256, (1000, 1128)),
        ({"budget": 300}, 1256, (300, 800)),
        ({"budget": 900}, 1256, (900, 1128)),
        ({"budget": 900, "grace": 0}, 1256, (900, 900)),
        ({"budget": 1}, 257, (1, 129)),
    ],
)
def test_answer_reserve(params, max_tokens, expected):
    assert budget_limits(ReasoningParams(mode="on", **params), max_tokens) == expected


@pytest.mark.parametrize(
    "ending",
    [CLOSE, [15342, 74045, 1062], [1010, 1885, 74045, 3318], text_ids("</think>"), DOTTED],
    ids=["plain", "dot", "newline", "bytes", "dotted"],
)
def test_natural_end_is_found_in_any_split(ending):
    budget = machine(6, 30)
    drive(budget, text_ids("ab") + ending)
    assert budget.state == "done"
    out, forced = drive(budget, text_ids("\n" * 50))
    assert forced == 0
    assert len(out) == 50


def test_tool_call_ends_thinking():
    budget = machine(12, 14)
    _, forced = drive(budget, text_ids("x<TOOLCALL>[\n\n\n\n\n"))
    assert (forced, budget.state) == (0, "done")


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        ([1885], [74045, 3318]),
        ([1885, 74045], [3318]),
        ([1626], CLOSE),  # ends in a newline, so the newline rule applies
        ([15342], text_ids("think>\n\n")),  # begun with a token of another split
        (text_ids("</th"), text_ids("ink>\n\n")),
        ([1060], DOTTED),  # a lone "<" may be a comparison
    ],
    ids=str,
)
def test_only_the_remainder_is_forced(begun, rest):
    budget = machine(1, 1 + len(begun))
    out, forced = drive(
        budget, [97, *begun, *text_ids("xxxxxxxxxxxxxxxx")], 1 + len(begun) + len(rest)
    )
    assert out == [97, *begun, *rest]
    assert forced == len(rest)
    assert budget.state == "done"


def test_never_inside_a_character():
    euro = list("\u20ac".encode())
    out, _ = drive(machine(2, 2), [97, *euro, 98, 99], 8)
    assert out == [97, *euro, *DOTTED]


def test_waits_at_most_three_tokens_for_a_character():
    # Ids without bytes never complete the character.
    out, _ = drive(machine(1, 1), [0xE2, 300, 300, 300, 300, 300, 300], 8)
    assert out == [0xE2, 300, 300, 300, *DOTTED]


def test_multibyte_token_that_ends_a_line():
    out, _ = drive(machine(1, 99), [2000, 98], 4)
    assert out == [2000, *CLOSE]


def test_unlimited_budget_never_forces():
    _, forced = drive(machine(None, None), text_ids("a\n" * 400))
    assert forced == 0


def test_end_now():
    budget = machine(None, None)
    drive(budget, text_ids("abc"))
    assert budget.end_now()
    assert not budget.end_now()
    out, forced = drive(budget, [], 10)
    assert (out, forced, budget.state) == (DOTTED, 4, "done")
    assert not budget.end_now()
    assert budget.forced is None


def test_end_now_before_the_first_token():
    budget = machine(100, 200)
    assert budget.end_now()
    assert drive(budget, [], 10) == (CLOSE, 3)


def test_end_now_finishes_the_character():
    euro = list("\u20ac".encode())
    budget = machine(None, None)
    drive(budget, [97, *euro[:1]])
    assert budget.end_now()
    assert budget.forced is None
    assert not budget.end_now()
    out, _ = drive(budget, [*euro[1:], 98], 6)
    assert out == [*euro[1:], *DOTTED]


def test_end_now_waits_no_longer_than_the_budget_does():
    budget = machine(None, None)
    drive(budget, [0xE2])
    budget.end_now()
    out, _ = drive(budget, [300] * 9, 7)
    assert out == [300, 300, 300, *DOTTED]


def test_end_now_is_overtaken_by_the_natural_end():
    budget = machine(None, None)
    drive(budget, [0xE2])
    budget.end_now()
    out, _ = drive(budget, text_ids("<"))  # shows that the character stays broken
    assert out == text_ids("<") + DOTTED
    budget = machine(None, None)
    drive(budget, [*text_ids("a</think>")])
    assert not budget.end_now()


@pytest.mark.parametrize(
    ("params", "max_tokens", "expected"),
    [
        ({"budget": 100}, None, (100, 100)),
        ({"budget": 100}, 1256, (100, 100)),
        ({"budget": 5000}, 1256, (1000, 1000)),
        ({"budget": None}, 1256, (1000, 1000)),
        ({"budget": None}, None, (None, None)),
    ],
)
def test_hard_mode_has_no_grace(params, max_tokens, expected):
    reasoning = ReasoningParams(mode="on", **params)
    assert budget_limits(reasoning, max_tokens, mode="hard") == expected


def test_hard_mode_ends_at_the_budget():
    # The newline at token 8 would be waited for otherwise.
    out, forced = drive(machine(5, 5), text_ids("abcdefg\nhi"), 12)
    assert out == text_ids("abcde") + DOTTED + text_ids("fg\n")
    assert forced == 4


def test_unknown_mode():
    with pytest.raises(ConfigError, match="budget mode 'soft': expected 'newline' or 'hard'"):
        budget_limits(ReasoningParams(mode="on"), None, mode="soft")


def test_without_tools_a_call_ends_no_budget():
    budget = BudgetMachine(soft=12, hard=14, encode=encode, token_bytes=token_bytes, tools=False)
    _, forced = drive(budget, text_ids("x<TOOLCALL>[\n\n\n\n\n"))
    assert (forced, budget.state) == (3, "done")


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_pause_changes_nothing(cut):
    # Preemption drops caches, not the machine: what it counted and what it forces go on.
    straight, kept = machine(5, 8), machine(5, 8)
    ids = text_ids("abcdefghijkl")
    expected, _ = drive(straight, ids, 12)
    first, _ = drive(kept, ids, cut)
    chosen = sum(token not in DOTTED for token in first)
    rest, _ = drive(copy.deepcopy(kept), ids[chosen:], 12 - cut)
    assert first + rest == expected


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        ("Assistant\n<think>\n", True),
        ("Assistant\n<think>", True),
        ("Assistant\n<think></think>", False),
        ("Assistant\n", False),
        ("<think>\nso", False),
    ],
)
def test_thinking_is_read_off_the_prompt(tail, expected):
    assert ends_thinking(tail) is expected


# --- the table of the serving specification, section 4 ------------------------------------------

CALL = '<TOOLCALL>[{"name": "f", "arguments": {}}]</TOOLCALL>'
TABLE = [
    ("off: plain answer", False, "It is 5.", "", "It is 5."),
    ("on: no start tag in the output", True, "2+3\n</think>It is 5.", "2+3\n", "It is 5."),
    ("on: never ends", True, "2+3 is", "2+3 is", ""),
    ("on: ends on a partial tag", True, "2+3 </thi", "2+3 </thi", ""),
    ("on: ends on a partial tool tag", True, "hm <TOOLC", "hm <TOOLC", ""),
    ("on: tool call without end tag", True, "I call.\n" + CALL, "I call.\n", CALL),
    ("on: tool call after end tag", True, "a</think>\n\n" + CALL, "a", CALL),
    ("on: start tag in the answer", True, "a</think>b <think>c</think>", "a", "b <think>c</think>"),
    ("off: tags in the answer", False, "b <think>c</think>", "", "b <think>c</think>"),
    ("on: line breaks", True, "a\n</think>\n\n\nb\n\nc\n", "a\n", "b\n\nc\n"),
    ("off: line breaks", False, "\n\nb\n", "", "b\n"),
    ("on: looks like a tag", True, "a<b </b> </thinker> x</think>y", "a<b </b> </thinker> x", "y"),
    ("on: empty", True, "", "", ""),
]


@pytest.mark.parametrize(("name", "thinking", "text", "reasoning", "answer"), TABLE)
def test_split_at_every_character(name, thinking, text, reasoning, answer):
    cuts = [[text], list(text), *([text[:i], text[i:]] for i in range(len(text)))]
    for pieces in cuts:
        splitter = ReasoningSplitter(thinking)
        parts = [*(splitter.feed(p) for p in pieces), splitter.flush()]
        assert "".join(p[0] for p in parts) == reasoning, pieces
        assert "".join(p[1] for p in parts) == answer, pieces


def test_hold_back_is_no_longer_than_a_tag():
    splitter = ReasoningSplitter(True)
    assert splitter.feed("so 1 < 2 and </thi") == ("so 1 < 2 and ", "")
    assert splitter.feed("s") == ("</this", "")


def test_without_tools_a_call_does_not_end_reasoning():
    splitter = ReasoningSplitter(True, tools=False)
    assert splitter.feed("x <TOOLCALL>[] </think>y") == ("x <TOOLCALL>[] ", "y")


# --- the whole pipe -----------------------------------------------------------------------------


def play(text, **options):
    stream = OutputStream(token_bytes, **options)
    parts = []
    for byte in text.encode():
        parts.append(stream.feed(byte))
        if stream.matched_stop is not None:
            break
    parts.append(stream.finish())
    assert "".join(p[0] for p in parts) == stream.reasoning
    assert "".join(p[1] for p in parts) == stream.text
    return stream


PIPE = [
    ("thinking off, plain answer", False, False, "It is 5.", None, "It is 5.", []),
    ("prompt opened it, output has no start tag", True, False, "2+3</think>5", "2+3", "5", []),
    ("max_tokens while thinking", True, True, "2+3 is", "2+3 is", "", []),
    ("ends on a partial tag", True, True, "2+3 </thi", "2+3 </thi", "", []),
    ("ends on a partial tool tag", False, True, "so <TOOLCA", None, "so <TOOLCA", []),
    ("call without end tag", True, True, f"I call.\n{CALL}", "I call.\n", "", ["f"]),
    ("call behind the end tag", True, True, f"a</think>\n\n{CALL}", "a", "", ["f"]),
    ("call in the middle", True, True, f"a</think>b {CALL} c", "a", "b c", ["f"]),
    (
        "start tag in the answer",
        True,
        True,
        "a</think>b <think>c</think>",
        "a",
        "b <think>c</think>",
        [],
    ),
    ("white space", True, False, "a</think>\n\nb\n", "a", "b\n", []),
    ("no tools offered", True, False, f"a {CALL}</think>b", f"a {CALL}", "b", []),
]


@pytest.mark.parametrize(
    ("name", "thinking", "tools", "text", "reasoning", "answer", "calls"), PIPE
)
def test_every_row_at_every_character(name, thinking, tools, text, reasoning, answer, calls):
    data = text.encode()
    whole = {300: data}
    for cut in range(len(data) + 1):
        pieces = {300: data[:cut], 301: data[cut:]}
        check_row(pieces, thinking, tools, (reasoning, answer, calls))
    check_row(whole, thinking, tools, (reasoning, answer, calls))
    check_row(
        dict(enumerate(data[i : i + 1] for i in range(len(data)))),
        thinking,
        tools,
        (reasoning, answer, calls),
    )


def check_row(pieces, thinking, tools, expected):
    stream = OutputStream(
        lambda ids: b"".join(pieces[i] for i in ids), thinking=thinking, tools=tools
    )
    parts, deltas = [], []
    for token in pieces:
        assert stream.reasoning_over or thinking
        parts.append(stream.feed(token))
        deltas += stream.take_tool_deltas()
    parts.append(stream.finish())
    deltas += stream.take_tool_deltas()
    found = (stream.reasoning_or_none, stream.text, [c.name for c in stream.tool_calls])
    assert found == expected
    assert "".join(p[0] for p in parts) == stream.reasoning
    assert "".join(p[1] for p in parts) == stream.text
    assert [d.name for d in deltas if d.name is not None] == expected[2]
    assert len(stream.tool_call_ids) == len(expected[2])


def test_reasoning_is_over_with_the_tag():
    stream = OutputStream(token_bytes, thinking=True)
    states = []
    for byte in b"a</think>\nb":
        stream.feed(byte)
        states.append(stream.reasoning_over)
    assert states == [False] * 8 + [True] * 3
    assert OutputStream(token_bytes).reasoning_over


def test_the_stop_string_can_be_kept():
    for text in ("ab END cd", "ab END"):
        stream = play(text, stops=["END"], include_stop=True)
        assert (stream.text, stream.matched_stop) == ("ab END", "END")
    assert play("ab EN", stops=["END"], include_stop=True).text == "ab EN"


def test_nothing_is_read_behind_a_stop_string():
    stream = OutputStream(lambda ids: b"a END " + CALL.encode(), tools=True, stops=["END"])
    assert stream.feed(300) == ("", "a ")
    assert stream.finish() == ("", "")
    assert stream.matched_stop == "END"


def test_stop_strings_do_not_act_inside_reasoning():
    stream = play("a. b</think>c. d", thinking=True, stops=["."])
    assert (stream.reasoning, stream.text, stream.matched_stop) == ("a. b", "c", ".")
    assert stream.reasoning_tokens == len("a. b</think>")


def test_stop_strings_do_not_act_inside_tool_calls():
    stream = play("x" + CALL, tools=True, stops=["}"])
    assert (stream.text, stream.matched_stop) == ("x", None)
    assert [c.name for c in stream.tool_calls] == ["f"]


def test_calls_are_text_without_tools():
    stream = play(CALL)
    assert stream.text == CALL
    assert stream.tool_calls == ()


def test_call_swallowed_by_reasoning_is_found():
    stream = play("think " + CALL, thinking=True, tools=True)
    assert (stream.reasoning, stream.text) == ("think ", "")
    assert [c.name for c in stream.tool_calls] == ["f"]


def test_forced_ids_count_as_reasoning():
    stream = OutputStream(token_bytes, thinking=True)
    for token in (97, 10):
        stream.feed(token)
    for token in text_ids("</think>\n\n"):
        stream.feed(token, forced=True)
    stream.feed(98)
    stream.finish()
    assert stream.reasoning_tokens == 12
    assert (stream.reasoning, stream.text) == ("a\n", "b")


def test_reasoning_is_none_only_when_off():
    assert play("a").reasoning_or_none is None
    assert play("", thinking=True).reasoning_or_none == ""


def test_flush_can_complete_a_stop_string():
    stream = play("ab<TOOLCALL>x", tools=True, stops=["<TOOLCALL>"])
    assert (stream.text, stream.matched_stop) == ("ab", "<TOOLCALL>")
