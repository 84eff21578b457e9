"""A VLMEvalKit model that asks an OpenAI-compatible endpoint, such as a served nanovl or vLLM.

Differs from the kit's own HTTP class in three ways that change scores: pictures travel as the bytes
of their file, not as JPEG of quality 75; system texts stay with their row; and an empty answer is
an answer, not a failure to be asked again. Must not import the kit until the class is asked for.

Source: evaluation specification, sections 2.1, 3.3, 4.1 and 9.1.
"""

from __future__ import annotations

import base64
import json
import mimetypes
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nanovl.core.errors import ConfigError, InputError
from nanovl.core.paths import secret
from nanovl.integrations.settings import AskSettings, split_settings
from nanovl.integrations.vlmevalkit.messages import split_row
from nanovl.integrations.vlmevalkit.model import kit_module

__all__ = ["Endpoint", "chat_body", "endpoint_class"]

_DEFAULTS = {
    "off": {"temperature": 0.0, "top_p": 1.0, "max_tokens": 1024},
    "on": {"temperature": 0.6, "top_p": 0.95, "max_tokens": 16384},
}
_SYSTEM = {"off": "/no_think", "on": "/think"}
_PROCESSOR = {"max_tiles": "max_num_tiles", "pruning_rate": "video_pruning_rate"}
_VIDEO = {"fps": "fps", "max_frames": "num_frames"}
_SHOWN_CHARS = 500


class Endpoint:
    """Everything of the endpoint class that is not the kit's.

    Args:
        base_url: Such as http://localhost:8000/v1.
        model: Name the endpoint knows.
        key_env: Environment variable that holds the key, if one is needed.
        video_llm: Whether videos are sent as files; without it the kit sends frames.
        retry, wait, timeout: Tries, seconds between them, seconds for one.
        verbose: Whether the kit logs answers.
        **options: See `nanovl.integrations.settings`, without those of loading.
    """

    INTERLEAVE = True
    VIDEO_LLM = True
    is_api = True

    def __init__(
        self,
        *,
        base_url: str,
        model: str = "nanovl",
        key_env: str = "",
        video_llm: bool = True,
        retry: int = 5,
        wait: int = 3,
        timeout: float = 1800.0,
        verbose: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(retry=retry, wait=wait, verbose=verbose)  # type: ignore[call-arg]
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"base_url: got {base_url!r}, expected one such as http://localhost:8000/v1"
            )
        _, self.ask = split_settings(options, where="nanovl in VLMEvalKit")
        loading = [n for n in options if n not in vars(self.ask)]
        if loading:
            raise ConfigError(f"{', '.join(loading)}: set by the server, not by its client")
        self.VIDEO_LLM = bool(video_llm)
        self.model = model
        self.timeout = timeout
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._key = secret(key_env) if key_env else ""
        if key_env and not self._key:
            raise ConfigError(f"key_env: the environment variable {key_env} is not set")

    def use_custom_prompt(self, dataset: str | None = None) -> bool:
        """The prompts of the kit are used as they are."""
        return False

    def preprocess_message_with_role(
        self, message: list[Mapping[str, Any]]
    ) -> list[Mapping[str, Any]]:
        """System texts stay in their row; the kit would move them to the model for good."""
        return message

    def generate_inner(
        self, inputs: Sequence[Mapping[str, Any]], **kwargs: Any
    ) -> tuple[int, str, str]:
        """Ask once; the kit tries again where the first value is not 0.

        Returns:
            0 or an HTTP status (-1 without one), the answer, and what to log.
        """
        body = chat_body(inputs, model=self.model, ask=self.ask)
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)
        try:
            with _opener().open(request, timeout=self.timeout) as reply:
                data = json.loads(reply.read())
            message = data["choices"][0]["message"]
        except urllib.error.HTTPError as error:
            said = error.read().decode("utf-8", "replace")[:_SHOWN_CHARS]
            return error.code, "", f"HTTP {error.code}: {said}"
        except (OSError, ValueError, LookupError, TypeError) as error:
            return -1, "", f"no answer: {type(error).__name__}: {error}"
        return 0, self._shown(message), ""

    def _shown(self, message: Mapping[str, Any]) -> str:
        answer = message.get("content") or ""
        thought = message.get("reasoning_content") or message.get("reasoning") or ""
        if "</think>" in answer:  # an endpoint that does not take it apart
            head, _, answer = answer.rpartition("</think>")
            thought = thought or head.removeprefix("<think>")
        elif self.ask.reasoning == "on" and answer.lstrip().startswith("<think>"):
            thought, answer = answer, ""  # never finished
        if self.ask.show_reasoning and thought:
            answer = f"<think>{thought}</think>{answer}"
        # The kit takes "" for a failure, asks again, and at last scores its own error text.
        return answer.strip() or " "


def chat_body(
    inputs: Sequence[Mapping[str, Any]], *, model: str, ask: AskSettings
) -> dict[str, Any]:
    """The JSON of a request.

    Raises:
        InputError: A row that cannot be sent, or a medium that cannot be read.
        ConfigError: A setting that no endpoint has a field for.
    """
    if ask.total_tiles is not None:
        raise ConfigError("total_tiles: an endpoint has no field for it; start the server with it")
    system, items = split_row(inputs)
    words = f"{_SYSTEM[ask.reasoning]}\n{system}".strip()
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": words},
            {"role": "user", "content": [_content(item) for item in items]},
        ],
        **_DEFAULTS[ask.reasoning],
        **ask.sampling,
    }
    if body["temperature"] > 0:
        body["seed"] = ask.seed
    if ask.reasoning_budget is not None:
        body["thinking_token_budget"] = ask.reasoning_budget
    media = ask.media
    if processor := {new: media[old] for old, new in _PROCESSOR.items() if old in media}:
        body["mm_processor_kwargs"] = processor
    if video := {new: media[old] for old, new in _VIDEO.items() if old in media}:
        body["media_io_kwargs"] = {"video": video}
    return body


@cache
def endpoint_class() -> type[Endpoint]:
    """`NanoVLEndpoint`, derived from the kit's base class.

    Raises:
        BackendError: VLMEvalKit is not installed.
    """
    base = kit_module("api.base").BaseAPI
    return type("NanoVLEndpoint", (Endpoint, base), {"__module__": __name__})


class _Stay(urllib.request.HTTPRedirectHandler):
    """Redirects are errors: a second address would get the key."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


@cache
def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Stay)


def _content(item: Mapping[str, Any]) -> dict[str, Any]:
    kind, value = item["type"], str(item["value"])
    if kind == "text":
        return {"type": "text", "text": value}
    if kind not in ("image", "video"):
        raise InputError(f"the row holds {kind!r}; an endpoint takes text, image and video")
    if not value.startswith(("http://", "https://", "data:")):
        value = _data_url(Path(value.removeprefix("file://")), kind)
    return {"type": f"{kind}_url", f"{kind}_url": {"url": value}}


def _data_url(path: Path, kind: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    guessed = mimetypes.guess_type(path.name)[0] or ""
    media_type = guessed if guessed.startswith(f"{kind}/") else _signature(data, kind)
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def _signature(data: bytes, kind: str) -> str:
    """For names that say nothing."""
    if kind == "video":
        return "video/mp4"
    return "image/jpeg" if data.startswith(b"\xff\xd8\xff") else "image/png"
