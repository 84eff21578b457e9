"""Font files, families and the split of held-out fonts."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import ImageFont

from nanovl.core.errors import ConfigError, InputError
from nanovl.synth.documents.fonts import (
    BUILTIN,
    Face,
    Family,
    FontLibrary,
    is_held_out,
    library,
    open_font,
)
from nanovl.synth.documents.scripts import SCRIPTS, needs_shaping, script_of
from nanovl.synth.documents.sfnt import FontFile


def bundled() -> bytes:
    return Face(None, BUILTIN).file.data


def test_a_font_file_says_what_it_is() -> None:
    file = FontFile(bundled())
    assert file.names[0] == "Aileron"
    assert 300 <= file.weight <= 500
    assert not file.is_italic
    assert not file.is_monospaced
    ascent, descent = file.vertical
    assert 0.6 < ascent < 1.2
    assert 0.1 < descent < 0.5


def test_advances_are_those_of_freetype() -> None:
    face = Face(None, BUILTIN)
    font = open_font(face, 1000.0)
    assert isinstance(font, ImageFont.FreeTypeFont)
    for char in "aWm.0@":
        assert face.advance(char) * 1000 == pytest.approx(font.getlength(char), abs=1.0)
    assert face.advance("\u4e2d") == 0.0


def test_characters_are_those_with_a_glyph() -> None:
    face = Face(None, BUILTIN)
    assert set(SCRIPTS["latin"]) <= face.characters
    assert "\u4e2d" not in face.characters


@pytest.mark.parametrize("data", [b"", b"not a font at all", b"\0\1\0\0\0\x0a", b"OTTO\xff\xff"])
def test_what_is_no_font_is_named(data: bytes) -> None:
    with pytest.raises(InputError, match=r"broken\.ttf"):
        _ = FontFile(data, "broken.ttf").names


def test_cut_off_tables_are_named() -> None:
    whole = bundled()
    with pytest.raises(InputError, match=r"cut off|no table"):
        _ = FontFile(whole[:400], "cut.ttf").glyphs


def test_a_folder_is_searched_and_odd_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.ttf").write_bytes(bundled())
    (tmp_path / "broken.otf").write_bytes(b"OTTO no font")
    (tmp_path / "notes.txt").write_text("no font")
    found = library((str(tmp_path),))
    assert [f.name for f in found.families] == ["Aileron"]
    assert found.families[0].regular.path == tmp_path / "deep" / "one.ttf"
    assert found.fingerprint != library((BUILTIN,)).fingerprint


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        library((str(tmp_path / "none"),))


def test_the_split_depends_on_the_name_alone() -> None:
    names = [f"Family {n}" for n in range(2000)]
    held = [n for n in names if is_held_out(n)]
    assert 0.1 < len(held) / len(names) < 0.2
    assert all(is_held_out(n.upper()) for n in held)


def test_held_out_families_are_apart() -> None:
    face = Face(Path("x.ttf"), "x", size=1)
    families = [Family(f"Family {n}", {(False, False): face}) for n in range(50)]
    every = FontLibrary(families)
    train, held = every.of_split("train"), every.of_split("heldout")
    assert train
    assert held
    assert not {f.name for f in train} & {f.name for f in held}
    assert len(train) + len(held) == len(every.of_split("all"))


def test_symbol_families_are_not_for_text() -> None:
    face = Face(Path("x.ttf"), "x")
    assert not Family("Standard Symbols", {(False, False): face}).is_readable
    assert not Family("Serif Small Caps", {(False, False): face}).is_readable


def test_the_bundled_face_reads_latin_only(builtin: FontLibrary) -> None:
    assert builtin.for_script("latin", "train")
    assert not builtin.for_script("greek")
    assert not builtin.for_text("\u0440\u0443\u0441\u0441\u043a\u0438\u0439")
    with pytest.raises(ConfigError, match="expected one of arabic"):
        builtin.for_script("klingon")


def test_a_stack_names_what_no_font_shows(builtin: FontLibrary) -> None:
    with pytest.raises(InputError, match=r"U\+4E2D"):
        builtin.stack(builtin.families[0], "a\u4e2d")


def test_scripts_of_texts() -> None:
    assert script_of("plain words, 12") == "latin"
    assert script_of("\u03b1\u03b2\u03b3 a") == "greek"
    assert script_of("12 34") == "latin"
    assert needs_shaping("\u0645\u0631\u062d\u0628\u0627")
    assert not needs_shaping("caf\u00e9")
