"""The LaTeX ground-truth compiler: sources in, pages with every block, box and character out.

Stock LuaLaTeX with hooks, run in a sandbox. Reading order: compile (the whole way), sandbox and
source (before the engine), events and assemble (after it), verify (against the PDF).

Source: data synthesis specification, section 3.
"""

from __future__ import annotations

from nanovl.synth.tex.compile import DocumentResult, PageResult, compile_document
from nanovl.synth.tex.sandbox import Limits

__all__ = ["DocumentResult", "Limits", "PageResult", "compile_document"]
