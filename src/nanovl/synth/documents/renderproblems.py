"""The generator `render-problems`: exercise sheets, function heads and written requests as pages.

What people wrote stays as it is; only where it stands is new. Must not change problems.

Source: data synthesis specification, sections 2, 4 and 17; the rendering table of the training
data.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Requirement, Sample, Streams, Task
from nanovl.synth.documents.blocks import Block, Run, TextBlock, paragraph
from nanovl.synth.documents.build import (
    file_digest,
    finish_pages,
    font_library,
    make_sample,
    media_names,
    style_for,
    typefaces_for,
)
from nanovl.synth.documents.draw import paint
from nanovl.synth.documents.layout import lay_out
from nanovl.synth.documents.problemasks import body_task, number_task, request_task
from nanovl.synth.documents.problems import KINDS, Problem, read_problems, sheets
from nanovl.synth.documents.rendered import ALWAYS, reading_tasks
from nanovl.synth.documents.rendersettings import CommonConfig
from nanovl.synth.documents.stories import Drops
from nanovl.synth.documents.style import PageStyle
from nanovl.synth.documents.text import split_paragraphs
from nanovl.synth.lengths import bounded

__all__ = ["ProblemGenerator", "ProblemsConfig", "render_problems"]

_HEADS = {
    "gsm8k": ("Exercises", "Word problems", "Homework", "Problem set", "Worksheet", "Practice"),
    "code": ("To be implemented", "Open task", "Draft", "Function to write"),
    "bfcl": ("Note", "Request", "Message", "To do", "Memo"),
}
_MARKERS = ("{n}.", "{n})")


@dataclass(frozen=True, kw_only=True)
class ProblemsConfig(CommonConfig):
    """Settings of `render-problems`.

    Attributes:
        source: File or folder of the data set; in the configuration of a generator its digest.
        dataset: "gsm8k", "code" or "bfcl".
        sheet: Most problems on a page (of "gsm8k"; the others come alone).
        questions: Of a sample at most.
    """

    source: str
    dataset: str = "gsm8k"
    sheet: int = 6
    questions: int = 3
    tasks: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset not in KINDS:
            raise ConfigError(
                f"dataset: got {self.dataset!r}, expected one of {', '.join(sorted(KINDS))}"
            )
        if not 1 <= self.sheet <= 12 or self.questions < 1:
            raise ConfigError("sheet: expected 1 to 12; questions: at least 1")


class ProblemGenerator:
    """Pages with problems, requests or functions, and what is right."""

    name = "render-problems"
    version = "1"
    requires: Sequence[Requirement] = ()

    def __init__(self, settings: Mapping[str, Any]) -> None:
        given = from_dict(ProblemsConfig, settings, where=self.name)
        self._fonts = font_library(given.fonts)
        drops = Drops()
        found, path = read_problems(Path(given.source), given.dataset, given.split, drops)
        digest = file_digest(str(path))
        self.config = replace(given, source=digest, fonts=(f"fonts:{self._fonts.fingerprint}",))
        self._sheets = sheets(found, given.sheet if given.dataset == "gsm8k" else 1, digest)
        self.skipped = dict(sorted(drops.counts.items()))

    def generate(self, index: int, streams: Streams) -> Sample:
        """The page of an index; problems come round again in other looks.

        Raises:
            Reject: No font shows the text, too many pages, or text too small.
        """
        config, content, style_rng = self.config, streams.rng("content"), streams.rng("style")
        sheet = self._sheets[index % len(self._sheets)]
        blocks = self._blocks(sheet, content)
        shown = "".join(b.text for b in blocks if isinstance(b, TextBlock)) + ALWAYS + "()"
        faces = typefaces_for(self._fonts, config.font_split, shown, style_rng)
        style = _plain(
            style_for(faces, style_rng, len(shown)), style_rng, is_code=config.dataset == "code"
        )
        pages = lay_out(blocks, style, max_pages=config.max_pages)
        finished = finish_pages(
            [paint(page) for page in pages],
            streams,
            config.augment,
            config.strength,
            legible=True,
        )
        qa = streams.rng("qa")
        names = media_names(len(pages))
        tasks = self._asked(sheet, names, qa)
        tasks += reading_tasks(finished, qa, config.tasks, config.unanswerable)
        made = make_sample(
            self.name,
            self.version,
            streams,
            finished,
            tasks,
            fonts=faces,
            tags=("page_problem", f"source:{config.dataset}"),
            gt={"problems": [{"id": p.id, "text": p.shown, "answer": p.answer} for p in sheet]},
            license=KINDS[config.dataset].licence,
            group=f"{config.dataset}:{sheet[0].id}",
        )
        return bounded(made, self.config.max_tokens)

    def _blocks(self, sheet: Sequence[Problem], rng: random.Random) -> list[Block]:
        dataset = self.config.dataset
        blocks: list[Block] = []
        if rng.random() < (0.85 if len(sheet) > 1 else 0.4):
            blocks.append(paragraph(rng.choice(_HEADS[dataset]), "title"))
        if dataset == "code":
            if sheet[0].place and rng.random() < 0.5:
                blocks.append(paragraph(f"Module {sheet[0].place}"))
            blocks.append(TextBlock(kind="code", runs=(Run(sheet[0].shown),)))
        elif len(sheet) == 1:
            blocks += [paragraph(" ".join(p.split())) for p in split_paragraphs(sheet[0].shown)]
        elif rng.random() < 0.3:
            word = rng.choice(("Problem", "Exercise", "Question"))
            for number, problem in enumerate(sheet, 1):
                blocks.append(paragraph(f"{word} {number}", "section_header", 2))
                blocks.append(paragraph(problem.shown))
        else:
            marker = rng.choice(_MARKERS)
            blocks += [
                TextBlock(kind="list_item", runs=(Run(p.shown),), marker=marker.format(n=number))
                for number, p in enumerate(sheet, 1)
            ]
        return blocks

    def _asked(
        self, sheet: Sequence[Problem], names: Sequence[str], rng: random.Random
    ) -> list[Task]:
        if self.config.dataset == "bfcl":
            return [request_task(sheet[0], names, rng)]
        if self.config.dataset == "code":
            return [replace(body_task(sheet[0], names[0], rng), media=tuple(names))]
        places = rng.sample(range(len(sheet)), min(len(sheet), self.config.questions))
        return [
            replace(number_task(sheet[k], k + 1, len(sheet), names[0], rng), media=tuple(names))
            for k in sorted(places)
        ]


def _plain(style: PageStyle, rng: random.Random, *, is_code: bool) -> PageStyle:
    """One column; code gets a page that holds its lines."""
    style = replace(style, columns=1, column_rule=False, trim=style.trim or rng.random() < 0.5)
    if not is_code:
        return style
    size = min(style.size, 17.0)
    return replace(style, size=size, width=max(style.width, 832), align="left")


def render_problems(settings: Mapping[str, Any]) -> ProblemGenerator:
    """Factory of `render-problems`.

    Raises:
        ConfigError: Unknown or impossible setting.
        InputError: The source cannot be read.
    """
    return ProblemGenerator(settings)
