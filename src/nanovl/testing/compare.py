"""Comparing tensors so that a failure says how far off, and where."""

from __future__ import annotations

import torch

__all__ = ["assert_close", "assert_same_tensors", "max_error"]


def max_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest absolute difference, in double precision; 0 for empty tensors."""
    if got.numel() == 0:
        return 0.0
    return float((got.detach().double() - expected.detach().double()).abs().max())


def assert_close(
    got: torch.Tensor,
    expected: torch.Tensor,
    *,
    atol: float,
    rtol: float = 0.0,
    what: str = "tensor",
) -> float:
    """Assert |got - expected| <= atol + rtol * |expected| everywhere.

    Values are compared in double precision, so a bf16 result may be checked against a float64
    referee. Non-finite values must be equal.

    Args:
        got, expected: Tensors of one shape; dtypes and devices may differ.
        atol, rtol: Bounds.
        what: Name for the message.

    Returns:
        The largest absolute difference, to be stated beside the tolerance.

    Raises:
        AssertionError: With the largest and mean error, where the largest is, both values there,
            and how many values are out of bounds.
    """
    if got.shape != expected.shape:
        raise AssertionError(f"{what}: shape {tuple(got.shape)}, expected {tuple(expected.shape)}")
    if got.numel() == 0:
        return 0.0
    a, b = got.detach().double().cpu(), expected.detach().double().cpu()
    error = torch.where(a == b, torch.zeros_like(a), (a - b).abs())  # equal infinities are equal
    error = torch.where(a.isnan() & b.isnan(), torch.zeros_like(error), error)
    error = torch.where(error.isnan(), torch.full_like(error, torch.inf), error)
    bad = error > atol + rtol * torch.where(b.isfinite(), b.abs(), torch.zeros_like(b))
    worst = float(error.max())
    if not bool(bad.any()):
        return worst
    flat = int(torch.where(bad, error, torch.full_like(error, -1.0)).argmax())
    where = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), error.shape))
    raise AssertionError(
        f"{what}: max error {worst:.3g}, mean {float(error.mean()):.3g} "
        f"(allowed: atol {atol:g}, rtol {rtol:g}); {int(bad.sum())} of {bad.numel()} values are "
        f"out of bounds, the worst at {where}: got {float(a.flatten()[flat]):.6g}, "
        f"expected {float(b.flatten()[flat]):.6g}"
    )


def assert_same_tensors(
    got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], *, what: str = "state"
) -> None:
    """Assert equal names, dtypes, shapes and bits.

    Raises:
        AssertionError: Naming the first few differences.
    """
    problems = [f"{name}: missing" for name in sorted(set(expected) - set(got))]
    problems += [f"{name}: unexpected" for name in sorted(set(got) - set(expected))]
    for name in sorted(set(got) & set(expected)):
        a, b = got[name].detach().cpu().contiguous(), expected[name].detach().cpu().contiguous()
        if a.dtype != b.dtype or a.shape != b.shape:
            problems.append(
                f"{name}: {a.dtype} {tuple(a.shape)}, expected {b.dtype} {tuple(b.shape)}"
            )
        elif not torch.equal(a.flatten().view(torch.uint8), b.flatten().view(torch.uint8)):
            problems.append(f"{name}: values differ by up to {max_error(a, b):.3g}")
    if problems:
        raise AssertionError(f"{what}: {len(problems)} differences: " + "; ".join(problems[:5]))
