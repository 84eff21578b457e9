"""Documents of many pages: what is asked stands where it is said to stand, and adds up."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Sample
from nanovl.synth.multipage.flowing import Size
from nanovl.synth.multipage.generator import KINDS, MultipageGenerator, create
from nanovl.synth.records import sample_records
from tests.unit.synth.checks import (
    check_golden,
    check_hash_seeds,
    check_others_fail,
    check_sample,
    made,
    make,
    yes_share,
)

PLAIN: dict[str, Any] = {
    "fonts": ["builtin"], "max_pages": 7, "augment": "none", "as_text": 0.0,
}  # fmt: skip


def only(kind: str, **settings: Any) -> MultipageGenerator:
    return create({**PLAIN, "kinds": [kind], **settings})


def page_text(sample: Sample, page: int) -> str:
    """All that a page says, blanks made single."""
    words = []
    for block in sample.gt["pages"][page - 1]["blocks"]:
        words.append(block["text"])
    return " ".join(" ".join(words).split())


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_samples_are_sound(kind: str) -> None:
    samples = made(only(kind), 12)
    for sample in samples:
        assert 2 <= len(sample.media) <= 7
        check_sample(sample)
        pages = sample.gt["pages"]
        assert [p["page"] for p in pages] == list(range(1, len(sample.media) + 1))
        for question in sample.gt["questions"]:
            for place in question["evidence"]:
                x0, y0, x1, y1 = place["bbox"]
                page = pages[place["page"] - 1]
                assert 0 <= x0 < x1 <= page["width"]
                assert 0 <= y0 < y1 <= page["height"]
    check_others_fail(samples)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_facts_stand_on_the_page_that_is_named(kind: str) -> None:
    checked = 0
    for sample in made(only(kind), 8):
        for fact in sample.gt["facts"]:
            pages = [place["page"] for place in fact["evidence"]]
            assert pages, fact
            if len(pages) == 1:
                assert fact["sentence"] in page_text(sample, pages[0])
                assert fact["value"].rstrip(".") in fact["sentence"]
                checked += 1
            if fact["number"] is not None:
                shown = re.sub(r"[^\d.,-]", "", fact["value"]).strip(",.")
                assert float(shown.replace(",", "")) == pytest.approx(fact["number"])
    assert checked > 20


def test_evidence_boxes_hold_the_ink_of_their_sentence() -> None:
    sample = make(only("report"), 3)
    assert sample is not None
    for fact in sample.gt["facts"]:
        for place in fact["evidence"]:
            media = sample.media[place["page"] - 1]
            pixels = np.asarray(Image.open(io.BytesIO(media.data)).convert("L"), dtype=int)
            x0, y0, x1, y1 = (int(v) for v in place["bbox"])
            part = pixels[y0 : y1 + 1, x0 : x1 + 1]
            assert part.max() - part.min() > 80


def test_headings_begin_on_their_pages_and_contents_agree() -> None:
    seen = 0
    for sample in [*made(only("manual"), 6), *made(only("report"), 6)]:
        entries = re.findall(r"(\S[^.]*?)(?: \.)+ (\d+)", page_text(sample, 1))
        headings = {h["text"]: h["evidence"][0]["page"] for h in sample.gt["headings"]}
        for text, page in entries:
            name = next((h for h in headings if text.endswith(h)), None)
            if name is not None:
                assert headings[name] == int(page)
                assert name in page_text(sample, int(page))
                seen += 1
    assert seen > 20


@pytest.mark.slow
def test_sums_and_extremes_follow_from_the_facts() -> None:
    seen = set()
    generators = [only(k, tasks=14) for k in ("invoices", "slides", "report", "statement")]
    for sample in [s for g in generators for s in made(g, 7)]:
        values: dict[str, dict[str, float]] = {}
        for fact in sample.gt["facts"]:
            if fact["number"] is not None:
                values.setdefault(fact["relation"], {})[fact["subject"]] = fact["number"]
        for task in sample.tasks:
            kind = task.task.removeprefix("pages_").removesuffix("_text")
            nouns = [n for n in values if n in task.question]
            if not nouns:
                continue
            noun = max(nouns, key=len)
            named = [s for s in values[noun] if s in task.question]
            if kind == "sum_all":
                assert task.answer.value == pytest.approx(sum(values[noun].values()), abs=0.02)
            elif kind == "sum":
                told = sum(values[noun][s] for s in named)
                assert task.answer.value == pytest.approx(told, abs=0.02)
            elif kind == "difference" and len(named) == 2:
                a, b = (values[noun][s] for s in named)
                assert task.answer.value == pytest.approx(abs(a - b), abs=0.02)
            elif kind in ("most", "least") and task.verifier == "exact_ci":
                best = max if kind == "most" else min
                assert task.answer.value == best(values[noun], key=values[noun].__getitem__)
            elif kind == "is_larger" and len(named) == 2:
                first, second = sorted(named, key=task.question.index)
                assert task.answer.value == (values[noun][first] > values[noun][second])
            else:
                continue
            seen.add(kind)
    assert seen >= {"sum_all", "sum", "difference", "most", "least", "is_larger"}


@pytest.mark.slow
def test_invoices_and_statements_close() -> None:
    for sample in made(only("invoices", max_pages=12), 6):
        totals = [f["number"] for f in sample.gt["facts"] if f["relation"] == "total"]
        for total, exhibit in zip(totals, sample.gt["exhibits"], strict=True):
            amounts = [float(row[3].replace(",", "")) for row in exhibit["rows"]]
            parts = [int(r[1]) * float(r[2].replace(",", "")) for r in exhibit["rows"]]
            assert sum(amounts) == pytest.approx(total, abs=0.01)
            assert parts == pytest.approx(amounts, abs=0.01)
    for sample in made(only("statement", max_pages=12), 6):
        opening = [f["number"] for f in sample.gt["facts"] if f["relation"] == "opening balance"]
        closing = [f["number"] for f in sample.gt["facts"] if f["relation"] == "closing balance"]
        for first, last, exhibit in zip(opening, closing, sample.gt["exhibits"], strict=True):
            moves = [float(row[3].replace(",", "")) for row in exhibit["rows"]]
            assert first + sum(moves) == pytest.approx(last, abs=0.01)
        assert opening[1:] == closing[:-1]


@pytest.mark.slow
def test_tables_go_on_with_their_head_and_rows_in_order() -> None:
    spanning = 0
    for sample in made(only("statement", min_pages=5, max_pages=14, tasks=20), 8):
        for exhibit in sample.gt["exhibits"]:
            parts = []
            for page in sample.gt["pages"]:
                for block in page["blocks"]:
                    texts = [c["text"] for c in block.get("cells", ()) if c["row"] == -1]
                    rows = {c["row"]: c["text"] for c in block.get("cells", ()) if c["column"] == 4}
                    if texts == exhibit["header"]:
                        parts.append((page["page"], [rows[r] for r in sorted(rows) if r >= 0]))
            mine = [p["page"] for p in exhibit["evidence"]]
            shown = [text for page, texts in parts if page in mine for text in texts]
            wanted = [row[4] for row in exhibit["rows"]]
            assert "|".join(wanted) in "|".join(shown)
            spanning += len(set(mine)) > 1
        for task in sample.tasks:
            if task.task == "pages_span_rows":
                label = re.search(r"Table \d+", task.question)
                assert label is not None
                found = next(e for e in sample.gt["exhibits"] if e["label"] == label[0])
                assert task.answer.value == len(found["rows"])
    assert spanning >= 2


@pytest.mark.slow
def test_references_lead_where_they_say() -> None:
    seen = set()
    for sample in made(only("paper", tasks=20, min_pages=4, max_pages=8), 9):
        sources = {s["title"]: s for s in sample.gt["sources"]}
        years = {s["year"] for s in sample.gt["sources"]}
        for task in sample.tasks:
            if task.task == "pages_cite_title":
                assert task.answer.value in sources
            elif task.task == "pages_cite_year":
                assert task.answer.value in years
            elif task.task == "pages_who_cites":
                mark = re.search(r"\[\d+\]", task.question)
                assert mark is not None
                number = int(mark[0].strip("[]")) - 1
                pointers = [p for p in sample.gt["pointers"]
                            if p["kind"] == "source" and p["target"] == number]  # fmt: skip
                assert [sample.gt["headings"][p["section"]]["title"] for p in pointers] == [
                    task.answer.value
                ]
                assert mark[0] in pointers[0]["sentence"]
            else:
                continue
            seen.add(task.task)
    assert len(seen) == 3


@pytest.mark.slow
def test_what_is_not_stated_is_nowhere() -> None:
    seen = 0
    for kind in ("invoices", "report"):
        for sample in made(only(kind, unanswerable=1.0), 8):
            facts = {(f["subject"], f["relation"]) for f in sample.gt["facts"]}
            for task in sample.tasks:
                if task.task == "pages_missing":
                    assert not any(s in task.question and r in task.question for s, r in facts)
                    seen += 1
    assert seen >= 10


def test_records_label_pages_and_hold_conversations() -> None:
    generator = only("slides", labels=1.0, dialogue=1.0, as_text=1.0)
    sample = replace(made(generator, 1)[0], id="multipage-train-000000000")
    records = sample_records(sample)
    images = [f"{sample.id}-{m.name}.{m.ext}" for m in sample.media]
    kinds = set()
    for record, task in zip(records, sample.tasks, strict=True):
        shown = [f.value for m in record.messages for f in m.content if f.type == "image"]
        if task.task.endswith("_text"):
            assert shown == []
            assert "[Page 2]" in task.question
            kinds.add("text")
        elif task.task == "pages_dialogue":
            assert shown == images
            assert len(record.messages) >= 6
            assert record.messages[-1].text == task.answer_text
            kinds.add("dialogue")
        else:
            assert shown == images
            first = record.messages[0].content
            assert [f.type for f in first[:3]] == ["text", "image", "text"]
            assert "1" in first[0].value
            kinds.add("labels")
    assert kinds == {"text", "dialogue", "labels"}


@pytest.mark.slow
def test_length_follows_the_settings() -> None:
    long = only("report", min_pages=10, max_pages=14, max_tokens=0)
    sample = make(long, 1)
    assert sample is not None
    assert 10 <= len(sample.media) <= 14
    tokens = sample.gt["visual_tokens"]
    assert tokens % 256 == 0
    few = only("report", max_tokens=tokens - 256, min_pages=10, max_pages=14)
    for sample in (make(few, k) for k in range(2)):
        assert sample is None or sample.gt["visual_tokens"] < tokens


def test_more_text_keeps_what_was_there() -> None:
    for kind, build in KINDS.items():
        small, large = build(5, Size(3, 1, 6)), build(5, Size(3, 2, 6))
        assert len(large.blocks) >= len(small.blocks)
        assert [f.sentence for f in small.facts] == [f.sentence for f in large.facts], kind


@pytest.mark.slow
def test_yes_and_no_are_even() -> None:
    samples = [s for k in ("slides", "report") for s in made(only(k, tasks=20), 36)]
    assert 0.33 < yes_share(samples) < 0.67


@pytest.mark.parametrize("kind", ["paper", "invoices"])
def test_golden_sample(kind: str, request: pytest.FixtureRequest) -> None:
    sample = make(only(kind, max_pages=3), 2)
    assert sample is not None
    plain = replace(
        sample, gt={k: v for k, v in sample.gt.items() if k not in ("pages", "page_map")}
    )
    check_golden(f"multipage-{kind}", plain, request.config.getoption("--update-golden"))


def test_hash_seeds_do_not_matter() -> None:
    check_hash_seeds("nanovl.synth.multipage.generator", '{"fonts": ["builtin"], "max_pages": 4}')


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"kinds": ["novel"]}, "novel"),
        ({"min_pages": 9, "max_pages": 4}, "min_pages"),
        ({"max_pages": 99}, "64"),
        ({"tasks": 0}, "tasks"),
        ({"labels": 2.0}, "labels"),
        ({"min_tokens": 9, "max_tokens": 8}, "min_tokens"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        create(settings)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="needs tesseract: apt install tesseract-ocr"
)
def test_an_independent_reader_reads_the_pages(tmp_path: Path) -> None:
    right = total = 0
    for sample in made(only("report", max_pages=4), 4):
        for number, media in enumerate(sample.media, 1):
            image = Image.open(io.BytesIO(media.data)).convert("L")
            # Charts and tables are read badly as lines of text: only paragraphs are compared.
            for block in sample.gt["pages"][number - 1]["blocks"]:
                if block["class"] != "text":
                    continue
                x0, y0, x1, y1 = (round(v) for v in block["bbox"])
                part = image.crop((x0 - 8, y0 - 8, x1 + 8, y1 + 8))
                part = part.resize((2 * part.width, 2 * part.height), Image.Resampling.LANCZOS)
                path = tmp_path / "part.png"
                part.save(path, dpi=(200, 200))
                done = subprocess.run(
                    ["tesseract", str(path), "-", "--psm", "6", "-l", "eng"],
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                given = set(done.stdout.split())
                words = block["text"].split()
                right += sum(w in given for w in words)
                total += len(words)
    assert total > 400
    assert right / total >= 0.98, (right, total)
