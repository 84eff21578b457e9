"""Do the tensors of a folder fit the model its config.json describes?

Sizes that only the tensors know (vocabulary rows, prefix tokens, encoder depth and width) are taken
from them and the difference is reported; anything else that does not fit is an error that lists
every mismatch with both shapes. Reads headers only.

Source: model specification, section 9.4.
"""

from __future__ import annotations

import logging
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nanovl.checkpoint.config_json import TRUNKS
from nanovl.checkpoint.hf import CheckpointFiles, StoredTensor, open_checkpoint
from nanovl.checkpoint.keymap import BACKBONE, VISION, expected_tensors
from nanovl.checkpoint.quantized import (
    StoredLinear,
    cross_check,
    detect,
    module_of,
    needs_input_scale,
)
from nanovl.core.errors import CheckpointError, ConfigError
from nanovl.model.config import LMConfig, VisionConfig, VLMConfig

__all__ = ["Match", "match", "verify"]

logger = logging.getLogger(__name__)

_SHOWN = 8
_HEAD = "language_model.lm_head.weight"
_EMBEDDINGS = f"{BACKBONE}.embeddings.weight"

# A tensor that only one kind of layer has.
_MIXER_SIGNS = {"A_log": "M", "q_proj": "*", "up_proj": "-"}


@dataclass(frozen=True, kw_only=True)
class Match:
    """The outcome for a folder that fits.

    Attributes:
        config: config.json with sizes corrected by the tensors.
        layers: Module -> format, for every module with a matrix as weight.
        notes: Corrections and disagreements.
    """

    config: VLMConfig
    layers: Mapping[str, StoredLinear]
    notes: Sequence[str]

    @property
    def quantized(self) -> dict[str, StoredLinear]:
        """The layers that are not plain."""
        return {m: layer for m, layer in self.layers.items() if layer.kind != "plain"}


def match(files: CheckpointFiles) -> Match:
    """Compare a folder with its configuration.

    Raises:
        CheckpointError: Tensors are missing, unexpected or of the wrong shape, a layer is stored in
            an unknown way, or a quantized layer lacks its activation scale.
    """
    layers, shapes = _layers(files.tensors)
    notes = list(files.notes)
    config = _reconcile(files.config_file.config, shapes, str(files.folder), notes)
    _compare(config, shapes, files)
    absent = needs_input_scale(layers, files.metadata)
    if absent:
        raise CheckpointError(
            f"{files.folder}: {len(absent)} quantized layers lack their activation scale (first: "
            f"'{absent[0]}'); engines that multiply in low precision would give wrong answers, "
            "export the checkpoint again"
        )
    notes += cross_check(layers, files.metadata)
    for note in notes:
        logger.warning("%s: %s", files.folder, note)
    return Match(config=config, layers=layers, notes=tuple(notes))


def verify(folder: Path, *, strict: bool = True) -> None:
    """Open a folder that was just written and check names, shapes, formats and both configs.

    Args:
        folder: What was written.
        strict: Whether disagreements that loading tolerates are errors, as they should be for a
            folder of our own making.

    Raises:
        CheckpointError: The folder could not be loaded, or contradicts itself.
    """
    with open_checkpoint(folder) as files:
        notes = cross_check(match(files).layers, files.metadata)
    if notes and strict:
        raise CheckpointError(
            f"{folder}: the written checkpoint contradicts itself ({'; '.join(notes[:3])}); "
            "it was discarded, please report this"
        )


def _layers(
    tensors: Mapping[str, StoredTensor],
) -> tuple[dict[str, StoredLinear], dict[str, tuple[int, ...]]]:
    """Formats of all matrices, and the shape every tensor has once unpacked."""
    modules: dict[str, dict[str, StoredTensor]] = defaultdict(dict)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, tensor in tensors.items():
        split = module_of(name)
        if split is None:
            shapes[name] = tensor.shape
        else:
            modules[split[0]][split[1]] = tensor
    layers = {}
    for module, roles in modules.items():
        only = roles.get("weight") if len(roles) == 1 else None
        if only is not None and len(only.shape) != 2:
            shapes[f"{module}.weight"] = only.shape  # a norm or a convolution
            continue
        layer = layers[module] = detect(module, roles)
        shapes[f"{module}.weight"] = layer.shape
    return layers, shapes


def _reconcile(
    config: VLMConfig, shapes: Mapping[str, tuple[int, ...]], where: str, notes: list[str]
) -> VLMConfig:
    lm = _reconcile_lm(config.lm, shapes, where, notes)
    vision = _reconcile_vision(config.vision, shapes, where, notes)
    projector = config.projector
    wide = shapes.get("mlp1.1.weight")
    if wide and len(wide) == 2 and wide[0] != projector.hidden_size:
        notes.append(f"projector_hidden_size is {projector.hidden_size}, its tensor has {wide[0]}")
        projector = replace(projector, hidden_size=wide[0])
    return replace(config, lm=lm, vision=vision, projector=projector)


