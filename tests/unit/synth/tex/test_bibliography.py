"""What a source will ask BibTeX for is read off its text; what a run asked for, off its files."""

from __future__ import annotations

from pathlib import Path

from nanovl.synth.tex.bibliography import Request, make_guess, read_request
from nanovl.synth.tex.sandbox import Finished
from nanovl.synth.tex.source import Source


class _Bibtex:
    """Stands in for the sandbox: BibTeX writes what it was asked."""

    def __init__(self, work: Path, *, code: int = 0) -> None:
        self.work, self.code = work, code
        self.asked = ""

    def run(self, command: list[str], cpu_s: int = 0) -> Finished:
        self.asked = (self.work / f"{command[1]}.aux").read_text()
        (self.work / f"{command[1]}.bbl").write_text("\\begin{thebibliography}{9} ...")
        return Finished(code=self.code, seconds=0.0, cpu_s=0.0, output="", failure="")


def _source(work: Path, text: str) -> Source:
    return Source(folder=work, main="x.tex", job="x", has_bibliography=True, text=text)


TEXT = (
    "\\documentclass{a}\\begin{document}\\cite[p.~3]{b, a}\\input{more}\\citep{b}\\nocite{c}"
    "\\bibliographystyle{unsrt}\\bibliography{one,two}\\end{document}"
)


def test_citations_are_found_in_the_order_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "more.tex").write_text("\\citet*[see][x]{z} % \\cite{no}\n")
    bibtex = _Bibtex(tmp_path)
    guess = make_guess(_source(tmp_path, TEXT), bibtex)  # type: ignore[arg-type]
    assert guess == Request(style="unsrt", data=("one", "two"), keys=("b", "a", "z", "c"))
    assert bibtex.asked.startswith("\\relax\n\\citation{b}\n\\citation{a}\n\\citation{z}\n")
    assert not (tmp_path / "x.aux").exists()


def test_no_guess_without_style_or_with_a_bibliography_of_its_own(tmp_path: Path) -> None:
    bibtex = _Bibtex(tmp_path)
    (tmp_path / "a.cls").write_text("% \\bibliographystyle{no}\n")
    text = TEXT.replace("\\bibliographystyle{unsrt}", "")
    assert make_guess(_source(tmp_path, text), bibtex) is None  # type: ignore[arg-type]
    (tmp_path / "x.bbl").write_text("the author's")
    assert make_guess(_source(tmp_path, TEXT), bibtex) is None  # type: ignore[arg-type]
    assert bibtex.asked == ""


def test_a_class_may_name_the_style(tmp_path: Path) -> None:
    (tmp_path / "a.cls").write_text("\\AtBeginDocument{\\bibliographystyle{its}}\n")
    text = TEXT.replace("\\bibliographystyle{unsrt}", "")
    guess = make_guess(_source(tmp_path, text), _Bibtex(tmp_path))  # type: ignore[arg-type]
    assert guess is not None
    assert guess.style == "its"
    (tmp_path / "x.bbl").unlink()
    (tmp_path / "a.cls").write_text("\\bibliographystyle{its}\\bibliographystyle{other}\n")
    assert make_guess(_source(tmp_path, text), _Bibtex(tmp_path)) is None  # type: ignore[arg-type]


def test_what_is_only_shown_is_not_asked_for(tmp_path: Path) -> None:
    shown = (
        "\\begin{verbatim}\n\\cite{no}\\bibliographystyle{no}\\bibliography{no}\n\\end{verbatim}"
        "\\verb|\\cite{nor}|\\input{more}"
    )
    text = TEXT.replace("\\input{more}", shown)
    guess = make_guess(_source(tmp_path, text), _Bibtex(tmp_path))  # type: ignore[arg-type]
    assert guess == Request(style="unsrt", data=("one", "two"), keys=("b", "a", "c"))


def test_a_guess_bibtex_faults_is_thrown_away(tmp_path: Path) -> None:
    bibtex = _Bibtex(tmp_path, code=2)
    assert make_guess(_source(tmp_path, TEXT), bibtex) is None  # type: ignore[arg-type]
    assert not (tmp_path / "x.bbl").exists()


def test_the_request_of_a_run_follows_included_files(tmp_path: Path) -> None:
    (tmp_path / "x.aux").write_text(
        "\\relax\n\\bibstyle{plain}\n\\citation{a}\n\\@input{ch.aux}\n\\bibdata{one}\n"
    )
    (tmp_path / "ch.aux").write_text("\\citation{b,a}\n")
    request = read_request(tmp_path, "x")
    assert request == Request(style="plain", data=("one",), keys=("a", "b"))
    assert read_request(tmp_path, "y") is None


def test_sorted_styles_do_not_mind_the_order() -> None:
    first = Request(style="plain", data=("d",), keys=("a", "b"))
    second = Request(style="plain", data=("d",), keys=("b", "a"))
    assert first.is_met_by(second)
    assert not Request(style="unsrt", data=("d",), keys=("a", "b")).is_met_by(
        Request(style="unsrt", data=("d",), keys=("b", "a"))
    )
    assert not first.is_met_by(Request(style="plain", data=("d",), keys=("a",)))
    assert not first.is_met_by(None)
