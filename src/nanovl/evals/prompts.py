"""Prompts: from a sample to what is shown, in the words of the public harnesses.

Every piece of text is in one packaged YAML file, so that a set of prompts has a hash and any piece
can be replaced. All pictures come first, then one text, except where a style says otherwise. The
mode's system text is not added here.

Source: evaluation specification, sections 4.1 and 5.2 to 5.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from nanovl.core import paths
from nanovl.core.config import load_yaml, nearest
from nanovl.core.errors import ConfigError
from nanovl.evals.base import Medium, Sample
from nanovl.evals.readers.cells import as_text, literal_list
from nanovl.evals.registry import Benchmark
from nanovl.evals.requests import Prompt, digest
from nanovl.evals.text_prompts import TEXT_STYLES, fill

__all__ = ["PROMPT_SETS", "PromptSet", "load_prompts"]

PROMPT_SETS = ("default", "ivl")
"""The harness's own texts, and the style many published scores were made with."""

_PLACE = re.compile(r"<image>")
_NUMBERED_PLACE = re.compile(r"<image (\d+)>")
_HAN = re.compile("[\u4e00-\u9fff]")
_CHINESE = ("chinese", "zh", "cn", "\u4e2d\u6587")
# RULER and RD-TableBench have limits of their own; all others are the mode's.
_OWN_LIMIT = {"rd_tablebench": 16_384}

Pieces = Mapping[str, str]
Content = tuple[str | Medium, ...]


@dataclass(frozen=True)
class PromptSet:
    """Templates, and which of them each benchmark is asked with.

    Attributes:
        name: "default" or "ivl".
        templates: From style to its pieces.
        styles: Styles that another one stands for.
        benchmarks: Styles of single benchmarks.
    """

    name: str
    templates: Mapping[str, Pieces]
    styles: Mapping[str, str] = field(default_factory=dict)
    benchmarks: Mapping[str, str] = field(default_factory=dict)

    def style(self, benchmark: Benchmark, sample: Sample | None = None) -> str:
        """The style a benchmark is asked with; a step-by-step file has its own."""
        if benchmark.id in self.benchmarks:
            return self.benchmarks[benchmark.id]
        style = benchmark.prompt_style
        if style == "mmmu_pro_direct" and sample is not None and sample.meta.get("cot"):
            style = "mmmu_pro_cot"
        return self.styles.get(style, style)

    @cached_property
    def hash(self) -> str:
        """Of all templates and the choice among them."""
        return digest([self.name, _plain(self.templates), dict(self.styles), dict(self.benchmarks)])

    def template_hash(self, benchmark: Benchmark) -> str:
        """Of the templates one benchmark is asked with."""
        style = self.style(benchmark)
        return digest([style, dict(self.templates[style])])

    def build(self, benchmark: Benchmark, sample: Sample, previous: Sequence[str] = ()) -> Prompt:
        """What a sample is asked with.

        Args:
            benchmark: Whose sample.
            sample: The question.
            previous: SciCode alone: the model's code of the steps before, in order.

        Raises:
            ConfigError: The style has no template.
            InputError: SciCode: code of earlier steps is missing.
        """
        style = self.style(benchmark, sample)
        if style not in self.templates:
            raise ConfigError(
                f"{benchmark.id}: no prompt style {style!r}{nearest(style, self.templates)}"
            )
        pieces = self.templates[style]
        if style in TEXT_STYLES:
            return TEXT_STYLES[style](pieces, sample, previous)
        content = _BUILDERS[style](pieces, sample)
        return Prompt(
            content=content,
            system=pieces.get("system", ""),
            max_tokens=_OWN_LIMIT.get(benchmark.id),
        )


