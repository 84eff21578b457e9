"""Translators: what turns a paragraph with anchors into another language.

Three of them: a deterministic one for tests, any endpoint that speaks the OpenAI chat protocol, and
mBART-50 through transformers when its weights are there. Must not know LaTeX.

Source: data synthesis specification, section 3.13.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any, Protocol

from nanovl.core.errors import BackendError, missing_extra

__all__ = ["EndpointTranslator", "MBartTranslator", "PseudoTranslator", "Translator"]


class Translator(Protocol):
    """Translates texts; anchors such as <a3> have to come back, each once."""

    def translate(self, texts: Sequence[str]) -> list[str]:
        """One translation per text, in order."""
        ...


_PSEUDO = str.maketrans(
    "aeiouyAEIOUY", "\u00e4\u00e9\u00ef\u00f6\u00fc\u00ff\u00c4\u00c9\u00cf\u00d6\u00dc\u0178"
)


class PseudoTranslator:
    """Writes vowels with marks and lengthens words, as translation would; for tests."""

    def translate(self, texts: Sequence[str]) -> list[str]:
        """Deterministic; anchors stay where they are."""
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> str:
        parts = re.split(r"(<a\d+>)", text)
        return "".join(
            part if part.startswith("<a") else re.sub(r"[A-Za-z]{4,}", self._word, part)
            for part in parts
        )

    def _word(self, match: re.Match[str]) -> str:
        word = match.group().translate(_PSEUDO)
        return word + "en" if len(word) % 3 == 0 else word


class EndpointTranslator:
    """Any endpoint with /v1/chat/completions.

    Args:
        url: Base address, such as http://localhost:8000/v1.
        model: Name the endpoint knows.
        language: Name of the language to translate into.
        key: Bearer token; empty for none.
        timeout_s: Per paragraph.
    """

    def __init__(
        self, url: str, model: str, language: str, *, key: str = "", timeout_s: float = 120.0
    ) -> None:
        self.url, self.model, self.language = url.rstrip("/"), model, language
        self.key, self.timeout_s = key, timeout_s

    def translate(self, texts: Sequence[str]) -> list[str]:
        """One request per text.

        Raises:
            BackendError: The endpoint cannot be reached or does not answer as expected.
        """
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> str:
        request = urllib.request.Request(
            f"{self.url}/chat/completions",
            data=json.dumps(
                {
                    "model": self.model,
                    "temperature": 0,
                    "messages": [
                        {
                            "role": "system",
                            "content": f"Translate the text into {self.language}. Keep every tag "
                            "of the form <a0> exactly once and in place. Answer with the "
                            "translation alone.",
                        },
                        {"role": "user", "content": text},
                    ],
                }
            ).encode(),
            headers={"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {self.key}"} if self.key else {}),
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:
                data = json.load(reply)
            return str(data["choices"][0]["message"]["content"])
        except (urllib.error.URLError, TimeoutError, OSError) as error:
            raise BackendError(
                f"{self.url} does not answer ({error}); is the server up?"
            ) from error
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise BackendError(
                f"{self.url} answered without choices[0].message.content; expected the OpenAI "
                "chat protocol"
            ) from error


class MBartTranslator:
    """mBART-50 many-to-many by transformers.

    Args:
        path: Folder with the weights and the tokenizer.
        source, target: Language codes of mBART, such as en_XX and de_DE.

    Raises:
        BackendError: transformers is not installed, or the weights are not there.
    """

    def __init__(self, path: str, source: str, target: str) -> None:
        try:
            import transformers
        except ImportError:
            raise missing_extra("transformers", "parity", "translation by mBART-50") from None
        try:
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                path, src_lang=source, local_files_only=True
            )
            self.model: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(
                path, local_files_only=True
            )
        except (OSError, ValueError) as error:
            raise BackendError(
                f"{path}: no mBART-50 weights ({error}); download facebook/"
                "mbart-large-50-many-to-many-mmt and pass its folder"
            ) from error
        self.target = target

    def translate(self, texts: Sequence[str]) -> list[str]:
        """Greedy with a repetition penalty of 1.5."""
        out = []
        forced = self.tokenizer.convert_tokens_to_ids(self.target)
        for text in texts:
            ids = self.tokenizer(text, return_tensors="pt", truncation=True, max_length=512)
            made = self.model.generate(
                **ids, forced_bos_token_id=forced, repetition_penalty=1.5, max_length=512
            )
            out.append(self.tokenizer.batch_decode(made, skip_special_tokens=True)[0])
        return out
