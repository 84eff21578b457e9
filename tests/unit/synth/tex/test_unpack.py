"""Archives are opened within limits; bulk archives are told from sources."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject
from nanovl.synth.tex import unpack
from nanovl.synth.tex.batch import BatchConfig, compile_batch
from nanovl.synth.tex.unpack import bulk_members, is_bulk

ARTICLE = b"\\documentclass{article}\n\\begin{document}\nHello\n\\end{document}\n"


def _tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def _unpack(path: Path, tmp_path: Path) -> list[str]:
    work = tmp_path / "work"
    work.mkdir()
    unpack.unpack(path, work)
    return sorted(p.relative_to(work).as_posix() for p in work.rglob("*") if p.is_file())


def test_an_archive_without_the_magic_word_is_still_one(tmp_path: Path) -> None:
    data = bytearray(_tar(tmp_path / "a.tar", {"x.tex": ARTICLE}).read_bytes())
    data[257:265] = bytes(8)  # as the oldest archives have it
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data[:512]):06o}\0 ".encode()
    path = tmp_path / "old.gz"
    path.write_bytes(gzip.compress(bytes(data)))
    assert _unpack(path, tmp_path) == ["x.tex"]


@pytest.mark.parametrize(
    ("limit", "value", "reason"), [("MAX_BYTES", 100, "too_large"), ("MAX_FILES", 2,
                                                                    "too_many_files")]
)  # fmt: skip
def test_limits_have_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, reason: str
) -> None:
    path = _tar(tmp_path / "a.tar", {f"{k}.tex": ARTICLE for k in range(3)})
    monkeypatch.setattr(unpack, limit, value)
    with pytest.raises(Reject, match=reason):
        _unpack(path, tmp_path)


def test_a_gzip_bomb_stops_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_BYTES", 1 << 16)
    path = tmp_path / "b.tex.gz"
    path.write_bytes(gzip.compress(b"a" * (1 << 20)))
    with pytest.raises(Reject, match="too_large"):
        _unpack(path, tmp_path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"%PDF-1.4", "no_tex"), (b"a\0b", "no_tex"), (b"\x1f\x8bbad", "damaged_archive")],
)
def test_what_is_no_text_is_named(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "x.tex"
    path.write_bytes(data)
    with pytest.raises(Reject, match=reason):
        _unpack(path, tmp_path)


def test_links_inside_a_folder_are_followed_and_links_out_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "a.tex").write_bytes(ARTICLE)
    (folder / "b.tex").symlink_to("a.tex")
    assert _unpack(folder, tmp_path) == ["a.tex", "b.tex"]
    (folder / "c.tex").symlink_to("../outside")
    (tmp_path / "work" / "a.tex").unlink()
    with pytest.raises(Reject, match="forbidden_path"):
        unpack.unpack(folder, tmp_path / "work")


def test_bulk_archives_are_told_from_sources(tmp_path: Path) -> None:
    bulk = _tar(tmp_path / "bulk.tar", {"01/01.1.gz": gzip.compress(ARTICLE), "01/1.pdf": b"%PDF"})
    assert is_bulk(bulk)
    assert not is_bulk(_tar(tmp_path / "paper.tar", {"x.tex": ARTICLE, "fig.gz": b""}))
    assert not is_bulk(tmp_path / "nothing.tar")
    folder = tmp_path / "members"
    folder.mkdir()
    found = list(bulk_members(bulk, folder))
    assert [p.name for p in found] == ["01.1.gz", "1.pdf"]
    assert gzip.decompress(found[0].read_bytes()) == ARTICLE


@pytest.mark.slow
def test_a_damaged_bulk_archive_is_reported_and_the_batch_goes_on(tmp_path: Path) -> None:
    bulk = _tar(tmp_path / "bulk.tar", {"a.gz": gzip.compress(b"\0"), "b.gz": b"x" * 5000})
    bulk.write_bytes(bulk.read_bytes()[:2000])
    config = BatchConfig(out=str(tmp_path / "out"))
    results = list(compile_batch([bulk, tmp_path / "nowhere.tex"], config))
    assert [r.status for r in results][-2:] == ["damaged_archive", "missing_source"]


@pytest.mark.parametrize(
    "settings", [{"exports": ("pars",)}, {"image": "gif"}, {"translate": "klingon"}]
)
def test_bad_settings_are_refused_before_anything_runs(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    with pytest.raises(ConfigError):
        list(compile_batch([], BatchConfig(out=str(tmp_path), **settings)))  # type: ignore[arg-type]
