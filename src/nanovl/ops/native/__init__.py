"""CPU kernels in C for bf16 training, compiled on first use, each with its PyTorch referee.

PyTorch keeps the matrix products; the passes between them are fused here, because on a CPU they
cost several times what the products do. Without a C compiler, on another device or in another
dtype nothing changes but the speed. Reading order: library (compiling and loading), kernels.c,
pointwise, attention, scan.
"""
