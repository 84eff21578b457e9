"""Dataclass <-> dict / YAML, with strict keys and dotted overrides.

Configuration is a tree of frozen, keyword-only dataclasses that live beside the code they
configure. This module fills them from files and command lines and writes them back. An unknown key
is an error that names the nearest known one; nothing is filtered away silently.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from nanovl.core.errors import ConfigError

__all__ = ["apply_overrides", "from_dict", "key_of", "load_yaml", "nearest", "to_dict"]

T = TypeVar("T")


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """A hint to append to an error: the closest known word, or nothing."""
    matches = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def key_of(field: dataclasses.Field[Any]) -> str:
    """What a field is called in files: its name, or `metadata={"key": ...}` where the name of the
    setting is a word Python keeps for itself ("global", "async").
    """
    return str(field.metadata.get("key", field.name))


def to_dict(config: Any) -> dict[str, Any]:
    """A plain dict of a config, with tuples as lists, ready for YAML or JSON."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {key_of(f): plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, (tuple, list)):
            return [plain(v) for v in value]
        if isinstance(value, Mapping):
            return {str(k): plain(v) for k, v in value.items()}
        return str(value) if isinstance(value, Path) else value

    return typing.cast(dict[str, Any], plain(config))


def from_dict(cls: type[T], data: Mapping[str, Any], *, where: str = "config") -> T:
    """Build a config dataclass from a mapping.

    Args:
        cls: Dataclass type.
        data: Field values; nested dataclasses as nested mappings.
        where: Name of the file or section, for messages.

    Raises:
        ConfigError: Unknown or missing key, or a value of the wrong type.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: got {type(data).__name__}, expected a mapping of settings")
    hints = typing.get_type_hints(cls)
    fields = {key_of(f): f for f in dataclasses.fields(typing.cast(Any, cls)) if f.init}
    for key in data:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {key!r}{nearest(str(key), fields)}")
    missing = [
        name
        for name, f in fields.items()
        if name not in data
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}: missing {', '.join(missing)}")
    names = {key: fields[key].name for key in data}
    return cls(
        **{names[k]: _convert(hints[names[k]], value, f"{where}.{k}") for k, value in data.items()}
    )


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        errors = []
        for arm in (a for a in args if a is not type(None)):
            try:
                return _convert(arm, value, where)
            except ConfigError as error:
                errors.append(str(error))
        raise ConfigError(errors[-1])
    if dataclasses.is_dataclass(hint):
        return (
            value
            if isinstance(value, typing.cast(type, hint))
            else from_dict(typing.cast(Any, hint), value, where=where)
        )
    if hint is Any:
        return value
    if origin is typing.Literal:
        if value not in args:
            raise ConfigError(
                f"{where}: got {value!r}, expected one of {', '.join(map(repr, args))}"
                f"{nearest(str(value), map(str, args))}"
            )
        return value
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise ConfigError(f"{where}: got {value!r}, expected a list")
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_convert(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        if len(args) != len(value):
            raise ConfigError(f"{where}: got {len(value)} values, expected {len(args)}")
        return tuple(
            _convert(a, v, f"{where}[{i}]")
            for i, (a, v) in enumerate(zip(args, value, strict=True))
        )
    if origin is dict or hint is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: got {value!r}, expected a mapping")
        return dict(value)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: got {value!r}, expected a mapping")
        key_hint, value_hint = args
        # The keys of JSON are text.
        keys = [int(k) if key_hint is int and str(k).isdecimal() else k for k in value]
        return {
            _convert(key_hint, k, where): _convert(value_hint, v, f"{where}.{k}")
            for k, v in zip(keys, value.values(), strict=True)
        }
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):
        # YAML 1.1 reads 1e-5 as text because the dot is missing.
        try:
            return float(value)
        except ValueError:
            raise ConfigError(f"{where}: got {value!r}, expected a number") from None
    if hint is Path and isinstance(value, str):
        return Path(value)
    if (hint is int and isinstance(value, bool)) or not isinstance(value, hint):
        raise ConfigError(
            f"{where}: got {value!r} ({type(value).__name__}), expected {hint.__name__}"
        )
    return value


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: The file is missing, not YAML, or not a mapping.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: got {type(data).__name__}, expected a mapping of settings")
    return data


def apply_overrides(data: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply `section.key=value` words to a nested mapping; values are read as YAML.

    Raises:
        ConfigError: A word without "=", or a path that runs through a plain value.
    """
    result: dict[str, Any] = {
        k: apply_overrides(v, ()) if isinstance(v, Mapping) else v for k, v in data.items()
    }
    for word in overrides:
        path, separator, text = word.partition("=")
        if not separator or not path:
            raise ConfigError(f"override {word!r}: expected section.key=value")
        *sections, key = path.split(".")
        node = result
        for section in sections:
            child = node.setdefault(section, {})
            if not isinstance(child, dict):
                raise ConfigError(f"override {word!r}: {section!r} is a value, not a section")
            node = child
        try:
            node[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"override {word!r}: value is not valid YAML: {error}") from error
    return result
