"""Made-up functions for tool calling: 120 in 20 domains, with schemas, wordings and back ends.

Must not build dialogues: `tools` does.

Reading order: kinds (values of arguments), function (one function), everyday, work, world (their
simulated state).

Source: data synthesis specification, section 16.
"""

from __future__ import annotations

from nanovl.synth.text.apis.everyday import EVERYDAY
from nanovl.synth.text.apis.function import Function
from nanovl.synth.text.apis.work import WORK
from nanovl.synth.text.apis.world import World

__all__ = ["DOMAINS", "FUNCTIONS", "Function", "World"]

DOMAINS: dict[str, tuple[Function, ...]] = {**EVERYDAY, **WORK}
FUNCTIONS: dict[str, Function] = {f.name: f for fs in DOMAINS.values() for f in fs}
