"""Compiles a LaTeX source and writes its pages: picture, PDF and JSON of every block.

One call goes from an unread source to verified pages. A source that breaks is reported with its
reason; a page that does not agree with its own PDF is reported and left out. Must not run programs
itself (`sandbox` does).

Source: data synthesis specification, sections 3.4, 3.15 and 3.16.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject
from nanovl.synth.tex.assemble import assemble
from nanovl.synth.tex.augment import Augmentation
from nanovl.synth.tex.engine import MAX_PAGES, Compiled, Profile, run_engine
from nanovl.synth.tex.fonts import ensure_font_cache, learn_fonts
from nanovl.synth.tex.legible import faint_words
from nanovl.synth.tex.pages import write_page
from nanovl.synth.tex.retypeset import translate_folder
from nanovl.synth.tex.sandbox import Limits, Sandbox
from nanovl.synth.tex.source import prepare
from nanovl.synth.tex.translate import Translator
from nanovl.synth.tex.verify import PdfText, check_page

__all__ = ["DocumentResult", "PageResult", "compile_document", "source_name"]

MAX_SIDE_PT = 14400.0 / 4  # pages wider or higher are refused


@dataclass(frozen=True, kw_only=True)
class PageResult:
    """One page of a document.

    Attributes:
        number: From 1.
        ok: Passed every gate; files were written.
        reasons: Gates it failed.
        check: Counts of the comparison with the PDF.
        files: Names of the files written, by kind.
    """

    number: int
    ok: bool
    reasons: tuple[str, ...]
    check: Mapping[str, Any]
    files: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class DocumentResult:
    """What became of a source.

    Attributes:
        source: Its name.
        status: "ok", or the name of what went wrong.
        message: Details.
        pages: Every page, also rejected ones.
        errors: Errors the engine reported and went on after.
        seconds: Wall-clock time per stage.
        unknown: Glyphs without Unicode, with counts.
        passes: Runs of the engine.
        changes: Names of the changes an augmentation made.
        fallback: Why an augmentation was dropped; "" when none was.
        translated: Paragraphs of prose found, and how many of them were translated.
    """

    source: str
    status: str
    message: str = ""
    pages: tuple[PageResult, ...] = ()
    errors: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)
    passes: int = 0
    changes: tuple[str, ...] = ()
    fallback: str = ""
    translated: tuple[int, int] = (0, 0)

    @property
    def good_pages(self) -> int:
        """Pages that passed."""
        return sum(page.ok for page in self.pages)


def compile_document(
    source: Path,
    out: Path,
    *,
    profile: Profile = "strict",
    dpi: int = 144,
    image: Literal["png", "jpg"] = "png",
    order: str = "shipout",
    main: str | None = None,
    limits: Limits | None = None,
    options: Sequence[str] = (),
    thorough: bool = False,
    keep_glyphs: bool = False,
    name: str | None = None,
    augmentation: Augmentation | None = None,
    translator: Translator | None = None,
) -> DocumentResult:
    """Compile a source and write its verified pages.

    Args:
        source: Folder, .tex(.gz) or tar archive.
        out: Folder for the pages; created. Gets NAME-pNNNN.png|jpg, .pdf, .json and report.json.
        profile: "strict" refuses documents with TeX errors; "lenient" takes the pages that pass.
        dpi: Resolution of the pictures.
        image: Their format.
        order: Reading order, "shipout" or "floats-last".
        main: Name of the main file; None looks for it.
        limits: Of every program.
        options: TeX code run before the document class (see `restyle`).
        thorough: Also ask pdfplumber where pdfium does not find every glyph.
        keep_glyphs: Write every glyph into the JSON.
        name: Of the files; None takes the source's.
        augmentation: Changes of the look; dropped (see `fallback`) when no page survives them.
        translator: Translates the prose before the engine runs.

    Returns:
        What became of it; broken sources do not raise.

    Raises:
        ConfigError: A setting is out of range.
        BackendError: A program is missing.
    """
    if profile not in ("strict", "lenient"):
        raise ConfigError(f"profile {profile!r}; expected strict or lenient")
    if order not in ("shipout", "floats-last"):
        raise ConfigError(f"order {order!r}; expected shipout or floats-last")
    if not 36 <= dpi <= 600:
        raise ConfigError(f"dpi {dpi}; expected 36 to 600")
    out.mkdir(parents=True, exist_ok=True)
    ensure_font_cache()
    name = name or source_name(source)
    settings = _Settings(
        out=out, name=name, profile=profile, dpi=dpi, image=image, order=order, main=main,
        limits=limits, thorough=thorough, keep_glyphs=keep_glyphs, translator=translator,
    )  # fmt: skip
    changes = augmentation.changes if augmentation is not None else ()
    if augmentation is not None and changes:
        result = _attempt(source, settings, (*options, *augmentation.style.options()))
        if result.good_pages:
            result = replace(result, changes=changes)
        else:
            plain = _attempt(source, settings, options)
            reason = result.status if result.status != "ok" else "no_good_pages"
            result = replace(plain, fallback=reason if plain.good_pages else "")
    else:
        result = _attempt(source, settings, options)
    _write_report(result, out, name, dpi)
    return result


def source_name(source: Path) -> str:
    """What a source's files are called: its name without the endings of archives."""
    return re.sub(r"(\.tar)?(\.(tex|gz|tgz|ltx|tar))+$", "", source.name) or "document"


