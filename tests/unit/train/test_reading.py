"""Reading lines with the encoder alone."""

from __future__ import annotations

import pytest
import torch

from nanovl.core.errors import InputError
from nanovl.model.config import preset
from nanovl.model.vision import VisionModel
from nanovl.train.reading import ReadingHead, placing_loss, reading_loss


def certain(head: ReadingHead, said: list[list[int]]) -> torch.Tensor:
    """Log probabilities that say these numbers, (t, n, characters + 1)."""
    logits = torch.full((len(said[0]), len(said), len(head.alphabet) + 1), -9.0)
    for line, numbers in enumerate(said):
        for step, number in enumerate(numbers):
            logits[step, line, number] = 9.0
    return logits.log_softmax(-1)


def test_repeats_need_a_blank_between_them() -> None:
    head = ReadingHead(8, "abc")
    log_probs = certain(head, [[1, 1, 0, 1, 2, 0], [0, 0, 3, 3, 3, 0], [0] * 6])
    assert head.read(log_probs) == ["aab", "c", ""]
    right, count = reading_loss(head, log_probs[:, :2], ["aab", "c"])
    wrong, _ = reading_loss(head, log_probs[:, :2], ["abb", "a"])
    assert count == 4
    assert right < 0.01 < 1 < wrong


def test_lines_too_long_or_unknown_count_as_nothing() -> None:
    head = ReadingHead(8, "abc")
    log_probs = certain(head, [[1, 2]])
    loss, count = reading_loss(head, log_probs, ["abcabc"])
    assert (float(loss), count) == (0.0, 0)
    both, count = reading_loss(head, certain(head, [[1, 2], [1, 2]]), ["abcabc", "ab"])
    assert float(both) < 0.01
    assert count == 2
    assert head.numbers("a?b") == [1, 2]


def test_only_the_place_of_a_line_is_read() -> None:
    head = ReadingHead(8, "abc", steps=2)
    features = torch.randn(2, 4, 8, 8, requires_grad=True)
    boxes = torch.tensor([[2.0, 1.0, 5.0, 2.0]])
    log_probs = head(features, torch.tensor([1]), boxes)
    assert log_probs.shape == (16, 1, 4)
    beside = [t for t in range(16) if not 1.5 <= (t + 0.5) / 2 <= 5.5]
    assert log_probs[beside, 0, 0].exp().min() > 0.999
    log_probs[:, 0, 1].exp().sum().backward()
    touched = features.grad.abs().sum(-1) > 0  # (m, rows, columns)
    assert not touched[0].any()
    assert touched[1].any(1).nonzero().flatten().tolist() == [0, 1, 2]
    assert touched[1].any(0).nonzero().flatten().tolist() == [1, 2, 3, 4, 5]


def test_a_line_that_does_not_fit_between_its_ends_costs_nothing() -> None:
    # Sixteen steps, but four of them in the line: one such line once threw a whole run back.
    head = ReadingHead(8, "abc", steps=2)
    features = torch.randn(2, 4, 8, 8, requires_grad=True)
    boxes = torch.tensor([[3.0, 1.0, 4.0, 2.0], [0.0, 1.0, 8.0, 2.0]])
    log_probs = head(features, torch.tensor([0, 1]), boxes)
    alone, _ = reading_loss(head, log_probs[:, 1:], ["abcabc"])
    both, count = reading_loss(head, log_probs, ["abcabc", "abcabc"])
    assert count == 6
    assert float(both.detach()) == pytest.approx(float(alone.detach()))
    both.backward()
    assert not features.grad[0].any()


def test_an_encoder_learns_two_letters() -> None:
    """Black bars are one letter, white ones another; their order is read after a few updates."""
    torch.manual_seed(0)
    vision = VisionModel(preset("tiny").vision)
    vision.initialize(torch.Generator().manual_seed(0))
    head = ReadingHead(32, "xo", steps=1, hidden=32)
    texts = ["xoxo", "ooxx", "xxxx", "oxox", "oooo", "xoox"]
    pixels = torch.zeros(len(texts), 3, 64, 64)
    for k, text in enumerate(texts):
        for place, char in enumerate(text):
            pixels[k, :, 16:48, 16 * place + 4 : 16 * place + 12] = 1.0 if char == "o" else -1.0
    boxes = torch.tensor([[0.0, 1.0, 4.0, 3.0]]).expand(len(texts), -1)
    tiles = torch.arange(len(texts))
    # Four columns have room for four letters and no blank between equal ones.
    single = [text.replace("xx", "x").replace("oo", "o") for text in texts]
    single = [text.replace("xx", "x").replace("oo", "o") for text in single]
    chosen = torch.optim.AdamW([*vision.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(150):
        loss, _ = reading_loss(head, head(vision(pixels), tiles, boxes), single)
        chosen.zero_grad()
        loss.backward()
        chosen.step()
    assert head.read(head(vision(pixels), tiles, boxes)) == single


def test_bad_alphabets() -> None:
    for alphabet in ("", "aba"):
        with pytest.raises(InputError, match="every character once"):
            ReadingHead(8, alphabet)


def test_letters_are_placed_where_they_stand() -> None:
    """The loss is small only where every letter is said at its own step."""
    head = ReadingHead(4, "ab", steps=2)
    boxes = torch.tensor([[0.0, 0.0, 3.0, 1.0]])
    right = [0, 1, 0, 2, 0, 0, 0, 0]  # a at 0.75, b at 1.5; from 3.0 on the line is over
    sure = torch.full((8, 1, 3), -8.0)
    sure[torch.arange(8), 0, torch.tensor(right)] = 8.0

    def loss(logits: torch.Tensor) -> float:
        found = logits.log_softmax(-1)
        return float(placing_loss(head, found, boxes, ["ab"], [[0.75, 1.5]]))

    assert loss(sure) < 1e-4
    late = sure.roll(1, dims=0)
    assert loss(late) > 5
    beside = sure.clone()
    beside[7] = torch.tensor([[-8.0, 8.0, -8.0]])
    assert loss(beside) == pytest.approx(loss(sure), abs=1e-6)


def test_letters_closer_than_steps_follow_each_other() -> None:
    head = ReadingHead(4, "ab", steps=1)
    logits = torch.full((3, 1, 3), -8.0)
    logits[0, 0, 1] = logits[1, 0, 2] = logits[2, 0, 0] = 8.0
    boxes = torch.tensor([[0.0, 0.0, 3.0, 1.0]])
    found = placing_loss(head, logits.log_softmax(-1), boxes, ["ab"], [[0.2, 0.4]])
    assert float(found) < 1e-4
    unknown = placing_loss(head, logits.log_softmax(-1), boxes, ["?b"], [[0.2, 1.4]])
    assert float(unknown) > 1.0
