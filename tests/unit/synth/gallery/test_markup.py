"""Markdown and tables become HTML in which data is never markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings, strategies as st

from nanovl.synth.gallery.markup import has_markup, markdown_html, tables_of, text_table_html
from tests.unit.synth.gallery.data_sets import HOSTILE

SAFE = {
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "code", "pre", "ul", "ol",
    "li", "blockquote", "div", "table", "tr", "th", "td", "sup", "sub",
}  # fmt: skip
ATTRIBUTES = {"class", "start", "rowspan", "colspan"}


class Tags(HTMLParser):
    """Collects tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    tags.close()
    return tags


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# One *two*", "<h1>One <em>two</em></h1>"),
        ("a\nb\n\nc", "<p>a<br>b</p><p>c</p>"),
        ("**x** and `y*`", "<p><strong>x</strong> and <code>y*</code></p>"),
        ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("---", "<hr>"),
        ("> a\n> b", "<blockquote><p>a<br>b</p></blockquote>"),
        ("```py\n<b> # x\n```", "<pre><code>&lt;b&gt; # x</code></pre>"),
        (r"so \(a<b\) is", '<p>so <code class="maths">a&lt;b</code> is</p>'),
        ("x<sup>2</sup>", "<p>x<sup>2</sup></p>"),
        ("2 * 3 * 4", "<p>2 * 3 * 4</p>"),
        (r"a \* b", "<p>a * b</p>"),
    ],
)
def test_markdown(text: str, html: str) -> None:
    assert markdown_html(text) == html


def test_display_maths_stays_as_source() -> None:
    assert markdown_html("\\[\\frac{a}{b}\\]") == '<p class="maths">\\frac{a}{b}</p>'


def test_tables_in_three_languages() -> None:
    wanted = ["Name", "Age", "Ann", "31"]
    for text in (
        "| Name | Age |\n| --- | ---: |\n| Ann | 31 |",
        "\\begin{tabular}{lr}\n\\hline\nName & Age \\\\\n\\hline\nAnn & 31 \\\\\n\\end{tabular}",
        "<table><thead><tr><th>Name</th><th>Age</th></tr></thead>"
        "<tbody><tr><td>Ann</td><td>31</td></tr></tbody></table>",
    ):
        html = markdown_html(f"Before.\n\n{text}\n\nAfter.")
        assert re.findall(r"<t[hd]>(.*?)</t[hd]>", html) == wanted, html
        assert html.startswith("<p>Before.</p>")


def test_spans_are_kept() -> None:
    html = text_table_html(
        '<table><thead><tr><th colspan="2">A</th></tr></thead>'
        "<tbody><tr><td>1</td><td>2</td></tr></tbody></table>",
        "html",
    )
    assert '<th colspan="2">A</th>' in html


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE,
        f"# {HOSTILE}\n\n- {HOSTILE}\n\n> {HOSTILE}\n\n**{HOSTILE}** `{HOSTILE}`",
        f"| {HOSTILE} | b |\n| --- | --- |\n| {HOSTILE} | c |",
        f"<table><tr><td>{HOSTILE}</td></tr></table>",
        f"<table onclick=x><tr><td rowspan={HOSTILE}>a</td></tr></table>",
        '<table><tr><td rowspan="99999999">a</td></tr></table>',
        f"```{HOSTILE}\n{HOSTILE}\n```",
        f"\\[{HOSTILE}\\] \\({HOSTILE}\\) x<sup>{HOSTILE}</sup>",
        f"\\begin{{tabular}}{{l}}{HOSTILE}\\end{{tabular}}",
        "\ufdd00\ufdd1 \ufdd09\ufdd1",
    ],
)
def test_hostile_text_is_text(text: str) -> None:
    tags = parsed(markdown_html(text))
    assert set(tags.tags) <= SAFE, tags.tags
    assert tags.attributes <= ATTRIBUTES


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(list("<>&\"'`*_#|-\\[](){}\n ~=a1.:+\ufdd0\ufdd1")), max_size=80))
def test_no_text_makes_a_tag(text: str) -> None:
    tags = parsed(markdown_html(text))
    assert set(tags.tags) <= SAFE
    assert tags.attributes <= ATTRIBUTES


def test_tables_of_a_ground_truth() -> None:
    truth = {
        "title": "T",
        "forms": {"html": "<table><tr><td>x</td></tr></table>"},
        "data_table": [["a", "b"], ["1", HOSTILE]],
        "pages": [{"class": "table", "cells": [
            {"row": -1, "column": 0, "text": "h"}, {"row": 0, "column": 0, "text": HOSTILE}]}],
    }  # fmt: skip
    found = tables_of(truth)
    assert [title for title, _ in found] == ["T", "T", ""]
    for _, html in found:
        assert set(parsed(html).tags) <= {"div", "table", "tr", "th", "td"}
    assert "<th>h</th>" in found[2][1]


def test_what_looks_like_markup() -> None:
    assert has_markup("# Title")
    assert has_markup("- a list")
    assert not has_markup("just a sentence - with a dash")
