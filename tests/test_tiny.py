"""The whole public surface once, on the smallest model: if this fails, look here first.

Stays under ten seconds on one CPU core. Depth is the business of the other folders.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import nanovl
from nanovl.checkpoint.export import save_model
from nanovl.checkpoint.random_weights import write_random
from nanovl.core.conversation import Conversation, ImagePart, MediaRef, TranscriptSegment, VideoPart
from nanovl.testing import (
    assert_close,
    assert_same_tensors,
    full_logits,
    pdf,
    picture,
    streamed_equals_final,
    tiny_model,
    tiny_nanovl,
    tiny_processor,
    video,
)


@pytest.fixture(scope="module")
def model() -> nanovl.NanoVL:
    return tiny_nanovl()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "checkpoint"
    write_random("tiny", folder, "bf16", seed=0)
    return folder


def test_text(model: nanovl.NanoVL) -> None:
    answer = model.chat("Hello", max_tokens=5)
    assert answer.usage.completion_tokens == len(answer.token_ids) <= 5
    assert answer.finish_reason in ("stop", "length")
    assert answer.usage.prompt_tokens == model.count_tokens("Hello").total
    assert answer.timings.ttft_s > 0


def test_every_kind_of_file(model: nanovl.NanoVL, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("The code is 7.", encoding="utf-8")
    files = [
        picture(100, 60),
        pdf(tmp_path / "a.pdf", 2),
        video(tmp_path / "a.mp4", 16, 8.0),
        tmp_path / "note.txt",
    ]
    count = model.count_tokens("What is all this?", files=files)
    assert count.image > 0
    assert count.video == 4 * 4  # 2 s at two frames per second
    answer = model.chat("What is all this?", files=files, max_tokens=3)
    assert answer.usage.prompt_tokens == count.total
    assert (answer.usage.image_tokens, answer.usage.video_tokens) == (count.image, count.video)
    assert len(answer.media) == 4


def test_pruned_video_and_transcript(model: nanovl.NanoVL) -> None:
    frames = [picture(64, 64, "noise", seed=i) for i in range(8)]
    spoken = (TranscriptSegment(start_s=0.0, end_s=1.0, text="hello there"),)
    clip = VideoPart(source=MediaRef.of(frames), pruning_rate=0.75, transcript=spoken)
    answer = model.chat("What happens?", files=[clip], max_tokens=2)
    assert answer.usage.video_tokens == 8 * 4 // 4


def test_stream_is_the_answer(model: nanovl.NanoVL) -> None:
    options = {"temperature": 1.0, "seed": 3, "max_tokens": 12}
    final = streamed_equals_final(model.stream("Count to three", **options))
    again = model.chat("Count to three", **options)
    assert final.token_ids == again.token_ids
    assert final.text == again.text


def test_batch_equals_single(model: nanovl.NanoVL) -> None:
    questions = ["a", "what is b?", "c c c"]
    together = model.batch(questions, max_tokens=6)
    alone = [model.chat(q, max_tokens=6) for q in questions]
    assert [g.token_ids for g in together] == [g.token_ids for g in alone]


def test_reasoning_with_a_budget(model: nanovl.NanoVL) -> None:
    params = nanovl.ReasoningParams(mode="on", budget=4, grace=4)
    answer = model.chat("2 + 2?", reasoning=params, temperature=0.0, max_tokens=64)
    assert answer.reasoning is not None
    # Bytes are tokens here: budget, grace, a begun character, the closing words byte by byte.
    assert 0 < answer.usage.reasoning_tokens <= 8 + 3 + len(".\n</think>\n\n")
    assert model.chat("2 + 2?", max_tokens=4).reasoning is None


def test_tools_and_messages(model: nanovl.NanoVL) -> None:
    tool = {"name": "weather", "description": "", "parameters": {"type": "object"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Rain?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}],
        },
        {"role": "tool", "content": '{"rain": true}'},
    ]
    answer = model.chat(messages, tools=[tool], max_tokens=3)
    assert isinstance(answer.tool_calls, tuple)


def test_research_interface() -> None:
    vlm, processor = tiny_model(), tiny_processor()
    layout = processor.plan(
        Conversation.user("What?", [ImagePart(source=MediaRef.of(picture(64, 64)))])
    )
    prompt = vlm.embed(processor.load(layout, dtype=torch.float32))
    assert prompt.x.shape == (layout.num_tokens, vlm.config.lm.hidden_size)
    assert layout.num_visual_tokens == vlm.config.tokens_per_tile


def test_checkpoint_round_trip(checkpoint: Path, tmp_path: Path) -> None:
    vlm, processor = nanovl.load_model(str(checkpoint))
    save_model(vlm, tmp_path / "again", processor=processor)
    back, _ = nanovl.load_model(str(tmp_path / "again"))
    assert_same_tensors(back.state_dict(), vlm.state_dict())


@pytest.mark.parametrize("form", ["fp8", "nvfp4"])
def test_quantized_checkpoint(form: str, tmp_path: Path) -> None:
    write_random("tiny", tmp_path / form, form, seed=0)
    write_random("tiny", tmp_path / "bf16", "bf16", seed=0)
    stored, _ = nanovl.load_model(str(tmp_path / form), quant="stored")
    exact, _ = nanovl.load_model(str(tmp_path / "bf16"))
    ids = list(range(40, 60))
    # The same weights in fewer bits: close, but not equal.
    got, expected = full_logits(stored, ids), full_logits(exact, ids)
    assert assert_close(got, expected, atol=1.0) > 0


def test_command_line(checkpoint: Path, demo: Path) -> None:
    from nanovl.cli.main import app

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == 0, (result.stdout, result.stderr, result.exception)
        return result.stdout

    assert "chat" in run("--help")
    out = json.loads(run("info", str(checkpoint), "--json"))
    assert out
    picture_path = str(demo / "chart.png")
    run("chat", "Which day?", "-a", picture_path, "-m", str(checkpoint), "--max-tokens", "3")


def test_errors_are_ours(tmp_path: Path) -> None:
    with pytest.raises(nanovl.NanoVLError, match="nothing-here"):
        nanovl.load(str(tmp_path / "nothing-here"))
