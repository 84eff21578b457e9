r"""A plan and a look as LaTeX source.

References are either real (\ref, \cite, labels; the engine runs until they are settled) or written
out as the numbers they will be, which needs one run only. Must not draw random numbers.

Source: data synthesis specification, section 3.14.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nanovl.synth.papers.dress import Dress
from nanovl.synth.papers.plan import (
    Algorithm,
    Block,
    Code,
    Display,
    Figure,
    Heading,
    Items,
    Paper,
    Para,
    Run,
    Tabular,
    Theorem,
)
from nanovl.synth.papers.prose import language
from nanovl.synth.tables.grid import Cell, Table

__all__ = ["FRONTS", "escaped", "write_source"]

_SPECIAL = {
    "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", "$": "\\$", "%": "\\%", "&": "\\&",
    "#": "\\#", "_": "\\_", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
}  # fmt: skip
_LEVELS = ("chapter", "section", "subsection", "subsubsection", "paragraph")
_ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")


def escaped(text: str) -> str:
    """Plain text as LaTeX text."""
    return "".join(_SPECIAL.get(c, c) for c in text)


def write_source(paper: Paper, dress: Dress) -> str:
    """The main file.

    Args:
        paper: What it says.
        dress: What it looks like.
    """
    return _Writer(paper, dress).write()


class _Writer:
    """Writes one document."""

    def __init__(self, paper: Paper, dress: Dress) -> None:
        self.paper = paper
        self.dress = dress
        self.kind = dress.kind
        self.words = language(paper.lang)

    def write(self) -> str:
        """The whole document."""
        paper = self.paper
        lines = [*self.preamble(), "\\begin{document}"]
        if self.kind.name == "beamer":
            lines += self.slides()
        else:
            lines += FRONTS[self.kind.front](self)
            if paper.has_contents:
                lines.append("\\tableofcontents")
            if self.dress.line_numbers:
                lines.append("\\linenumbers")
            for place, block in enumerate(paper.body):
                if place == paper.appendix and self.kind.name != "IEEEtran":
                    lines.append("\\appendix")
                after = paper.body[place + 1] if place + 1 < len(paper.body) else None
                made = self.block(block)
                is_joined = isinstance(after, Display) or (
                    isinstance(after, Para) and after.is_rest
                )
                lines += made[:-1] if is_joined and made[-1:] == [""] else made
            lines += self.bibliography()
        return "\n".join([*lines, "\\end{document}", ""])

    # -- preamble --------------------------------------------------------------------------------

    def preamble(self) -> list[str]:
        """Class, packages and definitions."""
        dress, kind, body = self.dress, self.kind, self.paper.body
        options = f"[{dress.options}]" if dress.options else ""
        lines = [f"\\documentclass{options}{{{kind.name}}}"]
        packages = ["amsmath"] if kind.name != "acmart" else []
        if kind.name not in ("acmart", "beamer"):
            packages += ["amssymb"]
            if not kind.own_theorems and kind.name != "amsart":
                packages.append("amsthm")
        tables = [b for b in body if isinstance(b, Tabular)]
        if any(b.style == "booktabs" for b in tables) and kind.name != "acmart":
            packages.append("booktabs")
        if any(c.rows > 1 for b in tables for c in b.table.cells):
            packages.append("multirow")
        if any(isinstance(b, Figure) for b in body):
            packages.append("tikz")
        if any(isinstance(b, Code) and b.style == "listing" for b in body):
            packages.append("listings")
        if any(isinstance(b, Algorithm) for b in body):
            packages += ["algorithm", "algpseudocode"]
        if kind.name == "IEEEtran" and "amsthm" in packages:
            lines.append("\\let\\proof\\relax\\let\\endproof\\relax")
        lines += [f"\\usepackage{{{','.join(packages)}}}"] if packages else []
        if kind.name == "acmart":
            lines.append(
                "\\settopmatter{printacmref=false}\\renewcommand\\footnotetextcopyrightpermission[1]{}"
            )
        if self.paper.lang == "de":
            lines.append("\\usepackage[ngerman]{babel}")
        elif self.paper.lang != "en":
            lines.append(f"\\usepackage[{self.words['name']},provide=*]{{babel}}")
        if dress.font.startswith("package:"):
            lines.append(f"\\usepackage[T1]{{fontenc}}\\usepackage{{{dress.font[8:]}}}")
        elif dress.font:
            lines.append("\\usepackage{fontspec}")
            lines.append(f"\\IfFontExistsTF{{{dress.font}}}{{\\setmainfont{{{dress.font}}}}}{{}}")
        if dress.paper_mm is not None:
            width, height = dress.paper_mm
            lines.append(
                f"\\usepackage[paperwidth={width}mm,paperheight={height}mm,"
                f"margin={dress.margin_mm}mm,includeheadfoot]{{geometry}}"
            )
        if dress.header == "fancy":
            lines += [
                "\\usepackage{fancyhdr}", "\\pagestyle{fancy}", "\\fancyhf{}",
                f"\\fancyhead[L]{{{escaped(self.paper.authors[0])}}}",
                f"\\fancyhead[R]{{{escaped(self.paper.date)}}}", "\\fancyfoot[C]{\\thepage}",
                "\\setlength{\\headheight}{14pt}",
            ]  # fmt: skip
        elif dress.header:
            lines.append(f"\\pagestyle{{{dress.header}}}")
        if dress.line_numbers:
            lines.append("\\usepackage{lineno}")
        if dress.spacing != 1.0:
            lines.append(f"\\linespread{{{dress.spacing}}}")
        if dress.theme:
            lines += [f"\\usetheme{{{dress.theme}}}", "\\usefonttheme[onlymath]{serif}"]
            lines.append("\\setbeamertemplate{navigation symbols}{}")
            lines.append("\\setbeamertemplate{frametitle continuation}{}")
        if "listings" in packages:
            lines.append("\\lstset{basicstyle=\\ttfamily\\small,columns=fullflexible,keepspaces}")
        lines += self.theorem_lines()
        lines.append("\\emergencystretch=3em\\hbadness=10000\\hfuzz=4pt")
        return lines

    def theorem_lines(self) -> list[str]:
        """Declarations of the theorem environments in use."""
        used = sorted({b.kind for b in self.paper.body if isinstance(b, Theorem)})
        if self.kind.name == "beamer":
            return []
        return [f"\\newtheorem{{our{k}}}{{{self.words['theorems'][k]}}}" for k in used]

    # -- text ------------------------------------------------------------------------------------

    def runs(self, runs: Sequence[Run]) -> str:
        """Running text."""
        out = []
        for run in runs:
            if run.kind == "math":
                out.append(f"${run.text}$")
            elif run.kind == "cite":
                out.append(self.cited(run.text))
            elif run.kind == "ref":
                out.append(self.referred(run.text))
            elif run.kind == "note":
                out.append(f"\\footnote{{{escaped(run.text)}}}")
            else:
                command = {"em": "\\emph", "bold": "\\textbf", "code": "\\texttt"}.get(run.kind)
                text = escaped(run.text)
                out.append(f"{command}{{{text}}}" if command else text)
        return "".join(out)

    def cited(self, keys: str) -> str:
        """A citation."""
        numbers = keys.split(",")
        if self.dress.are_references_literal or self.kind.name == "beamer":
            return "[" + ", ".join(numbers) + "]"
        return "\\cite{" + ",".join(f"b{n}" for n in numbers) + "}"

    def referred(self, key: str) -> str:
        """A reference to a figure, table or equation, with its kind."""
        kind, number = key.split(":")
        name = self.words["kinds"][{"fig": "figure", "tab": "table", "eq": "equation"}[kind]]
        if not (self.dress.are_references_literal or self.kind.name == "beamer"):
            return f"{name}~\\eqref{{{key}}}" if kind == "eq" else f"{name}~\\ref{{{key}}}"
        shown = number
        if kind == "tab" and self.kind.roman_tables:
            shown = _ROMAN[int(number)]
        return f"{name}~({shown})" if kind == "eq" else f"{name}~{shown}"

    def label(self, key: str) -> str:
        """A label where references are real."""
        return "" if self.dress.are_references_literal else f"\\label{{{key}}}"

    # -- blocks ----------------------------------------------------------------------------------

    def block(self, block: Block) -> list[str]:
        """Lines of one block."""
        if isinstance(block, Para):
            return [self.runs(block.runs), ""]
        if isinstance(block, Heading):
            name = _LEVELS[min(block.level, 3)]
            return [f"\\{name}{{{escaped(block.text)}}}{self.label(block.key)}", ""]
        if isinstance(block, Display):
            return [*self.display(block), ""]
        if isinstance(block, Items):
            return [*self.items(block), ""]
        if isinstance(block, Code):
            name = "verbatim" if block.style == "verbatim" else "lstlisting"
            return [f"\\begin{{{name}}}", *block.lines, f"\\end{{{name}}}", ""]
        if isinstance(block, Theorem):
            return self.theorem(block)
        if isinstance(block, Tabular):
            return self.table(block)
        if isinstance(block, Figure):
            if self.kind.name == "beamer":
                return ["\\begin{center}", block.drawing, "\\end{center}"]
            return [
                "\\begin{figure}[tbp]", "\\centering", block.drawing,
                f"\\caption{{{escaped(block.caption)}}}{self.label(f'fig:{block.number}')}",
                "\\end{figure}", "",
            ]  # fmt: skip
        return self.algorithm(block)

    def display(self, block: Display) -> list[str]:
        """A formula on lines of its own."""
        star = "" if block.number else "*"
        label = self.label(f"eq:{block.number}") if block.number else ""
        rows = block.formula.rows
        if len(rows) == 1:
            return [f"\\begin{{equation{star}}}{label}", rows[0], f"\\end{{equation{star}}}"]
        name = "align" if "&" in rows[0] else "gather"
        body = [f"{row} \\nonumber \\\\" if block.number else f"{row} \\\\" for row in rows[:-1]]
        return [f"\\begin{{{name}{star}}}", *body, rows[-1] + label, f"\\end{{{name}{star}}}"]

    def items(self, block: Items) -> list[str]:
        """A list."""
        name = {"bullets": "itemize", "numbers": "enumerate", "terms": "description"}[block.kind]
        lines = [f"\\begin{{{name}}}"]
        for k, entry in enumerate(block.entries):
            mark = f"[{escaped(block.terms[k])}]" if block.terms else ""
            lines.append(f"\\item{mark} {self.runs(entry)}")
            if block.inner and block.inner[0] == k:
                lines += self.items(block.inner[1])
        return [*lines, f"\\end{{{name}}}"]

    def theorem(self, block: Theorem) -> list[str]:
        """A statement and its proof."""
        name = block.kind if self.kind.name == "beamer" else f"our{block.kind}"
        if name == "remark":
            name = "example"
        lines = [f"\\begin{{{name}}}", self.runs(block.runs), f"\\end{{{name}}}"]
        if block.proof:
            lines += ["\\begin{proof}", self.runs(block.proof), "\\end{proof}"]
        return [*lines, ""]

    def table(self, block: Tabular) -> list[str]:
        """A table in a float; slides have neither floats nor captions."""
        if self.kind.name == "beamer":
            return [
                "\\begin{center}\\footnotesize",
                *tabular(block.table, block.style),
                "\\end{center}",
            ]
        caption = f"\\caption{{{escaped(block.caption)}}}{self.label(f'tab:{block.number}')}"
        body = tabular(block.table, block.style)
        if self.dress.columns == 2:
            body = ["\\footnotesize", *body]
        parts = [caption, *body] if block.is_above else [*body, caption]
        return ["\\begin{table}[tbp]", "\\centering", *parts, "\\end{table}", ""]

    def algorithm(self, block: Algorithm) -> list[str]:
        """Pseudo code in a float."""
        lines = ["\\begin{algorithm}[tbp]", f"\\caption{{{escaped(block.caption)}}}"]
        lines.append("\\begin{algorithmic}[1]")
        for _, word, text in block.lines:
            if word == "State":
                lines.append(f"\\State {escaped(text)}")
            else:
                lines.append(f"\\{word}" + (f"{{{escaped(text)}}}" if text else ""))
        return [*lines, "\\end{algorithmic}", "\\end{algorithm}", ""]

    def bibliography(self) -> list[str]:
        """The list of references."""
        entries = self.paper.references
        if not entries:
            return []
        lines = [f"\\begin{{thebibliography}}{{{'9' * len(str(len(entries)))}}}"]
        for k, entry in enumerate(entries, 1):
            mark = (
                f"\\item[{{[{k}]}}]" if self.dress.are_references_literal else f"\\bibitem{{b{k}}}"
            )
            lines.append(f"{mark} {escaped(entry)}")
        return [*lines, "\\end{thebibliography}"]

    # -- slides ----------------------------------------------------------------------------------

    def slides(self) -> list[str]:
        """Frames: every heading begins one, and so does what would not fit."""
        paper = self.paper
        lines = [
            f"\\title{{{escaped(paper.title)}}}",
            f"\\author{{{' and '.join(map(escaped, paper.authors))}}}",
            f"\\date{{{escaped(paper.date)}}}", "\\begin{frame}\\titlepage\\end{frame}",
        ]  # fmt: skip
        title, room, is_open = "", 0.0, False
        for block in paper.body:
            if isinstance(block, Heading):
                title, need = block.text, 99.0
            else:
                need = _height(block)
            if need > room:
                lines += ["\\end{frame}"] if is_open else []
                lines.append(f"\\begin{{frame}}[fragile,allowframebreaks]{{{escaped(title)}}}")
                room, is_open = 8.0, True
            if not isinstance(block, Heading):
                room -= need
                lines += self.block(block)
        return [*lines, "\\end{frame}"] if is_open else lines


def _height(block: Block) -> float:
    """Lines of a slide that a block takes, about."""
    if isinstance(block, Para):
        return sum(len(r.text) for r in block.runs) / 55 + 0.6
    if isinstance(block, Items):
        return sum(len(r.text) for e in block.entries for r in e) / 50 + block.count() + 0.5
    if isinstance(block, Display):
        return 2.0 * len(block.formula.rows) + (2 if "matrix" in block.formula.latex else 0)
    if isinstance(block, Theorem):
        return 3 + sum(len(r.text) for r in (*block.runs, *block.proof)) / 50
    return float(len(block.lines)) if isinstance(block, Code) else 9.0


# -- tables --------------------------------------------------------------------------------------


def tabular(table: Table, style: str) -> list[str]:
    """A table as `tabular` in one of the styles booktabs, lines, grid."""
    bar = "|" if style == "grid" else ""
    columns = bar.join("l" if c < table.stub else "r" for c in range(table.width))
    top, middle, bottom = {
        "booktabs": ("\\toprule", "\\midrule", "\\bottomrule"),
    }.get(style, ("\\hline", "\\hline", "\\hline"))
    lines = [f"\\begin{{tabular}}{{{bar}{columns}{bar}}}", top]
    for r in range(table.height):
        parts = []
        c = 0
        while c < table.width:
            cell = table.at(r, c)
            parts.append(_cell(cell, r, bar, c == 0, table.stub))
            c += cell.columns if cell.column == c else 1
        lines.append(" & ".join(parts) + " \\\\")
        if r + 1 == table.head:
            lines.append(middle)
    return [*lines, bottom, "\\end{tabular}"]


def _cell(cell: Cell, row: int, bar: str, is_first: bool, stub: int) -> str:
    text = escaped(cell.text) if cell.row == row else ""
    if cell.rows > 1 and cell.row == row:
        text = f"\\multirow{{{cell.rows}}}{{*}}{{{text}}}"
    if cell.columns > 1:
        left = bar if is_first else ""
        return f"\\multicolumn{{{cell.columns}}}{{{left}c{bar}}}{{{text}}}"
    del stub
    return text


# -- title and authors ---------------------------------------------------------------------------


def _abstract(w: _Writer) -> list[str]:
    return ["\\begin{abstract}", w.runs(w.paper.abstract), "\\end{abstract}"]


def _joined_authors(paper: Paper) -> str:
    names = " \\and ".join(map(escaped, paper.authors))
    return f"\\author{{{names}}}"


def _article(w: _Writer) -> list[str]:
    paper = w.paper
    lines = [
        f"\\title{{{escaped(paper.title)}}}",
        _joined_authors(paper),
        f"\\date{{{escaped(paper.date)}}}", "\\maketitle",
    ]  # fmt: skip
    return lines if w.kind.top == 0 and w.kind.name != "report" else [*lines, *_abstract(w)]


def _ieee(w: _Writer) -> list[str]:
    paper = w.paper
    names = " \\and ".join(
        f"\\IEEEauthorblockN{{{escaped(name)}}}\\IEEEauthorblockA{{{escaped(place)}}}"
        for name, place in zip(paper.authors, paper.places, strict=True)
    )
    if "journal" in w.dress.options:
        names = ", ".join(map(escaped, paper.authors))
    return [
        f"\\title{{{escaped(paper.title)}}}", f"\\author{{{names}}}", "\\maketitle", *_abstract(w),
    ]  # fmt: skip


def _revtex(w: _Writer) -> list[str]:
    paper = w.paper
    lines = [f"\\title{{{escaped(paper.title)}}}"]
    for name, place in zip(paper.authors, paper.places, strict=True):
        lines += [f"\\author{{{escaped(name)}}}", f"\\affiliation{{{escaped(place)}}}"]
    return [*lines, *_abstract(w), "\\maketitle"]


def _acm(w: _Writer) -> list[str]:
    paper = w.paper
    lines = [f"\\title{{{escaped(paper.title)}}}"]
    for name, place in zip(paper.authors, paper.places, strict=True):
        lines += [
            f"\\author{{{escaped(name)}}}",
            f"\\affiliation{{\\institution{{{escaped(place)}}}\\city{{Northport}}"
            "\\country{Nowhere}}",
        ]
    return [*lines, *_abstract(w), "\\maketitle"]


def _elsevier(w: _Writer) -> list[str]:
    paper = w.paper
    lines = ["\\begin{frontmatter}", f"\\title{{{escaped(paper.title)}}}"]
    lines += [f"\\author{{{escaped(name)}}}" for name in paper.authors]
    lines.append(f"\\address{{{escaped(paper.places[0])}}}")
    return [*lines, *_abstract(w), "\\end{frontmatter}"]


def _llncs(w: _Writer) -> list[str]:
    paper = w.paper
    return [
        f"\\title{{{escaped(paper.title)}}}",
        _joined_authors(paper),
        f"\\institute{{{escaped(paper.places[0])}}}", "\\maketitle", *_abstract(w),
    ]  # fmt: skip


def _ams(w: _Writer) -> list[str]:
    paper = w.paper
    lines = [f"\\title{{{escaped(paper.title)}}}"]
    for name, place in zip(paper.authors, paper.places, strict=True):
        lines += [f"\\author{{{escaped(name)}}}", f"\\address{{{escaped(place)}}}"]
    return [*lines, *_abstract(w), "\\maketitle"]


def _book(w: _Writer) -> list[str]:
    return []


FRONTS: dict[str, Callable[[_Writer], list[str]]] = {
    "article": _article,
    "ieee": _ieee,
    "revtex": _revtex,
    "acm": _acm,
    "elsevier": _elsevier,
    "llncs": _llncs,
    "ams": _ams,
    "book": _book,
    "memoir": _book,
}
