"""Reads the numbers a SciCode step is tested against, inside the sandbox.

Copied beside the program; needs h5py and SciPy, nothing of nanovl. Each test is a group of the
file; what it holds is a number, an array, a text, a list, a mapping or a sparse matrix.

Source: evaluation specification, section 6.14; the layout is that of the benchmark's data file.
"""

from __future__ import annotations

from typing import Any

__all__ = ["read"]


def _value(item: Any) -> Any:
    """A dataset or group as the object it stands for."""
    import h5py

    if isinstance(item, h5py.Dataset):
        content = item[()]
        return content.decode("utf-8") if isinstance(content, bytes) else content
    names = list(item.keys())
    if "list" in names:
        return [item["list"][name][()] for name in item["list"]]
    if "sparse_matrix" in names:
        return _sparse(item["sparse_matrix"])
    return {_key(name): _entry(item[name]) for name in names}


def _entry(item: Any) -> Any:
    import h5py

    return _sparse(item["sparse_matrix"]) if isinstance(item, h5py.Group) else _value(item)


def _key(name: str) -> str | float:
    try:
        return float(name)
    except ValueError:
        return name


def _sparse(group: Any) -> Any:
    import scipy.sparse

    data, shape = group["data"][()], tuple(group["shape"][()])
    if "row" in group and "col" in group:
        return scipy.sparse.coo_matrix((data, (group["row"][()], group["col"][()])), shape=shape)
    indices, pointers = group["indices"][()], group["indptr"][()]
    if "blocksize" in group:
        return scipy.sparse.bsr_matrix((data, indices, pointers), shape=shape)
    return scipy.sparse.csr_matrix((data, indices, pointers), shape=shape)


def read(path: str, step: str, count: int) -> list[Any]:
    """The targets of a step's tests, in order; a test with several variables gives a tuple."""
    import h5py

    targets = []
    with h5py.File(path, "r") as file:
        for number in range(1, count + 1):
            group = file[f"{step}/test{number}"]
            found = [_value(group[name]) for name in group]
            targets.append(found[0] if len(found) == 1 else tuple(found))
    return targets
