"""Finding the final answer in a text: boxes, "the answer is", the last number of the last line.

Pure text work, shared by the metrics of mathematics, charts and documents. It must not compare
anything with a reference and never evaluates text as code.

Source: evaluation specification, sections 6.12 and 6.19.
"""

from __future__ import annotations

import ast
import re

__all__ = [
    "after_answer_marker",
    "arithmetic",
    "as_list",
    "boxed",
    "final_answer",
    "last_line",
    "latex_number",
    "plain_number",
    "stated_answer",
]

_BOX = "\\boxed{"
_MARKER = re.compile(r"(?:final\s+)?answer\s*\**\s*(?:is\s*:?|:)\s*\**\s*", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?%?|[-+]?\.\d+%?")
_LARGEST_EXPONENT = 1024


def boxed(text: str) -> str | None:
    """Content of the last `\\boxed{...}` with balanced braces; None when there is none.

    The last opening decides: an unclosed one hides a complete one before it, as in the reference.
    """
    start = text.rfind("\\boxed")
    if start < 0 or not text.startswith(_BOX, start):
        return None
    depth = 0
    for index in range(start + len(_BOX) - 1, len(text)):
        if text[index] == "{":
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return text[start + len(_BOX) : index]
    return None


def last_line(text: str) -> str:
    """The last line that is not blank, stripped; "" when there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def after_answer_marker(text: str) -> str | None:
    """What follows the last `answer is` or `answer:` on its line, without closing marks."""
    ends = [found.end() for found in _MARKER.finditer(text)]
    if not ends:
        return None
    rest = text[ends[-1] :].split("\n", 1)[0]
    return _bare(rest) or None


def _bare(text: str) -> str:
    text = text.strip().strip("*_` ").strip()
    for left, right in (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("$", "$")):
        if text.rstrip(".").endswith(right) and text.startswith(left):
            text = text.rstrip(".")[len(left) : -len(right)].strip()
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip("*_` ")
    return text


def final_answer(text: str) -> str | None:
    """The final answer of a free text.

    In this order: the last box; what follows the last `answer is`; the last number of the last
    line, or that whole line when it has no number. None for a blank text.
    """
    box = boxed(text)
    if box is not None and box.strip():
        return box.strip()
    marked = after_answer_marker(text)
    if marked is not None:
        return marked
    line = _bare(last_line(text))
    if not line:
        return None
    numbers = _NUMBER.findall(line)
    return numbers[-1] if numbers else line


def stated_answer(text: str) -> str | None:
    """The short answer that a text states, where it is more than that answer.

    The last box, what follows the last `answer is`, or the one line there is without its bold marks
    and full stop. None when nothing of this is there: the text itself is the answer.
    """
    box = boxed(text)
    if box is not None and box.strip():
        return box.strip()
    stated = after_answer_marker(text)
    if stated is None and text.strip() == last_line(text):
        stated = _bare(text)
    return stated if stated and stated != text.strip() else None


def plain_number(text: str) -> float | None:
    """The number a short text consists of or starts with, separators and units taken off."""
    bare = text.strip().lstrip("$\u20ac\u00a3\u00a5~ ").replace("\\$", "").replace("\\%", "%")
    exact = latex_number(bare)
    if exact is not None:
        return exact
    found = _NUMBER.match(bare)
    if found is None:
        return None
    number = found.group().replace(",", "")
    return float(number[:-1]) / 100 if number.endswith("%") else float(number)


def as_list(text: object) -> list[object] | None:
    """A list, or the list a text spells in Python or JSON; None for anything else."""
    if isinstance(text, list | tuple):
        return list(text)
    if not isinstance(text, str) or not text.strip().startswith(("[", "(")):
        return None
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    return list(value) if isinstance(value, list | tuple) else None


def arithmetic(text: str) -> float | None:
    """Value of an expression of numbers, `+ - * / **` and brackets; None for anything else.

    The text is parsed, never executed. Powers are limited, so that no input takes long.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
        value = float(_value(tree.body))
    except (ValueError, SyntaxError, TypeError, ArithmeticError, MemoryError, RecursionError):
        return None
    return value


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=bool()):
            raise ValueError("a truth value is not a number")
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _value(inner)
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, _value(left), _value(right))
        case _:
            raise ValueError(f"not arithmetic: {type(node).__name__}")


def _binary(op: ast.operator, left: float, right: float) -> float:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case ast.Pow():
            power = left**right if abs(right) <= _LARGEST_EXPONENT else float("nan")
            if isinstance(power, complex) or power != power:
                raise ValueError("not a real power")
            return power
        case _:
            raise ValueError(f"not arithmetic: {type(op).__name__}")


def latex_number(text: str) -> float | None:
    """Value of a number written in LaTeX or plain text; None when it is not a plain number.

    Knows fractions, products, powers with braces, thousands separators and a percent sign. Roots,
    constants such as pi and units make it None.
    """
    plain = text.strip().strip("$").strip()
    for old, new in (
        ("\\left", ""),
        ("\\right", ""),
        ("\\dfrac", "\\frac"),
        ("\\tfrac", "\\frac"),
        ("\\cdot", "*"),
        ("\\times", "*"),
        ("\\div", "/"),
        ("\\%", "%"),
        ("\\,", ""),
        ("\\!", ""),
        ("{,}", ","),
        ("\u2212", "-"),
        ("\u00d7", "*"),
    ):
        plain = plain.replace(old, new)
    plain = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", plain)
    plain = re.sub(r"\\frac\s*(\d)\s*(\d)(?!\d)", r"\\frac{\1}{\2}", plain)
    before = ""
    while before != plain and len(plain) < 4096:
        before = plain
        plain = re.sub(r"\\frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"((\1)/(\2))", plain)
        plain = re.sub(r"\^\s*\{([^{}]*)\}", r"**(\1)", plain)
    plain = re.sub(r"\^\s*(?=[-\d(])", "**", plain)
    percent = plain.endswith("%")
    value = arithmetic(plain[:-1] if percent else plain)
    if value is None:
        return None
    return value / 100 if percent else value
