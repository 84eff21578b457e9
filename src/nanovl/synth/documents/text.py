"""Text to draw: random words after the random-text recipe, numbers and codes, windows of corpora.

Nothing here knows fonts; which characters a text may hold is decided by `clean` alone.

Source: data synthesis specification, section 4.1 (probabilities, word lengths) and 3.14 (own
sentences instead of filler).
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.convert.base import ConvertOptions, Malformed
from nanovl.data.convert.sources import read_lines
from nanovl.synth.documents.cjk import ENDS, cjk_words, joined
from nanovl.synth.documents.scripts import SCRIPTS
from nanovl.synth.documents.words import WORDS

__all__ = [
    "Corpus",
    "Mixture",
    "Window",
    "clean",
    "clean_code",
    "number",
    "random_word",
    "sentence",
    "split_paragraphs",
    "visible",
]


_CHANCES = (0.0, 0.01, 0.03, 0.1)
_MARK_CHANCES = (0.01, 0.03, 0.1, 0.3)
_SYMBOL_CHANCES = (0.0, 0.01, 0.03, 0.3)
_SHAPE, _SCALE = 4.0, 1.0914  # gamma law of word lengths: -1 / ln 0.4
# Everything of the categories Cc, Cf, Co and Cs but line breaks, tabs, and the two joiners that
# change the shape of Persian and Indic words.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\ud800-\udfff\ue000-\uf8ff\ufeff\ufff9-\ufffb\U000e0000-\U0010ffff]"
)
_BLANKS = re.compile(r"[^\S\n]")
_CURRENCIES = "$$$\u20ac\u00a3"
_ENDS = ",.;:!?"
_PAIRS = ("()", "[]", '""', "''")
_SYMBOLS = "#$%&*+-/<=>@\\^_|~"
_CONSONANTS = "bcdfghjklmnprstvwz"
_VOWELS = "aeiou"
_LETTER_RANGES = {
    "greek": "".join(map(chr, (*range(0x3B1, 0x3C2), *range(0x3C3, 0x3CA)))),
    "cyrillic": "".join(map(chr, range(0x430, 0x450))),
}


def clean(text: str) -> str:
    """Composed characters, single blanks, no control or private characters, no soft hyphens."""
    text = visible(text).replace("\t", "    ")
    text = _BLANKS.sub(" ", text)
    lines = []
    fenced = False
    for line in text.split("\n"):
        fenced ^= line.strip().startswith("```")
        lines.append(line.rstrip() if fenced else " ".join(line.split()))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def visible(text: str) -> str:
    """Composed characters without control, format and private ones; line breaks and tabs stay."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFC", text))


def clean_code(text: str) -> str:
    """As `clean`, but blanks and empty lines stay; tabs become four blanks."""
    shown = _INVISIBLE.sub("", unicodedata.normalize("NFC", text).replace("\t", "    "))
    return "\n".join(_BLANKS.sub(" ", line).rstrip() for line in shown.split("\n")).strip("\n")


def number(rng: random.Random) -> str:
    """A number, date, amount, code, time, share or address as documents print them."""
    kind = rng.randrange(12)
    if kind == 0:
        return str(rng.randrange(10 ** rng.randint(1, 6)))
    if kind == 1:
        return f"{rng.randrange(10**6):,}"
    if kind == 2:
        return f"{rng.choice(_CURRENCIES)}{rng.random() * 999:.2f}"
    if kind == 3:
        return f"{rng.randint(1, 31):02d}/{rng.randint(1, 12):02d}/{rng.randint(1950, 2035)}"
    if kind == 4:
        return f"{rng.randint(1950, 2035)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    if kind == 5:
        return f"{rng.random() * 100:.1f}%"
    if kind == 6:
        return f"{rng.randint(0, 23)}:{rng.randint(0, 59):02d}"
    if kind == 7:
        return f"{''.join(rng.choices('ABCDEFGHJKLMNPRSTUVWXYZ', k=2))}-{rng.randint(100, 99999)}"
    if kind == 8:
        return f"+{rng.randint(1, 99)} {rng.randint(100, 999)} {rng.randint(1000, 9999)}".replace(
            " ", "-"
        )
    if kind == 9:
        return f"{rng.random() * 1000:.{rng.randint(1, 4)}f}"
    if kind == 10:
        return f"{rng.choice(WORDS)}{rng.randint(1, 99)}@example.{rng.choice(('org', 'com'))}"
    return f"({rng.randint(1, 99)})"


