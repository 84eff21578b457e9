"""Converters of nanovl's own training data, on samples written here, and on the data if present."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import ConfigError, InputError
from nanovl.data.config import DataConfig
from nanovl.data.convert import FORMATS
from nanovl.data.convert.base import Converted, ConvertOptions
from nanovl.data.convert.markup import is_number, markdown_table
from nanovl.data.convert.pictures import clipart_label
from nanovl.data.convert.prose import paragraphs, windows
from nanovl.data.encode import SampleEncoder
from nanovl.data.records import Record
from nanovl.testing.media import picture_bytes
from nanovl.testing.models import tiny_processor

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def tar(path: Path, samples: Mapping[str, Mapping[str, Any]], picture: bytes = b"") -> Path:
    """Two members per sample, the picture (else the sample's key) first."""
    with tarfile.open(path, "w") as archive:
        for key, data in samples.items():
            for suffix, content in (
                ("webp", picture or key.encode()),
                ("json", json.dumps(data).encode()),
            ):
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def lines(path: Path, rows: Iterable[Any]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    return path


class Run:
    """The records of one conversion by id, and what was dropped."""

    def __init__(self, name: str, source: Path, *, limit: int | None = None, **options: Any):
        self.drops: list[tuple[str, str, str]] = []
        given = ConvertOptions(on_drop=lambda *what: self.drops.append(what), **options)
        self.made: dict[str, Converted] = {}
        for made in FORMATS[name].convert(source, given):
            assert made.record.id not in self.made
            assert Record.from_json(made.record.to_json(), where="x") == made.record
            assert {f.value for f in made.record.media} == set(made.media)
            self.made[made.record.id] = made
            if len(self.made) == limit:
                break

    def __getitem__(self, key: str) -> Record:
        return self.made[key].record

    def question(self, key: str) -> str:
        return self[key].messages[-2].text

    def answer(self, key: str) -> str:
        return self[key].messages[-1].text

    def digest(self) -> str:
        text = "\n".join(json.dumps(m.record.to_json()) for m in self.made.values())
        return hashlib.sha256(text.encode()).hexdigest()[:16]


# -- Pictures -----------------------------------------------------------------------------------

SIZE = {"width": 400, "height": 300}


def receipt(**changes: Any) -> dict[str, Any]:
    return {
        "id": "sroie-1",
        **SIZE,
        "fields": {"company": "ACME", "date": "1/2/2018", "address": "1 ROAD", "total": "9.00"},
        "lines": [
            {"bbox": [600, 105, 900, 150], "text": "9.00"},
            {"bbox": [50, 20, 900, 60], "text": "ACME"},
            {"bbox": [50, 100, 300, 140], "text": "TOTAL"},
        ],
        **changes,
    }


def test_receipts_byte_for_byte(tmp_path: Path) -> None:
    tar(tmp_path / "sroie_train.tar", {"sroie-1": receipt()})
    run = Run("nanovl-receipts", tmp_path)
    assert {k.removeprefix("receipts-sroie-1-"): run.answer(k) for k in run.made} == {
        "company": "ACME",
        "date": "1/2/2018",
        "address": "1 ROAD",
        "total": "9.00",
        "json": '{"company": "ACME", "date": "1/2/2018", "address": "1 ROAD", "total": "9.00"}',
        "ocr": "ACME\nTOTAL 9.00",
        "ocr-boxes": "<ref>ACME</ref><box>(50,20),(900,60)</box>"
        "<ref>TOTAL</ref><box>(50,100),(300,140)</box>"
        "<ref>9.00</ref><box>(600,105),(900,150)</box>",
        "ocr-line": run.answer("receipts-sroie-1-ocr-line"),
        **{f"ground-{i}": run.answer(f"receipts-sroie-1-ground-{i}") for i in range(3)},
        **{f"region-{i}": run.answer(f"receipts-sroie-1-region-{i}") for i in range(3)},
    }
    first = run["receipts-sroie-1-company"]
    assert json.dumps(first.to_json()) == json.dumps(
        {
            "id": "receipts-sroie-1-company",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "image",
                            "image": "receipts-sroie-1.webp",
                            "metadata": {"width": 400, "height": 300},
                        },
                        {"type": "text", "text": "Which company issued this receipt?"},
                    ],
                },
                {"role": "assistant", "content": [{"type": "text", "text": "ACME"}]},
            ],
            "reasoning": "off",
            "source": "nanovl-receipts",
            "task": "receipt_field",
            "metadata": {"group": "ACME", "template": "receipt_company/0", "seed": 0},
        }
    )
    assert run.made["receipts-sroie-1-total"].media == {"receipts-sroie-1.webp": b"sroie-1"}


