"""A recipe becomes a sharded model with its processor, and weights become files again.

Must not run updates.

Source: training specification, sections 1.2, 5, 8.1 and 11.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

from nanovl.checkpoint.build import load_model, load_processor
from nanovl.checkpoint.export import save_model
from nanovl.core.errors import CheckpointError, ConfigError
from nanovl.model.config import VLMConfig, preset
from nanovl.model.vlm import VLM
from nanovl.processing.processor import Processor
from nanovl.quant.fake import fake_quant_layers, insert_fake_quant
from nanovl.quant.schemes import quantize_linear, replace_module
from nanovl.train.config import Recipe
from nanovl.train.distill import DistillModule
from nanovl.train.fp8 import convert_to_fp8
from nanovl.train.parallel import World, full_tensor, shard_model
from nanovl.train.step import PARTS, TrainModule, freeze, set_recompute

__all__ = ["Built", "build", "build_processor", "export_model"]

logger = logging.getLogger(__name__)

_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32, "fp64": torch.float64}


@dataclass(frozen=True, kw_only=True)
class Built:
    """What a run trains.

    Attributes:
        module: Sharded; its forward is the loss of one pack.
        vlm: The model inside of it.
        config: Its shape.
        processor: Makes samples for it.
        fp8_layers: Names of the linears that multiply in FP8.
    """

    module: TrainModule
    vlm: VLM
    config: VLMConfig
    processor: Processor
    fp8_layers: tuple[str, ...] = ()


def build(recipe: Recipe, world: World) -> Built:
    """Read or draw the weights of a recipe and shard them over the ranks.

    Only the first rank reads a checkpoint; the others receive their shards from it.

    Raises:
        ConfigError: Weights and recipe do not fit each other.
        CheckpointError: Weights cannot be read.
    """
    master = _DTYPES[recipe.precision.master]
    source = recipe.stage.init_from or recipe.model.path
    vlm, processor = _first_weights(recipe, world, master, source)
    # The exported model cuts pictures as it saw them in training.
    vlm.config = _as_trained(vlm.config, recipe)
    freeze(vlm, recipe.stage.freeze)
    set_recompute(vlm, recipe.recompute == "full")
    vlm.train()
    if world.size > 1:
        # Every call of the encoder gathers its blocks: all ranks must make the same number.
        vlm.max_tiles_per_call = sys.maxsize
    fp8_layers = _use_fp8(recipe, vlm) if recipe.precision.fp8 else ()
    module = _module(recipe, vlm, world)
    compute = _DTYPES[recipe.precision.compute]
    whole = module.state_dict() if world.is_main and world.size > 1 else {}
    if world.device.type == "cuda" and world.size == 1:
        module.to(world.device)
    shard_model(
        module,
        world,
        compute_dtype=None if compute == master else compute,
        offload=recipe.parallel.cpu_offload,
    )
    if world.size > 1:
        if not world.is_main:
            module.to_empty(device=world.device)
        set_model_state_dict(
            module,
            whole,
            options=StateDictOptions(full_state_dict=True, broadcast_from_rank0=True),
        )
    return Built(
        module=module,
        vlm=vlm,
        config=vlm.config,
        processor=processor,
        fp8_layers=fp8_layers,
    )


def _as_trained(config: VLMConfig, recipe: Recipe) -> VLMConfig:
    """The shape with the treatment of pictures that the recipe trains with."""
    data = recipe.data
    fewest = data.native_min_patches or config.native_min_patches
    if data.image_mode == "native":
        fewest = fewest or 4 * config.tokens_per_tile
    elif data.image_mode is not None:
        fewest = None
    return replace(config, max_num_tiles=data.max_tiles, native_min_patches=fewest)


def build_processor(recipe: Recipe) -> Processor:
    """Tokenizer and picture settings of a recipe, without weights.

    Raises:
        ConfigError: The 12B preset without a checkpoint that has its tokenizer.
    """
    return _shape_and_processor(recipe)[1]


def _shape_and_processor(recipe: Recipe) -> tuple[VLMConfig, Processor]:
    name = recipe.model.preset
    source = recipe.model.processor or recipe.stage.init_from or recipe.model.path
    if source is None and name == "12b":
        raise ConfigError(
            "model.processor: there is no bundled tokenizer for the 12b preset; name the folder "
            "of a released checkpoint"
        )
    config, processor = load_processor(source or name or "mini")
    return (preset(name) if name is not None else config), processor


def _first_weights(
    recipe: Recipe, world: World, master: torch.dtype, source: str | None
) -> tuple[VLM, Processor]:
    from_files = recipe.model.init == "checkpoint"
    if not world.is_main:
        config, processor = _shape_and_processor(recipe)
        return VLM(config, device="meta", dtype=master), processor
    if from_files:
        assert source is not None  # Recipe.check_ready
        name = {torch.float32: "float32", torch.float64: "float64"}[master]
        try:
            vlm, processor = load_model(source, device="cpu", dtype=name, quant="bf16")
        except CheckpointError as error:
            key = "stage.init_from" if recipe.stage.init_from else "model.path"
            raise CheckpointError(f"{key}: {error}, or start with model.init=random") from error
        wanted = None if recipe.model.preset is None else preset(recipe.model.preset)
        if wanted is not None and wanted.lm != vlm.config.lm:
            raise ConfigError(
                f"model.preset {recipe.model.preset!r} is not the shape of {source}; set it to "
                "null to take the checkpoint's, or give the right checkpoint"
            )
        if recipe.model.processor is not None:
            processor = build_processor(recipe)
    else:
        config, processor = _shape_and_processor(recipe)
        vlm = VLM(config, dtype=master)
    fresh = PARTS if not from_files else recipe.model.reinit
    if fresh:
        _draw(vlm, recipe.run.seed, fresh)
    return vlm, processor


@torch.no_grad()
def _draw(vlm: VLM, seed: int, parts: Any) -> None:
    """Fresh weights for some parts; the others keep theirs."""
    fresh = VLM(vlm.config, dtype=torch.float32)
    fresh.initialize(torch.Generator().manual_seed(seed))
    new = dict(fresh.named_parameters())
    for name, parameter in vlm.named_parameters():
        if any(name.startswith(PARTS[part]) for part in parts):
            parameter.copy_(new[name])


def _use_fp8(recipe: Recipe, vlm: VLM) -> tuple[str, ...]:
    p = recipe.precision
    return tuple(
        convert_to_fp8(
            vlm,
            scaling="delayed" if p.recipe == "fp8_delayed" else "current",
            bf16_first=p.bf16_first,
            bf16_last=p.bf16_last,
            vit_bf16_first=p.vit_bf16_first,
            vit_bf16_last=p.vit_bf16_last,
            amax_history=p.amax_history,
            margin=p.margin,
            format=p.format,
            emulate=None if p.emulate == "auto" else p.emulate,
        )
    )


def _module(recipe: Recipe, vlm: VLM, world: World) -> TrainModule:
    threshold, several = recipe.parallel.vision_shard_threshold, world.size > 1
    distill = recipe.distill
    if distill is None:
        # Without the encoder a text would train nothing when the language model is fixed.
        module = TrainModule(
            vlm,
            vision_shard_threshold=threshold,
            always_encode=several or "llm" in recipe.stage.freeze,
        )
    else:
        teacher = _teacher(recipe, vlm, world)
        if distill.format != "none":
            insert_fake_quant(vlm.language_model, distill.format, ["*"])
        module = DistillModule(
            vlm,
            teacher,
            temperature=distill.temperature,
            positions=distill.positions,
            vision_shard_threshold=threshold,
            always_encode=several,
        )
        set_recompute(module.teacher, False)
    module.chunk_rows = recipe.loss.chunk_rows
    return module


def _teacher(recipe: Recipe, student: VLM, world: World) -> VLM:
    assert recipe.distill is not None
    source = recipe.distill.teacher or recipe.stage.init_from or recipe.model.path
    if source is None:
        raise ConfigError(
            "distill.teacher: no teacher; name the checkpoint to learn from, or start the student "
            "from one (stage.init_from or model.path)"
        )
    if world.is_main:
        return load_model(source, device="cpu", dtype="float32", quant="bf16")[0]
    return VLM(load_processor(source)[0], device="meta", dtype=torch.float32)


def export_model(
    built: Built,
    folder: Path,
    world: World,
    *,
    averages: dict[str, torch.Tensor] | None = None,
    origin: str = "trained",
) -> None:
    """Write the weights in the released layout; every rank takes part, the first writes.

    Linears that were rounded in training are packed with the ranges they were trained with, so that
    the files compute what the student computed; everything else is BF16.

    Args:
        built: What is trained.
        folder: Replaced when it is there.
        world: The ranks.
        averages: Moving averages to write in place of the weights they belong to.
        origin: Where the weights come from, for config.json and the model card.
    """
    prefix = "vlm."
    source = averages or {}
    whole: VLM | None = None
    if world.is_main:
        whole = VLM(built.config, device="meta")
    for name, parameter in built.module.named_parameters():
        if not name.startswith(prefix):
            continue
        value = full_tensor(source.get(name, parameter).detach())
        if whole is not None:
            leaf = name.removeprefix(prefix)
            kept = whole.get_parameter(leaf).dtype
            _put(whole, leaf, value.to("cpu", kept))
    if whole is not None:
        formats = _pack(whole, built.vlm)
        save_model(
            whole,
            folder,
            processor=built.processor,
            format=formats or "bf16",
            origin=origin,
            overwrite=True,
        )
    world.barrier()


def _pack(whole: VLM, trained: VLM) -> dict[str, str]:
    """Round the linears of a model as those it was trained with; their formats by name."""
    formats = {}
    for name, layer in fake_quant_layers(trained).items():
        linear = whole.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        packed = quantize_linear(
            linear,
            layer.format,
            input_amax=layer.input_amax.cpu(),
            weight_amax=layer.weight_amax.cpu(),
            what=f"{name}.weight",
        )
        replace_module(whole, name, packed)
        formats[name] = layer.format
    return formats


def _put(model: nn.Module, name: str, value: torch.Tensor) -> None:
    path, _, leaf = name.rpartition(".")
    owner = model.get_submodule(path)
    setattr(owner, leaf, nn.Parameter(value, requires_grad=False))
