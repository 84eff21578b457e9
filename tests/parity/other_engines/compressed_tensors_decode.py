"""Run by an interpreter with compressed-tensors: the weights it reads out of a checkpoint.

    python compressed_tensors_decode.py CHECKPOINT OUT.safetensors

OUT gets MODULE -> weight for every module that is quantized, fp32.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig
from safetensors.torch import load_file, save_file


def main() -> None:
    """Command line."""
    folder, out = Path(sys.argv[1]), sys.argv[2]
    section = json.loads((folder / "config.json").read_text())["quantization_config"]
    config = QuantizationConfig.model_validate(section)
    modules: dict[str, dict[str, torch.Tensor]] = defaultdict(dict)
    for name, tensor in load_file(folder / "model.safetensors").items():
        module, _, role = name.rpartition(".")
        modules[module][role] = tensor
    weights = {}
    for module, tensors in modules.items():
        if "weight_scale" not in tensors:
            continue
        schemes = list(config.config_groups.values())
        scheme = next(s for s in schemes if module in s.targets or s.targets == ["Linear"])
        compressor = BaseCompressor.get_value_from_registry(scheme.format)
        decoded = compressor.decompress(tensors, scheme)
        weights[module] = decoded["weight"].float().contiguous()
    save_file(weights, out)


if __name__ == "__main__":
    main()
