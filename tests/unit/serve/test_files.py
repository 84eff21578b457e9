"""Uploads: kept for their owner, within a quota, for a time; nothing is left of failures."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from nanovl.processing.media import Limits
from nanovl.serve.errors import ApiError
from nanovl.serve.files import Files
from tests.unit.serve.conftest import Serve, Served
from tests.unit.serve.fakes import FakeNanoVL
from tests.unit.serve.live import live, raw
from tests.unit.serve.test_content import png

KEYS = {"api_keys": ("a-key", "b-key")}
A = {"Authorization": "Bearer a-key"}
B = {"Authorization": "Bearer b-key"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


def start(serve: Serve, root: Path, **settings: Any) -> Served:
    media = Limits(allowed_roots=(root,))
    return serve(upload_root=root, media=media, **settings)


def upload(served: Served, data: bytes = b"abc", headers: Any = None, name: str = "a.png") -> Any:
    return served.client.post(
        "/v1/files",
        files={"file": (name, data)},
        data={"purpose": "vision"},
        headers=headers,
    )


def test_a_file_is_uploaded_used_and_removed(serve: Serve, root: Path) -> None:
    served = start(serve, root)
    facts = upload(served, png()).json()
    assert facts["object"] == "file"
    assert facts["bytes"] == len(png())
    assert facts["filename"] == "a.png"
    assert facts["purpose"] == "vision"
    content = [
        {"type": "text", "text": "what?"},
        {"type": "file", "file": {"file_id": facts["id"]}},
    ]
    answer = served.chat(content)
    assert answer.status_code == 200
    assert answer.json()["usage"]["prompt_tokens_details"]["multimodal_tokens"]["image"] > 0
    client = served.client
    assert client.get(f"/v1/files/{facts['id']}").json() == facts
    assert client.get("/v1/files").json()["data"] == [facts]
    got = client.get(f"/v1/files/{facts['id']}/content")
    assert got.content == png()
    assert got.headers["content-disposition"].startswith("attachment")
    assert client.delete(f"/v1/files/{facts['id']}").json()["deleted"]
    assert client.get(f"/v1/files/{facts['id']}").status_code == 404
    assert served.chat(content).status_code == 404
    assert list(root.iterdir()) == []


def test_files_belong_to_their_key(serve: Serve, root: Path) -> None:
    served = start(serve, root, **KEYS)
    file_id = upload(served, png(), A).json()["id"]
    for path in (f"/v1/files/{file_id}", f"/v1/files/{file_id}/content"):
        assert served.client.get(path, headers=A).status_code == 200
        assert served.client.get(path, headers=B).status_code == 404
    assert served.client.delete(f"/v1/files/{file_id}", headers=B).status_code == 404
    assert served.client.get("/v1/files", headers=B).json()["data"] == []
    body = {
        "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": file_id}}]}]
    }
    post = served.client.post
    assert post("/v1/chat/completions", json=body, headers=B).status_code == 404
    assert post("/v1/chat/completions", json=body, headers=A).status_code == 200


@pytest.mark.parametrize(
    "file_id",
    ["../../etc/passwd", "file-1", "file-" + "g" * 32, "..", "file-" + "0" * 32, "%2e%2e%2fx"],
)
def test_ids_are_no_paths(serve: Serve, root: Path, file_id: str) -> None:
    served = start(serve, root)
    (root / "secret.json").write_text(json.dumps({"owner": "", "filename": "x"}))
    assert served.client.get(f"/v1/files/{file_id}").status_code == 404
    assert served.client.get(f"/v1/files/{file_id}/content").status_code == 404
    assert served.client.delete(f"/v1/files/{file_id}").status_code == 404
    part = {"type": "file", "file": {"file_id": file_id}}
    assert served.chat([part]).status_code == 404


def test_names_of_files_are_only_names(serve: Serve, root: Path) -> None:
    served = start(serve, root)
    facts = upload(served, b"x", name="../../evil/a.png").json()
    assert facts["filename"] == "a.png"
    assert all(p.parent == root for p in root.iterdir())


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "multipart/form-data", 415),
        (b"x", "application/json", 415),
        (b"not a form", "multipart/form-data; boundary=b", 400),
        (b"--b\r\n\r\n--b--\r\n", "multipart/form-data; boundary=b", 400),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            b"\r\n--b--\r\n",
            "multipart/form-data; boundary=b",
            400,
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nv\r\n' * 40 + b"--b--\r\n",
            "multipart/form-data; boundary=b",
            400,
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n'
            + b"v" * 100_000
            + b"\r\n--b--\r\n",
            "multipart/form-data; boundary=b",
            400,
        ),
    ],
)
def test_forms_that_cannot_be_used_leave_nothing(
    serve: Serve, root: Path, body: bytes, kind: str, status: int
) -> None:
    served = start(serve, root)
    answer = served.client.post("/v1/files", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["type"]
    assert list(root.iterdir()) == []


def test_size_and_quota(serve: Serve, root: Path) -> None:
    served = start(serve, root, upload_max_bytes=10_000, upload_quota_bytes=15_000)
    assert upload(served, b"x" * 10_001).status_code == 413
    assert list(root.iterdir()) == []
    assert upload(served, b"x" * 10_000).status_code == 200
    answer = upload(served, b"x" * 10_000)
    assert answer.status_code == 507
    assert answer.json()["error"]["type"] == "InsufficientStorageError"
    assert len(list(root.glob("*.bin"))) == 1
    assert not list(root.glob("*.part"))


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    serve: Serve, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = start(serve, root)
    begin = Files.begin

    def full(self: Files) -> Any:
        made = begin(self)
        real = made._out

        class Full:
            def write(self, data: bytes) -> int:
                real.write(data[:10])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(root))

            def flush(self) -> None:
                real.flush()

            def close(self) -> None:
                real.close()

        made._out = Full()  # type: ignore[assignment]
        return made

    monkeypatch.setattr(Files, "begin", full)
    answer = upload(served, b"x" * 100)
    assert answer.status_code == 507
    assert str(root) not in answer.text
    assert "full" in answer.json()["error"]["message"]
    assert list(root.iterdir()) == []
    monkeypatch.undo()
    assert upload(served, b"x" * 100).status_code == 200


def test_a_client_that_leaves_leaves_nothing(root: Path) -> None:
    with live(FakeNanoVL(), upload_root=root) as (port, service):
        head = (
            f"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 100000\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        )
        import socket

        from tests.unit.serve.fakes import wait_for

        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head.encode() + b"x" * 5000)
            assert wait_for(
                lambda: (
                    any(p.stat().st_size for p in root.glob("*.part"))
                    or bool(list(root.glob("*.part")))
                )
            )
        assert wait_for(lambda: not list(root.iterdir()))
        assert wait_for(lambda: not service.rates._uploads)
        assert b"200" in raw(port, b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")


def test_files_end_with_their_time(root: Path) -> None:
    now = [1000.0]
    files = Files(root, quota_bytes=10**6, max_bytes=10**6, ttl_s=60, clock=lambda: now[0])
    made = files.begin()
    made.write(b"x")
    file_id = files.finish(made, "me", "a", "p")["id"]
    for path in root.iterdir():
        os.utime(path, (1000, 1000))
    assert files.facts(file_id, "me")["bytes"] == 1
    now[0] = 1061.0
    with pytest.raises(ApiError) as caught:
        files.facts(file_id, "me")
    assert caught.value.status == 404
    files.sweep()
    assert list(root.iterdir()) == []


def test_what_a_killed_server_left_is_swept(root: Path) -> None:
    root.mkdir()
    for name, age in (("file-old.part", 4000), ("file-new.part", 10)):
        (root / name).write_bytes(b"x")
        stamp = 10_000 - age
        os.utime(root / name, (stamp, stamp))
    Files(root, quota_bytes=100, max_bytes=100, ttl_s=60, clock=lambda: 10_000.0)
    assert [p.name for p in root.iterdir()] == ["file-new.part"]


def test_uploads_can_be_switched_off(serve: Serve) -> None:
    served = serve()
    assert upload(served).status_code == 404
    assert served.client.get("/v1/files").status_code == 404
