"""Videos made here: moving objects, narrated slides, counters, clocks and traffic lights.

Reading order: encode; timeline, stage, paint, questions, shapes (moving objects); narration,
slides; panels, ticker.
"""

from __future__ import annotations

__all__: list[str] = []
