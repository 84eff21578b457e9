"""Rebuild the 12B's vocabulary from the rank file it was made from.

The released checkpoints bring their own `tokenizer.json`, which is always preferred. Without one,
the same ids come out of the public rank file `tekken_240718.json`: 1,000 control tokens, the first
130,072 ranks, and ten media tokens. Its word splitting may differ from the released file in rare
multilingual cases.

Source: model specification, sections 10.1 to 10.3.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any

from nanovl.core.errors import CheckpointError
from nanovl.processing.vocab import bytes_to_symbols, definition

__all__ = ["tekken_definition"]

_NUM_CONTROL = 1000
_BASE_SIZE = 131072
# In the order of the released ids 131072 ... 131081.
_MEDIA_TOKENS = (
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


def tekken_definition(path: Path) -> dict[str, Any]:
    """A `tokenizer.json` definition equivalent to the 12B's.

    Args:
        path: The rank file (`tekken_240718.json`).

    Raises:
        CheckpointError: The file is missing, damaged or of another vocabulary.
    """
    ranks, pattern = _read(path)
    tokens = sorted(ranks, key=ranks.__getitem__)
    symbols = [bytes_to_symbols(token) for token in tokens]
    control = {name: number for number, name in enumerate(("<unk>", "<s>", "</s>"))}
    control |= {f"<SPECIAL_{n}>": n for n in range(len(control), _NUM_CONTROL)}
    vocab = dict(control)
    for rank, symbol in enumerate(symbols):
        vocab[symbol] = _NUM_CONTROL + rank
    media = {name: _BASE_SIZE + index for index, name in enumerate(_MEDIA_TOKENS)}
    return definition(vocab, _merges(tokens, ranks), control | media, pattern=pattern)


def _read(path: Path) -> tuple[dict[bytes, int], str]:
    try:
        data = json.loads(path.read_bytes())
        entries = data["vocab"][: _BASE_SIZE - _NUM_CONTROL]
        ranks = {
            base64.b64decode(entry["token_bytes"], validate=True): int(entry["rank"])
            for entry in entries
        }
        pattern = str(data["config"]["pattern"])
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except (KeyError, TypeError, ValueError, binascii.Error, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path}: not a Tekken rank file ({type(error).__name__}: {error}); expected "
            "tekken_240718.json as shipped in mistral-common 1.13.1"
        ) from error
    expected = _BASE_SIZE - _NUM_CONTROL
    if len(ranks) != expected or sorted(ranks.values()) != list(range(expected)):
        raise CheckpointError(
            f"{path}: got {len(ranks)} usable ranks, expected 0 to {expected - 1} without gaps"
        )
    if any(ranks.get(bytes([value])) is None for value in range(256)):
        raise CheckpointError(f"{path}: not every single byte has a rank")
    return ranks, pattern


def _merges(tokens: list[bytes], ranks: dict[bytes, int]) -> list[tuple[str, str]]:
    """Pairs in order of the rank of what they make.

    The rank file only says which byte strings exist; any two neighbours whose join exists may
    merge, so every split of an entry into two entries becomes a pair.
    """
    merges: list[tuple[str, str]] = []
    for token in tokens:
        if len(token) == 1:
            continue
        splits = [
            (ranks[token[:cut]], ranks[token[cut:]], cut)
            for cut in range(1, len(token))
            if token[:cut] in ranks and token[cut:] in ranks
        ]
        symbols = bytes_to_symbols(token)
        # One byte is one symbol, so the cut is at the same place in both spellings.
        merges += [(symbols[:cut], symbols[cut:]) for _, _, cut in sorted(splits)]
    return merges
