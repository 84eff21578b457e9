"""A checkpoint folder: its configuration, its shards, and an index of every tensor by name.

Opening a folder reads headers only, of every shard, and refuses folders that are incomplete or
damaged. Tensors are then read one at a time. Whether they fit the model is the business of
`match.py`.

Source: model specification, sections 9.1 and 9.4.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import torch

from nanovl.checkpoint.config_json import ConfigFile, read_config, read_json
from nanovl.checkpoint.keymap import canonical_name, ignored_reason
from nanovl.checkpoint.quant_metadata import QuantMetadata, parse_metadata
from nanovl.checkpoint.safetensors_io import Header, SafetensorsFile, TensorEntry, read_header
from nanovl.core.errors import CheckpointError

__all__ = [
    "INDEX_NAME",
    "SINGLE_NAME",
    "CheckpointFiles",
    "StoredTensor",
    "all_finite",
    "open_checkpoint",
]

logger = logging.getLogger(__name__)

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """Where a tensor is.

    Attributes:
        stored_name: Its name in the file.
        file: The file's name inside the folder.
        entry: Dtype, shape, byte range.
    """

    stored_name: str
    file: str
    entry: TensorEntry

    @property
    def dtype(self) -> str:
        """Header dtype."""
        return self.entry.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape."""
        return self.entry.shape


@dataclass(kw_only=True)
class CheckpointFiles:
    """An opened folder. Use as a context manager.

    Attributes:
        folder: The folder.
        config_file: Parsed config.json.
        tensors: Canonical name -> place, ignorable tensors left out.
        ignored: Stored name -> why it may be left out.
        headers: File name -> header, in order.
        metadata: What the configuration files say about quantization.
        notes: Oddities worth reporting.
    """

    folder: Path
    config_file: ConfigFile
    tensors: dict[str, StoredTensor]
    ignored: dict[str, str]
    headers: dict[str, Header]
    metadata: QuantMetadata | None
    notes: list[str]
    _open: dict[str, SafetensorsFile] = field(default_factory=dict, repr=False)

    def __enter__(self) -> CheckpointFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._open.values():
            file.close()
        self._open.clear()

    @property
    def total_bytes(self) -> int:
        """Bytes of all tensors that are used."""
        return sum(t.entry.nbytes for t in self.tensors.values())

    def read(self, name: str, rows: tuple[int, int] | None = None) -> torch.Tensor:
        """Read a tensor, or a range of its rows, and check that it is finite.

        Args:
            name: Canonical name.
            rows: First and one-past-last row; None for all.

        Returns:
            A CPU tensor of the stored dtype.

        Raises:
            CheckpointError: Not there, unreadable, or it contains NaN or infinity.
        """
        stored = self.tensors[name]
        if stored.file not in self._open:
            self._open[stored.file] = SafetensorsFile(self.folder / stored.file)
        tensor = self._open[stored.file].read(stored.stored_name, rows)
        if not all_finite(tensor):
            raise CheckpointError(
                f"{self.folder / stored.file}: tensor '{stored.stored_name}' contains NaN or "
                "infinite values; the checkpoint is damaged or training diverged, use another one"
            )
        return tensor


