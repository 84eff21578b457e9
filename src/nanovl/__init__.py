"""nanovl: the Nemotron Nano V2 VL system in one package.

    import nanovl
    model = nanovl.load()
    print(model.chat("What is the total?", files=["receipt.png"]).text)

Importing this package loads neither torch nor any room; the public names below are resolved on
first use. Reading order of the rooms: core, ops, model, processing, checkpoint, engine, cli.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nanovl.checkpoint.build import load_model as load_model
    from nanovl.core.conversation import Conversation as Conversation, Message as Message
    from nanovl.core.errors import NanoVLError as NanoVLError
    from nanovl.core.generation import (
        Delta as Delta,
        Generation as Generation,
        ReasoningParams as ReasoningParams,
        SamplingParams as SamplingParams,
    )
    from nanovl.engine.vlm import NanoVL as NanoVL, load as load

_HOMES = {
    "Conversation": "nanovl.core.conversation",
    "Delta": "nanovl.core.generation",
    "Generation": "nanovl.core.generation",
    "Message": "nanovl.core.conversation",
    "NanoVL": "nanovl.engine.vlm",
    "NanoVLError": "nanovl.core.errors",
    "ReasoningParams": "nanovl.core.generation",
    "SamplingParams": "nanovl.core.generation",
    "load": "nanovl.engine.vlm",
    "load_model": "nanovl.checkpoint.build",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nanovl' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
