"""Problems, function heads and requests as pages: what people wrote stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.synth.base import Sample
from nanovl.synth.documents.fonts import BUILTIN
from nanovl.synth.documents.problems import read_problems, sheets
from nanovl.synth.documents.rendered import render_text
from nanovl.synth.documents.renderproblems import render_problems
from nanovl.synth.documents.stories import Drops
from nanovl.synth.records import sample_records
from nanovl.synth.verify import is_right
from tests.unit.synth.checks import make
from tests.unit.synth.documents.conftest import write_lines

PLAIN: dict[str, Any] = {"fonts": [BUILTIN], "augment": "none"}
TOOL = {
    "type": "function",
    "function": {
        "name": "find_mill",
        "description": "Finds mills.",
        "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
    },
}


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    """A folder with all three kinds."""
    write_lines(
        tmp_path / "gsm8k_train.jsonl.gz",
        [
            {"id": f"g{n}", "question": f"What is {n} times 3?", "solution": f"3 x {n} = {3 * n}",
             "answer": str(3 * n)}
            for n in range(1, 30)
        ]
        + [{"id": "bad", "question": "Why?", "solution": "?", "answer": "because"}],
    )  # fmt: skip
    write_lines(
        tmp_path / "pystdlib_functions_train.jsonl.gz",
        [
            {
                "id": "py-1",
                "module": "mills",
                "name": "grind",
                "prompt": 'def grind(grain):\n    """Return the flour."""',
                "completion": "    if not grain:\n        return None\n    return grain.flour()",
            },
            {"id": "py-2", "prompt": "def f():", "completion": "    pass\n" * 900},
        ],
    )
    user = {"role": "user", "content": "Find a mill in Arno, please."}
    said = {"role": "assistant", "content": "Which one?"}
    call = {"name": "find_mill", "arguments": {"town": "Arno"}}
    write_lines(
        tmp_path / "bfcl_train.jsonl.gz",
        [
            {"id": "b1", "category": "x", "messages": [user], "tools": [TOOL], "calls": [call]},
            {"id": "b2", "category": "x", "messages": [{**user, "content": "Sing!"}],
             "tools": [TOOL], "calls": []},
            {"id": "b3", "category": "x", "messages": [user, said, user], "tools": [TOOL],
             "calls": [call]},
        ],
    )  # fmt: skip
    return tmp_path


def samples(generator: Any, count: int) -> list[Sample]:
    return [s for s in (make(generator, n) for n in range(count)) if s is not None]


def page_text(sample: Sample) -> str:
    return " ".join(
        line["text"]
        for page in sample.gt["pages"]
        for block in page["blocks"]
        for line in block["lines"]
    )


def test_numbers_asked_for_are_those_of_the_problem_with_that_number(problems: Path) -> None:
    generator = render_problems({**PLAIN, "source": str(problems)})
    assert generator.skipped == {"bad_value": 1}
    sizes = set()
    for sample in samples(generator, 8):
        shown = sample.gt["problems"]
        sizes.add(len(shown))
        for problem in shown:
            assert problem["text"] in page_text(sample)
        for task in (t for t in sample.tasks if t.task == "page_problem"):
            digits = [int(w.strip(".,")) for w in task.question.split() if w.strip(".,").isdigit()]
            place = digits[0] if len(shown) > 1 else 1
            assert task.answer_text == shown[place - 1]["answer"]
            assert task.trace is not None
            assert task.trace.endswith(f"= {task.answer_text}")
            assert is_right(task.verifier, task.answer, task.answer_text)
    assert len(sizes) > 1


def test_every_problem_stands_on_one_sheet(problems: Path) -> None:
    found, _ = read_problems(problems, "gsm8k", "train", Drops())
    made = sheets(found, 5, "key")
    assert sorted(p.id for sheet in made for p in sheet) == sorted(p.id for p in found)
    assert max(map(len, made)) > 1
    assert sheets(found, 5, "key") == made != sheets(found, 5, "other")


def test_bodies_keep_their_indentation(problems: Path) -> None:
    generator = render_problems({**PLAIN, "source": str(problems), "dataset": "code"})
    assert generator.skipped == {"too_long": 1}
    (task,) = [t for t in samples(generator, 1)[0].tasks if t.task == "page_code"]
    assert task.answer_text == (
        "```python\n    if not grain:\n        return None\n    return grain.flour()\n```"
    )


def test_requests_become_dialogues_with_calls(problems: Path) -> None:
    generator = render_problems({**PLAIN, "source": str(problems), "dataset": "bfcl", "tasks": 0})
    assert generator.skipped == {"dialogue": 1}
    seen = set()
    for sample in samples(generator, 2):
        (task,) = sample.tasks
        (record,) = sample_records(sample)
        messages = record.to_json()["messages"]
        assert [f["type"] for f in messages[0]["content"]] == ["image", "text"]
        assert "mill" not in task.question
        if task.task == "page_call":
            assert messages[-1]["tool_calls"] == [
                {"name": "find_mill", "arguments": {"town": "Arno"}}
            ]
            assert "Find a mill in Arno, please." in page_text(sample)
        else:
            assert messages[-1]["content"][0]["text"]
            assert json.loads(task.answer_text) == []
        seen.add(task.task)
    assert seen == {"page_call", "page_no_call"}


def test_wrong_sources_are_named(problems: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bfcl, code, gsm8k"):
        render_problems({**PLAIN, "source": str(problems), "dataset": "mmlu"})
    with pytest.raises(InputError, match="gsm8k_val"):
        render_problems({**PLAIN, "source": str(problems), "split": "val"})


def test_programs_are_rendered_as_code(tmp_path: Path) -> None:
    text = "\n\n\n".join(
        f"def grind_{n}(grain):\n    for corn in grain:\n        yield corn * {n}  # flour"
        for n in range(30)
    )
    path = write_lines(tmp_path / "modules.jsonl.gz", [{"id": "m", "text": text}])
    generator = render_text(
        {**PLAIN, "paths": [str(path)], "form": "code", "characters": [200, 500]}
    )
    for sample in samples(generator, 3):
        blocks = [b for p in sample.gt["pages"] for b in p["blocks"]]
        assert {b["class"] for b in blocks} - {"page_header", "page_footer"} == {"code"}
        assert "yield corn" in page_text(sample)
    with pytest.raises(ConfigError, match="'markdown', 'code'"):
        render_text({**PLAIN, "paths": [str(path)], "form": "poem"})
