"""A picture of one sample: its tiles and frames on top, its tokens below, coloured by their role.

For people who want to see what a model is going to learn from. Reads a layout and its pixels;
changes neither, and decides nothing a trainer depends on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw

from nanovl.core.inputs import ProcessedInputs
from nanovl.core.layout import IGNORE_LABEL, MediaSpan, TokenLayout
from nanovl.processing.glyphs import shortened, width_of, write
from nanovl.processing.processor import Processor
from nanovl.processing.token_runs import COLORS, TokenRun, token_runs

__all__ = ["preview"]

_LOSS_SHADE = "#c3f3d3"  # every other token of a run, so that token borders can be seen
_INK, _FAINT, _RULE, _EMPTY = "#111827", "#6b7280", "#e5e7eb", "#eceff3"
_MARGIN = 36
_TEXT, _SMALL, _CHIP, _TITLE = 18, 15, 14, 24
_LINE = 30
_GAP = 3  # between tiles
_HIGH, _HIGH_ALONE = 360, 540  # of the tiles of one picture
_STRIP = 12  # frames shown of a video
_BREAK = "\u00b6"  # shown at a line break
_LINES = 140  # longest text, in lines
_LEGEND = (
    ("loss", "predicted"),
    ("text", "context"),
    ("control", "control"),
    ("visual", "visual"),
)


def preview(
    layout: TokenLayout,
    processor: Processor,
    inputs: ProcessedInputs | None = None,
    *,
    title: str = "",
    facts: Sequence[str] = (),
    width: int = 1200,
) -> Image.Image:
    """Draw one sample.

    Args:
        layout: From `Processor.plan`, with or without labels.
        processor: The one it was planned with.
        inputs: Its pixels; None draws grey tiles.
        title: Headline, such as where the sample is from.
        facts: More lines below the headline.
        width: Of the picture in pixels.

    Returns:
        An RGB picture as high as it needs to be.
    """
    runs = token_runs(layout, processor.tokenizer)
    page = _Page(max(width, 480))
    page.heading(title or "sample", [*facts, _counts(layout)])
    absent = {"loss"} if layout.labels is None else set()
    page.legend(absent if layout.spans else absent | {"visual"})
    pixels = [None] * len(layout.spans) if inputs is None else inputs.pixel_values
    page.media(
        layout.spans,
        [_pictures(span, p, processor) for span, p in zip(layout.spans, pixels, strict=True)],
    )
    page.text(runs)
    return page.finish()


def _counts(layout: TokenLayout) -> str:
    total, visual = layout.num_tokens, layout.num_visual_tokens
    tiles = f"{layout.num_tiles:,} tile{'s' if layout.num_tiles > 1 else ''}"
    parts = [f"{total:,} tokens", f"{visual:,} visual in {tiles}"]
    if layout.labels is not None:
        loss = sum(label != IGNORE_LABEL for label in layout.labels)
        parts.append(f"{loss:,} predicted ({loss / max(total, 1):.1%})")
    return "   \u00b7   ".join(parts if layout.spans else [parts[0], *parts[2:]])


def _pictures(
    span: MediaSpan, pixels: torch.Tensor | None, processor: Processor
) -> list[Image.Image]:
    """The tiles of a span as pictures; grey ones when there are no pixels."""
    height, width = span.tile_size
    if pixels is None:
        return [Image.new("RGB", (width, height), _EMPTY)] * span.tiles
    config = processor.config
    mean = torch.tensor(config.norm_mean).view(1, 3, 1, 1)
    std = torch.tensor(config.norm_std).view(1, 3, 1, 1)
    # fp32: undoing the normalisation in bf16 would band smooth areas
    values = (pixels.float() * std + mean).clamp(0, 1).mul(255).round().to(torch.uint8)
    return [Image.fromarray(tile.permute(1, 2, 0).contiguous().numpy()) for tile in values]


@dataclass(frozen=True)
class _Block:
    """Where the tiles of one picture go: a grid, and the overview beside it.

    Attributes:
        columns, rows: Of the grid.
        cell: Width and height of a tile on the page.
        overview: Side of the thumbnail, 0 without one.
    """

    columns: int
    rows: int
    cell: tuple[int, int]
    overview: int

    @classmethod
    def of(
        cls, span: MediaSpan, pictures: Sequence[Image.Image], room: float, highest: float
    ) -> _Block:
        columns, rows = span.info.get("columns", 1), span.info.get("rows", 1)
        wide, high = pictures[0].size
        scale = min(room * 0.7 / (columns * wide), highest / (rows * high), 1.0)
        cell = max(int(wide * scale), 16), max(int(high * scale), 16)
        extra = len(pictures) > columns * rows
        return cls(columns, rows, cell, min(rows * cell[1], 190) if extra else 0)

    @property
    def width(self) -> float:
        """Of the block, its caption included."""
        grid = self.columns * (self.cell[0] + _GAP) - _GAP
        return max(grid + (self.overview + 14 + _GAP if self.overview else 0), 300)

    @property
    def height(self) -> float:
        """Of the block without its caption."""
        grid = self.rows * (self.cell[1] + _GAP) - _GAP
        return max(grid, self.overview + 22 if self.overview else 0)


def _captions(index: int, span: MediaSpan) -> list[str]:
    info = span.info
    what = "frames" if span.kind == "video" else "tiles" if span.tiles > 1 else "tile"
    facts = [
        f"{span.kind} {index + 1}",
        str(info.get("name", "")),
        f"{info['width']} x {info['height']}" if "width" in info else "",
        f"{span.tiles} {what}",
        f"{span.num_tokens:,} visual tokens",
    ]
    return facts


class _Page:
    """A growing picture; draws from top to bottom."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.y: float = _MARGIN
        self._image = Image.new("RGB", (width, 2000), "#ffffff")
        self._draw = ImageDraw.Draw(self._image)

    @property
    def _inner(self) -> int:
        return self.width - 2 * _MARGIN

    def _need(self, height: float) -> None:
        """Make room for `height` more pixels."""
        wanted = int(self.y + height) + _MARGIN + 1
        if wanted <= self._image.height:
            return
        taller = Image.new("RGB", (self.width, max(wanted, 2 * self._image.height)), "#ffffff")
        taller.paste(self._image, (0, 0))
        self._image, self._draw = taller, ImageDraw.Draw(taller)

    def finish(self) -> Image.Image:
        return self._image.crop((0, 0, self.width, int(self.y) + _MARGIN))

    # --- parts --------------------------------------------------------------------------------

    def heading(self, title: str, facts: Iterable[str]) -> None:
        self._line(title, _TITLE, _INK)
        self.y += 4
        for fact in facts:
            self._line(fact, _SMALL, _FAINT)
        self.y += 10

    def _line(self, text: str, size: int, ink: str) -> None:
        self._need(size * 1.5)
        text = shortened(text.replace("\n", " "), size, self._inner)
        write(self._draw, _MARGIN, self.y + size * 0.75, text, size, ink)
        self.y += size * 1.5

    def legend(self, absent: set[str]) -> None:
        x: float = _MARGIN
        self._need(_LINE)
        for role, name in _LEGEND:
            if role not in absent:
                x += self._chip(x, name, role) + 8
        self.y += _LINE + 8
        self._rule()

    def _rule(self) -> None:
        self._draw.line((_MARGIN, self.y, self.width - _MARGIN, self.y), fill=_RULE, width=1)
        self.y += 18

    def _chip(self, x: float, text: str, role: str) -> float:
        """A word on a rounded field; returns its width."""
        ink, paper = COLORS[role]
        width = width_of(text, _CHIP) + 14
        box = (x, self.y + 4, x + width, self.y + _LINE - 4)
        outline = _RULE if role == "text" else None
        self._draw.rounded_rectangle(box, radius=6, fill=paper, outline=outline)
        write(self._draw, x + 7, self.y + _LINE / 2, text, _CHIP, ink)
        return width

    def media(self, spans: Sequence[MediaSpan], pictures: Sequence[Sequence[Image.Image]]) -> None:
        """Pictures side by side as far as they fit; a video takes the whole width."""
        if not spans:
            return
        x: float = 0
        row_bottom = self.y
        highest = _HIGH_ALONE if len(spans) == 1 else _HIGH
        for index, (span, tiles) in enumerate(zip(spans, pictures, strict=True)):
            block = _Block.of(span, tiles, self._inner, highest)
            if span.kind == "video" or x + block.width > self._inner:
                x, self.y = 0, row_bottom
            caption = _captions(index, span)
            if span.kind == "video":
                self._line("   \u00b7   ".join(caption), _SMALL, _FAINT)
                self.y += 6
                self._film(tiles, span.info.get("times_s"))
                row_bottom = self.y = self.y + 18
                continue
            self._need(block.height + 80)
            self._captioned(_MARGIN + x, caption, block.width)
            self._tiles(_MARGIN + x, self.y + 52, tiles, block)
            row_bottom = max(row_bottom, self.y + 52 + block.height + 22)
            x += block.width + 40
        self.y = row_bottom
        self._rule()

    def _captioned(self, x: float, caption: Sequence[str], room: float) -> None:
        first, second = "   ".join(caption[:2]), "   ".join(caption[2:])
        for row, (text, ink) in enumerate(((first, _INK), (second, _FAINT))):
            text = shortened(text, _SMALL, room)
            write(self._draw, x, self.y + 12 + 22 * row, text, _SMALL, ink)

    def _tiles(self, x: float, top: float, pictures: Sequence[Image.Image], block: _Block) -> None:
        wide, high = block.cell
        for number, picture in enumerate(pictures[: block.columns * block.rows]):
            row, column = divmod(number, block.columns)
            at = x + column * (wide + _GAP), top + row * (high + _GAP)
            self._put(picture, at, block.cell)
        if block.overview:
            x += block.columns * (wide + _GAP) + 14
            self._put(pictures[-1], (x, top), (block.overview, block.overview))
            write(self._draw, x, top + block.overview + 12, "thumbnail", _CHIP, _FAINT)

    def _film(self, pictures: Sequence[Image.Image], times: Sequence[float] | None) -> None:
        count = min(len(pictures), _STRIP)
        chosen = [round(i * (len(pictures) - 1) / max(count - 1, 1)) for i in range(count)]
        columns = min(count, 6)
        wide = min((self._inner - (columns - 1) * _GAP) // columns, 260)
        high = round(wide * pictures[0].height / pictures[0].width)
        for number, frame in enumerate(chosen):
            column = number % columns
            if column == 0:
                self._need(high + 26)
            x = _MARGIN + column * (wide + _GAP)
            self._put(pictures[frame], (x, self.y), (wide, high))
            when = f"frame {frame + 1}" if times is None else f"{times[frame]:.2f} s"
            write(self._draw, x, self.y + high + 12, when, _CHIP, _FAINT)
            if column == columns - 1 or number == count - 1:
                self.y += high + 26

    def _put(self, picture: Image.Image, at: tuple[float, float], size: tuple[int, int]) -> None:
        small = picture.resize(size, Image.Resampling.LANCZOS)
        x, y = int(at[0]), int(at[1])
        self._image.paste(small, (x, y))
        self._draw.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), outline=_RULE)

    def text(self, runs: Sequence[TokenRun]) -> None:
        lines = list(_wrapped(runs, self._inner))
        left_out = len(lines) - _LINES
        if left_out > 0:
            head = _LINES * 2 // 3
            note = TokenRun(kind="more", text=f"{left_out:,} lines left out", tokens=0)
            lines = [*lines[:head], [(note, note.text, False)], *lines[-(_LINES - head) :]]
        for line in lines:
            self._need(_LINE)
            x: float = _MARGIN
            for run, text, shade in line:
                x += self._cell(x, run, text, shade)
            self.y += _LINE

    def _cell(self, x: float, run: TokenRun, text: str, shade: bool) -> float:
        if run.kind != "text":
            return self._chip(x + 2, text, run.role) + 4
        width = width_of(text, _TEXT)
        ink, paper = COLORS[run.role]
        if run.loss:
            fill = _LOSS_SHADE if shade else paper
            self._draw.rectangle((x, self.y + 3, x + width, self.y + _LINE - 4), fill=fill)
        if text == _BREAK and not run.loss:
            ink = _RULE
        write(self._draw, x, self.y + _LINE / 2, text, _TEXT, ink)
        return width