def load_prompts(name: str = "default", overrides: Path | None = None) -> PromptSet:
    """A set of prompts.

    Args:
        name: One of `PROMPT_SETS`.
        overrides: A YAML file with pieces to replace (`templates: {style: {piece: text}}`), styles
            or benchmarks.

    Raises:
        ConfigError: No such set, or the file names a style or piece that there is not.
    """
    data = load_yaml(paths.asset("evals", "prompts.yaml"))
    if name not in data["sets"]:
        raise ConfigError(
            f"prompt set {name!r}: expected one of {', '.join(PROMPT_SETS)}"
            f"{nearest(name, PROMPT_SETS)}"
        )
    templates = {style: dict(pieces) for style, pieces in data["templates"].items()}
    chosen = data["sets"][name]
    styles, benchmarks = dict(chosen["styles"]), dict(chosen["benchmarks"])
    if overrides is not None:
        _override(load_yaml(overrides), templates, styles, benchmarks, str(overrides))
    return PromptSet(name=name, templates=templates, styles=styles, benchmarks=benchmarks)


def _override(
    data: Mapping[str, Any],
    templates: dict[str, dict[str, str]],
    styles: dict[str, str],
    benchmarks: dict[str, str],
    where: str,
) -> None:
    known = ("templates", "styles", "benchmarks", "version")
    for key in data:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{nearest(key, known)}")
    for style, pieces in (data.get("templates") or {}).items():
        if style not in templates:
            raise ConfigError(f"{where}: no prompt style {style!r}{nearest(style, templates)}")
        for piece, text in pieces.items():
            if piece not in templates[style] or not isinstance(text, str):
                raise ConfigError(
                    f"{where}: {style} has no piece {piece!r}{nearest(piece, templates[style])}; "
                    f"expected texts for {', '.join(templates[style])}"
                )
            templates[style][piece] = text
    for chosen, given in ((styles, data.get("styles")), (benchmarks, data.get("benchmarks"))):
        for key, style in (given or {}).items():
            if style not in templates:
                raise ConfigError(f"{where}: no prompt style {style!r}{nearest(style, templates)}")
            chosen[key] = style


def _plain(templates: Mapping[str, Pieces]) -> dict[str, dict[str, str]]:
    return {style: dict(pieces) for style, pieces in templates.items()}


def _media_then(text: str, sample: Sample) -> Content:
    return (*sample.media, text)


def _simple(pieces: Pieces, sample: Sample) -> Content:
    return _media_then(fill(pieces["text"], question=sample.question), sample)


def _text_first(pieces: Pieces, sample: Sample) -> Content:
    return (fill(pieces["text"], question=sample.question), *sample.media)


def _block(pieces: Pieces, sample: Sample, *, last: str | None = None) -> str:
    """Hint, question, options and the last line; without options there is no last line."""
    hint = fill(pieces["hint"], hint=sample.hint) if sample.hint and "hint" in pieces else ""
    text = hint + fill(pieces["question"], question=sample.question)
    if not sample.options:
        return text
    options = "".join(
        fill(pieces["option"], letter=letter, text=option)
        for letter, option in sample.options.items()
    )
    return text + pieces.get("options", "") + options + (pieces["last"] if last is None else last)


def _choice(pieces: Pieces, sample: Sample) -> Content:
    return _media_then(_block(pieces, sample), sample)


def _choice_by_language(pieces: Pieces, sample: Sample) -> Content:
    words = " ".join((sample.question, *sample.options.values()))
    last = pieces["chinese"] if _HAN.search(words) else None
    return _media_then(_block(pieces, sample, last=last), sample)


def _wemath(pieces: Pieces, sample: Sample) -> Content:
    text = _block(pieces, sample)
    requirement = as_text(sample.meta.get("requirement"))
    if requirement:
        text += fill(pieces["requirement"], requirement=requirement)
    return _media_then(text, sample)


def _at_marks(pieces: Pieces, sample: Sample) -> Content:
    """Pictures stand where `<image>` is written, in their order."""
    text = _block(pieces, sample)
    order = iter(range(len(sample.media)))
    return _interleaved(text, sample, _PLACE, lambda _: next(order, None))


