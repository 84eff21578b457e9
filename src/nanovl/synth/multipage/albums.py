"""The generator `multi-image`: several pictures compared, sorted, told and counted over.

Source: data synthesis specification, sections 2, 11, 12 and 17.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nanovl.core.config import from_dict, nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject, Requirement, Sample, Streams, Task
from nanovl.synth.documents.build import font_library, media_names
from nanovl.synth.documents.fonts import FontSplit
from nanovl.synth.lengths import STAGE2_TOKENS, bounded, check_bounds
from nanovl.synth.multipage.album import Album, Makers
from nanovl.synth.multipage.albumphrases import LABELS
from nanovl.synth.multipage.groups import mixed_group, odd_group, scene_group
from nanovl.synth.multipage.sequences import ordered_sequence, story_sequence
from nanovl.synth.multipage.turns import labelled
from nanovl.synth.multipage.versions import (
    chart_versions,
    page_versions,
    table_and_chart,
    table_versions,
)
from nanovl.synth.scenes.paint import encoded
from nanovl.synth.tables.generator import TablesConfig
from nanovl.synth.typefaces import BUILTIN, FAMILIES

__all__ = ["KINDS", "MultiImageConfig", "MultiImageGenerator", "create"]

KINDS: dict[str, Callable[[Makers, Streams], Album]] = {
    "chart-versions": chart_versions,
    "mixed": mixed_group,
    "odd": odd_group,
    "order": ordered_sequence,
    "page-versions": page_versions,
    "scenes": scene_group,
    "story": story_sequence,
    "table-chart": table_and_chart,
    "table-versions": table_versions,
}


@dataclass(frozen=True, kw_only=True)
class MultiImageConfig:
    """Settings of `multi-image`.

    Attributes:
        kinds: Groups of pictures to make; empty for all.
        labels: Share of questions with a label such as "Picture 2:" before every picture.
        fonts: Folders for pages; empty means the usual places, `["builtin"]` what Pillow carries.
        font_split: Families for training, or those held out for evaluation.
        typefaces: For tables; "builtin" needs no installed font.
        image: "jpg" or "png".
        max_tokens: Most tokens of a record, 0 for any number; longer ones are left out.
    """

    kinds: tuple[str, ...] = ()
    labels: float = 0.4
    fonts: tuple[str, ...] = ()
    font_split: FontSplit = "train"
    typefaces: tuple[str, ...] = TablesConfig().fonts
    image: str = "jpg"
    max_tokens: int = STAGE2_TOKENS

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise ConfigError(f"kinds: {kind!r} does not exist{nearest(kind, KINDS)}")
        for name in self.typefaces:
            if name != BUILTIN and name not in FAMILIES:
                raise ConfigError(f"typefaces: {name!r} does not exist{nearest(name, FAMILIES)}")
        if not self.typefaces:
            raise ConfigError("typefaces: expected at least one")
        if not 0 <= self.labels <= 1:
            raise ConfigError(f"labels: got {self.labels}, expected 0 to 1")
        if self.font_split not in ("train", "heldout", "all"):
            raise ConfigError(
                f"font_split: got {self.font_split!r}, expected train, heldout or all"
            )
        if self.image not in ("jpg", "png"):
            raise ConfigError(f"image: got {self.image!r}, expected 'jpg' or 'png'")
        check_bounds(0, self.max_tokens)


class MultiImageGenerator:
    """Makes groups of pictures."""

    name = "multi-image"
    version = "3"
    requires: Sequence[Requirement] = ()

    def __init__(self, settings: Mapping[str, Any]) -> None:
        given = from_dict(MultiImageConfig, settings, where=self.name)
        library = font_library(given.fonts)
        self.config = replace(given, fonts=(f"fonts:{library.fingerprint}",))
        self._makers = Makers(library, given.font_split, given.typefaces)

    def generate(self, index: int, streams: Streams) -> Sample:
        """The group of an index.

        Raises:
            Reject: Its pictures could not be made, are too many tokens, or nothing can be asked.
            BackendError: A typeface is not installed.
        """
        kind = streams.rng("kind").choice(self.config.kinds or tuple(KINDS))
        album = KINDS[kind](self._makers, streams)
        if not album.tasks:
            raise Reject("no_task", f"nothing to ask about this group ({kind})")
        names = media_names(len(album.images))
        rng = streams.rng("show")
        media = [
            encoded(image, name, self.config.image)
            for image, name in zip(album.images, names, strict=True)
        ]
        tasks: list[Task] = []
        for one in album.tasks:
            task = replace(one, media=names)
            if rng.random() < self.config.labels:
                task = replace(task, messages=labelled(task, names, rng.choice(LABELS)))
            tasks.append(task)
        made = Sample(
            generator=self.name,
            version=self.version,
            seed=streams.seed,
            gt={"kind": kind, **album.gt},
            tasks=tuple(tasks),
            media=tuple(media),
            tags=("multi_image", f"album:{kind}", f"difficulty:{album.level}"),
        )
        return bounded(made, self.config.max_tokens)


def create(settings: Mapping[str, Any]) -> MultiImageGenerator:
    """The generator from settings as a mapping.

    Raises:
        ConfigError: A setting is unknown or wrong.
    """
    return MultiImageGenerator(settings)
