"""Makes a mixture with one set of workers, and the blend file over its data sets.

    OUT/NAME/NAME.jsonl, OUT/NAME/media, ...    one data set per entry and split
    OUT/blend.yaml                              their weights, for both loaders
    OUT/mix.json                                what was asked for and what came of it

A generator whose programs or packages are missing is left out and named; one that fails on the way
does not stop the others. Running again completes what is missing and changes nothing else.

Source: data synthesis specification, section 18.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nanovl.core.config import to_dict
from nanovl.core.errors import BackendError, ConfigError, InputError, NanoVLError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.synth.base import Generator
from nanovl.synth.claim import alone
from nanovl.synth.mix import Mix, Part, load_mix, plan_mix
from nanovl.synth.registry import create
from nanovl.synth.run import Totals, run_all
from nanovl.synth.shards import unwritable, write_whole

__all__ = ["BLEND_NAME", "Made", "MixTotals", "run_mix"]

BLEND_NAME = "blend.yaml"
_MIX_NAME = "mix.json"


@dataclass(frozen=True, kw_only=True)
class Made:
    """What became of one data set.

    Attributes:
        folder: Its name.
        generator, split: What it holds.
        asked: Indices.
        totals: What was made.
    """

    folder: str
    generator: str
    split: str
    asked: int
    totals: Totals


@dataclass(frozen=True, kw_only=True)
class MixTotals:
    """What became of a mixture.

    Attributes:
        made: The data sets.
        skipped: Entries that cannot be made here -> what is missing.
        blend: The blend file; None when nothing was made.
        seconds: Wall time of this call.
    """

    made: tuple[Made, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    blend: Path | None = None
    seconds: float = 0.0

    @property
    def failed(self) -> dict[str, str]:
        """Data sets that could not be completed -> why."""
        return {one.folder: one.totals.error for one in self.made if one.totals.error}

    @property
    def samples(self) -> int:
        """Of all data sets."""
        return sum(one.totals.samples for one in self.made)

    @property
    def rejects(self) -> dict[str, int]:
        """Rejected attempts of all data sets by reason."""
        total: Counter[str] = Counter()
        for one in self.made:
            total += Counter(one.totals.rejects)
        return dict(sorted(total.items()))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "samples": self.samples,
            "seconds": round(self.seconds, 3),
            "blend": None if self.blend is None else str(self.blend),
            "skipped": self.skipped,
            "failed": self.failed,
            "datasets": [
                to_dict(one) | {"per_s_per_core": round(one.totals.per_s_per_core, 3)}
                for one in self.made
            ],
        }


def run_mix(
    mix: Mix | str | Path,
    out: str | Path,
    *,
    scale: float = 1.0,
    workers: int = 1,
    ray: str | None = None,
    strict: bool = False,
    verify: bool = False,
    energon: bool = False,
    on_event: OnEvent = ignore_event,
) -> MixTotals:
    """Make a mixture, or what is missing of it.

    Args:
        mix: A mixture, its YAML file, or the name of one inside the package.
        out: Folder of all data sets; new, empty, or of the same mixture.
        scale: Factor on all counts.
        workers: Processes, or Ray tasks at a time.
        ray: "local" or the address of a Ray cluster; None uses processes of this machine.
        strict: A generator that cannot work here is an error.
        verify: Compare complete shards with their hashes, not only lengths.
        energon: Write energon's index of the media too (needs the extra `train`).
        on_event: Told about progress.

    Raises:
        ConfigError: The mixture, a setting, or the folder is not usable.
        BackendError: Ray cannot be reached; with `strict`, something is missing.
        CapacityError: The disk is full.
    """
    begun = time.monotonic()
    mix = mix if isinstance(mix, Mix) else load_mix(mix)
    out = Path(out).expanduser().absolute()
    _check_folder(out)
    parts = plan_mix(mix, out, scale=scale)
    usable, skipped = _usable(parts, strict=strict)
    with alone(out):
        totals = run_all(
            [(part.job, generator) for part, generator in usable],
            workers=workers,
            ray=ray,
            verify=verify,
            keep_going=True,
            on_event=on_event,
        )
        made = tuple(
            Made(
                folder=part.folder,
                generator=part.job.generator,
                split=part.job.split,
                asked=part.job.count,
                totals=total,
            )
            for (part, _), total in zip(usable, totals, strict=True)
        )
        try:
            blend = _write(out, [part for part, _ in usable], made, skipped, energon)
        except OSError as error:
            raise unwritable(out, error) from error
    return MixTotals(made=made, skipped=skipped, blend=blend, seconds=time.monotonic() - begun)


def _check_folder(out: Path) -> None:
    if out.is_dir() and not (out / _MIX_NAME).is_file():
        found = sorted(p.name for p in out.iterdir() if not p.name.startswith("."))
        strange = [name for name in found if not (out / name / "synth.json").is_file()]
        if strange:
            raise ConfigError(
                f"{out}: holds {strange[0]!r}, so it is no folder of a mixture; use a new one"
            )


def _usable(
    parts: Sequence[Part], *, strict: bool
) -> tuple[list[tuple[Part, Generator]], dict[str, str]]:
    """The data sets that can be made here; what the others lack."""
    usable, skipped = [], {}
    for part in parts:
        try:
            generator = create(part.job.generator, part.job.config)
            for requirement in generator.requires:
                requirement.check()
        except BackendError as error:
            if strict:
                raise BackendError(f"{part.where}: {error}") from error
            skipped[part.name] = str(error)
        except (ConfigError, InputError) as error:
            raise type(error)(f"{part.where}: {error}") from error
        except NanoVLError:
            raise
        except Exception as error:  # a broken template or bank
            raise ConfigError(
                f"{part.where}: the generator cannot be made: {type(error).__name__}: {error}"
            ) from error
        else:
            usable.append((part, generator))
    if not usable:
        reasons = "; ".join(f"{name}: {why}" for name, why in skipped.items())
        raise BackendError(f"none of the generators can work here: {reasons}")
    return usable, skipped


# --- the files over all data sets ---------------------------------------------------------------


def _write(
    out: Path,
    parts: Sequence[Part],
    made: Sequence[Made],
    skipped: dict[str, str],
    energon: bool,
) -> Path | None:
    rows = [
        {
            "name": part.folder,
            "generator": one.generator,
            "split": one.split,
            "asked": one.asked,
            "samples": one.totals.samples,
            "records": one.totals.records,
            "media": one.totals.media,
            "lost": one.totals.lost,
            "rejects": one.totals.rejects,
            "blend": part.blend,
            "complete": not one.totals.error,
        }
        for part, one in zip(parts, made, strict=True)
    ]
    text = json.dumps({"datasets": rows, "skipped": sorted(skipped)}, indent=1, sort_keys=True)
    write_whole(out / _MIX_NAME, text + "\n")
    usable = [
        part
        for part, one in zip(parts, made, strict=True)
        if one.totals.records and not one.totals.error
    ]
    path = out / BLEND_NAME
    if not usable:
        path.unlink(missing_ok=True)
        return None
    if energon:
        from nanovl.data.prepare import prepare

        for part in usable:
            prepare(part.job.out)
    write_whole(path, _blend_text(usable))
    return path


def _blend_text(parts: Sequence[Part]) -> str:
    """The blend file; media without energon's index is named as a plain folder."""
    splits: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for part in parts:
        media = part.job.out / "media"
        entry: dict[str, Any] = {
            "weight": part.blend,
            "path": f"{part.folder}/{part.folder}.jsonl",
            "subflavors": {"source": part.name},
        }
        if media.is_dir() and any(media.glob("*.tar")):
            prefix = "" if (media / ".nv-meta").is_dir() else "filesystem://"
            entry["aux"] = {"media": f"{prefix}{part.folder}/media"}
        splits.setdefault(part.job.split, {"blend": []})["blend"].append(entry)
    document = {
        "__module__": "megatron.energon",
        "__class__": "MetadatasetV2",
        "splits": splits,
    }
    return yaml.safe_dump(document, sort_keys=False)