def test_grounding_and_reverse_grounding_are_true(tmp_path: Path) -> None:
    tar(tmp_path / "sroie_train.tar", {"sroie-1": receipt()})
    boxes = {i["text"]: i["bbox"] for i in receipt()["lines"]}
    for seed in range(5):
        run = Run("nanovl-receipts", tmp_path, seed=seed)
        for index in range(3):
            text = run.question(f"receipts-sroie-1-ground-{index}").split('"')[1]
            x1, y1, x2, y2 = boxes[text]
            expected = f"<ref>{text}</ref><box>({x1},{y1}),({x2},{y2})</box>"
            assert run.answer(f"receipts-sroie-1-ground-{index}") == expected
            text = run.answer(f"receipts-sroie-1-region-{index}")
            x1, y1, x2, y2 = boxes[text]
            asked = run.question(f"receipts-sroie-1-region-{index}")
            assert f"<box>({x1},{y1}),({x2},{y2})</box>" in asked


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        ({"lines": []}, "empty", "lines: the receipt has no text"),
        ({"lines": [{"text": "a", "bbox": [0, 0, 5]}]}, "bad_box", "lines[0].bbox: got [0, 0, 5]"),
        ({"lines": [{"text": "a", "bbox": [0, 0, 5, 1001]}]}, "bad_box", "expected 4 whole"),
        ({"lines": [{"text": "a", "bbox": [5, 0, 5, 9]}]}, "bad_box", "empty or upside down"),
        ({"fields": 3}, "wrong_type", "fields: got int, expected an object"),
        ({"width": None}, "missing_field", "width is missing"),
    ],
)
def test_a_bad_receipt_is_dropped_by_name(
    tmp_path: Path, changes: dict[str, Any], reason: str, message: str
) -> None:
    samples = {"sroie-1": receipt(**changes), "sroie-2": receipt(id="sroie-2")}
    run = Run("nanovl-receipts", tar(tmp_path / "sroie_train.tar", samples))
    assert len(run.drops) == 1
    assert run.drops[0][:2] == (reason, "sroie_train.tar:sroie-1")
    assert message in run.drops[0][2]
    assert "receipts-sroie-2-ocr" in run.made


def chart(**changes: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        **SIZE,
        "chart_type": "bar_chart",
        "static_text": ["Sales", "Year", "Units"],
        "csv": "year,units,color\n2001,5,red\n2002,7,blue",
        "question": "Best year?",
        "options": {"A": "2001", "B": "2002"},
        "answer": "B",
        "explanation": "7 is more than 5.",
        **changes,
    }


def test_charts(tmp_path: Path) -> None:
    samples = {
        "c1": chart(),
        "c2": chart(id="c2", chart_type="scatter_plot", static_text=[], csv=None),
        "c3": chart(id="c3", csv="year,units_inverted\n2001,5", static_text=["T", "Year"]),
        "c4": chart(id="c4", answer="C"),
        "c5": chart(id="c5", options={"A": "x", "C": "y"}),
    }
    path = tar(tmp_path / "mcqa_train.tar", samples)
    run = Run("nanovl-charts", path)
    assert run.answer("charts-c1-choice") == "<think>\n7 is more than 5.\n</think>\n\nB"
    assert "Best year?" in run.question("charts-c1-choice")
    assert "A. 2001\nB. 2002" in run.question("charts-c1-choice")
    assert (run.answer("charts-c1-title"), run.answer("charts-c1-type")) == ("Sales", "bar chart")
    axis = "Year" if "x axis" in run.question("charts-c1-axis") else "Units"
    assert run.answer("charts-c1-axis") == axis
    assert run.answer("charts-c1-table") in (
        "year,units\n2001,5\n2002,7",
        "| year | units |\n| --- | --- |\n| 2001 | 5 |\n| 2002 | 7 |",
    )
    assert [k for k in run.made if k.startswith("charts-c2")] == ["charts-c2-choice"]
    kept = [k.removeprefix("charts-c3-") for k in run.made if k.startswith("charts-c3")]
    assert kept == ["choice", "title", "type"]
    assert [(d[0], d[1]) for d in run.drops] == [
        ("no_answer", "mcqa_train.tar:c4"),
        ("bad_value", "mcqa_train.tar:c5"),
    ]
    off = Run("nanovl-charts", path, extra={"reasoning": "off"})
    assert (off.answer("charts-c1-choice"), off["charts-c1-choice"].reasoning) == ("B", "off")
    joined = Run("nanovl-charts", path, extra={"multi_turn": "true"})
    assert set(joined.made) >= {"charts-c1", "charts-c1-choice"}


