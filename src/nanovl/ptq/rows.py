"""Hidden states of many samples in one file, so that calibration needs memory for a block only.

Letters: t tokens of all samples, d width.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nanovl.core.errors import CheckpointError

__all__ = ["RowFile", "spans_of"]


@dataclass(frozen=True)
class RowFile:
    """Rows (t, d) of one number type, mapped into memory.

    Attributes:
        path: The file; made, or taken as it is where its size fits.
        shape: (t, d).
        dtype: Number type.
    """

    path: Path
    shape: tuple[int, int]
    dtype: torch.dtype

    def open(self) -> torch.Tensor:
        """The rows; what is written to them is in the file.

        Raises:
            CheckpointError: The disk is full.
        """
        wanted = self.shape[0] * self.shape[1] * self.dtype.itemsize
        try:
            with self.path.open("ab") as file:
                if file.tell() != wanted:
                    # Real blocks, not a hole: a full disk must be an error, not a crash while
                    # the mapping is written.
                    os.posix_fallocate(file.fileno(), 0, max(wanted, 1))
        except OSError as error:
            raise CheckpointError(
                f"{self.path}: {wanted / 1e9:.2f} GB of hidden states cannot be kept "
                f"({error.strerror or error}); free some space, choose another folder with --work, "
                "or calibrate with fewer or shorter samples"
            ) from error
        count = self.shape[0] * self.shape[1]
        flat = torch.from_file(str(self.path), shared=True, size=count, dtype=self.dtype)
        return flat.view(self.shape)


def spans_of(lengths: Sequence[int]) -> Iterator[slice]:
    """Rows of every sample."""
    start = 0
    for length in lengths:
        yield slice(start, start + length)
        start += length
