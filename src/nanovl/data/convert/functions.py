"""Python functions: signature and docstring in, body out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nanovl.data.convert.base import (
    Converted,
    ConvertOptions,
    Format,
    Item,
    Turn,
    each,
    records,
    rng,
)
from nanovl.data.convert.sources import find_file, read_lines
from nanovl.data.convert.templates import question

__all__ = ["FORMATS", "convert_functions"]


def fenced(code: str) -> str:
    """Python code between fences, which keep the indentation of its first line."""
    return f"```python\n{code.strip(chr(10)).rstrip()}\n```"


def convert_functions(source: Path, options: ConvertOptions) -> Iterator[Converted]:
    """Lines of prompt and completion."""

    def make(item: Item) -> list[Converted]:
        item.text("prompt"), item.text("completion")  # both have to be texts
        key = f"nanovl-{item.text('id')}"
        asked = question("code_body", rng(key, options.seed), code=fenced(item.data["prompt"]))
        answer = fenced(item.data["completion"])
        turn = Turn(question=asked, answer=answer, task="code")
        return records(options, id=key, turns=[turn], source="nanovl-code")

    path = find_file(
        source,
        options,
        "pystdlib_functions_{split}.jsonl.gz",
        "*functions_{split}.jsonl.gz",
        "*functions_{split}.jsonl",
    )
    return each(read_lines(path, options), make, options)


FORMATS = (
    Format(
        name="nanovl-code",
        description="Bodies of Python functions from signature and docstring",
        convert=convert_functions,
        expects="pystdlib_functions_<split>.jsonl.gz or its folder",
        licence="PSF-2.0",
    ),
)
