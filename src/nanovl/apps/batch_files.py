"""The two files of a batch: requests that are read line by line, answers that are only appended.

A line of answers counts once it is complete on disk. A killed run leaves at most one torn line at
the end, which is taken away before the next one goes on. Knows no model.

Source: OpenAI batch format (input: custom_id, method, url, body; output: response or error).
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from nanovl.core.errors import InputError

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["MAX_LINE_BYTES", "URLS", "Answers", "BadLine", "Request", "read_requests"]

URLS = ("/v1/chat/completions", "/v1/completions")
MAX_LINE_BYTES = 64 << 20
_BREAKS = "\x85\u2028\u2029"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A line of the input.

    Attributes:
        line: Its number, from 1.
        custom_id: What its answer is known by.
        url: One of `URLS`.
        body: As sent to that URL.
    """

    line: int
    custom_id: str
    url: str
    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class BadLine:
    """A line of the input that is no request.

    Attributes:
        line: Its number, from 1.
        code: Reason, for programs.
        message: Reason, for people.
        custom_id: When it has one that no other line has.
    """

    line: int
    code: str
    message: str
    custom_id: str | None = None


def read_requests(path: Path) -> Iterator[Request | BadLine]:
    """Lines of an input file, one at a time.

    Blank lines are passed over. A `custom_id` that was seen before makes a bad line.

    Raises:
        InputError: The file cannot be read.
    """
    seen: set[bytes] = set()
    try:
        with path.open("rb") as file:
            number = 0
            while data := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(data) > MAX_LINE_BYTES:
                    while data and not data.endswith(b"\n"):
                        data = file.readline(MAX_LINE_BYTES)
                    text = f"line {number}: longer than {MAX_LINE_BYTES} bytes"
                    yield BadLine(line=number, code="line_too_long", message=text)
                elif data.strip():
                    yield _parse(data, number, seen)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def _parse(data: bytes, number: int, seen: set[bytes]) -> Request | BadLine:
    def bad(what: str, code: str = "invalid_line", custom_id: str | None = None) -> BadLine:
        message = f"line {number}: {what}"
        return BadLine(line=number, code=code, message=message, custom_id=custom_id)

    try:
        row = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return bad(f"is not JSON ({' '.join(str(error).split())[:200]})", "invalid_json")
    if not isinstance(row, dict):
        return bad(f"expected an object, got {type(row).__name__}")
    custom_id = row.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        return bad("custom_id: expected a text that is not empty", "invalid_custom_id")
    digest = _digest(custom_id)
    if digest in seen:
        return bad(f"custom_id {custom_id[:100]!r} was used before", "duplicate_custom_id")
    seen.add(digest)
    if row.get("method", "POST") != "POST":
        return bad("method: expected POST", custom_id=custom_id)
    if row.get("url") not in URLS:
        return bad(f"url: expected {' or '.join(URLS)}", "invalid_url", custom_id)
    if not isinstance(row.get("body"), dict):
        return bad("body: expected an object", custom_id=custom_id)
    return Request(line=number, custom_id=custom_id, url=row["url"], body=row["body"])


class Answers:
    """The output file: what is in it already, and a place for more.

    Args:
        path: The file; made when it is not there.

    Attributes:
        repaired_bytes: Length of the torn line that was taken away.

    Raises:
        InputError: It cannot be written, another run writes it, or it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done: set[bytes] = set()
        self._bad_lines: set[int] = set()
        try:
            self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        try:
            self._lock()
            self.repaired_bytes = self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """Lines that are complete."""
        return len(self._done) + len(self._bad_lines)

    def has(self, line: Request | BadLine) -> bool:
        """Whether a line of the input has its answer."""
        if line.custom_id is None:
            return line.line in self._bad_lines
        return _digest(line.custom_id) in self._done

    def answer(self, custom_id: str, status: int, body: Mapping[str, Any]) -> None:
        """Append what a request came to.

        Raises:
            InputError: The disk is full, or the file is gone.
        """
        request_id = str(body.get("id") or f"req-{secrets.token_hex(12)}")
        response = {"status_code": status, "request_id": request_id, "body": body}
        self._append(custom_id, {"response": response, "error": None})
        self._done.add(_digest(custom_id))

    def refuse(self, line: BadLine) -> None:
        """Append what is wrong with a line of the input.

        Raises:
            InputError: The disk is full, or the file is gone.
        """
        error = {"code": line.code, "message": line.message, "line": line.line}
        self._append(line.custom_id, {"response": None, "error": error})
        if line.custom_id is None:
            self._bad_lines.add(line.line)
        else:
            self._done.add(_digest(line.custom_id))

    def close(self) -> None:
        """Close the file, which lets other runs write it."""
        self._file.close()

    def _append(self, custom_id: str | None, what: Mapping[str, Any]) -> None:
        row = {"id": f"batch_req_{secrets.token_hex(12)}", "custom_id": custom_id, **what}
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        for mark in _BREAKS:  # many a reader takes them for the end of a line
            text = text.replace(mark, f"\\u{ord(mark):04x}")
        try:
            self._file.write(text.encode("utf-8", "replace") + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be written ({error.strerror}); what is in it is kept, run "
                "the same command again to go on"
            ) from error

    def _lock(self) -> None:
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    f"{self.path}: another run is writing it; wait until it ends"
                ) from None

    def _read(self) -> int:
        """Take note of what is complete and cut off what is not; the length of that."""
        end = 0
        for number, data in enumerate(self._file, start=1):
            is_whole = data.endswith(b"\n")
            if data.strip() and not self._note(data):
                if is_whole:
                    raise InputError(
                        f"{self.path}: line {number} is no line of a batch's answers; pass a file "
                        "that is not there yet"
                    )
                break
            end += len(data)
            if not is_whole:  # all of it but the line break
                self._file.seek(end)
                self._file.write(b"\n")
                end += 1
                break
        torn = self._file.seek(0, os.SEEK_END) - end
        self._file.truncate(end)
        self._file.seek(end)
        return max(0, torn)

    def _note(self, data: bytes) -> bool:
        try:
            row = json.loads(data)
        except ValueError:
            return False
        if not isinstance(row, dict) or not {"response", "error"} <= row.keys():
            return False
        custom_id, error = row.get("custom_id"), row.get("error")
        if isinstance(custom_id, str):
            self._done.add(_digest(custom_id))
            return True
        if isinstance(error, dict) and isinstance(error.get("line"), int):
            self._bad_lines.add(error["line"])
            return True
        return False


def _digest(custom_id: str) -> bytes:
    """Sixteen bytes that stand for an id, so that a million of them take little memory."""
    return hashlib.blake2b(custom_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
