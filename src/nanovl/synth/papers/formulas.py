r"""Random formulas as LaTeX: sums, integrals, fractions, matrices, cases, aligned steps.

Formulas are written the way the compiler writes them back (`\leq`, not `\le`; braces only where
they are needed by more than one token), so that equality of the two can be held against spacing
alone. Must not know pages.

Source: data synthesis specification, section 13 (formula OCR).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = [
    "KINDS",
    "Formula",
    "draw_formula",
    "inline",
    "same_formula",
    "skeleton",
    "tight",
    "width_em",
]

KINDS = ("line", "aligned", "cases", "matrix", "gathered", "set")
_LATIN = "abcdefghkmnpqrstuvwxyzABCDEFGHKLMNPQRSTUVWXYZ"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_GREEK = _words(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta kappa lambda mu nu xi pi rho sigma "
    "tau phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
)
_RELATIONS = _words(
    "= = = = = = < > \\leq \\geq \\neq \\approx \\equiv \\sim \\simeq \\propto \\in \\subset "
    "\\subseteq \\to \\mapsto \\ll \\gg \\cong \\supset \\perp \\Rightarrow \\iff"
)
_BINARY = _words(
    "+ + + + - - - \\cdot \\times \\pm \\mp \\otimes \\oplus \\cup \\cap \\circ \\wedge \\vee"
)
_FUNCTIONS = _words(
    "sin cos tan log ln exp sinh cosh tanh arctan det dim ker max min sup inf arg gcd deg"
)
_ACCENTS = _words("hat bar tilde dot ddot vec")
_ALPHABETS = _words("mathbb mathcal mathbf mathfrak mathrm")
_NAMED = _words(
    "\\infty \\partial \\nabla \\hbar \\ell \\emptyset \\Re \\Im \\aleph \\forall \\exists "
    "\\ldots \\cdots \\dagger \\star"
)


@dataclass(frozen=True, kw_only=True)
class Formula:
    """A display formula.

    Attributes:
        kind: One of `KINDS`.
        rows: Of one row, or of the rows of an alignment with "&" between their parts.
    """

    kind: str
    rows: tuple[str, ...]

    @property
    def latex(self) -> str:
        """As one formula: rows become `aligned` or `gathered`."""
        if len(self.rows) == 1:
            return self.rows[0]
        name = "aligned" if any("&" in row for row in self.rows) else "gathered"
        return f"\\begin{{{name}}} " + " \\\\ ".join(self.rows) + f" \\end{{{name}}}"


def tight(latex: str) -> str:
    """A formula without the blanks TeX ignores."""
    return re.sub(r"\s+(?![A-Za-z])|(?<![A-Za-z])\s+", "", latex.strip())


def same_formula(a: str, b: str, *, any_weight: bool = False) -> bool:
    """Whether two formulas are the same but for spacing, sizes and order of scripts.

    Args:
        a, b: LaTeX.
        any_weight: Upright, bold and italic letters count as the same.
    """
    return skeleton(a, any_weight=any_weight) == skeleton(b, any_weight=any_weight)


_SAME = {
    "\\ne": "\\neq", "\\le": "\\leq", "\\ge": "\\geq", "\\to": "\\rightarrow",
    "\\longrightarrow": "\\rightarrow", "\\dots": "\\ldots", "\\dotsc": "\\ldots",
    "\\lbrace": "\\{", "\\rbrace": "\\}", "\\|": "\\Vert", "\\lVert": "\\Vert",
    "\\rVert": "\\Vert", "\\vert": "|", "\\lvert": "|", "\\rvert": "|", "\\mid": "|",
    "\\colon": ":", "\\tfrac": "\\frac", "\\dfrac": "\\frac", "\\prime": "'",
    "\\Longleftrightarrow": "\\iff", "\\lbrack": "[", "\\rbrack": "]", "\\ast": "*",
    "\\land": "\\wedge", "\\perp": "\\bot", "\\lor": "\\vee",
}  # fmt: skip
_SILENT = frozenset(
    ("\\,", "\\:", "\\;", "\\!", "\\ ", "\\quad", "\\qquad", "\\displaystyle", "\\textstyle",
     "\\limits", "\\nolimits", "\\left", "\\right", "&", "~", "\\mathrm", "\\text",
     "\\operatorname", "\\mathbin", "\\mathrel", "\\mathord", "\\mathop", "\\big", "\\Big",
     "\\bigl", "\\bigr", "\\Bigl", "\\Bigr", "\\bigg", "\\biggl", "\\biggr", "\\Biggl", "\\Biggr",
     "\\hfill")
)  # fmt: skip
_ROWS = re.compile(r"\\(?:begin|end)\{(?:aligned|gathered|split|alignedat)\}")
_ARGUMENTS = {"\\frac": 2, "\\binom": 2, "\\sqrt": 1} | dict.fromkeys(
    [f"\\{n}" for n in (*_ACCENTS, *_ALPHABETS, "overline", "underline", "widehat", "widetilde",
                        "begin", "end")], 1
)  # fmt: skip

Tree = str | tuple[Any, ...]


def skeleton(latex: str, *, any_weight: bool = False) -> Tree:
    """The structure of a formula: tokens, arguments and scripts as nested tuples.

    Args:
        latex: The formula.
        any_weight: Leave commands for upright, bold and italic letters out.
    """
    text = _ROWS.sub(" ", latex)
    if any_weight:
        text = re.sub(r"\\(?:mathrm|mathbf|mathit|boldsymbol)(?![A-Za-z])", "", text)
    tokens = [_SAME.get(t, t) for t in re.findall(r"\\[A-Za-z]+|\\.|\S", text)]
    tokens = [t for t in tokens if t not in _SILENT or t == "\\mathrm"]
    place = 0

    def group() -> Tree:
        """One argument: a brace group or a token with its own arguments."""
        nonlocal place
        if place < len(tokens) and tokens[place] == "{":
            place += 1
            inner = run("}")
            return inner[0] if len(inner) == 1 else inner
        made = run("", 1)
        return made[0] if len(made) == 1 else made

    def run(end: str, most: int = 0) -> tuple[Tree, ...]:
        nonlocal place
        out: list[Tree] = []
        scripts: list[tuple[str, Tree]] = []

        def close() -> None:
            if scripts:
                out.append(("scripts", *sorted(scripts, key=str)))
                scripts.clear()

        while place < len(tokens):
            token = tokens[place]
            if end and token == end:
                place += 1
                break
            if most and len(out) >= most:
                break
            place += 1
            if token in ("^", "_"):
                scripts.append((token, group()))
                continue
            if token == "'":
                scripts.append(("^", "'"))
                continue
            close()
            if token == "{":
                out.extend(run("}"))
            elif token in _ARGUMENTS:
                degree: Tree = ""
                if token == "\\sqrt" and tokens[place : place + 1] == ["["]:
                    place += 1
                    degree = run("]")
                out.append((token, degree, *(group() for _ in range(_ARGUMENTS[token]))))
            elif token != "\\mathrm":
                out.append(token)
        close()
        return tuple(out)

    return run("")


class _Grammar:
    """Writes expressions; the deeper, the simpler."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def letter(self) -> str:
        if self.chance(0.3):
            return f"\\{self.rng.choice(_GREEK)} "
        return self.rng.choice(_LATIN)

    def number(self) -> str:
        if self.chance(0.15):
            return f"{self.rng.randint(0, 99)}.{self.rng.randint(0, 99)}"
        return str(self.rng.choice((0, 1, 1, 2, 2, 3, 4, 5, 7, 10, 12, 24, 100)))

    def symbol(self) -> str:
        draw = self.rng.random()
        if draw < 0.08:
            return f"\\{self.rng.choice(_ALPHABETS)}{{{self.rng.choice('ABCEFHKLMNPRSTXZ')}}}"
        if draw < 0.16:
            return f"\\{self.rng.choice(_ACCENTS)}{{{self.rng.choice('abcdpquvwxyzABX')}}}"
        return self.letter()

    def index(self) -> str:
        draw = self.rng.random()
        if draw < 0.4:
            return self.rng.choice("ijkmn012")
        if draw < 0.7:
            return f"{self.rng.choice('ijkn')}{self.rng.choice('+-')}{self.rng.choice('12m')}"
        if draw < 0.85:
            return f"{self.rng.choice('ijk')},{self.rng.choice('lmn')}"
        return f"\\mathrm{{{self.rng.choice(('max', 'eff', 'in', 'out', 'tot'))}}}"

    def atom(self) -> str:
        base = self.symbol()
        if self.chance(0.3):
            base = f"{base.strip()}_{_grouped(self.index())}"
        if self.chance(0.22):
            power = self.rng.choice(("2", "2", "3", "n", "-1", "k+1", "*", "\\top ", "\\prime "))
            base = base.strip() + ("'" if "prime" in power else f"^{_grouped(power.strip())}")
        return base + (" " if re.search(r"\\[A-Za-z]+$", base) else "")

    def argument(self, depth: int) -> str:
        inner = self.product(depth - 1) if self.chance(0.6) else self.sum(depth - 1)
        return f"({inner})"

    def term(self, depth: int) -> str:
        if depth <= 0 or self.chance(0.35):
            return self.atom()
        makers: tuple[tuple[Callable[[int], str], int], ...] = (
            (self.fraction, 5), (self.root, 2), (self.function, 4), (self.big, 5),
            (self.fenced, 4), (self.derivative, 2), (self.binomial, 1), (self.named, 1),
            (self.over, 1),
        )  # fmt: skip
        maker = self.rng.choices([m for m, _ in makers], [w for _, w in makers])[0]
        return maker(depth)

    def fraction(self, depth: int) -> str:
        return f"\\frac{{{self.sum(depth - 2)}}}{{{self.product(depth - 2)}}}"

    def root(self, depth: int) -> str:
        degree = f"[{self.rng.choice('3n')}]" if self.chance(0.2) else ""
        return f"\\sqrt{degree}{{{self.sum(depth - 2)}}}"

    def function(self, depth: int) -> str:
        if self.chance(0.5):
            return f"\\{self.rng.choice(_FUNCTIONS)}{self.argument(depth - 1)}"
        return f"{self.rng.choice('fghFGu')}{self.argument(depth - 1)}"

    def big(self, depth: int) -> str:
        body = self.term(depth - 2)
        kind = self.rng.randrange(4)
        if kind == 0:
            name = self.rng.choice(("sum", "sum", "prod", "bigcup", "bigcap", "bigoplus"))
            i = self.rng.choice("ijkn")
            top = self.rng.choice(("n", "N", "\\infty", "m-1"))
            return f"\\{name}_{{{i}={self.rng.choice('01')}}}^{_grouped(top)}{_after(top)}{body}"
        if kind == 1:
            low, high = self.rng.choice(
                (("0", "1"), ("a", "b"), ("0", "\\infty"), ("-\\pi ", "\\pi"))
            )
            variable = self.rng.choice("xts")
            bounds = f"_{_grouped(low.strip())}^{_grouped(high)}{_after(high)}"
            return f"\\int{bounds}{body.strip()}\\,d{variable}"
        if kind == 2:
            i = self.rng.choice("nkx")
            end = self.rng.choice(("\\infty", "0"))
            return f"\\lim_{{{i}\\to{'' if end[0] != '0' else ' '}{end}}}{body}"
        name, i, where = (self.rng.choice(c) for c in (("sum", "prod"), "ijk", "SIAK"))
        return f"\\{name}_{{{i}\\in {where}}}{body}"

    def fenced(self, depth: int) -> str:
        inner = self.sum(depth - 1)
        kind = self.rng.randrange(5)
        if kind == 0:
            return f"|{self.atom().strip()}|"
        if kind == 1:
            return f"\\|{self.atom().strip()}\\|_{self.rng.choice('12p')}"
        if kind == 2:
            return f"\\left[{inner}\\right]"
        if kind == 3:
            return f"\\lfloor {self.atom().strip()}\\rfloor "
        return f"\\left({inner}\\right)" + ("^2" if self.chance(0.3) else "")

    def derivative(self, depth: int) -> str:
        variable = self.rng.choice("xtyzu")
        if self.chance(0.5):
            return f"\\frac{{\\partial {self.letter().strip()}}}{{\\partial {variable}}}"
        return f"\\frac{{d{self.rng.choice('fguvxy')}}}{{d{variable}}}"

    def binomial(self, depth: int) -> str:
        return f"\\binom{{{self.rng.choice('nmN')}}}{{{self.rng.choice('kij')}}}"

    def named(self, depth: int) -> str:
        return self.rng.choice(_NAMED) + " "

    def over(self, depth: int) -> str:
        name = self.rng.choice(("overline", "underline", "widehat", "widetilde"))
        inner = "".join(self.rng.sample("ABCXYabxyz", 2))
        return f"\\{name}{{{inner}}}"

    def product(self, depth: int) -> str:
        text = self.number() if self.chance(0.18) else ""
        if text and self.chance(0.3):
            return text
        for _ in range(self.rng.choices((1, 2), (3, 1))[0]):
            text += self.term(depth)
        return text.strip()

    def sum(self, depth: int) -> str:
        text = self.product(depth)
        for _ in range(self.rng.choices((0, 1, 2), (5, 4, 1))[0]):
            operator = self.rng.choice(_BINARY)
            text += operator + (" " if operator[0] == "\\" else "") + self.product(depth)
        return text

    def relation(self, depth: int, aligned: bool = False) -> str:
        relation = self.rng.choice(_RELATIONS)
        mark = "& " if aligned else ""
        return f"{self.product(depth)} {mark}{relation} {self.sum(depth)}"


