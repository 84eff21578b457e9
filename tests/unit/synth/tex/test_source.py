"""Sources are unpacked, decoded and refused by name."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from nanovl.synth.base import Reject
from nanovl.synth.tex.sandbox import Sandbox
from nanovl.synth.tex.source import Source, check_text, prepare, strip_comments

ARTICLE = "\\documentclass{article}\n\\begin{document}\nHello\n\\end{document}\n"


def _prepare(source: Path, tmp_path: Path) -> Source:
    work = tmp_path / "work"
    work.mkdir()
    return prepare(source, work, Sandbox(work, isolate=False))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (r"\immediate\write18{ls}", "shell_escape"),
        (r"\write 18 {ls}", "shell_escape"),
        (r"\input{|ls}", "shell_escape"),
        (r"\input|ls", "shell_escape"),
        (r"\directlua{io.open('/etc/passwd')}", "lua_code"),
        (r"\latelua{x}", "lua_code"),
        (r"\luaexec{x}", "lua_code"),
        ("\\begin{luacode*}x\\end{luacode*}", "lua_code"),
        (r"\usepackage[x]{amsmath,luacode}", "lua_code"),
        (r"\input{/etc/passwd}", "forbidden_path"),
        (r"\input /etc/passwd", "forbidden_path"),
        (r"\openin1=/etc/passwd", "forbidden_path"),
        (r"\immediate\openout\f=/tmp/x", "forbidden_path"),
        (r"\includegraphics[width=1cm]{~/x}", "forbidden_path"),
        (r"\input{../../../../etc/passwd}", "forbidden_path"),
    ],
)
def test_what_reaches_outside_is_refused_by_name(text: str, reason: str) -> None:
    with pytest.raises(Reject) as error:
        check_text(f"first\n{text}\n", "paper.tex")
    assert error.value.reason == reason
    assert "paper.tex line 2" in error.value.message


def test_harmless_text_passes() -> None:
    check_text(r"\input{sections/intro} \write16{x} \includegraphics{fig} a/b", "x")
    check_text("\\begin{verbatim}\\write18{ls}\\end{verbatim} \\verb|\\directlua|", "x")


def test_comments_go_and_percent_signs_stay() -> None:
    assert strip_comments("5\\% of % it\nnext") == "5\\% of \nnext"


def test_the_main_file_is_found_by_name_and_class(tmp_path: Path) -> None:
    folder = tmp_path / "src"
    (folder / "deep").mkdir(parents=True)
    (folder / "aaa.tex").write_text(ARTICLE)
    (folder / "ms.tex").write_text(ARTICLE)
    (folder / "main.tex").write_text("% \\documentclass{article}\n\\section{x}")
    assert _prepare(folder, tmp_path).main == "ms.tex"


def test_a_gzipped_file_is_one_source(tmp_path: Path) -> None:
    path = tmp_path / "paper.tex.gz"
    path.write_bytes(gzip.compress(ARTICLE.encode()))
    assert _prepare(path, tmp_path).main == "paper.tex"


def test_text_is_decoded_by_its_inputenc(tmp_path: Path) -> None:
    path = tmp_path / "x.tex"
    text = ARTICLE.replace("\\begin", "\\usepackage[latin2]{inputenc}\\begin", 1)
    text = text.replace("Hello", "\u0159")
    path.write_bytes(text.encode("iso8859-2"))
    assert "\u0159" in _prepare(path, tmp_path).text


def _tar(path: Path, name: str, *, link: str = "") -> None:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        data = ARTICLE.encode()
        member.size = 0 if link else len(data)
        if link:
            member.type, member.linkname = tarfile.SYMTYPE, link
        archive.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize(
    ("name", "link"), [("../x.tex", ""), ("/x.tex", ""), ("x.tex", "/etc/passwd")]
)
def test_archives_may_not_reach_outside(tmp_path: Path, name: str, link: str) -> None:
    path = tmp_path / "a.tar.gz"
    _tar(path, name, link=link)
    with pytest.raises(Reject, match="forbidden_path"):
        _prepare(path, tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\\documentstyle{article}", "documentstyle"),
        ("hello", "no_main_file"),
        (ARTICLE.replace("\\begin", "\\usepackage{pst-node}\\begin", 1), "pstricks"),
    ],
)
def test_what_cannot_work_is_named(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "x.tex"
    path.write_text(text)
    with pytest.raises(Reject) as error:
        _prepare(path, tmp_path)
    assert error.value.reason == reason


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(Reject, match="missing_source"):
        _prepare(tmp_path / "nothing.tex", tmp_path)


def test_only_files_the_source_uses_are_judged(tmp_path: Path) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "main.tex").write_text(ARTICLE)
    (folder / "tool.sty").write_text("\\write18{ls}")
    assert _prepare(folder, tmp_path).main == "main.tex"
    (folder / "main.tex").write_text(ARTICLE.replace("\\begin", "\\usepackage{tool}\\begin", 1))
    (tmp_path / "again").mkdir()
    with pytest.raises(Reject, match="shell_escape"):
        _prepare(folder, tmp_path / "again")


def test_short_verbatim_text_is_no_command() -> None:
    check_text("\\MakeShortVerb{\\|} the command |\\input|, or |\\write18| itself", "x")
