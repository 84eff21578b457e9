"""Sources that are broken, endless, greedy or hostile: each is named and skipped, none gets out."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nanovl.synth.tex import Limits
from nanovl.synth.tex.batch import BatchConfig, compile_batch
from nanovl.synth.tex.sandbox import Sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.tex,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("shared_tex_cache"),
    pytest.mark.skipif(
        shutil.which("lualatex") is None,
        reason="needs LuaLaTeX: apt install texlive-luatex texlive-latex-extra texlive-pictures",
    ),
]

SECRET = "canary-7f3a91-words-of-a-secret"
LIMITS = Limits(cpu_s=8, wall_s=25, memory_bytes=1 << 31, file_bytes=8 << 20)


def _article(body: str, preamble: str = "") -> str:
    return (
        f"\\documentclass{{article}}\n{preamble}\n\\begin{{document}}\nA line of words that fills "
        f"some of the page.\n{body}\n\\end{{document}}\n"
    )


GOOD = _article("Nothing is wrong with this one, it only says a few more words.")

# name -> (text of the source, name of the refusal)
TEXTS: dict[str, tuple[str, str]] = {
    "undefined": (_article("\\undefinedcommand"), "tex_error"),
    "unclosed": (_article("\\textbf{never ends"), "tex_error"),
    "unclosed-maths": (_article("$x + "), "tex_error"),
    "no-end": ("\\documentclass{article}\\begin{document}words and words", "tex_error"),
    "no-package": (_article("", "\\usepackage{nosuchpackage}"), "missing_package"),
    "no-class": ("\\documentclass{nosuchclass}\\begin{document}x\\end{document}",
                 "missing_package"),
    "no-file": (_article("\\input{nosuchfile}"), "missing_file"),
    "no-documentclass": ("\\begin{document}words\\end{document}", "no_main_file"),
    "old-latex": ("\\documentstyle{article}\\begin{document}x\\end{document}", "documentstyle"),
    "nothing-printed": ("\\documentclass{article}\\begin{document}\\end{document}", "no_pages"),
    "stops-early": (_article("\\csname @@end\\endcsname"), "no_pages|no_good_pages|tex_error"),
    # endless and greedy
    "loop": (_article("\\loop\\iftrue\\repeat"), "timeout"),
    "macro-loop": (_article("\\def\\x{\\x}\\x"), "timeout"),
    "macro-grows": (_article("\\def\\x{a\\x}\\x"), "memory|timeout"),
    "macro-nests": (_article("\\def\\x{{\\x}}\\x"), "memory|timeout"),
    "edef-bomb": (_article("\\def\\a{xxxxxxxxxx}\\loop\\edef\\a{\\a\\a}\\iftrue\\repeat"),
                  "memory|timeout"),
    "csname-bomb": (_article("\\newcount\\n\\loop\\advance\\n1 "
                             "\\expandafter\\gdef\\csname c\\number\\n\\endcsname{x}\\iftrue"
                             "\\repeat"), "memory|timeout"),
    "page-bomb": (_article("\\loop x\\newpage\\iftrue\\repeat"), "too_many_pages"),
    "pdf-bomb": (_article("\\newcount\\n\\loop\\advance\\n1 \\pdfextension obj stream "
                          "{\\romannumeral 99999000}\\iftrue\\repeat"), "file_size|timeout|memory"),
    "write-bomb": (_article("\\newwrite\\f\\immediate\\openout\\f=big \\loop\\immediate\\write\\f"
                            "{\\romannumeral 99999000}\\iftrue\\repeat"), "file_size"),
    "input-itself": (_article("\\input{input-itself}"), "tex_error|memory|timeout"),
    "huge-page": (_article("", "\\pagewidth=16000pt\\pageheight=16000pt"), "huge_page"),
    "wide-page": (_article("", "\\pagewidth=3pt\\pageheight=3pt"), "no_good_pages"),
    # outside
    "write18": (_article("\\immediate\\write18{touch $CANARY/pwned}"), "shell_escape"),
    "write18-hidden": (_article("\\newcount\\n\\n=18 \\immediate\\write\\n{touch $CANARY/pwned}"),
                       "ok"),
    "piped-input": (_article("\\input{|\"touch $CANARY/pwned\"}"), "shell_escape"),
    "input-absolute": (_article("\\input{$CANARY/secret.tex}"), "forbidden_path"),
    "input-up": (_article("\\input{../../../../../../..$CANARY/secret.tex}"), "forbidden_path"),
    "input-built": (_article("\\def\\s{/}\\edef\\f{$CANARY\\s secret.tex}\\input{\\f}"),
                    "missing_file|tex_error|forbidden_path"),
    "openin-absolute": (_article("\\newread\\r\\openin\\r=$CANARY/secret.tex \\read\\r to\\x\\x"),
                        "forbidden_path"),
    "openin-built": (_article("\\newread\\r\\edef\\f{\\string/\\string.\\string.$CANARY/secret.tex}"
                              "\\openin\\r=\\f\\relax\\ifeof\\r none\\else\\read\\r to\\x\\x\\fi"),
                     "ok"),
    "openout-built": (_article("\\newwrite\\w\\edef\\f{$CANARY/pwned.tex}"
                               "\\immediate\\openout\\w=\\f\\immediate\\write\\w{x}"),
                      "ok|tex_error|no_pages|timeout"),
    "passwd": (_article("\\input{/etc/passwd}"), "forbidden_path"),
    "graphics-absolute": (_article("\\includegraphics{/etc/x.png}", "\\usepackage{graphicx}"),
                          "forbidden_path"),
    "lua-open": (_article("\\directlua{print(io.open('$CANARY/secret.tex'):read('a'))}"),
                 "lua_code"),
    "lua-execute": (_article("\\directlua{os.execute('touch $CANARY/pwned')}"), "lua_code"),
    "lua-popen": (_article("\\latelua{io.popen('touch $CANARY/pwned')}"), "lua_code"),
    "lua-csname": (_article("\\csname directlua\\endcsname{os.execute('touch $CANARY/pwned')}"),
                   "lua_code"),
    "lua-environment": (_article("\\begin{luacode*}os.exit(0)\\end{luacode*}",
                                 "\\usepackage{luacode}"), "lua_code"),
    # Lua reached by a name no reader of the text can see: the walls have to hold.
    "lua-built-execute": (_article("\\csname direct\\string l\\string ua\\endcsname"
                                   "{os.execute('touch $CANARY/pwned')}"), "*"),
    "lua-built-popen": (_article("\\csname direct\\string l\\string ua\\endcsname"
                                 "{io.popen('touch $CANARY/pwned')}"), "*"),
    "lua-built-read": (_article("\\csname direct\\string l\\string ua\\endcsname"
                                "{local f=io.open('$CANARY/secret.tex') "
                                "if f then tex.sprint(f:read('*a')) end}"), "*"),
    "lua-built-lines": (_article("\\csname direct\\string l\\string ua\\endcsname"
                                 "{for l in io.lines('$CANARY/secret.tex') do tex.sprint(l) end}"),
                        "*"),
    "lua-built-write": (_article("\\csname direct\\string l\\string ua\\endcsname"
                                 "{local f=io.open('$CANARY/pwned','w') f:write('x') f:close()}"),
                        "*"),
    "lua-built-remove": (_article("\\csname direct\\string l\\string ua\\endcsname"
                                  "{os.remove('$CANARY/secret.tex')}"), "*"),
    "lua-built-loadlib": (_article("\\csname direct\\string l\\string ua\\endcsname"
                                   "{package.loadlib('libc.so.6','system')}"), "*"),
}  # fmt: skip


def _tar(path: Path, members: list[tuple[str, bytes | str, bytes]]) -> None:
    """Members: (name, content or link target, type)."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if isinstance(content, str):
                member.linkname = content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def _files(folder: Path, canary: Path) -> dict[str, str]:
    """Sources that are no single text; name -> what they are refused as."""
    good = GOOD.encode()
    kinds = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE
    file, symbolic, hard, device = kinds
    _tar(folder / "tar-absolute.tar.gz", [("/x.tex", good, file)])
    _tar(folder / "tar-up.tar.gz", [("a/../../x.tex", good, file)])
    _tar(folder / "tar-link.tar.gz",
         [("x.tex", good, file), ("y.tex", str(canary / "secret.tex"), symbolic)])  # fmt: skip
    _tar(folder / "tar-hard.tar.gz",
         [("x.tex", good, file), ("y.tex", str(canary / "secret.tex"), hard)])  # fmt: skip
    _tar(folder / "tar-device.tar.gz", [("x.tex", good, file), ("zero", b"", device)])
    _tar(folder / "tar-many.tar.gz", [(f"f{k}.tex", b"x", file) for k in range(4200)])
    with gzip.open(folder / "tar-bomb.tar.gz", "wb", compresslevel=1) as stream:
        header = tarfile.TarInfo("x.tex")
        header.size = 300 << 20
        stream.write(header.tobuf())
        for _ in range(300):
            stream.write(bytes(1 << 20))
    _tar(folder / "tar-twice.tar.gz", [("x", good, file), ("x/y.tex", good, file)])
    whole = (folder / "tar-many.tar.gz").read_bytes()
    (folder / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "garbage.tex").write_bytes(bytes(range(256)) * 40)
    (folder / "print.tex").write_bytes(b"%PDF-1.5 not a source")
    (folder / "empty-file.tex").write_bytes(b"")
    (folder / "empty-folder").mkdir()
    (folder / "linked-folder").mkdir()
    (folder / "linked-folder" / "main.tex").write_text(_article("\\input{stolen}"))
    (folder / "linked-folder" / "stolen.tex").symlink_to(canary / "secret.tex")
    eps = folder / "reads-eps"
    eps.mkdir()
    (eps / "main.tex").write_text(
        _article("\\includegraphics{fig}", "\\usepackage{graphicx,epstopdf}")
    )
    (eps / "fig.eps").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n"
        f"({canary}/secret.tex) (r) file 100 string readline pop show showpage\n"
    )
    return {
        "tar-absolute.tar.gz": "forbidden_path", "tar-up.tar.gz": "forbidden_path",
        "tar-link.tar.gz": "forbidden_path", "tar-hard.tar.gz": "forbidden_path",
        "tar-device.tar.gz": "forbidden_path", "tar-many.tar.gz": "too_many_files",
        "tar-bomb.tar.gz": "too_large", "tar-twice.tar.gz": "damaged_archive",
        "cut.tar.gz": "damaged_archive", "garbage.tex": "no_tex", "print.tex": "no_tex",
        "empty-file.tex": "no_main_file", "empty-folder": "no_main_file",
        "linked-folder": "forbidden_path", "nowhere.tex": "missing_source",
        "reads-eps": "bad_figure",
    }  # fmt: skip


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "secret.tex").write_text(SECRET)
    return folder


