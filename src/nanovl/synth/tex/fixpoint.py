"""Whether formulas survive being typeset again: LaTeX out, through the engine, LaTeX in.

Many formulas go into one document; the hooks record them, the converter writes them again, and the
glyphs and the text are compared. Formulas are ours (written by `maths`), so the run is trusted.

Source: data synthesis specification, section 3.10.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nanovl.core.errors import BackendError
from nanovl.synth.tex.events import read_recording
from nanovl.synth.tex.fonts import ensure_font_cache
from nanovl.synth.tex.mathnames import MathNames
from nanovl.synth.tex.maths import Converter
from nanovl.synth.tex.sandbox import Sandbox
from nanovl.synth.tex.startup import start_options

__all__ = ["check_formulas"]

_HEAD = r"""\documentclass{article}
\usepackage{amsmath,amssymb,mathrsfs}
\providecommand\joinrel{\mathrel{\mkern-3mu}}
"""


def check_formulas(formulas: Sequence[str], head: str = _HEAD) -> dict[str, Any]:
    """Typeset formulas again and compare.

    Args:
        formulas: LaTeX without delimiters.
        head: What comes before the document begins: class, packages, fonts.

    Returns:
        `total`; `compiled` without error; `same_glyphs`, whose characters are the same in the same
        order; `same_text`, which are written the same again; `changed`, up to 20 (before, after);
        `written`, what became of each formula, "" for those that do not compile.

    Raises:
        BackendError: The engine is missing or printed nothing.
    """
    ensure_font_cache()
    with tempfile.TemporaryDirectory(prefix="nanovl-fix-") as name:
        work = Path(name)
        body = "".join(
            f"\\immediate\\write-1{{NGTF:{k}}}\\directlua{{nanovl_gt.meta('formula',{k},'')}}"
            f"\\setbox0\\hbox{{$\\displaystyle {formula} $}}\n"
            for k, formula in enumerate(formulas)
        )
        text = f"{head}\\begin{{document}}\n{body}x\\end{{document}}\n"
        (work / "fix.tex").write_text(text, encoding="utf-8")
        sandbox = Sandbox(work)
        result = sandbox.run(
            ["lualatex", *start_options(sandbox), "--interaction=batchmode", "--no-shell-escape",
             "--jobname=fix", "\\RequirePackage{nanovl-gt}\\input{fix.tex}"]
        )  # fmt: skip
        path = work / "fix-gt.jsonl"
        if not path.exists():
            raise BackendError(f"lualatex recorded no formula ({result.failure or result.code})")
        log = (work / "fix.log").read_text("utf-8", "replace")
        owners = _owners(path)
        recording = read_recording(path)
    converter = Converter(recording.fonts, recording.maths, MathNames(recording.names))
    broken = _broken(log)
    counts = {"total": len(formulas), "compiled": 0, "same_glyphs": 0, "same_text": 0}
    changed = []
    written = []
    for k, formula in enumerate(formulas):
        if k in broken or k not in owners:
            changed.append((formula, "does not compile"))
            written.append("")
            continue
        counts["compiled"] += 1
        again = re.sub(r"^\\displaystyle\s*", "", converter.latex(owners[k]))
        written.append(again)
        is_same = _tight(again) == _tight(formula)
        counts["same_text"] += is_same
        if is_same or _glyphs(again) == _glyphs(formula):
            counts["same_glyphs"] += 1
        else:
            changed.append((formula, again))
    return {**counts, "changed": changed[:20], "written": written}


def _owners(path: Path) -> dict[int, int]:
    """Formula -> its outermost maths list: the last one recorded before the next formula."""
    owners: dict[int, int] = {}
    now: int | None = None
    for line in path.read_text("utf-8").splitlines():
        meta = re.match(r'\["meta","formula",(\d+)', line)
        maths = re.match(r'\["math",(\d+),', line)
        if meta:
            now = int(meta.group(1))
        elif line.startswith('["par"'):
            now = None
        elif maths and now is not None:
            owners[now] = int(maths.group(1))
    return owners


def _broken(log: str) -> set[int]:
    broken = set()
    for part in log.split("NGTF:")[1:]:
        number = re.match(r"\d+", part)
        if number and re.search(r"^! ", part, re.MULTILINE):
            broken.add(int(number.group()))
    return broken


def _tight(latex: str) -> str:
    return re.sub(r"\s+", "", latex)


def _glyphs(latex: str) -> str:
    """What prints: spacing, grouping and structure of boxes left out."""
    text = re.sub(r"\\(?:[,:;! ]|quad|qquad|displaystyle|textstyle|limits|nolimits)", "", latex)
    return re.sub(r"[\s{}]|\\mathrm|\\text|\\mathrel|\\mathbin|\\mathop", "", text)
