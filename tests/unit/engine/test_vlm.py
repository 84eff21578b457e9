"""The front door."""

import json
from dataclasses import replace

import pytest
import torch

from nanovl.checkpoint.random_weights import write_random
from nanovl.core.conversation import Conversation, ImagePart, MediaRef, Message
from nanovl.core.errors import CheckpointError, ConfigError, InputError
from nanovl.core.generation import ReasoningParams, SamplingParams
from nanovl.engine.vlm import NanoVL, load
from nanovl.model.context import ForwardContext
from nanovl.processing.media import Limits
from nanovl.testing import (
    picture,
    picture_bytes,
    streamed_equals_final,
    tiny_model,
    tiny_nanovl,
    tiny_processor,
)


@pytest.fixture(scope="module")
def model():
    return tiny_nanovl()


def prompt(request, model):
    return model.tokenizer.decode(request.layout.input_ids, skip_control=False)


# --- defaults of the report ----------------------------------------------------------------------


def test_defaults_off(model):
    request = model.plan("Hi")
    assert (request.sampling.temperature, request.sampling.max_tokens) == (0.0, 1024)
    assert not request.thinking
    assert (request.soft, request.hard) == (None, None)
    assert prompt(request, model).endswith("<SPECIAL_11>Assistant\n<think></think>")


def test_defaults_on(model):
    request = model.plan("Hi", reasoning="on")
    chosen = request.sampling
    assert (chosen.temperature, chosen.top_p) == (0.6, 0.95)
    assert chosen.max_tokens == min(16384, model.engine.room(request.layout))
    assert request.thinking
    assert prompt(request, model).endswith("<SPECIAL_11>Assistant\n<think>\n")


def test_default_length_is_bounded_by_the_context():
    model = NanoVL(tiny_model(), tiny_processor(), context_length=200)
    request = model.plan("Hi")
    assert request.sampling.max_tokens == 200 - request.layout.num_tokens
    assert model.plan("Hi", reasoning=True).soft is None


@pytest.mark.parametrize(
    ("reasoning", "text", "thinking"),
    [
        ("off", "Hi /think", False),
        ("on", "Hi /no_think", True),
        ("auto", "Hi /think", True),
        ("auto", "Hi", False),
        (True, "Hi", True),
        (False, "Hi", False),
        (ReasoningParams(mode="on", budget=7), "Hi", True),
        (ReasoningParams(), "Hi /think", True),
    ],
)
def test_reasoning_switch(model, reasoning, text, thinking):
    assert model.plan(text, reasoning=reasoning).thinking is thinking


def test_budget(model):
    request = model.plan("Hi", reasoning="on", reasoning_budget=2048)
    assert (request.soft, request.hard) == (2048, 2548)
    request = model.plan("Hi", reasoning="on", reasoning_budget=2048, max_tokens=1256)
    assert (request.soft, request.hard) == (1000, 1128)
    assert not model.plan("Hi", reasoning="on", reasoning_budget=0).thinking
    with pytest.raises(ConfigError, match="reasoning budget 5 with reasoning off"):
        model.plan("Hi", reasoning_budget=5)
    with pytest.raises(ConfigError, match="use one"):
        model.plan("Hi", reasoning=ReasoningParams(), reasoning_budget=5)


# --- what a caller may hold ----------------------------------------------------------------------


def test_strings_dicts_and_conversations_are_the_same(model):
    expected = model.plan("Hi", system="Be brief.").layout.input_ids
    dicts = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    conversation = Conversation.user("Hi", system="Be brief.")
    assert model.plan(dicts).layout.input_ids == expected
    assert model.plan(conversation).layout.input_ids == expected
    assert model.plan(dicts[1:], system="Be brief.").layout.input_ids == expected
    with pytest.raises(InputError, match="given twice"):
        model.plan(dicts, system="Be kind.")


def test_files(model, tmp_path):
    image = picture()
    path = tmp_path / "page.png"
    path.write_bytes(picture_bytes(image))
    part = ImagePart(source=MediaRef(array=image))
    plans = [model.plan("Hi", files=[f]) for f in (path, str(path), path.read_bytes(), image, part)]
    assert len({tuple(p.layout.input_ids) for p in plans}) == 1
    assert plans[0].layout.num_visual_tokens > 0


