"""Text <-> token ids.

A thin wrapper over the `tokenizers` package that knows which tokens are control tokens, resolves
them by name, and never lets them come out of ordinary text. It knows no prompt format; that is
`nanovl.processing.template`.

Source: model specification, sections 1.3 and 10.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

import tokenizers

from nanovl.core.config import nearest
from nanovl.core.errors import CheckpointError, ConfigError, InputError
from nanovl.processing.tekken import tekken_definition
from nanovl.processing.vocab import (
    BOS,
    CONTROL_TOKENS,
    EOS,
    PAD,
    SYSTEM,
    TURN,
    TURN_END,
    UNKNOWN,
    byte_alphabet,
    byte_definition,
    symbols_to_bytes,
)

__all__ = ["MediaNames", "Tokenizer", "build_tekken", "byte_tokenizer"]

TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True, kw_only=True)
class MediaNames:
    """Strings of the media tokens, which a checkpoint's config may rename.

    Attributes:
        image: Stands for one visual token.
        image_start, image_end: Around the visual tokens of a picture or frame.
        video: Marks a video in a rendered prompt; may be missing from the vocabulary.
    """

    image: str = "<image>"
    image_start: str = "<img>"
    image_end: str = "</img>"
    video: str = "<video>"


class Tokenizer:
    """Byte-level vocabulary with control tokens.

    Safe to use from several threads: nothing changes after construction.

    Args:
        text: Contents of a `tokenizer.json`.
        names: Media token strings.
        where: File name for messages.

    Raises:
        CheckpointError: Not a byte-level `tokenizer.json`, or a control token is missing.
    """

    def __init__(
        self, text: str, *, names: MediaNames | None = None, where: str = TOKENIZER_FILE
    ) -> None:
        self.names = names or MediaNames()
        self._where = where
        self._text = text
        self._rust = _parse(text, where)
        wanted = {*CONTROL_TOKENS, *astuple(self.names)}
        added = self._rust.get_added_tokens_decoder()
        if any(token.content in wanted and not token.special for token in added.values()):
            # Only special tokens can be switched off while encoding; see below.
            self._rust = _parse(_with_special(text, wanted), where)
            added = self._rust.get_added_tokens_decoder()
        # Control tokens are never matched inside text; `encode(control=True)` cuts them out.
        self._rust.encode_special_tokens = True
        self._rust.no_truncation()
        self._rust.no_padding()
        control = {i: t for i, t in added.items() if t.special or t.content in wanted}
        self._control_pattern = _control_pattern(control.values())
        self._control_ids = frozenset(control)
        self._added_ids = frozenset(added)
        self._control_by_name = {t.content: i for i, t in control.items()}
        self._bytes: dict[int, bytes] = {}
        self.size = max(
            [self._rust.get_vocab_size(with_added_tokens=True), *(i + 1 for i in added)]
        )
        self._check()

    def _check(self) -> None:
        absent = [s for s in byte_alphabet() if self._rust.token_to_id(s) is None]
        if absent:
            raise CheckpointError(
                f"{self._where}: {len(absent)} of 256 byte symbols are missing; expected a "
                "byte-level vocabulary"
            )
        names = self.names
        media = (names.image, names.image_start, names.image_end)
        missing = [
            name
            for name in (BOS, EOS, SYSTEM, TURN, TURN_END, UNKNOWN, *media)
            if name not in self._control_by_name
        ]
        if missing:
            raise CheckpointError(
                f"{self._where}: no control token {', '.join(missing)} among "
                f"{len(self._control_by_name)}; is this the tokenizer of a Nemotron Nano V2 VL?"
            )

    @classmethod
    def from_file(cls, path: str | Path, *, names: MediaNames | None = None) -> Tokenizer:
        """Read a `tokenizer.json`.

        Raises:
            CheckpointError: Missing, damaged or unsuitable file.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{path}: damaged, not UTF-8 text ({error})") from error
        return cls(text, names=names, where=str(path))

    @classmethod
    def from_folder(cls, folder: str | Path, *, names: MediaNames | None = None) -> Tokenizer:
        """Read the `tokenizer.json` of a checkpoint folder."""
        return cls.from_file(Path(folder) / TOKENIZER_FILE, names=names)

    # --- encoding -------------------------------------------------------------------------------

    def encode(self, text: str, *, control: bool = False) -> list[int]:
        """Ids of a text; nothing is added in front or behind.

        Args:
            text: Any text.
            control: Whether control-token strings in `text` become control tokens. False (for
                everything a user, file or tool supplied) encodes them as ordinary text.

        Raises:
            InputError: The text cannot be written as UTF-8 (lone surrogates).
        """
        _check_unicode(text)
        if not control:
            return self._encode_plain(text)
        ids: list[int] = []
        start = 0
        for match in self._control_pattern.finditer(text):
            ids += self._encode_plain(text[start : match.start()])
            ids.append(self._control_by_name[match.group().strip()])
            start = match.end()
        return ids + self._encode_plain(text[start:])

    def _encode_plain(self, text: str) -> list[int]:
        if not text:
            return []
        encoding = self._rust.encode(text, add_special_tokens=False)
        ids: list[int] = encoding.ids
        if self._control_ids.isdisjoint(ids):
            return ids
        # The vocabulary reaches a control token through ordinary merges: cut inside its text.
        at = next(i for i, token in enumerate(ids) if token in self._control_ids)
        cut = encoding.offsets[at][0] + 1
        return self._encode_plain(text[:cut]) + self._encode_plain(text[cut:])

    # --- decoding -------------------------------------------------------------------------------

    def decode(self, ids: Iterable[int], *, skip_control: bool = True) -> str:
        """Text of ids; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids, skip_control=skip_control).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int], *, skip_control: bool = True) -> bytes:
        """Raw bytes of ids, for detokenising a stream: a character may spread over several ids.

        Raises:
            InputError: An id outside the vocabulary.
        """
        parts = []
        for token_id in ids:
            if skip_control and token_id in self._control_ids:
                continue
            data = self._bytes.get(token_id)
            parts.append(self._bytes_of(token_id) if data is None else data)
        return b"".join(parts)

    def _bytes_of(self, token_id: int) -> bytes:
        token = self._rust.id_to_token(token_id) if 0 <= token_id < 1 << 32 else None
        if token is None:
            raise InputError(f"token id {token_id}: expected 0 to {self.size - 1}")
        data = None
        if token_id not in self._added_ids:
            data = symbols_to_bytes(token)
        data = token.encode() if data is None else data
        self._bytes[token_id] = data
        return data

    # --- control tokens -------------------------------------------------------------------------

    def token_id(self, name: str) -> int:
        """Id of a vocabulary entry by its exact string.

        Raises:
            ConfigError: No such entry.
        """
        token_id = self._rust.token_to_id(name)
        if token_id is None:
            hint = nearest(name, self._control_by_name)
            raise ConfigError(f"{self._where}: the vocabulary has no token {name!r}{hint}")
        return int(token_id)

    def is_control(self, token_id: int) -> bool:
        """Whether an id is a control token (never shown, never made from ordinary text)."""
        return token_id in self._control_ids

    @property
    def control_tokens(self) -> dict[str, int]:
        """All control tokens and their ids."""
        return dict(self._control_by_name)

    @property
    def bos_id(self) -> int:
        """Begin of text."""
        return self._control_by_name[BOS]

    @property
    def turn_end_id(self) -> int:
        """End of an assistant turn."""
        return self._control_by_name[TURN_END]

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """Ids that end an answer: end of turn, end of text."""
        return self.turn_end_id, self._control_by_name[EOS]

    @property
    def image_id(self) -> int:
        """Placeholder of one visual token."""
        return self._control_by_name[self.names.image]

    @property
    def image_start_id(self) -> int:
        """In front of the visual tokens of a picture or frame."""
        return self._control_by_name[self.names.image_start]

    @property
    def image_end_id(self) -> int:
        """Behind the visual tokens of a picture or frame."""
        return self._control_by_name[self.names.image_end]

    @property
    def video_id(self) -> int | None:
        """Marker of a video, or None when the vocabulary has none."""
        return self._control_by_name.get(self.names.video)

    @property
    def pad_id(self) -> int:
        """Filler for tensors; falls back to `<unk>` in vocabularies without the usual one."""
        return self._control_by_name[PAD if PAD in self._control_by_name else UNKNOWN]

    # --- files ----------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Contents of `tokenizer.json`, as they were read."""
        return self._text

    def save(self, path: str | Path) -> None:
        """Write `tokenizer.json` to a file, or into a folder."""
        path = Path(path)
        target = path / TOKENIZER_FILE if path.is_dir() else path
        target.write_text(self._text, encoding="utf-8")


