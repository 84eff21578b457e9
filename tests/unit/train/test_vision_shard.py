"""Tiles become rows of the decoder; what several ranks do is in `test_context_parallel`."""

import dataclasses

import pytest
import torch

from nanovl.core.errors import InputError
from nanovl.testing import tiny_model
from nanovl.train.vision_shard import dummy_tile_term, embed_pack, encode_tiles, place_visual
from tests.unit.train.cp_cases import IMAGE, Case, build, make_pack


def test_rows_are_those_of_the_model():
    case = Case(name="", borders=(0, 9, 24), tiles=3)
    model, batch = build(case), make_pack(case)
    visual = model.encode_media(batch.pixel_values).flatten(0, 2)
    expected = model.merge(batch.input_ids, [visual], IMAGE)
    assert torch.equal(embed_pack(model, batch), expected)


def test_pack_without_pictures_runs_the_encoder():
    case = Case(name="", borders=(0, 9, 24))
    model, batch = build(case), make_pack(case)
    x = embed_pack(model, batch)
    assert torch.equal(x, model.embed_tokens(batch.input_ids))
    x.sum().backward()
    vision = [p for n, p in model.named_parameters() if n.startswith(("vision_model", "mlp1"))]
    assert len(vision) > 10
    for parameter in vision:
        assert parameter.grad is not None
        assert not parameter.grad.any()
    quiet = embed_pack(model, batch, always_encode=False)
    torch.autograd.grad(quiet.sum(), model.language_model.backbone.embeddings.weight)
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(embed_pack(model, batch, always_encode=False).sum(), vision)


def test_the_empty_tile_adds_nothing_even_if_the_encoder_overflows():
    model = tiny_model()
    like = torch.zeros(2, dtype=torch.bfloat16)
    term = dummy_tile_term(lambda tile: tile / 0.0 + 1e38 * 10, (64, 64), like)
    assert term.shape == ()
    assert term.dtype == torch.bfloat16
    assert term.item() == 0.0
    term = dummy_tile_term(model.encode_media, (64, 64), torch.zeros(1))
    assert term.item() == 0.0


def test_mismatches_are_refused():
    with pytest.raises(InputError, match="no tiles to encode"):
        encode_tiles(lambda tiles: tiles, torch.zeros(0, 3, 2, 2))
    with pytest.raises(InputError, match="3 positions of visual tokens but the encoder made 4"):
        place_visual(torch.zeros(8, 2), torch.zeros(4, 2), torch.arange(3), tokens=8)
    case = Case(name="", borders=(0, 24), tiles=2)
    model, batch = build(case), make_pack(case)
    short = dataclasses.replace(batch, image_pos=batch.image_pos[:-1])
    with pytest.raises(InputError, match="7 positions of visual tokens but the encoder made 8"):
        embed_pack(model, short)
