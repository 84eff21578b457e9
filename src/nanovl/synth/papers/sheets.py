r"""The generator `formulas`: single rendered formulas and their LaTeX, a batch per sample.

A sample is one run of the engine: about a hundred formulas in one typeface, each cut out of its
page. A formula is kept when what the engine printed, written back as LaTeX, has the structure of
what was asked for; so every answer is what stands in the picture.

Source: data synthesis specification, section 13 (formula OCR).
"""

from __future__ import annotations

import io
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nanovl.core.config import from_dict
from nanovl.core.errors import ConfigError
from nanovl.synth.asking import worded
from nanovl.synth.base import Answer, Media, Reject, Requirement, Sample, Streams, Task
from nanovl.synth.papers.formulas import (
    Formula,
    Tree,
    draw_formula,
    inline,
    skeleton,
    width_em,
)
from nanovl.synth.papers.generator import PAPER_REQUIRES
from nanovl.synth.papers.wordings import BANK
from nanovl.synth.tex import compile_document

__all__ = ["FACES", "FormulasConfig", "FormulasGenerator", "create", "sheet_source"]

# Only faces whose every letter the compiler can name. In others than the first it may take bold or
# slanted letters for upright ones, so weight and slope are not compared there.
FACES = {
    "computer-modern": "",
    "latin-modern": "\\usepackage{lmodern}",
    "euler": "\\usepackage{euler}",
    "sans": "\\usepackage{sansmath}\\AtBeginDocument{\\sansmath}",
}
_SIZES = ("small", "normalsize", "large", "Large", "LARGE")
_WIDTH_EM = 46.0
_PER_PAGE_MM = (200, 280)
_DARK = ((0, 0, 0), (0, 0, 0), (20, 20, 60), (90, 10, 10), (10, 60, 20), (60, 60, 60))
_LIGHT = ((255, 255, 255), (255, 255, 255), (250, 245, 230), (232, 240, 250), (245, 232, 240))


@dataclass(frozen=True, kw_only=True)
class FormulasConfig:
    """Settings of `formulas`.

    Attributes:
        faces: Keys of `FACES` to draw from.
        formulas: Per sample, 8 to 400.
        depth: Least and most nesting, 1 to 5.
        inline: Share of short formulas as in running text.
        dpi: Resolutions to draw from.
        coloured: Share of formulas in colour on tinted ground or light on dark.
        picks: Questions that show several pictures and ask for one.
        image: "png" or "jpg".
    """

    faces: tuple[str, ...] = tuple(FACES)
    formulas: int = 100
    depth: tuple[int, int] = (1, 4)
    inline: float = 0.2
    dpi: tuple[int, ...] = (110, 150, 200)
    coloured: float = 0.25
    picks: int = 4
    image: str = "png"

    def __post_init__(self) -> None:
        for face in self.faces:
            if face not in FACES:
                raise ConfigError(f"faces: {face!r} does not exist, expected {sorted(FACES)}")
        if not self.faces or not self.dpi:
            raise ConfigError("faces and dpi: expected at least one of each")
        if not 8 <= self.formulas <= 400:
            raise ConfigError(f"formulas: got {self.formulas}, expected 8 to 400")
        if len(self.depth) != 2 or not 1 <= self.depth[0] <= self.depth[1] <= 5:
            raise ConfigError(f"depth: got {self.depth}, expected two numbers from 1 to 5")
        if any(not 72 <= dpi <= 300 for dpi in self.dpi):
            raise ConfigError(f"dpi: got {self.dpi}, expected numbers from 72 to 300")
        for name in ("inline", "coloured"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: got {getattr(self, name)}, expected 0 to 1")
        if self.image not in ("jpg", "png"):
            raise ConfigError(f"image: got {self.image!r}, expected 'jpg' or 'png'")


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """A formula and its picture."""

    number: int
    latex: str
    kind: str
    size: str
    image: Image.Image


class FormulasGenerator:
    """Makes `formulas` samples.

    Args:
        config: Settings.
    """

    name = "formulas"
    version = "1"
    requires: Sequence[Requirement] = PAPER_REQUIRES

    def __init__(self, config: FormulasConfig | None = None) -> None:
        self.config = config or FormulasConfig()

    def generate(self, index: int, streams: Streams) -> Sample:
        """The batch of an index.

        Raises:
            Reject: It does not compile, or more than half of the formulas came out otherwise.
            BackendError: LuaLaTeX is missing.
        """
        config = self.config
        style, content, qa = streams.rng("style"), streams.rng("content"), streams.rng("qa")
        face, dpi = style.choice(config.faces), style.choice(config.dpi)
        drawn = _draw(config, content)
        sizes = [style.choice(_SIZES) for _ in drawn]
        cuts = _print(drawn, sizes, face, dpi)
        if len(cuts) < 0.5 * len(drawn):
            raise Reject("disagree", f"{face}: {len(cuts)} of {len(drawn)} formulas as asked for")
        media = [
            _media(cut, config.image, style, streams.np("augment"), config.coloured) for cut in cuts
        ]
        tasks = [_ask(cut, m, qa) for cut, m in zip(cuts, media, strict=True)]
        tasks += _picks(cuts, media, qa, config.picks)
        return Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt={
                "face": face,
                "dpi": dpi,
                "formulas": [
                    {"media": m.name, "latex": c.latex, "kind": c.kind, "size": c.size}
                    for c, m in zip(cuts, media, strict=True)
                ],
            },
            tasks=tuple(tasks),
            media=tuple(media),
            tags=("formula", f"face:{face}", "difficulty:1"),
            quality={"kept": len(cuts), "drawn": len(drawn)},
        )


