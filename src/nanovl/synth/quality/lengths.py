"""Whether the loader would take a record, and how many tokens it has.

The tokenizer, the template and the tiles are those of training. Decodes no pixels.

Source: data synthesis specification, section 19; training specification, section 2.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nanovl.core.errors import InputError
from nanovl.data.config import DataConfig
from nanovl.data.drops import Dropped
from nanovl.data.media import MediaStore
from nanovl.data.records import Record
from nanovl.data.stream import StreamItem
from nanovl.synth.quality.config import QualityConfig

if TYPE_CHECKING:
    from nanovl.data.encode import SampleEncoder

__all__ = ["Lengths"]

_FAR = 8  # times the limit: so much longer samples are still counted, not cut


@lru_cache(maxsize=2)
def _encoder(model: str, seq_len: int) -> SampleEncoder:
    # These load torch: only when a length is asked for.
    from nanovl.checkpoint.build import load_processor
    from nanovl.data.encode import SampleEncoder

    shape, processor = load_processor(model)
    config = DataConfig(seq_len=seq_len, align=1, max_tiles=shape.max_num_tiles)
    return SampleEncoder(processor, config)


class Lengths:
    """Encodes records as training does.

    Args:
        config: Says for which model and stage.

    Raises:
        NanoVLError: There is no such model.
    """

    def __init__(self, config: QualityConfig) -> None:
        self._encoder = _encoder(config.model, config.seq_len * _FAR)

    def problem(
        self, record: Mapping[str, Any], store: MediaStore, limit: int
    ) -> tuple[str, str] | None:
        """Rule and message of what is wrong with a record, or None."""
        name = str(record.get("id", ""))
        try:
            checked = Record.from_json(record, where=name)
            item = StreamItem(key=name, record=checked, store=store, source="check", draw=0)
            tokens = self._encoder.encode(item).num_tokens
        except Dropped as error:
            return "unusable", str(error)
        except InputError as error:
            return "malformed", str(error)
        return ("too_long", f"{tokens} tokens, limit {limit}") if tokens > limit else None
