"""Ask about pages of a PDF and print the answer while it is written.

python examples/ask_document.py report.pdf "What is chapter 2 about?" 2-3
"""

from __future__ import annotations

import sys

import nanovl
from nanovl.core.conversation import DocumentPart, MediaRef


def main(path: str, question: str, pages: str | None = None) -> None:
    """Stream one answer."""
    model = nanovl.load()
    document = DocumentPart(source=MediaRef.of(path), pages=pages)
    for delta in model.stream(question, files=[document], max_tokens=32):
        print(delta.text, end="", flush=True)
        if delta.generation is not None:
            used, timings = delta.generation.usage, delta.generation.timings
            print(
                f"\n[{used.prompt_tokens} prompt tokens, {used.image_tokens} of them visual;",
                end="",
            )
            print(f" first token after {timings.ttft_s:.2f} s]")


if __name__ == "__main__":
    main(*sys.argv[1:4])