def _draw(config: FormulasConfig, rng: random.Random) -> list[Formula]:
    """Formulas that fit and differ."""
    drawn: dict[Tree, Formula] = {}
    while len(drawn) < config.formulas:
        if rng.random() < config.inline:
            formula = Formula(kind="inline", rows=(inline(rng),))
        else:
            formula = draw_formula(rng, rng.randint(*config.depth))
        if 0.8 < width_em(formula.latex) < _WIDTH_EM / 2:
            drawn.setdefault(skeleton(formula.latex, any_weight=True), formula)
    return list(drawn.values())


def sheet_source(formulas: Sequence[Formula], sizes: Sequence[str], face: str) -> str:
    """A document with one formula below the other.

    Args:
        formulas: What to print, all as displays.
        sizes: Name of the size command of each.
        face: Code that loads the typeface.
    """
    width, height = _PER_PAGE_MM
    lines = [
        "\\documentclass{article}",
        "\\usepackage{amsmath,amssymb}",
        f"\\usepackage[paperwidth={width}mm,paperheight={height}mm,margin=12mm]{{geometry}}",
        face,
        "\\pagestyle{empty}\\parindent=0pt\\allowdisplaybreaks[0]\\hfuzz=99pt\\raggedbottom",
        "\\begin{document}",
    ]
    for formula, size in zip(formulas, sizes, strict=True):
        lines.append(f"{{\\{size}")
        rows = formula.rows
        if len(rows) == 1:
            lines += ["\\begin{equation*}", rows[0], "\\end{equation*}"]
        else:
            name = "align*" if "&" in rows[0] else "gather*"
            lines += [f"\\begin{{{name}}}", " \\\\\n".join(rows), f"\\end{{{name}}}"]
        lines.append("\\par}\\vspace{4mm}")
    return "\n".join([*(line for line in lines if line), "\\end{document}", ""])