def _reconcile_lm(
    lm: LMConfig, shapes: Mapping[str, tuple[int, ...]], where: str, notes: list[str]
) -> LMConfig:
    table = shapes.get(_EMBEDDINGS, ())
    if len(table) == 2:
        if table[1] != lm.hidden_size:
            raise CheckpointError(
                f"{where}: config.json says hidden_size {lm.hidden_size} but '{_EMBEDDINGS}' has "
                f"{table[1]} columns; config and weights are of different models, pass a folder "
                "with matching files"
            )
        if table[0] != lm.vocab_size:
            notes.append(f"vocab_size is {lm.vocab_size}, the embedding table has {table[0]} rows")
            lm = replace(lm, vocab_size=table[0])
    if lm.tie_embeddings and _HEAD in shapes:
        notes.append("tie_word_embeddings is true but there is a head of its own, which is used")
        lm = replace(lm, tie_embeddings=False)
    found: dict[int, str] = {}
    for name in shapes:
        hit = re.match(rf"{re.escape(BACKBONE)}\.layers\.(\d+)\.mixer\.(\w+)", name)
        if hit and hit[2] in _MIXER_SIGNS:
            found[int(hit[1])] = _MIXER_SIGNS[hit[2]]
    for index, kind in sorted(found.items()):
        stated = lm.pattern[index] if index < len(lm.pattern) else "no layer"
        if stated != kind:
            raise CheckpointError(
                f"{where}: layer {index} is {stated!r} in hybrid_override_pattern but its tensors "
                f"are those of {kind!r}; config and weights are of different models, pass a folder "
                "with matching files"
            )
    return lm


def _reconcile_vision(
    vision: VisionConfig, shapes: Mapping[str, tuple[int, ...]], where: str, notes: list[str]
) -> VisionConfig:
    changes: dict[str, int] = {}
    embedder = shapes.get(f"{VISION}.patch_generator.embedder.weight", ())
    prefix = shapes.get(f"{VISION}.patch_generator.cls_token.token", ())
    table = shapes.get(f"{VISION}.patch_generator.pos_embed", ())
    wide = shapes.get(f"{VISION}.blocks.0.mlp.fc1.weight", ())
    blocks = {
        int(hit[1])
        for name in shapes
        if (hit := re.match(rf"{re.escape(VISION)}\.blocks\.(\d+)\.", name))
    }
    if len(embedder) == 2:
        changes["hidden_size"] = embedder[0]
        changes["patch_size"] = math.isqrt(embedder[1] // 3)
    if len(prefix) == 2:
        changes["num_prefix_tokens"] = prefix[0]
    if len(wide) == 2:
        changes["intermediate_size"] = wide[0]
    if blocks:
        changes["num_layers"] = max(blocks) + 1
    if len(table) == 3:
        side = math.isqrt(table[1])
        if side * side == table[1]:
            changes["max_resolution"] = side * changes.get("patch_size", vision.patch_size)
    different = {k: v for k, v in changes.items() if v != getattr(vision, k)}
    for key, value in different.items():
        notes.append(f"vision {key} is {getattr(vision, key)}, the tensors have {value}")
    if "hidden_size" in different:
        width = different["hidden_size"]
        if width not in TRUNKS:
            raise CheckpointError(
                f"{where}: the vision encoder is {width} wide, config.json says "
                f"{vision.hidden_size}; the number of heads is unknown for this width, put it into "
                "the section nanovl.vision of config.json"
            )
        different["num_heads"] = TRUNKS[width][1]
    try:
        return replace(vision, **different)
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}") from error


def _compare(
    config: VLMConfig, shapes: Mapping[str, tuple[int, ...]], files: CheckpointFiles
) -> None:
    expected = expected_tensors(config)
    wrong = [
        f"'{name}' got {list(shapes[name])}, expected {list(shape)}"
        for name, shape in expected.items()
        if name in shapes and shapes[name] != shape
    ]
    missing = [f"'{n}' {list(shape)}" for n, shape in expected.items() if n not in shapes]
    extra = [f"'{n}' {list(shape)}" for n, shape in shapes.items() if n not in expected]
    problems = [
        f"{len(items)} {what}: {_listing(items)}"
        for what, items in (
            ("tensors of the wrong shape", wrong),
            ("tensors missing", missing),
            ("unexpected tensors", extra),
        )
        if items
    ]
    if problems:
        for item in (*wrong, *missing, *extra):
            logger.info("%s: does not fit: %s", files.folder, item)
        raise CheckpointError(
            f"{files.folder}: the tensors do not fit config.json; {'; '.join(problems)}; "
            "config and weights are of different models or the export is incomplete"
        )


def _listing(items: Sequence[str]) -> str:
    shown = ", ".join(items[:_SHOWN])
    return shown if len(items) <= _SHOWN else f"{shown} and {len(items) - _SHOWN} more"
