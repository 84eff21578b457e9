"""nanovl inside lmms-eval: a chat model the harness finds by itself.

    python -m lmms_eval --model nanovl --model_args model=mini --tasks chartqa --batch_size 8

works wherever both packages are installed: nanovl's metadata names `manifests` in the entry-point
group `lmms_eval.models`. `NanoVLChat` derives from the harness' base class and exists only there.

Reading order: messages (their turns become ours), model.

Source: evaluation specification, sections 9.2 and 9.3.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["manifests"]


def manifests() -> list[Any]:
    """What the harness registers: the chat model "nanovl"."""
    registry = importlib.import_module("lmms_eval.models.registry_v2")
    path = "nanovl.integrations.lmms_eval.model.NanoVLChat"
    return [registry.ModelManifest(model_id="nanovl", chat_class_path=path)]
