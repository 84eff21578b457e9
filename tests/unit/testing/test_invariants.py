"""Every invariant holds for the tiny model and is noticed when it is broken."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from nanovl.core.conversation import Conversation, ImagePart, MediaRef, Message, VideoPart
from nanovl.core.generation import Delta, Generation
from nanovl.model.cache import HybridCache
from nanovl.model.vlm import VLM
from nanovl.testing import (
    batched_equals_single,
    cached_equals_full,
    engine_equals_naive,
    full_logits,
    pack_equals_segments,
    picture,
    predicted_parameters,
    predicted_visual_tokens,
    save_load_identity,
    streamed_equals_final,
    tiny_config,
    tiny_model,
    tiny_nanovl,
    tiny_processor,
    training_ids_are_prompt_and_answer,
)

IDS = [int(i) for i in torch.randint(0, 300, (40,), generator=torch.Generator().manual_seed(1))]


@pytest.fixture(scope="module")
def model() -> VLM:
    return tiny_model()


def test_tiny_models_are_repeatable_and_lively(model: VLM) -> None:
    logits = full_logits(model, IDS)
    assert torch.equal(full_logits(tiny_model(), IDS), logits)
    assert not torch.equal(full_logits(tiny_model(seed=1), IDS), logits)
    assert 0.3 < float(logits.std()) < 30
    assert tiny_model(dtype=torch.bfloat16).dtype == torch.bfloat16
    assert tiny_config(pattern="M*").lm.num_layers == 2


def test_cached_equals_full(model: VLM) -> None:
    assert cached_equals_full(model, IDS, [17, 20, 1, 1, 1]) < 1e-5


def test_forgetting_is_noticed(model: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = HybridCache.advance

    def forgetful(self: HybridCache, slots: tuple[int, ...], cu_seqlens: tuple[int, ...]) -> None:
        advance(self, slots, cu_seqlens)
        for state in self.ssm:
            state.zero_()

    monkeypatch.setattr(HybridCache, "advance", forgetful)
    with pytest.raises(AssertionError, match=r"logits of pieces \[20, 20\]: max error"):
        cached_equals_full(model, IDS, [20, 20])
    with pytest.raises(AssertionError, match="logits of step 1"):
        batched_equals_single(model, [IDS[:9], IDS[9:14]], steps=1)


def test_pack_equals_segments(model: VLM) -> None:
    assert pack_equals_segments(model, [IDS[:7], IDS[7:8], IDS[8:]]) < 1e-5


def test_leaking_segments_are_noticed(model: VLM, monkeypatch: pytest.MonkeyPatch) -> None:
    from nanovl.model.context import ForwardContext

    forward = VLM.forward

    def leaking(
        self: VLM, x: torch.Tensor, ctx: ForwardContext, rows: str = "last"
    ) -> torch.Tensor:
        return forward(self, x, ForwardContext.single(x.shape[0]), rows="all")

    monkeypatch.setattr(VLM, "forward", leaking)
    with pytest.raises(AssertionError, match="borders"):
        pack_equals_segments(model, [IDS[:7], IDS[7:]])


def test_batched_equals_single(model: VLM) -> None:
    assert batched_equals_single(model, [IDS[:9], IDS[9:10], IDS[10:30]], steps=3) < 1e-5


def test_engine_equals_naive() -> None:
    answer = engine_equals_naive(tiny_nanovl(), "Hello", files=[picture(100, 60)], max_tokens=8)
    assert 2 < len(answer.token_ids) <= 8


def test_save_load_identity(model: VLM, tmp_path: Path) -> None:
    def save(vlm: VLM, folder: Path) -> None:
        torch.save(vlm.state_dict(), folder / "weights.pt")

    def load(folder: Path) -> VLM:
        back = VLM(tiny_config(), dtype=torch.float32)
        back.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
        return back

    def load_rounded(folder: Path) -> VLM:
        back = load(folder)
        back.mlp1[1].weight.data = back.mlp1[1].weight.data.bfloat16().float()
        return back

    save_load_identity(model, tmp_path, save, load)
    with pytest.raises(AssertionError, match=r"mlp1.1.weight: values differ"):
        save_load_identity(model, tmp_path, save, load_rounded)


def stream(*pieces: str, final: str) -> list[Delta]:
    deltas = [Delta(text=piece, token_ids=(i,)) for i, piece in enumerate(pieces)]
    ids = tuple(range(len(pieces)))
    generation = Generation(text=final, token_ids=ids)
    return [*deltas, Delta(finish_reason="stop", generation=generation)]


def test_streamed_equals_final() -> None:
    assert streamed_equals_final(stream("a", "b", final="ab")).text == "ab"
    with pytest.raises(AssertionError, match="streamed text 'ab', final text 'abc'"):
        streamed_equals_final(stream("a", "b", final="abc"))
    with pytest.raises(AssertionError, match="carries no generation"):
        streamed_equals_final(stream("a", final="a")[:-1])
    with pytest.raises(AssertionError, match="look final"):
        streamed_equals_final(itertools.chain(stream("a", final="a"), stream("a", final="a")))
    with pytest.raises(AssertionError, match="empty"):
        streamed_equals_final([])


def test_predicted_visual_tokens(model: VLM) -> None:
    processor = tiny_processor()
    frames = [picture(64, 64, "noise", seed=i) for i in range(4)]
    conversation = Conversation.user(
        "Compare.",
        [
            ImagePart(source=MediaRef.of(picture(128, 64))),
            VideoPart(source=MediaRef.of(frames), fps=2.0, pruning_rate=0.5),
        ],
    )
    made = predicted_visual_tokens(model, processor, conversation)
    tokens = tiny_config().tokens_per_tile
    assert made == (2 + 1) * tokens + 4 * tokens // 2


def test_training_ids_are_prompt_and_answer() -> None:
    processor = tiny_processor()
    question = Conversation.user("2 + 2?", system="Be brief.")
    training_ids_are_prompt_and_answer(processor, question, Message.text("assistant", "4"))
    training_ids_are_prompt_and_answer(
        processor, question, Message.text("assistant", "4", reasoning="two and two")
    )


def test_predicted_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config()
    assert predicted_parameters(config) == config.num_parameters
    monkeypatch.setattr(type(config), "num_parameters", property(lambda self: 5))
    with pytest.raises(AssertionError, match="predicted 5, built"):
        predicted_parameters(config)
