"""Messages of a request to a `Conversation` whose media is fetched, checked and counted.

Shapes of parts are checked here before anything is fetched; reading them into parts is
`nanovl.engine.messages`, fetching is `nanovl.processing.fetch` under the server's `Limits`. Every
error names the part it is about. Runs in a worker thread, never on the event loop.

Source: serving specification, sections 3 and 16.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from nanovl.core.conversation import (
    AudioPart,
    Conversation,
    DocumentPart,
    ImagePart,
    MediaRef,
    Message,
    Part,
    TextPart,
    VideoPart,
)
from nanovl.core.errors import InputError, NanoVLError
from nanovl.core.layout import TokenLayout
from nanovl.engine.messages import parse_messages
from nanovl.processing.attachments import attach
from nanovl.processing.media import Kind, Limits, localize
from nanovl.serve.errors import ApiError, api_error, bad_request, is_transient, media_error, shown
from nanovl.serve.settings import RequestLimits

__all__ = ["FileStore", "Gatherer", "MediaOptions", "Planner"]

FETCH_TRIES = 3
RETRY_PAUSE_S = 0.2
_KINDS: dict[type, Kind] = {
    ImagePart: "image",
    VideoPart: "video",
    AudioPart: "audio",
    DocumentPart: "document",
}
# Where the options of a part stand, by its type.
_MEDIA_KEYS = (
    "image_url",
    "input_image",
    "video_url",
    "input_video",
    "input_audio",
    "audio_url",
    "pdf_url",
    "file",
    "input_file",
)
_TEXT_KEYS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
_NUMBERS = {
    "fps": (0.0, 1000.0),
    "start_s": (0.0, 1e6),
    "end_s": (0.0, 1e6),
    "max_frames": (1, 100_000),
    "dpi": (18, 1200),
    "pruning_rate": (0.0, 0.999),
    "max_tiles": (1, 64),
}
_WHOLE = frozenset({"max_frames", "dpi", "max_tiles"})
_VIDEO_OPTIONS = ("fps", "max_frames", "start_s", "end_s", "pruning_rate")
_PAGE_OPTIONS = ("pages", "dpi", "max_tiles")


class FileStore(Protocol):
    """Where uploaded files are looked up."""

    def reference(self, file_id: str, owner: str) -> MediaRef:
        """The file of that id that belongs to that key."""


class Planner(Protocol):
    """The part of a processor that opens media."""

    def plan(self, conversation: Conversation) -> TokenLayout:
        """Lay out a prompt without decoding pixels."""


@dataclass(frozen=True, kw_only=True)
class MediaOptions:
    """What a request says about all of its media.

    Attributes:
        overrides: For `NanoVL.plan`: max_tiles, fps, max_frames, pruning_rate.
        speech: Whether the sound of videos is transcribed.
    """

    overrides: Mapping[str, Any] = field(default_factory=dict)
    speech: bool = True


@dataclass(frozen=True, kw_only=True)
class Gatherer:
    """Reads messages and gets their media.

    Attributes:
        limits: What may be opened.
        counts: How many parts there may be.
        planner: Opens media, so that broken media is told from other errors.
        files: Uploaded files, or None.
        owner: Whose files may be used.
        media_root: Folder below which `file:` URLs may point; None refuses them.
        options: Of the request.
        cancelled: Asked between pieces of media.
    """

    limits: Limits
    counts: RequestLimits
    planner: Planner | None = None
    files: FileStore | None = None
    owner: str = ""
    media_root: Path | None = None
    options: MediaOptions = field(default_factory=MediaOptions)
    cancelled: Callable[[], bool] = lambda: False

    def gather(self, messages: Sequence[Mapping[str, Any]]) -> Conversation:
        """The conversation, with every URL replaced by what it points to.

        Raises:
            ApiError: 400 for wrong shapes and counts, 403 for media that is not allowed, 422 for
                media that cannot be used, 502 and 504 when it cannot be fetched now.
        """
        deadline = time.monotonic() + self.counts.media_s
        cleaned, stored = self._checked(messages)
        try:
            conversation = parse_messages(cleaned)
        except InputError as error:
            raise _named(error) from None
        self._check_counts(conversation)
        ready = []
        for m, message in enumerate(conversation.messages):
            content = messages[m].get("content")
            parts = [
                self._ready(
                    part, content, f"messages.{m}.content.{p}", stored.get((m, p)), deadline
                )
                if (m, p) in stored or not isinstance(part, TextPart)
                else part
                for p, part in enumerate(message.parts)
            ]
            ready.append(replace(message, parts=tuple(parts)))
        return replace(conversation, messages=tuple(ready))

    # --- before anything is fetched -------------------------------------------------------------

    def _checked(
        self, messages: Sequence[Mapping[str, Any]]
    ) -> tuple[list[dict[str, Any]], dict[tuple[int, int], str]]:
        """Messages with checked parts, and the ids of stored files by their place."""
        if len(messages) > self.counts.max_messages:
            raise bad_request(
                f"{len(messages)} messages, limit {self.counts.max_messages}", "messages"
            )
        cleaned = []
        stored: dict[tuple[int, int], str] = {}
        for m, message in enumerate(messages):
            where = f"messages.{m}.content"
            content = message.get("content")
            if isinstance(content, list):
                if len(content) > self.counts.max_parts:
                    raise bad_request(
                        f"{where}: {len(content)} parts, limit {self.counts.max_parts}", where
                    )
                parts = []
                for p, part in enumerate(content):
                    file_id = _check_part(part, f"{where}.{p}")
                    if file_id:
                        stored[m, p] = file_id
                        part = {"type": "text", "text": ""}
                    parts.append(_plain(part))
                message = {**message, "content": parts}
            cleaned.append(dict(message))
        return cleaned, stored

    def _check_counts(self, conversation: Conversation) -> None:
        found = Counter(_KINDS[type(p)] for m in conversation.messages for p in m.media)
        for kind, limit in (
            ("image", self.counts.max_images),
            ("video", self.counts.max_videos),
            ("audio", self.counts.max_audios),
            ("document", self.counts.max_documents),
        ):
            if found[kind] > limit:  # type: ignore[index]
                raise bad_request(
                    f"{found[kind]} {kind} parts in one request, limit {limit}",  # type: ignore[index]
                    "messages",
                    "too_many_media",
                )

    # --- fetching and opening -------------------------------------------------------------------

    def _ready(
        self, part: Part, content: Any, where: str, file_id: str | None, deadline: float
    ) -> Part:
        if self.cancelled():
            raise ApiError(499, "the client left")
        item = content[int(where.rpartition(".")[2])] if isinstance(content, list) else {}
        item = item if isinstance(item, Mapping) else {}
        options = _options(item)
        try:
            if file_id is not None:
                if self.files is None:
                    raise ApiError(404, "file uploads are switched off", param=f"{where}.file_id")
                part = self._sniffed(self.files.reference(file_id, self.owner))
            elif isinstance(part, TextPart):
                return part
            else:
                kind = _KINDS[type(part)]
                source = self._localized(part.source, kind, deadline)
                is_file = item.get("type") in ("file", "input_file")
                part = self._sniffed(source) if is_file else replace(part, source=source)
            part = _with_options(part, options, self.options)
            self._open(part)
        except NanoVLError as error:
            raise media_error(error, where) from None
        except ApiError as error:
            raise (
                error
                if error.param
                else ApiError(error.status, error.message, param=where, code=error.code)
            ) from None
        return part

    def _localized(self, ref: MediaRef, kind: Kind, deadline: float) -> MediaRef:
        """What a URL points to; failures that may heal are tried again."""
        if ref.url is None:
            return ref
        if ref.url[:5].lower() == "file:":
            return self._below_root(ref, kind)
        for attempt in range(FETCH_TRIES):
            remaining = deadline - time.monotonic()
            if remaining <= 0 or self.cancelled():
                break
            shorter: Any = {f"{kind}_fetch_s": min(self.limits.fetch_s(kind), remaining)}
            try:
                return localize(ref, kind, replace(self.limits, **shorter))
            except InputError as error:
                if not is_transient(error) or attempt == FETCH_TRIES - 1:
                    raise
            time.sleep(RETRY_PAUSE_S * (attempt + 1))
        raise ApiError(504, f"media was not there within {self.counts.media_s:g} s")

    def _below_root(self, ref: MediaRef, kind: Kind) -> MediaRef:
        """A `file:` URL as a path; where it leads is checked before anything tells if it exists."""
        root = self.media_root
        roots = None if root is None else (root,)
        found = localize(ref, kind, replace(self.limits, allowed_roots=roots))
        assert root is not None
        assert found.path is not None
        try:
            inside = found.path.resolve().is_relative_to(root.resolve())
        except (OSError, RuntimeError, ValueError):
            inside = False
        if not inside:
            raise InputError("files outside the allowed media folder are not opened")
        return found

    def _sniffed(self, ref: MediaRef) -> Part:
        """A part by what the bytes are; declared types of files are hints only."""
        return attach(ref, limits=self.limits)

    def _open(self, part: Part) -> None:
        """Find out now whether media can be used; what is found is remembered by the planner."""
        if self.planner is not None and not isinstance(part, TextPart):
            self.planner.plan(Conversation(messages=(Message(role="user", parts=(part,)),)))


def _check_part(part: Any, where: str) -> str:
    """Check the shape of a part; its file id if it names a stored file.

    Raises:
        ApiError: 400 naming the field.
    """
    if isinstance(part, str):
        return ""
    if not isinstance(part, Mapping):
        raise bad_request(f"{where}: got {shown(part)}, expected an object with a type", where)
    kind = part.get("type")
    if kind is not None and not isinstance(kind, str):
        raise bad_request(f"{where}.type: got {shown(kind)}, expected a string", f"{where}.type")
    if kind == "thinking":
        if not isinstance(part.get("thinking", part.get("text")), str):
            raise bad_request(f"{where}.thinking: expected a string", f"{where}.thinking")
        return ""
    if kind in _TEXT_KEYS:
        return ""
    key = kind or next((k for k in _MEDIA_KEYS if k in part), None)
    if key not in _MEDIA_KEYS:
        known = ", ".join([*_TEXT_KEYS, *_MEDIA_KEYS])
        raise bad_request(
            f"{where}.type: got {shown(kind)}, expected one of {known}", f"{where}.type"
        )
    options = _options(part)
    for name, (low, high) in _NUMBERS.items():
        value = options.get(name)
        if value is None:
            continue
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        whole = name not in _WHOLE or isinstance(value, int)
        if not is_number or not whole or not low <= value <= high or (name == "fps" and not value):
            raise bad_request(
                f"{where}.{key}.{name}: got {shown(value)}, expected "
                f"{'a whole number' if name in _WHOLE else 'a number'} from {low:g} to {high:g}",
                f"{where}.{key}.{name}",
            )
    for name in ("pages", "filename", "file_id", "format"):
        value = options.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > 1024):
            raise bad_request(
                f"{where}.{key}.{name}: got {shown(value)}, expected a string",
                f"{where}.{key}.{name}",
            )
    return str(options.get("file_id") or "") if key in ("file", "input_file") else ""


def _plain(part: Any) -> Any:
    """History reasoning in a part is no answer text; it is left out of the prompt."""
    if isinstance(part, Mapping) and part.get("type") == "thinking":
        return {"type": "text", "text": ""}
    return part


def _options(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that holds the options of a part: under its own key, or the part itself."""
    kind = part.get("type")
    keys = [kind] if isinstance(kind, str) else [k for k in _MEDIA_KEYS if k in part]
    inner = part.get(keys[0]) if keys else None
    return inner if isinstance(inner, Mapping) else part


def _with_options(part: Part, options: Mapping[str, Any], media: MediaOptions) -> Part:
    """The part with what its author asked for beyond the source."""
    changes: dict[str, Any] = {}
    if isinstance(part, VideoPart):
        changes = {k: options[k] for k in _VIDEO_OPTIONS if options.get(k) is not None}
        if not media.speech:
            changes["transcript"] = ()
    elif isinstance(part, DocumentPart):
        changes = {k: options[k] for k in _PAGE_OPTIONS if options.get(k) is not None}
    elif isinstance(part, ImagePart) and options.get("max_tiles") is not None:
        changes = {"max_tiles": options["max_tiles"]}
    return replace(part, **changes) if changes else part


def _named(error: InputError) -> ApiError:
    """The field a message of the parser names; the messages as a whole if it names none."""
    named = api_error(error)
    return bad_request(named.message, named.param or "messages")