def random_word(rng: random.Random, script: str = "latin") -> str:
    """A word without meaning whose length follows the gamma law; Latin ones can be spoken.

    Chinese, Japanese and Korean words are real ones.

    Raises:
        ConfigError: The script has no letters to draw from.
    """
    if words := cjk_words(script):
        return rng.choice(words)
    length = max(1, min(14, round(rng.gammavariate(_SHAPE, _SCALE))))
    if script == "latin":
        sound = rng.random() < 0.5
        letters = []
        for _ in range(length):
            letters.append(rng.choice(_VOWELS if sound else _CONSONANTS))
            sound = not sound if rng.random() < 0.85 else sound
        return "".join(letters)
    if script not in SCRIPTS:
        raise ConfigError(f"script {script!r}: expected one of {', '.join(sorted(SCRIPTS))}")
    pool = _LETTER_RANGES.get(script) or "".join(
        c for c in SCRIPTS[script] if unicodedata.category(c) in ("Lo", "Ll")
    )
    return "".join(rng.choices(pool, k=length))


def sentence(rng: random.Random, least: int = 4, most: int = 14) -> str:
    """Common English words in sentence form."""
    words = rng.choices(WORDS, k=rng.randint(least, most))
    words[0] = words[0].capitalize()
    if len(words) > 6 and rng.random() < 0.5:
        words[rng.randint(2, len(words) - 3)] += ","
    return " ".join(words) + rng.choice("....?!")


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """How random text is mixed; drawn once per document.

    Attributes:
        script: Of the words.
        english, foreign, numbers: Probability that a word is replaced by one of these.
        marks: Probability of a mark after a word, or brackets or quotes around it.
        symbols: Probability that a word is a symbol.
        letters: Words are random ASCII characters.
    """

    script: str = "latin"
    english: float = 0.0
    foreign: float = 0.0
    numbers: float = 0.0
    marks: float = 0.0
    symbols: float = 0.0
    letters: bool = False

    @classmethod
    def draw(cls, rng: random.Random, script: str = "latin") -> Mixture:
        """Probabilities of one document, as in section 4.1; half of the Latin ones are English."""
        style = rng.random()
        return cls(
            script=script,
            english=1.0 if script == "latin" and style < 0.5 else rng.choice(_CHANCES),
            foreign=rng.choice(_CHANCES) if script != "latin" else 0.0,
            numbers=rng.choice(_CHANCES),
            marks=rng.choice(_MARK_CHANCES),
            symbols=rng.choice(_SYMBOL_CHANCES) if style > 0.35 else 0.0,
            letters=script == "latin" and style > 0.92,
        )

    def word(self, rng: random.Random) -> str:
        """The next word, with its marks."""
        draw = rng.random()
        if draw < self.numbers:
            return number(rng)
        if rng.random() < self.symbols:
            return rng.choice(_SYMBOLS)
        if rng.random() < self.english:
            word = rng.choice(WORDS)
        elif self.letters:
            pool = SCRIPTS["latin"]
            word = "".join(rng.choices(pool, k=max(1, round(rng.gammavariate(_SHAPE, _SCALE)))))
            return word
        else:
            word = random_word(rng, "latin" if rng.random() < self.foreign else self.script)
        case = rng.random()
        word = word.capitalize() if case < 0.1 else word.upper() if case < 0.11 else word
        if rng.random() < self.marks:
            if rng.random() < 0.8:
                return word + rng.choice(ENDS.get(self.script, _ENDS))
            opening, closing = tuple(rng.choice(_PAIRS))
            return f"{opening}{word}{closing}"
        return word

    def words(self, rng: random.Random, count: int) -> list[str]:
        """Several words."""
        return [self.word(rng) for _ in range(count)]

    def join(self, words: Sequence[str]) -> str:
        """Words as running text of the script."""
        return joined(words, self.script)


