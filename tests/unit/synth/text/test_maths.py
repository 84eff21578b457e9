"""Word problems: graphs, stories, answers."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.text.maths import MathsConfig, MathsGenerator, create
from nanovl.synth.text.steps import PHRASES, Graph, combine, is_fit, show
from nanovl.synth.text.stories import MORE, SCHEMAS
from nanovl.synth.text.wording import decimal_text
from tests.unit.synth.checks import check_hash_seeds, made, make
from tests.unit.synth.text.text_checks import check_text, shown, task_right


def test_there_are_enough_schemas_and_phrasings() -> None:
    assert len(SCHEMAS) >= 60
    assert len({s.name for s in (*SCHEMAS, *MORE)}) == len(SCHEMAS) + len(MORE)
    assert all(len(bank) >= 5 for bank in PHRASES.values())


def test_answers_follow_from_the_stored_graph() -> None:
    """Computed here from the JSON alone, in exact fractions."""
    for sample in made(MathsGenerator(), 300):
        values: dict[str, Fraction] = {}
        for node in sample.gt["graph"]:
            value = Fraction(node["value"])
            if node["op"]:
                x, y = (values[i] for i in node["inputs"])
                assert combine(node["op"], x, y) == value
            values[node["id"]] = value
        assert str(value) == sample.gt["answer"]
        assert sample.tasks[0].answer.value == pytest.approx(float(value))
        steps = sum(1 for node in sample.gt["graph"] if node["op"])
        assert f"steps:{steps}" in sample.tags
        # Every number of the story is in its text, as it is written.
        for name, given in sample.gt["params"].items():
            if name not in ("ten", "three"):
                value = Fraction(given)
                forms = (decimal_text(value), str(value), show(value, "$"))
                assert any(form in sample.gt["problem"] for form in forms), (name, given)


def test_samples_are_sound_and_become_records() -> None:
    for sample in made(MathsGenerator(), 150):
        records = check_text(sample)
        assert records[0].has_trace
        assert records[0].reasoning is None
        assert not sample.gt["problem"].count("{")
        if len(sample.tasks) == 2:
            assert records[1].reasoning == "off"
            assert sample.tasks[0].answer_text == f"\\boxed{{{sample.gt['answer_latex']}}}"


def test_wrong_answers_fail() -> None:
    samples = made(MathsGenerator(), 60)
    for one, other in itertools.pairwise(samples):
        if one.gt["answer"] != other.gt["answer"]:
            assert not task_right(one.tasks[0], other.tasks[0].answer_text)


def test_every_schema_and_length_occurs() -> None:
    lengths: Counter[int] = Counter()
    first: set[str] = set()
    for sample in made(MathsGenerator(), 1500):
        lengths[sample.quality["steps"]] += 1
        first.add(sample.gt["schema"][0])
    assert set(lengths) == set(range(1, 9))
    assert min(lengths.values()) > 100
    assert first == {s.name for s in SCHEMAS}


def test_length_bounds_hold() -> None:
    for sample in made(MathsGenerator(MathsConfig(min_steps=3, max_steps=3)), 30):
        assert sample.quality["steps"] == 3
    with pytest.raises(ConfigError, match="min_steps"):
        create({"min_steps": 9})


@pytest.mark.parametrize(
    ("value", "unit", "fits"),
    [(Fraction(5), "apples", True), (Fraction(5, 2), "apples", False), (Fraction(5, 2), "$", True),
     (Fraction(1, 3), "km", False), (Fraction(-1), "km", False), (Fraction(1, 8), "", False)],
)  # fmt: skip
def test_what_a_story_may_hold(value: Fraction, unit: str, fits: bool) -> None:
    assert is_fit(value, unit) is fits


def test_a_graph_by_hand() -> None:
    graph = Graph()
    graph.give("a", Fraction(20), "$")
    graph.give("p", Fraction(15))
    graph.apply("t", "%", "p", "a", what="the cut", unit="$")
    graph.apply("s", "-", "a", "t", what="the price", unit="$")
    assert graph.nodes["s"].value == 17
    assert graph.again()["s"] == 17
    assert graph.expression("s") == "20 - (\\frac{15}{100} \\cdot 20)"
    assert show(Fraction(7, 2), "$") == "$3.50"
    assert show(Fraction(2, 5), "/") == "2/5"


def test_golden(golden: Callable[[str, Any], None]) -> None:
    sample = make(MathsGenerator(), 2)
    assert sample is not None
    golden("synth/text-maths.json", shown(sample))


def test_hash_seeds_do_not_matter() -> None:
    check_hash_seeds("nanovl.synth.text.maths", indices="range(40)")
