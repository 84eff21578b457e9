"""GGUF files: what is in them by an independent reading, and what llama.cpp computes with them.

The second needs an interpreter with xllamacpp (wheels of llama.cpp for CPUs), named by
NANOVL_LLAMACPP_PYTHON.

Source: docs/concepts/gguf.md.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nanovl.checkpoint.build import load_model, save_model
from nanovl.checkpoint.gguf_export import export_gguf
from nanovl.checkpoint.keymap import BACKBONE, VISION, expected_tensors
from nanovl.checkpoint.random_weights import write_random
from nanovl.core.errors import CheckpointError, ConfigError, NanoVLError
from nanovl.core.events import Event
from nanovl.core.paths import asset
from nanovl.model.context import ForwardContext
from nanovl.model.vlm import VLM
from nanovl.processing.processor import Processor
from nanovl.processing.tokenizer import Tokenizer
from nanovl.testing import picture, tiny_model, tiny_processor
from tests.parity.gguf_reading import read_gguf
from tests.parity.language_half import last_logprobs, prompts, small_config, small_model

logger = logging.getLogger(__name__)

# Read here: every test runs without the settings of whoever started it.
LLAMACPP = os.environ.get("NANOVL_LLAMACPP_PYTHON", "")
SCRIPT = Path(__file__).parent / "other_engines" / "llamacpp_logprobs.py"

FORMATS = ("gguf", "gguf-q8")


@pytest.fixture(scope="module")
def model() -> VLM:
    return small_model()


@pytest.fixture(scope="module")
def files(model: VLM, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The checkpoint, and its files in both formats."""
    root = tmp_path_factory.mktemp("gguf")
    source = save_model(model, root / "source", processor=tiny_processor(model.config))
    return {"source": source} | {f: export_gguf(source, root / f, f) for f in FORMATS}


@pytest.mark.parametrize("name", FORMATS)
def test_decoder(files: dict[str, Path], model: VLM, name: str) -> None:
    keys, tensors = read_gguf(files[name] / "model.gguf")
    lm = model.config.lm
    assert keys["general.architecture"] == "nemotron_h"
    assert keys["nemotron_h.block_count"] == 4
    assert keys["nemotron_h.feed_forward_length"] == [0, 512, 0, 512]
    assert keys["nemotron_h.attention.head_count_kv"] == [0, 0, 2, 0]
    assert keys["nemotron_h.attention.layer_norm_rms_epsilon"] == pytest.approx(1e-5)
    assert keys["nemotron_h.ssm.inner_size"] == lm.mamba_inner_size == 512
    assert keys["nemotron_h.ssm.time_step_rank"] == 32
    state = model.state_dict()
    layer = f"{BACKBONE}.layers.0"
    wanted = {
        "token_embd.weight": state[f"{BACKBONE}.embeddings.weight"],
        "output.weight": state["language_model.lm_head.weight"],
        "output_norm.weight": state[f"{BACKBONE}.norm_f.weight"],
        "blk.0.attn_norm.weight": state[f"{layer}.norm.weight"],
        "blk.0.ssm_in.weight": state[f"{layer}.mixer.in_proj.weight"],
        "blk.0.ssm_out.weight": state[f"{layer}.mixer.out_proj.weight"],
        "blk.0.ssm_conv1d.weight": state[f"{layer}.mixer.conv1d.weight"][:, 0],
        "blk.0.ssm_conv1d.bias": state[f"{layer}.mixer.conv1d.bias"],
        "blk.0.ssm_a": -state[f"{layer}.mixer.A_log"].exp()[:, None],
        "blk.0.ssm_d": state[f"{layer}.mixer.D"][:, None],
        "blk.0.ssm_dt.bias": state[f"{layer}.mixer.dt_bias"],
        "blk.0.ssm_norm.weight": state[f"{layer}.mixer.norm.weight"].reshape(2, 256),
        **{
            f"blk.2.attn_{short}.weight": state[f"{BACKBONE}.layers.2.mixer.{long}_proj.weight"]
            for short, long in (("q", "q"), ("k", "k"), ("v", "v"), ("output", "o"))
        },
        "blk.2.attn_norm.weight": state[f"{BACKBONE}.layers.2.norm.weight"],
        **{
            f"blk.{i}.{short}.weight": state[f"{BACKBONE}.layers.{i}.{long}.weight"]
            for i in (1, 3)
            for short, long in (
                ("attn_norm", "norm"),
                ("ffn_up", "mixer.up_proj"),
                ("ffn_down", "mixer.down_proj"),
            )
        },
    }
    assert set(tensors) == set(wanted)
    matrix = "BF16" if name == "gguf" else "Q8_0"
    for key, value in wanted.items():
        kind, found = tensors[key]
        plain = value.dim() == 1 or key.startswith(("blk.0.ssm_a", "blk.0.ssm_d")) or "conv" in key
        assert kind == ("F32" if plain or "ssm_norm" in key else matrix), key
        if kind == "Q8_0":
            step = value.float().reshape(-1, 32).abs().amax(1, keepdim=True) / 127
            error = (found - value.float()).reshape(-1, 32).abs()
            assert bool((error <= 0.51 * step + 1e-3 * step * 127).all()), key
        else:
            assert torch.equal(found, value.float()), key


