"""A picture of one sample: its tiles and frames on top, its tokens below, coloured by their role.

For people who want to see what a model is going to learn from. Reads a layout and its pixels;
changes neither, and decides nothing a trainer depends on.

`token_runs` is the same description as data, for pages that bring their own fonts.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from PIL import Image, ImageDraw, ImageFont

from nanovl.core.inputs import ProcessedInputs
from nanovl.core.layout import IGNORE_LABEL, MediaSpan, TokenLayout
from nanovl.processing.processor import Processor
from nanovl.processing.tokenizer import Tokenizer

__all__ = ["COLORS", "TokenRun", "preview", "token_runs"]

RunKind = Literal["text", "control", "visual", "more"]
Font = Any
Box = tuple[float, float, float, float]

COLORS: dict[str, tuple[str, str]] = {
    "text": ("#4b5563", "#ffffff"),
    "loss": ("#14532d", "#dcfce7"),
    "control": ("#1d4ed8", "#e0e9ff"),
    "control loss": ("#14532d", "#86efac"),
    "visual": ("#92400e", "#fef0c7"),
    "more": ("#6b7280", "#eef0f3"),
}
"""Role of a token -> (ink, paper)."""

_LOSS_SHADE = "#c3f3d3"  # every other token of a run, so that token borders can be seen
_INK, _FAINT, _RULE, _EMPTY = "#111827", "#6b7280", "#e5e7eb", "#eceff3"
_MARGIN = 36
_TEXT, _SMALL, _CHIP, _TITLE = 18, 15, 14, 24
_LINE = 30
_GAP = 3  # between tiles
_HIGH, _HIGH_ALONE = 360, 540  # of the tiles of one picture
_STRIP = 12  # frames shown of a video
_FRAMES = 6  # frames of a video that are spelled out in the text
_BREAK = "\u00b6"  # shown at a line break
_LINES = 140  # longest text, in lines
# Tried in this order for characters the bundled font has no shape for.
_OTHER_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "DejaVuSans.ttf",
    "Arial Unicode.ttf",
    "msyh.ttc",
    "NotoSans-Regular.ttf",
)
_LEGEND = (
    ("loss", "predicted"),
    ("text", "context"),
    ("control", "control"),
    ("visual", "visual"),
)


@dataclass(frozen=True, kw_only=True)
class TokenRun:
    """Some ids that are shown together.

    Attributes:
        kind: "text", "control" (one control token), "visual" (placeholders) or "more" (frames
            that are left out).
        text: What to show.
        tokens: Ids it stands for.
        loss: Whether a trainer predicts them.
    """

    kind: RunKind
    text: str
    tokens: int
    loss: bool = False

    @property
    def role(self) -> str:
        """Key of `COLORS`."""
        if self.kind == "control":
            return "control loss" if self.loss else "control"
        return "loss" if self.loss and self.kind == "text" else self.kind


def token_runs(
    layout: TokenLayout, tokenizer: Tokenizer, *, max_frames: int = _FRAMES
) -> list[TokenRun]:
    """What a layout says, in pieces of one role each.

    Args:
        layout: From `Processor.plan`.
        tokenizer: The one it was planned with.
        max_frames: Frames of a video that are spelled out; the ones after them become one run.

    Returns:
        Runs whose `tokens` add up to the length of the layout. Every run of text is one token, or
        the few that one character spreads over.
    """
    runs: list[TokenRun] = []
    hidden = {
        start: (stop, span.tiles - max_frames)
        for span in layout.spans
        for start, stop in _hidden_frames(span, max_frames)
    }
    at, end = 0, len(layout.input_ids)
    while at < end:
        if at in hidden:
            stop, frames = hidden[at]
            visual = layout.input_ids[at:stop].count(layout.placeholder)
            text = f"{frames:,} more frames, {visual:,} visual tokens"
            runs.append(TokenRun(kind="more", text=text, tokens=stop - at))
            at = stop
            continue
        run = _run_at(layout, tokenizer, at)
        runs.append(run)
        at += run.tokens
    return runs


def _run_at(layout: TokenLayout, tokenizer: Tokenizer, at: int) -> TokenRun:
    ids = layout.input_ids
    loss = _has_loss(layout, at)
    if layout.spans and ids[at] == layout.placeholder:
        stop = at
        while stop < len(ids) and ids[stop] == layout.placeholder:
            stop += 1
        return TokenRun(kind="visual", text=f"{stop - at:,} visual tokens", tokens=stop - at)
    if tokenizer.is_control(ids[at]):
        text = tokenizer.decode(ids[at : at + 1], skip_control=False)
        return TokenRun(kind="control", text=text, tokens=1, loss=loss)
    data = b""
    for count in range(1, 5):  # a character has at most four bytes
        stop = at + count
        last = stop >= len(ids) or tokenizer.is_control(ids[stop])
        last = last or _has_loss(layout, stop) != loss
        data += tokenizer.decode_bytes(ids[stop - 1 : stop])
        try:
            return TokenRun(kind="text", text=data.decode(), tokens=count, loss=loss)
        except UnicodeDecodeError:
            if last:
                break
    text = tokenizer.decode(ids[at : at + 1])
    return TokenRun(kind="text", text=text, tokens=1, loss=loss)


def _has_loss(layout: TokenLayout, at: int) -> bool:
    return layout.labels is not None and layout.labels[at] != IGNORE_LABEL


def _hidden_frames(span: MediaSpan, shown: int) -> Iterator[tuple[int, int]]:
    """First id of the frames of a video that are left out, and the id behind them."""
    if span.kind != "video" or span.tiles <= shown + 1:
        return
    kept, extra = divmod(span.num_tokens, span.tiles)  # as a plan spreads them
    separators = sum(len(span.before[f]) + len(span.after[f]) for f in range(shown))
    visual = kept * shown + min(extra, shown)
    yield span.start + separators + visual, span.start + span.length


# --- the picture ------------------------------------------------------------------------------


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
    page.legend(layout.labels is not None)
    pixels = [None] * len(layout.spans) if inputs is None else inputs.pixel_values
    page.media(
        layout.spans,
        [_pictures(span, p, processor) for span, p in zip(layout.spans, pixels, strict=True)],
    )
    page.text(runs)
    return page.finish()


def _counts(layout: TokenLayout) -> str:
    total, visual = layout.num_tokens, layout.num_visual_tokens
    parts = [f"{total:,} tokens", f"{visual:,} visual in {layout.num_tiles:,} tiles"]
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
        text = _shortened(text.replace("\n", " "), size, self._inner)
        _write(self._draw, _MARGIN, self.y + size * 0.75, text, size, ink)
        self.y += size * 1.5

    def legend(self, labelled: bool) -> None:
        x: float = _MARGIN
        self._need(_LINE)
        for role, name in _LEGEND:
            if role == "loss" and not labelled:
                continue
            x += self._chip(x, name, role) + 8
        self.y += _LINE + 8
        self._rule()

    def _rule(self) -> None:
        self._draw.line((_MARGIN, self.y, self.width - _MARGIN, self.y), fill=_RULE, width=1)
        self.y += 18

    def _chip(self, x: float, text: str, role: str) -> float:
        """A word on a rounded field; returns its width."""
        ink, paper = COLORS[role]
        width = _width(text, _CHIP) + 14
        box = (x, self.y + 4, x + width, self.y + _LINE - 4)
        outline = _RULE if role == "text" else None
        self._draw.rounded_rectangle(box, radius=6, fill=paper, outline=outline)
        _write(self._draw, x + 7, self.y + _LINE / 2, text, _CHIP, ink)
        return width

    def media(self, spans: Sequence[MediaSpan], pictures: Sequence[Sequence[Image.Image]]) -> None:
        """Pictures side by side as far as they fit; a video takes the whole width."""
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

    def _captioned(self, x: float, caption: Sequence[str], room: float) -> None:
        first, second = "   ".join(caption[:2]), "   ".join(caption[2:])
        for row, (text, ink) in enumerate(((first, _INK), (second, _FAINT))):
            text = _shortened(text, _SMALL, room)
            _write(self._draw, x, self.y + 12 + 22 * row, text, _SMALL, ink)

    def _tiles(self, x: float, top: float, pictures: Sequence[Image.Image], block: _Block) -> None:
        wide, high = block.cell
        for number, picture in enumerate(pictures[: block.columns * block.rows]):
            row, column = divmod(number, block.columns)
            at = x + column * (wide + _GAP), top + row * (high + _GAP)
            self._put(picture, at, block.cell)
        if block.overview:
            x += block.columns * (wide + _GAP) + 14
            self._put(pictures[-1], (x, top), (block.overview, block.overview))
            _write(self._draw, x, top + block.overview + 12, "thumbnail", _CHIP, _FAINT)

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
            _write(self._draw, x, self.y + high + 12, when, _CHIP, _FAINT)
            if column == columns - 1 or number == count - 1:
                self.y += high + 26

    def _put(self, picture: Image.Image, at: tuple[float, float], size: tuple[int, int]) -> None:
        small = picture.resize(size, Image.Resampling.LANCZOS)
        x, y = int(at[0]), int(at[1])
        self._image.paste(small, (x, y))
        self._draw.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), outline=_RULE)

    def text(self, runs: Sequence[TokenRun]) -> None:
        self._rule()
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
        width = _width(text, _TEXT)
        ink, paper = COLORS[run.role]
        if run.loss:
            fill = _LOSS_SHADE if shade else paper
            self._draw.rectangle((x, self.y + 3, x + width, self.y + _LINE - 4), fill=fill)
        if text == _BREAK and not run.loss:
            ink = _RULE
        _write(self._draw, x, self.y + _LINE / 2, text, _TEXT, ink)
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
    return _width(text, _TEXT) if run.kind == "text" else _width(text, _CHIP) + 18


# --- writing ----------------------------------------------------------------------------------


@functools.cache
def _font(size: int, name: str = "") -> Font:
    """The bundled font, or another one by file name; None when there is none of that name."""
    if not name:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@functools.lru_cache(maxsize=8192)
def _font_name(character: str) -> str | None:
    """Which font has a shape for a character: "" the bundled one, None no font."""
    for name in ("", *_OTHER_FONTS):
        font = _font(_TEXT, name)
        if font is not None and _shape(font, character) != _shape(font, "\U0010ffff"):
            return name
    return None


def _shape(font: Font, character: str) -> tuple[Any, bytes]:
    # Behind a letter, as marks are: alone they would come with a circle that hides a missing shape.
    mask = font.getmask("x" + character)
    return mask.size, bytes(mask)


@functools.lru_cache(maxsize=8192)
def _width(text: str, size: int) -> float:
    return sum(
        _box_width(size) if font is None else font.getlength(part)
        for font, part in _parts(text, size)
    )


def _box_width(size: int) -> float:
    return size * 1.15


def _parts(text: str, size: int) -> Iterator[tuple[Font | None, str]]:
    """Pieces of one font; without a font, one character each."""
    if text.isascii() and text.isprintable():
        yield _font(size), text
        return
    start = 0
    names = [_font_name(c) if c.isprintable() or c == " " else None for c in text]
    for at in range(1, len(text) + 1):
        if at == len(text) or names[at] != names[start] or names[start] is None:
            name = names[start]
            yield (None if name is None else _font(size, name)), text[start:at]
            start = at


def _write(
    draw: ImageDraw.ImageDraw, x: float, middle: float, text: str, size: int, ink: str
) -> None:
    """Text whose line is centred on `middle`; shapes no font has become boxes with their code."""
    baseline = middle + size * 0.36
    for font, part in _parts(text, size):
        if font is not None:
            draw.text((x, baseline), part, font=font, fill=ink, anchor="ls")
            x += font.getlength(part)
            continue
        width = _box_width(size)
        top = baseline - size * 0.86
        draw.rounded_rectangle(
            (x + 1, top, x + width - 1, baseline + size * 0.14), radius=2, outline=ink
        )
        code = f"{ord(part):04X}"
        half = (len(code) + 1) // 2
        tiny = _font(max(size * 2 // 5, 6))
        for row, digits in enumerate((code[:half], code[half:])):
            draw.text(
                (x + width / 2, top + size * (0.28 + 0.46 * row)),
                digits,
                font=tiny,
                fill=ink,
                anchor="mm",
            )
        x += width


def _shortened(text: str, size: int, room: float) -> str:
    if _width(text, size) <= room:
        return text
    while text and _width(text + "...", size) > room:
        text = text[: -max(len(text) // 20, 1)]
    return text + "..."