@dataclass(frozen=True, kw_only=True)
class _Settings:
    out: Path
    name: str
    profile: Profile
    dpi: int
    image: str
    order: str
    main: str | None
    limits: Limits | None
    thorough: bool
    keep_glyphs: bool
    translator: Translator | None
    is_restyled: bool = False


def _attempt(source: Path, settings: _Settings, options: Sequence[str]) -> DocumentResult:
    """From an unread source to pages, once."""
    settings = replace(settings, is_restyled=bool(options))
    seconds: dict[str, float] = {}
    translated = (0, 0)
    with tempfile.TemporaryDirectory(prefix="nanovl-tex-") as folder:
        work = Path(folder) / "job"
        work.mkdir()
        sandbox = Sandbox(work, settings.limits)
        try:
            start = time.monotonic()
            ready = prepare(source, work, sandbox, main=settings.main)
            seconds["prepare"] = time.monotonic() - start
            if settings.translator is not None:
                start = time.monotonic()
                done = translate_folder(work, settings.translator)
                translated = (done.paragraphs, done.translated)
                seconds["translate"] = time.monotonic() - start
            start = time.monotonic()
            compiled = run_engine(ready, sandbox, profile=settings.profile, options=options)
            seconds["engine"] = time.monotonic() - start
            seconds["programs_cpu"] = sandbox.cpu_s
            learn_fonts(work)
            result = _pages(compiled, settings, seconds)
        except Reject as error:
            result = DocumentResult(
                source=settings.name, status=error.reason, message=error.message, seconds=seconds
            )
    return replace(result, translated=translated)


# -- pages --------------------------------------------------------------------------------------


def _pages(compiled: Compiled, settings: _Settings, seconds: dict[str, float]) -> DocumentResult:
    recording = compiled.recording
    for raw in recording.pages:
        if max(raw.width, raw.height) > MAX_SIDE_PT:
            raise Reject(
                "huge_page", f"page {raw.number} is {raw.width:.0f} x {raw.height:.0f} points"
            )
    if len(recording.pages) > MAX_PAGES:
        raise Reject("too_many_pages", f"{len(recording.pages)}, at most {MAX_PAGES}")
    start = time.monotonic()
    pages, converter = assemble(recording, order=settings.order)
    seconds["assemble"] = time.monotonic() - start
    seconds["verify"] = seconds["render"] = 0.0
    results = []
    with PdfText(compiled.pdf) as pdf:
        if len(pdf) != len(pages):
            raise Reject("page_count", f"{len(pages)} pages recorded, {len(pdf)} in the PDF")
        for index, page in enumerate(pages):
            start = time.monotonic()
            check = check_page(
                page, pdf, index, converter, dpi=settings.dpi, thorough=settings.thorough
            )
            seconds["verify"] += time.monotonic() - start
            start = time.monotonic()
            reasons = tuple(check.reasons or ())
            frame = page.raw.frame
            if frame and index + 1 < len(pages) and pages[index + 1].raw.frame == frame:
                reasons = ("overlay", *reasons)  # the next page shows the same frame, and more
            if settings.is_restyled and not reasons:
                faint = faint_words(page, pdf, index)
                reasons = (f"contrast {len(faint)} words",) if faint else ()
            files: dict[str, str] = {}
            if not reasons:
                files = write_page(
                    page, pdf, index, check, converter, settings.out, settings.name, settings.dpi,
                    settings.image, settings.keep_glyphs,
                )  # fmt: skip
            seconds["render"] += time.monotonic() - start
            results.append(
                PageResult(
                    number=page.number,
                    ok=not reasons,
                    reasons=reasons,
                    check=check.to_dict(),
                    files=files,
                )
            )
    unknown = recording.unknown + converter.unknown
    return DocumentResult(
        source=settings.name,
        status="ok" if any(r.ok for r in results) else "no_good_pages",
        message="" if any(r.ok for r in results) else ", ".join(results[0].reasons),
        pages=tuple(results),
        errors=tuple(compiled.errors[:20]),
        seconds=seconds,
        unknown=dict(sorted(unknown.items())),
        passes=compiled.passes,
    )


def _write_report(result: DocumentResult, out: Path, name: str, dpi: int) -> None:
    totals: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for page in result.pages:
        for key in ("glyphs", "found", "same", "chars", "covered", "unknown", "unclassified",
                    "maths", "maths_exact"):  # fmt: skip
            totals[key] += page.check[key]
        reasons.update(reason.split(" ")[0] for reason in page.reasons)
    report = {
        "source": result.source, "status": result.status, "message": result.message, "dpi": dpi,
        "pages": len(result.pages), "good_pages": result.good_pages,
        "rejected": dict(sorted(reasons.items())), "errors": list(result.errors),
        "totals": dict(sorted(totals.items())), "unknown": dict(result.unknown),
        "passes": result.passes, "changes": list(result.changes), "fallback": result.fallback,
        "translated": list(result.translated),
        "files": [dict(page.files) for page in result.pages if page.ok],
    }  # fmt: skip
    text = json.dumps(report, ensure_ascii=False, indent=1)
    (out / f"{name}-report.json").write_text(text + "\n", encoding="utf-8")