def _grouped(script: str) -> str:
    is_single = len(script) == 1 or re.fullmatch(r"\\[A-Za-z]+", script)
    return script if is_single else f"{{{script}}}"


def _after(script: str) -> str:
    return " " if script.startswith("\\") else ""


def inline(rng: random.Random) -> str:
    """A short formula for a line of text."""
    grammar = _Grammar(rng)
    if rng.random() < 0.45:
        return grammar.atom().strip()
    if rng.random() < 0.5:
        relation = rng.choice(("=", "<", ">", "\\leq ", "\\in "))
        return f"{grammar.atom()}{relation}{grammar.sum(0)}".strip()
    return grammar.sum(1).strip()


def width_em(latex: str) -> float:
    """About how wide a formula is printed, in em; the widest row of several."""
    return max(_width(skeleton(row)) for row in re.split(r"\\\\\\\\", latex))


def _width(tree: Tree, scale: float = 1.0) -> float:
    if isinstance(tree, str):
        if tree in ("\\begin", "\\end", ""):
            return 0.0
        word = tree[1:] if tree[1:] in _FUNCTIONS or tree == "\\lim" else ""
        return scale * (0.5 * len(word) if word else 1.0 if tree[0] == "\\" else 0.62)
    if tree and tree[0] in ("\\frac", "\\binom"):
        return max(_width(part, scale) for part in tree[2:]) + 0.3
    if tree and tree[0] in ("\\begin", "\\end"):
        return 0.7
    if tree and tree[0] == "scripts":
        return max(_width(part[1], 0.7 * scale) for part in tree[1:])
    if tree and isinstance(tree[0], str) and tree[0] in _ARGUMENTS:
        return sum(_width(part, scale) for part in tree[2:]) + (0.9 if tree[0] == "\\sqrt" else 0)
    return sum(_width(part, scale) for part in tree)