def test_tabmwp(tmp_path: Path) -> None:
    problem = {
        **SIZE,
        "question": "How many in all?",
        "choices": None,
        "answer": "12",
        "table": "Day | Cups\nMon | 5\nTue | 7, or so",
        "solution": "5 + 7 = 12",
    }
    samples = {
        "tabmwp-1": {"id": "tabmwp-1", **problem},
        "tabmwp-2": {"id": "tabmwp-2", **problem, "choices": ["12", "13"]},
        "tabmwp-3": {"id": "tabmwp-3", **problem, "choices": ["11", "13"]},
    }
    run = Run("nanovl-tabmwp", tar(tmp_path / "tabmwp_train.tar", samples))
    assert run.answer("nanovl-tabmwp-1-answer") == "<think>\n5 + 7 = 12\n</think>\n\n12"
    assert run["nanovl-tabmwp-1-answer"].reasoning is None
    assert run["nanovl-tabmwp-1-answer"].has_trace
    assert run.answer("nanovl-tabmwp-2-answer").endswith("\n\nA")
    assert run.answer("nanovl-tabmwp-1-table") == 'Day,Cups\nMon,5\nTue,"7, or so"'
    assert [d[0] for d in run.drops] == ["no_answer"]


def clipart(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"clip-{number}",
        **SIZE,
        "title": f"Thing {number}",
        "name": f"thing {number} ann",
        "category": "tools/hand",
        "keywords": [],
        "description": None,
        **changes,
    }


def test_clipart(tmp_path: Path) -> None:
    samples = {f"clip-{n}": clipart(n) for n in range(5)}
    described = "a yellow rubber duck on water"
    samples["clip-9"] = clipart(9, category="signs_and_symbols", description=described)
    samples["clip-8"] = clipart(8, title="?!", name="")
    run = Run("nanovl-clipart", tar(tmp_path / "clipart_train.tar", samples))
    assert run.answer("clipart-clip-0-caption") == "Clip art: thing 0."
    assert run.answer("clipart-clip-9-caption") == "A yellow rubber duck on water."
    assert run.answer("clipart-clip-0-name") == "thing 0"
    letter = run.answer("clipart-clip-0-choice")
    assert f"\n{letter}. thing 0" in run.question("clipart-clip-0-choice")
    assert "clipart-clip-9-choice" not in run.made  # it has no siblings
    assert not any(k.endswith("category") for k in run.made)  # two groups are too few
    assert run.drops == [("empty", "clipart_train.tar:clip-8", "title and name hold no word")]


@pytest.mark.parametrize(
    ("title", "name", "label"),
    [
        ("Butterfly", "butterfly jonathan dietr", "butterfly"),
        ("AIGA Symbol Signs", "aiga drinking fountain", "aiga drinking fountain"),
        ("Dog  Drawn With Straight Lines (Wizard)", "dog drawn with strai", ""),
        ("Chocolate Soft Ice Cream Cone", "cone soft chocolate", "chocolate soft ice cream cone"),
        ("", "hammer", "hammer"),
    ],
)
def test_clipart_labels(title: str, name: str, label: str) -> None:
    assert clipart_label(title, name) == (label or "dog drawn with straight lines")


# -- Texts --------------------------------------------------------------------------------------


def test_gsm8k_has_a_twin_that_works_in_the_open(tmp_path: Path) -> None:
    row = {"id": "gsm8k-train-1", "question": "1+1?", "solution": "1+1 = 2", "answer": "2"}
    path = lines(tmp_path / "gsm8k_train.jsonl.gz", [row, {**row, "solution": ""}])
    run = Run("nanovl-gsm8k", tmp_path)
    assert run.answer("nanovl-gsm8k-train-1") == "<think>\n1+1 = 2\n</think>\n\n2"
    assert run["nanovl-gsm8k-train-1"].reasoning == "on"
    assert run.answer("nanovl-gsm8k-train-1-worked") == "1+1 = 2\n\nAnswer: 2"
    assert run["nanovl-gsm8k-train-1-worked"].reasoning == "off"
    assert run.drops == [("empty", "gsm8k_train.jsonl.gz:2", "solution is blank")]
    assert len(Run("nanovl-gsm8k", path, extra={"twins": False}).made) == 1


