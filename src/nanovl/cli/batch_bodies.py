"""Bodies of OpenAI requests answered without a server: the server's planning and writing, no HTTP.

Gives `nanovl.apps.batch` what it cannot import: what a body means.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from nanovl.core.errors import NanoVLError

if TYPE_CHECKING:
    from nanovl.core.generation import Generation
    from nanovl.engine.vlm import NanoVL
    from nanovl.serve.planning import Planned
    from nanovl.serve.settings import ServeSettings

__all__ = ["Bodies"]


class Bodies:
    """Answers request bodies with one model; may be called from several threads.

    Args:
        nanovl: The model.
        settings: What a server would be told.
    """

    def __init__(self, nanovl: NanoVL, settings: ServeSettings) -> None:
        self._nanovl = nanovl
        self._settings = settings
        nanovl.engine.start()

    @classmethod
    def loaded(
        cls, model: str, device: str, quant: str | None, media_root: Path | None, in_flight: int
    ) -> Bodies:
        """Load a model and answer with it."""
        from nanovl.engine.vlm import load
        from nanovl.processing.media import Limits
        from nanovl.serve.settings import ServeSettings

        roots = None if media_root is None else (media_root.resolve(),)
        limits = Limits(allow_remote=True, allowed_roots=roots)
        settings = ServeSettings(model_names=(model,), media_root=media_root)
        slots = max(16, in_flight)
        return cls(load(model, device, quant=quant, limits=limits, max_slots=slots), settings)

    def close(self) -> None:
        """Stop the engine; requests under way fail."""
        self._nanovl.engine.close()

    def __call__(self, url: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to one request."""
        from nanovl.serve.errors import ApiError, api_error, bad_request

        try:
            if body.get("stream"):
                raise bad_request("stream: a batch has no streams; leave it out", "stream")
            return 200, (self._chat if url.endswith("/chat/completions") else self._text)(body)
        except ApiError as error:
            return error.status, error.body
        except NanoVLError as error:
            refused = api_error(error)
            return refused.status, refused.body

    def _chat(self, given: Mapping[str, Any]) -> dict[str, Any]:
        from nanovl.serve.chat import ChatWriter
        from nanovl.serve.planning import Planning
        from nanovl.serve.schema import ChatRequest, validated

        body = validated(ChatRequest, dict(given))
        planned, thinking = Planning(nanovl=self._nanovl, settings=self._settings).chat(body)
        head: Any = _head("chatcmpl")
        writer = ChatWriter(
            body, thinking, planned, head, self._nanovl.tokenizer, model=self._name(body)
        )
        return writer.complete(self._generations(planned))

    def _text(self, given: Mapping[str, Any]) -> dict[str, Any]:
        from nanovl.serve.completions import CompletionWriter
        from nanovl.serve.planning import Planning
        from nanovl.serve.schema import CompletionRequest, validated

        body = validated(CompletionRequest, dict(given))
        plans = Planning(nanovl=self._nanovl, settings=self._settings).completion(body)
        heads: Any = [_head("cmpl")]
        writer = CompletionWriter(
            body, plans, heads, self._nanovl.tokenizer, model=self._name(body)
        )
        return writer.complete([self._generations(plan) for plan in plans])

    def _name(self, body: Any) -> str:
        """The model's name; any name is taken, as files are written for other servers."""
        return str(body.model or self._settings.model_names[0])

    def _generations(self, planned: Planned) -> list[Generation]:
        found: dict[int, Generation] = {}
        for piece in self._nanovl.submit(planned.request):
            if piece.generation is not None:
                found[piece.index] = piece.generation
        return [found[index] for index in sorted(found)]


def _head(kind: str) -> SimpleNamespace:
    """What writers need to know of a request: its name and when it was made."""
    return SimpleNamespace(name=f"{kind}-{secrets.token_hex(16)}", created=int(time.time()))
