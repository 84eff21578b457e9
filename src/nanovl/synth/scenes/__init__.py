"""Flat scenes, instruments and geometry figures with questions.

Reading order: shapes, scene, paint (what is seen); programs, families (CLEVR-like questions);
pointing, counting, captions, pairs, puzzles, nesting, symmetry (other tasks on scenes);
instruments; geometry, geometry_tasks; generator.
"""

from __future__ import annotations

__all__: list[str] = []
