"""The maths: pure tensor functions, each with a plain reference beside its fast path.

Touches only its arguments: no parameters, no configuration objects, no randomness without a passed
generator, and no files but the compiled library of `native`. Reading order: norm, activation, conv,
ssd, ssd_passing, attention, pixel_shuffle, evs, sampling, loss, native (C kernels for training and
decoding on a CPU), linear, then numbers in fewer bits (rowwise, fp8, nvfp4, integer,
straight_through, lowp), and dispatch last.
"""
