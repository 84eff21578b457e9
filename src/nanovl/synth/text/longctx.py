"""Prompts of a chosen length whose answer depends on all of it ("text-longctx").

Thirteen tasks after the well-known long-context benchmark, in training wordings of our own, and
ledgers, logs and ordered lists. The size of a task is searched until its tokens lie within two
percent under the target. The tokenizer is a setting; a sample holds its counts.

Source: data synthesis specification, section 15.
"""

from __future__ import annotations

import importlib.resources
import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError
from nanovl.processing.tokenizer import Tokenizer
from nanovl.synth.base import Reject, Requirement, Sample, Streams, Task
from nanovl.synth.text.haystacks import corpus_sentences
from nanovl.synth.text.longctx_needles import NEEDLES, Draft, Rendered, prose
from nanovl.synth.text.longctx_tables import TABLES

__all__ = ["MAX_TOKENS", "SLACK", "TASKS", "LongContextConfig", "LongContextGenerator", "create"]

TASKS = {**NEEDLES, **TABLES}
MAX_TOKENS = 311_296  # longest sample of Stage 4
SLACK = 0.02  # how far under its target a prompt may end
_TRIES = 24
_PROBES = (32, 64)  # sizes that tell how many tokens a unit has
_LEAST_TOKENS = 1024
# Texts are counted in pieces, cut before every single space between two other characters. The
# tokenizers of the released checkpoints never join what is cut there, so the counts add up.
_CUT = re.compile(r"(?<=\S)(?= \S)")
_KEPT = 100_000  # pieces whose counts are remembered
_PROBE = "One: 12 a-b (c)  d\n\n e\tf 'g' \u00e9t\u00e9 \u4e2d\u6587 3.5%\n- h_i;  J's K/L \n"


@dataclass(frozen=True, kw_only=True)
class LongContextConfig:
    """Settings of "text-longctx".

    Attributes:
        tokenizer: "mini" for the packaged one, else a tokenizer file or a checkpoint folder.
        min_tokens, max_tokens: Bounds of the target length of the prompt, drawn log-uniformly.
        answer_tokens: Kept free for the answer under the cap of 311,296.
        tasks: Which tasks; empty means all.
        corpus: UTF-8 text files to hide needles in; empty means invented articles.
    """

    tokenizer: str = "mini"
    min_tokens: int = 4096
    max_tokens: int = 8192
    answer_tokens: int = 512
    tasks: tuple[str, ...] = ()
    corpus: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.tasks:
            if name not in TASKS:
                raise ConfigError(
                    f"text-longctx: task {name!r} does not exist{nearest(name, TASKS)}"
                )
        most = MAX_TOKENS - self.answer_tokens
        if not _LEAST_TOKENS <= self.min_tokens <= self.max_tokens <= most:
            raise ConfigError(
                f"text-longctx: min_tokens {self.min_tokens}, max_tokens {self.max_tokens}; "
                f"expected {_LEAST_TOKENS} <= min_tokens <= max_tokens <= {most}"
            )


