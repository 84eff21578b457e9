"""Where things are on disk, and the environment variables nanovl reads.

    NANOVL_HOME      downloads, caches and runs (default: ~/.nanovl)
    NANOVL_DEBUG     "1" shows tracebacks, like --debug
    NANOVL_LOG       log level for stderr: debug, info, warning, error
    NANOVL_API_KEY   key that `nanovl serve` accepts
    NANOVL_NATIVE    "0" keeps the CPU kernels in C from being compiled and used

and, set by torchrun for the processes it starts: WORLD_SIZE, LOCAL_RANK, MASTER_ADDR.
PATH is handed on to the programs nanovl starts, the key of an endpoint is in the variable the user
names. RAY_USAGE_STATS_ENABLED is set to 0 for Ray.

This is the only module that reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "Launch",
    "asset",
    "debug_enabled",
    "home",
    "launch",
    "log_level",
    "models_dir",
    "native_enabled",
    "program_path",
    "secret",
    "settings",
    "take_settings",
    "turn_off_ray_reports",
]


def home() -> Path:
    """Folder for everything nanovl keeps between runs; not created here."""
    value = os.environ.get("NANOVL_HOME", "")
    return Path(value).expanduser() if value else Path.home() / ".nanovl"


def models_dir() -> Path:
    """Folder for downloaded and generated checkpoints; not created here."""
    return home() / "models"


def asset(*parts: str) -> Path:
    """A file or folder shipped inside the package."""
    return Path(__file__).resolve().parent.parent.joinpath("assets", *parts)


def debug_enabled() -> bool:
    """Whether tracebacks are wanted."""
    return os.environ.get("NANOVL_DEBUG", "") not in ("", "0")


def log_level() -> str:
    """Level name for the log on stderr."""
    return os.environ.get("NANOVL_LOG", "warning").upper()


def native_enabled() -> bool:
    """Whether kernels may be compiled for this CPU."""
    return os.environ.get("NANOVL_NATIVE", "1") != "0"


class Launch(NamedTuple):
    """How this process was started.

    Attributes:
        world_size: Processes of the run; 1 without torchrun.
        local_rank: Number of this one on its machine.
        has_meeting_point: Whether the processes know where to find each other.
    """

    world_size: int
    local_rank: int
    has_meeting_point: bool


def launch() -> Launch:
    """What torchrun told this process."""
    return Launch(
        world_size=int(os.environ.get("WORLD_SIZE", "1")),
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        has_meeting_point="MASTER_ADDR" in os.environ,
    )


def program_path() -> str:
    """Where programs are looked for."""
    return os.environ.get("PATH", "") or os.defpath


def turn_off_ray_reports() -> None:
    """Keep Ray from reporting its use, for this process and those it starts."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def secret(name: str) -> str:
    """What the variable the user named holds, "" when it is not set; never written or shown."""
    return os.environ.get(name, "").strip()


def settings() -> dict[str, str]:
    """All variables, for a process that was forked from one that does not know them."""
    return dict(os.environ)


def take_settings(values: Mapping[str, str]) -> None:
    """Make these the variables of this process, and no others."""
    os.environ.clear()
    os.environ.update(values)
