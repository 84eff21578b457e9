"""LaTeX sources say what their plan says; no engine is needed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.papers import dress as looks
from nanovl.synth.papers.dress import CLASSES, Dress, chosen_class, draw_dress
from nanovl.synth.papers.generator import create
from nanovl.synth.papers.plan import (
    Code,
    Display,
    Figure,
    Items,
    Paper,
    Tabular,
    Theorem,
    draw_paper,
)
from nanovl.synth.papers.source import escaped, write_source


@pytest.fixture(autouse=True)
def _all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "is_installed", lambda name: name in CLASSES)


def made(name: str, seed: int, lang: str = "en", words: int = 900) -> tuple[Paper, Dress]:
    rng = random.Random(seed)
    dress = draw_dress(rng, [name], ["article"], lang)
    return draw_paper(lang, dress.shape(words, 0.2), rng), dress


@pytest.mark.parametrize(
    ("name", "lang"), [("article", "de"), ("IEEEtran", "en"), ("scrreprt", "fr"), ("beamer", "it")]
)
def test_golden_sources(name: str, lang: str, golden: Callable[[str, Any], None]) -> None:
    paper, dress = made(name, 11, lang, words=300)
    golden(f"synth/papers-{name}.tex", write_source(paper, dress))


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_source_holds_the_plan(name: str) -> None:
    for seed in range(6):
        paper, dress = made(name, seed)
        source = write_source(paper, dress)
        count = source.count
        body = paper.body
        assert source.startswith("\\documentclass")
        assert source.endswith("\\end{document}\n")
        assert count("\\footnote{") == len(paper.notes())
        lists = sum(b.count() for b in body if isinstance(b, Items))
        entries = 0 if name == "beamer" else len(paper.references)
        assert count("\\item") + count("\\bibitem") == lists + entries
        for kind, begin in ((Tabular, "tabular"), (Figure, "tikzpicture"), (Theorem, "our")):
            if kind is not Theorem or name != "beamer":
                found = count(f"\\begin{{{begin}")
                assert found == sum(isinstance(b, kind) for b in body), (name, kind)
        for block in body:
            if isinstance(block, Display):
                assert all(row in source for row in block.formula.rows)
            if isinstance(block, Code):
                assert "\n".join(block.lines) in source
        for heading in paper.headings():
            assert f"{{{escaped(heading.text)}}}" in source
        opened = re.findall(r"\\(begin|end)\{(\w+\*?)\}", source)
        stack: list[str] = []
        for what, environment in opened:
            if what == "begin":
                stack.append(environment)
            else:
                assert stack.pop() == environment
        assert not stack


def test_references_are_numbers_or_labels() -> None:
    seen = set()
    for seed in range(30):
        paper, dress = made("article", seed)
        source = write_source(paper, dress)
        seen.add(dress.are_references_literal)
        used = set(re.findall(r"\\(?:eq)?ref\{([^}]*)\}", source))
        known = set(re.findall(r"\\label\{([^}]*)\}", source))
        assert used <= known
        cited = {k for m in re.findall(r"\\cite\{([^}]*)\}", source) for k in m.split(",")}
        assert cited <= set(re.findall(r"\\bibitem\{([^}]*)\}", source))
        if dress.are_references_literal:
            assert not known
            assert not cited
    assert seen == {True, False}


def test_the_same_draws_give_the_same_source() -> None:
    assert write_source(*made("report", 3)) == write_source(*made("report", 3))


def test_special_characters_are_escaped() -> None:
    assert escaped("5% of $3 & a_b{c}") == "5\\% of \\$3 \\& a\\_b\\{c\\}"


def test_a_missing_class_gives_way_in_the_order_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(looks, "is_installed", lambda name: name in ("article", "report"))
    assert chosen_class("llncs", ["scrartcl", "report", "article"]).name == "report"
    needs = {n.name: n for n in looks.class_needs()}
    assert needs["llncs.cls"].install == "apt install texlive-publishers"
    with pytest.raises(Exception, match=r"llncs\.cls and its substitutes"):
        chosen_class("llncs", ["scrartcl"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": ["articel"]}, "article"),
        ({"languages": ["xx"]}, "languages"),
        ({"words": [900, 100]}, "words"),
        ({"maths": 0.9}, "maths"),
        ({"image": "gif"}, "image"),
        ({"pages": 0}, "pages"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create(settings)
