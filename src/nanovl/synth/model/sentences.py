"""Translation that is checked piece by piece; what fails stays in its first language.

A text is cut into pieces (paragraphs of bounded length, or sentences), addresses become anchors,
short phrases travel inside a sentence, and every piece that comes back must hold its anchors and
numbers and must look like a translation of what was sent. A paragraph that fails is tried again
sentence by sentence. Must not know LaTeX and must not translate by itself.

Source: data synthesis specification, section 3.13; training specification, section 10.3.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nanovl.core.errors import BackendError
from nanovl.data.convert.traces import has_loop, rough_tokens
from nanovl.synth.model.language import language_problem
from nanovl.synth.verify import edit_similarity

__all__ = ["RULES", "CheckedTranslator", "split_sentences", "translation_problem"]

RULES: Mapping[str, str] = {
    "anchors": "an anchor is missing, doubled or new",
    "carrier": "a short phrase did not come back in its quotes",
    "commands": "backslashes that were not there before",
    "empty": "nothing came back",
    "hallucination": "phrases that models of this kind make up",
    "language": "not in the language it should be in",
    "length": "much shorter or longer than what was sent",
    "loop": "repeats itself",
    "no_reply": "the endpoint gave no answer",
    "numbers": "other numbers than before",
    "untranslated": "came back as it was",
}
"""Every reason a piece keeps its first language, and what it means."""

MOST_TOKENS = 400
SHORT_CHARS, SHORT_WORDS = 30, 5
RATIO = (0.4, 2.5)
_LEAST_LETTERS = 20  # lengths of shorter pieces say nothing
_ANCHOR = re.compile(r"<a(\d+)>")
_ADDRESS = re.compile(
    r"(?:https?://|www\.)[^\s<>{}]*[^\s<>{}.,;:!?)\]]|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:(?-i:[A-Z])|al|approx|cf|ca|ch|dr|e\.g|eq|eqs|etc|fig|figs|i\.e|mr|mrs|ms|no|nos|p|pp|prof|"
    r"ref|refs|resp|sec|secs|st|tab|thm|viz|vol|vs))\.$",
    re.IGNORECASE,
)
_BREAK = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*(?:<a\d+>)?[\w<])")
# What mBART-50 says when it has nothing to say: it was trained on proceedings.
_MADE_UP = re.compile(
    r"United Nations|General Assembly|Security Council|Secretary-General|European Parliament|"
    r"Vereinte\w* Nationen|Nations Unies|Naciones Unidas|Nazioni Unite|Na\u00e7\u00f5es Unidas|"
    r"Verenigde Naties|\\displaystyle",
    re.IGNORECASE,
)
_CARRIER = 'The heading of this part is "{}".'
_QUOTED = re.compile(
    r"[\"\u201c\u201e\u201d\u00ab\u300c\u300e](.+)[\"\u201d\u201c\u00bb\u300d\u300f]", re.DOTALL
)


def split_sentences(text: str) -> list[tuple[str, str]]:
    """Sentences of a text, each with the blanks that follow it."""
    made: list[tuple[str, str]] = []
    start = 0
    for match in _BREAK.finditer(text):
        blank = len(match.group()) - len(match.group().rstrip())
        end = match.end() - blank
        if _ABBREVIATION.search(text[start:end]):
            continue
        made.append((text[start:end], text[end : match.end()]))
        start = match.end()
    rest = text[start:]
    body = rest.rstrip()
    if rest:
        made.append((body, rest[len(body) :]))
    return made


def translation_problem(source: str, reply: str, language: str = "") -> str:
    """The rule a translation breaks, "" when it breaks none.

    Args:
        source: What was sent, with anchors.
        reply: What came back.
        language: BCP-47 of the target; "" does not check it.
    """
    if not reply.strip():
        return "empty"
    if sorted(_ANCHOR.findall(source)) != sorted(_ANCHOR.findall(reply)):
        return "anchors"
    before, after = _ANCHOR.sub(" ", source), _ANCHOR.sub(" ", reply)
    if any(m.casefold() not in before.casefold() for m in _MADE_UP.findall(after)):
        return "hallucination"
    if after.count("\\") > before.count("\\"):
        return "commands"
    if Counter(_digits(before)) != Counter(_digits(after)):
        return "numbers"
    if has_loop(after, words=3, times=3) and not has_loop(before, words=3, times=3):
        return "loop"
    long, other = _width(before), _width(after)
    if other > 5 * long + 20:
        return "length"
    if long >= _LEAST_LETTERS and not RATIO[0] * long <= other <= RATIO[1] * long:
        return "length"
    words = re.findall(r"[^\W\d_]{2,}", before)
    if language and len(words) >= 4 and edit_similarity(before.strip(), after.strip()) >= 0.9:
        return "untranslated"
    return "language" if language and language_problem(after, language) else ""


def _digits(text: str) -> list[str]:
    """Numbers as people of any country write them: digits alone, in ASCII."""
    return re.findall(r"\d+", "".join(
        str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text
    ))  # fmt: skip


def _width(text: str) -> float:
    """Length in letters; an ideograph or syllable says as much as two and a half of them."""
    return sum(2.5 if unicodedata.east_asian_width(c) in "WF" else 1.0 for c in text if c.isalnum())


@dataclass(frozen=True)
class _Piece:
    text: str
    blank: str


class CheckedTranslator:
    """Translates by another translator, piece by piece, and keeps what cannot be trusted.

    Args:
        translate: One translation per text, in order; None for a text that got no answer.
        language: BCP-47 of the target; "" leaves the language unchecked.
        unit: "paragraph" for translators that understand instructions, "sentence" for the others.
        carrier: Whether short phrases travel inside a sentence.

    Attributes:
        counts: "pieces", "translated" and "kept:RULE", over all calls.
        language: The target's, as given.
    """

    def __init__(
        self,
        translate: Callable[[Sequence[str]], Sequence[str | None]],
        language: str = "",
        *,
        unit: Literal["paragraph", "sentence"] = "sentence",
        carrier: bool = False,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._translate = translate
        self.language = language
        self._unit = unit
        self._carrier = carrier

    def translate(self, texts: Sequence[str]) -> list[str]:
        """One text per text; anchors come back, each once.

        Raises:
            BackendError: The translator returned another number of texts.
        """
        cut = [self._pieces(text) for text in texts]
        wanted = [p.text for pieces in cut for p in pieces if _has_words(p.text)]
        done, failed = self._round(wanted)
        again = [
            sentence
            for text in failed
            if len(split_sentences(text)) > 1
            for sentence, _ in split_sentences(text)
            if _has_words(sentence)
        ]
        second, lost = self._round(again)
        made = []
        for pieces in cut:
            out = []
            for piece in pieces:
                out.append(self._assembled(piece.text, done, failed, second, lost) + piece.blank)
            made.append("".join(out))
        return made

    def _assembled(
        self,
        text: str,
        done: Mapping[str, str],
        failed: Mapping[str, str],
        second: Mapping[str, str],
        lost: Mapping[str, str],
    ) -> str:
        """A piece in its new language, as far as it has one."""
        if not _has_words(text):
            return text
        if text in done:
            return self._counted(done[text])
        sentences = split_sentences(text)
        if len(sentences) < 2:
            return self._kept(text, failed[text])
        parts = []
        for sentence, blank in sentences:
            if not _has_words(sentence):
                parts.append(sentence + blank)
            elif sentence in second:
                parts.append(self._counted(second[sentence]) + blank)
            else:
                parts.append(self._kept(sentence, lost[sentence]) + blank)
        return "".join(parts)

    def _counted(self, text: str) -> str:
        self.counts["pieces"] += 1
        self.counts["translated"] += 1
        return text

    def _kept(self, text: str, rule: str) -> str:
        self.counts["pieces"] += 1
        self.counts[f"kept:{rule}"] += 1
        return text

    def _pieces(self, text: str) -> list[_Piece]:
        body = text.lstrip()
        made = [_Piece("", text[: len(text) - len(body)])]
        sentences = split_sentences(body)
        if self._unit == "sentence":
            return [*made, *(_Piece(*s) for s in sentences)]
        for body, blank in sentences:
            if len(made) > 1 and rough_tokens(made[-1].text + body) <= MOST_TOKENS:
                before = made.pop()
                made.append(_Piece(before.text + before.blank + body, blank))
            else:
                made.append(_Piece(body, blank))
        return made

    def _round(self, texts: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Texts that were translated, and the rules the others broke; the same text goes once."""
        unique = list(dict.fromkeys(texts))
        if not unique:
            return {}, {}
        sent, hidden = [], []
        for text in unique:
            addresses: list[str] = []
            marked = _hide(text, addresses)
            hidden.append((marked, addresses))
            sent.append(_CARRIER.format(marked) if self._is_short(marked) else marked)
        replies = self._translate(sent)
        if len(replies) != len(sent):
            raise BackendError(
                f"the translator returned {len(replies)} texts for {len(sent)}; expected one each"
            )
        done, failed = {}, {}
        for text, (marked, addresses), reply in zip(unique, hidden, replies, strict=True):
            if reply is None:
                failed[text] = "no_reply"
                continue
            found: str | None = reply.strip()
            if self._is_short(marked):
                quoted = _QUOTED.search(reply)
                found = quoted[1].strip(" .") if quoted else None
            if found is None:
                failed[text] = "carrier"
                continue
            problem = translation_problem(marked, found, self.language)
            if problem:
                failed[text] = problem
            else:
                done[text] = _shown(found, addresses, text)
        return done, failed

    def _is_short(self, text: str) -> bool:
        plain = _ANCHOR.sub(" ", text).strip()
        return self._carrier and (len(plain) < SHORT_CHARS or len(plain.split()) < SHORT_WORDS)


def _has_words(text: str) -> bool:
    return re.search(r"[^\W\d_]{2}", _ANCHOR.sub(" ", _ADDRESS.sub(" ", text))) is not None


def _hide(text: str, addresses: list[str]) -> str:
    """Web and mail addresses as further anchors."""
    first = max((int(n) for n in _ANCHOR.findall(text)), default=-1) + 1

    def anchor(match: re.Match[str]) -> str:
        addresses.append(match.group())
        return f"<a{first + len(addresses) - 1}>"

    return _ADDRESS.sub(anchor, text)


def _shown(text: str, addresses: Sequence[str], source: str) -> str:
    first = max((int(n) for n in _ANCHOR.findall(source)), default=-1) + 1
    for place, address in enumerate(addresses):
        text = text.replace(f"<a{first + place}>", address)
    return text
