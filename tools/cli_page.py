"""Write docs/reference/cli.md from the command line's own parser.

python tools/cli_page.py            write the page
python tools/cli_page.py --check    exit 1 if the page on disk is not what would be written
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import typer.main

from nanovl.cli.main import app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"

HEAD = """# Command line

<!-- Written by tools/cli_page.py from the parser; do not edit. -->

`python -m nanovl` is the same program.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed |
| 2 | wrong usage, or input that cannot be used |
| 130 | interrupted |
| 141 | nobody reads the output any more |
"""


def page() -> str:
    """The whole page as Markdown."""
    command: Any = typer.main.get_command(app)
    parts = [HEAD, _section("nanovl", command)]
    for name, verb in command.commands.items():
        parts.append(_section(f"nanovl {name}", verb))
        for inner, part in getattr(verb, "commands", {}).items():
            parts.append(_section(f"nanovl {name} {inner}", part))
    return "\n".join(parts)


def _section(name: str, command: Any) -> str:
    text = inspect.cleandoc(command.help or "").replace("\f", "")
    lines = [f"## {name}", ""]
    for block in text.split("\n\n"):
        if block.startswith("\b"):
            title, *rows = block.removeprefix("\b\n").splitlines()
            lines += [title, "", "```", *(row.strip() for row in rows), "```", ""]
        else:
            lines += [" ".join(block.split()), ""]
    context = command.make_context(name, [], resilient_parsing=True)
    if not command.params:
        return "\n".join(lines)
    lines += ["| option | meaning |", "|---|---|"]
    for parameter in command.params:
        names, meaning = parameter.get_help_record(context)
        if parameter.param_type_name == "argument":
            names = parameter.metavar
        lines.append(f"| `{names}` | {meaning.replace('|', chr(92) + '|')} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Write or check the page."""
    text = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit("docs/reference/cli.md is stale; run: python tools/cli_page.py")
        return
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
