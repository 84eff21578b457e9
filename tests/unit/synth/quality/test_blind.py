"""Questions answered without their pictures: what is given away is found, what is not is left."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import BackendError, ConfigError
from nanovl.synth.base import Answer, Task
from nanovl.synth.model.client import ChatClient, Endpoint
from nanovl.synth.model.limits import Limits
from nanovl.synth.quality import QualityConfig, check
from nanovl.synth.quality.blind import Blind, judge
from nanovl.synth.quality.blindmodel import by_model
from nanovl.synth.quality.guesses import GUESSERS, Asked, guess_all, options_of, skeleton
from tests.unit.synth.model.stub import Body, Say, serving
from tests.unit.synth.quality.planted import dataset, sample

CONFIG = QualityConfig(model="tiny", seq_len=4096)
COLOURS = ("red", "green", "blue", "gray", "teal", "pink", "lime", "navy")


def record(number: int, question: str, said: str, **facts: Any) -> dict[str, Any]:
    """A record about a picture; every one is of a sample of its own."""
    answer = facts.pop("answer", {"type": "text", "value": said})
    media = facts.pop("media", [{"type": "image", "image": f"{number}.png"}])
    return {
        "id": f"r{number}",
        "task": facts.pop("task", "ask"),
        "messages": [
            {"role": "user", "content": [*media, {"type": "text", "text": question}]},
            {"role": "assistant", "content": [{"type": "text", "text": said}]},
        ],
        "metadata": {"verifier": facts.pop("verifier", "exact_ci"), "answer": answer, **facts},
    }


def blind_of(records: Sequence[dict[str, Any]], keep: int = 250) -> Blind:
    blind = Blind(keep=keep)
    for number, one in enumerate(records):
        blind.add(one, f"sample {number}")
    return blind


def best(records: Sequence[dict[str, Any]]) -> tuple[str, float, int]:
    """The guesser that is right most often, its share, and how many kinds are reported."""
    share, found = judge(blind_of(records), "set", CONFIG)
    (kind,) = share.kinds.values()
    assert kind.right == pytest.approx(share.right)
    return kind.by, kind.right, len(found)


def fair(rng: random.Random, number: int) -> dict[str, Any]:
    return record(number, f"What colour is object {rng.randrange(90)}?", rng.choice(COLOURS))


def test_a_fair_question_is_not_reported() -> None:
    rng = random.Random(1)
    _, right, reported = best([fair(rng, k) for k in range(240)])
    assert right < 0.3
    assert reported == 0


def test_an_answer_that_is_always_the_same() -> None:
    rng = random.Random(2)
    made = [
        record(k, f"Is there a {rng.choice(COLOURS)} thing?", "yes" if rng.random() < 0.9 else "no")
        for k in range(240)
    ]
    _, right, reported = best(made)
    assert right == pytest.approx(0.9, abs=0.06)
    assert reported == 1


def test_a_wording_that_gives_the_answer_away() -> None:
    made = []
    for k in range(240):
        shown = k % 2 == 0
        question = f"Which {k} is shown?" if shown else f"Is any {k} there at all?"
        made.append(record(k, question, "yes" if shown else "no"))
    by, right, reported = best(made)
    assert by == "wording"
    assert right == 1.0
    assert reported == 1


def test_words_that_go_with_an_answer() -> None:
    """Each question is unlike every other; one word in it decides."""
    rng = random.Random(3)
    made = []
    for k in range(240):
        colour = COLOURS[k % 4]
        thing = {"red": "apple", "green": "leaf", "blue": "sea", "gray": "cloud"}[colour]
        filler = " ".join(rng.sample(("near", "old", "tall", "left", "far", "wet", "dry"), 4))
        made.append(record(k, f"The {filler} {thing}: which colour?", colour))
    found = guess_all(blind_of(made).kept("ask"))
    assert sum(found["ngrams"]) > 0.9 * 240
    assert sum(found["constant"]) < 0.4 * 240


def test_an_answer_that_stands_in_its_question() -> None:
    rng = random.Random(4)
    made = []
    for k in range(240):
        name = f"Box {rng.randrange(10_000)} {rng.choice('XYZ')}"
        made.append(record(k, f"The page is titled {name} and dated {k}. Its title?", name))
    by, right, reported = best(made)
    assert by == "copied"
    assert right == 1.0
    assert reported == 1


def quiz(rng: random.Random, number: int, *, longest: bool) -> dict[str, Any]:
    options = ["".join(rng.choices("abcdefgh", k=6)) for _ in range(4)]
    right = rng.randrange(4)
    if longest:
        options[right] += "".join(rng.choices("abcdefgh", k=8))
    lines = "\n".join(f"{'ABCD'[k]}. {text}" for k, text in enumerate(options))
    answer = {"type": "choice", "value": "ABCD"[right]}
    return record(number, f"Which is it?\n{lines}", "ABCD"[right], answer=answer, verifier="mcq")


def test_options_are_measured_against_chance() -> None:
    rng = random.Random(5)
    by, right, reported = best([quiz(rng, k, longest=True) for k in range(240)])
    assert (by, reported) == ("option", 1)
    assert right > 0.95
    share, found = judge(blind_of([quiz(rng, k, longest=False) for k in range(240)]), "s", CONFIG)
    assert list(share.kinds) == ["ask (options)"]
    assert share.kinds["ask (options)"].limit == pytest.approx(0.45)
    assert not found
    assert share.right < 0.45


def test_kinds_that_are_worded_alike_are_one() -> None:
    """That something is absent is not given away by a question that is asked of what is there."""
    rng = random.Random(7)
    made = []
    for k in range(300):
        question = f"What is the value of {rng.choice(COLOURS)} in {rng.randrange(1990, 2030)}?"
        if k % 3:
            made.append(record(k, question, str(rng.randrange(9000)), task="value"))
        else:
            made.append(record(k, question, "not shown", task="absent"))
        made.append(record(1000 + k, f"Is item {k} visible?", "yes", task="given"))
    share, found = judge(blind_of(made), "set", CONFIG)
    assert set(share.kinds) == {"absent + value", "given"}
    assert share.kinds["absent + value"].right == pytest.approx(1 / 3, abs=0.01)
    assert [one.message for one in found] == [
        "given: 100.0% of 250 right by constant, expected 60%"
    ]
    assert share.right == pytest.approx(2 / 3, abs=0.01)


def test_numbers_are_guessed_within_their_tolerance() -> None:
    made = []
    for k in range(240):
        value = 100 + k % 41
        answer = {"type": "number", "value": value, "tolerance": 0.25}
        made.append(record(k, "How many?", str(value), answer=answer, verifier="number"))
    _, right, reported = best(made)
    assert right > 0.9
    assert reported == 1


def test_what_is_not_asked() -> None:
    """Text alone, records without a check, and answers nobody could guess."""
    text = record(0, "What is two and two?", "4", media=[])
    plain = record(1, "Read it.", "yes")
    del plain["metadata"]
    long = [record(k, "Read the page.", f"word{k} " * 90) for k in range(2, 122)]
    blind = blind_of([text, plain, *long])
    assert dict(blind.totals) == {"ask": 120}
    share, found = judge(blind, "set", CONFIG)
    assert (share.asked, share.right, found) == (120, 0.0, [])
    assert share.kinds["ask"].tried == 0


def test_samples_are_not_guessed_from_themselves() -> None:
    """Two questions of one picture have one answer; nobody else's helps."""
    blind = Blind(keep=500)
    for k in range(200):
        for again in range(2):
            made = record(2 * k + again, f"What is the name in picture {k}?", f"name{k}")
            blind.add(made, f"sample {k}")
    share, _ = judge(blind, "set", CONFIG)
    assert share.right == 0.0


