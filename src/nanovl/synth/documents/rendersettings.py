"""Settings of the generators that render real texts and questions.

Source: data synthesis specification, section 4 and the rendering table of the training data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nanovl.core.errors import ConfigError
from nanovl.synth.documents.augment import Profile
from nanovl.synth.documents.build import check_settings
from nanovl.synth.documents.fonts import FontSplit
from nanovl.synth.documents.stories import READERS, TABLE_FILES
from nanovl.synth.lengths import STAGE2_TOKENS, check_bounds

__all__ = ["CommonConfig", "PassagesConfig", "TablesConfig", "TextConfig"]


@dataclass(frozen=True, kw_only=True)
class CommonConfig:
    """Settings all rendering generators have.

    Attributes:
        split: Which part of the source.
        fonts: Folders; empty means the usual places, `["builtin"]` the face Pillow carries.
        font_split: Families for training, or those held out for evaluation.
        augment, strength: See `augment.plan_augmentation`.
        tasks: Reading tasks beside the questions.
        unanswerable: Share of samples with a question about what is not there.
        max_pages: Documents that need more are rejected.
        max_tokens: Most tokens of a record, 0 for any number; longer ones are left out.
    """

    split: str = "train"
    fonts: tuple[str, ...] = ()
    font_split: FontSplit = "train"
    augment: Profile = "mixed"
    strength: float = 1.0
    tasks: int = 2
    unanswerable: float = 0.05
    max_pages: int = 8
    max_tokens: int = STAGE2_TOKENS

    def __post_init__(self) -> None:
        check_settings(self.augment, self.strength, self.font_split, self.unanswerable)
        check_bounds(0, self.max_tokens)
        if self.max_pages < 1 or self.tasks < 0:
            raise ConfigError(
                f"max_pages {self.max_pages} and tasks {self.tasks}: expected at least 1 and 0"
            )


@dataclass(frozen=True, kw_only=True)
class PassagesConfig(CommonConfig):
    """Settings of `render-passages`.

    Attributes:
        source: File or folder of the data set; in the configuration of a generator its digest.
        dataset: "fairytaleqa" or "xquad".
        languages: Codes to keep; empty keeps all.
        questions: Of a sample at most.
        whole: Share of whole stories where the data set has them.
        cross_lingual: Share of questions asked in another language than the page's.
    """

    source: str
    dataset: str = "fairytaleqa"
    languages: tuple[str, ...] = ()
    questions: int = 4
    whole: float = 0.15
    cross_lingual: float = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset not in READERS:
            raise ConfigError(
                f"dataset: got {self.dataset!r}, expected one of {', '.join(sorted(READERS))}"
            )
        if self.questions < 1 or not 0 <= self.whole <= 1 or not 0 <= self.cross_lingual <= 1:
            raise ConfigError("questions: expected at least 1; whole and cross_lingual: 0 to 1")


@dataclass(frozen=True, kw_only=True)
class TablesConfig(CommonConfig):
    """Settings of `render-tables`.

    Attributes:
        source: Question file or folder; in the configuration of a generator its digest.
        dataset: "wtq", "tabfact" or "wikisql".
        filler: Files with texts whose paragraphs stand around some of the tables.
        embedded: Share of tables with such paragraphs.
        questions: Of a sample at most.
        max_rows, max_columns: Larger tables are left out.
        max_width: Of a page in pixels.
    """

    source: str
    dataset: str = "wtq"
    filler: tuple[str, ...] = ()
    embedded: float = 0.35
    questions: int = 4
    max_rows: int = 60
    max_columns: int = 14
    max_width: int = 1408

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dataset not in TABLE_FILES:
            raise ConfigError(
                f"dataset: got {self.dataset!r}, expected one of {', '.join(sorted(TABLE_FILES))}"
            )
        if self.questions < 1 or not 0 <= self.embedded <= 1 or self.max_width < 400:
            raise ConfigError(
                "questions: expected at least 1; embedded: 0 to 1; max_width: at least 400"
            )


@dataclass(frozen=True, kw_only=True)
class TextConfig(CommonConfig):
    """Settings of `render-text`.

    Attributes:
        paths: Files with lines of `id`, `text` and maybe `title` and `lang`; in the configuration
            of a generator their digests.
        form: "markdown" for prose with headings and lists, "code" for programs.
        licence: Of these texts, written into every sample.
        languages: Codes to keep; empty keeps all.
        characters: Least and most of a piece of text.
        pictures: Share of documents with a picture and its caption.
        emphasis: Share of documents with some bold or italic words.
    """

    paths: tuple[str, ...]
    form: Literal["markdown", "code"] = "markdown"
    licence: str = ""
    languages: tuple[str, ...] = ()
    characters: tuple[int, int] = (300, 2500)
    pictures: float = 0.12
    emphasis: float = 0.2
    tasks: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.characters
        if not self.paths or not 40 <= low <= high:
            raise ConfigError(
                f"paths: expected at least one; characters: got {[low, high]}, expected 40 or more"
            )
