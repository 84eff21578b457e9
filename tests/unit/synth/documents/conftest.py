"""Small sources and settings for the page generators: the face Pillow carries, made-up texts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from nanovl.synth.documents.fonts import BUILTIN, FontLibrary, library

PASSAGE = (
    "The miller had three sons, a mill, an ass and a cat. The sons had to grind, the ass had to "
    "fetch grain and carry flour, and the cat had to catch the mice.\n"
    "When the miller died, the three sons shared his goods: the eldest got the mill, the second "
    "the ass, and the third the cat, because nothing else was left."
)


@pytest.fixture(scope="session")
def builtin() -> FontLibrary:
    """Nothing but the bundled face, so that results do not depend on the machine."""
    return library((BUILTIN,))


def write_lines(path: Path, lines: list[dict[str, Any]]) -> Path:
    """A `.jsonl.gz` file."""
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        for line in lines:
            stream.write(json.dumps(line) + "\n")
    return path


@pytest.fixture
def reading(tmp_path: Path) -> Path:
    """A folder with both reading data sets."""
    sections = [
        {"section_id": f"ft-Mill-{n}", "story": "The-mill", "section": n, "text": f"{n}. {PASSAGE}"}
        for n in (1, 2, 3)
    ]
    asked = [
        {
            "id": f"q{n}",
            "section_ids": [f"ft-Mill-{n}"],
            "question": f"How many sons had the miller of part {n}?",
            "answers": ["three sons", "three"],
        }
        for n in (3, 1, 2)
    ]
    write_lines(tmp_path / "fairytaleqa_sections_train.jsonl.gz", sections)
    write_lines(tmp_path / "fairytaleqa_train.jsonl.gz", asked)
    texts = {
        "en": ("The cat sleeps in the old barn behind the house.", "Where does the cat sleep?"),
        "de": ("Die Katze liegt in der alten Scheune hinter dem Haus.", "Wo liegt die Katze?"),
        "zh": (
            "\u732b\u5728\u623f\u5b50\u540e\u9762\u7684\u8c37\u4ed3\u91cc\u7761\u89c9\u3002" * 3,
            "\u732b\u5728\u54ea\u91cc\uff1f",
        ),
    }
    answers = {"en": "the old barn", "de": "alten Scheune", "zh": "\u8c37\u4ed3"}
    write_lines(
        tmp_path / "xquad_train.jsonl.gz",
        [
            {
                "id": f"xquad-{lang}-00-0",
                "lang": lang,
                "title": "Cats",
                "context": context,
                "qas": [{"id": "abc1", "question": question, "answers": [answers[lang]]}],
            }
            for lang, (context, question) in texts.items()
        ],
    )
    return tmp_path


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A folder with a table, questions and statements."""
    rows = [[f"Team {c}", str(n), f"{n * 3},500"] for n, c in enumerate("ABCDEFGH", 1)]
    table = {
        "table_id": "t1",
        "title": "League of examples",
        "header": ["Name", "Wins", "Visitors"],
        "rows": rows,
    }
    large = {**table, "table_id": "t2", "rows": rows * 20}
    wide = {"table_id": "t3", "header": [c * 60 for c in "ABCDEFGHI"], "rows": [["x"] * 9]}
    for name in ("wtq", "tabfact"):
        write_lines(tmp_path / f"{name}_tables.jsonl.gz", [table, large, wide])
    questions = [
        {"id": "w1", "table_id": "t1", "question": "who won 3 times?", "answers": ["Team C"]},
        {
            "id": "w2",
            "table_id": "t1",
            "question": "which won most?",
            "answers": ["Team H", "Team G"],
        },
        {"id": "w3", "table_id": "t2", "question": "who?", "answers": ["Team A"]},
        {"id": "w4", "table_id": "none", "question": "who?", "answers": ["Team A"]},
    ]
    write_lines(tmp_path / "wtq_train.jsonl.gz", questions)
    write_lines(
        tmp_path / "wtq_val.jsonl.gz",
        [{"id": "w5", "table_id": "t3", "question": "who?", "answers": ["x"]}],
    )
    write_lines(
        tmp_path / "tabfact_train.jsonl.gz",
        [{"id": "f1", "table_id": "t1", "statement": "Team A won once.", "label": "true"}],
    )
    return tmp_path


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A file with texts."""
    body = "# Mills\n\n" + "\n\n".join(
        f"## Part {n}\n\n{PASSAGE.replace(chr(10), ' ')}\n\n- first point\n- second point"
        for n in range(1, 6)
    )
    return write_lines(
        tmp_path / "texts.jsonl.gz",
        [
            {"id": "a", "title": "Mills", "text": body},
            {"id": "b", "title": "", "text": "too short"},
            {"id": "c", "title": "Chinese", "lang": "zh", "text": "\u7684\u4e00\u662f\u4e0d" * 120},
            {"id": "d", "title": "No text"},
        ],
    )