def test_which_questions_are_kept_does_not_depend_on_the_order() -> None:
    rng = random.Random(6)
    made = [fair(rng, k) for k in range(90)]
    whole = blind_of(made, keep=20)
    first, second = Blind(keep=20), Blind(keep=20)
    for number in reversed(range(90)):
        (first if number % 3 else second).add(made[number], f"sample {number}")
    second.merge(first)
    assert len(whole.kept("ask")) == 20
    assert second.kept("ask") == whole.kept("ask")
    assert second.totals == whole.totals


def test_a_verifier_that_fails_accepts_nothing() -> None:
    asked = [
        Asked(question="?", said="x", verifier="number", answer=Answer(type="number", value="x"),
              fold=k % 5)
        for k in range(10)
    ]  # fmt: skip
    assert all(not any(right) for right in guess_all(asked).values())
    assert set(guess_all([])) == set(GUESSERS)


def test_skeletons_and_options() -> None:
    assert skeleton('How  many "red"  of 3,000 and 2.5?') == "how many _ of # and #?"
    assert options_of("Which?\nA. one\nB. two\nPick a letter.") == {"A": "one", "B": "two"}
    assert options_of("Which?\n(A) one\n(B) two") == {"A": "one", "B": "two"}
    assert options_of("Which?\nB. one\nC. two") == {}
    assert options_of("A. Smith came.") == {}


