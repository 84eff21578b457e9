"""Forms with files, read as they arrive: nothing is kept beyond its limit, and nothing in memory
that its receiver did not ask for.

Source: RFC 7578; serving specification, section 16.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from nanovl.serve.errors import ApiError, bad_request

__all__ = ["Form", "MemorySink", "Sink", "read_form"]

MAX_FIELDS = 32
MAX_FIELD_BYTES = 64 << 10
MAX_NAME = 255
# Part headers and boundaries.
OVERHEAD_BYTES = 256 << 10


class Sink(Protocol):
    """Where the bytes of a file go."""

    def write(self, data: bytes) -> None:
        """Take the next bytes; called in a worker thread."""

    def discard(self) -> None:
        """The form turned out to be unusable."""


class MemorySink:
    """Keeps a file in memory."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self.data += data

    def discard(self) -> None:
        """Forget them."""
        self.data.clear()


@dataclass
class Form:
    """What was read.

    Attributes:
        fields: Values by name, in order of arrival.
        filename: Of the file; None when there was none.
        size: Bytes of the file.
    """

    fields: dict[str, list[str]] = field(default_factory=dict)
    filename: str | None = None
    size: int = 0

    def one(self, name: str, default: str = "") -> str:
        """The last value of a field."""
        return self.fields.get(name, [default])[-1]


class _Reader:
    """Callbacks of the parser; collects what has to be written until somebody writes it."""

    def __init__(self, max_file_bytes: int, file_field: str) -> None:
        self.form = Form()
        self.pending = bytearray()
        self._max_file_bytes = max_file_bytes
        self._file_field = file_field
        self._header = [bytearray(), bytearray()]
        self._disposition: dict[bytes, bytes] = {}
        self._value = bytearray()
        self._count = 0

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_header_field": lambda d, a, b: self._header[0].extend(d[a:b]),
            "on_header_value": lambda d, a, b: self._header[1].extend(d[a:b]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
        }

    def _begin(self) -> None:
        self._count += 1
        if self._count > MAX_FIELDS:
            raise bad_request(f"form has more than {MAX_FIELDS} fields")
        self._disposition = {}
        self._value.clear()

    def _header_end(self) -> None:
        name, value = (bytes(part) for part in self._header)
        self._header = [bytearray(), bytearray()]
        if name.lower() == b"content-disposition":
            self._disposition = parse_options_header(value)[1]

    def _headers_finished(self) -> None:
        if self._is_file:
            if self.form.filename is not None:
                raise bad_request("form has more than one file; send one", self._file_field)
            name = self._disposition.get(b"filename", b"").decode("utf-8", "replace")
            self.form.filename = name.replace("\\", "/").rpartition("/")[2][:MAX_NAME]

    @property
    def _name(self) -> str:
        return self._disposition.get(b"name", b"").decode("utf-8", "replace")

    @property
    def _is_file(self) -> bool:
        return self._name == self._file_field

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._value += data[start:end]
            if len(self._value) > MAX_FIELD_BYTES:
                raise bad_request(f"form field {self._name[:40]!r} is too long")
            return
        self.form.size += end - start
        if self.form.size > self._max_file_bytes:
            raise ApiError(
                413, f"file is larger than {self._max_file_bytes} bytes", param=self._file_field
            )
        self.pending += data[start:end]

    def _end(self) -> None:
        if not self._is_file:
            text = self._value.decode("utf-8", "replace")
            self.form.fields.setdefault(self._name, []).append(text)


async def read_form(
    request: Request,
    sink: Sink,
    *,
    max_file_bytes: int,
    seconds: float,
    file_field: str = "file",
) -> Form:
    """Read a form with one file.

    Args:
        request: Its body has not been read.
        sink: Takes the file.
        max_file_bytes: Largest file.
        seconds: Time for the whole form.
        file_field: Name of the field that holds the file.

    Raises:
        ApiError: 415 no form, 413 too large, 408 too slow, 400 malformed or without a file; the
            sink was told to discard what it has.
    """
    most = max_file_bytes + OVERHEAD_BYTES + MAX_FIELDS * MAX_FIELD_BYTES
    received = 0
    try:
        reader = _Reader(max_file_bytes, file_field)
        parser = MultipartParser(_boundary(request), reader.callbacks())  # type: ignore[arg-type]
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared[:20]) > most:
            raise ApiError(413, f"file is larger than {max_file_bytes} bytes", param=file_field)
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                received += len(chunk)
                if received > most:
                    raise ApiError(413, f"form is larger than {most} bytes")
                parser.write(chunk)
                await _write(reader, sink)
        parser.finalize()
        if reader.form.filename is None:
            raise bad_request(f"form has no file in the field {file_field!r}", file_field)
        return reader.form
    except BaseException as error:
        await asyncio.shield(asyncio.to_thread(sink.discard))
        raise _form_error(error, seconds) from None


async def _write(reader: _Reader, sink: Sink) -> None:
    if reader.pending:
        data = bytes(reader.pending)
        reader.pending.clear()
        await asyncio.to_thread(sink.write, data)


def _form_error(error: BaseException, seconds: float) -> BaseException:
    if isinstance(error, FormParserError):
        return bad_request("body is not a form that can be read")
    if isinstance(error, TimeoutError):
        return ApiError(408, f"the form did not arrive within {seconds:g} s")
    if isinstance(error, ClientDisconnect):
        return ApiError(499, "the client left")
    return error


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary: Any = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary or len(boundary) > 256:
        raise ApiError(415, "expected a body of content type multipart/form-data")
    return bytes(boundary)
