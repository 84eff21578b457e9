"""Reasoning traces: filters, answers, and the converters of worked solutions."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from nanovl.data.convert.banks import BANKS
from nanovl.data.convert.traces import (
    answers_match,
    choose_trace,
    final_answer,
    has_loop,
    mentions_label,
    rough_tokens,
    split_trace,
    think_problem,
    trace_problem,
)
from tests.unit.data.convert_samples import Run, save, stable

# -- Filters -------------------------------------------------------------------------------------


def test_loops_are_sequences_of_twenty_words_more_than_three_times() -> None:
    phrase = " ".join(f"w{i}" for i in range(20))
    gaps = ["a", "b", "c", "d"]
    assert not has_loop(" ".join(f"{phrase} {g}" for g in gaps[:3]))
    assert has_loop(" ".join(f"{phrase} {g}" for g in gaps))
    assert not has_loop(" ".join(f"{phrase.removesuffix(' w19')} {g}" for g in gaps))
    assert has_loop("wait " * 23)
    assert not has_loop("wait " * 22)
    assert not has_loop("")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The ground truth says 5.", True),
        ("Ground-truth: B", True),
        ("ground  truths differ", False),
        ("The truth is on the ground.", False),
        ("grounded truth", False),
    ],
)
def test_mentions_of_the_label(text: str, expected: bool) -> None:
    assert mentions_label(text) is expected


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("no tags", True),
        ("<think>\na\n</think>\n\nb", True),
        ("\n<think></think>b", True),
        ("a <think>b</think>", False),
        ("<think>a", False),
        ("a</think>b", False),
        ("<think>a</think><think>b</think>", False),
        ("<think><think>a</think>", False),
        ("</think><think>", False),
    ],
)
def test_think_tags(text: str, good: bool) -> None:
    problem = think_problem(text)
    assert (problem is None) is good
    assert problem is None or problem.reason == "bad_trace"


def test_split() -> None:
    assert split_trace("<think>\n a\nb \n</think>\n\n c") == ("a\nb", "c")
    assert split_trace(" c ") == ("", "c")


def test_problems_have_names() -> None:
    cases: list[tuple[str, str, str | None, str | None]] = [
        ("So 2 + 2 = 4.", "4", "4", None),
        ("So 2 + 2 = 4.", "The answer is 4.", "4.0", None),
        ("So 2 + 2 = 4.", "5", None, None),
        ("So 2 + 2 = 4.", "5", "4", "wrong_answer"),
        ("  ", "4", "4", "bad_trace"),
        ("a <think> b", "4", "4", "bad_trace"),
        ("x" * 40_000, "4", "4", "trace_too_long"),
        ("go on " * 30, "4", "4", "trace_loop"),
        ("As the ground truth is 4,", "4", "4", "trace_leak"),
    ]
    for trace, answer, label, expected in cases:
        problem = trace_problem(trace, answer, label)
        assert (problem and problem.reason) == expected
    assert trace_problem("a b c", most_tokens=2, count=lambda t: len(t.split())) is not None
    assert rough_tokens("abcde") == 2


# -- Answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \boxed{1} and \boxed{\frac{1}{2}} done", r"\frac{1}{2}"),
        ("steps\n#### 72\n", "72"),
        ("The answer is: 5.", "5"),
        ("First answer: 3\nFinal answer: 4", "4"),
        ("line one\nforty two\n", "forty two"),
        (r"broken \boxed{1", r"broken \boxed{1"),
        ("", ""),
    ],
)
def test_final_answer(text: str, expected: str) -> None:
    assert final_answer(text) == expected


@pytest.mark.parametrize(
    ("given", "label", "expected"),
    [
        ("72", "72", True),
        ("72.0", "72", True),
        ("1,234", "1234", True),
        ("$18", "18", True),
        ("**5**.", "5", True),
        (r"$\frac{1}{2}$", "0.5", True),
        ("1/3", "0.33333", True),
        ("1/3", "0.333", False),
        ("3.14159", "3.1416", True),
        ("1000000", "1000001", False),  # whole numbers have to be equal
        ("(B)", "B", True),
        ("b.", "B", True),
        (r"\text{Paris}", "paris", True),
        ("Paris", "London", False),
        ("50%", "0.5", False),
        ("1/0", "1", False),
        ("", "", False),
        ("-3", "3", False),
        (r"\(x+1\)", "x+1", True),
    ],
)
def test_answers_match(given: str, label: str, expected: bool) -> None:
    assert answers_match(given, label) is expected
    if label:
        assert answers_match(label, label)


def test_tolerance_is_an_argument() -> None:
    assert not answers_match("3.1", "3.14")
    assert answers_match("3.1", "3.14", tolerance=0.02)


def test_choose_trace_keeps_right_ones_and_short_ones_of_easy_items() -> None:
    right = [(f"reason {'x' * n}", "4") for n in range(8)]
    wrong = [("short", "5"), ("the ground truth", "4")]
    seen = {choose_trace([*wrong, *right], "4", random.Random(s)) for s in range(200)}
    assert seen == set(right)
    easy = {choose_trace([*wrong, *right], "4", random.Random(s), easy=True) for s in range(50)}
    assert easy == set(right[:2])  # a quarter of eight
    assert choose_trace(wrong, "4", random.Random(0)) is None
    assert choose_trace(wrong[:1], None, random.Random(0)) == wrong[0]


# -- GSM8K and MetaMath --------------------------------------------------------------------------

QUESTION = "Natalia sold 48 clips in April and half as many in May. How many altogether?"
ANSWER = (
    "In May she sold 48/2 = <<48/2=24>>24 clips.\nAltogether 48+24 = <<48+24=72>>72 clips.\n#### 72"
)
TRACE = "In May she sold 48/2 = 24 clips.\nAltogether 48+24 = 72 clips."


def test_gsm8k_exact(tmp_path: Path) -> None:
    lines = [{"question": QUESTION, "answer": ANSWER}]
    run = stable("gsm8k", save(tmp_path / "train.jsonl", lines))
    record = run.json("gsm8k-train-1")
    kind, index = record["metadata"]["template"].split("/")
    assert kind == "number_answer"
    asked = BANKS[kind][int(index)].format(question=QUESTION)
    assert record == {
        "id": "gsm8k-train-1",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": asked}]},
            {
                "role": "assistant",
                "content": [{"type": "text", "text": f"<think>\n{TRACE}\n</think>\n\n72"}],
            },
        ],
        "reasoning": "on",
        "source": "gsm8k",
        "task": "math",
        "metadata": {"template": f"{kind}/{index}", "seed": 0},
    }


def test_modes_of_reasoning(tmp_path: Path) -> None:
    path = save(tmp_path / "train.jsonl", [{"question": QUESTION, "answer": ANSWER}])
    both = Run("gsm8k", path, extra={"mode": "both"})
    assert both["gsm8k-train-1"].reasoning is None
    assert both["gsm8k-train-1"].has_trace
    twins = Run("gsm8k", path, extra={"mode": "twins"})
    assert sorted(twins.made) == ["gsm8k-train-1", "gsm8k-train-1-off"]
    assert twins["gsm8k-train-1-off"].reasoning == "off"
    assert twins.answer("gsm8k-train-1-off") == f"{TRACE}\n\nAnswer: 72"


def test_malformed_problems_are_dropped_by_name(tmp_path: Path) -> None:
    lines: list[Any] = [
        {"question": QUESTION, "answer": "72"},
        {"question": QUESTION, "answer": "#### 72"},
        {"question": " ", "answer": ANSWER},
        {"answer": ANSWER},
        {"question": QUESTION, "answer": "it is " * 50 + "\n#### 1"},
        {"question": QUESTION, "answer": "So.\n#### 1,000"},
        "[]",
    ]
    run = Run("gsm8k", save(tmp_path / "train.jsonl", lines))
    assert run.answer("gsm8k-train-6") == "<think>\nSo.\n</think>\n\n1000"
    assert run.drops == [
        ("no_answer", "train.jsonl:1", "answer: does not end in '#### result'"),
        ("bad_trace", "train.jsonl:2", "trace: the trace is empty"),
        ("empty", "train.jsonl:3", "question is blank"),
        ("missing_field", "train.jsonl:4", "question is missing; there are: answer"),
        (
            "trace_loop",
            "train.jsonl:5",
            "trace: 20 words in a row occur more than 3 times",
        ),
        ("wrong_type", "train.jsonl:7", "got list, expected an object"),
    ]


def test_metamath(tmp_path: Path) -> None:
    items = [
        {"query": "Half of 7?", "response": "7/2 is $3.5$.\n#### 3.5\nThe answer is: 3.5"},
        {"query": "Name it.", "response": "It is $\\frac{1}{2}$. \nThe answer is: \\frac{1}{2}"},
        {"query": "Half of 7?", "response": "7/2 is 3.5."},
    ]
    run = stable("metamath", save(tmp_path / "MetaMathQA-395K.json", items))
    key = "metamath-MetaMathQA-395K"
    assert run.answer(f"{key}-0") == "<think>\n7/2 is $3.5$.\n</think>\n\n3.5"
    assert run.answer(f"{key}-1").endswith("\n</think>\n\n\\frac{1}{2}")
    assert run.drops == [
        (
            "no_answer",
            "MetaMathQA-395K.json[2]",
            "response: does not say 'The answer is: ...'",
        )
    ]


# -- Chats with traces ---------------------------------------------------------------------------


def chat(*texts: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]


def test_chats_keep_the_trace_of_the_last_answer_only(tmp_path: Path) -> None:
    messages = chat("a", "<think>old</think>b", "c", "<think>\nnew\n</think>\n\nd")
    switch = {"role": "system", "content": "detailed thinking on"}
    lines = [{"uuid": "u1", "messages": [switch, *messages], "category": "math"}]
    run = stable("reasoning-chat", save(tmp_path / "openr1.jsonl", lines))
    record = run["openr1-u1"]
    assert [m.role for m in record.messages] == ["user", "assistant"] * 2
    assert [m.text for m in record.messages] == ["a", "b", "c", "<think>\nnew\n</think>\n\nd"]
    assert (record.reasoning, record.source, record.task) == ("on", "openr1", "math")


def test_reasoning_flag_and_other_forms(tmp_path: Path) -> None:
    lines = [
        {"id": 1, "messages": chat("a", "<think>t</think>b"), "reasoning": "off"},
        {"id": 2, "input": chat("a"), "output": "<think>t</think>b", "system_prompt": "Be brief."},
        {"id": 3, "input": "a", "output": "<think>\n</think>\n\nb"},
        {
            "id": 4,
            "problem": "2+2?",
            "answer": "4",
            "generations": ["<think>x</think>5", "<think>y</think>\\boxed{4}", "no tags 4"],
        },
    ]
    run = stable("reasoning-chat", save(tmp_path / "n.jsonl", lines))
    assert run.answer("n-1") == "b"
    assert run["n-1"].reasoning == "off"
    assert run["n-2"].messages[0].text == "Be brief."
    assert run.answer("n-2") == "<think>\nt\n</think>\n\nb"
    assert (run.answer("n-3"), run["n-3"].reasoning) == ("b", "off")
    assert run.answer("n-4") == "<think>\ny\n</think>\n\n\\boxed{4}"
    twins = Run("reasoning-chat", tmp_path / "n.jsonl", extra={"mode": "twins", "source": "s"})
    assert (twins["s-2-off"].reasoning, twins.answer("s-2-off")) == ("off", "b")


def test_malformed_chats_are_dropped_by_name(tmp_path: Path) -> None:
    lines: list[Any] = [
        {"messages": chat("a", "b <think>t</think>")},
        {"messages": chat("a")},
        {"messages": [*chat("a", "b"), *chat("", "d")]},
        {"messages": [{"role": "robot", "content": "a"}]},
        {"messages": chat("a", "<think>the ground truth is b</think>b")},
        {"messages": chat("a", "<think>t</think>")},
        {"messages": chat("a", "<think>t</think>5"), "expected_answer": "6"},
        {"problem": "p", "answer": "1", "generations": ["<think>x</think>2"]},
        {"messages": chat("a", "b"), "reasoning": "maybe"},
        {"messages": chat("a", "<think>" + "word " * 3 + "</think>b")},
    ]
    path = save(tmp_path / "c.jsonl", lines)
    run = Run("reasoning-chat", path, extra={"max_tokens": 3})
    assert not run.made
    assert [(reason, where) for reason, where, _ in run.drops] == [
        ("bad_trace", "c.jsonl:1"),
        ("bad_turn_order", "c.jsonl:2"),
        ("empty", "c.jsonl:3"),
        ("bad_value", "c.jsonl:4"),
        ("trace_too_long", "c.jsonl:5"),
        ("empty", "c.jsonl:6"),
        ("wrong_answer", "c.jsonl:7"),
        ("wrong_answer", "c.jsonl:8"),
        ("bad_value", "c.jsonl:9"),
        ("trace_too_long", "c.jsonl:10"),
    ]
    assert run.drops[3][2].startswith("messages[0].role: got 'robot'")
    assert Run("reasoning-chat", path).drops[4][0] == "trace_leak"


def test_opencode(tmp_path: Path) -> None:
    output = "<think>\nLoop.\n</think>\n\n```python\nprint(1)\n```"
    lines = [
        {"id": "q1", "input": "Print 1.", "output": output},
        {"id": "q2", "input": "-", "output": output},
        {"id": "q3", "input": "Print 1."},
    ]
    run = stable("opencode", save(tmp_path / "train.jsonl", lines))
    assert run.answer("opencode-q1") == output
    assert run["opencode-q1"].task == "code"
    assert [(reason, where) for reason, where, _ in run.drops] == [
        ("empty", "train.jsonl:2"),
        ("missing_field", "train.jsonl:3"),
    ]
