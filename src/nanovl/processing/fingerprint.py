"""Names for what the encoder will see: equal media, processed equally, has equal names.

A name covers the content and every parameter that reaches the pixels, so that results may be kept
under it. Decodes nothing.

Source: serving specification, section 7.6 (a hash that ignores the shape mixes pictures up).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from nanovl.core.conversation import MediaRef
from nanovl.core.layout import MediaSpan
from nanovl.processing.sizing import ImagePlan

__all__ = ["fingerprint"]


def fingerprint(span: MediaSpan, processor: str) -> bytes | None:
    """The name of one planned picture or video.

    Args:
        span: From `Processor.plan`.
        processor: Whatever else shapes pixels: mean, background, interpolation.

    Returns:
        32 bytes, or None where the content cannot be named (a file that is gone).
    """
    plan = span.source
    content = _content(plan.opened.ref)
    if content is None:
        return None
    facts: tuple[Any, ...] = (processor, span.kind, span.tiles, span.tile_size, span.grid)
    if isinstance(plan, ImagePlan):
        facts += (plan.cut, plan.opened.page, plan.opened.dpi, plan.opened.width)
        facts += (plan.opened.height,)
    else:
        facts += (plan.indices, span.num_tokens, span.pruning_rate)
    return hashlib.sha256(content + repr(facts).encode()).digest()


def _content(ref: MediaRef) -> bytes | None:
    """Hash of the content, or of what identifies an unchanged file."""
    if ref.data is not None:
        return hashlib.sha256(ref.data).digest()
    if ref.array is not None:
        digest = hashlib.sha256()
        frames = ref.array
        for frame in frames if isinstance(frames, Sequence) else [frames]:
            pixels = np.asarray(frame)
            mode = getattr(frame, "mode", "")
            digest.update(f"{mode} {pixels.dtype} {pixels.shape};".encode())
            digest.update(np.ascontiguousarray(pixels).data)
        return digest.digest()
    if ref.path is None:
        return None
    try:
        facts = ref.path.stat()
    except (OSError, ValueError):
        return None
    place = (str(ref.path.absolute()), ref.byte_range, facts.st_mtime_ns, facts.st_size)
    return hashlib.sha256(repr((*place, facts.st_ino)).encode()).digest()
