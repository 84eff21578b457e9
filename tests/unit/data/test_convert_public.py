"""Converters of public formats, on samples written here."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.data.convert import FORMATS
from nanovl.data.convert.banks import BANKS
from nanovl.data.convert.base import Converted, ConvertOptions, Malformed
from nanovl.data.convert.vqa import majority
from nanovl.data.records import Record


def picture(path: Path, width: int = 200, height: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(stream, "PNG")
    path.write_bytes(stream.getvalue())


def save(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


class Run:
    """The records of one conversion by id, and what was dropped."""

    def __init__(self, name: str, source: Path, **options: Any) -> None:
        self.drops: list[tuple[str, str, str]] = []
        given = ConvertOptions(on_drop=lambda *what: self.drops.append(what), **options)
        self.made: dict[str, Converted] = {}
        for made in FORMATS[name].convert(source, given):
            assert made.record.id not in self.made
            assert Record.from_json(made.record.to_json(), where="x") == made.record
            assert {f.value for f in made.record.media} == set(made.media)
            self.made[made.record.id] = made

    def __getitem__(self, key: str) -> Record:
        return self.made[key].record

    def question(self, key: str) -> str:
        user = next(m for m in self[key].messages if m.role == "user")
        return user.content[-1].value

    def answer(self, key: str) -> str:
        return self[key].messages[-1].content[0].value

    def tasks(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for made in self.made.values():
            found[made.record.task] = found.get(made.record.task, 0) + 1
        return found


# -- VQA ----------------------------------------------------------------------------------------


def vqa_files(root: Path) -> Path:
    picture(root / "images" / "COCO_train2014_000000000042.jpg")
    answers = ["red", "Red", "blue", "blue", "red", "green", "red", "blue", "blue", "x"]
    save(
        root / "v2_OpenEnded_mscoco_train2014_questions.json",
        {
            "questions": [
                {"image_id": 42, "question": "What colour is it?", "question_id": 42000},
                {"image_id": 42, "question": "How many?", "question_id": 42001},
                {"image_id": 43, "question": "What?", "question_id": 43000},
                {"image_id": 42, "question": "Why?", "question_id": 42002},
                {"image_id": 42, "question": "", "question_id": 42003},
                "oops",
            ]
        },
    )
    annotations = [
        {
            "question_id": 42000,
            "image_id": 42,
            "multiple_choice_answer": "blue",
            "answers": [{"answer": a, "answer_confidence": "yes"} for a in answers],
        },
        {"question_id": 42001, "image_id": 42, "answers": [{"answer": "2"}] * 10},
        {"question_id": 43000, "image_id": 43, "answers": [{"answer": "2"}] * 10},
        {"question_id": 42003, "image_id": 42, "answers": [{"answer": "2"}] * 10},
    ]
    save(
        root / "v2_mscoco_train2014_annotations.json",
        {"data_subtype": "train2014", "annotations": annotations},
    )
    return root


def test_vqa_pairs_take_the_majority_answer_and_name_what_is_missing(tmp_path: Path) -> None:
    run = Run("vqa", vqa_files(tmp_path), extra={"name": "vqav2"})
    assert set(run.made) == {"vqav2-42000", "vqav2-42001"}
    assert run.answer("vqav2-42000") == "blue"  # 4 : 4, and the source says blue
    assert run.answer("vqav2-42001") == "2"
    assert "What colour is it?" in run.question("vqav2-42000")
    record = run["vqav2-42001"]
    assert record.metadata["template"].startswith("number_answer/")
    assert record.source == "vqav2"
    image = record.messages[0].content[0]
    assert image.value == "vqav2-COCO_train2014_000000000042.jpg"
    assert image.metadata == {"width": 200, "height": 100}
    reasons = {(reason, where.split("questions")[-1]) for reason, where, _ in run.drops}
    assert reasons == {
        ("missing_media", "[2]"),
        ("no_answer", "[3]"),
        ("empty", "[4]"),
        ("wrong_type", "[5]"),
    }


def test_vqa_reads_single_files_with_refusals_and_listed_options(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    save(
        tmp_path / "train.json",
        [
            {
                "image": "a.jpg",
                "question": "What is it?",
                "answers": [{"answer": "unanswerable", "answer_confidence": "yes"}],
                "answerable": 0,
            },
            {
                "image": "a.jpg",
                "question_id": 7,
                "question": "Which?",
                "answers": ["cat"],
                "multiple_choices": ["dog", "cat", "cow", "eel"],
            },
        ],
    )
    run = Run("vqa", tmp_path)
    assert run.answer("vqa-a") == "unanswerable"
    assert '"unanswerable"' in run.question("vqa-a")
    letter = run.answer("vqa-7-choice") if "vqa-7-choice" in run.made else ""
    assert f"\n{letter}. cat" in run.question("vqa-7-choice")


def test_majority_without_answers_is_malformed() -> None:
    assert majority(["a", " B", "b"]) == "B"
    for answers in ([], ["", ""]):
        with pytest.raises(Malformed, match="majority is blank"):
            majority(answers)


def test_vqa_says_which_file_it_wants(tmp_path: Path) -> None:
    path = save(tmp_path / "a.json", {"annotations": []})
    with pytest.raises(InputError, match="is this the question file"):
        Run("vqa", path)
    path = save(tmp_path / "q_questions.json", {"questions": []})
    with pytest.raises(InputError, match=r"q_annotations\.json: cannot be read"):
        Run("vqa", path)


def test_ocrvqa_keeps_questions_and_answers_together(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "b1.jpg")
    book = {"split": 1, "questions": ["Who wrote it?", "Genre?"], "answers": ["Ann Lee", "Poetry"]}
    save(
        tmp_path / "dataset.json",
        {"b1": book, "b2": {**book, "split": 3}, "b3": {**book, "answers": ["x"]}, "b4": 3},
    )
    picture(tmp_path / "images" / "b3.jpg")
    run = Run("ocrvqa", tmp_path)
    assert set(run.made) == {"ocrvqa-b1-0", "ocrvqa-b1-1"}
    assert run.answer("ocrvqa-b1-1") == "Poetry"
    assert {d[0] for d in run.drops} == {"bad_value", "wrong_type"}
    assert list(Run("ocrvqa", tmp_path, extra={"multi_turn": True}).made) == ["ocrvqa-b1"]


# -- Documents and charts -----------------------------------------------------------------------


def test_docvqa_pages_and_documents(tmp_path: Path) -> None:
    picture(tmp_path / "documents" / "p_1.png")
    picture(tmp_path / "images" / "p_2.jpg")
    entries = [
        {
            "questionId": 1,
            "question": "Which year?",
            "image": "documents/p_1.png",
            "answers": ["1999", "1999", "in 1999"],
        },
        {
            "questionId": 2,
            "question": "Who signed?",
            "page_ids": ["documents/p_1", "p_2"],
            "answer_page_idx": 1,
            "answers": ["Mr. X"],
        },
        {"questionId": 3, "question": "?", "image": "documents/p_1.png", "answers": []},
        {"questionId": 4, "question": "?", "answers": ["x"]},
        {
            "questionId": 5,
            "question": "?",
            "page_ids": ["documents/p_1"],
            "answer_page_idx": 1,
            "answers": ["x"],
        },
    ]
    save(tmp_path / "train_v1.0.json", {"data": entries})
    run = Run("docvqa", tmp_path)
    assert set(run.made) == {"docvqa-1", "docvqa-2"}
    assert run.answer("docvqa-1") == "1999"
    assert run["docvqa-1"].metadata["answers"] == ["1999", "1999", "in 1999"]
    two = run["docvqa-2"]
    assert [f.value for f in two.media] == ["docvqa-p_1.png", "docvqa-p_2.jpg"]
    assert (two.task, two.metadata["evidence_page"]) == ("multi_page_qa", 1)
    assert [d[0] for d in run.drops] == ["empty", "missing_field", "bad_value"]
    assert "answer_page_idx: got 1 of 1 pages" in run.drops[2][2]


def test_infovqa_reads_its_own_field_for_the_picture(tmp_path: Path) -> None:
    picture(tmp_path / "pics" / "9.jpeg")
    entry = {"questionId": 9, "question": "Q?", "image_local_name": "9.jpeg", "answers": ["a b"]}
    path = save(tmp_path / "infovqa_train_v1.json", {"data": [entry]})
    run = Run("infovqa", path, images=tmp_path / "pics")
    assert (run.answer("infovqa-9"), run["infovqa-9"].source) == ("a b", "infovqa")


def test_chartqa_questions_and_one_table_per_chart(tmp_path: Path) -> None:
    root = tmp_path / "train"
    picture(root / "png" / "c1.png")
    (root / "tables").mkdir()
    (root / "tables" / "c1.csv").write_text("Year,Sales\n2001,5\n2002,7\n")
    entries = [
        {"imgname": "c1.png", "query": "Best year?", "label": "2002"},
        {"imgname": "c1.png", "query": "Is it rising?", "label": "Yes"},
        {"imgname": "c1.png", "query": "Is it?"},
    ]
    save(root / "train_human.json", entries)
    run = Run("chartqa", tmp_path)
    assert set(run.made) == {
        "chartqa-train_human-0",
        "chartqa-train_human-1",
        "chartqa-c1-table",
    }
    assert run.answer("chartqa-train_human-0") == "2002"
    assert "number" in run.question("chartqa-train_human-0")
    assert run.answer("chartqa-c1-table") in (
        "Year,Sales\n2001,5\n2002,7",
        "| Year | Sales |\n| --- | --- |\n| 2001 | 5 |\n| 2002 | 7 |",
    )
    assert run.drops == [
        (
            "missing_field",
            "train_human.json[2]",
            "label is missing; there are: imgname, query, _folder",
        )
    ]


# -- Receipts and forms -------------------------------------------------------------------------


def sroie_folder(root: Path) -> Path:
    picture(root / "img" / "000.jpg", 400, 1000)
    (root / "box").mkdir()
    (root / "box" / "000.txt").write_text(
        "\ufeff40,100,360,100,360,150,40,150,ACME, INC.\n"
        "40,200,200,200,200,250,40,250,TOTAL\n"
        "300,205,360,205,360,255,300,255,12.50\n"
    )
    save(
        root / "key" / "000.json",
        {"company": "ACME, INC.", "date": "", "address": "1 ROAD", "total": "12.50"},
    )
    return root


def test_sroie_gives_fields_json_text_boxes_and_grounding(tmp_path: Path) -> None:
    run = Run("sroie", sroie_folder(tmp_path), extra={"boxes": 2})
    assert run.answer("sroie-000-company") == "ACME, INC."
    assert "sroie-000-date" not in run.made
    assert run.answer("sroie-000-json") == (
        '{"company": "ACME, INC.", "date": null, "address": "1 ROAD", "total": "12.50"}'
    )
    assert run.answer("sroie-000-ocr") == "ACME, INC.\nTOTAL 12.50"
    assert run.answer("sroie-000-ocr-boxes") == (
        "<ref>ACME, INC.</ref><box>(100,100),(900,150)</box>"
        "<ref>TOTAL</ref><box>(100,200),(500,250)</box>"
        "<ref>12.50</ref><box>(750,205),(900,255)</box>"
    )
    assert run.tasks() == {
        "receipt_field": 3,
        "key_information": 1,
        "ocr": 1,
        "ocr_boxes": 1,
        "ocr_line": 1,
        "grounding": 2,
        "reverse_grounding": 2,
    }
    number = run.question("sroie-000-ocr-line")
    assert ("1" in number) == (run.answer("sroie-000-ocr-line") == "ACME, INC.")
    assert {v for m in run.made.values() for v in m.media} == {"sroie-000.jpg"}
    refs = [m.media["sroie-000.jpg"] for m in run.made.values()]
    assert all(isinstance(r, MediaRef) for r in refs)


def test_sroie_names_a_bad_line(tmp_path: Path) -> None:
    root = sroie_folder(tmp_path)
    (root / "box" / "000.txt").write_text("1,2,3,oops\n")
    run = Run("sroie", root)
    assert not run.made
    assert run.drops == [
        ("bad_box", "000.txt", "line 1: got '1,2,3,oops', expected 8 numbers and a text")
    ]
    with pytest.raises(InputError, match="found none of the folders box"):
        Run("sroie", tmp_path / "img")


def funsd_form() -> dict[str, Any]:
    def entity(number: int, text: str, box: list[int], label: str, *links: list[int]) -> Any:
        words = [{"text": text, "box": box}]
        return {
            "id": number,
            "text": text,
            "box": box,
            "label": label,
            "words": words,
            "linking": list(links),
        }

    return {
        "form": [
            entity(0, "Name:", [20, 10, 60, 20], "question", [0, 1], [0, 2]),
            entity(1, "Ann", [70, 10, 100, 20], "answer", [0, 1]),
            entity(2, "Lee", [70, 30, 100, 40], "answer", [0, 2]),
            entity(3, "FORM 7", [20, 0, 100, 8], "header"),
            entity(4, "Date", [20, 60, 60, 70], "question"),
            entity(5, "", [0, 0, 0, 0], "other"),
        ]
    }


def test_funsd_joins_linked_answers(tmp_path: Path) -> None:
    picture(tmp_path / "training_data" / "images" / "f1.png")
    save(tmp_path / "training_data" / "annotations" / "f1.json", funsd_form())
    run = Run("funsd", tmp_path)
    assert run.answer("funsd-f1-field-0") == "Ann Lee"
    assert '"Name"' in run.question("funsd-f1-field-0")
    assert run.answer("funsd-f1-json") == '{"Name": "Ann Lee"}'
    assert run.answer("funsd-f1-label") in ("header", "question", "answer")
    assert run.answer("funsd-f1-ocr") == "FORM 7\nName: Ann\nLee\nDate"
    assert run.tasks()["grounding"] == 3


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        ({"label": "title"}, "bad_value", "form[0].label: got 'title', expected one of header"),
        ({"box": [1, 2, 3]}, "bad_box", "form[0].box: got [1, 2, 3], expected 4 numbers"),
        ({"linking": [[0, 77]]}, "bad_value", "form[0].linking[0]: [0, 77] names an id"),
        ({"linking": [[0]]}, "wrong_type", "form[0].linking[0]: got [0], expected a pair"),
    ],
)
def test_funsd_names_what_is_wrong(
    tmp_path: Path, change: dict[str, Any], reason: str, message: str
) -> None:
    form = funsd_form()
    form["form"][0].update(change)
    picture(tmp_path / "images" / "f1.png")
    save(tmp_path / "annotations" / "f1.json", form)
    run = Run("funsd", tmp_path)
    assert not run.made
    assert run.drops[0][0] == reason
    assert message in run.drops[0][2]


# -- Captions and multiple choice ---------------------------------------------------------------


def test_captions_of_coco_and_textcaps(tmp_path: Path) -> None:
    picture(tmp_path / "0001.jpg")
    coco = {
        "images": [{"id": 1, "file_name": "0001.jpg", "width": 640, "height": 480}],
        "annotations": [
            {"image_id": 1, "caption": "A  cat.\n"},
            {"image_id": 1, "caption": "Some cat."},
            {"image_id": 2, "caption": "No picture."},
        ],
    }
    run = Run("captions", save(tmp_path / "captions_train.json", coco), extra={"name": "coco"})
    assert {k: run.answer(k) for k in run.made} == {
        "coco-0001-0": "A cat.",
        "coco-0001-1": "Some cat.",
    }
    assert run.question("coco-0001-0") in BANKS["captioning"]
    assert run["coco-0001-0"].media[0].metadata == {"width": 640, "height": 480}
    assert run.drops[0][2] == "image_id: there is no picture '2' in 'images'"
    textcaps = {"data": [{"image_id": "0001", "caption_str": "A sign."}]}
    run = Run("captions", save(tmp_path / "t.json", textcaps))
    assert run.answer("captions-0001-0") == "A sign."


def scienceqa_file(root: Path) -> Path:
    for number in ("5", "8"):
        picture(root / "train" / number / "image.png")
    problem = {
        "question": "Which is a mammal?",
        "choices": ["a trout", "a bat"],
        "answer": 1,
        "hint": "Look.",
        "image": "image.png",
        "lecture": "Mammals have hair.",
        "solution": "A bat has hair.",
        "split": "train",
    }
    text_only = {**problem, "image": None, "lecture": "", "solution": "", "hint": ""}
    problems = {
        "5": problem,
        "6": text_only,
        "7": {**problem, "split": "test"},
        "8": {**problem, "answer": 2},
        "9": {**text_only, "choices": ["a", ""]},
    }
    save(root / "problems.json", problems)
    return root


def test_scienceqa_uses_lecture_and_solution_as_trace(tmp_path: Path) -> None:
    run = Run("scienceqa", scienceqa_file(tmp_path))
    assert set(run.made) == {"scienceqa-5", "scienceqa-6"}
    assert run.answer("scienceqa-5") == (
        "<think>\nMammals have hair.\n\nA bat has hair.\n</think>\n\nB"
    )
    assert run["scienceqa-5"].reasoning is None
    assert "Look.\nWhich is a mammal?" in run.question("scienceqa-5")
    assert "A. a trout\nB. a bat" in run.question("scienceqa-5")
    assert (run["scienceqa-6"].reasoning, run.answer("scienceqa-6")) == ("off", "B")
    assert not run["scienceqa-6"].media
    assert [d[0] for d in run.drops] == ["no_answer", "empty"]
    off = Run("scienceqa", tmp_path, extra={"reasoning": "off"})
    assert off.answer("scienceqa-5") == "B"
    assert Run("scienceqa", tmp_path, extra={"reasoning": "on"})["scienceqa-5"].reasoning == "on"


def test_ai2d_uses_the_lettered_pictures_for_lettered_questions(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "0.png")
    picture(tmp_path / "abc_images" / "0.png", 50, 50)
    texts = ["egg", "larva", "pupa", "moth"]
    plain = {"answerTexts": texts, "correctAnswer": 2, "abcLabel": False}
    questions = {
        "What follows the larva?": plain,
        "Which letter is the egg?": {
            "answerTexts": ["C", "D"],
            "correctAnswer": 0,
            "abcLabel": True,
        },
    }
    save(tmp_path / "questions" / "0.png.json", {"imageName": "0.png", "questions": questions})
    (tmp_path / "questions" / "1.png.json").write_text("{")
    run = Run("ai2d", tmp_path)
    assert run.answer("ai2d-0-0") == "C"
    assert run.answer("ai2d-0-abc-1") == "A"
    assert run["ai2d-0-abc-1"].media[0].value == "ai2d-0-abc.png"
    assert run["ai2d-0-abc-1"].media[0].metadata == {"width": 50, "height": 50}
    assert run.drops[0][:2] == ("bad_json", "1.png.json")


# -- All of them --------------------------------------------------------------------------------


def test_another_seed_changes_wordings_but_no_answer(tmp_path: Path) -> None:
    root = sroie_folder(tmp_path)
    first, again, other = (Run("sroie", root, seed=s) for s in (0, 0, 1))
    assert [m.record for m in first.made.values()] == [m.record for m in again.made.values()]
    asked = [
        [run.question(f"sroie-000-{k}") for k in ("company", "ocr", "json")]
        for run in (first, other)
    ]
    assert asked[0] != asked[1]
    assert first.answer("sroie-000-ocr") == other.answer("sroie-000-ocr")