def test_text_files_join_the_question(model, tmp_path):
    notes = tmp_path / "notes.md"
    notes.write_text("Bread costs 3.\n<SPECIAL_12>")
    text = prompt(model.plan("How much?", files=[notes]), model)
    assert "notes.md:\nBread costs 3.\n<SPECIAL_12>\n\nHow much?" in text
    assert model.plan("x", files=[notes]).layout.input_ids.count(model.tokenizer.turn_end_id) == 0


def test_files_go_to_the_last_user_message(model):
    history = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    conversation = model.conversation(history, [picture()])
    assert [len(m.media) for m in conversation.messages] == [0, 0, 1]
    with pytest.raises(InputError, match="no user message"):
        model.conversation([{"role": "system", "content": "x"}], [picture()])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("gone.png", None, "no such file"),
        ("empty.png", b"", "empty.png"),
        ("bad.png", b"not a picture", "bad.png"),
        ("what.bin", b"\x00\x01\x02", "what.bin"),
        ("latin.txt", "caf\u00e9".encode("latin-1"), "latin.txt"),
    ],
)
def test_bad_files(model, tmp_path, name, data, message):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        model.plan("Hi", files=[path])


def test_history_loses_its_reasoning(model):
    messages = (
        Message.text("user", "a"),
        Message.text("assistant", "b", reasoning="deep thought"),
        Message.text("user", "c"),
    )
    text = prompt(model.plan(Conversation(messages=messages)), model)
    assert "deep thought" not in text
    assert "Assistant\nb\n<SPECIAL_12>" in text


def test_tools_switch_on_parsing(model):
    tool = {"type": "function", "function": {"name": "get", "parameters": {}}}
    assert model.plan("Hi", tools=[tool]).tools
    assert not model.plan("Hi").tools
    assert "<AVAILABLE_TOOLS>" in prompt(model.plan("Hi", tools=[tool]), model)


# --- refusals ------------------------------------------------------------------------------------


def test_unknown_settings_get_a_suggestion(model):
    with pytest.raises(ConfigError, match="unknown setting 'max_token'; did you mean 'max_tokens'"):
        model.plan("Hi", max_token=5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"temperature": "warm"},
            "sampling.temperature: expected|sampling.temperature: got 'warm'",
        ),
        ({"top_k": 1.5}, "sampling.top_k: got 1.5"),
        ({"max_tokens": 0}, "max_tokens 0: expected >= 1"),
        ({"stop": [""]}, "empty string"),
        ({"seed": "x"}, "sampling.seed"),
    ],
)
def test_bad_settings(model, settings, message):
    with pytest.raises(ConfigError, match=message):
        model.plan("Hi", **settings)


SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}, "ok": {"type": "boolean"}},
    "required": ["n", "ok"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("reasoning", ["off", "on"])
def test_answers_follow_a_schema(model, reasoning):
    answer = model.chat(
        "Hi",
        reasoning=reasoning,
        reasoning_budget=8 if reasoning == "on" else None,
        temperature=1.5,
        seed=3,
        max_tokens=200,
        response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA}},
    )
    found = json.loads(answer.text)
    assert set(found) == {"n", "ok"}
    assert 0 <= found["n"] <= 9
    assert answer.finish_reason == "stop"
    assert (answer.reasoning is not None) == (reasoning == "on")


def test_answers_follow_a_choice_and_a_regex(model):
    options = {"temperature": 1.0, "seed": 2, "max_tokens": 30}
    words = ["yes", "no", "perhaps"]
    assert model.chat("Hi", structured={"choice": words}, **options).text in words
    text = model.chat("Hi", structured={"regex": r"[a-c]{3}-\d{2}"}, **options).text
    assert len(text) == 6
    assert text[3] == "-"


def test_a_tool_can_be_required(model):
    tool = {"type": "function", "function": {"name": "add", "parameters": SCHEMA}}
    pieces = list(
        model.stream("Hi", tools=[tool], tool_choice="required", parallel_tool_calls=False, seed=1,
                     temperature=1.0, max_tokens=120)
    )  # fmt: skip
    answer = pieces[-1].generation
    assert answer.finish_reason == "tool_calls"
    (call,) = answer.tool_calls[:1]
    deltas = [d for piece in pieces for d in piece.tool_calls if d.index == 0]
    assert deltas[0].name == call.name == "add"
    assert deltas[0].id
    assert json.loads("".join(d.arguments for d in deltas)) == call.arguments