def call_row(**changes: Any) -> dict[str, Any]:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    return {
        "id": "bfcl-1",
        "category": "simple",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "Add 1 and 2"},
        ],
        "tools": [tool],
        "calls": [{"name": "add", "arguments": {"a": 1, "b": [2]}}],
        **changes,
    }


def test_bfcl_calls_and_refusals(tmp_path: Path) -> None:
    rows = [
        call_row(),
        call_row(id="bfcl-2", calls=[]),
        call_row(id="bfcl-3", calls=[{"name": "sub", "arguments": {}}]),
        call_row(id="bfcl-4", messages=[{"role": "tool", "content": "x"}]),
        call_row(id="bfcl-5", messages=[]),
    ]
    run = Run("nanovl-bfcl", lines(tmp_path / "bfcl_train.jsonl.gz", rows))
    called = run["nanovl-bfcl-1"]
    assert called.messages[-1].tool_calls == ({"name": "add", "arguments": {"a": 1, "b": [2]}},)
    assert called.tools == tuple(rows[0]["tools"])
    assert called.loss_flags == (False, True)
    assert not run["nanovl-bfcl-2"].messages[-1].tool_calls
    assert "function" in run.answer("nanovl-bfcl-2")
    assert run["nanovl-bfcl-2"].task == "no_tool_call"
    assert [d[2] for d in run.drops] == [
        "calls[0].name: 'sub' is not in tools",
        "messages[0].role: got 'tool', expected one of system, user, assistant",
        "messages: the last one has to be the user's",
    ]


def test_code_keeps_its_indentation(tmp_path: Path) -> None:
    row = {
        "id": "py-1",
        "prompt": "def f(x):\n    '''Twice.'''",
        "completion": "    return 2 * x\n",
    }
    run = Run("nanovl-code", lines(tmp_path / "pystdlib_functions_train.jsonl.gz", [row]))
    assert run.answer("nanovl-py-1") == "```python\n    return 2 * x\n```"
    assert "```python\ndef f(x):\n    '''Twice.'''\n```" in run.question("nanovl-py-1")


def test_fairytaleqa_joins_its_sections(tmp_path: Path) -> None:
    section = {"story": "snow-man", "section": 1}
    sections = [
        {**section, "section_id": "ft-s-1", "text": "One."},
        {**section, "section_id": "ft-s-2", "text": "Two."},
        {"section_id": "ft-s-3", "story": "snow-man"},
    ]
    lines(tmp_path / "fairytaleqa_sections_train.jsonl.gz", sections)
    asked = {"id": "q1", "question": "Why?", "answers": ["so", "so it is"]}
    rows = [
        {**asked, "section_ids": ["ft-s-1", "ft-s-2"]},
        {**asked, "section_ids": ["ft-s-2"]},
        {**asked, "section_ids": ["ft-s-3"]},
    ]
    lines(tmp_path / "fairytaleqa_train.jsonl.gz", rows)
    run = Run("nanovl-fairytaleqa", tmp_path)
    assert set(run.made) == {
        "nanovl-fairytaleqa-q1-s1-s2",
        "nanovl-fairytaleqa-q1-s2",
    }
    assert "One.\n\nTwo." in run.question("nanovl-fairytaleqa-q1-s1-s2")
    assert run.answer("nanovl-fairytaleqa-q1-s2") == "so"
    assert run["nanovl-fairytaleqa-q1-s2"].metadata["answers"] == ["so", "so it is"]
    assert [d[0] for d in run.drops] == ["missing_field", "bad_value"]


def test_xquad_drops_a_paragraph_as_a_whole(tmp_path: Path) -> None:
    paragraph = {"id": "xquad-de-1-0", "lang": "de", "title": "T", "context": "Es ist rot."}
    good = {"id": "a", "question": "Was?", "answers": ["rot"], "answer_start": 7}
    rows = [
        {**paragraph, "qas": [good, {**good, "id": "b"}]},
        {**paragraph, "id": "x", "qas": [good, {"id": "b", "question": "Was?"}]},
    ]
    run = Run("nanovl-xquad", lines(tmp_path / "xquad_train.jsonl.gz", rows))
    assert list(run.made) == ["nanovl-xquad-xquad-de-1-0-a", "nanovl-xquad-xquad-de-1-0-b"]
    assert run["nanovl-xquad-xquad-de-1-0-a"].metadata["language"] == "de"
    assert run.drops[0][2].startswith("qas[1].answers is missing")


