"""Peers without a model: constant and random answers, and Tesseract behind rules."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.evals import baselines
from nanovl.evals.base import Medium, Sample
from nanovl.evals.baselines import BASELINES, Ocr, baseline_responses, baseline_result
from nanovl.evals.mini_suite import TASKS
from nanovl.evals.scoring.calls import create_call_equality
from nanovl.evals.scoring.fields import create_field_f1
from nanovl.evals.scoring.grounding import create_box_iou, create_time_iou
from nanovl.evals.scoring.needles import create_needles
from nanovl.evals.scoring.short_answers import create_set_match, create_word_match

HAS_TESSERACT = shutil.which("tesseract") is not None
needs_tesseract = pytest.mark.skipif(not HAS_TESSERACT, reason="apt install tesseract-ocr")


def asked(answer, *, number=0, question="?", options=None, media=(), **meta):
    return Sample(
        id=f"s{number}", question=question, answer=answer, options=options or {}, media=media,
        meta=meta,
    )  # fmt: skip


def texts(name, samples, **given):
    return [response.text for response in baseline_responses(name, samples, **given)]


def picture(tmp_path, lines, *, size=36, width=900):
    """A PNG with black lines of text on white."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (width, 40 + len(lines) * size * 2), "white")
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((30, 20 + number * size * 2), line, "black", ImageFont.load_default(size))
    path = tmp_path / "page.png"
    image.save(path)
    return Medium(kind="image", path=str(path), name="page.png")


class Reader:
    """Stands for Tesseract."""

    def __init__(self, text):
        self.text = text
        self.modes = []

    def read(self, medium, *, mode=3, spaces=False):
        self.modes.append((mode, spaces))
        return self.text


PICTURE = (Medium(kind="image", data=b"x", name="x.png"),)


def test_every_peer_of_the_suite_exists():
    assert {name for task in TASKS for name in task.baselines} <= set(BASELINES)
    assert all(task.baselines for task in TASKS)


def test_the_most_frequent_answer():
    samples = [asked(a, number=i) for i, a in enumerate(["no", "yes", "yes", "b", "b"])]
    assert texts("majority", samples) == ["b"] * 5  # of equally many the first of the alphabet
    result = baseline_result("majority", samples, create_word_match())
    assert result.score == 0.4


def test_the_most_frequent_set_and_alternatives():
    sets = [asked(["a", "b"], kind="set"), asked(["b"], number=1, kind="set")]
    assert texts("majority", sets) == ["a, b", "a, b"]
    assert baseline_result("majority", sets, create_set_match()).score == 0.5
    alternatives = [asked(["hound", "dog"]), asked(["cat"], number=1), asked(["hound"], number=2)]
    assert texts("majority", alternatives)[0] == "hound"


def test_the_most_frequent_value_of_every_field():
    samples = [
        asked({"company": "A", "total": "1.00", "iban": None}),
        asked({"company": "A", "total": "2.00", "iban": None}, number=1),
        asked({"company": "B", "total": "1.00", "iban": None}, number=2),
    ]
    answers = texts("majority", samples)
    assert [json.loads(a) for a in answers] == [{"company": "A", "total": "1.00"}] * 3
    result = baseline_result("majority", samples, create_field_f1())
    assert result.groups["company"] == pytest.approx(200 / 3)


def test_random_answers_depend_on_the_sample_alone():
    options = {"A": "x", "B": "y", "C": "z"}
    samples = [asked("A", number=i, options=options) for i in range(60)]
    first = texts("random-option", samples)
    assert first == texts("random-option", samples[::-1])[::-1]
    assert set(first) == set(options)
    assert texts("first-option", samples[:1]) == ["A"]
    choices = [asked("true", number=i, choices=["true", "false"]) for i in range(40)]
    assert set(texts("random-choice", choices)) == {"true", "false"}


def test_constants():
    assert texts("silent", [asked([])]) == [""]
    assert baseline_result("silent", [asked([])], create_call_equality()).score == 1.0
    middle = baseline_result("middle-box", [asked([[250, 250, 750, 750]])], create_box_iou())
    assert middle.score == 1.0
    clip = asked([[0, 8]], duration_s=8.0)
    assert texts("whole-clip", [clip]) == ["00:00-00:08"]
    assert baseline_result("whole-clip", [clip], create_time_iou()).score == 1.0
    with pytest.raises(InputError, match="duration_s"):
        texts("whole-clip", [asked([[0, 8]])])
    assert texts("last-number", [asked("7", question="2 and 7?")]) == ["7"]


