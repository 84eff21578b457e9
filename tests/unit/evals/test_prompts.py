"""What each benchmark is asked with: the specification's words in its order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.base import Medium, Sample
from nanovl.evals.prompts import PROMPT_SETS, load_prompts
from nanovl.evals.readers import load
from nanovl.evals.registry import benchmark, benchmarks
from nanovl.evals.requests import Prompt
from nanovl.evals.text_prompts import fill
from tests.unit.evals.official import OFFICIAL

SHORT = "Answer the question using a single word or phrase."
LETTER = "Answer with the option's letter from the given choices directly."
SELECT = "Please select the correct answer from the options above. \n"
MMBENCH = "Hint: Listen.\nQuestion: Who barks?\nOptions:\nA. cat\nB. dog\nC. hen\n"
CHOICE = (
    "Question: What is it?\nLook\tclosely.\nOptions:\nA. teddy bear\nB. rabbit\nC. None\n"
    'D. a, "quoted" dog\n'
)
GUI = "Please complete the following tasks by clicking using `pyautogui.click`:\nopen the "
WRITTEN = "What is written?"
# What the first sample of each fixture is asked with; pictures are <image>, and so on.
TEXTS = {
    "mmbench_v11_dev": f"<image>{MMBENCH}{SELECT}",
    "mmstar": f"<image>{CHOICE}{SELECT}",
    "blink_val": "<image><image>Question: Which is nearer?\nOptions:\nA. the first\nB. the second\n"
    + SELECT,
    "muirbench": f"Compare <image> and <image>.\nA. the first\nB. the second\n{LETTER}",
    "hallusionbench": "<image>Is the line longer?",
    "crpe_relation": "<image>Who holds the cup?\nA. a man\nB. a woman",
    "pope": "<image>Is there a dog?",
    "realworldqa": f"<image>{CHOICE}{SELECT}",
    "mmt_bench_val": f"<image>{CHOICE}{SELECT}",
    "r_bench_dis": f"<image>{CHOICE}{SELECT}",
    "wildvision": f"{WRITTEN}<image>",
    "mmmu_val": f"Question: See <image> and <image>.\nOptions:\nA. alike\nB. different\n{SELECT}",
    "mathvista_mini": "<image>Hint: answer with a letter.\nQuestion: Which?\nChoices:\n(A) 3/11",
    "mathvision": "<image>Which triangle?",
    "mathverse_vision_only": f"<image>{WRITTEN}",
    "logicvista": f"<image>{WRITTEN}",
    "wemath": "<image>Question: Step 2steps_1?\nOptions:\nA. 1 cm\nB. 2 cm\n"
    "Answer with the option's letter from the given choices directly. ",
    "mmlongbench_doc": "<pdf>How many pages?",
    "ocrbench": f"<image>{WRITTEN}",
    "ocrbench_v2": "<image>What is the date?",
    "chartqa_test": f"<image>{WRITTEN}\n{SHORT}",
    "ai2d_test": f"<image>{CHOICE}{SELECT}",
    "textvqa_val": f"<image>{WRITTEN}\n{SHORT}",
    "docvqa": f"<image>Which date?\n{SHORT}",
    "infovqa": f"<image>Which date?\n{SHORT}",
    "vcr_en_easy": f"<image>{WRITTEN}",
    "seed_bench_2_plus": f"<image>{CHOICE}{SELECT}",
    "charxiv_val": "<image>Which is best?",
    "treebench": f"<image>{CHOICE}Answer with the correct option's letter directly. ",
    "cv_bench": "<image>How many? Select from:\n(A) 1\n(B) 2",
    "screenspot": f"<image>{GUI}Mobile menu",
    "screenspot_v2": f"<image>{GUI}Mobile menu",
    "screenspot_pro": f"<image>{GUI}Development menu",
    "longvideobench_val": "<video>What happens last?\nA. a fall\nB. a jump\nC. a song\nD. a walk\n"
    f"E. nothing\n{LETTER}",
    "mlvu_dev": "<video>Question: Which colour in 1_plotQA?\nOptions:\n(A) red\n(B) green\n"
    "Only give the best option.",
    "mtvqa_test": f"<image>{WRITTEN}\nAnswer the question using a word or phrase in the language "
    "of the question.",
    "mmmb": f"<image>{CHOICE}{SELECT}",
    "mmbench_multilingual": f"<image>{MMBENCH}{SELECT}",
    "ifeval": "Write without commas.",
    "ruler": "Find the number.",
}
# Where the specification describes a text without quoting it: what must be in it, in this order.
PIECES = {
    "zerobench_sub": [f"<image>{WRITTEN}\n\n", "step by step", "curly braces", "{final answer}"],
    "mme_realworld_en": [
        "<image>Which colour? The choices are listed below:\n(A) red\n(B) blue\n(C) green\n"
        "(D) white\n(E) not visible\n",
        "best answer",
        "only the letter (A, B, C, D, or E)",
        "The best answer is:",
    ],
    "mmmu_pro": [
        "Question: What does <image> show?\nOptions:\nA. option A\n",
        "J. option J\nAnswer directly with the option letter from the given choices. ",
    ],
    "dynamath_worst": [
        "<image>## Question\n What is f(0)?\n",
        '"solution"',
        '"short answer"',
        "floating-point number with three digits",
        '{\n    "solution": ',
        ',\n    "short answer": ',
    ],
    "rd_tablebench": ["<pdf>", "HTML table", "<table>", "</table>", "rowspan", "colspan"],
    "ocr_reasoning": [f"<image>{WRITTEN}\n", "step by step", "'The answer is {} apples'"],
    "videomme": [
        "<video>",
        "These are the frames of a video.",
        "only the letter (A, B, C, or D)",
        "Question: What is sold?\nA. Apples.\nB. Pears.\nC. Plums.\nD. Figs.\nAnswer: ",
    ],
    "math_500": ["answer (and only the answer) inside \\boxed{}", "\n\nWhat is $6 \\cdot 7$?"],
    "aime_2025": ["inside \\boxed{}", "\n\nWhat is $6 \\cdot 7$?"],
    "gpqa_diamond": [
        "\\boxed{}",
        "Which particle 0?\n\nA) pion. \nB) tau lepton\nC) muon 0\nD) electron",
    ],
    "mmlu_pro_1000": [
        "Answer: \\boxed{A/B/C/D/E/F/G/H/I/J}",
        "\n\nWhich law?\n\nA) contract\nB) tort",
    ],
    "livecodebench": ["Read n.\n\tPrint n + 1.\n\n", "stdin", "stdout", "# YOUR CODE HERE"],
    "scicode": [
        "Do part 1.\n\nKnown facts.",
        "def part1(x):\n    return x",
        "import numpy as np",
        "```python```",
    ],
}


def first_prompt(name: str, folder: Path) -> Prompt:
    OFFICIAL[name](folder)
    unit = load(benchmark(name), folder)[0]
    return load_prompts().build(benchmark(name), unit.samples[0])


def test_every_benchmark_is_here() -> None:
    assert {*TEXTS, *PIECES} == set(benchmarks())


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_quoted_texts(name: str, tmp_path: Path) -> None:
    assert first_prompt(name, tmp_path).text == TEXTS[name]


@pytest.mark.parametrize("name", sorted(PIECES))
def test_described_texts(name: str, tmp_path: Path) -> None:
    rest = first_prompt(name, tmp_path).text
    for piece in PIECES[name]:
        _, found, rest = rest.partition(piece)
        assert found, f"{piece!r} is not in {rest!r}, or not in this order"
    if name in ("zerobench_sub", "mme_realworld_en", "videomme", "mmmu_pro", "gpqa_diamond"):
        assert not rest  # it ends there


def test_pictures_keep_their_places(tmp_path: Path) -> None:
    prompt = first_prompt("muirbench", tmp_path)
    kinds = [p.name if isinstance(p, Medium) else p[:8] for p in prompt.content]
    assert kinds == ["Compare ", "MUIRBench/0_0", " and ", "MUIRBench/0_1", ".\nA. the"]


def mmmu(question: str, media: int) -> tuple[str, ...]:
    pictures = tuple(Medium(kind="image", data=b"", name=str(n)) for n in range(1, media + 1))
    sample = Sample(id="1", question=question, answer="x", media=pictures)
    prompt = load_prompts().build(benchmark("mmmu_val"), sample)
    return tuple(p.name if isinstance(p, Medium) else p for p in prompt.content)


def test_numbered_pictures() -> None:
    assert mmmu("<image 2> then <image 1>", 2) == ("Question: ", "2", " then ", "1", "\n")
    assert mmmu("<image 1><image 1>", 1) == ("Question: ", "1", "1", "\n")
    # A picture nobody names is shown first; a number without a picture stays text.
    assert mmmu("only <image 2>", 2) == ("1", "Question: only ", "2", "\n")
    assert mmmu("<image 12>?", 1) == ("1", "Question: <image 12>?\n")
    assert mmmu("no mark", 2) == ("1", "2", "Question: no mark\n")


def test_open_questions_have_no_option_lines() -> None:
    assert "select" not in "".join(mmmu("How many?", 0))


def test_screenshot_questions_show_the_picture_alone(tmp_path: Path) -> None:
    OFFICIAL["mmmu_pro"](tmp_path)
    one = benchmark("mmmu_pro")
    (unit,) = load(one, tmp_path)
    vision = unit.samples[1]
    text = load_prompts().build(one, vision).text
    assert text.startswith("<image>Answer the multiple-choice question in the image.")
    assert text.endswith("Answer directly with the option letter from the given choices. ")
    steps = replace(vision, meta={**vision.meta, "cot": True})
    assert "'Answer: $LETTER'" in load_prompts().build(one, steps).text


def test_step_by_step_files_append_their_requirement(tmp_path: Path) -> None:
    OFFICIAL["wemath"](tmp_path)
    (unit,) = load(benchmark("wemath"), tmp_path)
    sample = replace(unit.samples[0], meta={"requirement": "Think first."})
    assert (
        load_prompts().build(benchmark("wemath"), sample).text.endswith("directly. \nThink first.")
    )


def test_chinese_questions_are_asked_in_chinese(tmp_path: Path) -> None:
    OFFICIAL["ocr_reasoning"](tmp_path)
    one = benchmark("ocr_reasoning")
    (unit,) = load(one, tmp_path)
    sample = replace(unit.samples[0], meta={"language": "Chinese", "format": "{}\u5143"})
    text = load_prompts().build(one, sample).text
    assert "\u6700\u7ec8\u7b54\u6848" in text
    assert "'{}\u5143'" in text
    assert "step" not in text


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("multiple choice", "letter of the correct choice"),
        ("float", "three digits after the point"),
        ("text", "short answer to the question"),
    ],
)
def test_dynamath_asks_by_type(kind: str, words: str) -> None:
    sample = Sample(id="1", question="Q", answer="x", meta={"answer_type": kind})
    assert words in load_prompts().build(benchmark("dynamath_worst"), sample).text


def test_system_turns_of_benchmarks(tmp_path: Path) -> None:
    gui = first_prompt("screenspot", tmp_path / "a")
    assert "GUI agent" in gui.system
    assert "pyautogui.click(x=?, y=?)" in gui.system
    assert first_prompt("mlvu_dev", tmp_path / "b").system
    assert first_prompt("mmstar", tmp_path / "c").system == ""


def test_limits_of_their_own(tmp_path: Path) -> None:
    assert first_prompt("rd_tablebench", tmp_path / "a").max_tokens == 16_384
    assert first_prompt("mmstar", tmp_path / "b").max_tokens is None
    prompt = first_prompt("ruler", tmp_path / "c")
    assert (prompt.max_tokens, prompt.prefix) == (128, "The special magic numbers are")


@pytest.mark.parametrize(
    ("task", "limit"),
    [("niah_multikey_3", 128), ("vt", 30), ("cwe", 120), ("fwe", 50), ("qa_2", 32)],
)
def test_ruler_limits(task: str, limit: int) -> None:
    sample = Sample(id="1", question="Q", answer=["x"], meta={"task": task, "prefix": " Answer:"})
    assert load_prompts().build(benchmark("ruler"), sample).max_tokens == limit


def test_the_ruler_prefix_leaves_the_question(tmp_path: Path) -> None:
    OFFICIAL["ruler"](tmp_path)
    (unit,) = load(benchmark("ruler"), tmp_path)
    prompt = load_prompts().build(benchmark("ruler"), unit.samples[1])
    assert (prompt.text, prompt.prefix, prompt.max_tokens) == ("Who?", "Answer:", 32)


def test_scicode_shows_the_code_of_the_steps_before(tmp_path: Path) -> None:
    OFFICIAL["scicode"](tmp_path)
    one = benchmark("scicode")
    (unit,) = load(one, tmp_path)
    second = unit.samples[1]
    text = load_prompts().build(one, second, ["def part1(x): return x"]).text
    before, _, after = text.partition("NEXT STEP")
    assert "Do part 1." in before
    assert "def part1(x): return x" in before
    assert "Do part 2." in after
    with pytest.raises(InputError, match="got the code of 0 earlier steps, expected 1"):
        load_prompts().build(one, second)


def test_starter_code_is_shown() -> None:
    sample = Sample(
        id="1",
        question="Add.",
        answer=None,
        meta={"starter_code": "class Solution:\n    def add(self):"},
    )
    text = load_prompts().build(benchmark("livecodebench"), sample).text
    assert "```python\nclass Solution:\n\tdef add(self):\n```" in text
    assert "YOUR CODE HERE" not in text


def test_questions_made_by_the_harness_stay_as_they_are() -> None:
    made = "Which law?\n\nA) contract\nB) tort"
    options = {"A": "contract", "B": "tort"}
    sample = Sample(id="1", question=made, answer="B", options=options)
    text = load_prompts().build(benchmark("gpqa_diamond"), sample).text
    assert text.endswith(f"\n\n{made}")
    lcb = Sample(id="1", question="x", answer=None, meta={"question": "whole\tquestion"})
    assert load_prompts().build(benchmark("livecodebench"), lcb).text.endswith("whole\tquestion")


def test_text_in_braces_is_not_filled_in() -> None:
    assert (
        fill("{question} {last answer} {other}", question="{other}")
        == "{other} {last answer} {other}"
    )
    sample = Sample(id="1", question="Use {text} and {letter}", answer="A", options={"A": "{hint}"})
    text = load_prompts().build(benchmark("mmstar"), sample).text
    assert "Use {text} and {letter}" in text
    assert "A. {hint}\n" in text


def test_the_other_set_of_prompts() -> None:
    ivl = load_prompts("ivl")
    options = {"A": "cat", "B": "dog"}
    sample = Sample(id="1", question="Who?", answer="A", options=options)
    assert ivl.build(benchmark("mmstar"), sample).text == f"Who?\nA. cat\nB. dog\n{LETTER}"
    chinese = replace(sample, question="\u8c01\uff1f")
    assert ivl.build(benchmark("mmstar"), chinese).text.endswith("\u5b57\u6bcd\u3002")
    assert ivl.build(benchmark("pope"), sample).text == f"Who? Please answer yes or no. {SHORT}"
    assert ivl.build(benchmark("ocrbench"), sample).text == f"Who?\n{SHORT}"
    assert (
        ivl.build(benchmark("wildvision"), sample).text == "Who?\nAnswer this question in detail."
    )
    assert ivl.build(benchmark("chartqa_test"), sample).text == f"Who?\n{SHORT}"


def test_every_style_of_every_set_can_be_built() -> None:
    for name in PROMPT_SETS:
        prompts = load_prompts(name)
        for one in benchmarks().values():
            meta = {"prefix": "P", "task": "vt", "step": 0}
            sample = Sample(id="1", question="Q", answer="A", options={"A": "a"}, meta=meta)
            assert prompts.build(one, sample).text
            assert len(prompts.template_hash(one)) == 32


def test_hashes_tell_sets_and_changes_apart(tmp_path: Path) -> None:
    default, ivl = load_prompts(), load_prompts("ivl")
    assert default.hash == load_prompts().hash != ivl.hash
    own = tmp_path / "own.yaml"
    own.write_text('templates: {vqa_short: {text: "{question} Briefly."}}\n', encoding="utf-8")
    changed = load_prompts("default", own)
    assert changed.hash != default.hash
    chart, star = benchmark("chartqa_test"), benchmark("mmstar")
    assert changed.template_hash(chart) != default.template_hash(chart)
    assert changed.template_hash(star) == default.template_hash(star)
    sample = Sample(id="1", question="Q?", answer="A")
    assert changed.build(chart, sample).text == "Q? Briefly."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "templates: {vqa_shot: {text: x}}",
            "no prompt style 'vqa_shot'; did you mean 'vqa_short'",
        ),
        ("templates: {vqa_short: {txt: x}}", "has no piece 'txt'; did you mean 'text'"),
        ("template: {}", "unknown key 'template'; did you mean 'templates'"),
        ("benchmarks: {mmstar: rw}", "no prompt style 'rw'"),
    ],
)
def test_mistakes_in_an_own_file_are_named(text: str, message: str, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_prompts("default", own)


def test_an_unknown_set() -> None:
    with pytest.raises(ConfigError, match="did you mean 'ivl'"):
        load_prompts("ivvl")
