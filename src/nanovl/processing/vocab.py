"""What a byte-level vocabulary is made of: byte alphabet, word splitting, control tokens.

Produces `tokenizer.json` definitions as plain dicts. Does not encode anything; that is
`nanovl.processing.tokenizer`.

Source: model specification, sections 1.3, 10.1 and 10.2.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "BOS",
    "CONTROL_TOKENS",
    "EOS",
    "PAD",
    "SYSTEM",
    "TURN",
    "TURN_END",
    "UNKNOWN",
    "WORD_PATTERN",
    "byte_alphabet",
    "byte_definition",
    "bytes_to_symbols",
    "definition",
    "symbols_to_bytes",
]

UNKNOWN = "<unk>"
BOS = "<s>"
EOS = "</s>"
SYSTEM = "<SPECIAL_10>"
"""Begins the system turn."""
TURN = "<SPECIAL_11>"
"""Begins a user or assistant turn."""
TURN_END = "<SPECIAL_12>"
"""Ends an assistant turn; the stop token."""
PAD = "<SPECIAL_999>"
"""Fills tensors."""

CONTROL_TOKENS = (
    UNKNOWN,
    BOS,
    EOS,
    SYSTEM,
    TURN,
    TURN_END,
    PAD,
    "<image>",
    "<img>",
    "</img>",
    "<quad>",
    "</quad>",
    "<ref>",
    "</ref>",
    "<box>",
    "</box>",
    "<video>",
)
"""Control tokens of nanovl's own vocabularies, in id order; the strings are those of the 12B."""

_UPPER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
_LOWER = r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
WORD_PATTERN = "|".join(
    (
        rf"{_LEAD}[{_UPPER}]*[{_LOWER}]+",  # Word, word, the Case of camelCase
        rf"{_LEAD}[{_UPPER}]+[{_LOWER}]*",  # WORD
        r"\p{N}",  # digits one by one
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",  # punctuation, with the line breaks behind it
        r"\s*[\r\n]+",  # blank lines
        r"\s+(?!\S)",  # indentation, leaving one space to the next word
        r"\s+",
    )
)
"""Word splitting of nanovl's own vocabularies; behaves like the 12B's (section 10.2)."""


@functools.cache
def byte_alphabet() -> tuple[str, ...]:
    """One printable character per byte value, the alphabet of byte-level vocabularies.

    Printable Latin-1 bytes stand for themselves; the others, in order, for U+0100 onwards.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(b if b in printable else next(others)) for b in range(256))


@functools.cache
def _byte_of_symbol() -> dict[str, int]:
    return {symbol: value for value, symbol in enumerate(byte_alphabet())}


def bytes_to_symbols(data: bytes) -> str:
    """Write bytes in the alphabet of the vocabulary."""
    alphabet = byte_alphabet()
    return "".join([alphabet[b] for b in data])


def symbols_to_bytes(symbols: str) -> bytes | None:
    """Read a vocabulary entry back as bytes; None when it uses other characters."""
    table = _byte_of_symbol()
    try:
        return bytes([table[c] for c in symbols])
    except KeyError:
        return None


def definition(
    vocab: Mapping[str, int],
    merges: Sequence[tuple[str, str]],
    control: Mapping[str, int],
    *,
    pattern: str = WORD_PATTERN,
) -> dict[str, Any]:
    """A `tokenizer.json` for a byte-level vocabulary.

    Args:
        vocab: Entry (in the byte alphabet) -> id; control tokens may be among them.
        merges: Pairs in order of priority.
        control: Control token -> id.
        pattern: Regular expression whose matches are encoded on their own.
    """
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": token_id,
                "content": name,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for name, token_id in sorted(control.items(), key=lambda item: item[1])
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": pattern},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {
                    "type": "ByteLevel",
                    "add_prefix_space": False,
                    "trim_offsets": True,
                    "use_regex": False,
                },
            ],
        },
        "post_processor": None,
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            # A whole word that is an entry is taken as it is, without replaying its merges.
            "ignore_merges": True,
            "vocab": dict(vocab),
            "merges": [list(pair) for pair in merges],
        },
    }


def byte_definition() -> dict[str, Any]:
    """The vocabulary of the `tiny` preset: id = byte value, then the control tokens."""
    vocab = {symbol: value for value, symbol in enumerate(byte_alphabet())}
    control = {name: 256 + index for index, name in enumerate(CONTROL_TOKENS)}
    return definition(vocab | control, (), control)
