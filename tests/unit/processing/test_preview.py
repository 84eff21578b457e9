"""Pictures of samples: what they say about tokens, and that everything is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from nanovl.core.conversation import (
    Conversation,
    ImagePart,
    MediaRef,
    Message,
    TextPart,
    VideoPart,
)
from nanovl.core.layout import IGNORE_LABEL, TokenLayout
from nanovl.processing.preview import COLORS, TokenRun, preview, token_runs
from nanovl.processing.processor import Processor
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


def colors(page: Image.Image) -> set[str]:
    found = np.unique(np.asarray(page).reshape(-1, 3), axis=0)
    return {"#{:02x}{:02x}{:02x}".format(*map(int, c)) for c in found}


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


def test_page_shows_every_role_and_the_pixels(processor: Processor) -> None:
    layout = sample(processor, image(64, 64))
    red = torch.zeros(1, 3, 64, 64)
    mean, std = processor.config.norm_mean, processor.config.norm_std
    for channel, value in enumerate((1.0, 0.0, 0.0)):
        red[0, channel] = (value - mean[channel]) / std[channel]
    inputs = processor.load(layout, dtype=torch.float32)
    object.__setattr__(inputs, "pixel_values", (red,))
    page = preview(layout, processor, inputs, title="set/1", facts=["id a"])
    assert page.mode == "RGB"
    assert page.width == 1200
    seen = colors(page)
    assert "#ff0000" in seen
    papers = {COLORS[role][1] for role in ("loss", "control", "control loss", "visual")}
    assert papers <= seen
    assert "#ff0000" not in colors(preview(layout, processor))


def test_page_without_labels_marks_nothing_as_predicted(processor: Processor) -> None:
    layout = processor.plan(Conversation.user("Hello"))
    assert COLORS["loss"][1] not in colors(preview(layout, processor))


def test_page_grows_with_text_up_to_a_bound(processor: Processor) -> None:
    heights = [
        preview(sample(processor, question="word " * count), processor, width=600).height
        for count in (1, 200, 4000, 8000)
    ]
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_film_strip_and_many_pictures(processor: Processor) -> None:
    layout = sample(processor, film(15), *[image(200, 60) for _ in range(4)])
    page = preview(layout, processor, processor.load(layout))
    plain = preview(sample(processor), processor)
    assert page.height > plain.height + 300


@pytest.mark.parametrize(
    "text",
    [
        "\u4f60\u597d",
        "\u0645\u0631\u062d\u0628\u0627",
        "\U0001f600",
        "\u0939\u093f",
        "\x07\t|",
        "\ue123",
    ],
    ids=["han", "arabic", "emoji", "devanagari", "control", "private"],
)
def test_any_script_is_drawn(processor: Processor, text: str) -> None:
    """Every character leaves ink, whatever fonts there are."""
    page = preview(sample(processor, question="A"), processor)
    other = preview(sample(processor, question=f"A{text}"), processor)
    rows = min(page.height, other.height)
    # Below the heading, whose counts differ anyway.
    first, second = (np.asarray(p)[170:rows] for p in (page, other))
    assert (first != second).any()


def test_words_wider_than_the_page_are_broken(processor: Processor) -> None:
    page = preview(sample(processor, question="x" * 500), processor, width=500)
    margin = np.asarray(page)[:, -30:]
    assert (margin == 255).all(), "text runs over the edge"
