"""An endpoint on this machine that answers as it is told, and counts what it is asked."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]


@dataclass
class Say:
    """One reply.

    Attributes:
        text: Of the assistant.
        reasoning: In a field of its own.
        finish: Reason.
        status: 200 makes a chat completion of the text, anything else an error with it.
        headers: Further ones.
        raw: Sent instead of any JSON.
        cut: Bytes at the end that are announced and never sent.
        hang: Say nothing until this is set, then close the connection.
        usage: Tokens in and out; None leaves them out.
    """

    text: str = ""
    reasoning: str = ""
    finish: str = "stop"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    cut: int = 0
    hang: threading.Event | None = None
    usage: tuple[int, int] | None = (100, 10)

    def body(self) -> bytes:
        """What is sent."""
        if self.raw is not None:
            return self.raw
        if self.status != 200:
            return json.dumps({"error": {"message": self.text or "no"}}).encode()
        message: Body = {"role": "assistant", "content": self.text}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        data: Body = {
            "model": "stub",
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish}],
        }
        if self.usage is not None:
            data["usage"] = dict(
                zip(("prompt_tokens", "completion_tokens"), self.usage, strict=True)
            )
        return json.dumps(data).encode()


class Stub:
    """The endpoint.

    Args:
        answer: From the request's body and how often just this body was asked before, to a reply.
    """

    def __init__(self, answer: Callable[[Body, int], Say]) -> None:
        self.answer = answer
        self.asked: Counter[str] = Counter()
        self.bodies: list[Body] = []
        self.keys: list[str | None] = []
        self.answered: list[str] = []
        self.asked_again: list[str] = []  # though they had been answered
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self.url = ""

    @property
    def count(self) -> int:
        """Requests so far."""
        return self.asked.total()

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """One request."""
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        with self._lock:
            before = self.asked[key]
            self.asked[key] += 1
            if key in self.answered:
                self.asked_again.append(key)
            self.bodies.append(body)
            self.keys.append(handler.headers.get("Authorization"))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            say = self.answer(body, before)
        finally:
            # Before the reply goes out: who has read it may ask again at once.
            with self._lock:
                self._at_once -= 1
        try:
            if say.hang is not None:
                say.hang.wait(60)
                return
            data = say.body()
            handler.send_response(say.status)
            handler.send_header("Content-Length", str(len(data) + say.cut))
            for name, value in say.headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(data)
            with self._lock:
                self.answered.append(key)
        except OSError:
            pass  # the client was killed


@contextmanager
def serving(answer: Callable[[Body, int], Say]) -> Iterator[Stub]:
    """A stub on a port of its own."""
    stub = Stub(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            stub.handle(self)
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def system_of(body: Body) -> str:
    """Text of the system message."""
    return str(body["messages"][0]["content"]) if body["messages"][0]["role"] == "system" else ""


def user_of(body: Body) -> str:
    """Text of the first user message."""
    for message in body["messages"]:
        if message["role"] == "user":
            content = message["content"]
            if isinstance(content, str):
                return content
            return "".join(part.get("text", "") for part in content)
    return ""


# --- a model that can read ----------------------------------------------------------------------

FACT = re.compile(r"The (\w+) of ([\w ]+?) is ([^\n]+?)\.(?=\s|$)")


def kind_of(body: Body) -> str:
    """Which of our prompts this is: "write", "answer", "blind", "judge", "probe" or "other"."""
    system = system_of(body)
    for start, kind in (
        ("You write question-answer", "write"),
        ("You answer a question about", "answer"),
        ("You are asked a question", "blind"),
        ("You compare two answers", "judge"),
        ("Translate", "translate"),
    ):
        if system.startswith(start):
            return kind
    return "probe" if '{"ok": true}' in user_of(body) else "other"


def pair(question: str, answer: str, **more: Any) -> Body:
    """A pair as the model writes it."""
    made = {
        "question": question,
        "answer": answer,
        "answer_kind": "number" if answer.isdigit() else "text",
        "type": "extractive",
        "difficulty": "easy",
        "evidence": [],
        "pages": [],
    }
    return {**made, **more}


def reader(body: Body, before: int = 0) -> Say:
    """Writes a pair per fact of the document, and answers by looking facts up."""
    kind, user = kind_of(body), user_of(body)
    if kind == "probe":
        return Say('{"ok": true}')
    facts = FACT.findall(user)
    if kind == "write":
        pairs = [
            pair(
                f"What is the {what} of {who}?", value, evidence=[f"The {what} of {who} is {value}"]
            )
            for what, who, value in facts
        ]
        return Say(json.dumps({"pairs": pairs}))
    if kind in ("answer", "blind"):
        question = user.rpartition("Question: ")[2]
        for what, who, value in facts:
            if f"the {what} of {who}?" in question:
                return Say(json.dumps({"answer": value, "known": True}))
        return Say(json.dumps({"answer": "not stated", "known": False}))
    if kind == "judge":
        return Say('{"same": false}')
    return Say("?")
