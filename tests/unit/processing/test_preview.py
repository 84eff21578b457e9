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
from nanovl.core.layout import TokenLayout
from nanovl.processing.preview import preview
from nanovl.processing.processor import Processor
from nanovl.processing.token_runs import COLORS
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
