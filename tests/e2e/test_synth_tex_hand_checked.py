"""Blocks of real pages against what a person saw on them: class and reading order of every one.

`tests/golden/tex/hand_checked.json` lists, for pages of different classes and contents, every block
as judged by eye: its class and the words it begins with, in the order a reader takes them.
"""

from __future__ import annotations

import bisect
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from nanovl.synth.tex import compile_document

GOLDEN = Path(__file__).parent.parent / "golden" / "tex"
DOCS = Path("/usr/share/doc/texlive-doc/latex")

pytestmark = [
    pytest.mark.tex,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.usefixtures("shared_tex_cache"),
    pytest.mark.skipif(
        shutil.which("lualatex") is None,
        reason="needs LuaLaTeX: apt install texlive-luatex texlive-latex-extra texlive-pictures",
    ),
]


def _is_here(name: str) -> bool:
    given = name.startswith("golden/")
    return given or (DOCS / name).exists() or (DOCS / f"{name}.gz").exists()


def _copy(name: str, target: Path) -> None:
    import gzip

    target.mkdir(parents=True)
    path = DOCS / name
    path = path if path.exists() else path.with_name(f"{path.name}.gz")
    wanted = {".bib", ".bbl", ".eps", ".png", ".jpg", ".jpeg", ".cls", ".sty", ".bst", ".pdf",
              ".clo", ".tex"}  # fmt: skip
    for other in sorted(path.parent.iterdir()):
        plain = other.name.removesuffix(".gz")
        if not other.is_file() or Path(plain).suffix.lower() not in wanted:
            continue
        data = other.read_bytes()
        if len(data) < 3_000_000:
            (target / plain).write_bytes(gzip.decompress(data) if plain != other.name else data)


def _plain(text: str) -> str:
    return re.sub(r"\W+", "", text.replace("<tbc>", "")).lower()


def _longest_rise(numbers: list[int]) -> int:
    tails: list[int] = []
    for number in numbers:
        place = bisect.bisect_left(tails, number)
        tails[place : place + 1] = [number]
    return len(tails)


def score(seen: list[list[str]], blocks: list[dict[str, Any]]) -> dict[str, int]:
    """Counts of a page: blocks seen by eye, found, of the right class, in the right order."""
    free = dict(enumerate(blocks))
    orders, right = [], 0
    for klass, words in seen:
        start = _plain(words)
        near = [k for k, b in free.items() if _plain(b["text"]).startswith(start)]
        # A picture or a bullet may have no words: then the class decides.
        near = [k for k in near if start or free[k]["class"] == klass]
        near.sort(key=lambda k: (free[k]["class"] != klass, k))
        if near:
            orders.append(near[0])
            right += free.pop(near[0])["class"] == klass
    return {"seen": len(seen), "found": len(orders), "class": right,
            "order": _longest_rise(orders), "extra": len(free)}  # fmt: skip


def test_the_score_tells_wrong_from_right() -> None:
    seen = [["Text", "one two"], ["Picture", ""], ["Caption", "three"]]
    blocks = [{"class": "Caption", "text": "three x"}, {"class": "Text", "text": "One two, four"},
              {"class": "Picture", "text": "a b"}, {"class": "Text", "text": "more"}]  # fmt: skip
    assert score(seen, blocks) == {"seen": 3, "found": 3, "class": 3, "order": 2, "extra": 1}
    assert score([["Table", "three"]], blocks)["class"] == 0


def test_pages_are_as_a_person_sees_them(tmp_path: Path) -> None:
    checked = json.loads((GOLDEN / "hand_checked.json").read_text(encoding="utf-8"))
    assert len(checked["pages"]) >= 12
    totals = dict.fromkeys(("seen", "found", "class", "order", "extra"), 0)
    names = sorted({page["source"] for page in checked["pages"]})
    missing = [name for name in names if not _is_here(name)]
    if sum(len(p["blocks"]) for p in checked["pages"] if p["source"] not in missing) < 60:
        pytest.skip(f"sources are not installed ({', '.join(missing[:3])}, ...): apt install "
                    "texlive-latex-base-doc texlive-publishers-doc")  # fmt: skip
    for name in sorted({*names} - {*missing}):
        folder = tmp_path / name.replace("/", "-")
        if name == "golden/article.tex":
            source, main = GOLDEN / "article.tex", None
        else:
            source, main = folder / "src", Path(name).name
            _copy(name, source)
        result = compile_document(source, folder / "out", main=main, dpi=72, name="x")
        assert result.status == "ok", (name, result.status, result.message)
        for page in checked["pages"]:
            if page["source"] != name:
                continue
            data = json.loads((folder / "out" / f"x-p{page['page']:04d}.json").read_text())
            found = score(page["blocks"], data["blocks"])
            for key in totals:
                totals[key] += found[key]
    assert totals["seen"] >= 60
    assert totals["found"] >= 0.99 * totals["seen"], totals
    assert totals["class"] >= 0.98 * totals["seen"], totals
    assert totals["order"] >= 0.99 * totals["seen"], totals
    assert totals["extra"] <= 0.01 * totals["seen"], totals
