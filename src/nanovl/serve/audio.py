"""`/v1/audio/transcriptions`: what is said in a sound file, as text or subtitles.

Source: serving specification, sections 1 and 11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nanovl.core.conversation import MediaRef, TranscriptSegment
from nanovl.core.errors import BackendError, NanoVLError
from nanovl.processing.audio import SAMPLE_RATE, decode_audio
from nanovl.serve.endpoints import json_response
from nanovl.serve.errors import bad_request, media_error, shown
from nanovl.serve.forms import MemorySink, read_form
from nanovl.serve.openapi import multipart
from nanovl.serve.service import Service, owner_of
from nanovl.serve.sse import until_gone

__all__ = ["audio_routes", "subtitles"]

FORMATS = ("json", "text", "srt", "vtt", "verbose_json")


def audio_routes(service: Service) -> APIRouter:
    """Routes bound to a service."""
    router = APIRouter()
    text = {"type": "string"}
    form = multipart(
        {
            "file": {"type": "string", "format": "binary"},
            "model": text,
            "language": text,
            "response_format": {"type": "string", "enum": list(FORMATS)},
        },
        ["file"],
    )

    @router.post("/v1/audio/transcriptions", openapi_extra=form)
    async def transcriptions(request: Request) -> Response:
        """Write down what is said."""
        service.check_open()
        owner = owner_of(request)
        service.rates.request(owner)
        if service.transcriber is None:
            raise BackendError(
                "speech recognition is switched off on this server; start it with --transcriber"
            )
        sink = MemorySink()
        limits = service.nanovl.processor.limits
        with service.rates.upload(owner):
            read = await read_form(
                request,
                sink,
                max_file_bytes=limits.max_audio_bytes,
                seconds=service.settings.limits.body_s,
            )
        wanted = read.one("response_format", "json")
        if wanted not in FORMATS:
            raise bad_request(
                f"response_format: got {shown(wanted)}, expected one of {', '.join(FORMATS)}",
                "response_format",
            )
        granularities = read.fields.get("timestamp_granularities[]", ["segment"])
        if any(g != "segment" for g in granularities):
            raise bad_request(
                "timestamp_granularities: this server has times of segments only",
                "timestamp_granularities",
            )
        language = read.one("language") or None
        if language is not None and not (language.isascii() and language.isalpha()):
            raise bad_request(f"language: got {shown(language)}, expected one like en", "language")
        ref = MediaRef(data=bytes(sink.data), name=read.filename or "sound")

        def work(_: Any) -> tuple[list[TranscriptSegment], float]:
            try:
                samples = decode_audio(ref, limits)
            except NanoVLError as error:
                raise media_error(error, "file") from None
            found = service.transcriber.transcribe(samples, language)
            return list(found), samples.size / SAMPLE_RATE

        segments, seconds = await until_gone(request, service.in_thread(work))
        return _answer(segments, seconds, wanted, language)

    return router


def _answer(
    segments: Sequence[TranscriptSegment], seconds: float, wanted: str, language: str | None
) -> Response:
    text = " ".join(s.text.strip() for s in segments)
    if wanted == "json":
        return json_response({"text": text})
    if wanted == "verbose_json":
        rows = [
            {"id": i, "start": s.start_s, "end": s.end_s, "text": s.text}
            for i, s in enumerate(segments)
        ]
        return json_response(
            {
                "task": "transcribe",
                "language": language or "",
                "duration": seconds,
                "text": text,
                "segments": rows,
            }
        )
    kinds = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}
    body = text + "\n" if wanted == "text" else subtitles(segments, web=wanted == "vtt")
    return Response(body.encode("utf-8", "replace"), media_type=kinds[wanted])


def subtitles(segments: Sequence[TranscriptSegment], *, web: bool = False) -> str:
    """Segments as SRT, or as WebVTT.

    Args:
        segments: In order.
        web: WebVTT instead of SRT.
    """
    blocks = ["WEBVTT\n"] if web else []
    for number, segment in enumerate(segments, start=1):
        times = f"{_stamp(segment.start_s, web)} --> {_stamp(segment.end_s, web)}"
        text = " ".join(segment.text.split()).replace("-->", "->")
        head = "" if web else f"{number}\n"
        blocks.append(f"{head}{times}\n{text}\n")
    return "\n".join(blocks)


def _stamp(seconds: float, web: bool) -> str:
    whole = round(max(0.0, seconds) * 1000)
    minutes, milliseconds = divmod(whole, 60_000)
    hours, minutes = divmod(minutes, 60)
    mark = "." if web else ","
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{mark}{milliseconds % 1000:03d}"
