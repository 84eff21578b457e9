"""Translators: what turns a paragraph with anchors into another language.

Three of them: a deterministic one for tests, any endpoint that speaks the OpenAI chat protocol, and
mBART-50 through transformers when its weights are there. `make_translator` puts the checks of
`model.sentences` around them. Must not know LaTeX.

Source: data synthesis specification, section 3.13; training specification, section 10.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from nanovl.core.errors import BackendError, ConfigError, missing_extra
from nanovl.core.paths import secret
from nanovl.data.convert.traces import rough_tokens
from nanovl.synth.model.cache import AnswerCache
from nanovl.synth.model.client import ChatClient, Endpoint, RequestFailed, Stopped
from nanovl.synth.model.limits import Limits
from nanovl.synth.model.prompts import translate_messages
from nanovl.synth.model.sentences import CheckedTranslator
from nanovl.synth.model.structured import without_thoughts
from nanovl.synth.model.tongues import tongue
from nanovl.synth.model.work import run_jobs

__all__ = [
    "EndpointTranslator",
    "MBartTranslator",
    "PseudoTranslator",
    "Translator",
    "make_translator",
    "read_translator",
]


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
    """Any endpoint that speaks the OpenAI chat protocol.

    Requests go out as the client allows (parallel, paced, retried), and answers are kept in its
    cache, so a paper that is compiled again is not paid for again.

    Args:
        url: Base address, such as http://localhost:8000/v1.
        model: Name the endpoint knows.
        language: Name of the language to translate into.
        key: Bearer token; empty for none.
        timeout_s: Per request, where no client is given.
        client: Takes the place of url, model, key and timeout.
    """

    def __init__(
        self,
        url: str,
        model: str,
        language: str,
        *,
        key: str = "",
        timeout_s: float = 120.0,
        client: ChatClient | None = None,
    ) -> None:
        self.language = language
        self.client = client or ChatClient(
            Endpoint(url=url, model=model, key=key), Limits(timeout_s=timeout_s)
        )

    def translate(self, texts: Sequence[str]) -> list[str]:
        """One request per text.

        Raises:
            BackendError: The endpoint cannot be reached or does not answer as expected.
        """
        return [text if made is None else made for text, made in zip(
            texts, self.attempt(texts), strict=True
        )]  # fmt: skip

    def attempt(self, texts: Sequence[str]) -> list[str | None]:
        """The same, with None for a text that got no answer.

        Raises:
            BackendError: The endpoint cannot be used, or answered none of the texts.
            Stopped: A budget is used up.
        """
        done = run_jobs(texts, self._one, self.client, name="translate")
        if done.unfinished:
            raise Stopped(
                f"translation stopped: {self.client.why_stopped}; what was translated is kept, the "
                "same command goes on from there"
            )
        if texts and len(done.failures) == len(texts):
            _, reason, message = done.failures[0]
            raise RequestFailed(reason, message)
        return done.made

    def _one(self, text: str) -> str:
        answer = self.client.ask(
            {
                "messages": translate_messages(text, self.language),
                "temperature": 0,
                "max_tokens": 4 * rough_tokens(text) + 256,
            }
        )
        if answer.finish == "length":
            return ""  # cut off: kept in the first language by whoever checks it
        return without_thoughts(answer.text).strip()


class MBartTranslator:
    """mBART-50 many-to-many by transformers, from a folder; nothing is ever downloaded.

    Args:
        path: Folder with the weights and the tokenizer.
        source, target: Language codes of mBART, such as en_XX and de_DE.

    Raises:
        ConfigError: The tokenizer does not know a language.
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
        except (OSError, ValueError, KeyError) as error:
            raise BackendError(
                f"{path}: no mBART-50 weights ({error}); download facebook/"
                "mbart-large-50-many-to-many-mmt and pass its folder"
            ) from error
        self.model.eval()
        for code in (source, target):
            if self.tokenizer.convert_tokens_to_ids(code) in (None, self.tokenizer.unk_token_id):
                raise ConfigError(f"{path}: the tokenizer does not know the language {code!r}")
        self.target = target

    def translate(self, texts: Sequence[str]) -> list[str]:
        """Beams of 5 with a repetition penalty of 1.5; the same texts give the same words."""
        import torch

        out = []
        forced = self.tokenizer.convert_tokens_to_ids(self.target)
        for text in texts:
            ids = self.tokenizer(text, return_tensors="pt", truncation=True, max_length=512)
            with torch.inference_mode():
                made = self.model.generate(
                    **ids,
                    forced_bos_token_id=forced,
                    repetition_penalty=1.5,
                    num_beams=5,
                    do_sample=False,
                    max_length=512,
                )
            out.append(str(self.tokenizer.batch_decode(made, skip_special_tokens=True)[0]))
        return out


def make_translator(
    language: str,
    *,
    weights: str | None = None,
    client: ChatClient | None = None,
    source: str = "en",
) -> CheckedTranslator:
    """A translator whose every piece is checked, by what is given.

    Args:
        language: Target, as code or English name.
        weights: Folder of mBART-50.
        client: Of an endpoint.
        source: First language of the texts, for mBART-50.

    Raises:
        ConfigError: Unknown language, or neither or both of weights and client.
        BackendError: The weights cannot be used.
    """
    target = tongue(language)
    if (weights is None) == (client is None):
        raise ConfigError(
            f"translation into {target.name}: expected either an endpoint with its model, or a "
            "folder with the weights of mBART-50"
        )
    if client is not None:
        by_chat = EndpointTranslator("", "", target.name, client=client)
        return CheckedTranslator(by_chat.attempt, target.code, unit="paragraph")
    by_weights = MBartTranslator(str(weights), tongue(source).mbart, target.mbart)
    return CheckedTranslator(by_weights.translate, target.code, carrier=True)


@lru_cache(maxsize=4)
def read_translator(how: str, *, key_env: str = "", cache: Path | None = None) -> CheckedTranslator:
    """The translator a command line asks for; made once per process.

    Args:
        how: "pseudo", "mbart:FOLDER:FROM:TO" or "endpoint:MODEL:LANGUAGE:URL".
        key_env: Name of the environment variable with the key of the endpoint; "" sends none.
        cache: File the answers of the endpoint are kept in; None keeps them in memory.

    Raises:
        ConfigError: Something else is asked for.
        BackendError: The weights cannot be used.
    """
    kind, _, rest = how.partition(":")
    if kind == "pseudo" and not rest:
        return CheckedTranslator(PseudoTranslator().translate)
    if kind == "mbart" and rest.count(":") >= 2:
        folder, source, target = rest.rsplit(":", 2)
        return make_translator(target, weights=folder, source=source)
    # Names of models and addresses hold colons too.
    found = re.fullmatch(r"(.+):([^:/]+):(https?://.+)", rest)
    if kind == "endpoint" and found is not None:
        tongue(found[2])
        key = secret(key_env) if key_env else ""
        if key_env and not key:
            raise ConfigError(f"the environment variable {key_env} is not set; expected a key")
        endpoint = Endpoint(url=found[3], model=found[1], key=key)
        return make_translator(found[2], client=ChatClient(endpoint, cache=AnswerCache(cache)))
    raise ConfigError(
        f"translate {how!r}; expected pseudo, mbart:FOLDER:FROM:TO or endpoint:MODEL:LANGUAGE:URL"
    )
