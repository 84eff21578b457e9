"""A request as an OpenAI chat completion: messages, data URLs, sampling and budget fields.

Media travels as the original bytes; the transport `vk_http` re-encodes pictures as VLMEvalKit's
HTTP client does, for comparisons. Must not open a connection.

Source: evaluation specification, sections 2.1, 3.3 and 9.1; serving specification, sections 2 to 4.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.base import Medium
from nanovl.evals.requests import Request

__all__ = ["Transport", "chat_body", "check_transport", "data_url", "media_type", "medium_bytes"]

Transport = Literal["original", "vk_http"]

JPEG_QUALITY = 75
SHORTEST_SIDE = 100
# (offset, bytes, type)
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"%PDF-", "application/pdf"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"\x1a\x45\xdf\xa3", "video/webm"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
)
_FALLBACK = {
    "image": "image/png",
    "video": "video/mp4",
    "pdf": "application/pdf",
    "audio": "audio/wav",
}


def check_transport(name: str) -> Transport:
    """A way pictures travel, by name.

    Raises:
        ConfigError: There is no such way.
    """
    for known in get_args(Transport):
        if name == known:
            return known  # type: ignore[no-any-return]
    known_names = get_args(Transport)
    raise ConfigError(
        f"transport {name!r}: expected {', '.join(known_names)}{nearest(name, known_names)}"
    )


def chat_body(request: Request, *, model: str, transport: Transport = "original") -> dict[str, Any]:
    """The JSON of a request.

    Args:
        request: What is asked.
        model: Name the endpoint knows.
        transport: How pictures travel.

    Raises:
        InputError: A medium that cannot be read, or a setting that no endpoint has.
    """
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": request.system})
    messages.append({"role": "user", "content": _content(request, transport)})
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "messages": messages,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
    }
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if request.prompt.prefix:
        messages.append({"role": "assistant", "content": request.prompt.prefix})
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if request.setting.mode.budget is not None:
        body["thinking_token_budget"] = request.setting.mode.budget
    return body | _input_fields(request.setting.options)


def _input_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Changes to the input as vLLM and nanovl's server name them."""
    processor = {
        name: options[ours]
        for ours, name in (("max_tiles", "max_num_tiles"), ("pruning_rate", "video_pruning_rate"))
        if ours in options
    }
    video = {
        name: options[ours]
        for ours, name in (("fps", "fps"), ("max_frames", "num_frames"))
        if ours in options
    }
    for name in ("total_tiles", "image_mode"):
        if name in options:
            raise InputError(
                f"setting {name}={options[name]}: an endpoint has no field for it; use a loaded "
                "model, or start the server with it"
            )
    made: dict[str, Any] = {}
    if processor:
        made["mm_processor_kwargs"] = processor
    if video:
        made["media_io_kwargs"] = {"video": video}
    return made


def _content(request: Request, transport: Transport) -> str | list[dict[str, Any]]:
    parts = request.prompt.content
    if all(isinstance(part, str) for part in parts):
        return request.prompt.text
    return [
        {"type": "text", "text": part} if isinstance(part, str) else _medium(part, transport)
        for part in parts
    ]


def _medium(medium: Medium, transport: Transport) -> dict[str, Any]:
    data = medium_bytes(medium)
    if medium.kind == "image":
        if transport == "vk_http":
            data = _as_jpeg(data, medium.name)
        return {"type": "image_url", "image_url": {"url": data_url(data, "image")}}
    if medium.kind == "video":
        return {"type": "video_url", "video_url": {"url": data_url(data, "video")}}
    if medium.kind == "audio":
        sound = {
            "data": base64.b64encode(data).decode("ascii"),
            "format": media_type(data, "audio").rpartition("/")[2].replace("mpeg", "mp3"),
        }
        return {"type": "input_audio", "input_audio": sound}
    name = medium.name or "document.pdf"
    return {"type": "file", "file": {"file_data": data_url(data, "pdf"), "filename": name}}


def medium_bytes(medium: Medium) -> bytes:
    """The original bytes of a medium.

    Raises:
        InputError: It cannot be read.
    """
    if medium.data is not None:
        return medium.data
    if medium.path is None:
        raise InputError(f"{medium.kind} {medium.name!r}: has neither bytes nor a path")
    try:
        return Path(medium.path).read_bytes()
    except OSError as error:
        raise InputError(
            f"{medium.path}: cannot be read ({error.strerror or error}); is the data folder "
            "complete?"
        ) from error


def media_type(data: bytes, kind: str) -> str:
    """MIME type by the first bytes; where they say nothing, the usual one of the kind."""
    for offset, mark, name in _SIGNATURES:
        if data[offset : offset + len(mark)] == mark:
            return name
    return _FALLBACK[kind]


def data_url(data: bytes, kind: str) -> str:
    """The bytes as a `data:` URL."""
    return f"data:{media_type(data, kind)};base64,{base64.b64encode(data).decode('ascii')}"


def _as_jpeg(data: bytes, name: str) -> bytes:
    """A picture as VLMEvalKit sends it: at least 100 pixels on each side, JPEG of quality 75."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as opened:
            picture = opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{name or 'picture'}: cannot be re-encoded ({error})") from error
    width, height = picture.size
    if min(width, height) < SHORTEST_SIDE:
        scale = SHORTEST_SIDE / min(width, height)
        size = (max(SHORTEST_SIDE, int(width * scale)), max(SHORTEST_SIDE, int(height * scale)))
        picture = picture.resize(size)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
