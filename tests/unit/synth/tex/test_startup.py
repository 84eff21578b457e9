"""The engine's quick start: made once, the same as the slow one, and out of the jobs' reach."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from nanovl.synth.tex import engine, sandbox, startup
from nanovl.synth.tex.events import RawPage, Recording
from nanovl.synth.tex.sandbox import Finished, Sandbox, start_folder
from nanovl.synth.tex.source import Source
from nanovl.synth.tex.startup import ensure_quick_start, start_options

needs_engine = [
    pytest.mark.tex,
    pytest.mark.skipif(
        shutil.which("lualatex") is None,
        reason="needs LuaLaTeX: apt install texlive-luatex texlive-latex-extra",
    ),
]
_MODULES = ("luaotfload-unicode", "lua-uni-normalize", "lua-uni-case")
# Compares a module as the engine makes it with the one stored, values held by functions included.
_COMPARE = r"""
-- First what the engine's own does: a stored module brings its global names with it.
local words = { utf8.char(0x1E69), utf8.char(0x73, 0x307, 0x323), utf8.char(0xFB01, 0xAC01), "a" }
local function forms(module)
  local out = {}
  for _, form in ipairs({ "NFD", "NFC", "NFKD", "NFKC" }) do
    for _, word in ipairs(words) do out[#out + 1] = module[form](word) end
  end
  return table.concat(out, ",")
end
local own = forms(require("lua-uni-normalize"))
local function same(a, b, seen)
  if type(a) ~= type(b) then return false end
  if type(a) == "table" then
    if seen[a] then return true end
    seen[a] = true
    for k, v in pairs(a) do if not same(v, b[k], seen) then return false end end
    for k in pairs(b) do if a[k] == nil then return false end end
    return true
  elseif type(a) == "function" and debug.getinfo(a, "S").what ~= "C" then
    if seen[a] then return true end
    seen[a] = true
    for i = 1, debug.getinfo(a, "u").nups do
      local _, x = debug.getupvalue(a, i)
      local _, y = debug.getupvalue(b, i)
      if x ~= _G and not same(x, y, seen) then return false end
    end
    return true
  end
  return a == b
end
for _, name in ipairs({ MODULES }) do
  local stored = loadfile(os.getenv("TEXGT_START") .. "/modules/" .. name .. ".luc", "b")()
  texio.write_nl("SAME " .. name .. " " .. tostring(same(require(name), stored, {})))
end
to_nfd_table = nil -- a global name the module brings
local stored = loadfile(os.getenv("TEXGT_START") .. "/modules/lua-uni-normalize.luc", "b")()
texio.write_nl("FORMS " .. tostring(forms(stored) == own))
texio.write_nl("NFD " .. tostring(stored.NFD(words[1]) == utf8.char(0x73, 0x323, 0x307)))
texio.write_nl("")
"""


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with no cache yet."""
    folder = tmp_path / "own-home"
    monkeypatch.setenv("NANOVL_HOME", str(folder))
    return folder


def _files(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}


class TestQuickFiles:
    pytestmark = needs_engine

    @pytest.mark.slow
    def test_made_once_and_again_when_the_installation_changes(
        self, own_home: Path, tmp_path: Path
    ) -> None:
        assert own_home
        assert not start_options(Sandbox(tmp_path))
        ensure_quick_start()
        made = _files(start_folder())
        assert {f"{name}.luc" for name in _MODULES} <= {Path(p).name for p in made}
        assert (start_folder() / "lualatex.fmt").read_bytes()[:2] != b"\x1f\x8b"
        ensure_quick_start()
        assert _files(start_folder()) == made
        mark = start_folder() / "made-from"
        version, first, *rest = mark.read_text().splitlines()
        mark.write_text("\n".join([version, "1" + first, *rest]))
        ensure_quick_start()
        assert mark.read_text().splitlines() == [version, first, *rest]
        assert _files(start_folder()) != made

    @pytest.mark.slow
    def test_stored_modules_are_those_the_engine_makes(
        self, own_home: Path, tmp_path: Path
    ) -> None:
        assert own_home
        ensure_quick_start()
        names = ",".join(f'"{name}"' for name in _MODULES)
        (tmp_path / "compare.lua").write_text(_COMPARE.replace("MODULES", names))
        (tmp_path / "x.tex").write_text(
            "\\directlua{dofile('compare.lua')}\\csname @@end\\endcsname"
        )
        result = Sandbox(tmp_path).run(["lualatex", "--interaction=nonstopmode", "x.tex"])
        said = [s for s in result.output.splitlines() if s.startswith(("SAME", "FORMS", "NFD"))]
        assert said == [*(f"SAME {name} true" for name in _MODULES), "FORMS true", "NFD true"]

    @pytest.mark.slow
    @pytest.mark.parametrize("isolate", [True, False], ids=["isolated", "guarded"])
    def test_a_job_cannot_write_or_replace_them(
        self, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolate: bool
    ) -> None:
        """Neither by writing into the folder nor by files of the same names beside the source."""
        assert own_home
        if isolate and not Sandbox(tmp_path).is_isolated:
            pytest.skip("bubblewrap does not work here: apt install bubblewrap")
        if not isolate:
            monkeypatch.setattr(sandbox, "_has_bubblewrap", lambda: False)
        ensure_quick_start()
        before = _files(start_folder())
        job = tmp_path / "job"
        job.mkdir()
        for name in ("nanovl-gt-guard", "nanovl-gt-start", "nanovl-gt", "luaotfload-main"):
            (job / f"{name}.lua").write_text("texio.write_nl('FOREIGN')")
        (job / "try.lua").write_text(
            "local folder = os.getenv('TEXGT_START')\n"
            "for _, name in ipairs({'made-from', 'lualatex.fmt', 'lua/new.lua', "
            "'modules/lua-uni-case.luc'}) do\n"
            "  texio.write_nl('WRITES ' .. tostring(io.open(folder .. '/' .. name, 'a') ~= nil))\n"
            "end\n"
            "texio.write_nl('REMOVES ' .. tostring(os.remove(folder .. '/made-from') ~= nil))\n"
            "texio.write_nl('')\n"
        )
        (job / "x.tex").write_text(
            "\\RequirePackage{nanovl-gt}\\directlua{dofile('try.lua')}\\csname @@end\\endcsname"
        )
        box = Sandbox(job)
        result = box.run(["lualatex", *start_options(box), "--interaction=nonstopmode", "x.tex"])
        said = [s for s in result.output.splitlines() if s.startswith(("WRITES", "REMOVES"))]
        assert said == ["WRITES false"] * 4 + ["REMOVES false"], result.output
        assert "FOREIGN" not in result.output
        assert _files(start_folder()) == before


def test_without_the_engine_nothing_is_kept(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The slow start remains, and the log says why."""
    assert own_home
    monkeypatch.setattr(startup, "_make", lambda work, folder: "no format here")
    ensure_quick_start()
    assert "the engine starts slowly: no format here" in caplog.text
    assert not (start_folder() / "made-from").exists()


_LOG = "This is LuaHBTeX\n"
_BANNER = "Package: rerunfilecheck 2022-07-10 v1.10 Rerun checks for auxiliary files (HO)\n"
_WARNING = "LaTeX Warning: Label(s) may have changed. Rerun to get cross-references right.\n"


@pytest.mark.parametrize(
    ("text", "aux", "log", "passes"),
    [
        ("Only words.", ["same"], _LOG, 1),
        ("See \\ref{a}.", ["first", "first"], _LOG, 2),
        ("See \\ref{a}.", ["first", "second"], _LOG, 2),
        ("See \\ref{a}.", ["first", "second"], _LOG + _BANNER, 2),
        ("See \\ref{a}.", ["first", "second", "second"], _LOG + _WARNING, 3),
    ],
)
def test_no_more_passes_than_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, aux: list[str], log: str,
    passes: int,
) -> None:  # fmt: skip
    runs: list[bool] = []

    def latex(source: Source, box: Sandbox, options: object, *, draft: bool) -> Finished:
        (tmp_path / "main.aux").write_text(aux[min(len(runs), len(aux) - 1)])
        (tmp_path / "main.log").write_text(log)
        (tmp_path / "main.pdf").write_bytes(b"%PDF-1.5")
        runs.append(draft)
        return Finished(code=0, seconds=0.0, cpu_s=0.0, output="", failure="")

    recording = Recording(
        pages=[cast("RawPage", None)], fonts={}, maths={}, floats={}, multirows={}, paragraphs={},
        unknown=Counter(), is_complete=True,
    )  # fmt: skip
    monkeypatch.setattr(shutil, "which", lambda name: None)  # no quick runs by another engine
    monkeypatch.setattr(engine, "_latex", latex)
    monkeypatch.setattr(engine, "read_recording", lambda path: recording)
    source = Source(folder=tmp_path, main="main.tex", job="main", text=text, has_bibliography=False)
    done = engine.run_engine(source, Sandbox(tmp_path, isolate=False))
    assert done.passes == len(runs) == passes
    assert not runs[-1]
