"""From what a user calls a model to a folder: a path, a hub repository, or "mini".

Loads nothing. Only a name of the form owner/repository ever leads to the network.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from nanovl.checkpoint.config_json import read_config
from nanovl.checkpoint.hf import INDEX_NAME, SINGLE_NAME
from nanovl.checkpoint.hub import download, is_repo_id
from nanovl.checkpoint.random_weights import write_random
from nanovl.core.config import nearest
from nanovl.core.errors import CheckpointError, NanoVLError
from nanovl.core.events import OnEvent, ignore_event
from nanovl.core.paths import asset, models_dir
from nanovl.model.config import PRESETS, preset

__all__ = ["MINI", "resolve"]

logger = logging.getLogger(__name__)

MINI = "mini"
_RELEASED = (
    "nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-BF16",
    "nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-FP8",
    "nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-NVFP4-QAD",
)


def resolve(
    name_or_path: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    on_event: OnEvent = ignore_event,
) -> Path:
    """Find the folder of a model, downloading or making it where needed.

    Args:
        name_or_path: A checkpoint folder (or a file in one), a folder under NANOVL_HOME/models by
            its name, "mini" for the embedded model, or owner/repository on the hub.
        revision: Branch, tag or commit on the hub.
        token: Access token for the hub.
        on_event: Told about bytes downloaded or written.

    Raises:
        CheckpointError: There is no such model, or it cannot be downloaded.
    """
    name = str(name_or_path)
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        if path.suffix == ".safetensors" or path.name in ("config.json", INDEX_NAME):
            return path.parent
        raise CheckpointError(f"{path}: not a file of a checkpoint; pass the checkpoint's folder")
    if name == MINI:
        return _mini(on_event)
    local = models_dir() / name
    if "/" not in name and (local / "config.json").is_file():
        return local
    # "models/x" with a folder "models" here is a mistyped path, not a repository.
    if is_repo_id(name) and not Path(path.parts[0]).is_dir():
        return download(name, revision=revision, token=token, on_event=on_event)
    raise _unknown(name, path)


def _unknown(name: str, path: Path) -> CheckpointError:
    if name in PRESETS:
        return CheckpointError(
            f"model {name!r}: this is a shape without weights; write random ones with "
            f"`nanovl convert --random {name} FOLDER` and pass the folder"
        )
    if "/" in name or path.is_absolute():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        return CheckpointError(
            f"{path}: no such folder{nearest(path.name, siblings)}; pass a checkpoint folder or a "
            "hub repository as owner/repository"
        )
    folder = models_dir()
    made = [p.name for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []
    short = {repo.rpartition("/")[2]: repo for repo in _RELEASED}
    hint = nearest(name, [MINI, *made, *short])
    for word, repo in short.items():
        hint = hint.replace(repr(word), repr(repo))
    return CheckpointError(
        f"model {name!r}: there is no such model{hint}; pass 'mini', a checkpoint folder, or a hub "
        "repository as owner/repository"
    )


def _mini(on_event: OnEvent) -> Path:
    """The embedded model; random weights in its shape while the package carries none."""
    bundled = asset(MINI)
    if (bundled / SINGLE_NAME).is_file() or (bundled / INDEX_NAME).is_file():
        return bundled
    folder = models_dir() / "mini-random"
    if not _is_current(folder, bundled):
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        try:
            write_random(MINI, folder, on_event=on_event)
        except CheckpointError:
            # Another process may have been faster; then its folder is as good as ours.
            if not _is_current(folder, bundled):
                raise
    return folder


def _is_current(folder: Path, bundled: Path) -> bool:
    """Whether a folder written earlier still has today's shape and tokenizer."""
    try:
        same_shape = read_config(folder).config == preset(MINI)
        return (
            same_shape
            and (folder / "tokenizer.json").read_bytes()
            == (bundled / "tokenizer.json").read_bytes()
        )
    except (NanoVLError, OSError):
        return False