def _untouched(canary: Path, out: Path) -> None:
    assert sorted(p.name for p in canary.iterdir()) == ["secret.tex"]
    assert (canary / "secret.tex").read_text() == SECRET
    for path in sorted(out.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            assert SECRET.encode() not in data, path
            assert b"root:x:0" not in data, path


def _check(results: dict[str, str], expected: dict[str, str]) -> None:
    wrong = {
        name: (results.get(name), wanted)
        for name, wanted in expected.items()
        if wanted != "*" and results.get(name) not in wanted.split("|")
    }
    assert not wrong


def test_bad_archives_and_folders_are_named_and_skipped(tmp_path: Path, canary: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    expected = _files(folder, canary)
    (folder / "good.tex").write_text(GOOD)
    sources = [folder / name for name in sorted([*expected, "good.tex"])]
    found = list(compile_batch(sources, BatchConfig(out=str(out), limits=LIMITS)))
    assert len(found) == len(sources)
    by_name = {path.name: result.status for path, result in zip(sources, found, strict=True)}
    _check(by_name, expected | {"good.tex": "ok"})
    _untouched(canary, out)


def _texts(folder: Path, canary: Path, names: list[str]) -> list[Path]:
    folder.mkdir()
    paths = []
    for name in names:
        path = folder / f"{name}.tex"
        path.write_text(TEXTS[name][0].replace("$CANARY", str(canary)))
        paths.append(path)
    return paths


_OUTSIDE = [
    n
    for n in TEXTS
    if n.startswith(
        ("write18", "piped", "input-a", "input-u", "input-b", "open", "passwd", "graphics", "lua")
    )
]
_BROKEN = [n for n in TEXTS if n not in _OUTSIDE]  # fmt: skip


def test_bad_texts_are_named_and_skipped(tmp_path: Path, canary: Path) -> None:
    out = tmp_path / "out"
    sources = _texts(tmp_path / "in", canary, _BROKEN)
    (tmp_path / "in" / "good.tex").write_text(GOOD)
    sources.append(tmp_path / "in" / "good.tex")
    results = list(compile_batch(sources, BatchConfig(out=str(out), limits=LIMITS)))
    by_name = {r.source: r.status for r in results}
    _check(by_name, {n: TEXTS[n][1] for n in _BROKEN} | {"good": "ok"})
    for result in results:
        assert result.status == "ok" or not result.good_pages
        report = json.loads((out / f"{result.source}-report.json").read_text())
        assert report["status"] == result.status


@pytest.mark.parametrize("isolate", [True, False], ids=["isolated", "guarded"])
def test_nothing_outside_is_read_or_written(
    tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch, isolate: bool
) -> None:
    if isolate and not Sandbox(tmp_path).is_isolated:
        pytest.skip("bubblewrap does not work here: apt install bubblewrap")
    if not isolate:
        from nanovl.synth.tex import sandbox

        monkeypatch.setattr(sandbox, "_has_bubblewrap", lambda: False)
    out = tmp_path / "out"
    sources = _texts(tmp_path / "in", canary, _OUTSIDE)
    before = _listing(tmp_path, out)
    results = list(compile_batch(sources, BatchConfig(out=str(out), limits=LIMITS)))
    _check({r.source: r.status for r in results}, {n: TEXTS[n][1] for n in _OUTSIDE})
    _untouched(canary, out)
    assert _listing(tmp_path, out) == before


def _listing(folder: Path, out: Path) -> list[str]:
    return sorted(
        str(p) for p in folder.rglob("*") if not p.is_relative_to(out) and "texcache" not in str(p)
    )


def test_totals_come_last_and_the_command_goes_on(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from nanovl.cli.main import app

    (tmp_path / "bad.tex").write_text(_article("\\undefinedcommand"))
    (tmp_path / "evil.tex").write_text(_article("\\immediate\\write18{ls}"))
    (tmp_path / "good.tex").write_text(GOOD)
    names = [str(tmp_path / f"{n}.tex") for n in ("bad", "evil", "good")]
    result = CliRunner().invoke(app, ["synth", "tex", *names, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "bad: tex_error: Undefined control sequence" in result.output
    assert "evil: shell_escape" in result.output
    lines = result.output.splitlines()
    assert "3 sources, 1 compiled; 1 of 1 pages written" in lines
    assert [line.split() for line in lines[-2:]] == [["shell_escape", "1"], ["tex_error", "1"]]


def test_the_guard_keeps_lua_in_its_folder(
    tmp_path: Path, canary: Path, shared_tex_cache: Callable[..., object]
) -> None:
    """Without namespaces Lua itself is narrowed; what is refused, by the engine's own word."""
    del shared_tex_cache
    from nanovl.synth.tex.fonts import ensure_font_cache

    ensure_font_cache()
    work = tmp_path / "job"
    work.mkdir()
    (work / "inside.txt").write_text("inside")
    (work / "link").symlink_to(canary)
    tries = {
        "inside": "io.open('inside.txt') ~= nil",
        "tree": "io.open(kpse.find_file('article.cls')) ~= nil",
        "outside": f"io.open('{canary}/secret.tex') ~= nil",
        "up": "io.open('../canary/secret.tex') ~= nil",
        "link": "io.open('link/secret.tex') ~= nil",
        "write": f"io.open('{canary}/x', 'w') ~= nil",
        "append": f"io.open('{canary}/secret.tex', 'a') ~= nil",
        "remove": f"os.remove('{canary}/secret.tex') ~= nil",
        "rename": f"os.rename('{canary}/secret.tex', 'y') ~= nil",
        "mkdir": f"lfs.mkdir('{canary}/d') ~= nil",
        "dir": f"pcall(lfs.dir, '{canary}')",
        "dofile": f"pcall(dofile, '{canary}/secret.tex') and false",
        "execute": "os.execute ~= nil",
        "popen": "io.popen('id') ~= nil",
        "loadlib": "package.loadlib ~= nil",
        "upvalues": "debug.getupvalue ~= nil",
    }
    body = "".join(
        f"texio.write_nl('log', 'TRY {k} ' .. tostring({v}))\n" for k, v in tries.items()
    )
    (work / "try.lua").write_text(body)
    (work / "try.tex").write_text(
        "\\RequirePackage{nanovl-gt}\\documentclass{article}\\directlua{dofile('try.lua')}"
        "\\begin{document}x\\end{document}"
    )
    Sandbox(work, isolate=False).run(
        ["lualatex", "--interaction=batchmode", "--no-shell-escape", "--nosocket", "try.tex"]
    )
    log = (work / "try.log").read_text("utf-8", "replace")
    found = dict(line.split()[1:3] for line in log.splitlines() if line.startswith("TRY "))
    assert set(found) == set(tries), log[-2000:]
    assert {k for k, v in found.items() if v == "true"} == {"inside", "tree"}
    assert os.listdir(canary) == ["secret.tex"]