def build_tekken(path: str | Path) -> Tokenizer:
    """The 12B's tokenizer, rebuilt from `tekken_240718.json`; takes some seconds.

    Raises:
        CheckpointError: The file is missing, damaged or of another vocabulary.
    """
    text = json.dumps(tekken_definition(Path(path)), ensure_ascii=False)
    return Tokenizer(text, where=str(path))


def byte_tokenizer() -> Tokenizer:
    """The tokenizer of the `tiny` preset: 256 bytes and the control tokens."""
    return Tokenizer(json.dumps(byte_definition(), ensure_ascii=False), where="byte tokenizer")


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"text holds {text[error.start]!r} at character {error.start}, half of a surrogate "
            "pair; send valid Unicode"
        ) from error


def _parse(text: str, where: str) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the package raises bare Exception for anything it cannot read
        raise CheckpointError(
            f"{where}: damaged or not a tokenizer.json ({error}); fetch the file again"
        ) from error


def _with_special(text: str, wanted: set[str]) -> str:
    data = json.loads(text)
    for token in data["added_tokens"]:
        token["special"] = token["special"] or token["content"] in wanted
    return json.dumps(data, ensure_ascii=False)


def _control_pattern(tokens: Iterable[tokenizers.AddedToken]) -> re.Pattern[str]:
    """Matches control tokens the way their flags ask, the longest one first."""
    arms = []
    for token in sorted(tokens, key=lambda t: len(t.content), reverse=True):
        arm = re.escape(token.content)
        if token.single_word:
            arm = rf"(?<!\w){arm}(?!\w)"
        arms.append(token.lstrip * r"\s*" + arm + token.rstrip * r"\s*")
    return re.compile("|".join(arms))
