"""A tiny set of files for every benchmark, in the form it is published in, and what must be read.

`OFFICIAL[benchmark_id](folder)` writes the files below `folder` and returns what a reader has to
find. `perfect` is an answer that scores fully where no judge and no program is needed.
"""

from __future__ import annotations

import base64
import csv
import functools
import io
import json
import pickle
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from nanovl.testing import pdf_bytes, picture, picture_bytes, video

TEDDY = {"A": "teddy bear", "B": "rabbit", "C": "None", "D": 'a, "quoted" dog'}


@dataclass(frozen=True, kw_only=True)
class Want:
    """What one row must become.

    Attributes:
        media: Bytes, or the end of a path.
        meta: Columns that must be there, with these values.
        perfect: An answer that is right.
    """

    id: str
    question: str
    answer: Any
    options: Mapping[str, str] = field(default_factory=dict)
    media: Sequence[bytes | str] = ()
    hint: str = ""
    group: str = ""
    category: str = ""
    part: str = "main"
    meta: Mapping[str, Any] = field(default_factory=dict)
    perfect: str = ""


Writer = Callable[[Path], list[Want]]


@functools.cache
def png(seed: int) -> bytes:
    """A picture of its own for each number."""
    return picture_bytes(picture(40 + seed, 30, "gradient", seed=seed))


@functools.cache
def mp4() -> bytes:
    """A short video."""
    with tempfile.TemporaryDirectory() as folder:
        return video(Path(folder) / "v.mp4", frames=4).read_bytes()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def tsv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table as pandas writes it: tabs between cells, quotes only where needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(name, "") for name in columns] for row in rows)
    path.write_text(buffer.getvalue(), encoding="utf-8")


