"""Documents: page lists, sizes without rendering, rendering, and files that are none."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.processing import pdf as module
from nanovl.processing.media import Limits
from nanovl.processing.pdf import page_count, page_sizes, parse_pages, render_page, render_pages
from nanovl.testing import pdf, pdf_bytes

LIMITS = Limits()


def ref(data: bytes) -> MediaRef:
    return MediaRef(data=data, name="file.pdf")


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (None, tuple(range(10))),
        ("3", (2,)),
        ("1-4,7", (0, 1, 2, 3, 6)),
        (" 2 - 3 , 1 ", (1, 2, 0)),
        ("9-", (8, 9)),
        ("2,1-3,2", (1, 0, 2)),
        ("10", (9,)),
    ],
)
def test_page_lists(pages: str | None, expected: tuple[int, ...]) -> None:
    assert parse_pages(pages, 10) == expected


@pytest.mark.parametrize(
    ("pages", "message"),
    [
        ("", "expected numbers and ranges"),
        ("1,,2", "expected numbers and ranges"),
        ("a-b", "expected numbers and ranges"),
        ("-3", "expected numbers and ranges"),
        ("1-2-3", "expected numbers and ranges"),
        ("1.5", "expected numbers and ranges"),
        ("\u0661", "expected numbers and ranges"),
        ("0", "has pages 1 to 10"),
        ("11", "has pages 1 to 10"),
        ("5-11", "has pages 1 to 10"),
        ("4-2", "a range must rise"),
        ("99999999", "expected numbers and ranges"),
    ],
)
def test_page_lists_that_are_none(pages: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_pages(pages, 10)


def test_two_thousand_pages(tmp_path: Path) -> None:
    document = MediaRef.of(pdf(tmp_path / "long.pdf", 2000))
    count = page_count(document, LIMITS)
    assert count == 2000
    with pytest.raises(InputError, match="2000 pages chosen of 2000, limit 200; choose fewer"):
        parse_pages(None, count, LIMITS.max_pages)
    chosen = parse_pages("1999-", count, LIMITS.max_pages)
    assert page_sizes(document, chosen, 72, LIMITS) == [(595, 842)] * 2


@pytest.mark.parametrize("dpi", [36, 72, 150, 200])
@pytest.mark.parametrize("size", [(595, 842), (842, 595), (100.3, 50.7), (1, 1), (0.5, 300)])
def test_sizes_are_those_of_rendered_pages(dpi: int, size: tuple[float, float]) -> None:
    document = ref(pdf_bytes(2, size=size))
    sizes = page_sizes(document, (0, 1), dpi, LIMITS)
    pictures = list(render_pages(document, (0, 1), dpi, LIMITS))
    assert [p.size for p in pictures] == sizes
    assert all(p.mode == "RGB" for p in pictures)
    assert sizes[0][0] == pytest.approx(size[0] * dpi / 72, abs=1)


def test_a4_at_150_dpi() -> None:
    assert page_sizes(ref(pdf_bytes()), (0,), 150, LIMITS) == [(1240, 1755)]


def test_text_is_drawn_on_white() -> None:
    pixels = np.asarray(render_page(ref(pdf_bytes(text="Total 12.50")), 0, 72, LIMITS))
    assert (pixels[0, 0] == 255).all()
    assert pixels.min() < 50
    assert (pixels == 255).mean() > 0.95


def test_pages_differ() -> None:
    document = ref(pdf_bytes(3, ["one", "two", "three"]))
    first, last = render_pages(document, (0, 2), 72, LIMITS)
    assert not np.array_equal(np.asarray(first), np.asarray(last))
    assert np.array_equal(np.asarray(last), np.asarray(render_page(document, 2, 72, LIMITS)))


def test_huge_pages_are_rendered_smaller() -> None:
    small = Limits(max_page_pixels=100_000)
    document = ref(pdf_bytes(size=(3000, 2000)))
    [(width, height)] = page_sizes(document, (0,), 150, small)
    assert width * height <= 100_000
    assert width / height == pytest.approx(1.5, rel=0.01)
    assert render_page(document, 0, 150, small).size == (width, height)
    [(width, height)] = page_sizes(ref(pdf_bytes(size=(14_400, 14_400))), (0,), 1200, LIMITS)
    assert width * height <= LIMITS.max_page_pixels


def test_filled_in_form_fields_are_drawn() -> None:
    form = _form("FILLED")
    pixels = np.asarray(render_page(ref(form), 0, 72, LIMITS))
    assert pixels.min() < 100


def _form(value: str) -> bytes:
    appearance = f"/Tx BMC q BT /F1 18 Tf 2 6 Td ({value}) Tj ET Q EMC".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [4 0 R] >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] /Annots [4 0 R] >>",
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (f) /V (" + value.encode() + b") /F 4"
        b" /Rect [20 40 180 70] /P 3 0 R /AP << /N 5 0 R >> >>",
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 160 30] /Resources << /Font << /F1 6 0 R"
        b" >> >> /Length "
        + str(len(appearance)).encode()
        + b" >>\nstream\n"
        + appearance
        + b"\nendstream",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{o:010d} 00000 n \n".encode() for o in offsets)
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n".encode()
    return bytes(out) + b"%%EOF\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"not a pdf at all" * 50, "not a readable PDF"),
        (b"%PDF-1.7\n", "not a readable PDF"),
        (pdf_bytes(3)[:300], "not a readable PDF"),
        (pdf_bytes(0), "without pages"),
        (pdf_bytes(1, password="secret"), "is encrypted; save a copy without a password"),
    ],
)
def test_bad_documents(data: bytes, message: str) -> None:
    calls = (
        lambda: page_count(ref(data), LIMITS),
        lambda: page_sizes(ref(data), (0,), 72, LIMITS),
        lambda: render_page(ref(data), 0, 72, LIMITS),
    )
    for call in calls:
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert str(caught.value).startswith("file.pdf: ")


def test_a_reader_that_accepts_no_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.pdfium.PdfDocument, "__len__", lambda self: 0)
    with pytest.raises(InputError, match="has no pages"):
        page_count(ref(pdf_bytes(1)), LIMITS)


def test_empty_password_is_no_password() -> None:
    assert page_count(ref(pdf_bytes(2, password="")), LIMITS) == 2


def test_random_damage_gives_pages_or_one_clear_error() -> None:
    good = pdf_bytes(3)
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(40):
        data = bytearray(good)
        for position in rng.integers(0, len(data), 20):
            data[position] = rng.integers(0, 256)
        try:
            count = page_count(ref(bytes(data)), LIMITS)
            sizes = page_sizes(ref(bytes(data)), range(count), 36, LIMITS)
            pictures = render_pages(ref(bytes(data)), range(count), 36, LIMITS)
            outcomes.add([p.size for p in pictures] == sizes)
        except InputError:  # anything else fails the test
            outcomes.add("error")
    assert outcomes == {True, "error"}


@pytest.mark.parametrize(("index", "dpi"), [(5, 72), (-1, 72), (0, 0), (0, 5000)])
def test_pages_and_resolutions_that_do_not_exist(index: int, dpi: int) -> None:
    with pytest.raises(InputError, match=r"expected 1 to 1200|the document has 2"):
        render_page(ref(pdf_bytes(2)), index, dpi, LIMITS)


def test_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    pages = render_pages(ref(pdf_bytes(5)), range(5), 20, Limits(max_document_s=30))
    next(pages)
    next(pages)
    with pytest.raises(InputError, match="rendering 2 of 5 pages took 40 s, limit 30 s"):
        next(pages)


def test_a_reader_that_stops_early_closes_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    real = module.pdfium.PdfDocument.close
    monkeypatch.setattr(
        module.pdfium.PdfDocument, "close", lambda self: (closed.append(1), real(self))[1]
    )
    pages = render_pages(ref(pdf_bytes(3)), range(3), 20, LIMITS)
    next(pages)
    pages.close()  # type: ignore[attr-defined]
    assert closed == [1]
    render_page(ref(pdf_bytes(3)), 1, 20, LIMITS)
    assert closed == [1, 1]


def test_many_threads_at_once() -> None:
    data = pdf_bytes(4, "Page {page}")
    expected = [np.asarray(p) for p in render_pages(ref(data), range(4), 50, LIMITS)]
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                for page, picture in enumerate(render_pages(ref(data), range(4), 50, LIMITS)):
                    np.testing.assert_array_equal(np.asarray(picture), expected[page])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_size_limit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="limit 100 bytes"):
        page_count(MediaRef.of(pdf(tmp_path / "a.pdf")), Limits(max_document_bytes=100))
