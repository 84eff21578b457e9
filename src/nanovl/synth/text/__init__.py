"""Text samples made here: problems, code, long contexts, tool calls and instructions.

No generator here needs anything but Python; `code` starts isolated child interpreters.

Reading order: wording and forms (shared words and prompts); maths (steps, stories); expressions
(polynomials, problems_algebra, problems_discrete); code (algorithms, programs, mutations, stepping,
sandbox with child, code_check, code_banks); longctx (haystacks, longctx_needles, longctx_tables);
tools (apis, tool_check, tool_banks); instructions (constraints).
"""

from __future__ import annotations

__all__: list[str] = []
