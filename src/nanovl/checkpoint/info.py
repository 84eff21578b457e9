"""What is in a checkpoint, from its headers alone.

Answers in seconds for any size, because no tensor is read. Problems that would stop loading are
reported as such, not raised, wherever the rest can still be described.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nanovl.checkpoint.config_json import ConfigFile
from nanovl.checkpoint.hf import CheckpointFiles, open_checkpoint
from nanovl.checkpoint.keymap import PARTS, linear_modules, module_kind, part_of
from nanovl.checkpoint.match import match
from nanovl.checkpoint.names import resolve
from nanovl.checkpoint.quantized import StoredLinear, detect, module_of
from nanovl.core.errors import CheckpointError
from nanovl.model.config import VLMConfig

__all__ = ["CheckpointInfo", "ShardInfo", "inspect"]


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """One weight file.

    Attributes:
        name: File name.
        size_bytes: Size of the file.
        tensors: How many tensors it holds.
    """

    name: str
    size_bytes: int
    tensors: int


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo:
    """A checkpoint, described.

    Attributes:
        folder: Where it is.
        config: The shape, corrected by the tensors where they disagree with config.json.
        parameters: Weights per part ("vision", "projector", "embeddings", "mamba", "attention",
            "mlp", "norm", "head"); packed weights count as what they stand for, scales not at all.
        bytes_by_dtype: Header dtype -> bytes of tensor data.
        formats: Kind of linear ("mamba.in_proj", ...) -> format -> number of layers.
        shards: The weight files.
        tensors: Number of tensors.
        vocab_rows: Rows of the embedding table.
        tokenizer_size: Ids of tokenizer.json; None without one.
        quant_algo: What the quantization config calls the format; "" for none.
        origin: Where the weights come from, if the writer noted it.
        ignored: Tensors nobody needs.
        warnings: Disagreements that loading would tolerate.
        problem: Why loading would fail; None when headers and config fit.
    """

    folder: Path
    config: VLMConfig
    parameters: Mapping[str, int]
    bytes_by_dtype: Mapping[str, int]
    formats: Mapping[str, Mapping[str, int]]
    shards: tuple[ShardInfo, ...]
    tensors: int
    vocab_rows: int
    tokenizer_size: int | None
    quant_algo: str
    origin: str
    ignored: tuple[str, ...]
    warnings: tuple[str, ...]
    problem: str | None = None

    @property
    def num_parameters(self) -> int:
        """Weights of the whole model."""
        return sum(self.parameters.values())

    @property
    def num_bytes(self) -> int:
        """Bytes of tensor data."""
        return sum(self.bytes_by_dtype.values())

    @property
    def pattern(self) -> str:
        """One character per layer of the decoder."""
        return self.config.lm.pattern


def inspect(name_or_path: str | Path) -> CheckpointInfo:
    """Describe a checkpoint without reading its tensors.

    Args:
        name_or_path: As for `load_model`.

    Raises:
        CheckpointError: No such checkpoint, or its files are damaged.
        ConfigError: config.json has a wrong value.
    """
    folder = resolve(name_or_path)
    with open_checkpoint(folder) as files:
        problem = None
        config = files.config_file.config
        notes = list(files.notes)
        try:
            found = match(files)
            config, notes = found.config, list(found.notes)
            layers = dict(found.layers)
        except CheckpointError as error:
            problem = str(error)
            layers = _readable_layers(files)
        size = _tokenizer_size(folder, notes)
        rows = files.tensors.get("language_model.backbone.embeddings.weight")
        vocab_rows = rows.shape[0] if rows and rows.shape else config.lm.vocab_size
        if size is not None and size > vocab_rows:
            notes.append(f"the tokenizer has {size} ids, the embedding table {vocab_rows} rows")
        return CheckpointInfo(
            folder=folder,
            config=config,
            parameters=_parameters(files, layers, config),
            bytes_by_dtype=_bytes(files),
            formats=_formats(layers, config),
            shards=tuple(
                ShardInfo(name=n, size_bytes=h.file_size, tensors=len(h.entries))
                for n, h in files.headers.items()
            ),
            tensors=len(files.tensors),
            vocab_rows=vocab_rows,
            tokenizer_size=size,
            quant_algo=_quant_algo(files.config_file, files),
            origin=files.config_file.extras.origin,
            ignored=tuple(files.ignored),
            warnings=tuple(notes),
            problem=problem,
        )


def _readable_layers(files: CheckpointFiles) -> dict[str, StoredLinear]:
    """Formats of the layers that can be told, in a checkpoint that does not fit."""
    modules: dict[str, dict[str, object]] = defaultdict(dict)
    for name in files.tensors:
        split = module_of(name)
        if split is not None:
            modules[split[0]][split[1]] = files.tensors[name]
    layers = {}
    for module, roles in modules.items():
        try:
            layers[module] = detect(module, roles)  # type: ignore[arg-type]
        except CheckpointError:
            continue
    return layers


def _parameters(
    files: CheckpointFiles, layers: Mapping[str, StoredLinear], config: VLMConfig
) -> dict[str, int]:
    counts = dict.fromkeys(PARTS, 0)
    for name, tensor in files.tensors.items():
        split = module_of(name)
        layer = layers.get(split[0]) if split else None
        values = 1
        if layer is not None and split is not None:
            if split[1] not in ("weight", "weight_packed"):
                continue  # a scale
            values = layer.shape[0] * layer.shape[1]
        else:
            for extent in tensor.shape:
                values *= extent
        counts[part_of(name, config.lm.pattern)] += values
    return counts


def _bytes(files: CheckpointFiles) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for tensor in files.tensors.values():
        counts[tensor.dtype] += tensor.entry.nbytes
    return dict(counts.most_common())


def _formats(layers: Mapping[str, StoredLinear], config: VLMConfig) -> dict[str, dict[str, int]]:
    """Formats of the decoder's linears, and of anything else that is not plain."""
    linears = linear_modules(config.lm)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for module, layer in layers.items():
        if module in linears or layer.kind != "plain":
            counts[module_kind(module, config.lm.pattern)][layer.kind] += 1
    return {kind: dict(found) for kind, found in sorted(counts.items())}


def _tokenizer_size(folder: Path, notes: list[str]) -> int | None:
    path = folder / "tokenizer.json"
    if not path.is_file():
        notes.append("there is no tokenizer.json; the checkpoint cannot be used for text")
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        ids = [int(i) for i in data["model"]["vocab"].values()]
        ids += [int(token["id"]) for token in data.get("added_tokens", [])]
        return max(ids) + 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        notes.append(f"tokenizer.json cannot be understood ({type(error).__name__}: {error})")
        return None


def _quant_algo(config_file: ConfigFile, files: CheckpointFiles) -> str:
    if files.metadata is None:
        return ""
    method, name = files.metadata.method, (config_file.quantization or {}).get("format")
    if files.metadata.algo or not name:
        return files.metadata.algo or method
    return f"{method} {name}"
