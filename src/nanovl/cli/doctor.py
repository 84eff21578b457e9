"""`nanovl doctor`: what this machine and this installation can do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
from dataclasses import asdict
from typing import Any

from nanovl import __version__
from nanovl.cli import options
from nanovl.cli.console import guarded, write, write_json
from nanovl.core import paths

__all__ = ["doctor", "examine"]

_PACKAGES = ("torch", "tokenizers", "safetensors", "huggingface_hub", "pillow", "av", "pypdfium2")
# extra: (package it brings, what for)
_EXTRAS = {
    "speech": ("faster_whisper", "speech in videos and audio files"),
    "youtube": ("yt_dlp", "videos from YouTube"),
    "ray": ("ray", "batches, synthesis and replicas on Ray"),
    "train": ("megatron.energon", "training data through megatron-energon, TensorBoard"),
    "synth": ("vl_convert", "charts, QR codes and readers of data synthesis"),
    "screens": ("playwright", "pages drawn by a browser"),
    "evals": ("rapidfuzz", "scores of evaluation"),
    "parity": ("transformers", "comparisons with the reference"),
}


@guarded
def doctor(device: options.Device = "auto", json: options.Json = False) -> None:
    """Show versions, device, memory, and which fast paths are active and why.

    \b
    Examples:
      nanovl doctor
      nanovl doctor --json
    """
    found = examine(device)
    if json:
        write_json(found)
        return
    for title, rows in found.items():
        write(f"{title}\n")
        for row in rows:
            name, *rest = row.values()
            write(f"  {name:24} {'  '.join(str(r) for r in rest if r not in ('', None))}\n")


def examine(device: str = "auto") -> dict[str, list[dict[str, Any]]]:
    """Everything `doctor` shows, as sections of rows; loads torch but no model.

    Raises:
        ConfigError: Not a device name.
        BackendError: The device is not there.
    """
    from nanovl.core.device import choose_device
    from nanovl.ops import dispatch

    where = choose_device(device)
    return {
        "versions": _versions(),
        "machine": _machine(where),
        "fast paths": [asdict(choice) for choice in dispatch.report(where)],
        "extras": [_extra(name, *about) for name, about in _EXTRAS.items()],
        "programs": _programs(),
        "paths": _paths(),
    }


def _versions() -> list[dict[str, Any]]:
    rows = [("nanovl", __version__), ("python", platform.python_version())]
    for package in _PACKAGES:
        try:
            rows.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            rows.append((package, "not installed; run: pip install --force-reinstall nanovl"))
    return [{"name": name, "version": version} for name, version in rows]


def _machine(where: Any) -> list[dict[str, Any]]:
    import torch

    from nanovl.core.device import available_memory_bytes, capability, choose_dtype
    from nanovl.ops.dispatch import bf16_matmul

    device = capability(str(where))
    fast, how = bf16_matmul()
    rows = [
        ("system", f"{platform.system()} {platform.machine()}"),
        ("device", f"{where} ({device.name})"),
        ("device memory", f"{device.memory_bytes / 2**30:.1f} GiB"),
        ("free host memory", f"{available_memory_bytes() / 2**30:.1f} GiB"),
        ("threads", f"{torch.get_num_threads()}; set OMP_NUM_THREADS to change"),
        ("dtype auto", str(choose_dtype("auto", where)).removeprefix("torch.")),
        ("bf16 on this CPU", f"{'yes' if fast else 'slow'}, {how}"),
    ]
    for index in range(torch.cuda.device_count()):
        rows.append((f"cuda:{index}", torch.cuda.get_device_name(index)))
    return [{"name": name, "value": value} for name, value in rows]


def _extra(name: str, package: str, purpose: str) -> dict[str, Any]:
    try:
        present = importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # a part of a package that is not there
        present = False
    state = "installed" if present else f"absent; run: pip install 'nanovl[{name}]'"
    return {"name": name, "state": state, "purpose": f"({purpose})"}


def _programs() -> list[dict[str, Any]]:
    """What comes from the system, not from Python packages."""
    from nanovl.apps.youtube import runtimes
    from nanovl.synth.browser_process import PROGRAMS

    def first(*names: str) -> str:
        where = paths.program_path()
        return next((name for name in names if shutil.which(name, path=where)), "")

    rows = [
        ("C compiler", first("cc", "gcc", "clang"), "fast CPU kernels", "gcc"),
        ("JavaScript runtime", ", ".join(runtimes()), "videos from YouTube", "nodejs"),
        ("Chromium", first(*PROGRAMS), "pages drawn by a browser", "chromium-headless-shell"),
        ("LuaLaTeX", first("lualatex"), "LaTeX in data synthesis", "texlive-luatex"),
        ("bubblewrap", first("bwrap"), "running code of others in a cage", "bubblewrap"),
    ]
    return [
        {"name": name, "state": found or f"absent; apt install {package}", "purpose": f"({use})"}
        for name, found, use, package in rows
    ]


def _paths() -> list[dict[str, Any]]:
    from nanovl.checkpoint.quant_cache import cache_folder, cache_size

    kept = cache_size()
    converted = f"{cache_folder()}, {kept / 1e9:.2f} GB; remove it to free them" if kept else "none"
    embedded = any(paths.asset("mini").glob("*.safetensors"))
    state = str(paths.asset("mini")) if embedded else 'absent; "mini" is made of random weights'
    return [
        {"name": "NANOVL_HOME", "value": str(paths.home())},
        {"name": "embedded model", "value": state},
        {"name": "converted weights", "value": converted},
    ]
