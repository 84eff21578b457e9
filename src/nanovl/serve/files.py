"""`/v1/files`: upload once, use often. A quota for all, a lifetime for each, nothing left behind.

Every file is two files in one folder: its bytes and a small JSON beside them, written under another
name and renamed when complete, so that several processes can share the folder. A key sees its own
files only.

Source: serving specification, sections 1 and 16.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import APIRouter, Request
from starlette.responses import Response

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import ConfigError
from nanovl.serve.endpoints import json_response
from nanovl.serve.errors import ApiError
from nanovl.serve.forms import read_form
from nanovl.serve.openapi import multipart
from nanovl.serve.service import Service, owner_of

__all__ = ["Files", "file_routes"]

logger = logging.getLogger(__name__)

FILE_ID = re.compile(r"file-[0-9a-f]{32}")
STALE_PART_S = 3600.0
MAX_PURPOSE = 64


class Files:
    """Uploaded files in a folder.

    Args:
        root: Folder; made if it is missing.
        quota_bytes: Of all files together.
        max_bytes: Of one file.
        ttl_s: Seconds a file is kept.
        clock: Seconds since the epoch.

    Raises:
        ConfigError: The folder cannot be made.
    """

    def __init__(
        self,
        root: Path,
        *,
        quota_bytes: int,
        max_bytes: int,
        ttl_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self._quota_bytes = quota_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = threading.Lock()
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(
                f"upload folder {root}: cannot be made ({error.strerror}); name another one"
            ) from error
        self.sweep()

    # --- writing --------------------------------------------------------------------------------

    def begin(self) -> Upload:
        """Room for a new file.

        Raises:
            ApiError: 507, the disk or the quota is full.
        """
        self.sweep()
        file_id = f"file-{secrets.token_hex(16)}"
        try:
            return Upload(self, file_id, (self.root / f"{file_id}.part").open("xb"))
        except OSError as error:
            raise storage_error(error) from None

    def check_room(self) -> None:
        """Refuse more bytes beyond the quota; unfinished files count.

        Raises:
            ApiError: 507.
        """
        used = sum(_size(path) for path in self.root.iterdir())
        if used > self._quota_bytes:
            raise ApiError(507, "the space for uploads is used up; delete files, or retry later")

    def sweep(self) -> None:
        """Remove what is too old, and what interrupted uploads left."""
        now = self._clock()
        for path in self.root.iterdir():
            kept_s = STALE_PART_S if path.suffix == ".part" else self._ttl_s
            with contextlib.suppress(OSError):
                if now - path.stat().st_mtime > kept_s:
                    path.unlink()

    def finish(self, upload: Upload, owner: str, filename: str, purpose: str) -> dict[str, Any]:
        """Make a complete upload visible."""
        facts = {
            "id": upload.file_id,
            "object": "file",
            "bytes": upload.size,
            "created_at": int(self._clock()),
            "filename": filename,
            "purpose": purpose,
        }
        try:
            upload.close()
            part = self.root / f"{upload.file_id}.part"
            beside = self.root / f"{upload.file_id}.json.part"
            beside.write_text(json.dumps({**facts, "owner": owner}), encoding="utf-8")
            part.rename(self.root / f"{upload.file_id}.bin")
            beside.rename(self.root / f"{upload.file_id}.json")
        except OSError as error:
            upload.discard()
            raise storage_error(error) from None
        return facts

    # --- reading --------------------------------------------------------------------------------

    def facts(self, file_id: str, owner: str) -> dict[str, Any]:
        """What is known about a file.

        Raises:
            ApiError: 404, no such file for that key.
        """
        facts = self._read(file_id) if FILE_ID.fullmatch(file_id) else None
        if facts is None or facts.pop("owner") != owner:
            raise ApiError(404, "no such file; upload it again", param="file_id")
        return facts

    def listed(self, owner: str) -> list[dict[str, Any]]:
        """All files of a key, newest first."""
        found = [self._read(path.stem) for path in self.root.glob("file-*.json")]
        own = [f for f in found if f is not None and f.pop("owner") == owner]
        return sorted(own, key=lambda f: (-f["created_at"], f["id"]))

    def path(self, file_id: str, owner: str) -> Path:
        """Where the bytes are.

        Raises:
            ApiError: 404.
        """
        self.facts(file_id, owner)
        return self.root / f"{file_id}.bin"

    def reference(self, file_id: str, owner: str) -> MediaRef:
        """The file for a message.

        Raises:
            ApiError: 404.
        """
        facts = self.facts(file_id, owner)
        return MediaRef(path=self.root / f"{file_id}.bin", name=facts["filename"] or file_id)

    def delete(self, file_id: str, owner: str) -> None:
        """Remove a file.

        Raises:
            ApiError: 404.
        """
        path = self.path(file_id, owner)
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    def _read(self, file_id: str) -> dict[str, Any] | None:
        path = self.root / f"{file_id}.json"
        try:
            if self._clock() - path.stat().st_mtime > self._ttl_s:
                return None
            facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return facts


class Upload:
    """A file that is being written."""

    CHECK_BYTES = 4 << 20

    def __init__(self, files: Files, file_id: str, out: BinaryIO) -> None:
        self.file_id = file_id
        self.size = 0
        self._files = files
        self._out = out
        self._unchecked = self.CHECK_BYTES

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            ApiError: 507, disk or quota full.
        """
        try:
            self._out.write(data)
            self.size += len(data)
            self._unchecked += len(data)
            if self._unchecked >= self.CHECK_BYTES:
                self._unchecked = 0
                self._out.flush()
                self._files.check_room()
        except OSError as error:
            raise storage_error(error) from None

    def close(self) -> None:
        """Everything on disk, within the quota."""
        self._out.flush()
        self._files.check_room()
        self._out.close()

    def discard(self) -> None:
        """Leave nothing."""
        with contextlib.suppress(OSError):
            self._out.close()
        for name in (f"{self.file_id}.part", f"{self.file_id}.json.part", f"{self.file_id}.bin"):
            with contextlib.suppress(OSError):
                (self._files.root / name).unlink()


