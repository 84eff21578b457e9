"""What tests need, ours and those of people who build on nanovl.

    from nanovl.testing import picture, tiny_nanovl
    answer = tiny_nanovl().chat("What is this?", files=[picture()])

Tiny models, media made on the spot, comparisons that say where and how much, and the invariants of
the whole system as one-line assertions. Must not be imported by any other room. Importing this
package loads no model code; names are resolved on first use. Reading order: compare, media,
documents, models, invariants, markers, distributed, training, peers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanovl.processing.tokenizer import byte_tokenizer as byte_tokenizer
    from nanovl.testing.compare import (
        assert_close as assert_close,
        assert_same_tensors as assert_same_tensors,
        max_error as max_error,
    )
    from nanovl.testing.distributed import run_distributed as run_distributed
    from nanovl.testing.documents import pdf as pdf, pdf_bytes as pdf_bytes
    from nanovl.testing.invariants import (
        batched_equals_single as batched_equals_single,
        cached_equals_full as cached_equals_full,
        engine_equals_naive as engine_equals_naive,
        full_logits as full_logits,
        pack_equals_segments as pack_equals_segments,
        predicted_parameters as predicted_parameters,
        predicted_visual_tokens as predicted_visual_tokens,
        save_load_identity as save_load_identity,
        streamed_equals_final as streamed_equals_final,
        training_ids_are_prompt_and_answer as training_ids_are_prompt_and_answer,
    )
    from nanovl.testing.markers import (
        requires_extra as requires_extra,
        requires_gpu as requires_gpu,
    )
    from nanovl.testing.media import (
        picture as picture,
        picture_bytes as picture_bytes,
        video as video,
    )
    from nanovl.testing.models import (
        tiny_config as tiny_config,
        tiny_model as tiny_model,
        tiny_nanovl as tiny_nanovl,
        tiny_processor as tiny_processor,
    )
    from nanovl.testing.training import (
        training_record as training_record,
        training_set as training_set,
    )

_HOMES = {
    "assert_close": "compare",
    "assert_same_tensors": "compare",
    "batched_equals_single": "invariants",
    "byte_tokenizer": "models",
    "cached_equals_full": "invariants",
    "engine_equals_naive": "invariants",
    "full_logits": "invariants",
    "max_error": "compare",
    "pack_equals_segments": "invariants",
    "pdf": "documents",
    "pdf_bytes": "documents",
    "picture": "media",
    "picture_bytes": "media",
    "predicted_parameters": "invariants",
    "predicted_visual_tokens": "invariants",
    "requires_extra": "markers",
    "requires_gpu": "markers",
    "run_distributed": "distributed",
    "save_load_identity": "invariants",
    "streamed_equals_final": "invariants",
    "tiny_config": "models",
    "tiny_model": "models",
    "tiny_nanovl": "models",
    "tiny_processor": "models",
    "training_ids_are_prompt_and_answer": "invariants",
    "training_record": "training",
    "training_set": "training",
    "video": "media",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nanovl.testing' has no attribute {name!r}")
    value = getattr(import_module(f"nanovl.testing.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
