"""Files become parts."""

import pytest

from nanovl.core.conversation import (
    AudioPart,
    DocumentPart,
    ImagePart,
    MediaRef,
    TextPart,
    VideoPart,
)
from nanovl.core.errors import InputError
from nanovl.processing.attachments import attach
from nanovl.testing import pdf_bytes, picture, picture_bytes, video

WAV = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80>\0\0\0}\0\0\x02\0\x10\0data\0\0\0\0"


def test_kinds(tmp_path):
    clip = video(tmp_path / "a.mp4", 4)
    assert isinstance(attach(clip), VideoPart)
    assert isinstance(attach(str(clip)), VideoPart)
    assert isinstance(attach(picture_bytes()), ImagePart)
    assert isinstance(attach(picture()), ImagePart)
    assert isinstance(attach([picture(), picture()]), VideoPart)
    assert isinstance(attach(WAV), AudioPart)
    part = ImagePart(source=MediaRef(data=b"x"))
    assert attach(part) is part


def test_content_decides_not_the_name(tmp_path):
    path = tmp_path / "scan.jpg"
    path.write_bytes(pdf_bytes())
    part = attach(path, pages="1", dpi=100)
    assert isinstance(part, DocumentPart)
    assert (part.pages, part.dpi) == ("1", 100)


def test_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfx;y\n1;\xe2\x82\xac\n\n")
    assert attach(path) == TextPart(text="a.csv:\nx;y\n1;\u20ac\n\n")
    assert attach(b"just words") == TextPart(text="in-memory data:\njust words\n\n")


def test_text_cut_inside_a_character_where_looking_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\u20ac" * 3000, encoding="utf-8")  # 4096 is no multiple of three
    assert isinstance(attach(path), TextPart)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.png", b"words", "a.png"),
        ("a.txt", b"\xff\xfe\x00", "a.txt"),
        ("a.txt", b"a" * 5000 + b"\xff", "byte 5000 is not UTF-8"),
        ("a.txt", b"a" * (8 << 20) + b"b", "more than 8 MiB"),
        ("a.bin", b"\0\1\2", "a.bin"),
        ("a", b"", "a"),
        ("a.docx", b"PK\x03\x04" + b"\0" * 20, "office document"),
    ],
)
def test_refused(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        attach(path)


def test_missing_things(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        attach(tmp_path / "x.png")
    with pytest.raises(InputError, match="no such file"):
        attach(tmp_path / "x.txt")
    with pytest.raises(InputError, match="folder"):
        attach(tmp_path)
    with pytest.raises(InputError, match="empty"):
        attach("")


def test_data_urls_are_opened():
    import base64

    url = "data:image/png;base64," + base64.b64encode(picture_bytes()).decode()
    part = attach(url)
    assert isinstance(part, ImagePart)
    assert part.source.data is not None


def test_remote_needs_permission():
    with pytest.raises(InputError, match=r"example\.org"):
        attach("https://example.org/a.png")
