"""The generator `papers`: a made-up LaTeX paper as pages, with questions about one page and all.

A sample is one paper of up to eight pages: one run of the engine serves all of them, and the sample
is still a function of its index alone.

Source: data synthesis specification, sections 3.14 and 17.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Media, Requirement, Sample, Streams
from nanovl.synth.documents.effects import EFFECTS
from nanovl.synth.lengths import STAGE2_TOKENS, bounded, check_bounds
from nanovl.synth.papers.asks import View, document_tasks, page_tasks
from nanovl.synth.papers.dress import CLASSES, draw_dress
from nanovl.synth.papers.pages import Printed, Sheet, Spot, print_paper
from nanovl.synth.papers.plan import draw_paper
from nanovl.synth.papers.prose import LANGUAGES

__all__ = ["PAPER_REQUIRES", "PapersConfig", "PapersGenerator", "create"]

PAPER_REQUIRES = (
    Requirement(
        name="lualatex", kind="program", package="texlive-luatex texlive-latex-extra",
        purpose="printing papers",
    ),
)  # fmt: skip
_SOFT = ("noise", "blur", "tint", "contrast", "uneven")


@dataclass(frozen=True, kw_only=True)
class PapersConfig:
    """Settings of `papers`.

    Attributes:
        classes: Document classes to draw from.
        substitutes: Taken in this order for classes that are not installed.
        languages: Of the text, each alike; English has half of all.
        words: Least and most words of a paper.
        maths: Most sentences with formulas, as a share.
        pages: Pages kept of a paper, at most.
        dpi: Resolutions to draw from.
        questions: Questions about each page.
        document_questions: Questions about all pages together.
        worn: Share of papers whose pictures are noisy, blurred, tinted, ...
        line_numbers: Share of one-column papers with numbered lines.
        image: "png" or "jpg".
        max_tokens: Most tokens of a record, 0 for any number; longer ones are left out.
    """

    classes: tuple[str, ...] = tuple(CLASSES)
    substitutes: tuple[str, ...] = ("scrartcl", "article")
    languages: tuple[str, ...] = LANGUAGES
    words: tuple[int, int] = (250, 2200)
    maths: float = 0.3
    pages: int = 8
    dpi: tuple[int, ...] = (96, 110, 130, 150)
    questions: int = 3
    document_questions: int = 3
    worn: float = 0.2
    line_numbers: float = 0.0
    image: str = "png"
    max_tokens: int = STAGE2_TOKENS

    def __post_init__(self) -> None:
        for name in (*self.classes, *self.substitutes):
            if name not in CLASSES:
                raise ConfigError(f"classes: {name!r} is not known here{nearest(name, CLASSES)}")
        for name in self.languages:
            if name not in LANGUAGES:
                raise ConfigError(f"languages: {name!r} does not exist{nearest(name, LANGUAGES)}")
        if not self.classes or not self.languages or not self.dpi:
            raise ConfigError("classes, languages and dpi: expected at least one of each")
        if len(self.words) != 2 or not 50 <= self.words[0] <= self.words[1] <= 6000:
            raise ConfigError(f"words: got {self.words}, expected two numbers from 50 to 6000")
        if not 1 <= self.pages <= 20:
            raise ConfigError(f"pages: got {self.pages}, expected 1 to 20")
        if any(not 72 <= dpi <= 300 for dpi in self.dpi):
            raise ConfigError(f"dpi: got {self.dpi}, expected numbers from 72 to 300")
        for name, most in (("maths", 0.5), ("worn", 1.0), ("line_numbers", 1.0)):
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected 0 to {most:g}")
        if self.image not in ("jpg", "png"):
            raise ConfigError(f"image: got {self.image!r}, expected 'jpg' or 'png'")
        check_bounds(0, self.max_tokens)


class PapersGenerator:
    """Makes `papers` samples.

    Args:
        config: Settings.
    """

    name = "papers"
    version = "2"
    requires: Sequence[Requirement] = PAPER_REQUIRES

    def __init__(self, config: PapersConfig | None = None) -> None:
        self.config = config or PapersConfig()

    def generate(self, index: int, streams: Streams) -> Sample:
        """The paper of an index.

        Raises:
            Reject: It does not compile, or a page fails its checks.
            BackendError: LuaLaTeX or every class is missing.
        """
        config = self.config
        rng = streams.rng("style")
        lang = (
            "en"
            if "en" in config.languages and rng.random() < 0.5
            else rng.choice(config.languages)
        )
        dress = draw_dress(rng, config.classes, config.substitutes, lang, config.line_numbers)
        low, high = config.words
        words = round(low * (high / low) ** rng.random())
        shape = dress.shape(words, rng.uniform(0, config.maths))
        paper = draw_paper(lang, shape, streams.rng("content"))
        dpi = rng.choice(config.dpi)
        printed = print_paper(paper, dress, dpi=dpi, image=config.image, most_pages=config.pages)
        names = tuple(f"p{sheet.number:03d}" for sheet in printed.sheets)
        view = View(printed=printed, media=names, rng=streams.rng("qa"))
        asked = [a for sheet in printed.sheets for a in page_tasks(view, sheet, config.questions)]
        asked += document_tasks(view, config.document_questions)
        media = [
            _media(s, n, config.image, dpi) for s, n in zip(printed.sheets, names, strict=True)
        ]
        effects: tuple[str, ...] = ()
        if rng.random() < config.worn:
            effects = tuple(rng.sample(_SOFT, rng.randint(1, 2)))
            media = [_worn(m, effects, streams, config.image) for m in media]
        made = Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            lang=lang,
            gt=_truth(printed, names, [spots for _, spots in asked], effects),
            tasks=tuple(task for task, _ in asked),
            media=tuple(media),
            tags=(f"class:{dress.kind.name}", "document", f"difficulty:{_level(printed)}"),
            quality=_quality(printed),
        )
        return bounded(made, config.max_tokens)


def _level(printed: Printed) -> int:
    has_maths = bool(printed.formulas)
    return 1 + has_maths + bool(printed.tables) + (len(printed.sheets) > 3)


def _media(sheet: Sheet, name: str, form: str, dpi: int) -> Media:
    return Media(
        name=name, kind="image", data=sheet.data, ext=form, width=sheet.width,
        height=sheet.height, extra={"dpi": dpi},
    )  # fmt: skip


def _worn(media: Media, effects: Sequence[str], streams: Streams, form: str) -> Media:
    """The same picture, less clean; nothing moves."""
    image = Image.open(io.BytesIO(media.data)).convert("RGB")
    draws = streams.np("augment")
    for name in effects:
        image = EFFECTS[name](image, draws, float(draws.uniform(0.1, 0.5)))
    out = io.BytesIO()
    if form == "jpg":
        image.save(out, "JPEG", quality=85)
    else:
        image.save(out, "PNG", compress_level=3)
    return Media(
        name=media.name, kind="image", data=out.getvalue(), ext=form, width=media.width,
        height=media.height, extra=media.extra,
    )  # fmt: skip


def _truth(
    printed: Printed,
    names: Sequence[str],
    evidence: Sequence[Sequence[Spot]],
    effects: Sequence[str],
) -> dict[str, Any]:
    paper, dress = printed.paper, printed.dress
    return {
        "title": paper.title,
        "authors": list(paper.authors),
        "class": dress.kind.name,
        "options": dress.options,
        "font": dress.font,
        "effects": list(effects),
        "headings": [{"level": h.level, "text": h.text} for h in paper.headings()],
        "is_whole": printed.is_whole,
        "pages": [
            {"media": name, **{k: v for k, v in sheet.page.items() if k != "verify"}}
            for name, sheet in zip(names, printed.sheets, strict=True)
        ],
        "evidence": [
            [
                {"media": names[s.page], "bbox": list(s.box), "class": s.block["class"]}
                for s in spots
            ]
            for spots in evidence
        ],
    }


def _quality(printed: Printed) -> dict[str, Any]:
    checks = [sheet.page["verify"] for sheet in printed.sheets]
    glyphs = sum(c["glyphs"] for c in checks)
    return {
        "positions": round(sum(c["found"] for c in checks) / max(1, glyphs), 5),
        "characters": round(sum(c["same"] for c in checks) / max(1, glyphs), 5),
        "formulas_as_source": sum(
            bool(s.block.get("is_source")) for s in printed.formulas.values()
        ),
        "agreement": {k: list(v) for k, v in printed.agreement.items()},
    }


def create(config: Mapping[str, Any]) -> PapersGenerator:
    """The generator with these settings.

    Raises:
        ConfigError: Unknown or impossible setting.
    """
    return PapersGenerator(from_dict(PapersConfig, config, where="papers"))
