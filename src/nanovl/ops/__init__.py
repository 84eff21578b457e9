"""The maths: pure tensor functions, each with a plain reference beside its fast path.

Touches only its arguments: no parameters, no configuration objects, no files, and no randomness
without a passed generator. Reading order: norm, activation, conv, ssd, attention, pixel_shuffle,
evs, sampling, then numbers in fewer bits (rowwise, fp8, nvfp4, integer, straight_through, lowp),
and dispatch last.
"""