def all_finite(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity; True for packed and integer formats.

    Works in pieces, so that a large tensor needs no copy of itself.
    """
    if tensor.dtype not in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        return True
    flat = tensor.reshape(-1)
    step = 1 << 22
    for start in range(0, flat.numel(), step):
        piece = flat[start : start + step]
        # A sum is one pass without temporaries; only a sum that overflows needs a second look.
        total = piece.sum(dtype=torch.float32 if piece.element_size() < 8 else torch.float64)
        if not bool(torch.isfinite(total)) and not bool(torch.isfinite(piece).all()):
            return False
    return True


def open_checkpoint(folder: Path) -> CheckpointFiles:
    """Open a checkpoint folder and index its tensors from headers alone.

    Args:
        folder: Has config.json and either model.safetensors or an index with its shards.

    Raises:
        CheckpointError: Files are missing, truncated, damaged or contradict each other.
        ConfigError: config.json has a wrong value.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; pass a checkpoint folder")
    config_file = read_config(folder)
    notes = list(config_file.notes)
    weight_map = _weight_map(folder, notes)
    if weight_map is None:
        names = [SINGLE_NAME]
    else:
        names = sorted(set(weight_map.values()))
        lost = [name for name in names if not (folder / name).is_file()]
        if lost:
            raise CheckpointError(
                f"{folder}: {len(lost)} of {len(names)} shards are missing ({_some(lost)}); "
                "the download is incomplete, fetch them again"
            )
    headers = {name: read_header(folder / name) for name in names}
    if weight_map is not None:
        _check_index(folder, weight_map, headers, notes)
    tensors, ignored = _index(folder, headers)
    hf_quant = folder / "hf_quant_config.json"
    metadata = parse_metadata(
        read_json(hf_quant) if hf_quant.is_file() else None, config_file.quantization
    )
    return CheckpointFiles(
        folder=folder,
        config_file=config_file,
        tensors=tensors,
        ignored=ignored,
        headers=headers,
        metadata=metadata,
        notes=notes,
    )


def _some(names: list[str], limit: int = 4) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _weight_map(folder: Path, notes: list[str]) -> dict[str, str] | None:
    """Tensor -> shard from the index; None for a single file."""
    index, single = folder / INDEX_NAME, folder / SINGLE_NAME
    if single.is_file():
        if not index.is_file():
            return None
        notes.append(f"both {SINGLE_NAME} and {INDEX_NAME} are there; the single file is used")
        return None
    if not index.is_file():
        shards = sorted(p.name for p in folder.glob("*.safetensors"))
        partial = sorted(p.name for p in folder.glob("*.partial"))
        hint = "expected model.safetensors or model.safetensors.index.json with its shards"
        if shards:
            hint = f"found {_some(shards)} but no {INDEX_NAME}; fetch it too"
        elif partial:
            hint = f"found {_some(partial)}: writing was interrupted, write the checkpoint again"
        raise CheckpointError(f"{folder}: no weights; {hint}")
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, Mapping) or not weight_map:
        raise CheckpointError(f"{index}: expected an object 'weight_map' with tensor names")
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise CheckpointError(f"{index}: tensor '{name}' is in {shard!r}, expected a file name")
    return dict(weight_map)


def _check_index(
    folder: Path, weight_map: Mapping[str, str], headers: Mapping[str, Header], notes: list[str]
) -> None:
    absent = [n for n, shard in weight_map.items() if n not in headers[shard].entries]
    if absent:
        first = absent[0]
        raise CheckpointError(
            f"{folder / INDEX_NAME}: {len(absent)} tensors are not in the shard the index names "
            f"(first: '{first}' in {weight_map[first]}); index and shards are of different "
            "checkpoints, fetch both again"
        )
    extra = [n for header in headers.values() for n in header.entries if n not in weight_map]
    if extra:
        notes.append(f"{len(extra)} tensors are in shards but not in the index ({_some(extra)})")


def _index(
    folder: Path, headers: Mapping[str, Header]
) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    tensors: dict[str, StoredTensor] = {}
    ignored: dict[str, str] = {}
    for file, header in headers.items():
        for stored_name, entry in header.entries.items():
            name = canonical_name(stored_name)
            reason = ignored_reason(name)
            if reason is not None:
                ignored[stored_name] = reason
                _check_layer_scale(folder / file, stored_name)
                continue
            if name in tensors:
                other = tensors[name]
                raise CheckpointError(
                    f"{folder}: tensor '{name}' is there twice, as '{stored_name}' in {file} and "
                    f"as '{other.stored_name}' in {other.file}; remove one of the files"
                )
            tensors[name] = StoredTensor(stored_name=stored_name, file=file, entry=entry)
    if ignored:
        logger.info("%s: %d tensors are not used: %s", folder, len(ignored), _some(list(ignored)))
    return tensors, ignored


def _check_layer_scale(path: Path, name: str) -> None:
    """A layer scale may be skipped only where it is the identity."""
    if ".ls1." not in name and ".ls2." not in name:
        return
    with SafetensorsFile(path) as file:
        if not bool((file.read(name).float() == 1).all()):
            raise CheckpointError(
                f"{path}: tensor '{name}' is a layer scale other than 1, which nanovl does not "
                "implement; this is not a c-RADIOv2 encoder of Nemotron Nano V2 VL"
            )
