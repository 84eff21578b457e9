"""What the ids of a sample are, told as runs."""

from __future__ import annotations

import pytest

from nanovl.core.conversation import (
    Conversation,
    ImagePart,
    MediaRef,
    Message,
    TextPart,
    VideoPart,
)
from nanovl.core.layout import IGNORE_LABEL, TokenLayout
from nanovl.processing.processor import Processor
from nanovl.processing.token_runs import COLORS, TokenRun, token_runs
from nanovl.testing import picture, tiny_processor


@pytest.fixture
def processor() -> Processor:
    return tiny_processor()


def sample(
    processor: Processor, *media: ImagePart | VideoPart, question: str = "Why?", answer: str = "So."
) -> TokenLayout:
    conversation = Conversation(
        messages=(
            Message(role="user", parts=(*media, TextPart(text=question))),
            Message.text("assistant", answer),
        )
    )
    return processor.plan(conversation, training=True)


def image(width: int = 100, height: int = 60) -> ImagePart:
    return ImagePart(source=MediaRef(array=picture(width, height), name="dot.png"))


def film(frames: int) -> VideoPart:
    source = MediaRef(array=[picture(80, 48, seed) for seed in range(frames)], name="film")
    return VideoPart(source=source, fps=2.0)


def text_of(runs: list[TokenRun]) -> str:
    return "".join(run.text for run in runs if run.kind == "text")


def test_runs_cover_every_token_once(processor: Processor) -> None:
    layout = sample(processor, image(200, 60), film(12))
    runs = token_runs(layout, processor.tokenizer)
    assert sum(run.tokens for run in runs) == layout.num_tokens
    assert text_of(runs).endswith("Why?\nAssistant\n<think></think>So.\n\n")
    loss = sum(run.tokens for run in runs if run.loss)
    assert layout.labels is not None
    assert loss == sum(label != IGNORE_LABEL for label in layout.labels)


def test_roles(processor: Processor) -> None:
    runs = token_runs(sample(processor, image(200, 60)), processor.tokenizer)
    by_role: dict[str, list[TokenRun]] = {}
    for run in runs:
        by_role.setdefault(run.role, []).append(run)
    assert set(by_role) == {"text", "loss", "control", "control loss", "visual"} <= set(COLORS)
    (end,) = by_role["control loss"]
    assert end.text == "<SPECIAL_12>"
    (visual,) = by_role["visual"]  # 3 tiles and the thumbnail, 4 tokens each
    assert (visual.text, visual.tokens) == ("16 visual tokens", 16)
    assert "".join(run.text for run in by_role["loss"]) == "So.\n\n"


def test_frames_after_the_first_are_counted_not_spelled(processor: Processor) -> None:
    layout = sample(processor, film(20))
    runs = token_runs(layout, processor.tokenizer, max_frames=3)
    assert sum(run.kind == "visual" for run in runs) == 3
    (more,) = [run for run in runs if run.kind == "more"]
    assert more.text == "17 more frames, 68 visual tokens"
    assert sum(run.tokens for run in runs) == layout.num_tokens
    assert "Frame 3" in text_of(runs)
    assert "Frame 4" not in text_of(runs)
    spelled = token_runs(layout, processor.tokenizer, max_frames=20)
    assert sum(run.kind == "visual" for run in spelled) == 20


def test_a_character_of_several_tokens_is_one_run(processor: Processor) -> None:
    runs = token_runs(sample(processor, answer="\u00e4\u4f60\U0001f600"), processor.tokenizer)
    answer = [run for run in runs if run.role == "loss"]
    assert [(run.text, run.tokens) for run in answer[:3]] == [
        ("\u00e4", 2),
        ("\u4f60", 3),
        ("\U0001f600", 4),
    ]


def test_half_a_character_is_shown_as_such(processor: Processor) -> None:
    ids = processor.tokenizer.encode("\u4f60")[:2]
    runs = token_runs(TokenLayout(input_ids=[*ids, 65]), processor.tokenizer)
    assert [run.text for run in runs] == ["\ufffd", "\ufffd", "A"]