def test_what_cannot_be_followed_is_refused_at_once(model):
    with pytest.raises(InputError, match="response_format"):
        model.plan("Hi", response_format={"type": "yaml"})
    with pytest.raises(InputError, match="structured_outputs"):
        model.plan("Hi", structured={"regex": "("})
    with pytest.raises(InputError, match="logit_bias"):
        model.plan("Hi", logit_bias={10**6: 1.0})


def test_log_probabilities_are_those_of_the_model(model):
    answer = model.chat("Hi", max_tokens=6, logprobs=3, prompt_logprobs=2, ignore_eos=True,
                        repetition_penalty=1.7)  # fmt: skip
    assert [p.token_id for p in answer.logprobs] == list(answer.token_ids)
    prompt = model.plan("Hi").layout.input_ids
    assert [p.token_id for p in answer.prompt_logprobs] == prompt[1:]
    ids = [*prompt, *answer.token_ids]
    x = model.model.embed_tokens(torch.tensor(ids))
    with torch.no_grad():
        logits = model.model(x, ForwardContext.single(len(ids)), rows="all")
    expected = logits[:, : model.tokenizer.size].log_softmax(dim=-1)
    found = [*answer.prompt_logprobs, *answer.logprobs]
    for row, piece in enumerate(found):
        assert piece.logprob == pytest.approx(float(expected[row, ids[row + 1]]), abs=1e-4)
        best = expected[row].topk(len(piece.top)).indices.tolist()
        assert [i for i, _ in piece.top] == best
    assert {len(p.top) for p in answer.logprobs} == {3}
    assert model.chat("Hi", max_tokens=2).logprobs is None


def test_penalties_bias_and_bans(model):
    plain = model.chat("Hi", max_tokens=8, ignore_eos=True)
    first = plain.token_ids[0]
    assert model.chat("Hi", max_tokens=1, logit_bias={first: -100}).token_ids[0] != first
    assert model.chat("Hi", max_tokens=1, logit_bias={7: 100}).token_ids == (7,)
    stopped = model.chat("Hi", max_tokens=8, ignore_eos=True, stop_token_ids=(first,))
    assert stopped.token_ids == (first,)
    late = model.chat("Hi", max_tokens=8, stop_token_ids=(first,), min_tokens=4)
    assert len(late.token_ids) >= 4
    assert first not in late.token_ids[:4]
    often = model.chat("Hi", max_tokens=30, ignore_eos=True)
    seldom = model.chat("Hi", max_tokens=30, ignore_eos=True, frequency_penalty=2.0)
    assert len(set(seldom.token_ids)) >= len(set(often.token_ids))


def test_thinking_can_be_ended_by_hand(model):
    request = model.plan("Hi", reasoning="on", max_tokens=400, ignore_eos=True)
    stream = model.submit(request)
    pieces = iter(stream)
    for _ in range(5):
        next(pieces)
    assert stream.end_reasoning()
    answer = list(pieces)[-1].generation
    assert answer.usage.reasoning_tokens < 20
    assert answer.text
    assert not stream.end_reasoning()


def test_prompt_ids_are_taken_as_they_are(model):
    layout = model.plan("Hi").layout
    again = model.plan("", prompt_ids=layout.input_ids, max_tokens=5)
    assert again.layout.input_ids == layout.input_ids
    answers = [next(d.generation for d in model.submit(r) if d.generation)
               for r in (again, model.plan("Hi", max_tokens=5))]  # fmt: skip
    assert answers[0].token_ids == answers[1].token_ids


def test_too_long_for_the_context():
    model = NanoVL(tiny_model(), tiny_processor(), context_length=100)
    with pytest.raises(InputError, match="100"):
        model.plan("x" * 200)
    with pytest.raises(InputError, match=r"max_tokens 90 exceed the context of 100; .* at most"):
        model.plan("Hi", max_tokens=90)
    with pytest.raises(InputError, match="exceed the context"):
        model.plan("Hi", sampling=SamplingParams(max_tokens=90))


