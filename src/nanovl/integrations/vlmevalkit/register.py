"""VLMEvalKit learns of nanovl without a line of it being changed.

The kit finds model names in one table, and class names of a `--config` file in two of its modules;
both get entries. Must not be undone: a run of the kit is a process of its own.

Source: evaluation specification, sections 9.1 and 9.3.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from nanovl.integrations.vlmevalkit.endpoint import endpoint_class
from nanovl.integrations.vlmevalkit.model import kit_module, model_class

__all__ = ["MODELS", "register", "run"]

MODELS: dict[str, dict[str, Any]] = {
    "nanovl": {"model": "mini"},
    "nanovl-reasoning": {"model": "mini", "reasoning": "on"},
}


def register() -> None:
    """Add `NanoVLModel`, `NanoVLEndpoint` and the names of `MODELS` to the kit.

    Raises:
        BackendError: VLMEvalKit is not installed.
    """
    model, endpoint = model_class(), endpoint_class()
    kit_module("vlm").NanoVLModel = model
    kit_module("api").NanoVLEndpoint = endpoint
    table = kit_module("config").supported_VLM
    for name, options in MODELS.items():
        table[name] = partial(model, **options)


def run() -> None:
    """The kit's own command line, with the arguments of this process.

    Raises:
        BackendError: VLMEvalKit is not installed.
    """
    register()
    kit_module("run").main()