def test_vision(files: dict[str, Path], model: VLM) -> None:
    keys, tensors = read_gguf(files["gguf"] / "mmproj.gguf")
    assert keys["general.architecture"] == "clip"
    assert keys["clip.projector_type"] == "nemotron_v2_vl"
    assert keys["clip.vision.projection_dim"] == 256
    assert keys["clip.vision.image_mean"] == pytest.approx(model.config.norm_mean)
    state = model.state_dict()
    assert len(tensors) == sum(
        n.startswith(("mlp1.", "vision_model.")) for n in expected_tensors(model.config)
    )
    pairs = {
        "mm.model.mlp.0.weight": "mlp1.0.weight",
        "mm.model.mlp.1.weight": "mlp1.1.weight",
        "mm.model.mlp.3.weight": "mlp1.3.weight",
        "v.class_embd": f"{VISION}.patch_generator.cls_token.token",
        "v.blk.1.attn_qkv.weight": f"{VISION}.blocks.1.attn.qkv.weight",
        "v.blk.1.attn_qkv.bias": f"{VISION}.blocks.1.attn.qkv.bias",
        "v.blk.0.attn_out.weight": f"{VISION}.blocks.0.attn.proj.weight",
        "v.blk.0.ffn_up.bias": f"{VISION}.blocks.0.mlp.fc1.bias",
        "v.blk.0.ffn_down.weight": f"{VISION}.blocks.0.mlp.fc2.weight",
        "v.blk.0.ln2.bias": f"{VISION}.blocks.0.norm2.bias",
    }
    for ours, theirs in pairs.items():
        assert torch.equal(tensors[ours][1], state[theirs].float()), ours
    patches = state[f"{VISION}.patch_generator.embedder.weight"].float()
    assert torch.equal(tensors["v.patch_embd.weight"][1], patches.reshape(-1, 3, 16, 16))
    positions = model.vision_model.radio_model.model.patch_generator.positions(4, 4)
    # Interpolated in fp32 here, rounded to bf16 there.
    torch.testing.assert_close(
        tensors["v.position_embd.weight"][1], positions.float(), rtol=2**-8, atol=1e-6
    )


def test_tokens(files: dict[str, Path]) -> None:
    keys, _ = read_gguf(files["gguf"] / "model.gguf")
    tokenizer = tiny_processor().tokenizer
    tokens, kinds = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.token_type"]
    assert keys["tokenizer.ggml.pre"] == "tekken"
    assert len(tokens) == len(kinds) == 320
    assert len(set(tokens)) == 320
    for text, number in tokenizer.control_tokens.items():
        assert (tokens[number], kinds[number]) == (text, 3)
    assert kinds[tokenizer.size :] == [5] * (320 - tokenizer.size)
    assert kinds.count(1) == 256
    assert keys["tokenizer.ggml.eos_token_id"] == tokenizer.turn_end_id
    assert keys["tokenizer.chat_template"] == asset("chat_template.jinja").read_text("utf-8")


@pytest.mark.parametrize("source", ["fp8", "nvfp4", "int4"])
def test_packed_layers_are_decoded(tmp_path: Path, source: str) -> None:
    folder = write_random("tiny", tmp_path / source, source)
    events: list[Event] = []
    out = export_gguf(folder, tmp_path / "out", on_event=events.append)
    assert events[-1].done == events[-1].total
    vlm, _ = load_model(folder, quant="bf16")
    _, tensors = read_gguf(out / "model.gguf")
    weight = vlm.get_parameter(f"{BACKBONE}.layers.4.mixer.down_proj.weight")
    assert torch.equal(tensors["blk.4.ffn_down.weight"][1], weight.float())


def test_tied_embeddings_are_written_once(tmp_path: Path) -> None:
    config = small_config()
    config = replace(config, lm=replace(config.lm, tie_embeddings=True))
    tied = tiny_model(1, torch.bfloat16, config=config)
    folder = save_model(tied, tmp_path / "a", processor=tiny_processor(config))
    _, tensors = read_gguf(export_gguf(folder, tmp_path / "b") / "model.gguf")
    assert "output.weight" not in tensors