def _at_numbers(pieces: Pieces, sample: Sample) -> Content:
    """Picture N stands where `<image N>` is written."""
    text = _block(pieces, sample)

    def number(match: re.Match[str]) -> int | None:
        place = int(match[1]) - 1
        return place if 0 <= place < len(sample.media) else None

    return _interleaved(text, sample, _NUMBERED_PLACE, number)


def _interleaved(
    text: str, sample: Sample, mark: re.Pattern[str], which: Callable[[re.Match[str]], int | None]
) -> Content:
    """Text cut at its marks; pictures without a mark come first, marks without a picture stay."""
    content: list[str | Medium] = []
    shown: set[int] = set()
    begin = 0
    for match in mark.finditer(text):
        place = which(match)
        if place is None:
            continue
        content += [text[begin : match.start()], sample.media[place]]
        shown.add(place)
        begin = match.end()
    content.append(text[begin:])
    first = [medium for place, medium in enumerate(sample.media) if place not in shown]
    return tuple(part for part in (*first, *content) if part != "")


def _mmmu_pro(pieces: Pieces, sample: Sample) -> Content:
    if sample.meta.get("variant") == "vision":
        return _media_then(pieces["vision"], sample)
    return _at_numbers(pieces, sample)


def _given_options(pieces: Pieces, sample: Sample, column: str, first: str = "") -> Content:
    """Options as the file writes them, letters included."""
    listing = literal_list(sample.meta.get(column))
    lines = [as_text(text) for text in listing or ()]
    lines = lines or [f"({letter}) {text}" for letter, text in sample.options.items()]
    options = "".join(fill(pieces["option"], text=line) for line in lines)
    question = fill(pieces["question"], question=sample.question)
    return _media_then(first + question + options + pieces["last"], sample)


def _mme_realworld(pieces: Pieces, sample: Sample) -> Content:
    return _given_options(pieces, sample, "multi-choice options")


def _videomme(pieces: Pieces, sample: Sample) -> Content:
    column = "candidates" if "candidates" in sample.meta else "options"
    return _given_options(pieces, sample, column, pieces["first"])


def _dynamath(pieces: Pieces, sample: Sample) -> Content:
    kind = as_text(sample.meta.get("answer_type")).lower()
    key = "choice" if "choice" in kind else "float" if "float" in kind else "other"
    question = fill(pieces["question"], question=sample.question)
    answer = fill(pieces["answer"], short=pieces[key])
    return _media_then(question + answer + pieces["last"], sample)


def _ocr_reasoning(pieces: Pieces, sample: Sample) -> Content:
    language = as_text(sample.meta.get("language")).strip().lower()
    piece = pieces["chinese" if language.startswith(_CHINESE) else "english"]
    form = as_text(sample.meta.get("format"))
    return _media_then(fill(piece, question=sample.question, format=form), sample)


def _fixed(pieces: Pieces, sample: Sample) -> Content:
    return _media_then(pieces["text"], sample)


_BUILDERS: Mapping[str, Callable[[Pieces, Sample], Content]] = {
    "raw": _simple,
    "mcq_select": _choice,
    "mcq_muir": _at_marks,
    "mmmu_interleave": _at_numbers,
    "mmmu_pro_direct": _mmmu_pro,
    "mmmu_pro_cot": _mmmu_pro,
    "mcq_treebench": _choice,
    "mme_realworld": _mme_realworld,
    "vqa_short": _simple,
    "mtvqa": _simple,
    "zerobench": _simple,
    "dynamath_json": _dynamath,
    "ocr_reasoning_steps": _ocr_reasoning,
    "wemath": _wemath,
    "text_then_image": _text_first,
    "prompt_column": _simple,
    "gui_click": _simple,
    "lvb": _choice,
    "mlvu": _choice,
    "videomme": _videomme,
    "rd_table_html": _fixed,
    "ivl_mcq": _choice_by_language,
    "ivl_yes_no": _simple,
    "ivl_detail": _simple,
}
