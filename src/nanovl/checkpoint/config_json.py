"""`config.json` of the released layout -> `VLMConfig`.

The file is the one the released remote code reads. What it has no field for (sizes of the vision
encoder, tile budget) goes into a section of our own, `nanovl`, in which unknown keys are errors.
Fields of the released layout that change nothing here are tolerated; a value this implementation
cannot honour is refused. Opens no tensor file: where tensors and this file disagree, `match.py`
decides. `config_render.py` is the way back.

Source: model specification, sections 1 and 9.3.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import CheckpointError, ConfigError
from nanovl.model.config import (
    CLIP_MEAN,
    CLIP_STD,
    LMConfig,
    ProjectorConfig,
    VisionConfig,
    VLMConfig,
)

__all__ = [
    "ARCHITECTURE",
    "TRUNKS",
    "ConfigFile",
    "NanovlSection",
    "VisionSection",
    "parse_config",
    "read_config",
    "read_json",
]

ARCHITECTURE = "NemotronH_Nano_VL_V2"

T = TypeVar("T")

# Trunk widths of the RADIO family: (layers, heads, MLP width).
TRUNKS = {384: (12, 6, 1536), 768: (12, 12, 3072), 1024: (24, 16, 4096), 1280: (32, 16, 5120)}

# A word this close to a known key that is absent is taken for a typing error.
_TYPO_RATIO = 0.85


@dataclass(frozen=True, kw_only=True)
class VisionSection:
    """Sizes of the encoder the released config has no field for; see `VisionConfig`."""

    num_layers: int
    num_heads: int
    intermediate_size: int
    num_prefix_tokens: int
    norm_eps: float = 1e-6


@dataclass(frozen=True, kw_only=True)
class NanovlSection:
    """The section `nanovl` of a config.json written by nanovl.

    Attributes:
        version: nanovl version that wrote the file.
        origin: Where the weights come from: "trained", "random seed 0", ...
        vision: Encoder sizes.
        projector_norm_eps: RMSNorm epsilon of the projector.
        max_num_tiles: Tiles of one picture.
    """

    version: str = ""
    origin: str = ""
    vision: VisionSection | None = None
    projector_norm_eps: float = 1e-5
    max_num_tiles: int = 12


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """A parsed config.json.

    Attributes:
        config: The shape it describes.
        extras: Our own section, defaults when the file has none.
        quantization: `quantization_config` as found, None when absent.
        raw: The whole file.
        notes: What was found odd but tolerated.
    """

    config: VLMConfig
    extras: NanovlSection = field(default_factory=NanovlSection)
    quantization: Mapping[str, Any] | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: The file is missing, not JSON, or not an object.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; is this a checkpoint folder?") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: got a JSON {type(data).__name__}, expected an object")
    return data


def read_config(folder: Path) -> ConfigFile:
    """Read `config.json` of a checkpoint folder, and the tile budget of its image processor.

    Raises:
        CheckpointError: No such file, not JSON, another model, or a missing section.
        ConfigError: A value is missing, of the wrong type or not supported.
    """
    data = read_json(folder / "config.json")
    preprocessor = folder / "preprocessor_config.json"
    max_tiles = None
    if preprocessor.is_file():
        max_tiles = read_json(preprocessor).get("max_num_tiles")
    return parse_config(data, where=str(folder / "config.json"), max_num_tiles=max_tiles)


class _Section:
    """Typed access to one mapping of the file, remembering which keys were asked for."""

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, Mapping):
            raise ConfigError(f"{where}: got {type(data).__name__}, expected a JSON object")
        self.data: Mapping[str, Any] = data
        self.where = where
        self.asked: set[str] = set()

    def find(self, *names: str) -> tuple[str, Any]:
        """First name that is present and not null, with its value; ("", None) when none is."""
        self.asked.update(names)
        for name in names:
            if self.data.get(name) is not None:
                return name, self.data[name]
        return "", None

    def get(self, kind: type[T], *names: str, default: T | None = None) -> T:
        """Value of the first of several spellings; required when there is no default."""
        name, value = self.find(*names)
        if not name:
            if default is not None:
                return default
            raise ConfigError(
                f"{self.where}: {names[0]!r} is missing{nearest(names[0], self.data)}"
            )
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ConfigError(
                f"{self.where}: {name} is {value!r} ({type(value).__name__}), "
                f"expected {kind.__name__}"
            )
        return value

    def size(self, *names: str, default: int | None = None) -> int:
        """A whole number of at least one."""
        value = self.get(int, *names, default=default)
        if value < 1:
            raise ConfigError(f"{self.where}: {names[0]} is {value}, expected at least 1")
        return value

    def fixed(self, name: str, expected: object) -> None:
        """Refuse a value this implementation does not have."""
        _, value = self.find(name)
        if value is not None and value != expected:
            raise ConfigError(
                f"{self.where}: {name} is {value!r}; nanovl implements {expected!r} only"
            )

    def typos(self) -> list[str]:
        """Messages for keys that look like a known key which is absent."""
        absent = self.asked - set(self.data)
        found = []
        for key in sorted(set(self.data) - self.asked - _WITHOUT_EFFECT):
            candidates = [name for name in sorted(absent) if abs(len(name) - len(key)) <= 1]
            close = difflib.get_close_matches(key, candidates, n=1, cutoff=_TYPO_RATIO)
            if close:
                found.append(f"{self.where}: unknown key {key!r}; did you mean {close[0]!r}?")
        return found


def parse_config(
    data: Mapping[str, Any], *, where: str = "config.json", max_num_tiles: object = None
) -> ConfigFile:
    """Understand the content of a config.json.

    Args:
        data: The parsed file.
        where: Its name, for messages.
        max_num_tiles: Tile budget found beside it; our own section wins.

    Raises:
        CheckpointError: Another model, or no section for the language model.
        ConfigError: A value is missing, of the wrong type or not supported.
    """
    _check_model_type(data, where)
    top = _Section(data, where)
    top.asked.update(("architectures", "model_type", "quantization_config", "nanovl"))
    name, llm = top.find("llm_config", "text_config")
    if not name:
        raise CheckpointError(
            f"{where}: no section 'llm_config' (older: 'text_config') with the shape of the "
            f"language model{nearest('llm_config', data)}"
        )
    lm = _Section(llm, f"{where}: {name}")
    extras = NanovlSection()
    if data.get("nanovl") is not None:
        extras = from_dict(NanovlSection, data["nanovl"], where=f"{where}: nanovl")
    elif max_num_tiles is not None:
        if not isinstance(max_num_tiles, int) or max_num_tiles < 1:
            raise ConfigError(
                f"preprocessor_config.json: max_num_tiles is {max_num_tiles!r}, expected a count"
            )
        extras = NanovlSection(max_num_tiles=max_num_tiles)
    vision = _Section(top.find("vision_config")[1] or {}, f"{where}: vision_config")
    config = _vlm(top, _lm(lm), _vision(top, vision, extras), extras)
    if vision.find("min_num_patches")[0]:  # as later models say that pictures are not cut
        config = replace(config, native_min_patches=vision.size("min_num_patches"))
    typos = [*top.typos(), *lm.typos()]
    if typos:
        raise ConfigError(typos[0])
    unknown = sorted(set(data) - top.asked - _WITHOUT_EFFECT)
    notes = (f"{where}: fields without a meaning here: {', '.join(unknown)}",) if unknown else ()
    quantization = data.get("quantization_config")
    if quantization is not None and not isinstance(quantization, Mapping):
        raise ConfigError(f"{where}: quantization_config is not a JSON object")
    return ConfigFile(
        config=config, extras=extras, quantization=quantization, raw=data, notes=notes
    )


# Fields of the released file that the remote code or transformers needs and we do not.
_WITHOUT_EFFECT = frozenset(
    {
        "_commit_hash",
        "_name_or_path",
        "attn_implementation",
        "auto_map",
        "bos_token_id",
        "dtype",
        "dynamic_image_size",
        "eos_token_id",
        "image_tag_type",
        "img_context_token_id",
        "max_dynamic_patch",
        "min_dynamic_patch",
        "output_attentions",
        "output_hidden_states",
        "pad2square",
        "pad_token_id",
        "preferred_resolution",
        "return_dict",
        "select_layer",
        "template",
        "tie_word_embeddings",
        "torch_dtype",
        "transformers_version",
        "use_backbone_lora",
        "use_llm_lora",
        "video_context_token_id",
    }
)


def _check_model_type(data: Mapping[str, Any], where: str) -> None:
    architectures = data.get("architectures")
    first = architectures[0] if isinstance(architectures, list) and architectures else None
    names = [str(v) for v in (data.get("model_type"), first) if v]
    if any(name.lower() == ARCHITECTURE.lower() for name in names):
        return
    if not names:
        raise CheckpointError(
            f"{where}: neither model_type nor architectures is set, expected {ARCHITECTURE!r}"
        )
    hint = ""
    if any("nemotronh" in n.lower().replace("_", "") and "VL" not in n for n in names):
        hint = "; this looks like a language model without its vision encoder"
    raise CheckpointError(
        f"{where}: model_type {names[0]!r} is not a model nanovl knows, expected "
        f"{ARCHITECTURE!r}{hint}; pass a Nemotron Nano V2 VL checkpoint"
    )


def _lm(section: _Section) -> LMConfig:
    get, size = section.get, section.size
    pattern = get(str, "hybrid_override_pattern")
    layers = size("num_hidden_layers", default=len(pattern))
    if layers != len(pattern):
        raise ConfigError(
            f"{section.where}: num_hidden_layers is {layers} but hybrid_override_pattern has "
            f"{len(pattern)} layers ({pattern!r})"
        )
    for name, value in (
        ("mlp_hidden_act", "relu2"),
        ("mamba_hidden_act", "silu"),
        ("use_conv_bias", True),
        ("use_bias", False),
        ("mlp_bias", False),
        ("attention_bias", False),
        ("mamba_proj_bias", False),
        ("residual_in_fp32", False),
    ):
        section.fixed(name, value)
    section.fixed("mamba_ssm_cache_dtype", "float32")
    return LMConfig(
        vocab_size=size("vocab_size"),
        hidden_size=size("hidden_size"),
        pattern=pattern,
        num_heads=size("num_attention_heads"),
        num_kv_heads=size("num_key_value_heads"),
        head_dim=size("head_dim", "attention_head_dim"),
        intermediate_size=size("intermediate_size"),
        mamba_num_heads=size("mamba_num_heads"),
        mamba_head_dim=size("mamba_head_dim"),
        ssm_state_size=size("ssm_state_size"),
        num_groups=size("n_groups"),
        conv_kernel=size("conv_kernel", default=4),
        chunk_size=size("chunk_size", default=128),
        norm_eps=get(float, "layer_norm_epsilon", "rms_norm_eps", default=1e-5),
        time_step_limit=_time_step_limit(section),
        tie_embeddings=get(bool, "tie_word_embeddings", default=False),
        max_positions=size("max_position_embeddings", default=131072),
        initializer_range=get(float, "initializer_range", default=0.02),
    )


def _time_step_limit(section: _Section) -> tuple[float, float]:
    _, value = section.find("time_step_limit")
    if value is None:
        return (0.0, math.inf)
    try:
        # JSON has no infinity; transformers writes {"__float__": "Infinity"}, others a bare word.
        low, high = (float(v["__float__"] if isinstance(v, Mapping) else v) for v in value)
    except (TypeError, ValueError, KeyError):
        raise ConfigError(
            f"{section.where}: time_step_limit is {value!r}, expected two numbers"
        ) from None
    return (low, high)


def _vision(top: _Section, section: _Section, extras: NanovlSection) -> VisionConfig:
    patch = top.size("patch_size", default=section.size("patch_size", default=16))
    width = top.size("vit_hidden_size", default=1280)
    sizes = extras.vision
    if sizes is None:
        if width not in TRUNKS:
            known = ", ".join(map(str, sorted(TRUNKS)))
            raise ConfigError(
                f"{top.where}: vit_hidden_size {width} is not a RADIO width ({known}), and there "
                "is no section nanovl.vision that gives the number of heads"
            )
        layers, heads, wide = TRUNKS[width]
        # The number of prefix tokens is only a guess here; the tensor decides.
        sizes = VisionSection(
            num_layers=layers, num_heads=heads, intermediate_size=wide, num_prefix_tokens=16
        )
    return VisionConfig(
        hidden_size=width,
        num_layers=sizes.num_layers,
        num_heads=sizes.num_heads,
        intermediate_size=sizes.intermediate_size,
        patch_size=patch,
        max_resolution=section.size("max_resolution", default=2048),
        num_prefix_tokens=sizes.num_prefix_tokens,
        norm_eps=sizes.norm_eps,
    )


def _vlm(top: _Section, lm: LMConfig, vision: VisionConfig, extras: NanovlSection) -> VLMConfig:
    top.fixed("downsample_ratio", 0.5)
    rate = top.get(float, "video_pruning_rate", default=0.0)
    if not 0.0 <= rate < 1.0:
        raise ConfigError(f"{top.where}: video_pruning_rate is {rate}, expected 0 <= rate < 1")
    return VLMConfig(
        vision=vision,
        projector=ProjectorConfig(
            hidden_size=top.size("projector_hidden_size"),
            norm_eps=extras.projector_norm_eps,
        ),
        lm=lm,
        image_size=top.size("force_image_size", default=512),
        max_num_tiles=extras.max_num_tiles,
        use_thumbnail=top.get(bool, "use_thumbnail", default=True),
        pixel_shuffle_version=top.get(str, "ps_version", default="v2"),
        norm_mean=_channels(top, "norm_mean", CLIP_MEAN),
        norm_std=_channels(top, "norm_std", CLIP_STD),
        image_token=top.get(str, "img_context_token", default="<image>"),
        image_start_token=top.get(str, "img_start_token", default="<img>"),
        image_end_token=top.get(str, "img_end_token", default="</img>"),
        video_token=top.get(str, "video_context_token", default="<video>"),
        video_pruning_rate=rate or None,
        max_sequence_length=top.size("max_sequence_length", default=lm.max_positions),
    )


def _channels(
    top: _Section, name: str, default: tuple[float, float, float]
) -> tuple[float, float, float]:
    _, value = top.find(name)
    if value is None:
        return default
    if not isinstance(value, list) or len(value) != 3:
        raise ConfigError(f"{top.where}: {name} is {value!r}, expected three numbers")
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value):
        raise ConfigError(f"{top.where}: {name} is {value!r}, expected three numbers")
    return (float(value[0]), float(value[1]), float(value[2]))
