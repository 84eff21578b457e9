"""A mixture of generators: what a YAML file asks for, as data sets with counts and weights.

    total: 10000                  # shared out by weight; entries with a count take theirs first
    splits: {train: 0.98, val: 0.02}
    generators:
      scenes-2d: {weight: 3}
      charts-line:                # a name of its own, for a second use of a generator
        generator: charts
        weight: 1
        settings: {questions: 2}

Every data set is a folder in the released layout; `blend.yaml` beside them gives their weights.
`mixrun` makes them. Must not start workers.

Source: data synthesis specification, sections 18.5 and 18.6.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nanovl.core.config import from_dict, load_yaml, nearest
from nanovl.core.errors import ConfigError
from nanovl.core.paths import asset
from nanovl.synth.cluster import Needs
from nanovl.synth.registry import GENERATORS
from nanovl.synth.run import Job

__all__ = ["Mix", "MixEntry", "Part", "load_mix", "plan_mix", "shipped_mixes"]

_KEYS = ("generators", "total", "splits", "shard_size", "timeout_s")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, kw_only=True)
class MixEntry:
    """One data set of a mixture.

    Attributes:
        generator: Name in the registry; "" is the entry's own name.
        weight: Share of `Mix.total`, relative to the other weights; None where `count` is given.
        count: Samples.
        blend: Weight in the blend file; None takes the number of samples asked for.
        settings: Of the generator.
        splits, shard_size, timeout_s: Instead of the mixture's.
        ray: What Ray sets aside for a shard.
    """

    generator: str = ""
    weight: float | None = None
    count: int | None = None
    blend: float | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    splits: dict[str, float] | None = None
    shard_size: int | None = None
    timeout_s: float | None = None
    ray: Needs = field(default_factory=Needs)


@dataclass(frozen=True, kw_only=True)
class Mix:
    """A mixture.

    Attributes:
        entries: By the name of the data set.
        total: Samples of the entries without a count.
        splits: Share of every split; the first gets what rounding leaves.
        shard_size: Indices per shard.
        timeout_s: Longest time for one attempt.
    """

    entries: dict[str, MixEntry]
    total: int | None = None
    splits: dict[str, float] = field(default_factory=lambda: {"train": 1.0})
    shard_size: int = 500
    timeout_s: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Part:
    """One data set of a planned mixture.

    Attributes:
        name: Of the entry.
        where: For messages.
        blend: Weight in the split's blend.
        job: What to make.
    """

    name: str
    where: str
    blend: float
    job: Job

    @property
    def folder(self) -> str:
        """Name of the folder."""
        return self.job.out.name


def shipped_mixes() -> list[str]:
    """Names of the mixtures inside the package."""
    return sorted(path.stem for path in asset("mixes").glob("*.yaml"))


def load_mix(name_or_path: str | Path) -> Mix:
    """Read a mixture.

    Args:
        name_or_path: A YAML file, or the name of a mixture inside the package.

    Raises:
        ConfigError: There is no such file, a key or generator is unknown (the nearest is named), or
            a value means nothing.
    """
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        known = shipped_mixes()
        if str(name_or_path) not in known:
            raise ConfigError(
                f"{name_or_path}: no such file, and no mixture inside the package"
                f"{nearest(str(name_or_path), known)}; it has: {', '.join(known)}"
            )
        path = asset("mixes", f"{name_or_path}.yaml")
    data = load_yaml(path)
    where = path.name
    for key in data:
        if key not in _KEYS:
            raise ConfigError(f"{where}: unknown key {key!r}{nearest(str(key), _KEYS)}")
    given = data.pop("generators", None)
    if not isinstance(given, dict) or not given:
        raise ConfigError(
            f"{where}: generators: got {given!r}, expected entries like scenes-2d: {{weight: 1}}"
        )
    entries = {}
    for name, value in given.items():
        here = f"{where}: generators.{name}"
        if not _NAME.fullmatch(str(name)):
            raise ConfigError(f"{here}: expected a name of letters, digits, '-' and '_'")
        try:
            entry = from_dict(MixEntry, {} if value is None else value, where=here)
        except ConfigError as error:
            text = str(error)
            raise ConfigError(text if text.startswith(here) else f"{here}: {text}") from error
        entries[str(name)] = _checked(replace(entry, generator=entry.generator or name), here)
    mix = from_dict(Mix, {**data, "entries": entries}, where=where)
    _check_splits(mix.splits, f"{where}: splits")
    if mix.total is not None and mix.total < 1:
        raise ConfigError(f"{where}: total: got {mix.total}, expected at least 1")
    weighted = [name for name, e in entries.items() if e.count is None]
    if weighted and mix.total is None:
        raise ConfigError(f"{where}: {weighted[0]} has a weight, so the file needs a total")
    return mix


def _checked(entry: MixEntry, where: str) -> MixEntry:
    if entry.generator not in GENERATORS:
        raise ConfigError(
            f"{where}: unknown generator {entry.generator!r}{nearest(entry.generator, GENERATORS)}"
            "; see nanovl synth list"
        )
    if entry.weight is not None and entry.count is not None:
        raise ConfigError(f"{where}: has both a weight and a count; give one of them")
    for name in ("weight", "count", "blend", "shard_size", "timeout_s"):
        value = getattr(entry, name)
        least = 0 if name == "blend" else None
        if value is not None and (value == math.inf or not (value > 0 or value == least)):
            raise ConfigError(f"{where}.{name}: got {value}, expected a number above 0")
    if entry.splits is not None:
        _check_splits(entry.splits, f"{where}.splits")
    return replace(entry, weight=1.0) if entry.count is None and entry.weight is None else entry


def _check_splits(splits: Mapping[str, Any], where: str) -> None:
    for name, share in splits.items():
        if not _NAME.fullmatch(str(name)):
            raise ConfigError(f"{where}: {name!r}: expected a name of letters, digits, '-', '_'")
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise ConfigError(f"{where}.{name}: got {share!r}, expected a share from 0 to 1")
    if not splits or not math.isclose(sum(splits.values()), 1.0, abs_tol=1e-6):
        raise ConfigError(f"{where}: shares add up to {sum(splits.values()):g}, expected 1")


# --- numbers ------------------------------------------------------------------------------------


def plan_mix(mix: Mix, out: Path, *, scale: float = 1.0) -> list[Part]:
    """The data sets of a mixture.

    Args:
        mix: What is asked for.
        out: Folder of all of them.
        scale: Factor on all counts; what is asked for at all stays at least 1.

    Raises:
        ConfigError: Two entries would get one folder, or an entry nothing.
    """
    if not 0 < scale < math.inf:
        raise ConfigError(f"scale: got {scale}, expected a number above 0")
    parts: list[Part] = []
    for name, count in _counts(mix).items():
        entry = mix.entries[name]
        scaled = max(1, round(count * scale))
        for split, number in _split(scaled, entry.splits or mix.splits).items():
            folder = name if split == "train" else f"{name}-{split}"
            if any(part.folder == folder for part in parts):
                raise ConfigError(f"generators.{name}: its folder {folder!r} is taken; rename it")
            share = number / scaled
            parts.append(
                Part(
                    name=name,
                    where=f"generators.{name}",
                    blend=number if entry.blend is None else entry.blend * share,
                    job=Job(
                        generator=entry.generator,
                        out=out / folder,
                        count=number,
                        config=entry.settings,
                        split=split,
                        shard_size=entry.shard_size or mix.shard_size,
                        timeout_s=entry.timeout_s or mix.timeout_s,
                        needs=entry.ray,
                    ),
                )
            )
    return parts


def _counts(mix: Mix) -> dict[str, int]:
    """Samples of every entry; the shares of the weighted ones by largest remainder."""
    fixed = {name: e.count for name, e in mix.entries.items() if e.count is not None}
    weights = {name: e.weight or 0.0 for name, e in mix.entries.items() if e.count is None}
    left = (mix.total or 0) - sum(fixed.values()) if weights else 0
    if weights and left < len(weights):
        raise ConfigError(
            f"total {mix.total}: counts take {sum(fixed.values())} of it, which leaves {left} for "
            f"{len(weights)} entries with weights"
        )
    exact = {name: left * weight / sum(weights.values()) for name, weight in weights.items()}
    shares = {name: int(value) for name, value in exact.items()}
    by_rest = sorted(exact, key=lambda name: (shares[name] - exact[name], name))
    for name in by_rest[: left - sum(shares.values())]:
        shares[name] += 1
    made: dict[str, int] = {}
    for name in mix.entries:
        made[name] = fixed[name] if name in fixed else shares[name]
        if made[name] < 1:
            raise ConfigError(
                f"generators.{name}: weight {weights[name]:g} gives no sample of {mix.total}; "
                "raise it, or the total"
            )
    return made


def _split(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Samples per split; the first split keeps what the others leave."""
    first, *others = [name for name, share in shares.items() if share > 0]
    made = {name: max(1, round(count * shares[name])) if count > 1 else 0 for name in others}
    made = {first: count - sum(made.values()), **made}
    if made[first] < 1:  # more splits than samples
        return {first: count}
    return {name: number for name, number in made.items() if number}
