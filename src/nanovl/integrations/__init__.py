"""nanovl inside other people's evaluation harnesses: VLMEvalKit and lmms-eval.

Uses the facade only. Nothing here imports a harness before a harness asks for it; the package can
be imported without any of them. Scores are the harness's business.

Reading order: settings (what a user may set), content (their messages become ours), asking (the
facade answers); then the sub-packages vlmevalkit and lmms_eval.
"""

from __future__ import annotations

__all__: list[str] = []
