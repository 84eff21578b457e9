"""RULER on disk: generated tasks as files that the reader of text benchmarks takes.

One folder per task with `test.jsonl`, and a manifest that says how they were made. A set without
the essays of the public benchmark is marked "ruler-like". Makes nothing itself.

Source: evaluation specification, section 5.5.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nanovl import __version__
from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.evals.ruler_sources import Sources
from nanovl.evals.ruler_tasks import TASKS, RulerSettings, generate

__all__ = ["write_ruler"]

_NEEDS = {"qa_1": "squad", "qa_2": "hotpotqa"}


def write_ruler(
    out: Path,
    settings: RulerSettings,
    count: Callable[[str], int],
    sources: Sources,
    *,
    tasks: Sequence[str] = (),
    tokenizer: str = "",
    on_event: OnEvent = ignore_event,
) -> dict[str, Any]:
    """Generate tasks and write them.

    Args:
        out: New or empty folder.
        settings: Length and number.
        count: Tokens of a text.
        sources: Words, essays, questions.
        tasks: Names; none means all thirteen.
        tokenizer: Whose tokens were counted, for the manifest.
        on_event: Hears how far it is.

    Returns:
        The manifest: settings, counts, lengths, and `ruler_like`.

    Raises:
        ConfigError: No such task, or the length is too short for one.
        InputError: `out` holds something, or a file a task needs is missing.
    """
    chosen = list(tasks) or list(TASKS)
    for name in chosen:
        if name not in TASKS:
            raise ConfigError(
                f"RULER has no task {name!r}{nearest(name, TASKS)}; tasks: {', '.join(TASKS)}"
            )
        if name in _NEEDS:
            sources.questions(_NEEDS[name])  # before anything is made
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: holds something already; name a new or empty folder")
    facts: dict[str, Any] = {
        "benchmark": "ruler",
        "converter": f"nanovl {__version__}",
        "tokenizer": tokenizer,
        "settings": asdict(settings),
        "ruler_like": sources.is_ruler_like,
        "wording": "nanovl",
        "tasks": {},
    }
    total = len(chosen) * settings.samples
    done = 0
    try:
        for name in chosen:
            (out / name).mkdir(parents=True, exist_ok=True)
            lengths = []
            with (out / name / "test.jsonl").open("w", encoding="utf-8") as file:
                for record in generate(name, settings, count, sources):
                    file.write(json.dumps(record, ensure_ascii=False) + "\n")
                    lengths.append(int(record["length"]))
                    done += 1
                    on_event(Event(name=f"ruler {name}", done=done, total=total, unit="samples"))
            facts["tasks"][name] = {"samples": len(lengths), "longest": max(lengths)}
        text = json.dumps(facts, indent=2) + "\n"
        (out / "manifest.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error})") from error
    return facts
