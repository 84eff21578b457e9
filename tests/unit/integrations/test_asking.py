"""The facade answers: limits, sampling, errors, and what the harness gets to see."""

from __future__ import annotations

import pytest

from nanovl.core.conversation import Conversation
from nanovl.core.errors import InputError
from nanovl.core.generation import Generation
from nanovl.integrations.asking import Asked, Asker, shown
from nanovl.integrations.content import media_part, user_message
from nanovl.integrations.settings import AskSettings, LoadSettings
from nanovl.testing import tiny_nanovl


def asker(**settings: object) -> Asker:
    made = Asker(LoadSettings(), AskSettings(**settings))
    made._model = tiny_nanovl()
    return made


def asked(words: str = "hello", **facts: object) -> Asked:
    return Asked(conversation=Conversation.user(words), **facts)


def test_answers_are_those_of_the_facade_in_order():
    one = asker(max_tokens=5)
    got = one.answers([asked("a"), asked("bcd"), asked("a")])
    alone = [one.model.chat(w, max_tokens=5, seed=0) for w in ("a", "bcd", "a")]
    assert [g.token_ids for g in got] == [g.token_ids for g in alone]
    assert one.answers([]) == []


def test_the_task_sets_limits_and_the_user_goes_before_it():
    (task,) = asker().answers([asked(task={"max_tokens": 3})])
    assert task.usage.completion_tokens == 3
    (user,) = asker(max_tokens=2).answers([asked(task={"max_tokens": 3})])
    assert user.usage.completion_tokens == 2


def test_limits_shrink_to_the_room_of_the_context():
    one = asker(max_tokens=10**6)
    request = one._request(asked())
    planned = one.model.plan(**{**request, "max_tokens": 1})
    assert request["max_tokens"] == one.model.engine.room(planned.layout)


def test_limits_of_tasks_do_not_cut_reasoning():
    one = asker(reasoning="on")
    request = one._request(asked(task={"max_tokens": 3, "temperature": 0.0}))
    assert "max_tokens" not in request
    assert "temperature" not in request
    planned = one.model.plan(**request)
    assert planned.thinking
    assert planned.sampling.temperature == 0.6


def test_a_question_that_cannot_be_asked_ends_the_run_with_its_name():
    missing = user_message([media_part("image", "no/such.png")])
    bad = Asked(conversation=Conversation(messages=(missing,)), name="task, row 7")
    with pytest.raises(InputError, match=r"^task, row 7: .*such\.png"):
        asker(max_tokens=2).answers([asked(), bad])
    got = asker(max_tokens=2, on_error="empty").answers([asked(), bad, asked()])
    assert got[1] is None
    assert got[0].token_ids == got[2].token_ids


@pytest.mark.parametrize(
    ("text", "thought", "wanted", "seen"),
    [
        ("4", "2 + 2", False, "4"),
        ("4", "2 + 2", True, "<think>2 + 2</think>4"),
        ("4", "", True, "4"),
        ("", "never done", False, ""),
    ],
)
def test_what_the_harness_sees(text, thought, wanted, seen):
    answer = Generation(text=text, reasoning=thought, finish_reason="stop")
    assert shown(answer, reasoning=wanted) == seen


def test_no_answer_is_an_empty_one():
    assert shown(None, reasoning=True) == ""
