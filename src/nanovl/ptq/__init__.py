"""From a checkpoint to a smaller one: calibration, rounding layer by layer, search, report.

Reads and writes checkpoints and draws samples from training data; the numerics are `nanovl.quant`.
"""