def test_the_nearest_sentence_finds_a_needle_without_reading_pictures():
    filler = "The grass is green. The sky is blue. " * 20
    prompt = (
        f"Read this.\n\n{filler}The number of the amber anchor is 7654321. {filler}\n\n"
        "What is the number of the amber anchor?"
    )
    samples = [asked(["7654321"], question=prompt)]
    assert texts("overlap-sentence", samples) == ["The number of the amber anchor is 7654321."]
    assert baseline_result("overlap-sentence", samples, create_needles()).score == 1.0


def test_readers_get_the_mode_that_suits_the_picture():
    reader = Reader("Ardo   Tartu\nSiim   Tallinn")
    line = asked("x", media=PICTURE, layout="line")
    page = asked("x", media=PICTURE, layout="page")
    cell = asked(["Tartu"], media=PICTURE, question="Look. Where is it?")
    assert texts("tesseract", [line, page], ocr=reader) == [reader.text] * 2
    texts("overlap-cell", [cell], ocr=reader)
    assert reader.modes == [(7, False), (3, False), (6, True)]


def test_rules_on_read_text():
    reader = Reader("SHOP SDN BHD\n1 Main Street\nDate: 01/02/2020\nTOTAL 5.00")
    receipt = asked({"company": "SHOP SDN BHD", "total": "5.00"}, media=PICTURE)
    found = json.loads(texts("regex-receipt", [receipt], ocr=reader)[0])
    assert (found["company"], found["total"]) == ("SHOP SDN BHD", "5.00")
    form = asked({"date": "2020-02-01", "iban": None}, media=PICTURE)
    assert json.loads(texts("label-line", [form], ocr=reader)[0]) == {"date": "01/02/2020"}
    question = asked("Main Street", media=PICTURE, question="Where? Answer.")
    assert texts("overlap-span", [question], ocr=Reader("It is in Main Street."))[0]


def test_the_question_without_its_wording_is_used():
    reader = Reader("Tom has a dog. Answer shortly from the text shown.")
    sample = asked("dog", media=PICTURE, question="Who has it? Answer from the text shown.")
    raw = Sample(id="r", question=sample.question, answer="dog", media=PICTURE,
                 meta={"question": "What animal has Tom?"})  # fmt: skip
    assert texts("overlap-sentence", [sample], ocr=reader) != ["Tom has a dog."]
    assert texts("overlap-sentence", [raw], ocr=reader) == ["Tom has a dog."]


def test_an_unknown_peer_is_named():
    with pytest.raises(ConfigError, match="majority"):
        baseline_responses("majorty", [asked("a")])


def test_a_missing_program_is_an_error_that_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(BackendError, match="apt install tesseract-ocr"):
        baseline_responses("tesseract", [asked("a", media=PICTURE)])


@needs_tesseract
def test_tesseract_reads_a_page_once(tmp_path, monkeypatch):
    page = picture(tmp_path, ["The quick brown fox", "jumps over 12 dogs"])
    ocr = Ocr(cache=tmp_path / "cache")
    assert ocr.version.startswith("tesseract")
    assert " ".join(ocr.read(page).split()) == "The quick brown fox jumps over 12 dogs"
    again = Ocr(cache=tmp_path / "cache")
    monkeypatch.setattr(again, "_run", lambda *_: pytest.fail("it was read again"))
    assert again.read(page) == ocr.read(page)


@needs_tesseract
def test_tesseract_takes_bytes_and_reports_what_it_cannot_read(tmp_path):
    page = picture(tmp_path, ["Total 42.00"])
    data = (tmp_path / "page.png").read_bytes()
    ocr = Ocr()
    assert "42.00" in ocr.read(Medium(kind="image", data=data, name="x.png"))
    assert "42.00" in ocr.read(page, mode=7)
    with pytest.raises(InputError, match=r"bad\.png"):
        ocr.read(Medium(kind="image", data=b"no picture", name="bad.png"))
    with pytest.raises(InputError, match=r"gone\.png"):
        ocr.read(Medium(kind="image", path=str(tmp_path / "gone.png"), name="gone.png"))
    with pytest.raises(InputError, match="reads pictures"):
        ocr.read(Medium(kind="video", data=b"", name="clip"))


@needs_tesseract
def test_a_program_that_hangs_is_ended(tmp_path, monkeypatch):
    ocr = Ocr()

    def hang(*arguments, **settings):
        raise subprocess.TimeoutExpired("tesseract", 1)

    monkeypatch.setattr(baselines.subprocess, "run", hang)
    with pytest.raises(InputError, match="more than"):
        ocr.read(picture(tmp_path, ["x"]))
