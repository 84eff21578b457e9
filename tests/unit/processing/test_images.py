"""Every kind of picture people send, good and bad."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nanovl.core.conversation import MediaRef
from nanovl.core.errors import InputError
from nanovl.processing.images import image_size, open_image
from nanovl.processing.media import Limits
from nanovl.testing import picture, picture_bytes

LIMITS = Limits()


def ref(data: bytes, name: str = "sample") -> MediaRef:
    return MediaRef(data=data, name=name)


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc)

    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def with_orientation(orientation: int, format: str = "JPEG") -> bytes:
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    image.paste((0, 0, 255), (20, 0, 40, 20))  # red left, blue right
    exif = Image.Exif()
    exif[0x0112] = orientation
    return picture_bytes(image, format, exif=exif, **({"quality": 95} if format == "JPEG" else {}))


def colour(image: Image.Image, x: int, y: int) -> str:
    r, _, b = image.getpixel((x, y))
    return "red" if r > b else "blue"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM"])
def test_formats(format: str) -> None:
    source = ref(picture_bytes(picture(50, 30), format))
    image = open_image(source, LIMITS)
    assert image.mode == "RGB"
    assert image.size == image_size(source, LIMITS) == (50, 30)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_modes_become_rgb(mode: str) -> None:
    solid = picture(8, 6, "solid") if mode in ("I;16", "RGBA") else None
    image = (
        picture(8, 6, "solid", mode=mode) if solid else Image.new("L", (8, 6), 200).convert(mode)
    )
    out = open_image(MediaRef.of(image), LIMITS)
    assert out.mode == "RGB"
    if solid is None:
        expected = (255,) * 3 if mode == "1" else (200,) * 3
        pixels = np.asarray(out.convert("RGB"))
        if mode != "1":  # one bit dithers
            assert np.abs(pixels.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(format: str) -> None:
    values = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    out = np.asarray(open_image(ref(picture_bytes(Image.fromarray(values), format)), LIMITS))
    assert np.array_equal(out[..., 0], np.rint(values / 257))
    assert np.array_equal(out[..., 0], out[..., 2])


def test_float_and_integer_greys_find_their_white() -> None:
    for white, dtype in ((1.0, np.float32), (255, np.float32), (255, np.int32), (65_535, np.int32)):
        values = (np.linspace(0, 1, 256).reshape(16, 16) * white).astype(dtype)
        out = np.asarray(open_image(MediaRef.of(Image.fromarray(values)), LIMITS))
        assert np.abs(out[..., 0].ravel().astype(int) - np.arange(256)).max() <= 1
    holes = np.full((4, 4), np.nan, np.float32)
    assert np.asarray(open_image(MediaRef.of(Image.fromarray(holes)), LIMITS)).max() == 0


def test_cmyk_jpeg() -> None:
    source = ref(picture_bytes(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95))
    red, green, blue = open_image(source, LIMITS).getpixel((8, 8))
    assert red > 230
    assert max(green, blue) < 40


def test_alpha_is_dropped_or_laid_over_a_background() -> None:
    clear = ref(picture_bytes(Image.new("RGBA", (4, 4), (10, 20, 30, 0))))
    assert open_image(clear, LIMITS).getpixel((0, 0)) == (10, 20, 30)
    assert open_image(clear, LIMITS, background=(255, 255, 255)).getpixel((0, 0)) == (255,) * 3
    half = ref(picture_bytes(Image.new("RGBA", (4, 4), (0, 0, 0, 128))))
    assert open_image(half, LIMITS, background=(255, 255, 255)).getpixel((0, 0)) == (127,) * 3


def test_palette_with_transparency_does_not_warn() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 9, 8, 7])
    source = ref(picture_bytes(image, "PNG", transparency=bytes([255, 0])))
    assert open_image(source, LIMITS).getpixel((0, 0)) == (9, 8, 7)
    assert open_image(source, LIMITS, background=(1, 2, 3)).getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_animations_show_their_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (10, 8), c) for c in ("red", "lime", "blue")]
    data = picture_bytes(frames[0], format, save_all=True, append_images=frames[1:], duration=50)
    red, green, blue = open_image(ref(data), LIMITS).getpixel((5, 4))
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int, format: str) -> None:
    source = ref(with_orientation(orientation, format))
    image = open_image(source, LIMITS)
    assert image.size == image_size(source, LIMITS)
    assert image.size == ((20, 40) if orientation >= 5 else (40, 20))
    corners = [colour(image, 2, 2), colour(image, image.width - 3, image.height - 3)]
    red_first = orientation in (1, 4, 5, 6)
    assert corners == (["red", "blue"] if red_first else ["blue", "red"])


def test_exif_can_be_ignored() -> None:
    source = ref(with_orientation(6))
    assert open_image(source, LIMITS, exif=False).size == (40, 20)
    assert image_size(source, LIMITS, exif=False) == (40, 20)


def test_orientation_of_an_opened_pillow_image_counts_too() -> None:
    with Image.open(io.BytesIO(with_orientation(8))) as opened:
        assert open_image(MediaRef.of(opened), LIMITS).size == (20, 40)
        assert image_size(MediaRef.of(opened), LIMITS) == (20, 40)


def test_broken_exif_does_not_refuse_the_picture() -> None:
    data = picture_bytes(picture(8, 8), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert open_image(ref(data), LIMITS).size == (8, 8)


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1), (2, 3)])
def test_tiny_and_thin_pictures(size: tuple[int, int]) -> None:
    source = ref(picture_bytes(picture(*size)))
    assert open_image(source, LIMITS).size == image_size(source, LIMITS) == size


def test_arrays() -> None:
    grey = np.full((5, 7), 9, np.uint8)
    assert open_image(MediaRef.of(grey), LIMITS).size == (7, 5)
    assert image_size(MediaRef.of(np.zeros((5, 7, 3), np.uint8)), LIMITS) == (7, 5)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 7, 3), np.float32),
        np.zeros((5, 7, 2), np.uint8),
        np.zeros((0, 7, 3), np.uint8),
        [1, 2, 3],
    ],
)
def test_arrays_that_are_no_pictures(array: object) -> None:
    with pytest.raises(InputError, match="expected a PIL image or uint8"):
        open_image(MediaRef.of(array), LIMITS)


BAD = {
    "empty": (b"", "is empty"),
    "text": (b"hello, this is no picture" * 40, "not a readable picture"),
    "only-magic": (b"\x89PNG\r\n\x1a\n", "not a readable picture"),
    "20000x20000": (png_header(20_000, 20_000), "20000x20000|far more pixels"),
    "bomb": (png_header(60_000, 60_000), "far more pixels"),
    "long-side": (png_header(20_000, 200), "16384 per side"),
    "many-pixels": (png_header(16_000, 9_000), "limit 64000000 pixels"),
    "thin": (png_header(1, 300), "thinner than 1:200"),
    "no-area": (png_header(0, 5), "not a readable picture|at least 1x1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_pictures_are_refused_from_their_header(case: str) -> None:
    data, message = BAD[case]
    for call in (open_image, image_size):
        with pytest.raises(InputError, match=message) as caught:
            call(ref(data, f"{case}.png"), LIMITS)
        assert str(caught.value).startswith(f"{case}.png: ")
        assert "object at" not in str(caught.value)  # Pillow's own text names a memory address


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_cut_off_pictures(format: str) -> None:
    data = picture_bytes(picture(200, 150, "noise"), format)
    with pytest.raises(InputError, match=r"cut\.x: (picture is cut off|picture data|not a read)"):
        open_image(ref(data[: len(data) * 2 // 3], "cut.x"), LIMITS)


def test_random_damage_gives_a_picture_or_one_clear_error() -> None:
    rng = np.random.default_rng(0)
    messages = []
    for format in ("PNG", "JPEG", "WEBP", "GIF", "TIFF"):
        good = picture_bytes(picture(40, 30, "noise"), format)
        for _ in range(20):
            data = bytearray(good)
            for position in rng.integers(0, len(data), 6):
                data[position] = rng.integers(0, 256)
            try:
                open_image(ref(bytes(data)), LIMITS)
            except InputError as error:  # anything else fails the test
                messages.append(str(error))
    assert messages
    assert all(m.startswith("sample: ") for m in messages)


def test_png_text_bomb() -> None:
    body = b"Comment\0\0" + zlib.compress(b"x" * (80 << 20))
    chunk = (
        struct.pack(">I", len(body))
        + b"zTXt"
        + body
        + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    )
    good = picture_bytes(picture(4, 4))
    with pytest.raises(InputError, match="picture"):
        open_image(ref(good[:33] + chunk + good[33:]), LIMITS)


def test_files_keep_their_name_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "receipt.png"
    path.write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"^receipt\.png: not a readable picture"):
        open_image(MediaRef.of(path), LIMITS)
    with pytest.raises(InputError, match="no such file"):
        image_size(MediaRef.of(tmp_path / "gone.png"), LIMITS)
