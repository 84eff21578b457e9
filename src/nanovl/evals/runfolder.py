"""A run on disk: who was asked what under which settings, and every answer as it came.

    RUN/run.json                    model, settings, versions, hardware, manifests of the data
    RUN/<benchmark>/responses.jsonl one line per answer or failure, appended, never rewritten
    RUN/<benchmark>/scores.jsonl    verdicts, rewritten by every scoring
    RUN/<benchmark>/summary.json    the numbers
    RUN/report.md, .html, .json

A process may be killed at any time: a torn last line is dropped, everything before it counts. Two
processes cannot write to one benchmark of a run at a time; the lock is on the file itself and goes
with its holder. Knows nothing about models or metrics.

Source: evaluation specification, sections 3.2 and 11.2.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from nanovl.core.errors import CapacityError, InputError
from nanovl.data.cache import replacing
from nanovl.evals.base import Response
from nanovl.evals.requests import Answered, Failure, Identity

try:
    import fcntl
except ImportError:  # not on Windows: nothing keeps two processes apart there
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "Head",
    "ResponseLog",
    "RunFolder",
    "answer_texts",
    "answered_of",
    "read_log",
    "write_json",
]

FORMAT = 1
Head = dict[str, Any]
_SYNC_S = 1.0
_BLOCK = 1 << 16


class RunFolder:
    """One run.

    Args:
        path: Its folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def head_path(self) -> Path:
        """Where `run.json` is."""
        return self.path / "run.json"

    @property
    def exists(self) -> bool:
        """Whether something was run here."""
        return self.head_path.is_file()

    def head(self) -> Head:
        """What `run.json` says.

        Raises:
            InputError: There is none, or it is damaged.
        """
        try:
            head = json.loads(self.head_path.read_bytes())
        except FileNotFoundError:
            raise InputError(
                f"{self.path}: is no run of nanovl eval (it has no run.json); expected the folder "
                "given to nanovl eval run --out"
            ) from None
        except (OSError, ValueError) as error:
            raise InputError(f"{self.head_path}: cannot be read ({error})") from error
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            found = head.get("format") if isinstance(head, dict) else type(head).__name__
            raise InputError(f"{self.head_path}: format {found}, expected {FORMAT}")
        return head

    def begin(self, identity: Identity, facts: Mapping[str, Any]) -> Head:
        """Write `run.json`, or check that a run that is continued is the same one.

        Args:
            identity: Who answers.
            facts: Everything else worth keeping: versions, hardware, profile.

        Raises:
            InputError: The folder holds a run of another model.
        """
        who = {
            "name": identity.name,
            "weights": identity.weights,
            "key": identity.key,
            **identity.facts,
        }
        if not self.exists:
            head: Head = {
                "format": FORMAT,
                "run": self.path.name,
                "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "model": who,
                "benchmarks": {},
                **facts,
            }
            write_json(self.head_path, head)
            return head
        head = self.head()
        before = head["model"]
        if before["key"] != identity.key:
            raise InputError(
                f"{self.path}: holds answers of {before['name']!r} (key {before['key'][:8]}), got "
                f"{identity.name!r} (key {identity.key[:8]}); a run is of one model with one set "
                "of weights and one precision: give another folder"
            )
        return head

    def add_benchmark(self, name: str, manifest: Mapping[str, Any], facts: Head) -> None:
        """Note where the samples of a benchmark come from.

        Args:
            name: Its id.
            manifest: Files, SHA-256 and counts.
            facts: Further facts: settings, runs, prompts.

        Raises:
            InputError: Answers to other files are there already.
        """
        self.check_manifest(name, manifest)
        head = self.head()
        known = head["benchmarks"].get(name)
        manifest = json.loads(json.dumps(manifest, default=str))
        settings = {**(known or {}).get("settings", {}), **facts.pop("settings", {})}
        made = {**(known or {}), **facts, "manifest": manifest, "settings": settings}
        if made != known:
            head["benchmarks"][name] = made
            write_json(self.head_path, head)

    def check_manifest(self, name: str, manifest: Mapping[str, Any]) -> None:
        """Answers belong to the files they were asked on.

        Raises:
            InputError: Answers to other files are there already.
        """
        known = self.head()["benchmarks"].get(name)
        found = json.loads(json.dumps(manifest, default=str))
        if known is not None and known["manifest"] != found:
            raise InputError(
                f"{self.path}: {name} was run on other files ({_difference(known, found)}); "
                "answers to different data are never mixed: give another folder, or the old data"
            )

    def benchmarks(self) -> list[str]:
        """Benchmarks that were begun, in order."""
        return list(self.head()["benchmarks"])

    def file(self, benchmark: str, name: str) -> Path:
        """A file of a benchmark."""
        return self.path / benchmark / name

    def responses(self, benchmark: str) -> Path:
        """Where the answers are."""
        return self.file(benchmark, "responses.jsonl")

    def log(self, benchmark: str) -> ResponseLog:
        """Answers of a benchmark, to be appended to."""
        return ResponseLog(self.responses(benchmark))


