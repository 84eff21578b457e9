"""Run by an interpreter with ModelOpt: the weights it reads out of FP8 and NVFP4 layers.

    python modelopt_decode.py CHECKPOINT OUT.safetensors

OUT gets MODULE -> weight for every module that is quantized, fp32.
"""

import sys
from pathlib import Path

import torch
from modelopt.torch.quantization.qtensor import FP8QTensor, NVFP4QTensor
from safetensors.torch import load_file, save_file


def main() -> None:
    """Command line."""
    folder, out = Path(sys.argv[1]), sys.argv[2]
    tensors = load_file(folder / "model.safetensors")
    weights = {}
    for name, scale in tensors.items():
        if not name.endswith(".weight_scale"):
            continue
        module = name.removesuffix(".weight_scale")
        codes = tensors[f"{module}.weight"]
        if codes.dtype is torch.float8_e4m3fn:
            packed = FP8QTensor(codes.shape, torch.float32, codes)
            weight = packed.dequantize(torch.float32, scale=scale)
        else:
            shape = torch.Size((codes.shape[0], 2 * codes.shape[1]))
            packed = NVFP4QTensor(shape, torch.float32, codes)
            weight = packed.dequantize(
                torch.float32,
                scale=scale,
                double_scale=tensors[f"{module}.weight_scale_2"],
                block_sizes={-1: 16},
            )
        weights[module] = weight.contiguous()
    save_file(weights, out)


if __name__ == "__main__":
    main()