def test_tables(tmp_path: Path) -> None:
    tables = [
        {"table_id": "t1", "title": "Cups", "header": ["a", "b|c"], "rows": [["1"], ["x\ny", "2"]]},
        {"table_id": "t2", "title": None, "header": ["a"], "rows": [["1", "2"]]},
        {"table_id": "t3", "title": None, "header": ["a"], "rows": [["long " * 20]]},
    ]
    for name in ("wtq", "tabfact"):
        lines(tmp_path / f"{name}_tables.jsonl.gz", tables)
    asked = {"question": "Which?", "answers": ["x", "y"]}
    rows = [{"id": f"wtq-{n}", "table_id": f"t{n}", **asked} for n in (1, 2, 3)]
    lines(tmp_path / "wtq_train.jsonl.gz", rows)
    run = Run("nanovl-wtq", tmp_path, extra={"max_chars": 80})
    table = "**Cups**\n\n| a | b\\|c |\n| --- | --- |\n| 1 |  |\n| x y | 2 |"
    assert table in run.question("nanovl-wtq-1")
    assert run.answer("nanovl-wtq-1") == "x, y"
    assert [(d[0], d[1]) for d in run.drops] == [
        ("wrong_type", "wtq_tables.jsonl.gz:2"),
        ("bad_value", "wtq_train.jsonl.gz:2"),
        ("too_long", "wtq_train.jsonl.gz:3"),
    ]
    said = {"table_id": "t1", "statement": "it is so"}
    rows = [{"id": f"tabfact-{v}", "label": v, **said} for v in ("true", "false", "maybe")]
    run = Run("nanovl-tabfact", lines(tmp_path / "tabfact_train.jsonl.gz", rows))
    assert [run.answer(f"nanovl-tabfact-{v}") for v in ("true", "false")] == ["true", "false"]
    assert run.drops[-1][2] == "label: got 'maybe', expected true or false"


def test_tables_need_their_table_file(tmp_path: Path) -> None:
    lines(tmp_path / "wikisql_train.jsonl.gz", [])
    with pytest.raises(InputError, match=r"there is no tabfact_tables\.jsonl\.gz beside it"):
        Run("nanovl-wikisql", tmp_path)


def test_markdown_and_numbers() -> None:
    assert markdown_table(["a"], []) == "| a |\n| --- |"
    texts = ("1", "-1.5", "1,000", ".5", "1,00", "1a", "-", "", "1/2")
    assert [t for t in texts if is_number(t)] == ["1", "-1.5", "1,000", ".5"]


def test_windows_lose_nothing_and_stay_short() -> None:
    text = "\n\n".join(f"Paragraph {n}. " + "Word and word. " * (n % 7) for n in range(40))
    text += "\n\n" + "x" * 900
    assert "".join(paragraphs(text, 100)) == text.strip()
    found = windows(text, 200)
    assert all(len(a) + len(b) <= 200 for a, b in found)
    joined = "".join("".join(pair) for pair in found)
    used, whole = "".join(joined.split()), "".join(text.split())
    assert whole.startswith(used)
    assert len(whole) - len(used) <= 100  # a rest of one paragraph


def test_windows_of_one_paragraph_are_left_out() -> None:
    assert windows("Only one.", 200) == []
    assert windows("One.\nTwo.", 200) == [("One.", "Two.")]


def test_prose(tmp_path: Path) -> None:
    lines(tmp_path / "wiki_train.jsonl.gz", [{"id": "w", "title": "W", "text": "A.\nB.\nC."}])
    lines(tmp_path / "books_train-00.jsonl.gz", [{"id": "b", "title": "B", "text": "A.\n\nB."}])
    lines(tmp_path / "tech_train.jsonl.gz", [{"id": "t", "text": ""}])
    lines(tmp_path / "multilingual.jsonl.gz", [{"id": "m", "lang": "de", "text": "A.\nB."}])
    run = Run("nanovl-text", tmp_path)
    assert {k: run.answer(k) for k in run.made} == {
        "text-w-0": "B.\nC.",
        "text-b-0": "B.",
        "text-m-0": "B.",
    }
    assert run["text-m-0"].source == "nanovl-text-multilingual"
    assert run["text-m-0"].metadata["lang"] == "de"
    assert run.drops == [("empty", "tech_train.jsonl.gz:1", "text is blank")]
    assert list(Run("nanovl-text", tmp_path, extra={"part": "books"}).made) == ["text-b-0"]
    with pytest.raises(ConfigError, match="option part: got 'book'"):
        Run("nanovl-text", tmp_path, extra={"part": "book"})