def _print(formulas: Sequence[Formula], sizes: Sequence[str], face: str, dpi: int) -> list[_Cut]:
    """Cut every formula that came out as asked for out of its page."""
    with tempfile.TemporaryDirectory(prefix="nanovl-formulas-") as name:
        folder = Path(name)
        main = folder / "main.tex"
        main.write_text(sheet_source(formulas, sizes, FACES[face]), encoding="utf-8")
        result = compile_document(main, folder / "out", dpi=dpi)
        if not result.pages:
            raise Reject(result.status, result.message)
        loose = face != "computer-modern"
        asked = {skeleton(f.latex, any_weight=loose): k for k, f in enumerate(formulas)}
        cuts: list[_Cut] = []
        for page in result.pages:
            if not page.ok:
                continue
            data = json.loads((folder / "out" / page.files["json"]).read_text(encoding="utf-8"))
            with Image.open(folder / "out" / page.files["image"]) as opened:
                picture = opened.convert("RGB")
            for block in data["blocks"]:
                number = None
                if block["class"] == "Formula":
                    number = asked.pop(skeleton(block["latex"], any_weight=loose), None)
                if number is None:
                    continue
                formula = formulas[number]
                cuts.append(
                    _Cut(
                        number=number, latex=formula.latex, kind=formula.kind, size=sizes[number],
                        image=_cut(picture, block["bbox"], dpi),
                    )
                )  # fmt: skip
    return cuts


def _cut(picture: Image.Image, box: Sequence[float], dpi: int) -> Image.Image:
    """The formula with the room around it that its ink needs: glyph boxes may be too tight."""
    pad = 0.03 * dpi
    x0, y0, x1, y1 = box
    area = (
        max(0, int(x0 - pad)), max(0, int(y0 - pad)),
        min(picture.width, int(x1 + pad) + 1), min(picture.height, int(y1 + pad) + 1),
    )  # fmt: skip
    return picture.crop(area)


def _media(
    cut: _Cut, form: str, rng: random.Random, draws: np.random.Generator, coloured: float
) -> Media:
    """The picture with random margins and colours."""
    margin = [rng.randint(2, 24) for _ in range(4)]
    wide = cut.image.width + margin[0] + margin[1]
    high = cut.image.height + margin[2] + margin[3]
    image = Image.new("RGB", (wide, high), (255, 255, 255))
    image.paste(cut.image, (margin[0], margin[2]))
    if rng.random() < coloured:
        ink, ground = rng.choice(_DARK), rng.choice(_LIGHT)
        if rng.random() < 0.2:
            ink, ground = ground, ink
        share = np.asarray(image.convert("L"), dtype=np.float32)[..., None] / 255
        mixed = share * np.array(ground, np.float32) + (1 - share) * np.array(ink, np.float32)
        if rng.random() < 0.3:
            mixed = mixed + draws.normal(0, 6, mixed.shape)
        image = Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))
    out = io.BytesIO()
    if form == "jpg":
        image.save(out, "JPEG", quality=90)
    else:
        image.save(out, "PNG", optimize=False, compress_level=6)
    return Media(
        name=f"f{cut.number:03d}", kind="image", data=out.getvalue(), ext=form, width=wide,
        height=high,
    )  # fmt: skip


def _ask(cut: _Cut, media: Media, rng: random.Random) -> Task:
    question, template = worded(BANK, "picture", rng)
    return Task(
        task="formula_to_latex",
        question=question,
        answer_text=cut.latex,
        answer=Answer(type="markup", value=cut.latex),
        verifier="edit_distance",
        media=(media.name,),
        template=f"papers/{template}",
    )


def _picks(
    cuts: Sequence[_Cut], media: Sequence[Media], rng: random.Random, count: int
) -> list[Task]:
    """Several pictures, one formula: which is it?"""
    tasks = []
    for _ in range(count):
        chosen = rng.sample(range(len(cuts)), min(len(cuts), rng.randint(2, 5)))
        place = rng.randrange(len(chosen))
        wanted = f"\\({cuts[chosen[place]].latex}\\)"
        question, template = worded(BANK, "pick", rng, formula=wanted)
        tasks.append(
            Task(
                task="formula_pick",
                question=question,
                answer_text=str(place + 1),
                answer=Answer(type="number", value=place + 1),
                verifier="number",
                media=tuple(media[k].name for k in chosen),
                template=f"papers/{template}",
            )
        )
    return tasks


def create(config: Mapping[str, Any]) -> FormulasGenerator:
    """The generator with these settings.

    Raises:
        ConfigError: Unknown or impossible setting.
    """
    return FormulasGenerator(from_dict(FormulasConfig, config, where="formulas"))
