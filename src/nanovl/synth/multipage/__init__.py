"""Documents of many pages, and questions about several pictures at once.

Reading order: draft (what a document says), vocabulary, flowing and bundles (documents of several
kinds), press (as pages), phrases, ask, across, exhibits (questions), generator; album (groups of
pictures), versions, sequences, albumphrases, albums (the generator of several pictures).
"""

from __future__ import annotations

__all__: list[str] = []
