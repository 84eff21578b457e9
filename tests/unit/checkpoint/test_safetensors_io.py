"""The safetensors reader and writer, against the reference library and against damaged files."""

from __future__ import annotations

import errno
import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nanovl.checkpoint.safetensors_io import (
    DTYPES,
    SafetensorsFile,
    SafetensorsWriter,
    TensorSpec,
    dtype_name,
    read_header,
)
from nanovl.core.errors import CheckpointError


def samples() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(6, 5, generator=generator)
    return {
        "bf16": base.bfloat16(),
        "f16": base.half(),
        "f32": base,
        "f64": base.double(),
        "f8": base.to(torch.float8_e4m3fn),
        "f8e5": base.to(torch.float8_e5m2),
        "u8": torch.arange(7, dtype=torch.uint8),
        "i8": torch.arange(-3, 4, dtype=torch.int8),
        "i16": torch.arange(3, dtype=torch.int16),
        "i32": torch.arange(4, dtype=torch.int32).view(2, 2),
        "i64": torch.tensor([2, 5]),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(0.25),
        "empty": torch.empty(0, 3),
        "conv": torch.randn(4, 1, 3, generator=generator),
    }


def specs_of(tensors: dict[str, torch.Tensor]) -> list[TensorSpec]:
    return [TensorSpec(n, dtype_name(t.dtype), tuple(t.shape)) for n, t in tensors.items()]


def write(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    with SafetensorsWriter(path, specs_of(tensors)) as writer:
        for name, tensor in tensors.items():
            writer.write(name, tensor)


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return torch.equal(a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8))


def test_library_reads_what_we_write(tmp_path: Path) -> None:
    tensors = samples()
    write(tmp_path / "a.safetensors", tensors)
    loaded = load_file(tmp_path / "a.safetensors")
    assert set(loaded) == set(tensors)
    assert all(same(loaded[name], tensor) for name, tensor in tensors.items())
    assert read_header(tmp_path / "a.safetensors").metadata == {"format": "pt"}


def test_we_read_what_the_library_writes(tmp_path: Path) -> None:
    tensors = samples()
    save_file(tensors, tmp_path / "a.safetensors", metadata={"format": "pt", "x": "y"})
    with SafetensorsFile(tmp_path / "a.safetensors") as file:
        assert set(file.header.entries) == set(tensors)
        assert file.header.metadata["x"] == "y"
        for name, tensor in tensors.items():
            assert same(file.read(name), tensor)


def test_rows_are_read_and_written_in_pieces(tmp_path: Path) -> None:
    tensor = torch.arange(35, dtype=torch.float32).view(7, 5)
    path = tmp_path / "a.safetensors"
    with SafetensorsWriter(path, [TensorSpec("w", "F32", (7, 5))]) as writer:
        writer.write("w", tensor[4:], 4)
        writer.write("w", tensor[:4], 0)
    with SafetensorsFile(path) as file:
        assert torch.equal(file.read("w"), tensor)
        assert torch.equal(file.read("w", (2, 5)), tensor[2:5])
        assert file.read("w", (3, 3)).shape == (0, 5)


