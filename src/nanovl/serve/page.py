"""The web page: built files of one folder, under a strict content policy.

Only files that were there at the start are served, so no request can name another one.

Source: serving specification, section 14.
"""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from nanovl.core.errors import ConfigError

__all__ = ["Page", "page_routes"]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self'; "
    "worker-src 'self' blob:; frame-src blob:; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HASHED_FOLDER = "/assets/"
MAX_FILES = 2000


class Page:
    """Files below a folder, by URL path.

    Args:
        root: Folder with an `index.html`.

    Raises:
        ConfigError: There is no `index.html`.
    """

    def __init__(self, root: Path) -> None:
        if not (root / "index.html").is_file():
            raise ConfigError(f"web page folder {root}: no index.html; build the page first")
        found = sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink())
        self.files = {f"/{p.relative_to(root).as_posix()}": p for p in found[:MAX_FILES]}
        self.files["/"] = root / "index.html"

    @property
    def paths(self) -> frozenset[str]:
        """Paths that need no key."""
        return frozenset(self.files)


def page_routes(page: Page) -> APIRouter:
    """One route per file."""
    router = APIRouter()

    async def file(request: Request) -> Response:
        path = request.url.path.removeprefix(request.scope.get("root_path", ""))
        source = page.files[path]
        data = source.read_bytes()
        tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        kind = mimetypes.guess_type(source.name)[0] or "application/octet-stream"
        long = path.startswith(HASHED_FOLDER)
        headers = {
            "ETag": tag,
            "Cache-Control": "public, max-age=31536000, immutable" if long else "no-cache",
            "Content-Security-Policy": POLICY,
        }
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=kind, headers=headers)

    for path in page.files:
        router.add_api_route(path, file, methods=["GET", "HEAD"], include_in_schema=False)
    return router
