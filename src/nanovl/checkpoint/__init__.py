"""Files to model and back: checkpoints in the released layout, hub downloads, random weights.

Reads and writes safetensors, `config.json` and the files beside them, tensor by tensor, so that a
12B checkpoint never needs much more host memory than the model itself. Runs no forward pass.
Reading order: safetensors_io, keymap, config_json, layouts, quantized, quant_metadata, hf, match
(reading); sources, shards, encode, config_render, quant_config, group_config, side_files,
random_weights, export, conversion, gguf_io, gguf_export (writing); hub, names, quant_cache, build,
info (using).
"""

from nanovl.checkpoint.build import (
    load_model,
    load_processor,
    processor_config,
    resolve,
    save_model,
)
from nanovl.checkpoint.conversion import convert
from nanovl.checkpoint.info import CheckpointInfo, inspect
from nanovl.checkpoint.random_weights import write_random

__all__ = [
    "CheckpointInfo",
    "convert",
    "inspect",
    "load_model",
    "load_processor",
    "processor_config",
    "resolve",
    "save_model",
    "write_random",
]