def test_a_read_tensor_owns_memory_of_exactly_its_size(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", samples())
    with SafetensorsFile(tmp_path / "a.safetensors") as file:
        tensor = file.read("f32")
    assert tensor.untyped_storage().nbytes() == tensor.nbytes
    tensor.add_(1)  # writable


def test_non_contiguous_tensors_are_written_in_order(tmp_path: Path) -> None:
    tensor = torch.arange(6.0).view(2, 3).t()
    write(tmp_path / "a.safetensors", {"w": tensor})
    assert torch.equal(load_file(tmp_path / "a.safetensors")["w"], tensor)


def test_unknown_name(tmp_path: Path) -> None:
    write(tmp_path / "a.safetensors", samples())
    with (
        SafetensorsFile(tmp_path / "a.safetensors") as file,
        pytest.raises(CheckpointError, match="no tensor 'nothing'"),
    ):
        file.read("nothing")


def test_dtype_that_cannot_be_stored() -> None:
    with pytest.raises(CheckpointError, match="complex64"):
        dtype_name(torch.complex64)


@pytest.mark.parametrize("cut", [1, 100, 10_000])
def test_truncated_file_is_found_from_its_header(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.safetensors"
    write(path, {"w": torch.zeros(100, 100)})
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    with pytest.raises(
        CheckpointError, match=rf"truncated: got {len(data) - cut} bytes.*{len(data)}"
    ):
        read_header(path)


def test_longer_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write(path, samples())
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(CheckpointError, match="bytes after its last tensor"):
        read_header(path)


def header_file(path: Path, fields: object, data: bytes = b"", raw: bytes | None = None) -> Path:
    head = json.dumps(fields).encode() if raw is None else raw
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)
    return path


def entry(dtype: object, shape: object, offsets: object) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("fields", "size", "message"),
    [
        ([1, 2], 0, "JSON list"),
        ({"w": 3}, 0, "not an object"),
        ({"w": entry("F32", "x", [0, 4])}, 4, "expected a list of sizes"),
        ({"w": entry("F32", [-1], [0, 4])}, 4, "expected a list of sizes"),
        ({"w": entry("F32", [True], [0, 4])}, 4, "expected a list of sizes"),
        ({"w": entry("F32", [1], [0])}, 4, "expected two offsets"),
        ({"w": entry("F32", [1], [0, 8])}, 8, "needs 4 bytes, its range holds 8"),
        ({"w": entry("F33", [1], [0, 4])}, 4, "dtype 'F33'"),
        ({"w": entry(None, [1], [0, 4])}, 4, "dtype None"),
        ({"w": entry("F32", [1], [4, 8])}, 8, "leaves a gap"),
        ({"w": entry("F32", [1], [0, 4]), "v": entry("F32", [1], [0, 4])}, 4, "overlaps"),
        ({"w": entry("F32", [1], [0, 4]), "__metadata__": 3}, 4, "__metadata__"),
        ({"w": entry("F32", [2**62], [0, 2**64])}, 4, "truncated"),
    ],
)
def test_damaged_headers(tmp_path: Path, fields: object, size: int, message: str) -> None:
    path = header_file(tmp_path / "a.safetensors", fields, bytes(size))
    with pytest.raises(CheckpointError, match=message):
        read_header(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"1234", struct.pack("<Q", 2**63), struct.pack("<Q", 50) + b"{}", b"\xff" * 200],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.safetensors"):
        read_header(path)


@pytest.mark.parametrize("raw", [b"{not json", b"\xff\xfe", b'{"a": 1, "a": 2}', b"[" * 20_000])
def test_headers_that_are_not_json(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(CheckpointError, match="not valid JSON"):
        read_header(header_file(tmp_path / "a.safetensors", None, raw=raw))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_header(tmp_path / "a.safetensors")


def test_file_that_shrinks_after_opening(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write(path, {"w": torch.zeros(1000)})
    with SafetensorsFile(path) as file:
        path.write_bytes(path.read_bytes()[:500])
        with pytest.raises(CheckpointError, match="ends inside tensor 'w'"):
            file.read("w")


def test_failure_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(RuntimeError), SafetensorsWriter(path, [TensorSpec("w", "F32", (2,))]):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_old_file_survives_a_failed_replacement(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write(path, {"w": torch.ones(2)})
    with pytest.raises(RuntimeError), SafetensorsWriter(path, [TensorSpec("w", "F32", (2,))]):
        raise RuntimeError
    assert torch.equal(load_file(path)["w"], torch.ones(2))


def test_forgotten_tensor_is_a_mistake_of_ours(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="never written"),
        SafetensorsWriter(tmp_path / "a.safetensors", [TensorSpec("w", "F32", (2,))]),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: SafetensorsWriter, offset: int, view: memoryview) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = SafetensorsWriter(tmp_path / "a.safetensors", [TensorSpec("w", "F32", (2,))])

    def run() -> None:
        with writer:
            monkeypatch.setattr(SafetensorsWriter, "_put", fail)
            writer.write("w", torch.zeros(2))

    with pytest.raises(CheckpointError, match="disk is full"):
        run()
    assert list(tmp_path.iterdir()) == []


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    writer = SafetensorsWriter(tmp_path / "no" / "a.safetensors", [])
    with pytest.raises(CheckpointError, match="cannot be written"), writer:
        pass


def test_every_dtype_has_a_name() -> None:
    assert all(dtype_name(dtype) == name for name, dtype in DTYPES.items())
