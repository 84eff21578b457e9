"""Many sources, several at once: every one is compiled or reported, none stops the others.

Bulk archives are opened member by member. Names in the output folder are unique. Must not judge.

Source: data synthesis specification, sections 3.14 and 3.15.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from nanovl.core.config import nearest
from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject
from nanovl.synth.model.sentences import CheckedTranslator
from nanovl.synth.tex.augment import AugmentConfig, draw, load_augment
from nanovl.synth.tex.compile import DocumentResult, compile_document, source_name
from nanovl.synth.tex.export import EXPORTS, export_page
from nanovl.synth.tex.fonts import ensure_font_cache
from nanovl.synth.tex.sandbox import Limits
from nanovl.synth.tex.scripts import language_options
from nanovl.synth.tex.translate import read_translator
from nanovl.synth.tex.unpack import bulk_members, is_bulk

__all__ = ["BatchConfig", "compile_batch"]


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """Settings every source of a batch shares.

    Attributes:
        out: Folder of the pages.
        profile, dpi, image, order, main, limits, options: As `compile_document` takes them.
        exports: Other forms to write, of `export.EXPORTS`.
        augment: YAML file of an `AugmentConfig`, "default", or None.
        seed: Of the augmentation.
        translate: "pseudo", "mbart:FOLDER:FROM:TO", "endpoint:MODEL:LANGUAGE:URL", or None.
        key_env: Environment variable with the key of the endpoint; "" sends none.
    """

    out: str
    profile: str = "strict"
    dpi: int = 144
    image: str = "png"
    order: str = "shipout"
    main: str | None = None
    limits: Limits | None = None
    options: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    augment: str | None = None
    seed: int = 0
    translate: str | None = None
    key_env: str = ""

    def __post_init__(self) -> None:
        for form in self.exports:
            if form not in EXPORTS:
                raise ConfigError(
                    f"export {form!r} is unknown; expected one of {', '.join(sorted(EXPORTS))}"
                    f"{nearest(form, EXPORTS)}"
                )
        if self.image not in ("png", "jpg"):
            raise ConfigError(f"image {self.image!r}; expected png or jpg")


def _translator(config: BatchConfig) -> CheckedTranslator | None:
    if config.translate is None:
        return None
    cache = Path(config.out) / "translations.sqlite"
    return read_translator(config.translate, key_env=config.key_env, cache=cache)


def compile_batch(
    sources: Sequence[Path], config: BatchConfig, *, workers: int = 1
) -> Iterator[DocumentResult]:
    """Compile sources, yielding what became of each, in order.

    Args:
        sources: Folders, files, archives, and bulk archives of many sources.
        config: Shared settings.
        workers: Processes; 1 compiles in this one.

    Raises:
        ConfigError: A setting is out of range.
        BackendError: A program is missing.
    """
    if workers < 1:
        raise ConfigError(f"workers {workers}; expected 1 or more")
    translator = _translator(config)
    if translator is not None:
        language_options(translator.language)
    if config.augment not in (None, "default"):
        load_augment(Path(str(config.augment)))
    with tempfile.TemporaryDirectory(prefix="nanovl-bulk-") as folder:
        jobs = _jobs(sources, Path(folder))
        if workers == 1:
            for job in jobs:
                yield job if isinstance(job, DocumentResult) else _compile(*job, config)
                if not isinstance(job, DocumentResult):
                    _drop(job[0], Path(folder))
            return
        ensure_font_cache()
        yield from _parallel(jobs, config, workers, Path(folder))


def _parallel(
    jobs: Iterator[tuple[Path, str] | DocumentResult], config: BatchConfig, workers: int,
    folder: Path,
) -> Iterator[DocumentResult]:  # fmt: skip
    pending: list[tuple[Path | None, Future[DocumentResult] | DocumentResult]] = []

    def first() -> DocumentResult:
        path, item = pending.pop(0)
        result = item if isinstance(item, DocumentResult) else item.result()
        if path is not None:
            _drop(path, folder)
        return result

    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for job in jobs:
            if isinstance(job, DocumentResult):
                pending.append((None, job))
            else:
                pending.append((job[0], pool.submit(_compile, *job, config)))
            while len(pending) > 4 * workers:
                yield first()
        while pending:
            yield first()


def _drop(path: Path, folder: Path) -> None:
    if path.parent == folder:
        path.unlink(missing_ok=True)


def _jobs(sources: Sequence[Path], folder: Path) -> Iterator[tuple[Path, str] | DocumentResult]:
    """Sources with unique names, or what became of an archive that could not be opened."""
    seen: Counter[str] = Counter()
    for path in sources:
        members: Iterator[Path] = bulk_members(path, folder) if is_bulk(path) else iter([path])
        try:
            for member in members:
                name = source_name(member)
                seen[name] += 1
                yield member, name if seen[name] == 1 else f"{name}-{seen[name]}"
        except Reject as error:
            yield DocumentResult(source=path.name, status=error.reason, message=error.message)


def _compile(path: Path, name: str, config: BatchConfig) -> DocumentResult:
    augmentation = None
    if config.augment is not None:
        chances = (
            AugmentConfig() if config.augment == "default" else load_augment(Path(config.augment))
        )
        augmentation = draw(chances, name, seed=config.seed)
    profile: Literal["strict", "lenient"] = "lenient" if config.profile == "lenient" else "strict"
    if config.profile not in ("strict", "lenient"):
        raise ConfigError(f"profile {config.profile!r}; expected strict or lenient")
    translator = _translator(config)
    options = config.options
    if translator is not None:
        options = (*options, *language_options(translator.language))
    result = compile_document(
        path, Path(config.out), profile=profile, dpi=config.dpi,
        image="jpg" if config.image == "jpg" else "png", order=config.order, main=config.main,
        limits=config.limits, options=options, name=name, augmentation=augmentation,
        translator=translator,
    )  # fmt: skip
    for page in result.pages:
        if page.ok:
            _export(Path(config.out) / page.files["json"], config.exports)
    return result


def _export(path: Path, forms: Sequence[str]) -> None:
    if not forms:
        return
    data = json.loads(path.read_text(encoding="utf-8"))
    for form in forms:
        made = export_page(data, form)
        suffix = {"markdown": ".md", "parse": ".parse.txt"}.get(form, f".{form}.json")
        text = made if isinstance(made, str) else json.dumps(made, ensure_ascii=False) + "\n"
        path.with_suffix(suffix).write_text(text, encoding="utf-8")