def tasks(number: int) -> tuple[Task, ...]:
    answer = Answer(type="bool", value=True)
    return (
        Task(task="given", question=f"Is {number} shown?", answer_text="yes", answer=answer,
             verifier="exact_ci", media=("p000",), template=f"t{number % 60}"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = [sample(number, tasks=tasks(number)) for number in range(104)]
    return dataset(tmp_path_factory.mktemp("blind") / "set", made, size=26)


def test_a_check_reports_it_and_drops_nothing(folder: Path, tmp_path: Path) -> None:
    report = check([folder], config=CONFIG, out=tmp_path / "r", workers=2)
    assert report.counts["blind_answer"] == {"set": 1}
    assert report.num_dropping == 0
    (found,) = report.examples["blind_answer"]
    assert found.message == "given: 100.0% of 104 right by constant, expected 60%"
    kept = json.loads((tmp_path / "r" / "report.json").read_text())
    assert kept["blind"]["set"]["right"] == 1.0
    assert kept["blind"]["set"]["kinds"]["given"]["by"] == "constant"
    skipped = check([folder], config=QualityConfig(model="tiny", skip=("blind_answer",)))
    assert skipped.blind == {}
    assert "blind_answer" not in skipped.counts


def test_thresholds_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"blind 1\.5"):
        QualityConfig(blind=1.5)


# -- A model ----------------------------------------------------------------------------------


@pytest.fixture
def client() -> Iterator[Any]:
    """A client of an endpoint that knows one answer, and what it was asked."""
    bodies: list[Body] = []

    def answer(body: Body, _again: int) -> Say:
        bodies.append(body)
        question = body["messages"][-1]["content"]
        if "broken" in question:
            return Say(status=400, text="no")
        return Say(text=f"<think>hm</think>name {question.split()[-1].rstrip('?')}")

    with serving(answer) as stub:
        where = Endpoint(url=stub.url, model="m")
        yield ChatClient(where, Limits(parallel=2)), bodies


def test_a_model_is_one_more_guesser(client: Any) -> None:
    asked, bodies = client
    made = [record(k, f"What is object {k}?", f"name {k}") for k in range(120)]
    share, found = judge(blind_of(made), "set", CONFIG, by_model(asked))
    assert share.kinds["ask"].by == "model"
    assert share.right == 1.0
    assert found[0].message == "ask: 100.0% of 120 right by model, expected 60%"
    assert len(bodies) == 120
    assert all(isinstance(m["content"], str) for body in bodies for m in body["messages"])


def test_requests_without_an_answer_and_budgets(client: Any) -> None:
    asked, _ = client
    assert list(by_model(asked)(["What is 7?", "broken?"])) == ["name 7", ""]
    asked.stop("the budget is used up")
    with pytest.raises(BackendError, match="2 questions left: the budget is used up"):
        by_model(asked)(["What is 8?", "What is 9?"])
