"""Tensors against configuration: sizes only tensors know, and everything that must agree."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nanovl.checkpoint.hf import open_checkpoint
from nanovl.checkpoint.keymap import BACKBONE, VISION, expected_tensors
from nanovl.checkpoint.match import Match, match, verify
from nanovl.checkpoint.random_weights import write_random
from nanovl.core.errors import CheckpointError
from nanovl.model.config import VLMConfig, preset

State = dict[str, torch.Tensor]
MakeFolder = Callable[..., Path]
Edit = Callable[[dict[str, Any]], None]


def run(folder: Path) -> Match:
    with open_checkpoint(folder) as files:
        return match(files)


def zeros(config: VLMConfig) -> State:
    return {n: torch.zeros(s, dtype=torch.bfloat16) for n, s in expected_tensors(config).items()}


def test_a_folder_that_fits(make_folder: MakeFolder) -> None:
    found = run(make_folder())
    assert found.config == preset("tiny")
    assert found.notes == ()
    assert found.quantized == {}


def test_tensors_decide_what_only_they_know(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    true = preset("tiny")
    true = replace(
        true,
        lm=replace(true.lm, vocab_size=352),
        vision=replace(
            true.vision,
            num_layers=3,
            num_prefix_tokens=6,
            intermediate_size=48,
            max_resolution=160,
        ),
        projector=replace(true.projector, hidden_size=80),
    )
    with caplog.at_level(logging.WARNING):
        found = run(make_folder(zeros(true), config=preset("tiny")))
    assert found.config == true
    text = "\n".join(found.notes)
    assert "vocab_size is 320, the embedding table has 352 rows" in text
    assert "vision num_prefix_tokens is 4, the tensors have 6" in text
    assert "vision num_layers is 2, the tensors have 3" in text
    assert "projector_hidden_size is 64, its tensor has 80" in text
    assert text in caplog.text.replace("\n" + "WARNING", "\n") or all(
        note in caplog.text for note in found.notes
    )


def test_vision_width_of_a_known_trunk(make_folder: MakeFolder) -> None:
    true = preset("tiny")
    true = replace(true, vision=replace(true.vision, hidden_size=384, num_heads=6))
    found = run(make_folder(zeros(true), config=preset("tiny")))
    assert found.config == true


def test_vision_width_nobody_knows(make_folder: MakeFolder) -> None:
    true = preset("tiny")
    true = replace(true, vision=replace(true.vision, hidden_size=48))
    with pytest.raises(CheckpointError, match=r"48 wide, config\.json says 32"):
        run(make_folder(zeros(true), config=preset("tiny")))


def test_a_head_of_its_own_beside_tied_embeddings(make_folder: MakeFolder) -> None:
    def tie(data: dict[str, Any]) -> None:
        data["llm_config"]["tie_word_embeddings"] = True

    found = run(make_folder(edit=tie))
    assert not found.config.lm.tie_embeddings
    assert "head of its own" in found.notes[0]


def test_tied_model_without_head(make_folder: MakeFolder) -> None:
    true = preset("tiny")
    true = replace(true, lm=replace(true.lm, tie_embeddings=True))
    assert run(make_folder(zeros(true), config=true)).config == true


def test_another_width(make_folder: MakeFolder) -> None:
    def widen(data: dict[str, Any]) -> None:
        data["llm_config"]["hidden_size"] = 80

    with pytest.raises(
        CheckpointError, match=r"hidden_size 80 but .*embeddings\.weight' has 64 columns"
    ):
        run(make_folder(edit=widen))


def test_another_pattern(make_folder: MakeFolder) -> None:
    def swap(data: dict[str, Any]) -> None:
        data["llm_config"]["hybrid_override_pattern"] = "M-*M-"

    with pytest.raises(CheckpointError, match=r"layer 2 is '\*' in .* those of 'M'"):
        run(make_folder(edit=swap))


def test_more_layers_than_the_pattern(make_folder: MakeFolder) -> None:
    def shorten(data: dict[str, Any]) -> None:
        data["llm_config"]["hybrid_override_pattern"] = "M-M*"
        data["llm_config"]["num_hidden_layers"] = 4

    with pytest.raises(CheckpointError, match="layer 4 is 'no layer'"):
        run(make_folder(edit=shorten))


def test_every_mismatch_is_reported_with_both_shapes(
    make_folder: MakeFolder, tiny_state: State
) -> None:
    state = dict(tiny_state)
    q = f"{BACKBONE}.layers.3.mixer.q_proj.weight"
    norm = f"{VISION}.blocks.1.norm2.bias"
    state[q] = torch.zeros(48, 64, dtype=torch.bfloat16)
    state["mlp1.0.weight"] = torch.zeros(7, dtype=torch.bfloat16)
    del state[norm]
    state["bogus.weight"] = torch.zeros(2, 3)
    state["other"] = torch.zeros(5)
    with pytest.raises(CheckpointError) as caught:
        run(make_folder(state))
    message = str(caught.value)
    assert "2 tensors of the wrong shape" in message
    assert f"'{q}' got [48, 64], expected [64, 64]" in message
    assert "'mlp1.0.weight' got [7], expected [128]" in message
    assert f"1 tensors missing: '{norm}' [32]" in message
    assert "2 unexpected tensors" in message
    assert "'bogus.weight' [2, 3]" in message
    assert "'other' [5]" in message


def test_long_lists_are_cut(make_folder: MakeFolder, tiny_state: State) -> None:
    with pytest.raises(CheckpointError, match=r"61 tensors missing.* and 53 more"):
        run(make_folder({"mlp1.0.weight": tiny_state["mlp1.0.weight"]}))


def test_a_written_folder_must_not_contradict_itself(tmp_path: Path) -> None:
    folder = write_random("tiny", tmp_path / "out", "fp8")
    verify(folder)
    path = folder / "hf_quant_config.json"
    data = json.loads(path.read_text())
    data["quantization"]["quant_algo"] = "NVFP4"
    path.write_text(json.dumps(data))
    verify(folder, strict=False)
    with pytest.raises(CheckpointError, match=r"contradicts itself.*FP8 in config\.json, NVFP4"):
        verify(folder)
