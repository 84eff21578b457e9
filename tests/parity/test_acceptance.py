"""Exported checkpoints against the engines and libraries they are made for.

Each part needs an interpreter of its own: NANOVL_VLLM_PYTHON names one with vLLM (the CPU build
will do), which brings compressed-tensors, and NANOVL_MODELOPT_PYTHON one with ModelOpt. Nothing is
downloaded. "It loads" proves nothing, so numbers are compared: next-token probabilities of a small
decoder with vLLM, and every weight with the libraries.

Source: quantization specification, sections 9.3 and 9.5, level 2.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nanovl.checkpoint.build import load_model
from nanovl.checkpoint.keymap import linear_modules
from nanovl.quant.linear import QuantizedLinear
from tests.parity.language_half import (
    export,
    last_logprobs,
    prompts,
    small_config,
    small_model,
)

logger = logging.getLogger(__name__)

# Read here: every test runs without the settings of whoever started it.
VLLM = os.environ.get("NANOVL_VLLM_PYTHON", "")
MODELOPT = os.environ.get("NANOVL_MODELOPT_PYTHON", "")
SCRIPTS = Path(__file__).parent / "other_engines"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
needs_vllm = pytest.mark.skipif(
    not VLLM, reason="needs vLLM: name its interpreter in NANOVL_VLLM_PYTHON"
)
needs_modelopt = pytest.mark.skipif(
    not MODELOPT, reason="needs ModelOpt: name its interpreter in NANOVL_MODELOPT_PYTHON"
)

LINEARS = list(linear_modules(small_config().lm))
MLP = [m for m in LINEARS if m.endswith(("up_proj", "down_proj"))]
ATTENTION = [m for m in LINEARS if m.endswith(("q_proj", "k_proj", "v_proj", "o_proj"))]
MAMBA = [m for m in LINEARS if m.endswith(("in_proj", "out_proj"))]
CASES: dict[str, str | dict[str, str]] = {
    "bf16": "bf16",
    "fp8": "fp8",
    "nvfp4": "nvfp4",
    "int8": "int8",
    "int4-sym": "int4-sym",
    # MIXED_PRECISION of ModelOpt.
    "mixed": dict.fromkeys(MLP, "nvfp4") | dict.fromkeys(MAMBA + ATTENTION, "fp8"),
    # Mixtures of compressed-tensors.
    "mixed-integers": dict.fromkeys(MLP, "int4-sym") | dict.fromkeys(ATTENTION, "int8"),
    "mixed-nvfp4": dict.fromkeys(MLP, "nvfp4") | dict.fromkeys(ATTENTION + MAMBA, "int8"),
    "mixed-all": dict.fromkeys(MLP[:2], "nvfp4")
    | dict.fromkeys(MLP[2:], "int4-sym")
    | dict.fromkeys(ATTENTION, "int8")
    | dict.fromkeys(MAMBA, "fp8"),
}
# vLLM's CPU build has no product for FP8 as compressed-tensors describes it.
RUN = [name for name in CASES if name != "mixed-all"]
# KL divergence to nanovl's own forward; NVFP4 inputs are rounded there, whatever is done here.
TIE = 0.1
LIMITS = dict.fromkeys(RUN, 2e-3) | dict.fromkeys(("nvfp4", "mixed", "mixed-nvfp4"), 5e-2)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Case -> the whole model's folder, and its decoder's."""
    root = tmp_path_factory.mktemp("exported")
    model = small_model()
    found = {}
    for name, target in CASES.items():
        (root / name).mkdir()
        found[name] = export(model, root / name, target)
    return found


def run(python: str, *words: object) -> None:
    """A script that must end well."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "LANG")}
    done = subprocess.run(
        [python, *map(str, words)],
        env={**kept, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="module")
def answers(
    exported: dict[str, tuple[Path, Path]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[list[float]] | str]:
    """Case -> what vLLM made of it; one process for all of them, since it starts slowly."""
    ids = tmp_path_factory.mktemp("ids") / "ids.json"
    ids.write_text(json.dumps(prompts()))
    halves = {name: exported[name][1] for name in RUN}
    run(VLLM, SCRIPTS / "logprobs.py", ids, *halves.values())
    return {n: json.loads(half.with_suffix(".json").read_text()) for n, half in halves.items()}


@needs_vllm
@pytest.mark.parametrize("name", RUN)
def test_next_token_probabilities_of_vllm(
    exported: dict[str, tuple[Path, Path]],
    answers: dict[str, list[list[float]] | str],
    name: str,
    record_property: pytest.RecordProperty,
) -> None:
    answer = answers[name]
    assert isinstance(answer, list), answer
    theirs = torch.tensor(answer)
    assert bool(torch.isfinite(theirs).all())
    ours = last_logprobs(load_model(exported[name][0], quant="stored")[0])
    divergence = (ours.exp() * (ours - theirs)).sum(-1)  # (prompts,)
    worst = float(divergence.max())
    record_property("kl", worst)
    mean = float(divergence.mean())
    logger.info("%s: KL to nanovl's forward %.2e nats, at most %.2e", name, mean, worst)
    assert worst < LIMITS[name]
    # Their first choice is ours, or one of two that random weights leave almost equal.
    chosen = ours.gather(-1, theirs.argmax(-1, keepdim=True)).squeeze(-1)
    assert float((ours.amax(-1) - chosen).max()) < TIE
    if name != "bf16":  # a checkpoint read as if it were plain would pass unnoticed otherwise
        plain = torch.tensor(answers["bf16"])
        assert not torch.equal(theirs, plain)


def decoded(folder: Path) -> dict[str, torch.Tensor]:
    """Module without "language_model." -> the weight nanovl computes with, fp32."""
    vlm, _ = load_model(folder, quant="stored")
    return {
        name.removeprefix("language_model."): module.dequantized_weight(torch.float32)
        for name, module in vlm.named_modules()
        if isinstance(module, QuantizedLinear)
    }


@needs_vllm
@pytest.mark.parametrize("name", ["int8", "int4-sym", "mixed-integers", "mixed-all"])
def test_weights_of_compressed_tensors(
    exported: dict[str, tuple[Path, Path]], tmp_path: Path, name: str
) -> None:
    ours, half = exported[name]
    out = tmp_path / "weights.safetensors"
    run(VLLM, SCRIPTS / "compressed_tensors_decode.py", half, out)
    theirs, mine = load_file(out), decoded(ours)
    assert set(theirs) == set(mine)
    target = CASES[name]
    for module, weight in theirs.items():
        full = f"language_model.{module}"
        format_name = target if isinstance(target, str) else target[full]
        if format_name in ("int8", "fp8"):
            assert torch.equal(weight, mine[module]), module
        elif format_name == "int4-sym":  # it multiplies in the dtype of the scale
            assert torch.equal(weight, mine[module].bfloat16().float()), module
        else:  # divides by the reciprocal scale and rounds to bf16
            torch.testing.assert_close(weight, mine[module], rtol=2**-7, atol=0)


@needs_modelopt
@pytest.mark.parametrize("name", ["fp8", "nvfp4", "mixed"])
def test_weights_of_modelopt(
    exported: dict[str, tuple[Path, Path]], tmp_path: Path, name: str
) -> None:
    ours, half = exported[name]
    out = tmp_path / "weights.safetensors"
    run(MODELOPT, SCRIPTS / "modelopt_decode.py", half, out)
    theirs, mine = load_file(out), decoded(ours)
    assert set(theirs) == set(mine)
    for module, weight in theirs.items():
        assert torch.equal(weight, mine[module]), module
