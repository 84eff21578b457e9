"""What distillation exports: packed linears with the ranges they were trained with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nanovl.checkpoint.build import load_model, save_model
from nanovl.model.context import ForwardContext
from nanovl.model.vlm import VLM
from nanovl.quant import QuantizedLinear, fake_quant_layers, insert_fake_quant
from nanovl.testing import tiny_model, tiny_processor, training_set
from nanovl.train.parallel import ParallelDims, full_tensor, open_world
from nanovl.train.trainer import Trainer
from tests.unit.train.runs import recipe


@pytest.mark.parametrize("format", ["nvfp4", "fp8"])
def test_the_export_computes_what_the_student_computed(tmp_path: Path, format: str) -> None:
    """Codes, scales and logits of the files are those of the fake-quantized student."""
    blend = training_set(tmp_path / "set", samples=8, kinds=("shapes", "dialogue"), size=64)
    teacher = tmp_path / "teacher"
    model = tiny_model(1, torch.bfloat16)
    save_model(model, teacher, processor=tiny_processor(model.config))
    settings = recipe(
        blend,
        tmp_path / "run",
        "model.init=checkpoint",
        "stage.id=qad",
        f"stage.init_from={teacher}",
        f"distill.teacher={teacher}",
        f"distill.format={format}",
        "distill.calibration_samples=4",
        "stage.freeze=[vision,projector]",
        "stage.train_iters=3",
        "ckpt.export_hf=true",
        "optim.lr=0.01",
    )
    with open_world(ParallelDims(), torch.device("cpu")) as world:
        trainer = Trainer(settings, world)
        result = trainer.run()
        student = trainer.built.vlm
        trained = {n: full_tensor(p.detach()) for n, p in student.named_parameters()}
        ranges = {
            n: (layer.input_amax.clone(), layer.weight_amax.clone())
            for n, layer in fake_quant_layers(student).items()
        }
    imitation = VLM(student.config, dtype=torch.float32).eval().requires_grad_(False)
    stored = {n: p.dtype for n, p in VLM(student.config, device="meta").named_parameters()}
    rounded = {n: p.to(stored[n]).float() for n, p in trained.items()}
    imitation.load_state_dict(rounded)
    insert_fake_quant(imitation.language_model, format, ["*"])
    for name, layer in fake_quant_layers(imitation).items():
        layer.input_amax, layer.weight_amax = ranges[name]
        layer.frozen = True
    assert result.export is not None
    loaded, _ = load_model(result.export, dtype="float32", quant="stored", emulate_activation=True)
    packed = {n: m for n, m in loaded.named_modules() if isinstance(m, QuantizedLinear)}
    assert packed.keys() == ranges.keys()
    for name, layer in fake_quant_layers(imitation).items():
        assert torch.equal(packed[name].dequantized_weight(torch.float32), layer.fake_weight())
        x = torch.randn(7, layer.in_features) * layer.input_amax / 3
        torch.testing.assert_close(
            packed[name](x), layer(x), rtol=1e-5, atol=1e-5 * float(layer(x).abs().max())
        )
    x = torch.randn(40, student.config.lm.hidden_size)
    ctx = ForwardContext(cu_seqlens=(0, 40))
    wanted, got = imitation(x, ctx, "all"), loaded(x, ctx, "all")
    # Sums in another order tip some codes of later layers.
    assert float((got - wanted).square().mean() / wanted.square().mean()) < 1e-3
