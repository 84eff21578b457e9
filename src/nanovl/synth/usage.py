"""Processor time of this process and of all programs it has started, running ones included.

What a sample costs includes browsers and TeX. A program in a namespace of its own (bubblewrap)
leaves the process tree without handing its time to its parent: whoever ran it says by
`note_unseen` what it used. Must not start anything.

Source: data synthesis specification, section 18.6 (samples per second and core).
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

__all__ = ["cpu_seconds", "note_unseen", "tree_seconds"]

_lock = threading.Lock()
_unseen = 0.0


def cpu_seconds() -> float:
    """Seconds of all cores so far; of programs that still run, on Linux only."""
    used = os.times()
    total = used.user + used.system + used.children_user + used.children_system
    return total + _unseen + sum(tree_seconds(child) for child in _children(os.getpid()))


def note_unseen(seconds: float) -> None:
    """Add processor time of an ended program that the system did not hand to this process.

    Args:
        seconds: What is missing in the times of this process's children; less than nothing counts
            as nothing.
    """
    global _unseen
    with _lock:
        _unseen += max(0.0, seconds)


def tree_seconds(pid: int) -> float:
    """Processor time of a running program and of those it has started (Linux; else 0)."""
    try:
        # Behind the name, which may hold anything: state, ..., utime, stime, cutime, cstime.
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks = sum(int(word) for word in words[11:15])
    except (OSError, ValueError):
        return 0.0
    own = ticks / os.sysconf("SC_CLK_TCK")
    return own + sum(tree_seconds(child) for child in _children(pid))


def _children(pid: int) -> list[int]:
    try:
        files = sorted(Path(f"/proc/{pid}/task").glob("*/children"))
        return [int(word) for file in files for word in file.read_text(encoding="utf-8").split()]
    except (OSError, ValueError):
        return []
