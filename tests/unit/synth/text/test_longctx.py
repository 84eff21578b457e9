"""Long prompts: length, needles, answers found again in the text."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.processing.tokenizer import byte_tokenizer
from nanovl.synth.base import Sample
from nanovl.synth.text.longctx import SLACK, TASKS, LongContextConfig, LongContextGenerator, create
from tests.unit.synth.checks import check_hash_seeds, made, make
from tests.unit.synth.text.text_checks import check_text, shown, task_right


def _generator(task: str, **settings: Any) -> LongContextGenerator:
    config = LongContextConfig(min_tokens=2048, max_tokens=4096, tasks=(task,), **settings)
    return LongContextGenerator(config)


def _check_length_and_needles(generator: LongContextGenerator, sample: Sample) -> None:
    prompt = sample.tasks[0].question
    ids = generator.tokenizer.encode(prompt)
    target = sample.gt["target_tokens"]
    assert len(ids) == sample.gt["tokens"]
    assert (1 - SLACK) * target <= len(ids) <= target
    for needle in sample.gt["needles"]:
        at = needle["char_offset"]
        sentence = prompt[at : prompt.index(".", at)]
        assert prompt.count(sentence) == 1
        assert needle["value"] in sentence or needle["key"] in sentence
        rest = generator.tokenizer.decode(ids[needle["token_offset"] :])
        assert rest.lstrip().startswith(sentence[:20])


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_is_sound(task: str) -> None:
    generator = _generator(task)
    for sample in made(generator, 6):
        check_text(sample)
        _check_length_and_needles(generator, sample)


def test_training_wording_is_not_that_of_the_benchmark() -> None:
    for name in TASKS:
        for sample in made(_generator(name), 2):
            text = sample.tasks[0].question.lower()
            assert "special magic" not in text
            assert "memorize" not in text


def test_needles_are_read_back() -> None:
    for sample in made(_generator("needle_queries"), 6):
        by_key = {n["key"]: n["value"] for n in sample.gt["needles"]}
        asked = re.findall(r"the (\w+ \w+)", sample.tasks[0].question.rsplit("\n\n", 1)[1])
        values = [by_key[k] for k in asked if k in by_key]
        assert ", ".join(values) == sample.tasks[0].answer_text


def test_variables_are_followed_here() -> None:
    for sample in made(_generator("variable_chain"), 8):
        prompt = sample.tasks[0].question
        value = re.search(r"\b(\d{5})\b", prompt.rsplit("\n\n", 1)[1])
        assert value is not None
        holds: dict[str, str] = {}
        pattern = (
            r"LET (\w{5}) = (\w{5})|SET (\w{5}) TO (\w{5})|(\w{5}) := (\w{5})|STORE (\w{5}) IN "
            r"(\w{5})"
        )
        for a, b, c, d, e, f, g, h in re.findall(pattern, prompt):
            name, source = (a or c or e, b or d or f) if not g else (h, g)
            holds[name] = holds.get(source, source)
        found = [n for n, v in holds.items() if v == value[1]]
        assert found == sample.gt["outputs"]
        assert len(found) == 5


def test_words_are_counted_here() -> None:
    for sample in made(_generator("common_words"), 5):
        body = sample.tasks[0].question.split("\n\n")[1]
        counts = Counter(re.findall(r"\d+\. (\w+)", body))
        top = counts.most_common()
        assert sorted(w for w, _ in top[:10]) == sample.gt["outputs"]
        assert top[9][1] > top[10][1]
    for sample in made(_generator("frequent_codes"), 5):
        counts = Counter(sample.tasks[0].question.split("\n\n")[1].split())
        assert counts.most_common(1)[0][0] == "...."
        del counts["...."]
        top = counts.most_common()
        assert [w for w, _ in top[:3]] == sample.gt["outputs"]
        assert len({n for _, n in top[:4]}) == 4


def test_ledgers_and_logs_are_added_up_here() -> None:
    sums = 0
    for sample in made(_generator("ledger"), 12):
        body, question = sample.tasks[0].question.rsplit("\n\n", 1)
        rows = re.findall(r"^\d+ \| (\w+) \| ([\w ]+) \| (\d+) euros$", body, re.M)
        assert len(rows) == sample.gt["lines"]
        who = next((w for w, _, _ in rows if re.search(rf"\b{w}\b", question)), None)
        if who:
            sums += 1
            expected = sum(int(n) for w, _, n in rows if w == who)
        else:
            account = next(a for _, a, _ in rows if a in question)
            expected = max(int(n) for _, a, n in rows if a == account)
        assert sample.tasks[0].answer.value == expected
    assert sums > 2
    for sample in made(_generator("log_analysis"), 8):
        body, question = sample.tasks[0].question.rsplit("\n\n", 1)
        rows = re.findall(r"^(\S+) (\w+) (\w+): .*?(\d+) ms$", body, re.M)
        service = next(s for _, _, s, _ in rows if re.search(rf"\b{s}\b", question))
        answer = sample.tasks[0].answer.value
        if isinstance(answer, int):
            assert answer == sum(level == "ERROR" and s == service for _, level, s, _ in rows)
        else:
            best = max(int(ms) for _, _, s, ms in rows if s == service)
            assert (answer, best) in {(t, int(ms)) for t, _, s, ms in rows if s == service}


def test_other_answers_fail() -> None:
    samples = made(LongContextGenerator(LongContextConfig(min_tokens=2048, max_tokens=2500)), 20)
    for one, other in itertools.pairwise(samples):
        if one.gt["outputs"] != other.gt["outputs"]:
            assert not task_right(one.tasks[0], other.tasks[0].answer_text)


def test_a_corpus_and_another_tokenizer(tmp_path: Path) -> None:
    corpus = tmp_path / "essay.txt"
    lines = [f"This is sentence number {k} of an essay about nothing much." for k in range(400)]
    corpus.write_text(" ".join(lines))
    config = LongContextConfig(
        min_tokens=6000, max_tokens=6000, tasks=("needle_prose",), corpus=(str(corpus),)
    )
    generator = LongContextGenerator(config, byte_tokenizer())
    sample = make(generator, 0)
    assert sample is not None
    assert "of an essay about nothing much" in sample.tasks[0].question
    prompt = sample.tasks[0].question
    assert 5880 <= len(prompt.encode()) == sample.gt["tokens"] <= 6000
    corpus.write_text("Too short.")
    with pytest.raises(InputError, match="at least 50"):
        LongContextGenerator(config, byte_tokenizer())


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="max_tokens"):
        create({"max_tokens": 400_000})
    with pytest.raises(ConfigError, match="ledger"):
        create({"tasks": ["ledgers"]})


@pytest.mark.slow
def test_the_longest_prompts() -> None:
    config = LongContextConfig(min_tokens=300_000, max_tokens=310_000)
    generator = LongContextGenerator(config)
    for sample in made(generator, 4):
        _check_length_and_needles(generator, sample)


def test_golden(golden: Callable[[str, Any], None]) -> None:
    sample = make(LongContextGenerator(), 0)
    assert sample is not None
    golden("synth/text-longctx.json", shown(sample))


def test_hash_seeds_do_not_matter() -> None:
    check_hash_seeds("nanovl.synth.text.longctx", indices="range(8)")
