"""PDF pages -> pictures: page ranges, sizes without rendering, rendering.

pdfium is not thread-safe, so every call into it holds one lock; handles are closed on the way out.
Extracts no text and follows no link.

Source: serving specification sections 10 and 16.2.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c
from PIL import Image

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.processing.media import Limits, read_media

__all__ = ["page_count", "page_sizes", "parse_pages", "render_page", "render_pages"]

POINTS_PER_INCH = 72
MIN_DPI, MAX_DPI = 1, 1200
PAGE_RANGE = re.compile(r"\s*([0-9]{1,6})\s*(?:(-)\s*([0-9]{1,6})?)?\s*")
WHITE = (255, 255, 255, 255)

_pdfium_lock = threading.RLock()


def parse_pages(pages: str | None, count: int, max_pages: int = 200) -> tuple[int, ...]:
    """Turn what people write into page indices.

    Args:
        pages: Numbers and ranges, the first page is 1: "3", "1-4,7", "10-" (to the end). None
            means all pages.
        count: Pages in the document.
        max_pages: Most pages that may be chosen.

    Returns:
        Zero-based indices in the order written; a page named twice is taken once.

    Raises:
        InputError: Not a page list, a page the document does not have, or too many pages.
    """
    if pages is None:
        chosen = list(range(count))
    else:
        chosen = [index for part in pages.split(",") for index in _range(part, pages, count)]
    chosen = list(dict.fromkeys(chosen))
    if len(chosen) > max_pages:
        raise InputError(
            f"document: {len(chosen)} pages chosen of {count}, limit {max_pages}; "
            f"choose fewer, for example pages 1-{max_pages}"
        )
    return tuple(chosen)


def _range(part: str, pages: str, count: int) -> range:
    match = PAGE_RANGE.fullmatch(part)
    if match is None:
        raise InputError(f"pages {pages!r}: expected numbers and ranges such as 1-4,7")
    first = int(match.group(1))
    last = first if match.group(2) is None else int(match.group(3) or count)
    if not 1 <= first <= count or last > count:
        raise InputError(f"pages {pages!r}: the document has pages 1 to {count}")
    if last < first:
        raise InputError(f"pages {pages!r}: a range must rise, such as 1-4")
    return range(first - 1, last)


def page_count(ref: MediaRef, limits: Limits) -> int:
    """Pages in a document.

    Raises:
        InputError: Not a PDF, encrypted, damaged, or without pages.
    """
    with _opened(ref, limits) as document:
        return len(document)


def page_sizes(
    ref: MediaRef, indices: Sequence[int], dpi: int, limits: Limits
) -> list[tuple[int, int]]:
    """Pixel sizes that rendering will give, without rendering.

    Args:
        ref: The document.
        indices: Zero-based pages.
        dpi: Dots per inch; lowered for pages that would pass `limits.max_page_pixels`.
        limits: Bounds for bytes and pixels.

    Returns:
        (width, height) per page.

    Raises:
        InputError: The document cannot be read or has no such page.
    """
    with _opened(ref, limits) as document:
        return [_pixel_size(document, index, dpi, ref.name, limits) for index in indices]


def render_page(ref: MediaRef, index: int, dpi: int, limits: Limits) -> Image.Image:
    """Render one page on white.

    Args:
        ref: The document.
        index: Zero-based page.
        dpi: Dots per inch; lowered when the page would pass `limits.max_page_pixels`.
        limits: Bounds for bytes and pixels.

    Returns:
        PIL image of mode RGB with the size `page_sizes` tells.

    Raises:
        InputError: The document or the page cannot be read.
    """
    return next(iter(render_pages(ref, (index,), dpi, limits)))


def render_pages(
    ref: MediaRef, indices: Sequence[int], dpi: int, limits: Limits
) -> Iterator[Image.Image]:
    """Render pages one after the other, opening the document once.

    Raises:
        InputError: As `render_page`, or rendering takes longer than `limits.max_document_s`.
    """
    with _opened(ref, limits) as document:
        spent = 0.0
        for done, index in enumerate(indices):
            if spent > limits.max_document_s:
                raise InputError(
                    f"{ref.name}: rendering {done} of {len(indices)} pages took {spent:.0f} s, "
                    f"limit {limits.max_document_s:.0f} s; choose fewer pages or a lower dpi"
                )
            begin = time.monotonic()
            with _pdfium_lock:
                picture = _render(document, index, dpi, ref.name, limits)
            spent += time.monotonic() - begin
            yield picture


@contextmanager
def _opened(ref: MediaRef, limits: Limits) -> Iterator[pdfium.PdfDocument]:
    # Read into memory: a file that changes or shrinks while mapped would crash the parser.
    data = read_media(ref, "document", limits)
    with _pdfium_lock:
        try:
            document = pdfium.PdfDocument(data)
            document.init_forms()  # filled-in form fields are part of what a reader sees
        except pdfium.PdfiumError as error:
            if error.err_code in (pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY):
                raise InputError(
                    f"{ref.name}: the PDF is encrypted; save a copy without a password"
                ) from error
            raise InputError(
                f"{ref.name}: not a readable PDF; it is damaged, cut off, without pages or another "
                "format; "
                "open it in a viewer and export it again"
            ) from error
    try:
        with _pdfium_lock:
            count = len(document)
        if count == 0:
            raise InputError(f"{ref.name}: the PDF has no pages; expected at least 1")
        yield document
    finally:
        with _pdfium_lock:
            document.close()


def _pixel_size(
    document: pdfium.PdfDocument, index: int, dpi: int, name: str, limits: Limits
) -> tuple[int, int]:
    if not MIN_DPI <= dpi <= MAX_DPI:
        raise InputError(f"{name}: dpi {dpi}, expected {MIN_DPI} to {MAX_DPI}")
    with _pdfium_lock:
        if not 0 <= index < len(document):
            raise InputError(f"{name}: page {index + 1} wanted, the document has {len(document)}")
        try:
            width, height = document.get_page_size(index)
        except pdfium.PdfiumError as error:
            raise InputError(f"{name}: page {index + 1} is damaged; leave it out") from error
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise InputError(f"{name}: page {index + 1} has no area; leave it out")
    scale = dpi / POINTS_PER_INCH
    largest = min(
        math.sqrt(limits.max_page_pixels / (width * height)),
        limits.max_side / max(width, height),
    )
    # Rounding up may add a row and a column; rounding down keeps below the bound instead.
    to_int = math.ceil if scale < largest else math.floor
    scale = min(scale, largest)
    return max(1, to_int(width * scale)), max(1, to_int(height * scale))


def _render(
    document: pdfium.PdfDocument, index: int, dpi: int, name: str, limits: Limits
) -> Image.Image:
    width, height = _pixel_size(document, index, dpi, name, limits)
    try:
        page = document[index]
    except pdfium.PdfiumError as error:
        raise InputError(f"{name}: page {index + 1} is damaged; leave it out") from error
    bitmap = pdfium.PdfBitmap.new_native(width, height, pdfium_c.FPDFBitmap_BGR)
    try:
        bitmap.fill_rect(WHITE, 0, 0, width, height)
        # Straight to the planned size; the library's own helper rounds it in its way.
        place = (bitmap, page, 0, 0, width, height, 0, pdfium_c.FPDF_ANNOT)
        pdfium_c.FPDF_RenderPageBitmap(*place)
        if document.formenv:
            pdfium_c.FPDF_FFLDraw(document.formenv, *place)
        picture: Image.Image = bitmap.to_pil()
        return picture.convert("RGB")  # a copy: the bitmap's memory goes away
    finally:
        bitmap.close()
        page.close()