class ResponseLog:
    """`responses.jsonl` while it is written; use as a context manager.

    Args:
        path: The file; made when it is not there.

    Attributes:
        done: Keys that have an answer.
        failed: Keys whose last line is a failure.
        dropped: Bytes of a torn last line that were cut off.

    Raises:
        InputError: A line in the middle is damaged, or the folder cannot be written.
        CapacityError: Another process writes to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.dropped = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
        try:
            self._hold()
            self.dropped = _mend(self._file)
            for line in read_log(path):
                self._note(line)
        except BaseException:
            os.close(self._file)
            raise
        self._synced = time.monotonic()
        self._is_open = True

    def __enter__(self) -> ResponseLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append(self, answered: Answered) -> None:
        """Keep an answer or a failure; one line, one write.

        Raises:
            CapacityError: The disk is full.
        """
        line = _line(answered)
        data = (json.dumps(line, ensure_ascii=False, default=str) + "\n").encode("utf-8", "replace")
        try:
            written = os.write(self._file, data)
            while written < len(data):  # a disk that fills up takes a part
                written += os.write(self._file, data[written:])
            if time.monotonic() - self._synced > _SYNC_S:
                os.fsync(self._file)
                self._synced = time.monotonic()
        except OSError as error:
            raise CapacityError(
                f"{self.path}: an answer cannot be kept ({error.strerror or error}); is the disk "
                "full? What was written is safe, the same command goes on from there"
            ) from error
        self._note(line)

    def texts(self) -> dict[tuple[str, int, str], str]:
        """Answers by setting, run and sample; of several the last one."""
        return answer_texts(self.path)

    def close(self) -> None:
        """Everything to the disk."""
        if self._is_open:
            self._is_open = False
            os.fsync(self._file)
            os.close(self._file)

    def _note(self, line: Mapping[str, Any]) -> None:
        key = line["key"]
        if "error" in line:
            if key not in self.done:
                self.failed.add(key)
        else:
            self.done.add(key)
            self.failed.discard(key)

    def _hold(self) -> None:
        try:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CapacityError(
                f"{self.path}: another process is writing answers here; wait until it is done, or "
                "give another folder"
            ) from None


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of `responses.jsonl`; of several answers with one key the first counts.

    A line that was not finished (the process was killed) is passed over.

    Raises:
        InputError: A line in the middle is no object with a key; names it.
    """
    seen: set[str] = set()
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    with file:
        for number, text in enumerate(file, start=1):
            if not text.strip():
                continue
            line = _parsed(text)
            if line is None:
                if not text.endswith(b"\n"):
                    return
                raise InputError(
                    f"{path}:{number}: is no line of a run (damaged on the disk, or edited); "
                    "delete this line, its question is then asked again"
                )
            if "error" not in line:
                if line["key"] in seen:
                    continue
                seen.add(line["key"])
            yield line


def answer_texts(path: Path) -> dict[tuple[str, int, str], str]:
    """Answers of `responses.jsonl` by setting, run and sample; of several the last one.

    Raises:
        InputError: The file is damaged.
    """
    return {
        (str(line["setting"]), int(line["run"]), str(line["sample"])): str(line["text"])
        for line in read_log(path)
        if "error" not in line
    }


def answered_of(line: Mapping[str, Any]) -> tuple[Response | None, Failure | None]:
    """What a line says, as objects."""
    if "error" in line:
        error = line["error"]
        return None, Failure(
            kind=str(error.get("kind", "")),
            message=str(error.get("message", "")),
            traceback=str(error.get("traceback", "")),
        )
    return (
        Response(
            text=str(line.get("text", "")),
            reasoning=str(line.get("reasoning", "")),
            run=int(line.get("run", 0)),
            finish_reason=str(line.get("finish", "stop")),
            unfinished=bool(line.get("unfinished", False)),
            meta=line.get("meta", {}),
        ),
        None,
    )


def write_json(path: Path, value: Any) -> None:
    """A file that is there completely or not at all.

    Raises:
        InputError: The folder cannot be written.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, default=str, allow_nan=False)
    try:
        with replacing(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8", errors="replace")
            temporary.chmod(0o644)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def _line(answered: Answered) -> dict[str, Any]:
    request, response, failure = answered.request, answered.response, answered.failure
    line: dict[str, Any] = {
        "key": request.key,
        "sample": request.sample,
        "run": request.run,
        "setting": request.setting.label,
        "prompt": request.prompt.hash,
        "media": request.prompt.media_hash,
        "time": round(time.time(), 3),
    }
    if failure is not None:
        line["error"] = vars(failure)
        return line
    assert response is not None
    line |= {
        "text": response.text,
        "reasoning": response.reasoning,
        "finish": response.finish_reason,
        "unfinished": response.unfinished,
        "meta": dict(response.meta),
    }
    return line


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_line = isinstance(line, dict) and isinstance(line.get("key"), str) and "sample" in line
    return line if is_line else None


def _mend(file: int) -> int:
    """Cut off, or complete, a last line without an end; bytes that were dropped."""
    size = os.fstat(file).st_size
    tail = b""
    at = size
    while at > 0 and b"\n" not in tail:
        at = max(0, at - _BLOCK)
        os.lseek(file, at, os.SEEK_SET)
        tail = _read(file, size - at)
    rest = tail.rpartition(b"\n")[2]
    if not rest:
        return 0
    if _parsed(rest) is not None:  # only the line break was lost
        os.write(file, b"\n")
        return 0
    os.ftruncate(file, size - len(rest))
    return len(rest)


def _read(file: int, size: int) -> bytes:
    parts = []
    while size > 0 and (part := os.read(file, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _difference(known: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """Which parts of two manifests differ, in words."""
    before = known["manifest"]
    names = [n for n in {**before, **manifest} if before.get(n) != manifest.get(n)]
    shown = [
        f"{n}: {json.dumps(before.get(n))[:80]} then, {json.dumps(manifest.get(n))[:80]} now"
        for n in names[:3]
    ]
    return "; ".join(shown)