# --- lines ------------------------------------------------------------------------------------

_Cell = tuple[TokenRun, str, bool]


def _wrapped(runs: Sequence[TokenRun], room: float) -> Iterator[list[_Cell]]:
    """Lines of cells that fit into `room` pixels; breaks at spaces where it can."""
    line: list[_Cell] = []
    used = 0.0
    for word, ends_line in _words(runs):
        width = sum(_cell_width(cell) for cell in word)
        if line and used + width > room:
            yield line
            line, used = [], 0.0
        for cell in word if width <= room else _split(word):
            if line and used + _cell_width(cell) > room:
                yield line
                line, used = [], 0.0
            line.append(cell)
            used += _cell_width(cell)
        if ends_line:
            yield line
            line, used = [], 0.0
    if line:
        yield line


def _words(runs: Sequence[TokenRun]) -> Iterator[tuple[list[_Cell], bool]]:
    """Cells that stay together on a line, and whether the line ends behind them."""
    word: list[_Cell] = []
    for number, run in enumerate(runs):
        shade = bool(number % 2)
        if run.kind != "text":
            if word:
                yield word, False
            yield [(run, run.text, shade)], False
            word = []
            continue
        first, *rest = run.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for position, part in enumerate([first, *rest]):
            if position:
                yield [*word, (run, _BREAK, shade)], True
                word = []
            if part[:1] in (" ", "\t") and word:
                yield word, False
                word = []
            if part:
                word.append((run, part.replace("\t", "    "), shade))
    if word:
        yield word, False


def _split(word: Sequence[_Cell]) -> list[_Cell]:
    """The same cells, one character each: for words wider than the page."""
    return [
        (run, character, shade)
        for run, text, shade in word
        for character in (text if run.kind == "text" else [text])
    ]


def _cell_width(cell: _Cell) -> float:
    run, text, _ = cell
    return width_of(text, _TEXT) if run.kind == "text" else width_of(text, _CHIP) + 18