def test_models_llama_cpp_computes_otherwise(tmp_path: Path) -> None:
    config = small_config()
    clamped = replace(config, lm=replace(config.lm, time_step_limit=(0.001, 0.1)))
    folder = save_model(
        tiny_model(1, torch.bfloat16, config=clamped),
        tmp_path / "a",
        processor=tiny_processor(config),
    )
    with pytest.raises(CheckpointError, match="time_step_limit"):
        export_gguf(folder, tmp_path / "b")
    with pytest.raises(ConfigError, match="did you mean 'gguf'"):
        export_gguf(folder, tmp_path / "b", "ggu")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_another_way_of_splitting_text(files: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for path in files["source"].iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    data = json.loads((source / "tokenizer.json").read_text())
    data["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{L}+|\P{L}"
    (source / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(NanoVLError, match=r"llama\.cpp has no name for the way"):
        export_gguf(source, tmp_path / "out")


def run_llamacpp(folder: Path, requests: list[dict[str, Any]], work: Path) -> list[dict[str, Any]]:
    """Answers of llama.cpp's server, one per request."""
    (work / "requests.json").write_text(json.dumps(requests))
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "LANG")}
    done = subprocess.run(
        [LLAMACPP, str(SCRIPT), str(folder), str(work / "requests.json"), str(work / "out.json")],
        env={**kept, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    answers: list[dict[str, Any]] = json.loads((work / "out.json").read_text())
    return answers


needs_llamacpp = pytest.mark.skipif(
    not LLAMACPP, reason="needs xllamacpp: name its interpreter in NANOVL_LLAMACPP_PYTHON"
)


def after_picture(vlm: VLM, tokenizer: Tokenizer, path: Path) -> torch.Tensor:
    """(1, vocabulary): of the token after a prompt with one tile, laid out by hand."""
    from PIL import Image

    pixels = torch.tensor(np.asarray(Image.open(path).convert("RGB"))).permute(2, 0, 1) / 255
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (vlm.config.norm_mean, vlm.config.norm_std)
    )
    with torch.no_grad():
        seen = vlm.encode_media(((pixels - mean) / std)[None].to(vlm.dtype))
        before, after = (
            vlm.embed_tokens(torch.tensor(tokenizer.encode(text, control=True)))
            for text in ("<img>", "</img>")
        )
        x = torch.cat([before, seen.reshape(-1, before.shape[1]).to(before.dtype), after])
        context = ForwardContext(cu_seqlens=(0, x.shape[0]))
        logits: torch.Tensor = vlm(x, context, rows="last")
        return logits[-1:].float().log_softmax(-1)


@needs_llamacpp
@pytest.mark.slow
@pytest.mark.parametrize(("name", "limit"), [("gguf", 1e-4), ("gguf-q8", 1e-3)])
def test_next_token_probabilities_of_llama_cpp(
    files: dict[str, Path], tmp_path: Path, name: str, limit: float
) -> None:
    vlm, processor = load_model(files["source"])
    tokenizer = processor.tokenizer
    letter = tokenizer.encode("a")[0]
    requests = [{"prompt": ids, "n_probs": 320, "letter": letter} for ids in prompts()]
    for number in range(2):
        path = tmp_path / f"{number}.png"
        picture(64, 64, "noise", seed=number).save(path)
        text = "<img><__media__></img>"
        requests.append({"prompt": text, "n_probs": 320, "letter": letter, "media": str(path)})
    answers = run_llamacpp(files[name], requests, tmp_path)
    theirs = torch.tensor([[row[str(i)] for i in range(320)] for row in answers])
    seen = [after_picture(vlm, tokenizer, tmp_path / f"{n}.png") for n in range(2)]
    ours = torch.cat([last_logprobs(vlm), *seen])
    divergence = (ours.exp() * (ours - theirs)).sum(-1)
    mean, worst = float(divergence.mean()), float(divergence.max())
    logger.info("%s: KL to nanovl's forward %.2e nats, at most %.2e", name, mean, worst)
    assert worst < limit
    # The two pictures are told apart, by far more than the two engines.
    apart = float((ours[4].exp() * (ours[4] - ours[5])).sum())
    assert apart > 10 * worst


@needs_llamacpp
@pytest.mark.slow
def test_tokens_of_llama_cpp(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_folder(asset("mini"))
    config = small_config()
    config = replace(config, lm=replace(config.lm, vocab_size=tokenizer.size))
    vlm = tiny_model(1, torch.bfloat16, config=config)
    processor = Processor(tokenizer, tiny_processor(config).config)
    source = save_model(vlm, tmp_path / "source", processor=processor)
    texts = [
        "Hello world, it's 2026-11-22 and 12345.67 EUR!",
        "  Indented\n\n\tcode(x): return x**2  # done\r\n",
        "<SPECIAL_10>User\nWhat is this? <img>",
        "Gr\u00fc\u00dfe, \u4f60\u597d, \u041f\u0440\u0438\u0432\u0435\u0442 \U0001f600 na\u00efve",
        "HTTPServer camelCase ALLCAPS iPhone",
    ]
    requests = [{"tokenize": text} for text in texts]
    answers = run_llamacpp(export_gguf(source, tmp_path / "out"), requests, tmp_path)
    for text, answer in zip(texts, answers, strict=True):
        assert answer == tokenizer.encode(text, control=True), text
