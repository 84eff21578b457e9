"""nanovl inside VLMEvalKit: a model class, an endpoint class, and how the kit learns of them.

    python -m nanovl.integrations.vlmevalkit --data ChartQA_TEST --model nanovl --work-dir OUT

is the kit's own command line with nanovl's classes registered. `NanoVLModel` and `NanoVLEndpoint`
derive from the kit's base classes and exist only where the kit is installed.

Reading order: messages (their rows become ours), model (in this process), endpoint (over HTTP),
register (and the command line in __main__); config.json is an example for `--config`.

Source: evaluation specification, sections 9.1 and 9.3.
"""

from __future__ import annotations

from typing import Any

from nanovl.integrations.vlmevalkit.register import register

__all__ = ["register"]


def __getattr__(name: str) -> Any:
    if name == "NanoVLModel":
        from nanovl.integrations.vlmevalkit.model import model_class

        return model_class()
    if name == "NanoVLEndpoint":
        from nanovl.integrations.vlmevalkit.endpoint import endpoint_class

        return endpoint_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
