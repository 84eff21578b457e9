"""Which language a text is in, by script and by the commonest short words.

Knows the languages nanovl makes data in. Says nothing rather than guess: for random words, code,
tables and short texts the answer is None.

Source: data synthesis specification, section 19 (declared against detected language).
"""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["detect", "fits"]

_WORDS = {
    "en": "the of and to in is that was for it with as his on be at by this had not are but from "
    "or have an they which one were all there when who will more if no",
    "de": "der die und in den von zu das mit sich des auf ist im dem nicht ein eine als auch es "
    "an werden aus er hat dass sie nach wird bei einer um am sind noch wie",
    "fr": "de la le et les des en un du une que est pour qui dans par sur au plus pas ne se ce il "
    "sont avec ou son cette aux ses mais comme nous ont leur",
    "es": "de la que el en y a los del se las por un para con no una su al lo como pero sus le ya "
    "este porque esta entre cuando muy sin sobre ser tiene son fue",
    "it": "di e il la che in un a per una non con del si da le dei al alla sono nel della come "
    "anche gli delle dal ha i lo ma se o dalla questo nella degli",
    "pt": "de a o que e do da em um para com uma os no se na por mais as dos como mas foi ao ele "
    "das tem seu sua ou ser quando muito nos pelo pela",
    "nl": "de van een het en in is dat op te zijn met voor niet die aan er om ook als dan maar "
    "bij nog naar uit of worden door over ze hij heeft werd deze",
    "sv": "och i att det som en av den till med ett om inte han var men jag sig ett hade de kan "
    "ut nu eller vad efter upp vid skulle ska sina denna",
    "pl": "w i na z do nie jest to o jak za od przez po dla ale czy co tym oraz tak jego ich lub "
    "ma przy tego ze gdy sa byl byla bylo aby",
    "tr": "ve bir bu da de icin ile olarak daha en olan gibi kadar sonra ne ancak ise her cok "
    "veya var mi degil o ben sen biz ki",
    "ro": "si de in la a cu pe un o din nu este care mai ce sa ca pentru al ale sau dar prin fi "
    "au sunt lui dupa fost",
    "vi": "va cua la co cho mot duoc trong cac nhung khong nguoi voi de nay tu den khi da ra vao",
}
# Single letters are names of variables too.
_SETS = {k: frozenset(word for word in text.split() if len(word) > 1) for k, text in _WORDS.items()}
_SCRIPTS = {
    "zh": re.compile(r"[\u4e00-\u9fff]"),
    "ja": re.compile(r"[\u3040-\u30ff]"),
    "ko": re.compile(r"[\uac00-\ud7af]"),
    "ru": re.compile(r"[\u0400-\u04ff]"),
    "el": re.compile(r"[\u0370-\u03ff]"),
    "ar": re.compile(r"[\u0600-\u06ff]"),
    "he": re.compile(r"[\u0590-\u05ff]"),
    "hi": re.compile(r"[\u0900-\u097f]"),
    "th": re.compile(r"[\u0e00-\u0e7f]"),
}
# Languages that share a script: any of them may be meant.
_SHARED = {
    "ru": ("ru", "uk", "bg", "sr", "be", "mk", "kk"),
    "ar": ("ar", "fa", "ur", "ps"),
    "hi": ("hi", "mr", "ne", "sa"),
    "he": ("he", "yi"),
    "zh": ("zh", "yue", "lzh"),
}
_TOKEN = re.compile(r"[^\W\d_]+")
_LETTERS = 0.75  # share of a natural text
_LEAST = 0.15  # share of short words a text of a language has
_AHEAD = 1.5  # how far the best must be before the next


def detect(text: str) -> str | None:
    """BCP-47 base language of a text, or None when it cannot be told."""
    letters = sum(map(str.isalpha, text))
    if letters < 40 or letters < _LETTERS * sum(not c.isspace() for c in text):
        return None  # code, numbers, formulas
    by_script = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    if by_script["ja"] > 0.1 * letters:
        return "ja"
    best = max(by_script, key=lambda name: (by_script[name], name))
    if by_script[best] > 0.4 * letters:
        return best
    if sum(by_script.values()) > 0.1 * letters:
        return None
    counts = Counter(token.casefold() for token in _TOKEN.findall(text))
    total = sum(counts.values())
    shares = {
        language: sum(counts[word] for word in known) / total for language, known in _SETS.items()
    }
    first, second = sorted(shares, key=lambda name: (-shares[name], name))[:2]
    if shares[first] < _LEAST or shares[first] < _AHEAD * shares[second]:
        return None
    return first


def fits(declared: str, text: str) -> str | None:
    """The language that was found when it is another one than declared, else None."""
    base = declared.split("-")[0].lower()
    found = detect(text)
    if found is None or base in ("", "und", "mul", "zxx") or base in _SHARED.get(found, (found,)):
        return None
    if base not in _SETS and base not in _SCRIPTS and found in _SETS:
        return None  # a language this module does not know, in Latin letters
    return found
