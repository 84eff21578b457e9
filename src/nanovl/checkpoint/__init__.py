"""Files to model and back: checkpoints in the released layout, hub downloads, random weights.

Reads and writes safetensors, `config.json` and the files beside them, tensor by tensor, so that a
12B checkpoint never needs much more host memory than the model itself. Runs no forward pass.
Reading order: safetensors_io, shards, hf, keymap, config_json, quantized, quant_config, encode,
side_files, build, export, convert, random_weights, info, hub.
"""