def draw_formula(rng: random.Random, depth: int = 3, kind: str | None = None) -> Formula:
    """A random display formula.

    Args:
        rng: Where it comes from.
        depth: 1 (a few symbols) to 5 (nested).
        kind: One of `KINDS`; None draws one.
    """
    grammar = _Grammar(rng)
    kind = kind or rng.choices(KINDS, (10, 3, 2, 2, 1, 1))[0]
    if kind == "aligned":
        rows = [grammar.relation(depth - 1, aligned=True)]
        for _ in range(rng.randint(1, 3)):
            rows.append(f"& {rng.choice(('=', '=', chr(92) + 'leq'))} {grammar.sum(depth - 1)}")
        return Formula(kind=kind, rows=tuple(rows))
    if kind == "gathered":
        return Formula(
            kind=kind, rows=tuple(grammar.relation(depth - 1) for _ in range(rng.randint(2, 3)))
        )
    if kind == "cases":
        lines = [
            f"{grammar.sum(1)} & \\text{{{'if' if k else 'for'} }}{grammar.letter().strip()}"
            f"{rng.choice(('<', '>', '='))}{grammar.number()}"
            for k in range(rng.randint(2, 3))
        ]
        body = " \\\\ ".join(lines)
        name = rng.choice("fgh")
        return Formula(
            kind=kind, rows=(f"{name}({rng.choice('xyt')})=\\begin{{cases}} {body} \\end{{cases}}",)
        )
    if kind == "matrix":
        name = rng.choice(("pmatrix", "bmatrix", "vmatrix"))
        height, width = rng.randint(2, 4), rng.randint(2, 4)
        body = " \\\\ ".join(
            " & ".join(grammar.atom().strip() for _ in range(width)) for _ in range(height)
        )
        matrix = f"\\begin{{{name}}} {body} \\end{{{name}}}"
        return Formula(kind=kind, rows=(f"{grammar.atom().strip()}={matrix}",))
    if kind == "set":
        return Formula(
            kind=kind,
            rows=(
                f"{rng.choice('ASMK')}=\\left\\{{{rng.choice('xyz')}\\in"
                f"\\mathbb{{{rng.choice('RNZC')}}}:{grammar.relation(1)}\\right\\}}",
            ),
        )
    return Formula(kind=kind, rows=(grammar.relation(depth),))
