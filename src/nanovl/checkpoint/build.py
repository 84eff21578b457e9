"""From a checkpoint folder to a model ready to run.

The network is built without memory, then filled tensor by tensor in the order of the files; every
linear of the decoder becomes the module its stored format asks for, or is transcoded on the spot.
Beside the model itself only the layer in hand is in memory. Runs no forward pass.

Source: model specification, section 9.4; quantization specification, section 6.3.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import nn

from nanovl.checkpoint.config_json import read_config
from nanovl.checkpoint.export import save_model
from nanovl.checkpoint.hf import CheckpointFiles, open_checkpoint
from nanovl.checkpoint.keymap import expected_tensors, linear_modules
from nanovl.checkpoint.match import Match, match
from nanovl.checkpoint.names import resolve
from nanovl.checkpoint.quant_cache import ConvertedLinears
from nanovl.checkpoint.quantized import StoredLinear
from nanovl.checkpoint.random_weights import is_random
from nanovl.checkpoint.side_files import check_tokenizer, media_names
from nanovl.checkpoint.sources import load_layer
from nanovl.core.config import nearest
from nanovl.core.device import available_memory_bytes, choose_device, choose_dtype
from nanovl.core.errors import ConfigError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.core.paths import asset
from nanovl.model.config import VLMConfig, preset
from nanovl.model.vlm import VLM
from nanovl.processing.config import ProcessorConfig
from nanovl.processing.processor import Processor
from nanovl.processing.tokenizer import Tokenizer, byte_tokenizer
from nanovl.quant.linear import QuantizedLinear
from nanovl.quant.schemes import FORMATS, replace_module, transcode

__all__ = [
    "QUANT_CHOICES",
    "check_quant",
    "load_model",
    "load_processor",
    "processor_config",
    "resolve",
    "save_model",
]

logger = logging.getLogger(__name__)

QUANT_CHOICES = ("stored", "bf16", "int8", "int4")

# Quantized weights from which on a CPU gets them as INT8; fewer are decoded once, since decoding
# them again for every token takes most of its time.
_LARGE_WEIGHTS = 1_000_000_000


def load_model(
    name_or_path: str | Path = "mini",
    *,
    device: str = "auto",
    dtype: str = "auto",
    quant: str | None = None,
    emulate_activation: bool = False,
    keep_converted: bool = True,
    revision: str | None = None,
    token: str | None = None,
    on_event: OnEvent = ignore_event,
) -> tuple[VLM, Processor]:
    """Load a checkpoint.

    Args:
        name_or_path: A folder, "mini", or owner/repository on the hub.
        device: "auto", "cpu", "cuda", "cuda:1".
        dtype: Number type of activations and plain weights: "auto" (bfloat16), "float32", ...
        quant: How the decoder's linears are held: "stored" as in the file, "bf16" decoded, "int8"
            or "int4" transcoded for a CPU. None: on a CPU large FP8 and NVFP4 checkpoints become
            INT8 and small ones are decoded, which changes no number; all else stays as stored.
        emulate_activation: Parity mode: round activations as a low-precision GEMM would.
        keep_converted: On a CPU, keep large weights that become INT8 or INT4 below `NANOVL_HOME`
            for the next start (`quant_cache.py`), and use them if they are there.
        revision: Branch, tag or commit on the hub.
        token: Access token for the hub.
        on_event: Told about bytes downloaded and loaded.

    Returns:
        The model in eval mode, without gradients, and its processor.

    Raises:
        ConfigError: An argument or a value of config.json is wrong.
        CheckpointError: There is no such model, or its files are damaged or do not fit.
        BackendError: The device is not there.
    """
    check_quant(quant, emulate_activation)
    where = choose_device(device)
    number = choose_dtype(dtype, where)
    folder = resolve(name_or_path, revision=revision, token=token, on_event=on_event)
    with open_checkpoint(folder) as files:
        found = match(files)
        # Before the slow part, since it may fail.
        tokenizer = Tokenizer.from_folder(folder, names=media_names(found.config))
        check_tokenizer(tokenizer, found.config, str(folder))
        processor = Processor(tokenizer, processor_config(found.config))
        target = _choose(quant, found, where, emulate_activation)
        _warn_about_memory(found, target, where, number)
        with ExitStack() as stack:
            kept = None
            if keep_converted and where.type == "cpu" and target in ("int8", "int4"):
                layers = [found.layers[module] for module in linear_modules(found.config.lm)]
                kept = stack.enter_context(ConvertedLinears(files, layers, target))
            vlm = _fill(files, found, where, number, target, kept, on_event)
    if emulate_activation:
        for module in vlm.modules():
            if isinstance(module, QuantizedLinear):
                module.emulate_activation = True
    if is_random(files.config_file.extras.origin):
        logger.warning(
            "%s holds random weights: the model was never trained and its answers are noise", folder
        )
    return vlm, processor


def load_processor(name_or_path: str | Path = "mini") -> tuple[VLMConfig, Processor]:
    """Shape and processor of a checkpoint, or of a bundled preset, without reading weights.

    Args:
        name_or_path: A folder, a hub repository, "mini" (bundled tokenizer) or "tiny" (bytes).

    Raises:
        CheckpointError: There is no such model, or its tokenizer does not fit.
        ConfigError: A value of config.json is wrong.
    """
    folder = asset("mini")
    if str(name_or_path) == "tiny":
        config, tokenizer = preset("tiny"), byte_tokenizer()
    elif str(name_or_path) == "mini":
        # Trained with other limits than the preset's, such as the number of tiles.
        shipped = (folder / "config.json").is_file()
        config = read_config(folder).config if shipped else preset("mini")
        tokenizer = Tokenizer.from_folder(folder)
    else:
        folder = resolve(name_or_path)
        config = read_config(folder).config
        tokenizer = Tokenizer.from_folder(folder, names=media_names(config))
    check_tokenizer(tokenizer, config, str(name_or_path))
    return config, Processor(tokenizer, processor_config(config))


def processor_config(config: VLMConfig) -> ProcessorConfig:
    """What the input pipeline needs to know about a model."""
    return ProcessorConfig(
        image_size=config.image_size,
        patch_size=config.vision.patch_size,
        max_num_tiles=config.max_num_tiles,
        use_thumbnail=config.use_thumbnail,
        mode="tiles" if config.native_min_patches is None else "native",
        native_min_patches=config.native_min_patches,
        norm_mean=config.norm_mean,
        norm_std=config.norm_std,
        video_pruning_rate=config.video_pruning_rate,
        max_length=config.max_sequence_length,
    )


def check_quant(quant: str | None, emulate_activation: bool = False) -> None:
    """Refuse settings `load_model` would refuse; needs no checkpoint.

    Raises:
        ConfigError: Unknown name, or a contradiction.
    """
    if quant is not None and quant not in QUANT_CHOICES:
        raise ConfigError(
            f"quant {quant!r}: expected one of {', '.join(QUANT_CHOICES)}"
            f"{nearest(quant, QUANT_CHOICES)}"
        )
    if emulate_activation and quant not in (None, "stored"):
        raise ConfigError(
            f"quant {quant!r} with emulate_activation: activations are only rounded for layers "
            "kept as stored; use quant='stored'"
        )


def _choose(quant: str | None, found: Match, device: torch.device, emulate: bool) -> str:
    if quant is not None:
        return quant
    floating = [x for x in found.quantized.values() if x.label in ("fp8", "nvfp4")]
    weights = sum(n * k for n, k in (layer.shape for layer in floating))
    if device.type != "cpu" or not weights or emulate:
        return "stored"
    if weights < _LARGE_WEIGHTS:
        return "bf16" if len(floating) == len(found.quantized) else "stored"
    logger.info("decoding %.1f G weights to INT8 for the CPU", weights / 1e9)
    return "int8"


def _warn_about_memory(found: Match, target: str, device: torch.device, dtype: torch.dtype) -> None:
    if device.type != "cpu":
        return
    linears = linear_modules(found.config.lm)
    need, plain = 0.0, found.config.num_parameters
    for module, (n, k) in linears.items():
        layer = found.layers[module]
        label = layer.label if target == "stored" else target
        bits = FORMATS.get(label, 0.0)
        if label in ("plain", "bf16") or not bits:
            bits = 8.0 * dtype.itemsize
        need += n * k * bits / 8
        plain -= n * k
    need += plain * dtype.itemsize
    free = available_memory_bytes()
    if free and need > free:
        logger.warning(
            "the model needs %.1f GB of memory, %.1f GB are free; int8 or int4 would need less",
            need / 1e9,
            free / 1e9,
        )


def _fill(
    files: CheckpointFiles,
    found: Match,
    device: torch.device,
    dtype: torch.dtype,
    target: str,
    kept: ConvertedLinears | None,
    on_event: OnEvent,
) -> VLM:
    """Build the model and read every tensor into it."""
    vlm = VLM(found.config, device="meta", dtype=dtype).eval().requires_grad_(False)
    linears = linear_modules(found.config.lm)
    done, total = 0, files.total_bytes
    for name in _file_order(files, found):
        module = name.removesuffix(".weight")
        layer = found.layers.get(module)
        if layer is not None and module in linears:
            _put_linear(vlm, files, layer, target, device, dtype, kept)
        else:
            _put_tensor(vlm, files, name, layer, device)
        roles = [name] if layer is None else [layer.name(role) for role in layer.roles]
        done += sum(files.tensors[n].entry.nbytes for n in roles)
        on_event(Event(name="load", done=done, total=total, unit="bytes"))
    left = [n for n, t in (*vlm.named_parameters(), *vlm.named_buffers()) if t.is_meta]
    assert not left, f"never filled: {left[:3]}"
    return vlm


def _file_order(files: CheckpointFiles, found: Match) -> list[str]:
    """Expected names in the order of their data, so that the disk is read forwards."""

    def place(name: str) -> tuple[str, int]:
        layer = found.layers.get(name.removesuffix(".weight"))
        stored = name
        if layer is not None and "weight" not in layer.roles:
            stored = layer.name("weight_packed")
        tensor = files.tensors[stored]
        return tensor.file, tensor.entry.start

    return sorted(expected_tensors(found.config), key=place)


def _put_tensor(
    vlm: VLM, files: CheckpointFiles, name: str, layer: StoredLinear | None, device: torch.device
) -> None:
    """Fill a parameter; one that is stored packed is decoded."""
    module_name, _, leaf = name.rpartition(".")
    module = vlm.get_submodule(module_name)
    empty = getattr(module, leaf)
    if layer is None or layer.kind == "plain":
        tensor = files.read(name)
    else:
        loaded = load_layer(files, layer, empty.dtype)
        if isinstance(loaded, QuantizedLinear):
            loaded = loaded.dequantized_weight(empty.dtype)
        tensor = loaded
        logger.info("%s is stored as %s and was decoded", name, layer.kind)
    _set(module, leaf, tensor.to(device, empty.dtype))


def _set(module: nn.Module, leaf: str, tensor: torch.Tensor) -> None:
    setattr(module, leaf, nn.Parameter(tensor, requires_grad=False))


def _put_linear(
    vlm: VLM,
    files: CheckpointFiles,
    layer: StoredLinear,
    target: str,
    device: torch.device,
    dtype: torch.dtype,
    kept: ConvertedLinears | None,
) -> None:
    """Fill a linear of the decoder, in the form it will be held in."""
    ready = kept.get(layer.module) if kept is not None else None
    if ready is not None:
        replace_module(vlm, layer.module, ready.eval())
        return
    converts = target not in ("stored", "bf16")
    # What is converted is converted from the stored numbers, whatever the model computes in.
    loaded = load_layer(files, layer, torch.float32 if converts else dtype)
    if isinstance(loaded, torch.Tensor):
        plain = vlm.get_submodule(layer.module)
        _set(plain, "weight", loaded.to(device, loaded.dtype if converts else dtype))
        if not converts:
            return
        held: nn.Module = plain
    else:
        held = loaded.to(device)
        if target == "stored":
            replace_module(vlm, layer.module, held.eval())
            return
    del loaded
    converted = transcode(held, target, dtype, what=layer.module).eval()
    if kept is not None and isinstance(converted, QuantizedLinear):
        kept.put(layer.module, converted)
    replace_module(vlm, layer.module, converted)
