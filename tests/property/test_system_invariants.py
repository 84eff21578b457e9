"""The whole system on random requests: media, text, sampling and sizes nobody picked by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings, strategies as st

import nanovl
from nanovl.checkpoint.build import load_model, save_model
from nanovl.core.conversation import Conversation, ImagePart, MediaRef, VideoPart
from nanovl.model.config import VLMConfig
from nanovl.model.vlm import VLM
from nanovl.testing import (
    assert_same_tensors,
    batched_equals_single,
    engine_equals_naive,
    picture,
    predicted_parameters,
    predicted_visual_tokens,
    save_load_identity,
    streamed_equals_final,
    tiny_config,
    tiny_model,
    tiny_nanovl,
    tiny_processor,
)

EXAMPLES = settings(max_examples=30, deadline=None)

questions = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)
pictures = st.builds(
    picture,
    width=st.integers(1, 150),
    height=st.integers(1, 150),
    kind=st.sampled_from(["gradient", "noise", "checker"]),
    mode=st.sampled_from(["RGB", "RGBA", "L", "P", "CMYK"]),
)
samplings = st.fixed_dictionaries(
    {"max_tokens": st.integers(1, 10)},
    optional={
        "temperature": st.sampled_from([0.0, 0.7, 1.5]),
        "top_p": st.sampled_from([0.5, 0.95]),
        "top_k": st.integers(1, 50),
        "repetition_penalty": st.sampled_from([1.1, 2.0]),
        "reasoning": st.sampled_from(["on", "off"]),
        "stop": st.sampled_from(["a", "\n"]),
    },
)


@pytest.fixture(scope="module")
def model() -> nanovl.NanoVL:
    return tiny_nanovl()


@EXAMPLES
@given(questions, st.lists(pictures, max_size=2), samplings)
def test_engine_is_the_naive_loop_token_for_token(model, question, files, sampling):
    engine_equals_naive(model, question, files=files, seed=5, **sampling)


@EXAMPLES
@given(questions, st.lists(pictures, max_size=1), samplings)
def test_streamed_pieces_are_the_final_answer(model, question, files, sampling):
    final = streamed_equals_final(model.stream(question, files, seed=5, **sampling))
    assert final.token_ids == model.chat(question, files, seed=5, **sampling).token_ids


@EXAMPLES
@given(st.lists(st.tuples(questions, samplings), min_size=2, max_size=5), st.integers(1, 4))
def test_a_batch_is_its_requests_alone(model, requests, slots):
    narrow = nanovl.NanoVL(model.model, model.processor, max_slots=slots)
    planned = [{"messages": q, "seed": 5, **sampling} for q, sampling in requests]
    together = narrow.batch(planned)
    for request, answer in zip(planned, together, strict=True):
        assert answer.token_ids == model.chat(**request).token_ids


@EXAMPLES
@given(st.lists(st.lists(st.integers(0, 319), min_size=1, max_size=20), min_size=1, max_size=4))
def test_slots_do_not_disturb_each_other(model, prompts):
    batched_equals_single(model.model, prompts, steps=3, atol=1e-5)  # observed 2e-6


@EXAMPLES
@given(
    st.lists(pictures, max_size=2),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.3, 0.75, 0.99]),
    st.sampled_from(["train", "trt", "vllm", "compact"]),
)
def test_planned_visual_tokens_are_what_the_model_sees(images, frames, rate, layout):
    processor = tiny_processor()
    processor = type(processor)(processor.tokenizer, replace(processor.config, video_layout=layout))
    clip = [picture(64, 64, "noise", seed=i) for i in range(frames)]
    parts = [
        *(ImagePart(source=MediaRef.of(image)) for image in images),
        VideoPart(source=MediaRef.of(clip), pruning_rate=rate),
    ]
    predicted_visual_tokens(tiny_model(), processor, Conversation.user("What?", parts))


@EXAMPLES
@given(st.integers(1, 6))
def test_pruning_rate_zero_is_off(frames):
    vlm, processor = tiny_model(), tiny_processor()
    clip = MediaRef.of([picture(64, 64, "noise", seed=i) for i in range(frames)])
    rows = []
    for rate in (None, 0.0):
        layout = processor.plan(Conversation.user("?", [VideoPart(source=clip, pruning_rate=rate)]))
        rows.append(vlm.embed(processor.load(layout, dtype=torch.float32)).x)
    assert torch.equal(rows[0], rows[1])


@EXAMPLES
@given(
    st.text("M*-", min_size=1, max_size=6),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from([16, 64]),
)
def test_parameters_are_predicted(pattern, tied, blocks, width):
    config = tiny_config(pattern=pattern)
    config = replace(
        config,
        lm=replace(config.lm, tie_embeddings=tied, hidden_size=width),
        vision=replace(config.vision, num_layers=blocks),
    )
    assert predicted_parameters(config) > 0


@pytest.mark.parametrize("seed", range(3))
def test_what_is_saved_comes_back(seed, tmp_path):
    config = replace(tiny_config(pattern="M*-M"), image_size=96)
    vlm = tiny_model(seed, torch.bfloat16, config=config)
    processor = tiny_processor(config)
    save_load_identity(
        vlm,
        tmp_path / "saved",
        lambda model, folder: save_model(model, folder, processor=processor),
        lambda folder: load_model(folder)[0],
    )


@pytest.mark.parametrize("form", ["fp8", "nvfp4"])
def test_quantized_files_come_back_bit_for_bit(form: str) -> None:
    vlm = tiny_model(0, torch.bfloat16)
    processor = tiny_processor()
    with TemporaryDirectory() as name:
        first, second = Path(name, "first"), Path(name, "second")
        save_model(vlm, first, processor=processor, format=form)
        stored, _ = load_model(first, quant="stored")
        save_model(stored, second, processor=processor, format=form)
        again, _ = load_model(second, quant="stored")
    assert_same_tensors(again.state_dict(), stored.state_dict())
    assert isinstance(stored, VLM)
    assert isinstance(stored.config, VLMConfig)