# -- Corpora -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Window:
    """A piece of a text, cut at paragraph borders.

    Attributes:
        document: Id of the text.
        title: Of the text.
        text: Cleaned, paragraphs separated by blank lines.
        language: Code of its language.
    """

    document: str
    title: str
    text: str
    language: str = "en"


class Corpus:
    """Windows of texts out of `.jsonl` or `.jsonl.gz` files with `text`, and `title` and `lang`.

    Args:
        paths: Files, read in this order.
        least, most: Characters of a window.
        limit: Windows taken from one text (the first ones), so that books do not crowd out
            articles.
        code: The texts are programs: cut between definitions, kept as fenced code.

    Raises:
        InputError: A file cannot be read, or no window could be cut.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        least: int = 300,
        most: int = 2500,
        limit: int = 400,
        code: bool = False,
    ) -> None:
        cut = _code_windows if code else _text_windows
        self.windows: list[Window] = []
        self.dropped: dict[str, int] = {}
        for path in paths:
            options = ConvertOptions(on_drop=self._drop)
            for item in read_lines(path, options):
                try:
                    text, key = item.text("text"), item.text("id")
                except Malformed as error:
                    self._drop(error.reason, item.where, error.message)
                    continue
                made = cut(text, least, most, seed=f"{path.name}|{key}")
                for count, piece in enumerate(made):
                    if count >= limit:
                        break
                    self.windows.append(
                        Window(
                            document=key,
                            title=clean(item.maybe("title")),
                            text=piece,
                            language=item.maybe("lang") or "en",
                        )
                    )
        if not self.windows:
            names = ", ".join(p.name for p in paths)
            raise InputError(f"no text of at least {least} characters in: {names or 'no file'}")

    def _drop(self, reason: str, where: str, message: str) -> None:
        del where, message
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


def split_paragraphs(text: str) -> list[str]:
    """Paragraphs: separated by blank lines where there are any, else by line breaks.

    A fenced code block is never cut.
    """
    mark = "\n\n" if "\n\n" in text else "\n"
    found: list[str] = []
    for part in text.split(mark):
        if found and found[-1].count("```") % 2:  # inside a code block
            found[-1] += mark + part
        elif part.strip():
            found.append(part.strip("\n"))
    return found


def _text_windows(text: str, least: int, most: int, *, seed: str) -> Iterator[str]:
    """Consecutive paragraphs; every window has its own length, drawn from the text's id."""
    rng = random.Random(seed)
    pieces = [p for part in split_paragraphs(clean(text)) for p in _short(part, most)]
    group: list[str] = []
    length = 0
    wanted = rng.randint(least, most)
    for piece in pieces:
        if group and length + len(piece) > wanted:
            if length >= least:
                yield "\n\n".join(group)
            group, length, wanted = [], 0, rng.randint(least, most)
        group.append(piece)
        length += len(piece)
    if length >= least:
        yield "\n\n".join(group)


def _code_windows(text: str, least: int, most: int, *, seed: str) -> Iterator[str]:
    """Consecutive lines of a program between fences, cut where a definition begins if possible."""
    rng = random.Random(seed)
    group: list[str] = []
    length, wanted = 0, rng.randint(least, most)
    for raw in [*clean_code(text.replace("```", "'''")).split("\n"), None]:
        line = raw or ""
        begins = line[:1].strip() != "" and line[:1] not in ")]}"
        if raw is None or length + len(line) > most or (length >= wanted and begins):
            code = "\n".join(group).strip("\n")
            if len(code) >= least:
                yield f"```\n{code}\n```"
            group, length, wanted = [], 0, rng.randint(least, most)
        if line or (group and group[-1]):  # several empty lines become one
            group.append(line)
            length += len(line) + 1


def _short(text: str, most: int) -> Iterator[str]:
    """A paragraph, cut at sentence ends where it is too long."""
    while len(text) > most:
        ends = [text.rfind(mark, most // 2, most) + 1 for mark in (". ", "! ", "? ", "\u3002")]
        cut = max(ends)
        if cut <= 0:
            cut = text.rfind(" ", 0, most)
        if cut <= 0:
            cut = most
        yield text[:cut].strip()
        text = text[cut:].strip()
    if text:
        yield text
