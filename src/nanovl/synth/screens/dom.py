"""A small tree of HTML, written twice: for the browser, and short for a reader of its structure.

The short form has no style and no decoration: what is left is what somebody would write down who
sees the page. Must not know what pages are about.

Source: data synthesis specification, section 8 (screenshot to HTML).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

__all__ = ["Child", "Node", "Raw", "h", "html_of", "short_html", "text_of"]

_VOID = ("br", "hr", "img", "input", "meta")
_INLINE = ("a", "b", "button", "em", "i", "img", "input", "label", "option", "span", "strong")


@dataclass(frozen=True)
class Raw:
    """Markup that is taken as it is (icons, drawings); left out of the short form."""

    text: str


@dataclass
class Node:
    """An element.

    Attributes:
        tag: For the browser.
        attributes: For the browser.
        children: Elements, texts and raw markup.
        short: Tag in the short form; "" keeps the children only, None leaves everything out.
        kept: Attributes in the short form; "" as a value writes the name alone.
    """

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Child] = field(default_factory=list)
    short: str | None = ""
    kept: dict[str, str] = field(default_factory=dict)

    def walk(self) -> Iterator[Node]:
        """This element and all below it."""
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child.walk()


Child = Node | Raw | str
_OWN = ("a", "button", "figcaption", "footer", "form", "h1", "h2", "h3", "header", "li", "main")
_KEPT_TAGS = (*_OWN, "nav", "ol", "p", "section", "table", "td", "th", "tr", "ul", "label", "aside")


def h(
    tag: str,
    *children: Child | None,
    cls: str = "",
    style: str = "",
    short: str | None = "?",
    kept: dict[str, str] | None = None,
    mark: dict[str, str] | None = None,
    **attributes: str,
) -> Node:
    """An element; None children are left out.

    Args:
        tag: Its name.
        children: What is inside.
        cls, style: Attributes of that kind.
        short: Tag in the short form; "?" takes the own tag where it means something.
        kept: Attributes in the short form.
        mark: Attributes of a marked element (`data-gt` and others).
        attributes: Others; "_" in names becomes "-".
    """
    given = {}
    if cls:
        given["class"] = cls
    if style:
        given["style"] = style
    given |= {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    given |= mark or {}
    if short == "?":
        short = tag if tag in _KEPT_TAGS else ""
    kids = [c for c in children if c is not None and c != ""]
    return Node(tag, given, kids, short, kept or {})


def html_of(node: Child) -> str:
    """Markup for the browser."""
    if isinstance(node, Raw):
        return node.text
    if isinstance(node, str):
        return escape(node, quote=False)
    attributes = "".join(f' {k}="{escape(v)}"' for k, v in node.attributes.items())
    if node.tag in _VOID:
        return f"<{node.tag}{attributes}>"
    return f"<{node.tag}{attributes}>{''.join(map(html_of, node.children))}</{node.tag}>"


def text_of(node: Child) -> str:
    """All text below a node, words separated by single blanks."""
    if isinstance(node, str):
        return " ".join(node.split())
    if isinstance(node, Raw):
        return ""
    return " ".join(t for t in map(text_of, node.children) if t)


def short_html(node: Child) -> str:
    """The structure and the texts alone, one block-level element a line."""
    return "\n".join(line for line in _short(node).split("\n") if line.strip())


def _short(node: Child) -> str:
    if isinstance(node, str):
        return escape(" ".join(node.split()), quote=False)
    if isinstance(node, Raw) or node.short is None:
        return ""
    inner: list[str] = []
    for child in node.children:
        made = _short(child)
        if made:
            # Neighbours of one line are kept apart by a blank, others by a line break.
            flows = not made.startswith("\n") and inner and not inner[-1].endswith("\n")
            inner.append(" " + made if flows else made)
    body = "".join(inner)
    if not node.short:
        is_box = node.attributes.get("class", "") and "\n" not in body and node.tag == "div"
        return f"\n{body}\n" if is_box and body.strip() else body
    kept = "".join(f' {k}="{escape(v)}"' if v else f" {k}" for k, v in node.kept.items())
    if node.short in _VOID:
        return f"<{node.short}{kept}>"
    if not body.strip() and not node.kept and node.short not in ("td", "th"):
        return ""
    made = f"<{node.short}{kept}>{body.strip() if chr(10) not in body.strip() else body}"
    made += f"</{node.short}>"
    return made if node.short in _INLINE else f"\n{made}\n"