def test_audio(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    rows = [
        {"id": "a", "file": "a.wav", "text": "hello"},
        {"id": "b", "file": "b.wav", "text": "x"},
    ]
    (tmp_path / "transcripts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run = Run("nanovl-audio", tmp_path)
    assert run.answer("audio-a") == "hello"
    fragment = run["audio-a"].media[0]
    assert (fragment.type, fragment.value) == ("audio", "audio-a.wav")
    assert fragment.metadata == {"transcript": "hello"}
    assert [d[0] for d in run.drops] == ["missing_media"]


# -- What training does with them ---------------------------------------------------------------


class Store:
    """The media of one conversion."""

    def __init__(self, run: Run) -> None:
        self.media = {name: data for made in run.made.values() for name, data in made.media.items()}

    def find(self, name: str) -> MediaRef:
        return MediaRef.of(self.media[name], name=name)

    def metadata(self, name: str) -> None:
        return None


def encode(run: Run) -> dict[str, int]:
    """Tokens of every record; raises if training would drop one."""
    encoder = SampleEncoder(tiny_processor(), DataConfig(), seq_len=32768)
    store = Store(run)
    lengths = {}
    for key, made in run.made.items():
        item = SimpleNamespace(
            key=key, record=made.record, store=store, source=made.record.source, draw=0
        )
        lengths[key] = encoder.encode(item).num_tokens  # type: ignore[arg-type]
    return lengths


def test_pictures_traces_and_calls_encode(tmp_path: Path) -> None:
    path = tar(tmp_path / "sroie_train.tar", {"sroie-1": receipt()}, picture_bytes())
    lengths = encode(Run("nanovl-receipts", path))
    assert lengths["receipts-sroie-1-ocr-boxes"] > lengths["receipts-sroie-1-total"] > 100
    path = tar(tmp_path / "mcqa_train.tar", {"c1": chart()}, picture_bytes())
    on, off = (
        encode(Run("nanovl-charts", path, extra={"reasoning": mode})) for mode in ("on", "off")
    )
    assert on["charts-c1-choice"] > off["charts-c1-choice"]
    rows = [call_row(), call_row(id="bfcl-2", calls=[])]
    assert len(encode(Run("nanovl-bfcl", lines(tmp_path / "b.jsonl.gz", rows)))) == 2


# -- The data themselves ------------------------------------------------------------------------

LOCAL = (
    "nanovl-audio",
    "nanovl-bfcl",
    "nanovl-charts",
    "nanovl-clipart",
    "nanovl-code",
    "nanovl-fairytaleqa",
    "nanovl-gsm8k",
    "nanovl-receipts",
    "nanovl-tabfact",
    "nanovl-tabmwp",
    "nanovl-text",
    "nanovl-wikisql",
    "nanovl-wtq",
    "nanovl-xquad",
)
TABLES = ("nanovl-tabfact", "nanovl-wikisql", "nanovl-wtq")


@pytest.mark.skipif(not DATA.is_dir(), reason="the training data are not beside the repository")
@pytest.mark.parametrize("name", LOCAL)
def test_the_training_data_convert_the_same_way_twice(name: str) -> None:
    first, again, other = (Run(name, DATA, limit=60, seed=seed) for seed in (3, 3, 4))
    assert first.made
    assert first.digest() == again.digest()
    assert first.digest() != other.digest()
    assert list(first.made) == list(other.made)


@pytest.mark.skipif(not DATA.is_dir(), reason="the training data are not beside the repository")
@pytest.mark.parametrize("name", LOCAL)
def test_validation_data_convert_without_a_drop(name: str) -> None:
    run = Run(name, DATA, split="val", extra={"max_chars": 20000} if name in TABLES else {})
    assert run.made
    assert run.drops == []


@pytest.mark.skipif(not DATA.is_dir(), reason="the training data are not beside the repository")
@pytest.mark.parametrize("name", LOCAL)
def test_the_training_data_encode(name: str) -> None:
    lengths = encode(Run(name, DATA, split="val", limit=40))
    assert len(lengths) >= 5
