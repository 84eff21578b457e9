"""Strict JSON, answers that agree, languages, repetitions, and the rules of pairs and traces."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from nanovl.core.errors import ConfigError
from nanovl.data.convert.traces import think_problem
from nanovl.synth.base import Answer
from nanovl.synth.model.agree import checkable, normal, same_by_rule
from nanovl.synth.model.cache import AnswerCache, Completion
from nanovl.synth.model.client import ChatClient, Endpoint
from nanovl.synth.model.documents import Document, read_documents, truth_pages, windows
from nanovl.synth.model.duplicates import NearIndex, near_question
from nanovl.synth.model.language import language_problem, mixes_scripts
from nanovl.synth.model.pairs import Pair, pair_problem, same_question
from nanovl.synth.model.prompts import LEVELS, QA_SCHEMA, TYPES, qa_messages
from nanovl.synth.model.structured import BadAnswer, JsonAsker, parse_json, schema_problem
from nanovl.synth.model.thoughts import answers_right, cut_trace, read_thought, thought_problem
from tests.unit.synth.model.notes import data_set, facts
from tests.unit.synth.model.stub import Body, Say, kind_of, pair, serving

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "w": {"type": "string", "enum": ["a", "b"]}},
    "required": ["n"],
    "additionalProperties": False,
}


# --- JSON ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"n": 1}', {"n": 1}),
        ('  ```json\n{"n": 1}\n```  ', {"n": 1}),
        ('<think>so {"n": 2}</think>\n{"n": 1}', {"n": 1}),
        ('thought without a start</think>{"n": 1}', {"n": 1}),
        ("[]", []),
    ],
)
def test_json_is_read(text: str, expected: object) -> None:
    assert parse_json(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('Here it is: {"n": 1}', "bad_json"),
        ('{"n": 1} I hope this helps', "bad_json"),
        ('{"n": NaN}', "bad_json"),
        ('{"n": 1', "bad_json"),
        ("  ", "empty"),
        ("[" * 100_000, "bad_json"),
    ],
)
def test_anything_else_is_not_json(text: str, reason: str) -> None:
    with pytest.raises(BadAnswer) as caught:
        parse_json(text)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"n": 1}, ""),
        ({"n": 1, "w": "b"}, ""),
        ({}, "no 'n'"),
        ({"n": "1"}, "answer.n is a string, expected integer"),
        ({"n": True}, "a boolean"),
        ({"n": 1.5}, "a number"),
        ({"n": 1, "w": "c"}, "expected one of a, b"),
        ({"n": 1, "x": 0}, "unknown field 'x'"),
        ([], "an array"),
        (None, "null"),
    ],
)
def test_schemas(value: object, says: str) -> None:
    found = schema_problem(value, SCHEMA)
    assert (says in found) if says else found == ""


def _asker(stub_url: str, mode: str = "none", cache: AnswerCache | None = None) -> JsonAsker:
    return JsonAsker(ChatClient(Endpoint(url=stub_url, model="m"), cache=cache), mode)  # type: ignore[arg-type]


ASK = {"messages": [{"role": "user", "content": "a number?"}]}


def test_a_broken_answer_is_repaired_once() -> None:
    def answer(body: Body, before: int) -> Say:
        if len(body["messages"]) == 1:
            return Say("the number is 1")
        assert body["messages"][1] == {"role": "assistant", "content": "the number is 1"}
        assert "not JSON" in body["messages"][2]["content"]
        return Say('{"n": 1}')

    with serving(answer) as stub:
        assert _asker(stub.url).ask(ASK, SCHEMA, "s") == ({"n": 1}, True)
        assert stub.count == 2


@pytest.mark.parametrize(
    ("say", "reason", "requests"),
    [
        (Say("no"), "bad_json", 2),
        (Say('{"m": 1}'), "wrong_schema", 2),
        (Say(""), "empty", 2),
        (Say('{"n": 1}', finish="length"), "cut_off", 1),
        (Say("I will not", finish="content_filter"), "refused", 1),
    ],
)
def test_what_stays_broken_is_rejected(say: Say, reason: str, requests: int) -> None:
    with serving(lambda body, before: say) as stub:
        with pytest.raises(BadAnswer) as caught:
            _asker(stub.url).ask(ASK, SCHEMA, "s")
        assert caught.value.reason == reason
        assert stub.count == requests


@pytest.mark.parametrize(
    ("refuses", "mode"),
    [
        ((), "schema"),
        (("json_schema",), "object"),
        (("json_schema", "json_object"), "none"),
    ],
)
def test_the_response_format_is_found_out_once(
    tmp_path: Path, refuses: tuple[str, ...], mode: str
) -> None:
    def answer(body: Body, before: int) -> Say:
        form = body.get("response_format", {}).get("type")
        return Say("what is that", status=400) if form in refuses else Say('{"n": 1}')

    with serving(answer) as stub:
        cache = AnswerCache(tmp_path / "a.sqlite")
        asker = _asker(stub.url, "auto", cache)
        assert asker.mode == mode
        assert stub.count == len(refuses) + 1
        assert asker.client.usage().failed == {}
        assert _asker(stub.url, "auto", cache).mode == mode
        assert stub.count == len(refuses) + 1
        assert asker.ask(ASK, SCHEMA, "s")[0] == {"n": 1}
    with pytest.raises(ConfigError):
        _asker("http://h/v1", "strict")


# --- answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected", "given", "same"),
    [
        ("text", "Oslo", "oslo.", True),
        ("text", "Oslo", "in Oslo", True),
        ("text", "Oslo", "Lima", None),
        ("text", "3 May 2019", "3 May 2018", False),
        ("text", "3 May 2019", "May 3, 2019", None),
        ("text", "Oslo", "not Oslo", None),
        ("text", "Oslo", "", False),
        ("number", "1,200 kg", "1200", True),
        ("number", "12", "12.0", True),
        ("number", "12", "13", False),
        ("number", "12", "twelve", False),
        ("yesno", "Yes", "yes, it is", True),
        ("yesno", "yes", "no", False),
        ("list", "red, green, blue", "blue, red and green", True),
        ("list", "red, green", "red", False),
        ("text", "1/2", "0.5", True),
    ],
)
def test_answers_agree(kind: str, expected: str, given: str, same: bool | None) -> None:
    assert same_by_rule(kind, expected, given) is same


def test_answers_become_checkable() -> None:
    made = checkable("number", "1,200.5 kg")
    assert made is not None
    assert (made[0].value, made[0].unit, made[1]) == (1200.5, "kg", "number")
    assert checkable("number", "3 to 5") is None
    assert checkable("yesno", "maybe") is None
    assert checkable("list", "one") is None
    assert checkable("text", " ") is None
    assert normal(' "The  End." ') == "the end"


# --- languages and repetitions ------------------------------------------------------------------


def test_languages() -> None:
    assert language_problem("How many rooms does the house have?", "en") == ""
    assert language_problem(
        "\u0421\u043a\u043e\u043b\u044c\u043a\u043e \u043a\u043e\u043c\u043d\u0430\u0442?", "en"
    )
    assert language_problem("How many rooms are there?", "ja")
    german = (
        "Das ist ein Satz, der nicht auf Englisch ist, und er ist lang genug f\u00fcr die Wahl."
    )
    assert language_problem(german, "en-GB") == "reads like 'de', expected 'en'"
    assert language_problem(german, "") == ""
    assert language_problem("42 kg", "ja") == ""


def test_a_second_script_is_seen() -> None:
    assert not mixes_scripts("The angle \u03b1 is 30 degrees, so \u03c0/6.")
    assert mixes_scripts("The answer is four. \u6240\u4ee5\u7b54\u6848\u662f\u56db\u3002")
    assert not mixes_scripts("The word \u6240\u4ee5\u7b54\u6848 means so.", also="What is \u6240?")
    assert not mixes_scripts("1 + 1 = 2")


def test_near_questions_and_documents() -> None:
    assert near_question("What is the total price?", "What is the total price of it?") is False
    assert near_question("What is the total price here?", "What is the total price?")
    assert not near_question("What is the total in 2019?", "What is the total in 2020?")
    assert near_question("What is her age?", "What was her age?", same_answer=True)
    assert not near_question("What is her age?", "What was her age?")
    index = NearIndex(0.7)
    assert index.pair("What is the name of the town in the north?", "Oslo") == 0
    assert index.pair("What is the name of the town in the north?", "Oslo") == 1
    assert index.pair("what is the name of the town in the north", "Oslo!") == 2
    assert index.pair("What is the name of the town up in the north?", "Oslo") == 3
    assert index.pair("What is the name of the town in the south?", "Bergen upon sea") == 0
    assert index.pair("What was sold in 2019 in the shop at the corner?", "bread") == 0
    assert index.pair("What was sold in 2020 in the shop at the corner?", "bread") == 0
    words = [f"word{n}" for n in range(200)]
    assert index.document(" ".join(words)) == 0
    assert index.document(" ".join(["other", *words[1:]])) == 1
    assert index.document(" ".join(reversed(words))) == 0


# --- pairs --------------------------------------------------------------------------------------

DOCUMENT = Document(
    id="d",
    pages=("# Orders\n\nOrder **17** went to Oslo on 3 May.\n| weight | 12.5 kg |\n|---|---|",
           "Order 18 went to Lima. It was paid by Ada Byron."),
    lang="en",
)  # fmt: skip
GOOD = {
    "question": "Where did order 17 go?",
    "answer": "Oslo",
    "evidence": ["Order 17 went to Oslo"],
    "pages": [1],
}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({}, ""),
        ({"evidence": ["went to Oslo on 3 May.", "weight 12.5 kg"]}, ""),
        ({"evidence": []}, "no_evidence"),
        ({"evidence": ["Order 17 went to Rome"]}, "evidence_missing"),
        ({"evidence": ["Order 1"]}, "evidence_missing"),
        ({"pages": [2]}, "evidence_page"),
        ({"pages": []}, "evidence_page"),
        ({"pages": [3]}, "evidence_page"),
        ({"answer": "Rome"}, "answer_not_in_truth"),
        ({"answer": "12", "answer_kind": "number"}, "answer_not_in_truth"),
        ({"answer": "12.5", "answer_kind": "number"}, ""),
        ({"answer": "many", "answer_kind": "number"}, "bad_kind"),
        ({"answer": "Oslo, Lima", "answer_kind": "list"}, ""),
        ({"answer": "Oslo, Rome", "answer_kind": "list"}, "answer_not_in_truth"),
        ({"answer": "yes", "answer_kind": "yesno"}, ""),
        ({"answer": "order 17"}, "answer_in_question"),
        ({"question": "Which went first, Oslo or Lima?", "type": "compare"}, ""),
        ({"question": "According to the text, where did it go?"}, "leak"),
        ({"question": "What does the caption say?"}, "leak"),
        ({"question": "17?"}, "malformed_question"),
        ({"question": "Where <image> did it go?"}, "malformed_question"),
        ({"question": "where " * 80}, "malformed_question"),
        ({"question": "\u0413\u0434\u0435 \u0431\u044b\u043b \u043e\u043d?" * 2}, "language"),
        ({"answer": "x" * 400}, "long_answer"),
        ({"answer": "not stated"}, "wrong_type"),
        ({"type": "count"}, "wrong_type"),
        ({"type": "unanswerable", "answer": "not stated", "evidence": []}, ""),
        ({"type": "unanswerable"}, "wrong_type"),
    ],
)  # fmt: skip
def test_rules_of_pairs(change: Body, rule: str) -> None:
    made = Pair.from_json({**pair(**GOOD), **change})  # type: ignore[arg-type]
    types = ("extractive", "compare", "unanswerable")
    assert pair_problem(made, DOCUMENT, types, LEVELS) == rule


def test_a_question_is_asked_once_about_a_document() -> None:
    first, other = (
        Pair.from_json(pair(q, "Oslo")) for q in ("Where did order 17 go?", "where did order 17 go")
    )
    assert same_question(other, [first]) == "duplicate"
    near = Pair.from_json(pair("Where did the order 17 go?", "Oslo"))
    assert same_question(near, [first]) == "near_duplicate"
    assert same_question(Pair.from_json(pair("Where did order 18 go?", "Lima")), [first]) == ""


def test_prompts_ask_for_every_type_and_fit_their_schema() -> None:
    messages = qa_messages("TEXT", 7, list(TYPES), LEVELS, "de")
    assert all(f"of type {name}" in messages[1]["content"] for name in TYPES)
    assert "2 of type extractive" in messages[1]["content"]
    assert "'de'" in messages[1]["content"]
    assert json.dumps(QA_SCHEMA, separators=(",", ":")) in messages[0]["content"]
    assert schema_problem({"pairs": [pair("q", "a")]}, QA_SCHEMA) == ""
    body: Body = {"messages": messages}
    assert kind_of(body) == "write"


# --- documents ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gt", "pages"),
    [
        ({"markdown": "# A\n\nb"}, ("# A\n\nb",)),
        ({"blocks": [{"markdown": "# A"}, {"latex": "$x$"}, {"text": ""}]}, ("# A\n\n$x$",)),
        ({"pages": [{"blocks": [{"text": "one"}]}, {"text": "two"}]}, ("one", "two")),
        ({"title": "T", "passages": ["p", "q"]}, ("T\n\np\n\nq",)),
        ({"table": {"title": "T", "header": ["a", "b"], "rows": [[1, 2]]}},
         ("T\n\n| a | b |\n| --- | --- |\n| 1 | 2 |",)),
        ({"captions": [{"t0": 0, "t1": 61.5, "text": "A ball."}], "transcript": [{"text": "Hi"}]},
         ("00:00.0-01:01.5 A ball.\n\nSaid: Hi",)),
        ({"shapes": [{"shape": "star", "color": "red", "bbox": [1, 2, 3, 4], "size": 3}],
          "kind": "scene", "seed": 3},
         ("shapes:\n  - shape: star, color: red\nkind: scene",)),
        ({"rooms": [{"name": "hall", "doors": {"north": "open"}}]},
         ("rooms:\n  - name: hall\n    doors:\n      north: open",)),
        ({"caption": "A dog."}, ("A dog.",)),
        ({"bbox": [1, 2, 3, 4], "scores": [1, 2]}, ()),
        ({}, ()),
    ],
)  # fmt: skip
def test_ground_truth_becomes_text(gt: Body, pages: tuple[str, ...]) -> None:
    assert truth_pages(gt) == pages


def test_forms_and_charts_become_tables() -> None:
    (text,) = truth_pages(
        {"forms": {"html": "<table>", "markdown": "| a |"}, "notes": ["n"], "title": "T"}
    )
    assert text == "T\n\n| a |\nn"
    chart = {
        "chart_type": "bar",
        "title": "Rain",
        "x": {"label": "month"},
        "y": {"label": "amount", "unit": "mm"},
        "data_table": [["month", "mm"], ["May", 3]],
    }
    (text,) = truth_pages(chart)
    assert text.startswith(
        "Rain\n\nbar chart\nx axis: month\ny axis: amount (mm)\n\n| month | mm |"
    )


def test_long_documents_become_windows() -> None:
    document = Document(id="d", pages=tuple(f"page {n}" for n in range(5)))
    parts = windows(document, 2)
    assert [p.id for p in parts] == ["d-w00", "d-w01", "d-w02"]
    assert [len(p.pages) for p in parts] == [2, 2, 1]
    assert parts[0].text == "[page 1]\npage 0\n\n[page 2]\npage 1"


def test_documents_are_read_from_truth_or_records(tmp_path: Path) -> None:
    folder = data_set(tmp_path / "set", [facts(0), {"bbox": [1, 2, 3, 4]}, facts(2)])
    _, documents, dropped = read_documents(folder)
    assert [d.id for d in documents] == ["notes-train-000000000", "notes-train-000000002"]
    assert dropped == {"no_text": 1}
    assert documents[0].media[0].name == "notes-train-000000000-image.png"
    _, short, dropped = read_documents(folder, most_chars=50)
    assert len(short[0].text) <= 50
    assert dropped["shortened_text"] == 2
    plain = tmp_path / "plain"
    plain.mkdir()
    long = "A brown dog runs over a green meadow towards the sea."
    thought = f"<think>\nx\n</think>\n\n{long}"
    lines = [
        {"id": "a", "messages": [{"role": "user", "content": "Describe."},
                                 {"role": "assistant", "content": thought}]},
        {"id": "b", "messages": [{"role": "user", "content": "Dog?"},
                                 {"role": "assistant", "content": "yes"}]},
    ]  # fmt: skip
    (plain / "plain.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, documents, dropped = read_documents(plain)
    assert [d.text for d in documents] == [long]
    assert dropped == {"no_text": 1}


# --- traces -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Completion(text="4", reasoning="2 and 2"), ("2 and 2", "4")),
        (Completion(text="<think>\n2 and 2\n</think>\n\n4"), ("2 and 2", "4")),
        (Completion(text="2 and 2\n</think>\n4"), ("2 and 2", "4")),
        (Completion(text="<think></think>4", reasoning="2 and 2"), ("2 and 2", "4")),
        (Completion(text="4"), "no_trace"),
        (Completion(text="<think>a</think>4", reasoning="b"), "bad_trace"),
        (Completion(text="4 <think>a</think>"), "bad_trace"),
        (Completion(text="<think>a</think><think>b</think>4"), "bad_trace"),
        (Completion(text="<think>a"), "bad_trace"),
        (Completion(text="4", reasoning="a <think> b"), "bad_trace"),
        (Completion(text=" ", reasoning="a"), "no_answer"),
        (Completion(text="4", reasoning="a", finish="length"), "cut_off"),
        (Completion(text="4", reasoning="a", finish="content_filter"), "refused"),
    ],
)
def test_thoughts_are_read(answer: Completion, expected: object) -> None:
    thought, problem = read_thought(answer)
    assert (problem or (thought and (thought.trace, thought.text))) == expected


GOOD_TRACE = "First I add two and two. That gives four. So the answer must be four."


@pytest.mark.parametrize(
    ("trace", "rule"),
    [
        (GOOD_TRACE, ""),
        ("short", "trace_too_short"),
        (GOOD_TRACE * 50, "trace_too_long"),
        ("one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
         "sixteen seventeen eighteen nineteen twenty " * 4, "trace_loop"),
        (GOOD_TRACE + " The ground truth says so.", "trace_leak"),
        (GOOD_TRACE + " <|im_end|>", "format"),
        (GOOD_TRACE + " <image>", "format"),
        (GOOD_TRACE + "\u6240\u4ee5\u7b54\u6848\u662f\u56db\u56db", "trace_language"),
    ],
)  # fmt: skip
def test_rules_of_traces(trace: str, rule: str) -> None:
    thought, _ = read_thought(Completion(text="4", reasoning=trace))
    assert thought is not None
    found = thought_problem(thought, "2+2?", language="en", least_tokens=8, most_tokens=600)
    assert found == rule


@pytest.mark.parametrize(
    ("text", "check", "right"),
    [
        ("So the answer is **4**.", ("number", Answer(type="number", value=4)), True),
        ("The answer is (B).", ("mcq", Answer(type="choice", value="B")), True),
        ("\\boxed{5}", ("number", Answer(type="number", value=4)), False),
        ("Final answer: Oslo", None, True),
        ("Bergen", None, None),
    ],
)
def test_final_answers_are_checked(
    text: str, check: tuple[str, Answer] | None, right: bool | None
) -> None:
    thought, _ = read_thought(Completion(text=text, reasoning="well"))
    assert thought is not None
    assert answers_right(thought, "Oslo", check) is right


def test_traces_are_cut_at_sentences() -> None:
    assert cut_trace("Only one. Or two", random.Random(0)) is None
    trace = "One is here. Two follows it. Three is next!\nFour comes then. Five ends it."
    ends = ("here", "it", "next", "then")
    for seed in range(40):
        cut = cut_trace(trace, random.Random(seed))
        assert cut is not None
        text, budget = cut
        assert trace.startswith(text)
        assert len(text) < len(trace)
        assert text.rstrip(".!").endswith(ends)
        assert budget >= len(text) // 4
        assert think_problem(f"<think>\n{text}\n</think>\n\n4") is None
