"""The lmms-eval class: turns, generation arguments, rounds, and how the harness finds it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nanovl.core.conversation import TextPart
from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.integrations.lmms_eval import manifests, model as module
from nanovl.integrations.lmms_eval.messages import of_turns, sampling_of
from nanovl.integrations.lmms_eval.model import chat_class
from nanovl.testing import picture, tiny_nanovl
from tests.unit.integrations import harnesses

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    chat_class.cache_clear()
    harnesses.install(monkeypatch)
    model = chat_class()(batch_size="2", max_batch_size=64, device=None)
    model.asker._model = tiny_nanovl()
    model.task_dict = {"t": {"test": [{"q": "one"}, {"q": "two two"}, {"q": "three"}]}}
    yield model
    chat_class.cache_clear()


def request(row: int, to_messages: Any, **wanted: Any) -> SimpleNamespace:
    return SimpleNamespace(
        args=("", to_messages, {"max_new_tokens": 4, **wanted}, row, "t", "test")
    )


def user(*content: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(content)}]


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def test_turns():
    opened = picture(8, 8)
    conversation = of_turns(
        [
            {"role": "system", "content": "brief"},
            {"role": "user", "content": [{"type": "image", "url": opened}, words("what?")]},
            {"role": "assistant", "content": [words("this")]},
            {"role": "user", "content": [words("and "), {"type": "video", "url": "v.mp4"}]},
        ]
    )
    assert [m.role for m in conversation.messages] == ["system", "user", "assistant", "user"]
    assert conversation.messages[1].media[0].source.array is opened
    assert conversation.messages[3].parts[-1] == TextPart(text="and <video>")


@pytest.mark.parametrize(
    "item",
    [
        {"type": "video", "url": "v.mp4", "start_time": 1.0, "end_time": 3.0},
        {"type": "video", "url": {"video": "v.mp4", "video_start": 1.0, "video_end": 3.0}},
        {"type": "video", "url": {"path": "v.mp4", "video_start": 1.0, "video_end": 3.0}},
    ],
)
def test_parts_of_videos(item):
    (part,) = of_turns(user(item)).messages[0].media
    assert (part.source.path, part.start_s, part.end_s) == (Path("v.mp4"), 1.0, 3.0)


@pytest.mark.parametrize(
    ("turns", "says"),
    [
        ([], "no messages"),
        ([{"role": "system", "content": [{"type": "image", "url": "a.png"}]}], "holds media"),
        (user({"type": "video", "url": "v.mp4", "start_time": 3, "end_time": 1}), "3 s to 1 s"),
        (user({"type": "audio", "url": {"array": [0]}}), "sound as samples"),
    ],
)
def test_turns_that_cannot_be_asked(turns, says):
    with pytest.raises(InputError, match=says):
        of_turns(turns)


@pytest.mark.parametrize(
    ("wanted", "sampling"),
    [
        ({}, {"temperature": 0.0}),
        (
            {"max_new_tokens": 16, "temperature": 0, "top_p": 0, "num_beams": 1, "until": ["\n\n"]},
            {"max_tokens": 16, "temperature": 0.0},
        ),
        (
            {"max_gen_toks": 8, "temperature": 0.7, "top_p": 0.9, "top_k": 5, "do_sample": True},
            {"max_tokens": 8, "temperature": 0.7, "top_p": 0.9, "top_k": 5},
        ),
        ({"temperature": 0.7, "top_p": 0.9, "do_sample": False}, {"temperature": 0.0}),
        ({"temperature": None, "top_p": None}, {"temperature": 0.0}),
    ],
)
def test_generation_arguments(wanted, sampling):
    assert sampling_of(wanted) == sampling


def test_answers_come_in_order_with_their_tokens(made):
    seen = [request(i, lambda row: user(words(row["q"]))) for i in (2, 0, 1, 2)]
    results = made.generate_until(seen)
    questions = [made.task_dict["t"]["test"][r.args[3]]["q"] for r in seen]
    alone = [made.asker.model.chat(q, max_tokens=4, seed=0) for q in questions]
    assert [r.text for r in results] == [a.text for a in alone]
    assert [r.token_counts.output_tokens for r in results] == [4] * 4
    assert [r.token_counts.input_tokens for r in results] == [a.usage.prompt_tokens for a in alone]
    assert [kept[2] for kept in made.kept] == [r.text for r in results]


def test_rounds_go_on_until_the_task_ends_them(made):
    def to_messages(row, round_idx=0, previous_output=(), previous_round_info=None):
        assert len(previous_output) == round_idx
        if round_idx == 0:
            return user(words(row["q"]))
        if round_idx == (1 if row["q"] == "one" else 3):
            return None, True, previous_output, None
        asked = user(words(f"{row['q']} {previous_round_info} {previous_output[-1]}"))
        return asked, False, previous_output, round_idx

    one, two = made.generate_until_multi_round([request(0, to_messages), request(1, to_messages)])
    assert (len(one), len(two)) == (1, 3)
    chat = made.asker.model.chat
    assert one == [chat("one", max_tokens=4, seed=0).text]
    assert two[1] == chat(f"two two None {two[0]}", max_tokens=4, seed=0).text
    assert two[2] == chat(f"two two 1 {two[1]}", max_tokens=4, seed=0).text


def test_a_task_of_one_round_ends_after_it(made):
    (said,) = made.generate_until_multi_round(
        [request(0, lambda row, **rounds: user(words(row["q"])))]
    )
    assert len(said) == 1


def test_rows_that_cannot_be_asked(made):
    bad = request(1, lambda row: user({"type": "image", "url": "no/such.png"}))
    with pytest.raises(InputError, match=r"^t, test, row 1: "):
        made.generate_until([bad])


def test_continuations_are_not_scored(made):
    with pytest.raises(BackendError, match=r"2 requests .* generate_until"):
        made.loglikelihood([1, 2])


def test_options(made):
    assert (made.batch_size, made.is_simple) == (2, False)
    assert isinstance(made, harnesses.Lmms)
    with pytest.raises(ConfigError, match="unknown option 'pretrained'"):
        chat_class()(pretrained="mini")


def test_the_harness_finds_the_class(made):
    with (ROOT / "pyproject.toml").open("rb") as file:
        groups = tomllib.load(file)["project"]["entry-points"]
    assert groups["lmms_eval.models"] == {"nanovl": "nanovl.integrations.lmms_eval:manifests"}
    (manifest,) = manifests()
    path, _, name = manifest.chat_class_path.rpartition(".")
    assert manifest.model_id == "nanovl"
    assert path == module.__name__
    assert getattr(module, name) is chat_class()


def test_without_the_harness(monkeypatch):
    chat_class.cache_clear()
    harnesses.hide(monkeypatch, "lmms_eval")
    with pytest.raises(BackendError, match="package 'lmms_eval'"):
        chat_class()
    with pytest.raises(AttributeError, match="no attribute 'Nope'"):
        _ = module.Nope
