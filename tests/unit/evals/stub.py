"""An endpoint on this machine that answers as it is told, counts what it is asked, and streams."""

from __future__ import annotations

import hashlib
import json
import threading
import time
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
        text: Of the assistant; with `stream` in the request it comes word by word.
        reasoning: In a field of its own.
        finish: Reason.
        status: 200 makes a chat completion of the text, anything else an error with it.
        headers: Further ones.
        raw: Sent instead of any JSON.
        cut: Bytes at the end that are announced and never sent.
        hang: Say nothing until this is set, then close the connection.
        usage: Tokens in and out, and of reasoning; None leaves them out.
        first_s, next_s: Of a stream: seconds before the first and between the others.
    """

    text: str = ""
    reasoning: str = ""
    finish: str = "stop"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    cut: int = 0
    hang: threading.Event | None = None
    usage: tuple[int, ...] | None = (100, 10)
    first_s: float = 0.0
    next_s: float = 0.0

    def usage_json(self) -> Body | None:
        """Token counts as the protocol has them."""
        if self.usage is None:
            return None
        made: Body = {"prompt_tokens": self.usage[0], "completion_tokens": self.usage[1]}
        if len(self.usage) > 2:
            made["completion_tokens_details"] = {"reasoning_tokens": self.usage[2]}
        return made

    def body(self) -> bytes:
        """What is sent when it is not streamed."""
        if self.raw is not None:
            return self.raw
        if self.status != 200:
            return json.dumps({"error": {"message": self.text or "no"}}).encode()
        message: Body = {"role": "assistant", "content": self.text}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        data: Body = {"model": "stub", "choices": [choice]}
        if self.usage is not None:
            data["usage"] = self.usage_json()
        return json.dumps(data).encode()


class Stub:
    """The endpoint.

    Args:
        answer: From the request's body and how often just this body was asked before, to a reply.

    Attributes:
        asked: Requests by body.
        bodies: All of them, in order.
        keys: Authorization headers.
        answered: Bodies whose reply was sent completely.
        most_at_once: Requests being answered at one time.
    """

    def __init__(self, answer: Callable[[Body, int], Say]) -> None:
        self.answer = answer
        self.asked: Counter[str] = Counter()
        self.bodies: list[Body] = []
        self.keys: list[str | None] = []
        self.answered: Counter[str] = Counter()
        self.most_at_once = 0
        self.url = ""
        self._at_once = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Requests so far."""
        return self.asked.total()

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        """One request."""
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        key = hash_of(body)
        with self._lock:
            before = self.asked[key]
            self.asked[key] += 1
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
            if body.get("stream") and say.status == 200 and say.raw is None:
                _stream(handler, say, body)
            else:
                _whole(handler, say)
            with self._lock:
                self.answered[key] += 1
        except OSError:
            pass  # the client was killed


def hash_of(body: Body) -> str:
    """A name for a request."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _whole(handler: BaseHTTPRequestHandler, say: Say) -> None:
    data = say.body()
    handler.send_response(say.status)
    handler.send_header("Content-Length", str(len(data) + say.cut))
    for name, value in say.headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)


def _stream(handler: BaseHTTPRequestHandler, say: Say, body: Body) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()

    def event(data: Any) -> None:
        text = data if isinstance(data, str) else json.dumps(data)
        handler.wfile.write(f"data: {text}\n\n".encode())
        handler.wfile.flush()

    def delta(**fields: Any) -> Body:
        finish = fields.pop("finish", None)
        return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}

    event(delta(role="assistant", content=""))
    time.sleep(say.first_s)
    for number, word in enumerate(say.text.split(" ")):
        if number:
            time.sleep(say.next_s)
        event(delta(content=word + " "))
    event(delta(finish=say.finish))
    if (body.get("stream_options") or {}).get("include_usage") and say.usage is not None:
        event({"choices": [], "usage": say.usage_json()})
    event("[DONE]")


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


def user_of(body: Body) -> str:
    """Text of the first user message."""
    for message in body["messages"]:
        if message["role"] == "user":
            content = message["content"]
            if isinstance(content, str):
                return content
            return "".join(part.get("text", "") for part in content)
    return ""
