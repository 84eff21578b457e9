"""Write docs/reference/converters.md from the formats of `nanovl data convert`.

python tools/converter_page.py            write the page
python tools/converter_page.py --check    exit 1 if the page on disk is not what would be written
"""

from __future__ import annotations

import sys
from pathlib import Path

from nanovl.data.convert import FORMATS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "converters.md"

HEAD = """# Converters

<!-- Written by tools/converter_page.py from data.convert.FORMATS; do not edit. -->

`nanovl data convert FORMAT SOURCE OUT` turns an annotated data set into
[records](../guides/data.md#the-record). `nanovl data convert` alone prints this list.

`--images DIR` names pictures, videos or sound that are not part of the source, `--split` the part
of a source that holds several, `--limit` the number of records, `--seed` everything drawn:
wordings, lettered options, boxes that are asked for. A record's wording depends on its id and the
seed alone. Items that cannot be used are counted by reason.

Sources are never downloaded. Their licences are theirs: what a source states, where it is one data
set, is in the last column. Read it before you train.
"""


def page() -> str:
    """The whole page as Markdown."""
    lines = [
        HEAD,
        "| format | what becomes what | source | settings (`-o KEY=VALUE`) | licence |",
        "|---|---|---|---|---|",
    ]
    for name, found in sorted(FORMATS.items()):
        options = "; ".join(f"`{key}`: {meaning}" for key, meaning in found.options.items())
        cells = (f"`{name}`", found.description, found.expects, options, found.licence)
        lines.append(f"| {' | '.join(_escaped(cell) for cell in cells)} |")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def main() -> None:
    """Write or check the page."""
    text = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit("docs/reference/converters.md is stale; run: python tools/converter_page.py")
        return
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
