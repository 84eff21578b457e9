"""PDF files for tests, written byte by byte.

One page per text, Helvetica (a font every reader has to bring), optionally encrypted with a
password. No library is involved, so these files do not share a bug with the reader under test.

Source: ISO 32000-1, sections 7.5 (file structure) and 7.6.3 (standard security handler, 40 bit).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

__all__ = ["pdf", "pdf_bytes"]

_FILE_ID = bytes(range(16))
_PERMISSIONS = -4
_PASSWORD_PADDING = bytes.fromhex(
    "28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a"
)


def pdf(
    path: Path,
    pages: int = 1,
    text: str | Sequence[str] = "Page {page} of {pages}",
    *,
    size: tuple[float, float] = (595, 842),
    password: str | None = None,
) -> Path:
    """Write a PDF.

    Args:
        path: Where to.
        pages: Number of pages; 0 makes a valid file without pages.
        text: Text of every page, "{page}" and "{pages}" filled in, or one text per page. Line
            breaks start new lines. Latin-1 only.
        size: Width and height of the pages in points (1/72 inch); A4 by default.
        password: Encrypt the file so that it opens with this password only.

    Returns:
        `path`.
    """
    path.write_bytes(pdf_bytes(pages, text, size=size, password=password))
    return path


def pdf_bytes(
    pages: int = 1,
    text: str | Sequence[str] = "Page {page} of {pages}",
    *,
    size: tuple[float, float] = (595, 842),
    password: str | None = None,
) -> bytes:
    """The bytes `pdf` writes."""
    texts = [text] * pages if isinstance(text, str) else list(text)
    if len(texts) != pages:
        raise ValueError(f"{len(texts)} texts for {pages} pages")
    key = owner = b""
    if password is not None:
        owner = _owner_entry(password)
        key = _file_key(password, owner)
    # Objects: 1 catalogue, 2 page tree, 3 font, then two per page.
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(pages))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for index, page_text in enumerate(texts):
        number = 4 + 2 * index
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {size[0]:g} {size[1]:g}] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {number + 1} 0 R >>".encode()
        )
        filled = page_text.replace("{page}", str(index + 1)).replace("{pages}", str(pages))
        content = _content(filled, size[1])
        if key:
            content = _rc4(_object_key(key, number + 1), content)
        objects.append(
            f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream"
        )
    trailer = f"/Size {{count}} /Root 1 0 R /ID [<{_FILE_ID.hex()}> <{_FILE_ID.hex()}>]"
    if key:
        objects.append(
            f"<< /Filter /Standard /V 1 /R 2 /O <{owner.hex()}> "
            f"/U <{_rc4(key, _PASSWORD_PADDING).hex()}> /P {_PERMISSIONS} >>".encode()
        )
        trailer += f" /Encrypt {len(objects)} 0 R"
    return _assemble(objects, trailer.replace("{count}", str(len(objects) + 1)))


def _content(text: str, height: float, font_size: int = 24) -> bytes:
    lines = [f"BT /F1 {font_size} Tf {font_size * 1.25:g} TL 50 {height - 80:g} Td"]
    for line in text.split("\n"):
        escaped = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        lines.append(f"({escaped}) Tj T*")
    return "\n".join([*lines, "ET"]).encode("latin-1")


def _assemble(objects: Sequence[bytes], trailer: str) -> bytes:
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{offset:010d} 00000 n \n".encode() for offset in offsets)
    out += f"trailer\n<< {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)


def _padded(password: str) -> bytes:
    return (password.encode("latin-1") + _PASSWORD_PADDING)[:32]


def _owner_entry(password: str) -> bytes:
    key = hashlib.md5(_padded(password), usedforsecurity=False).digest()[:5]
    return _rc4(key, _padded(password))


def _file_key(password: str, owner: bytes) -> bytes:
    permissions = _PERMISSIONS.to_bytes(4, "little", signed=True)
    digest = hashlib.md5(
        _padded(password) + owner + permissions + _FILE_ID, usedforsecurity=False
    ).digest()
    return digest[:5]


def _object_key(key: bytes, number: int) -> bytes:
    salted = key + number.to_bytes(3, "little") + b"\0\0"
    return hashlib.md5(salted, usedforsecurity=False).digest()[: len(key) + 5]


def _rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
