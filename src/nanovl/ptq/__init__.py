"""From a checkpoint to a smaller one: calibration, rounding layer by layer, search, report.

Reads and writes checkpoints and draws samples from training data; the numerics are `nanovl.quant`.

Reading order: results, plan (options), samples, rows (hidden states on disk), blocks (parts of a
checkpoint), figures, stream (block by block), sensitivity, search, quantize (the whole way);
findings, plots, report_charts, report_page, report.
"""
