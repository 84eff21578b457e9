"""Which runs are made, by which engine, until nothing on the pages can change any more."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from nanovl.synth.base import Reject
from nanovl.synth.tex import engine
from nanovl.synth.tex.engine import Compiled, run_engine
from nanovl.synth.tex.events import RawPage, Recording
from nanovl.synth.tex.sandbox import Finished, Sandbox
from nanovl.synth.tex.source import Source

_LOG = "This is TeX\n"
_MOVED = "LaTeX Warning: Label(s) may have changed. Rerun to get cross-references right.\n"
_LABEL = "\\newlabel{a}{{1}{%d}}\n"


class _Programs:
    """Stands in for the sandbox: every run leaves the files of the next step of a script.

    A step is (program, files by ending or name); "quick" is pdfLaTeX, "draft" and "last" are
    LuaLaTeX.
    """

    is_isolated = True

    def __init__(self, work: Path, steps: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        self.work, self.steps = work, list(steps)
        self.made: list[str] = []

    def run(self, command: Sequence[str], **other: object) -> Finished:
        assert command[0] == "pdflatex"
        assert {"--draftmode", "--no-shell-escape"} <= set(command)
        return self._step("quick")

    def latex(self, source: object, box: object, options: object, *, draft: bool) -> Finished:
        return self._step("draft" if draft else "last")

    def _step(self, kind: str) -> Finished:
        self.made.append(kind)
        wanted, files = self.steps[len(self.made) - 1]
        assert wanted == kind, f"run {len(self.made)}: {self.made}"
        for ending, text in {"log": _LOG, "pdf": "%PDF-1.5", **files}.items():
            name = ending if "." in ending else f"main.{ending}"
            (self.work / name).write_text(text)
        return Finished(code=0, seconds=0.0, cpu_s=0.0, output="", failure="")


def _compile(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: Sequence[tuple[str, Mapping[str, str]]],
    text: str = "See \\ref{a}.",
    options: Sequence[str] = (),
) -> Compiled:
    programs = _Programs(tmp_path, steps)
    recording = Recording(
        pages=[cast("RawPage", None)], fonts={}, maths={}, floats={}, multirows={}, paragraphs={},
        unknown=Counter(), is_complete=True,
    )  # fmt: skip
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(engine, "_latex", programs.latex)
    monkeypatch.setattr(engine, "read_recording", lambda path: recording)
    source = Source(folder=tmp_path, main="main.tex", job="main", text=text, has_bibliography=False)
    compiled = run_engine(source, cast("Sandbox", programs), options=options)
    assert programs.made == [kind for kind, _ in steps]
    return compiled


def test_references_come_from_a_quick_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [("quick", {"aux": _LABEL % 1}), ("last", {"aux": _LABEL % 1})]
    assert _compile(tmp_path, monkeypatch, steps).passes == 2


def test_what_the_other_engine_places_otherwise_is_printed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where no warning says so: widths of lists, places of drawings, numbers of pages."""
    for line in ("\\gdef\\tocmax{%d.0pt}", "\\pgfsyspdfmark{id1}{%d}{3}", "\\xx@backref{a}{%d}"):
        steps = [("quick", {"aux": line % 1}), ("last", {"aux": line % 2}),
                 ("last", {"aux": line % 2})]  # fmt: skip
        assert _compile(tmp_path, monkeypatch, steps).passes == 3
        (tmp_path / "main.aux").unlink()


def test_what_no_page_shows_may_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _LABEL % 1 + "\\@writefile{toc}{\\contentsline{title}{A}{1}}\n\\BKM@entry{id=1}{41}\n"
    last = _LABEL % 1 + "\\@writefile{toc}{\\contentsline{title}{\\x A}{1}}\n\\BKM@entry{id=1}{}\n"
    steps = [("quick", {"aux": first}), ("last", {"aux": last})]
    assert _compile(tmp_path, monkeypatch, steps).passes == 2


@pytest.mark.parametrize("ending", ["toc", "lol", "thm"])
def test_lists_of_contents_are_settled_by_quick_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    steps = [
        ("quick", {"aux": _LABEL % 1, ending: "page 1"}),
        ("quick", {"aux": _LABEL % 2, ending: "page 2", "log": _LOG + _MOVED}),
        ("quick", {"aux": _LABEL % 2, ending: "page 2"}),
        ("last", {"aux": _LABEL % 2, ending: "page 2"}),
    ]
    assert _compile(tmp_path, monkeypatch, steps).passes == 4


def test_lists_the_last_run_changes_are_printed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [
        ("quick", {"aux": _LABEL % 1, "toc": "page 1"}),
        ("quick", {"aux": _LABEL % 1, "toc": "page 1"}),
        ("last", {"aux": _LABEL % 1, "toc": "mark page 1"}),
        ("last", {"aux": _LABEL % 1, "toc": "mark page 1"}),
    ]
    assert _compile(tmp_path, monkeypatch, steps).passes == 4


def test_references_of_chapters_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chapter's file is beside the main one, which alone stays what it was."""
    main = "\\relax\n\\@input{ch.aux}\n"
    steps = [
        ("quick", {"aux": main, "ch.aux": "\\gdef\\width{1pt}"}),
        ("last", {"aux": main, "ch.aux": "\\gdef\\width{2pt}"}),
        ("last", {"aux": main, "ch.aux": "\\gdef\\width{2pt}"}),
    ]
    assert _compile(tmp_path, monkeypatch, steps).passes == 3


def test_a_source_pdftex_cannot_read_goes_the_slow_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the failed run is left for the next."""
    failed = {"aux": "half", "toc": "half", "log": "! Undefined control sequence.\n"}
    steps = [("quick", failed), ("draft", {"aux": _LABEL % 1}), ("last", {"aux": _LABEL % 1})]
    _compile(tmp_path, monkeypatch, steps)
    assert not (tmp_path / "main.toc").exists()


def test_where_quick_references_break_the_last_run_all_are_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"aux": "\\foreign", "log": "! Undefined control sequence.\n"}
    good = {"aux": _LABEL % 1}
    steps = [("quick", {"aux": "\\foreign"}), ("last", broken), ("draft", good), ("last", good)]
    _compile(tmp_path, monkeypatch, steps)


def test_a_source_that_breaks_without_quick_runs_breaks_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"aux": "x", "log": "! Undefined control sequence.\n"}
    steps = [("quick", broken), ("draft", broken), ("last", broken)]
    with pytest.raises(Reject, match="Undefined control sequence"):
        _compile(tmp_path, monkeypatch, steps)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("\\usepackage{amsmath,fontspec}\\ref{a}", ()),
        ("\\usepackage[x]{unicode-math}\\ref{a}", ()),
        ("\\begin{tikzpicture}[remember picture]\\ref{a}", ()),
        ("\\documentclass{acmart}\\ref{a}", ()),  # other fonts under LuaTeX, other pages
        ("\\ref{a}", ("\\def\\ngtoptions{}",)),  # another look is made by LuaTeX alone
    ],
)
def test_no_quick_run_where_it_would_not_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, options: Sequence[str]
) -> None:
    good = {"aux": _LABEL % 1}
    _compile(tmp_path, monkeypatch, [("draft", good), ("last", good)], text, options)