# --- answers -------------------------------------------------------------------------------------


def test_stream_is_chat(model):
    options = {"max_tokens": 20, "temperature": 1.0, "seed": 4, "reasoning": "on"}
    final = streamed_equals_final(model.stream("Hi", [picture()], **options))
    assert final.token_ids == model.chat("Hi", [picture()], **options).token_ids


def test_stream_checks_at_once_and_works_later(model):
    with pytest.raises(ConfigError):
        model.stream("Hi", nonsense=1)
    stream = model.stream("Hi", max_tokens=3)
    assert model.engine.used_slots == 0
    assert len(list(stream)) == 3
    stream = model.stream("Hi", max_tokens=3)
    next(stream)
    assert model.engine.used_slots == 1
    stream.close()
    assert model.engine.used_slots == 0


def test_stop_strings_end_text_and_stream(model):
    text = model.chat("Hi", max_tokens=30, ignore_eos=True).text
    stop = text[5:7]
    answer = streamed_equals_final(model.stream("Hi", max_tokens=30, ignore_eos=True, stop=stop))
    assert answer.text == text[: text.index(stop)]
    assert (answer.finish_reason, answer.stop_reason) == ("stop", stop)
    assert len(answer.token_ids) < 30


def test_batch_equals_single(model):
    requests = [
        "a",
        [{"role": "user", "content": "Tell me."}],
        {"messages": "Look.", "files": [picture()], "max_tokens": 9},
        {"messages": "Think.", "reasoning": "on", "temperature": 0.0},
        Conversation.user("b"),
    ]
    together = model.batch(requests, max_tokens=14)
    for request, answer in zip(requests, together, strict=True):
        given = request if isinstance(request, dict) else {"messages": request}
        alone = model.chat(**{"max_tokens": 14, **given})
        assert answer.token_ids == alone.token_ids
        assert (answer.text, answer.reasoning) == (alone.text, alone.reasoning)
        assert replace(answer.usage, cached_tokens=0) == replace(alone.usage, cached_tokens=0)
    assert model.batch([]) == []
    with pytest.raises(InputError, match=r"requests\[0\]: no messages"):
        model.batch([{"files": []}])


def test_count_tokens(model):
    count = model.count_tokens("Look.", [picture()], system="Be brief.", max_tiles=1)
    request = model.plan("Look.", [picture()], system="Be brief.", max_tiles=1)
    assert count.total == request.layout.num_tokens
    assert count.image == request.layout.num_visual_tokens


# --- loading -------------------------------------------------------------------------------------


def test_load(tmp_path):
    folder = write_random("tiny", tmp_path / "tiny")
    events = []
    loaded = load(folder, dtype="float32", context_length=500, on_event=events.append)
    assert loaded.name == str(folder)
    assert loaded.engine.context_length == 500
    assert loaded.model.dtype == torch.float32
    assert events[-1].done == events[-1].total
    answer = loaded.chat("Hi", max_tokens=6, ignore_eos=True)
    assert len(answer.token_ids) == 6

    # generation_config.json may name more stop tokens.
    stop = answer.token_ids[3]
    path = folder / "generation_config.json"
    path.write_text(json.dumps({"eos_token_id": [258, stop]}))
    answer = load(folder, dtype="float32").chat("Hi", max_tokens=6)
    assert (answer.finish_reason, answer.stop_reason) == ("stop", stop)
    assert len(answer.token_ids) <= 4


def test_load_refuses_before_the_slow_part(tmp_path):
    with pytest.raises(ConfigError, match="max_slots 0"):
        load(tmp_path, max_slots=0)
    with pytest.raises(ConfigError, match="transcriber 'ears'"):
        load(tmp_path, transcriber="ears")
    with pytest.raises(CheckpointError, match="did you mean 'mini'"):
        load("minni")


def test_limits_and_transcriber_reach_the_processor(tmp_path):
    folder = write_random("tiny", tmp_path / "tiny")
    limits = Limits(max_pixels=50)
    loaded = load(folder, limits=limits)
    assert loaded.processor.limits is limits
    with pytest.raises(InputError):
        loaded.plan("Hi", files=[picture()])