def jsonl(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")


def choices(name: str, **columns: Any) -> Writer:
    """A file of option questions with one picture each."""

    def write(folder: Path) -> list[Want]:
        rows = [
            {
                "index": 7,
                "image": b64(png(1)),
                "question": "What is it?\nLook\tclosely.",
                **TEDDY,
                "answer": "B",
                "category": "animals",
                **columns,
            },
            {
                "index": 8,
                "image": b64(png(2)),
                "question": "Is it red?",
                "A": "Yes",
                "B": "No",
                "answer": "A",
                "category": "colours",
                **columns,
            },
        ]
        tsv(folder / f"{name}.tsv", rows)
        meta = dict(columns)
        return [
            Want(
                id="7",
                question="What is it?\nLook\tclosely.",
                answer="B",
                options=TEDDY,
                media=[png(1)],
                category="animals",
                meta={**meta, "dataset": name, "part": "main"},
                perfect="B",
            ),
            Want(
                id="8",
                question="Is it red?",
                answer="A",
                options={"A": "Yes", "B": "No"},
                media=[png(2)],
                category="colours",
                meta=meta,
                perfect="A",
            ),
        ]

    return write


def circular(*names: tuple[str, str]) -> Writer:
    """Files with rotated copies: the index of a copy is larger by a million."""

    def write(folder: Path) -> list[Want]:
        wanted = []
        for part, name in names:
            rotated = {"A": "cat", "B": "dog", "C": "hen"}, {"A": "dog", "B": "hen", "C": "cat"}
            rows = [
                {
                    "index": 3,
                    "question": "Who barks?",
                    "hint": "Listen.",
                    **rotated[0],
                    "answer": "B",
                    "category": "sound",
                    "l2-category": "hearing",
                    "split": "dev",
                    "image": b64(png(3)),
                },
                {
                    "index": 1_000_003,
                    "question": "Who barks?",
                    "hint": "Listen.",
                    **rotated[1],
                    "answer": "A",
                    "category": "sound",
                    "l2-category": "hearing",
                    "split": "dev",
                    "image": "3",
                },
            ]
            tsv(folder / name, rows)
            for row, options in zip(rows, rotated, strict=True):
                wanted.append(
                    Want(
                        id=str(row["index"]),
                        question="Who barks?",
                        hint="Listen.",
                        answer=row["answer"],
                        options=options,
                        media=[png(3)],
                        group="3",
                        category="sound",
                        part=part,
                        meta={"l2-category": "hearing", "split": "dev"},
                        perfect=str(row["answer"]),
                    )
                )
        return wanted

    return write


def several(name: str, question: str, **columns: Any) -> Writer:
    """One option question with two pictures."""

    def write(folder: Path) -> list[Want]:
        images = [b64(png(4)), b64(png(5))]
        row = {
            "index": 0,
            "image": str(images),
            "question": question,
            "A": "the first",
            "B": "the second",
            "answer": "A",
            "category": "pairs",
            **columns,
        }
        tsv(folder / f"{name}.tsv", [row])
        return [
            Want(
                id="0",
                question=question,
                answer="A",
                options={"A": "the first", "B": "the second"},
                media=[png(4), png(5)],
                category="pairs",
                perfect="A",
            )
        ]

    return write


def plain(
    name: str,
    answer: Any,
    *,
    perfect: str = "",
    column: str = "answer",
    want: Mapping[str, Any] | None = None,
    **columns: Any,
) -> Writer:
    """One question with one picture and an answer in a column."""

    def write(folder: Path) -> list[Want]:
        row = {"index": 5, "image": b64(png(6)), "question": "What is written?", **columns}
        tsv(folder / f"{name}.tsv", [{**row, column: str(answer)}])
        facts = {
            "category": str(columns.get("category", "")),
            "meta": {"dataset": name},
            **(want or {}),
        }
        return [
            Want(
                id="5",
                question="What is written?",
                answer=answer,
                media=[png(6)],
                perfect=perfect or str(answer),
                **facts,
            )
        ]

    return write


def hallusion(folder: Path) -> list[Want]:
    ids = ["VD_figure_0_0_0_0", "VD_figure_0_0_1_0"]
    answers = ["Yes", "No"]
    rows = [
        {
            "index": index,
            "image": b64(png(7)),
            "question": "Is the line longer?",
            "answer": answer,
            "category": "VD",
            "l2-category": "figure",
        }
        for index, answer in zip(ids, answers, strict=True)
    ]
    tsv(folder / "HallusionBench.tsv", rows)
    return [
        Want(
            id=index,
            question="Is the line longer?",
            answer=answer,
            media=[png(7)],
            category="VD",
            meta={"l2-category": "figure"},
            perfect=f"{answer}.",
        )
        for index, answer in zip(ids, answers, strict=True)
    ]


def crpe(folder: Path) -> list[Want]:
    question = "Who holds the cup?\nA. a man\nB. a woman"
    rows = [
        {
            "index": number,
            "image": b64(png(8)) if number == 0 else "0",
            "question": question,
            "answer": "B. a woman",
            "category": "subject",
        }
        for number in range(8)
    ]
    tsv(folder / "CRPE_RELATION.tsv", rows)
    return [
        Want(
            id=str(number),
            question=question,
            answer="B. a woman",
            media=[png(8)],
            group=str(number // 4),
            category="subject",
            perfect="B",
        )
        for number in range(8)
    ]


def pope(folder: Path) -> list[Want]:
    rows = [
        {
            "index": number,
            "image": b64(png(9)),
            "question": "Is there a dog?",
            "answer": answer,
            "category": category,
        }
        for number, (answer, category) in enumerate(
            [("Yes", "adversarial,popular"), ("No", "random")]
        )
    ]
    tsv(folder / "POPE.tsv", rows)
    return [
        Want(
            id=str(row["index"]),
            question="Is there a dog?",
            answer=row["answer"],
            media=[png(9)],
            category=row["category"],
            perfect=row["answer"],
        )
        for row in rows
    ]


def mme_realworld(folder: Path) -> list[Want]:
    texts = ["red", "blue", "green", "white", "not visible"]
    given = [f"({letter}) {text}" for letter, text in zip("ABCDE", texts, strict=True)]
    row = {
        "index": 0,
        "image": b64(png(10)),
        "question": "Which colour?",
        "multi-choice options": str(given),
        **dict(zip("ABCDE", texts, strict=True)),
        "answer": "D",
        "category": "Perception",
        "l2-category": "colour",
    }
    tsv(folder / "MME-RealWorld.tsv", [row])
    return [
        Want(
            id="0",
            question="Which colour?",
            answer="D",
            options=dict(zip("ABCDE", texts, strict=True)),
            media=[png(10)],
            category="Perception",
            meta={"multi-choice options": given},
            perfect="The best answer is: D",
        )
    ]


def mmmu(folder: Path) -> list[Want]:
    question = "See <image 1> and <image 2>."
    base = {
        "image": str([b64(png(11)), b64(png(12))]),
        "question": question,
        "A": "alike",
        "B": "different",
        "answer": "B",
        "category": "Art",
        "l2-category": "Art and Design",
    }
    tsv(
        folder / "MMMU_DEV_VAL.tsv",
        [
            {"index": 1, **base, "split": "dev"},
            {"index": 2, **base, "split": "validation"},
            {
                "index": 3,
                "image": b64(png(13)),
                "question": "How many in <image 1>?",
                "answer": "12",
                "category": "Maths",
                "split": "validation",
            },
        ],
    )
    return [
        Want(
            id="2",
            question=question,
            answer="B",
            options={"A": "alike", "B": "different"},
            media=[png(11), png(12)],
            category="Art",
            meta={"split": "validation"},
            perfect="B",
        ),
        Want(
            id="3",
            question="How many in <image 1>?",
            answer="12",
            media=[png(13)],
            category="Maths",
            perfect="12",
        ),
    ]


def mmmu_pro(folder: Path) -> list[Want]:
    options = {letter: f"option {letter}" for letter in "ABCDEFGHIJ"}
    tsv(
        folder / "MMMU_Pro_10c.tsv",
        [
            {
                "index": 1,
                "image": b64(png(14)),
                "question": "What does <image 1> show?",
                **options,
                "answer": "J",
                "category": "Physics",
            }
        ],
    )
    tsv(
        folder / "MMMU_Pro_V.tsv",
        [{"index": 1, "image": b64(png(15)), **options, "answer": "C", "category": "Physics"}],
    )
    return [
        Want(
            id="standard:1",
            question="What does <image 1> show?",
            answer="J",
            options=options,
            media=[png(14)],
            category="Physics",
            meta={"variant": "standard"},
            perfect="J",
        ),
        Want(
            id="vision:1",
            question="",
            answer="C",
            options=options,
            media=[png(15)],
            category="Physics",
            meta={"variant": "vision"},
            perfect="C",
        ),
    ]


def mathvista(folder: Path) -> list[Want]:
    rows = [
        {
            "index": 1,
            "image": b64(png(16)),
            "question": "Hint: answer with a letter.\nQuestion: Which?\nChoices:\n(A) 3/11",
            "choices": "['3/11', '8/11']",
            "answer": "3/11",
            "answer_option": "A",
            "question_type": "multi_choice",
            "answer_type": "text",
            "task": "geometry",
            "skills": "['algebra']",
        },
        {
            "index": 2,
            "image": b64(png(17)),
            "question": "How many?",
            "choices": "",
            "answer": "14",
            "question_type": "free_form",
            "answer_type": "integer",
            "task": "counting",
            "skills": "['counting']",
        },
    ]
    tsv(folder / "MathVista_MINI.tsv", rows)
    return [
        Want(
            id="1",
            question=rows[0]["question"],
            answer="3/11",
            options={"A": "3/11", "B": "8/11"},
            media=[png(16)],
            category="geometry",
            meta={"answer_option": "A", "choices": ["3/11", "8/11"], "answer_type": "text"},
            perfect="A",
        ),
        Want(
            id="2",
            question="How many?",
            answer="14",
            media=[png(17)],
            category="counting",
            meta={"answer_type": "integer"},
            perfect="14",
        ),
    ]


def mathvision(folder: Path) -> list[Want]:
    row = {
        "index": 4,
        "image": b64(png(18)),
        "question": "Which triangle?",
        "choices": "['A', 'B', 'C', 'D', 'E']",
        "answer": "E",
        "category": "plane geometry",
    }
    tsv(folder / "MathVision.tsv", [row])
    return [
        Want(
            id="4",
            question="Which triangle?",
            answer="E",
            options={letter: letter for letter in "ABCDE"},
            media=[png(18)],
            category="plane geometry",
            perfect="E",
        )
    ]


def dynamath(folder: Path) -> list[Want]:
    rows = [
        {
            "index": qid * 2 + variant,
            "image": b64(png(19)),
            "question": f"What is f({variant})?",
            "answer": "3.142",
            "answer_type": "float",
            "subject": "algebra",
            "knowledge_level": "high school",
            "qid": qid,
            "varid": variant,
        }
        for qid in range(2)
        for variant in range(2)
    ]
    tsv(folder / "DynaMath.tsv", rows)
    return [
        Want(
            id=str(row["index"]),
            question=str(row["question"]),
            answer="3.142",
            media=[png(19)],
            group=str(row["qid"]),
            category="algebra",
            meta={"answer_type": "float", "qid": str(row["qid"]), "varid": str(row["varid"])},
            perfect='{"solution": "...", "short answer": "3.142"}',
        )
        for row in rows
    ]


def wemath(folder: Path) -> list[Want]:
    keys = ["2steps_1", "2steps_2", "2steps_multi", "3steps_1"]
    rows = [
        {
            "index": number,
            "image": b64(png(20)),
            "question": f"Step {key}?",
            "A": "1 cm",
            "B": "2 cm",
            "answer": "B",
            "ID": "17",
            "key": key,
            "knowledge concept": "area",
            "split": "testmini",
        }
        for number, key in enumerate(keys)
    ]
    tsv(folder / "WeMath.tsv", rows)
    return [
        Want(
            id=str(number),
            question=f"Step {key}?",
            answer="B",
            options={"A": "1 cm", "B": "2 cm"},
            media=[png(20)],
            group=f"{key[:6]}:17",
            meta={"ID": "17", "key": key, "knowledge concept": "area"},
            perfect="B",
        )
        for number, key in enumerate(keys)
    ]


def mmlongbench(folder: Path) -> list[Want]:
    pdf = pdf_bytes(2, "Page {page}")
    rows = [
        {
            "index": 0,
            "image": b64(pdf),
            "question": "How many pages?",
            "answer": "2",
            "answer_format": "Int",
            "doc_id": "report.pdf",
            "evidence_pages": "[1, 2]",
            "evidence_sources": "['Chart']",
        },
        {
            "index": 1,
            "image": "0",
            "question": "Who wrote it?",
            "answer": "Not answerable",
            "answer_format": "None",
            "doc_id": "report.pdf",
            "evidence_pages": "[]",
            "evidence_sources": "[]",
        },
    ]
    tsv(folder / "MMLongBench_DOC.tsv", rows)
    return [
        Want(
            id="0",
            question="How many pages?",
            answer="2",
            media=[pdf],
            group="report.pdf",
            meta={
                "answer_format": "Int",
                "evidence_pages": [1, 2],
                "evidence_sources": ["Chart"],
            },
            perfect="2",
        ),
        Want(
            id="1",
            question="Who wrote it?",
            answer="Not answerable",
            media=[pdf],
            group="report.pdf",
            meta={"evidence_pages": []},
            perfect="Not answerable",
        ),
    ]


def ocrbench_v2(folder: Path) -> list[Want]:
    rows = [
        {
            "index": 0,
            "image": b64(png(21)),
            "question": "What is the date?",
            "answer": "['7 november']",
            "category": "cognition VQA en",
            "eval": "without eval",
            "bbox": "without bbox",
            "content": "without content",
        },
        {
            "index": 1,
            "image": b64(png(22)),
            "question": "Read out name and total as JSON.",
            "answer": "[{'name': ['Ann'], 'total': ['3.50']}]",
            "category": "key information extraction en",
            "eval": "without eval",
            "bbox": "without bbox",
            "content": "without content",
        },
    ]
    tsv(folder / "OCRBench_v2.tsv", rows)
    return [
        Want(
            id="0",
            question="What is the date?",
            answer=["7 november"],
            media=[png(21)],
            category="cognition VQA en",
            meta={"eval": "without eval", "bbox": "without bbox"},
            perfect="It is 7 November",
        ),
        Want(
            id="1",
            question="Read out name and total as JSON.",
            answer=[{"name": ["Ann"], "total": ["3.50"]}],
            media=[png(22)],
            category="key information extraction en",
            perfect='{"name": "Ann", "total": "3.50"}',
        ),
    ]


def rd_tablebench(folder: Path) -> list[Want]:
    table = "<table><tr><td>Year</td><td>Sales</td></tr><tr><td>2019</td><td>10</td></tr></table>"
    for name in ("pdfs", "groundtruth"):
        (folder / name).mkdir(parents=True)
    page = pdf_bytes(1, "Year Sales")
    (folder / "pdfs" / "a_page0.pdf").write_bytes(page)
    (folder / "pdfs" / "b_page1.png").write_bytes(png(23))
    for stem in ("a_page0", "b_page1"):
        (folder / "groundtruth" / f"{stem}.html").write_text(table, encoding="utf-8")
    return [
        Want(id="a_page0", question="", answer=table, media=[page], group="a_page0", perfect=table),
        Want(
            id="b_page1", question="", answer=table, media=[png(23)], group="b_page1", perfect=table
        ),
    ]


def split_pair(stem: str) -> Writer:
    """Validation with answers, test without."""

    def write(folder: Path) -> list[Want]:
        row = {"index": 9, "questionId": 49153, "image": b64(png(24)), "question": "Which date?"}
        tsv(folder / f"{stem}_VAL.tsv", [{**row, "answer": "['1/8/93', 'Jan 8']"}])
        tsv(folder / f"{stem}_TEST.tsv", [row])
        common = {"id": "9", "question": "Which date?", "media": [png(24)]}
        meta = {"questionId": "49153"}
        return [
            Want(**common, answer=["1/8/93", "Jan 8"], part="val", meta=meta, perfect="1/8/93"),
            Want(**common, answer=None, part="test", meta=meta),
        ]

    return write


def charxiv(folder: Path) -> list[Want]:
    base = {"index": 0, "image": b64(png(25)), "grading_query": "Grade this: "}
    tsv(
        folder / "CharXiv_reasoning_val.tsv",
        [{**base, "question": "Which is best?", "answer": "ours", "inst_category": 1}],
    )
    tsv(
        folder / "CharXiv_descriptive_val.tsv",
        [{**base, "question": "What is the title?", "answer": "Loss", "qid": 1}],
    )
    common = {"id": "0", "media": [png(25)]}
    return [
        Want(
            **common,
            question="Which is best?",
            answer="ours",
            category="1",
            part="rq",
            meta={"grading_query": "Grade this: "},
            perfect="ours",
        ),
        Want(
            **common,
            question="What is the title?",
            answer="Loss",
            part="dq",
            meta={"qid": "1"},
            perfect="Loss",
        ),
    ]


def cv_bench(folder: Path) -> list[Want]:
    wanted = []
    for part, kind, source in (("2d", "2D", "COCO"), ("3d", "3D", "Omni3D")):
        row = {
            "index": 0,
            "image": b64(png(26)),
            "question": "How many?",
            "prompt": "How many? Select from:\n(A) 1\n(B) 2",
            "A": "1",
            "B": "2",
            "answer": "B",
            "source": source,
            "type": kind,
            "split": "test",
        }
        tsv(folder / f"CV-Bench-{kind}.tsv", [row])
        wanted.append(
            Want(
                id=f"{part}:0",
                question=str(row["prompt"]),
                answer="B",
                options={"A": "1", "B": "2"},
                media=[png(26)],
                category=kind,
                meta={"source": source, "type": kind, "part": part},
                perfect="B",
            )
        )
    return wanted


def screens(stem: str, kinds: Sequence[str], box: str) -> Writer:
    def write(folder: Path) -> list[Want]:
        wanted = []
        for kind in kinds:
            row = {
                "index": 0,
                "image": b64(png(27)),
                "question": f"open the {kind} menu",
                "bbox": "[4, 6, 20, 20]",
                "data_type": "icon",
            }
            tsv(folder / f"{stem}_{kind}.tsv", [row])
            wanted.append(
                Want(
                    id=f"{kind.lower()}:0",
                    question=f"open the {kind} menu",
                    answer=[4, 6, 20, 20],
                    media=[png(27)],
                    category="icon",
                    meta={"bbox": [4, 6, 20, 20], "box": box},
                    perfect="pyautogui.click(x=10, y=12)",
                )
            )
        return wanted

    return write


def lvb(folder: Path) -> list[Want]:
    (folder / "videos").mkdir(parents=True)
    (folder / "videos" / "abc.mp4").write_bytes(mp4())
    record = {
        "video_id": "abc",
        "id": "abc_0",
        "video_path": "abc.mp4",
        "subtitle_path": "abc_en.json",
        "question": "What happens last?",
        "candidates": ["a fall", "a jump", "a song", "a walk", "nothing"],
        "correct_choice": 4,
        "duration_group": 15,
        "question_category": "T3E",
        "topic_category": "NP-News",
    }
    (folder / "lvb_val.json").write_text(json.dumps([record]), encoding="utf-8")
    return [
        Want(
            id="abc_0",
            question="What happens last?",
            answer="E",
            options=dict(zip("ABCDE", record["candidates"], strict=True)),
            media=["videos/abc.mp4"],
            group="abc",
            category="15",
            meta={"question_category": "T3E", "answer_text": "nothing"},
            perfect="E",
        )
    ]


def mlvu(folder: Path) -> list[Want]:
    wanted = []
    tasks = ["1_plotQA", "2_needle", "3_ego", "4_count", "5_order", "6_anomaly_reco"]
    (folder / "json").mkdir(parents=True)
    for name in (*tasks, "7_topic_reasoning"):
        (folder / "video" / name).mkdir(parents=True)
        (folder / "video" / name / "v.mp4").write_bytes(mp4())
        record = {
            "video": "v.mp4",
            "duration": 0.5,
            "question": f"Which colour in {name}?",
            "candidates": ["red", "green"],
            "answer": "green",
            "question_type": name.partition("_")[2],
        }
        (folder / "json" / f"{name}.json").write_text(json.dumps([record]), encoding="utf-8")
        wanted.append(
            Want(
                id=str(len(wanted)),
                question=record["question"],
                answer="B",
                options={"A": "red", "B": "green"},
                media=[f"video/{name}/v.mp4"],
                group="v.mp4",
                category=name.partition("_")[2],
                meta={"answer_text": "green", "task_type": name.partition("_")[2]},
                perfect="(B) green",
            )
        )
    return wanted


def videomme(folder: Path) -> list[Want]:
    for name in ("videomme", "video"):
        (folder / name).mkdir(parents=True)
    (folder / "video" / "xyz.mp4").write_bytes(mp4())
    given = ["A. Apples.", "B. Pears.", "C. Plums.", "D. Figs."]
    record = {
        "video_id": "001",
        "duration": "short",
        "domain": "Knowledge",
        "sub_category": "Food",
        "videoID": "xyz",
        "question_id": "001-1",
        "task_type": "Counting",
        "question": "What is sold?",
        "options": given,
        "answer": "C",
    }
    table = pyarrow.Table.from_pylist([record])
    path = folder / "videomme" / "test-00000-of-00001.parquet"
    pyarrow.parquet.write_table(table, path)
    return [
        Want(
            id="001-1",
            question="What is sold?",
            answer="C",
            options={"A": "Apples.", "B": "Pears.", "C": "Plums.", "D": "Figs."},
            media=["video/xyz.mp4"],
            group="xyz",
            category="short",
            meta={"candidates": given, "domain": "Knowledge", "task_type": "Counting"},
            perfect="C",
        )
    ]


def languages(stem: str) -> Writer:
    """Six files, one per language; the Chinese one is called cn."""

    def write(folder: Path) -> list[Want]:
        wanted = []
        for part, code in zip(
            ("en", "zh", "pt", "ar", "tr", "ru"), ("en", "cn", "pt", "ar", "tr", "ru"), strict=True
        ):
            wanted += [
                Want(**{**vars(want), "part": part, "meta": {"part": part}})
                for want in choices(f"{stem}_{code}")(folder)
            ]
        return wanted

    return write


def maths(name: str) -> Writer:
    def write(folder: Path) -> list[Want]:
        jsonl(
            folder / name / "test.jsonl",
            [{"problem": "What is $6 \\cdot 7$?", "expected_answer": "42", "id": "q-1"}],
        )
        return [
            Want(
                id="q-1",
                question="What is $6 \\cdot 7$?",
                answer="42",
                perfect="so \\boxed{42}",
            )
        ]

    return write


def gpqa(folder: Path) -> list[Want]:
    rows = [
        {
            "Record ID": f"rec{number}",
            "Question": f"Which particle {number}?",
            "Correct Answer": f" muon {number} ",
            "Incorrect Answer 1": "electron",
            "Incorrect Answer 2": "tau  lepton",
            "Incorrect Answer 3": "pion [title]",
            "Subdomain": "Physics",
        }
        for number in range(2)
    ]
    path = folder / "gpqa_diamond.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    # The order random.Random(42) gives, once for the first row and again for the second.
    orders = [(2, 1, 3, 0), (3, 2, 0, 1)]
    texts = [["electron", "tau lepton", "pion. ", f"muon {number}"] for number in range(2)]
    wanted = []
    for number, order in enumerate(orders):
        options = {
            letter: texts[number][place] for letter, place in zip("ABCD", order, strict=True)
        }
        letter = "ABCD"[order.index(3)]
        wanted.append(
            Want(
                id=f"rec{number}",
                question=f"Which particle {number}?",
                answer=letter,
                options=options,
                category="Physics",
                perfect=f"\\boxed{{{letter}}}",
            )
        )
    return wanted


def livecodebench(folder: Path) -> list[Want]:
    tests = [{"input": "1", "output": "2", "testtype": "stdin"}]
    private = b64(zlib.compress(pickle.dumps(json.dumps(tests))))
    base = {
        "question_title": "Add one",
        "platform": "atcoder",
        "contest_id": "abc",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps(tests),
        "private_test_cases": private,
        "metadata": "{}",
    }
    dates = {
        "early": "2024-06-30",
        "first": "2024-07-01",
        "last": "2024-12-31",
        "late": "2025-01-01",
    }
    for number, (name, day) in enumerate(dates.items(), start=1):
        record = {
            **base,
            "question_id": name,
            "question_content": "Read n.\n    Print n + 1.",
            "contest_date": f"{day}T00:00:00",
        }
        suffix = "" if number == 1 else str(number)
        jsonl(folder / "code_generation_lite" / f"test{suffix}.jsonl", [record])
    return [
        Want(
            id=name,
            question="Read n.\n    Print n + 1.",
            answer=None,
            category="easy",
            meta={"private_test_cases": private, "public_test_cases": json.dumps(tests)},
            perfect="```python\nprint(int(input()) + 1)\n```",
        )
        for name in ("first", "last")
    ]


def ifeval(folder: Path) -> list[Want]:
    record = {
        "key": 1000,
        "prompt": "Write without commas.",
        "instruction_id_list": ["punctuation:no_comma"],
        "kwargs": [{}],
    }
    jsonl(folder / "input_data.jsonl", [record])
    return [
        Want(
            id="1000",
            question="Write without commas.",
            answer=None,
            meta={"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
            perfect="No marks here.",
        )
    ]


def scicode(folder: Path) -> list[Want]:
    steps = [
        {
            "step_number": f"5.{number}",
            "step_description_prompt": f"Do part {number}.",
            "step_background": "Known facts.",
            "function_header": f"def part{number}(x):",
            "return_line": "    return x",
            "test_cases": ["assert part1(1) == target"],
        }
        for number in (1, 2)
    ]
    record = {
        "problem_id": "5",
        "problem_name": "parts",
        "required_dependencies": "import numpy as np",
        "sub_steps": steps,
        "general_tests": ["x"],
    }
    jsonl(folder / "scicode" / "problems_dev.jsonl", [record])
    jsonl(
        folder / "scicode" / "problems_test.jsonl",
        [{**record, "problem_id": "6", "sub_steps": [{**steps[0], "step_number": "6.1"}]}],
    )
    return [
        Want(
            id=number,
            question=f"Do part {number[-1]}.",
            answer=None,
            group=number[0],
            meta={
                "step_number": number,
                "required_dependencies": "import numpy as np",
                "test_cases": ["assert part1(1) == target"],
                "step": place,
            },
            perfect=f"```python\ndef part{number[-1]}(x):\n    return x\n```",
        )
        for place, number in ((0, "5.1"), (1, "5.2"), (0, "6.1"))
    ]


def mmlu_pro(folder: Path) -> list[Want]:
    record = {
        "question_id": 70,
        "question": "Which law?",
        "options": ["contract", "tort"],
        "answer": "B",
        "answer_index": 1,
        "category": "law",
        "src": "x",
    }
    folder.mkdir(parents=True, exist_ok=True)
    table = pyarrow.Table.from_pylist([record])
    pyarrow.parquet.write_table(table, folder / "mmlu_pro.parquet")
    return [
        Want(
            id="70",
            question="Which law?",
            answer="B",
            options={"A": "contract", "B": "tort"},
            category="law",
            perfect="Answer: \\boxed{B}",
        )
    ]


def ruler(folder: Path) -> list[Want]:
    prefix = " The special magic numbers are"
    jsonl(
        folder / "ruler" / "niah_single_1" / "test.jsonl",
        [
            {
                "index": 0,
                "question": "Find the number.",
                "expected_answer": ["1234567"],
                "length": 99,
                "generation": prefix,
            }
        ],
    )
    jsonl(
        folder / "ruler" / "qa_1" / "validation.jsonl",
        [
            {
                "index": 0,
                "input": "Who? Answer:",
                "outputs": ["Ann", "Anne"],
                "length": 99,
                "answer_prefix": " Answer:",
            }
        ],
    )
    return [
        Want(
            id="niah_single_1:0",
            question="Find the number.",
            answer=["1234567"],
            category="niah_single_1",
            meta={"task": "niah_single_1", "prefix": prefix},
            perfect="1234567",
        ),
        Want(
            id="qa_1:0",
            question="Who? Answer:",
            answer=["Ann", "Anne"],
            category="qa_1",
            meta={"prefix": " Answer:"},
            perfect="Anne",
        ),
    ]


_ANSWERS = ["nokia"] * 7 + ["nokia phone", "phone", "a phone"]
_PRO = ["Development", "Creative", "CAD", "Scientific", "Office", "OS"]

OFFICIAL: dict[str, Writer] = {
    "mmbench_v11_dev": circular(("en", "MMBench_DEV_EN_V11.tsv"), ("zh", "MMBench_DEV_CN_V11.tsv")),
    "mmstar": choices("MMStar", l2_category="coarse"),
    "blink_val": several("BLINK", "Which is nearer?"),
    "muirbench": several("MUIRBench", "Compare <image> and <image>."),
    "hallusionbench": hallusion,
    "zerobench_sub": plain("ZEROBench_sub", "3.5", perfect="so {3.5}", column="answers"),
    "crpe_relation": crpe,
    "pope": pope,
    "mme_realworld_en": mme_realworld,
    "realworldqa": choices("RealWorldQA"),
    "mmt_bench_val": choices("MMT-Bench_VAL", split="VAL"),
    "r_bench_dis": choices("R-Bench-Dis"),
    "wildvision": plain("WildVision", "A long answer.", column="claude3_sonnet"),
    "mmmu_val": mmmu,
    "mmmu_pro": mmmu_pro,
    "mathvista_mini": mathvista,
    "mathvision": mathvision,
    "mathverse_vision_only": plain(
        "MathVerse_MINI_Vision_Only",
        "0.5m",
        question_for_eval="What?",
        metadata="{}",
        problem_version="Vision Only",
        want={"meta": {"question_for_eval": "What?", "problem_version": "Vision Only"}},
    ),
    "dynamath_worst": dynamath,
    "logicvista": plain(
        "LogicVista", "A, C", skill="deductive", perfect="AC", want={"category": "deductive"}
    ),
    "wemath": wemath,
    "mmlongbench_doc": mmlongbench,
    "ocrbench": plain(
        "OCRBench",
        ["CENTRE", "CENTER"],
        perfect="The text says Centre.",
        category="Regular Text Recognition",
    ),
    "ocrbench_v2": ocrbench_v2,
    "chartqa_test": plain(
        "ChartQA_TEST", "14", split="test_human", want={"category": "test_human"}
    ),
    "rd_tablebench": rd_tablebench,
    "ai2d_test": choices("AI2D_TEST"),
    "textvqa_val": plain("TextVQA_VAL", _ANSWERS, perfect="Nokia."),
    "docvqa": split_pair("DocVQA"),
    "infovqa": split_pair("InfoVQA"),
    "ocr_reasoning": plain(
        "OCR_Reasoning",
        "3 apples",
        reasoning="count them",
        format="The answer is {} apples",
        language="English",
        task="counting",
        question_type="free_form",
        answer_type="text",
        want={"category": "counting", "meta": {"reasoning": "count them", "language": "English"}},
    ),
    "vcr_en_easy": plain(
        "VCR_EN_EASY_500",
        ["is the capital of France", "since 508"],
        perfect="Paris is the capital of France since 508",
    ),
    "seed_bench_2_plus": choices("SEEDBench2_Plus"),
    "charxiv_val": charxiv,
    "treebench": choices("TreeBench", target_instances=[[1, 2, 30, 40]]),
    "cv_bench": cv_bench,
    "screenspot": screens("ScreenSpot", ["Mobile", "Desktop", "Web"], "size"),
    "screenspot_v2": screens("ScreenSpot_v2", ["Mobile", "Desktop", "Web"], "size"),
    "screenspot_pro": screens("ScreenSpot_Pro", _PRO, "corners"),
    "longvideobench_val": lvb,
    "mlvu_dev": mlvu,
    "videomme": videomme,
    "mtvqa_test": plain("MTVQA_TEST", "\u6771\u4eac", category="JA", perfect="\u6771\u4eac\u90fd"),
    "mmmb": languages("MMMB"),
    "mmbench_multilingual": circular(
        *(
            (part, f"MMBench_dev_{code}.tsv")
            for part, code in zip(
                ("en", "zh", "pt", "ar", "tr", "ru"),
                ("en", "cn", "pt", "ar", "tr", "ru"),
                strict=True,
            )
        )
    ),
    "math_500": maths("math-500"),
    "aime_2025": maths("aime25"),
    "gpqa_diamond": gpqa,
    "livecodebench": livecodebench,
    "ifeval": ifeval,
    "scicode": scicode,
    "mmlu_pro_1000": mmlu_pro,
    "ruler": ruler,
}
