"""Questions that every page with text can answer, with answers out of the ground truth.

Reading all of it in several forms, one line, inside a box, finding a text, what follows, headings.
A small share asks for what is not there. Must not look at pixels.

Source: data synthesis specification, sections 4, 17.3 and 19 (unique referents, sizes).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nanovl.data.convert.parts import NOT_PRESENT
from nanovl.data.convert.templates import box as box_markup, grounded, question, scale_box
from nanovl.synth.asking import box_answer, worded
from nanovl.synth.base import Answer, Box, Task
from nanovl.synth.documents.draw import InkBlock, InkLine, InkWord, Painted, union
from nanovl.synth.documents.truth import (
    MARGINAL,
    block_text,
    page_markdown,
    page_plain,
)
from nanovl.synth.documents.wordings import BANK
from nanovl.synth.documents.words import WORDS

__all__ = ["MOST_CHARACTERS", "Ask", "document_tasks", "is_large", "page_tasks", "text_task"]

_LEAST_BOX = 8.0  # pixels of a target, either way
MOST_CHARACTERS = 6000  # of an answer

Maker = Callable[["Ask"], Task | None]


@dataclass(frozen=True)
class Ask:
    """A page that is asked about.

    Attributes:
        page: What it shows.
        media: Name of its picture.
        rng: The generator of the stream "qa".
        upright: Whether the page stands upright, so that lines can be counted from the top.
    """

    page: Painted
    media: str
    rng: random.Random
    upright: bool = True

    @property
    def size(self) -> tuple[int, int]:
        """Of the picture."""
        return self.page.image.size


def text_task(
    task: str,
    asked: tuple[str, str],
    answer: str,
    media: Sequence[str],
    *,
    verifier: str = "edit_distance",
    kind: str = "text",
    boxes: tuple[Box, ...] = (),
) -> Task:
    """A task whose answer is a text.

    Args:
        task: Its kind.
        asked: Question and template.
        answer: The text.
        media: Shown before the question.
        verifier, kind, boxes: See `Task` and `Answer`.
    """
    return Task(
        task=task,
        question=asked[0],
        answer_text=answer,
        answer=Answer(type=kind, value=answer, boxes=boxes),
        verifier=verifier,
        media=tuple(media),
        template=asked[1],
    )


# -- Whole pages ---------------------------------------------------------------------------------


def _all_lines(ask: Ask) -> Task | None:
    """Every printed line; rows of tables as they stand."""
    lines = _counted(ask)
    if lines is None:
        return None
    text = "\n".join(line.text for line in lines)
    return text_task("ocr", question("ocr_text", ask.rng), text, [ask.media])


def _plain(ask: Ask) -> Task | None:
    if any(b.kind in MARGINAL for b in ask.page.blocks):
        return None  # whether they belong to it would be a matter of taste
    text = page_plain(ask.page)
    return text_task("ocr_plain", worded(BANK, "plain", ask.rng), text, [ask.media])


def _spotted(ask: Ask) -> Task | None:
    """All text boxes joined by blanks, column after column."""
    text = " ".join(line.text for line in ask.page.lines)
    return text_task("ocr_scene", worded(BANK, "scene", ask.rng), text, [ask.media])


def _markdown(ask: Ask) -> Task | None:
    tables = any(b.kind == "table" for b in ask.page.blocks)
    text = page_markdown(ask.page)
    kind = "markdown_tables" if tables else "markdown"
    return text_task("ocr_markdown", worded(BANK, kind, ask.rng), text, [ask.media], kind="markup")


def _with_boxes(ask: Ask) -> Task | None:
    lines = ask.page.lines
    made = [grounded(line.text, [scale_box(line.box, *ask.size)]) for line in lines]
    return text_task(
        "ocr_boxes",
        question("ocr_multi", ask.rng),
        "".join(made),
        [ask.media],
        kind="markup",
        boxes=tuple(line.box for line in lines),
    )


# -- Parts ---------------------------------------------------------------------------------------


def _counted(ask: Ask) -> list[InkLine] | None:
    """The lines from top to bottom, None where that is not one clear order."""
    if not ask.upright or any(b.kind in ("table", "picture") for b in ask.page.blocks):
        return None
    lines = ask.page.lines
    for upper, lower in pairwise(lines):
        middles = [(box[1] + box[3]) / 2 for box in (upper.box, lower.box)]
        if middles[1] - middles[0] < 0.45 * min(b.box[3] - b.box[1] for b in (upper, lower)):
            return None
    return lines or None


def _one_line(ask: Ask) -> Task | None:
    lines = _counted(ask)
    if lines is None or len(lines) < 2:
        return None
    number = ask.rng.randrange(len(lines))
    line = lines[number]
    asked = question("ocr_line", ask.rng, number=str(number + 1))
    return text_task("ocr_line", asked, line.text, [ask.media], verifier="exact", boxes=(line.box,))


def _no_line(ask: Ask) -> Task | None:
    lines = _counted(ask)
    if lines is None:
        return None
    number = len(lines) + ask.rng.randint(1, 9)
    asked = worded(BANK, "line_or_absent", ask.rng, number=number)
    return text_task("ocr_line", asked, NOT_PRESENT, [ask.media], verifier="exact_ci")


def _inside(ask: Ask) -> Task | None:
    """The text of a line, or of some neighbouring words, whose box holds no other word."""
    lines = ask.page.lines
    everything = [word for line in lines for word in line.words]
    for _ in range(8):
        line = ask.rng.choice(lines)
        words = line.words
        if len(words) > 1 and ask.rng.random() < 0.5:
            start = ask.rng.randrange(len(words))
            words = words[start : start + ask.rng.randint(1, 5)]
        area = union(w.box for w in words)
        if not is_large(area) or _inside_words(area, everything) != words:
            continue
        mark = box_markup(scale_box(area, *ask.size))
        text = _join(words)
        return text_task(
            "reverse_grounding",
            question("reverse_grounding", ask.rng, box=mark),
            text,
            [ask.media],
            verifier="exact",
            boxes=(area,),
        )
    return None


def _inside_words(area: Box, words: Sequence[InkWord]) -> list[InkWord]:
    """Words of which more than a third lies in a box."""
    found = []
    for word in words:
        x0, y0, x1, y1 = word.box
        w = min(x1, area[2]) - max(x0, area[0])
        h = min(y1, area[3]) - max(y0, area[1])
        if w > 0 and h > 0 and w * h > 0.34 * (x1 - x0) * (y1 - y0):
            found.append(word)
    return found


def _join(words: Sequence[InkWord]) -> str:
    return "".join((" " if i and w.space else "") + w.text for i, w in enumerate(words))


def is_large(box: Box) -> bool:
    """Whether a box is large enough to be asked for."""
    return box[2] - box[0] >= _LEAST_BOX and box[3] - box[1] >= _LEAST_BOX


def _phrase(ask: Ask, least: int, most: int) -> tuple[list[InkWord], InkLine] | None:
    """Neighbouring words of a line that occur once on the page."""
    whole = " ".join(line.text for line in ask.page.lines).casefold()
    lines = [line for line in ask.page.lines if len(line.words) >= least]
    for _ in range(12 if lines else 0):
        line = ask.rng.choice(lines)
        count = ask.rng.randint(least, min(most, len(line.words)))
        start = ask.rng.randint(0, len(line.words) - count)
        words = line.words[start : start + count]
        text = _join(words)
        letters = sum(map(str.isalnum, text))
        fits = letters >= 3 and '"' not in text and "<" not in text
        if fits and whole.count(text.casefold()) == 1 and is_large(union(w.box for w in words)):
            return words, line
    return None


def _where(ask: Ask) -> Task | None:
    found = _phrase(ask, 1, 4)
    if found is None:
        return None
    words, _ = found
    text, area = _join(words), union(w.box for w in words)
    shown, answer = box_answer(text, [area], *ask.size)
    if ask.rng.random() < 0.3:
        asked = worded(BANK, "position_or_absent", ask.rng, text=text)
    else:
        asked = question("text_position", ask.rng, text=text)
    return Task(
        task="grounding",
        question=asked[0],
        answer_text=shown,
        answer=answer,
        verifier="iou",
        media=(ask.media,),
        template=asked[1],
    )


def _nowhere(ask: Ask) -> Task | None:
    whole = " ".join(line.text for line in ask.page.lines).casefold()
    for _ in range(8):
        text = " ".join(ask.rng.choices(WORDS, k=ask.rng.randint(1, 3)))
        if len(text) > 3 and text not in whole:
            asked = worded(BANK, "position_or_absent", ask.rng, text=text)
            return text_task("grounding", asked, NOT_PRESENT, [ask.media], verifier="exact_ci")
    return None


def _follows(ask: Ask) -> Task | None:
    found = _phrase(ask, 2, 4)
    if found is None:
        return None
    words, line = found
    block = next(b for b in ask.page.blocks if line in _block_lines(b))
    row = [w for other in block.lines for w in other.words]
    if not row:  # a table cell
        return None
    after = row[row.index(words[-1]) + 1 :]
    count = min(len(after), ask.rng.randint(2, 5))
    if count < 2 or not all(w.space for w in after[:count]):
        return None
    asked = worded(BANK, "follows", ask.rng, text=_join(words), count=count)
    return text_task("ocr_follow", asked, _join(after[:count]), [ask.media], verifier="exact")


def _block_lines(block: InkBlock) -> list[InkLine]:
    return [*block.lines, *(line for cell in block.cells for line in cell.lines)]


def _title(ask: Ask) -> Task | None:
    titles = [b for b in ask.page.blocks if b.kind == "title"]
    if len(titles) != 1 or titles[0].is_rest:
        return None
    asked = worded(BANK, "title", ask.rng)
    return text_task(
        "ocr_title",
        asked,
        block_text(titles[0]),
        [ask.media],
        verifier="exact",
        boxes=(titles[0].box,),
    )


def _outline(ask: Ask) -> Task | None:
    heads = [b for b in ask.page.blocks if b.kind in ("title", "section_header")]
    if len(heads) < 2 or any(b.is_rest for b in heads):
        return None
    text = "\n".join(map(block_text, heads))
    return text_task("ocr_outline", worded(BANK, "outline", ask.rng), text, [ask.media])


_MAKERS: tuple[tuple[Maker, float], ...] = (
    (_all_lines, 2.0),
    (_plain, 2.0),
    (_markdown, 2.0),
    (_with_boxes, 1.0),
    (_one_line, 1.5),
    (_inside, 1.5),
    (_where, 1.5),
    (_follows, 1.0),
    (_title, 0.6),
    (_outline, 0.6),
)
_SCENE: tuple[tuple[Maker, float], ...] = (
    (_spotted, 3.0),
    (_all_lines, 1.0),
    (_with_boxes, 2.0),
    (_one_line, 1.0),
    (_inside, 2.0),
    (_where, 2.0),
)
_ABSENT: tuple[Maker, ...] = (_nowhere, _no_line)


def page_tasks(
    ask: Ask, count: int, *, unanswerable: float = 0.05, scene: bool = False
) -> list[Task]:
    """Some tasks about one page, each kind at most once.

    Args:
        ask: The page.
        count: How many.
        unanswerable: Probability that one of them asks for what is not there.
        scene: Whether the picture shows scattered text boxes instead of a page with structure.
    """
    if not ask.page.lines:
        return []
    made: list[Task] = []
    if ask.rng.random() < unanswerable:
        absent = ask.rng.choice(_ABSENT)(ask)
        made += [absent] if absent else []
    pool = list(_SCENE if scene else _MAKERS)
    while pool and len(made) < count:
        place = ask.rng.choices(range(len(pool)), [weight for _, weight in pool])[0]
        maker, _ = pool.pop(place)
        task = maker(ask)
        if task is not None and task.answer_text and len(task.answer_text) <= MOST_CHARACTERS:
            made.append(task)
    return made


# -- Several pages -------------------------------------------------------------------------------


def document_tasks(
    pages: Sequence[Painted], media: Sequence[str], rng: random.Random, count: int
) -> list[Task]:
    """Tasks about several pages: on which page a text is, and one page transcribed."""
    made: list[Task] = []
    texts = [" ".join(line.text for line in page.lines).casefold() for page in pages]
    for _ in range(12):
        if len(made) >= count:
            break
        place = rng.randrange(len(pages))
        if not pages[place].lines:
            continue
        if rng.random() < 0.3:
            text = page_plain(pages[place])
            marginal = any(b.kind in MARGINAL for b in pages[place].blocks)
            if marginal or not text or len(text) > MOST_CHARACTERS:
                continue
            asked = worded(BANK, "plain_page", rng, page=place + 1)
            made.append(text_task("ocr_plain", asked, text, media))
            continue
        found = _phrase(Ask(pages[place], media[place], rng), 3, 6)
        if found is None:
            continue
        text = _join(found[0])
        if sum(text.casefold() in other for other in texts) != 1:
            continue
        asked = worded(BANK, "which_page", rng, text=text, pages=len(pages))
        made.append(
            Task(
                task="page_localisation",
                question=asked[0],
                answer_text=str(place + 1),
                answer=Answer(type="number", value=place + 1),
                verifier="number",
                media=tuple(media),
                template=asked[1],
            )
        )
    return made