class LongContextGenerator:
    """Makes long prompts.

    Args:
        config: Settings.
        tokenizer: Used instead of the one the settings name.
    """

    name = "text-longctx"
    version = "1"
    requires: Sequence[Requirement] = ()

    def __init__(
        self, config: LongContextConfig | None = None, tokenizer: Tokenizer | None = None
    ) -> None:
        self.config = config or LongContextConfig()
        self.tokenizer = tokenizer or _load(self.config.tokenizer)
        self.sentences = corpus_sentences(self.config.corpus) if self.config.corpus else []
        self._known: dict[str, int] = {}
        whole = len(self.tokenizer.encode(_PROBE))
        self._adds_up = whole == sum(map(self._count_piece, _CUT.split(_PROBE)))

    def generate(self, index: int, streams: Streams) -> Sample:
        """One long prompt.

        Raises:
            Reject: No size comes within two percent under the target.
        """
        rng = streams.rng("content")
        low, high = math.log(self.config.min_tokens), math.log(self.config.max_tokens)
        target = round(math.exp(rng.uniform(low, high)))
        name = rng.choice(self.config.tasks or tuple(sorted(TASKS)))
        draft = TASKS[name](rng, self._prose, target)
        rendered, tokens = self._fit(draft, target)
        task = Task(
            task=f"long_{name}",
            question=rendered.prompt,
            answer_text=rendered.answer_text,
            answer=rendered.answer,
            verifier=rendered.verifier,
            trace=rendered.trace,
            template=name,
        )
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt={
                "task": name,
                "target_tokens": target,
                "tokens": tokens,
                "needles": self._needles(rendered),
                "outputs": rendered.answer.value,
                **rendered.facts,
            },
            tasks=(task,),
            tags=("long_context", name, "difficulty:3"),
            quality={"tokens": tokens},
        )

    def _prose(self, rng: random.Random) -> Iterator[str]:
        if not self.sentences:
            return prose(random.Random(rng.getrandbits(64)))
        start = rng.randrange(len(self.sentences))
        return itertools.islice(itertools.cycle(self.sentences), start, None)

    def _count(self, text: str) -> int:
        if not self._adds_up:
            return len(self.tokenizer.encode(text))
        return sum(map(self._count_piece, _CUT.split(text)))

    def _count_piece(self, piece: str) -> int:
        """Tokens of a piece, remembered: the same words come in every draft."""
        count = self._known.get(piece)
        if count is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            count = self._known[piece] = len(self.tokenizer.encode(piece))
        return count

    def _fit(self, draft: Draft, target: int) -> tuple[Rendered, int]:
        """The largest size found whose prompt fits, by regula falsi between fitting and not."""
        fits, above = 0, 0
        fits_tokens = above_tokens = 0
        best: Rendered | None = None
        aim = target * (1 - SLACK / 3)
        size = max(12, self._first_size(draft, aim))
        for _ in range(_TRIES):
            rendered = draft(size)
            tokens = self._count(rendered.prompt)
            if tokens <= target:
                fits, fits_tokens, best = size, tokens, rendered
                if tokens >= target * (1 - SLACK):
                    return rendered, tokens
            else:
                above, above_tokens = size, tokens
            if not above:
                size = max(size + 1, int(size * aim / max(tokens, 1)))
            elif best is None:
                size = max(1, min(size - 1, int(size * aim / tokens)))
            elif above - fits <= 1:
                break
            else:
                share = (aim - fits_tokens) / (above_tokens - fits_tokens)
                size = min(above - 1, max(fits + 1, fits + int(share * (above - fits))))
        raise Reject("length", f"target {target} tokens, nearest {fits_tokens}")

    def _first_size(self, draft: Draft, aim: float) -> int:
        """A first guess from two small sizes: tokens grow almost linearly."""
        few, more = (self._count(draft(size).prompt) for size in _PROBES)
        slope = (more - few) / (_PROBES[1] - _PROBES[0])
        return int(_PROBES[1] + (aim - more) / max(slope, 0.1))

    def _needles(self, rendered: Rendered) -> list[dict[str, Any]]:
        """Where the hidden sentences stand.

        Raises:
            Reject: One occurs more than once (a corpus may say anything).
        """
        found = []
        prompt = rendered.prompt
        places = [prompt.find(needle.sentence) for needle in rendered.needles]
        offsets = self._token_offsets(prompt, sorted(set(places)))
        for needle, at in zip(rendered.needles, places, strict=True):
            if at < 0 or prompt.find(needle.sentence, at + 1) >= 0:
                raise Reject("needle", f"{needle.sentence!r} does not occur exactly once")
            found.append(
                {
                    "key": needle.key,
                    "value": needle.value,
                    "char_offset": at,
                    "token_offset": offsets[at],
                    "depth": round(needle.depth, 4),
                    "asked": needle.asked,
                }
            )
        return found

    def _token_offsets(self, prompt: str, places: list[int]) -> dict[int, int]:
        """How many tokens stand before each place, a space right before it not counted.

        Tokenizers take a space to the word after it and a line end to the word before it; cut
        that way, the counts of the pieces add up.
        """
        offsets, total, before = {}, 0, 0
        for at in places:
            end = at - 1 if prompt[at - 1] == " " else at
            total += self._count(prompt[before:end])
            before, offsets[at] = end, total
        return offsets


def _load(name: str) -> Tokenizer:
    if name == "mini":
        folder = importlib.resources.files("nanovl") / "assets" / "mini"
        with importlib.resources.as_file(folder) as path:
            return Tokenizer.from_folder(path)
    path = Path(name)
    return Tokenizer.from_folder(path) if path.is_dir() else Tokenizer.from_file(path)


def create(config: Mapping[str, Any]) -> LongContextGenerator:
    """The generator from settings as a mapping.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    return LongContextGenerator(from_dict(LongContextConfig, config, where="text-longctx"))
