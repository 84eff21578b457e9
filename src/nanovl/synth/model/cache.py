"""Answers of an endpoint on disk: what was answered once is never asked again.

One SQLite file. Every answer is committed before anybody sees it, so a process may be killed at
any time and the next one goes on from there. The key is a hash of the whole request (model,
messages, pictures, settings); the address of the endpoint is no part of it, since servers move.
Must not send anything, and never sees the key of the endpoint.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanovl.core.errors import InputError

__all__ = ["AnswerCache", "Completion", "request_key"]

_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, text TEXT NOT NULL, reasoning TEXT NOT NULL,
    finish TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    is_estimate INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = "model, text, reasoning, finish, prompt_tokens, completion_tokens, is_estimate"


@dataclass(frozen=True, kw_only=True)
class Completion:
    """An answer.

    Attributes:
        text: What was said.
        reasoning: What was thought, where the endpoint gives it apart.
        finish: "stop", "length", ...
        prompt_tokens, completion_tokens: As the endpoint counts.
        is_estimate: The endpoint did not say; four bytes were taken as a token.
        model: Name the endpoint gives.
    """

    text: str
    reasoning: str = ""
    finish: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    is_estimate: bool = False
    model: str = ""


def request_key(body: Mapping[str, Any], sample: int = 0) -> str:
    """SHA-256 of a request.

    Args:
        body: All of it, JSON-able.
        sample: Which of several answers to the same request.
    """
    text = json.dumps(
        {"request": body, "sample": sample}, sort_keys=True, separators=(",", ":"), default=str
    )
    return hashlib.sha256(text.encode()).hexdigest()


class AnswerCache:
    """The file; for many threads.

    Args:
        path: Made when it is not there; None keeps everything in memory.

    Raises:
        InputError: The file is something else, or cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._closed = False
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                ":memory:" if path is None else path, timeout=60.0, check_same_thread=False
            )
            with self._database:
                self._database.executescript(_TABLES)
            self._database.execute(f"SELECT {_COLUMNS} FROM answers LIMIT 0")
            found = self.fact("version")
            if not found:
                self.set_fact("version", str(_VERSION))
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                f"{path}: cannot be used as a file of answers ({error}); name another one"
            ) from error
        if found not in ("", str(_VERSION)):
            raise InputError(
                f"{path}: holds answers in version {found}, expected {_VERSION}; name another file"
            )

    def get(self, key: str) -> Completion | None:
        """The answer to a request, None when it was not asked yet."""
        with self._lock:
            row = self._database.execute(
                f"SELECT {_COLUMNS} FROM answers WHERE key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        model, text, reasoning, finish, prompt, completion, is_estimate = row
        return Completion(
            model=model,
            text=text,
            reasoning=reasoning,
            finish=finish,
            prompt_tokens=prompt,
            completion_tokens=completion,
            is_estimate=bool(is_estimate),
        )

    def put(self, key: str, answer: Completion) -> None:
        """Keep an answer; on disk when this returns.

        Raises:
            InputError: The disk is full, or the file was taken away.
        """
        values = (
            key,
            answer.model,
            answer.text,
            answer.reasoning,
            answer.finish,
            answer.prompt_tokens,
            answer.completion_tokens,
            int(answer.is_estimate),
        )
        self._write(f"INSERT OR REPLACE INTO answers (key, {_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)",
                    values)  # fmt: skip

    def fact(self, name: str) -> str:
        """Something learned about an endpoint, "" when unknown."""
        with self._lock:
            row = self._database.execute(
                "SELECT value FROM facts WHERE name = ?", (name,)
            ).fetchone()
        return "" if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        """Remember something about an endpoint."""
        self._write("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))

    def tokens(self) -> tuple[int, int]:
        """Tokens in and out of all answers."""
        with self._lock:
            row = self._database.execute(
                "SELECT COALESCE(SUM(prompt_tokens), 0), COALESCE(SUM(completion_tokens), 0) "
                "FROM answers"
            ).fetchone()
        return int(row[0]), int(row[1])

    def __len__(self) -> int:
        with self._lock:
            return int(self._database.execute("SELECT count(*) FROM answers").fetchone()[0])

    def close(self) -> None:
        """Close the file; answers that come later are not kept."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._database.close()

    def __del__(self) -> None:
        database = getattr(self, "_database", None)
        if database is not None:
            database.close()

    def _write(self, statement: str, values: tuple[Any, ...]) -> None:
        with self._lock:
            if self._closed:
                return
            try:
                with self._database:
                    self._database.execute(statement, values)
            except sqlite3.Error as error:
                raise InputError(
                    f"{self.path}: an answer cannot be kept ({error}); is the disk full?"
                ) from error
