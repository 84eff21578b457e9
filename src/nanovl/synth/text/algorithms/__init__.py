"""Small problems with reference solutions: the docstring is the statement, the body the solution.

Every function is pure, ends for all arguments its domains allow, and is written the way a beginner
could follow line by line. Domains of arguments stand in the decorator (see `problem`).

Reading order: problem (how one is described), numbers, lists, texts, structures.

Source: data synthesis specification, section 14 (at least 80 problem templates).
"""

from __future__ import annotations

from nanovl.synth.text.algorithms import lists, numbers, structures, texts
from nanovl.synth.text.algorithms.problem import PROBLEMS, CodeProblem, draw_arguments

__all__ = ["PROBLEMS", "CodeProblem", "draw_arguments"]

_LOADED = (lists, numbers, structures, texts)