def file_routes(service: Service) -> APIRouter:
    """Routes bound to a service; without a folder they say that uploads are switched off."""
    router = APIRouter()

    def files() -> Files:
        if service.files is None:
            raise ApiError(404, "file uploads are switched off on this server")
        store: Files = service.files
        return store

    form = multipart(
        {"file": {"type": "string", "format": "binary"}, "purpose": {"type": "string"}}, ["file"]
    )

    @router.post("/v1/files", openapi_extra=form)
    async def create(request: Request) -> Response:
        """Upload a file."""
        service.check_open()
        store, owner = files(), owner_of(request)
        service.rates.request(owner)
        with service.rates.upload(owner):
            upload = await asyncio.to_thread(store.begin)
            read = await read_form(
                request,
                upload,
                max_file_bytes=store.max_bytes,
                seconds=service.settings.limits.body_s,
            )
            purpose = read.one("purpose", "user_data")[:MAX_PURPOSE]
            if not read.size:
                upload.discard()
                raise ApiError(400, "the file is empty", param="file")
            try:
                facts = await asyncio.to_thread(
                    store.finish, upload, owner, read.filename or "", purpose
                )
            except ApiError:
                upload.discard()
                raise
        return json_response(facts)

    @router.get("/v1/files")
    async def listing(request: Request) -> Response:
        """All files of this key."""
        data = await asyncio.to_thread(files().listed, owner_of(request))
        return json_response({"object": "list", "data": data, "has_more": False})

    @router.get("/v1/files/{file_id}")
    async def facts(request: Request, file_id: str) -> Response:
        """What is known about a file."""
        return json_response(files().facts(file_id, owner_of(request)))

    @router.delete("/v1/files/{file_id}")
    async def delete(request: Request, file_id: str) -> Response:
        """Remove a file."""
        await asyncio.to_thread(files().delete, file_id, owner_of(request))
        return json_response({"id": file_id, "object": "file", "deleted": True})

    @router.get("/v1/files/{file_id}/content")
    async def content(request: Request, file_id: str) -> Response:
        """The bytes, always as a download."""
        path = files().path(file_id, owner_of(request))
        data = await asyncio.to_thread(_bytes, path)
        headers = {"Content-Disposition": f'attachment; filename="{file_id}"'}
        return Response(data, media_type="application/octet-stream", headers=headers)

    return router


def storage_error(error: OSError) -> ApiError:
    """A disk that does not take a file."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ApiError(507, "the disk for uploads is full; retry later")
    logger.error("upload failed: %s", os.strerror(error.errno or 0))
    return ApiError(507, "the upload cannot be stored")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise ApiError(404, "no such file; upload it again", param="file_id") from None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
