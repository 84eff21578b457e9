"""Compiles a LaTeX source and writes its pages: picture, PDF and JSON of every block.

One call goes from an unread source to verified pages. A source that breaks is reported with its
reason; a page that does not agree with its own PDF is reported and left out. Must not run programs
itself (`sandbox` does).

Source: data synthesis specification, sections 3.4, 3.15 and 3.16.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nanovl.core.errors import ConfigError
from nanovl.synth.base import Reject
from nanovl.synth.tex.assemble import Block, Page, assemble
from nanovl.synth.tex.events import Recording, read_recording
from nanovl.synth.tex.fonts import ensure_font_cache
from nanovl.synth.tex.maths import Converter
from nanovl.synth.tex.sandbox import Finished, Limits, Sandbox
from nanovl.synth.tex.source import Source, prepare
from nanovl.synth.tex.verify import Check, PdfText, check_page

__all__ = ["Compiled", "DocumentResult", "PageResult", "compile_document", "run_engine"]

Profile = Literal["strict", "lenient"]
MAX_PAGES = 400
MAX_SIDE_PT = 14400.0 / 4  # pages wider or higher are refused
_ERROR = re.compile(r"^(?:!|\S+?:\d+:) (.*)$", re.MULTILINE)
_MISSING = re.compile(r"(?:File [`']([^']+)' not found|I can't find file [`']([^']+)'|"
                      r"Unable to load picture or PDF file [`']([^']+)'|"
                      r"cannot find (?:image )?file [`'\"]?([^'\"]+))")  # fmt: skip


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
    """

    source: str
    status: str
    message: str = ""
    pages: tuple[PageResult, ...] = ()
    errors: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)

    @property
    def good_pages(self) -> int:
        """Pages that passed."""
        return sum(page.ok for page in self.pages)


@dataclass(slots=True)
class Compiled:
    """Result of the engine: files in the work folder."""

    pdf: Path
    recording: Recording
    errors: list[str]
    passes: int
    digest: str


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
        options: TeX code run before the document class (see `retypeset`).
        thorough: Also ask pdfplumber where pdfium does not find every glyph.
        keep_glyphs: Write every glyph into the JSON.

    Returns:
        What became of it; broken sources do not raise.

    Raises:
        ConfigError: A setting is out of range.
        BackendError: A program is missing.
    """
    if profile not in ("strict", "lenient"):
        raise ConfigError(f"profile {profile!r}; expected strict or lenient")
    if not 36 <= dpi <= 600:
        raise ConfigError(f"dpi {dpi}; expected 36 to 600")
    out.mkdir(parents=True, exist_ok=True)
    ensure_font_cache()
    seconds: dict[str, float] = {}
    name = re.sub(r"(\.tar)?(\.(tex|gz|tgz|ltx))+$", "", source.name) or "document"
    with tempfile.TemporaryDirectory(prefix="nanovl-tex-") as folder:
        work = Path(folder) / "job"
        work.mkdir()
        sandbox = Sandbox(work, limits)
        try:
            start = time.monotonic()
            ready = prepare(source, work, sandbox, main=main)
            seconds["prepare"] = time.monotonic() - start
            start = time.monotonic()
            compiled = run_engine(ready, sandbox, profile=profile, options=options)
            seconds["engine"] = time.monotonic() - start
            seconds["engine_cpu"] = compiled.recording.engine_cpu_s * compiled.passes
            result = _pages(
                compiled, out, name, seconds, dpi=dpi, image=image, order=order,
                thorough=thorough, keep_glyphs=keep_glyphs,
            )  # fmt: skip
        except Reject as error:
            result = DocumentResult(
                source=source.name, status=error.reason, message=error.message, seconds=seconds
            )
    _write_report(result, out, name, dpi)
    return result


# -- the engine ---------------------------------------------------------------------------------


def run_engine(
    source: Source, sandbox: Sandbox, *, profile: Profile = "strict", options: Sequence[str] = ()
) -> Compiled:
    """Run LuaLaTeX (and BibTeX) until references are settled; the hooks record the last run.

    Raises:
        Reject: Named reason.
    """
    work, job = source.folder, source.job
    if Path(source.main).stem != job:
        for suffix in (".bbl", ".ind", ".gls"):
            own = work / Path(source.main).with_suffix(suffix).name
            if own.exists():
                shutil.copyfile(own, work / f"{job}{suffix}")
    body = source.text
    settles = not re.search(
        r"\\(?:ref|eqref|cref|autoref|pageref|cite\w*|tableofcontents|label|bibliography|"
        r"printbibliography|include|input|listof\w+|lastpage|LastPage|maketitle\[|bibitem)\b", body
    )  # fmt: skip
    passes = 0
    finished: Finished | None = None
    if not settles:
        finished = _latex(source, sandbox, options, draft=True)
        passes += 1
        if _bibliography(source, sandbox):
            _latex(source, sandbox, options, draft=True)
            passes += 1
    for _ in range(3):
        before = _state(work, job)
        finished = _latex(source, sandbox, options, draft=False)
        passes += 1
        log = _log(work, job)
        if finished.failure or (before == _state(work, job)):
            break
        if settles or not re.search(r"Rerun|undefined references|may have changed", log):
            break
    assert finished is not None
    log = _log(work, job)
    pdf = work / f"{job}.pdf"
    errors = _errors(log)
    if finished.failure:
        raise Reject(finished.failure, _first(errors) or f"after {finished.seconds:.0f} s")
    broken = re.search(r"nanovl-gt\S*\.lua:\d+: .*", log)
    if broken:
        raise Reject("hook_error", broken.group(0)[:200])
    if errors and (profile == "strict" or not pdf.exists()):
        raise Reject(*_name_error(errors, log))
    if not pdf.exists() or "No pages of output" in log:
        raise Reject("no_pages", _first(errors) or "the engine printed no page")
    recording = read_recording(work / f"{job}-gt.jsonl")
    if not recording.is_complete:
        raise Reject("tex_error", _first(errors) or "the run ended before the end of the document")
    if not recording.pages:
        raise Reject("no_pages", "the engine printed no page")
    digest = hashlib.sha256(pdf.read_bytes()).hexdigest()
    return Compiled(pdf, recording, errors, passes, digest)


def _latex(source: Source, sandbox: Sandbox, options: Sequence[str], *, draft: bool) -> Finished:
    recorded = source.folder / f"{source.job}-gt.jsonl"
    recorded.unlink(missing_ok=True)
    prelude = "".join(options) + ("\\def\\ngtdraft{}" if draft else "")
    command = [
        "lualatex", "--interaction=batchmode", "--no-shell-escape", "--nosocket",
        "--file-line-error", f"--jobname={source.job}",
    ]  # fmt: skip
    if draft:
        command.append("--draftmode")
    command.append(f"{prelude}\\RequirePackage{{nanovl-gt}}\\input{{{source.main}}}")
    result = sandbox.run(command)
    if result.failure:
        raise Reject(result.failure, _first(_errors(_log(source.folder, source.job))) or (
            f"the engine was stopped after {result.seconds:.0f} s"))  # fmt: skip
    return result


def _bibliography(source: Source, sandbox: Sandbox) -> bool:
    """Run BibTeX or Biber when the first run asked for it; whether another run is needed."""
    work, job = source.folder, source.job
    aux = work / f"{job}.aux"
    text = aux.read_text("utf-8", "replace") if aux.exists() else ""
    if (work / f"{job}.bcf").exists() and shutil.which("biber"):
        return sandbox.run(["biber", "--quiet", job]).code == 0
    if "\\bibdata{" not in text or "\\citation{" not in text:
        return "\\@writefile" in text and "toc" in text
    if not (work / f"{job}.bbl").exists() or list(work.glob("*.bib")):
        kept = (work / f"{job}.bbl").read_bytes() if (work / f"{job}.bbl").exists() else None
        result = sandbox.run(["bibtex", job], cpu_s=30)
        bbl = work / f"{job}.bbl"
        if kept is not None and (result.code >= 2 or not bbl.exists() or bbl.stat().st_size < 20):
            bbl.write_bytes(kept)
    return True


def _state(work: Path, job: str) -> str:
    digest = hashlib.sha256()
    for suffix in (".aux", ".toc", ".lof", ".lot", ".out"):
        path = work / f"{job}{suffix}"
        digest.update(path.read_bytes() if path.exists() else b"-")
    return digest.hexdigest()


def _log(work: Path, job: str) -> str:
    path = work / f"{job}.log"
    if not path.exists():
        return ""
    return path.read_bytes()[-4_000_000:].decode("utf-8", "replace")


def _errors(log: str) -> list[str]:
    found = []
    for line in _ERROR.findall(log):
        if line.startswith(("==> Fatal", "Package: ", "Info")) or "warning" in line[:12].lower():
            continue
        found.append(line.strip()[:200])
    return found


def _first(errors: Sequence[str]) -> str:
    return errors[0] if errors else ""


def _name_error(errors: Sequence[str], log: str) -> tuple[str, str]:
    for line in errors[:3]:
        match = _MISSING.search(line)
        if match:
            name = next(g for g in match.groups() if g)
            is_package = Path(name).suffix in (".sty", ".cls", ".ldf", ".def", ".clo")
            return ("missing_package" if is_package else "missing_file"), name
    if "memory" in errors[0] and "exceeded" in errors[0]:
        return "memory", errors[0]
    if re.search(r"TeX capacity exceeded", errors[0]):
        return "memory", errors[0]
    if "dimension too large" in errors[0].lower() or "Huge page" in log:
        return "huge_page", errors[0]
    return "tex_error", errors[0]


# -- pages --------------------------------------------------------------------------------------


def _pages(
    compiled: Compiled, out: Path, name: str, seconds: dict[str, float], *, dpi: int, image: str,
    order: str, thorough: bool, keep_glyphs: bool,
) -> DocumentResult:  # fmt: skip
    recording = compiled.recording
    for raw in recording.pages:
        if max(raw.width, raw.height) > MAX_SIDE_PT:
            raise Reject(
                "huge_page", f"page {raw.number} is {raw.width:.0f} x {raw.height:.0f} points"
            )
    if len(recording.pages) > MAX_PAGES:
        raise Reject("too_many_pages", f"{len(recording.pages)}, at most {MAX_PAGES}")
    start = time.monotonic()
    pages, converter = assemble(recording, order=order)
    seconds["assemble"] = time.monotonic() - start
    seconds["verify"] = seconds["render"] = 0.0
    results = []
    with PdfText(compiled.pdf) as pdf:
        if len(pdf) != len(pages):
            raise Reject("page_count", f"{len(pages)} pages recorded, {len(pdf)} in the PDF")
        for index, page in enumerate(pages):
            start = time.monotonic()
            check = check_page(page, pdf, index, converter, dpi=dpi, thorough=thorough)
            seconds["verify"] += time.monotonic() - start
            start = time.monotonic()
            reasons = tuple(check.reasons or ())
            files: dict[str, str] = {}
            if not reasons:
                files = _write_page(
                    page, pdf, index, check, converter, out, name, dpi, image, keep_glyphs
                )
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
        source=name,
        status="ok" if any(r.ok for r in results) else "no_good_pages",
        message="" if any(r.ok for r in results) else ", ".join(results[0].reasons),
        pages=tuple(results),
        errors=tuple(compiled.errors[:20]),
        seconds=seconds,
        unknown=dict(sorted(unknown.items())),
    )


def _write_page(
    page: Page, pdf: PdfText, index: int, check: Check, converter: Converter, out: Path, name: str,
    dpi: int, image: str, keep_glyphs: bool,
) -> dict[str, str]:  # fmt: skip
    import pypdfium2

    stem = f"{name}-p{page.number:04d}"
    sheet = pdf.document[index]
    picture = sheet.render(scale=dpi / 72).to_pil().convert("RGB")
    files = {"image": f"{stem}.{image}", "pdf": f"{stem}.pdf", "json": f"{stem}.json"}
    if image == "png":
        picture.save(out / files["image"], compress_level=1)
    else:
        picture.save(out / files["image"], quality=90)
    single = pypdfium2.PdfDocument.new()
    single.import_pages(pdf.document, [index])
    single.save(out / files["pdf"])
    single.close()
    sheet.close()
    data = page_json(page, check, converter, dpi, picture.size, keep_glyphs=keep_glyphs)
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    (out / files["json"]).write_text(text + "\n", encoding="utf-8")
    return files


def page_json(
    page: Page, check: Check, converter: Converter, dpi: int, size: tuple[int, int], *,
    keep_glyphs: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """A page as plain data; boxes in pixels of the picture, unrounded."""
    scale = dpi / 72

    def px(box: Sequence[float]) -> list[float]:
        return [round(v * scale, 3) for v in box]

    data: dict[str, Any] = {
        "page": page.number, "width_pt": round(page.width, 3), "height_pt": round(page.height, 3),
        "width": size[0], "height": size[1], "dpi": dpi, "rotation": page.rotation,
        "tags": page.tags, "problems": page.problems,
        "blocks": [_block_json(b, px) for b in page.blocks],
        "edges": _edges(page.blocks),
        "verify": check.to_dict(),
    }  # fmt: skip
    if keep_glyphs:
        data["glyphs"] = [
            {"text": i.text, "bbox": px(i.box), "origin": px((i.x, i.y))}
            for i in page.raw.items
            if i.kind == "glyph"
        ]
    return data


def _block_json(block: Block, px: Any) -> dict[str, Any]:
    mark = "<tbc>"
    text = (mark if block.continues else "") + block.text + (mark if block.is_continued else "")
    down = (mark if block.continues else "") + block.markdown
    down += mark if block.is_continued else ""
    out: dict[str, Any] = {
        "id": block.order, "class": block.klass, "bbox": px(block.box), "order": block.order,
        "text": text, "markdown": down,
        "lines": [{"bbox": px(box), "text": t} for box, t in block.lines],
        "words": [{"bbox": px(box), "text": t} for box, t in block.words],
    }  # fmt: skip
    if block.chain:
        out |= {"chain": block.chain, "chain_pos": block.chain_pos}
    for key, value in (
        ("level", block.level), ("list", block.list_), ("float", block.float_ or None),
        ("latex", block.latex or None), ("html", block.html or None), ("otsl", block.otsl or None),
        ("number", block.number or None), ("tags", block.tags or None),
    ):  # fmt: skip
        if value is not None:
            out[key] = value
    if block.grid is not None:
        grid = block.grid.to_dict()
        for cell in grid["cells"]:
            cell["bbox"] = px(cell["bbox"])
            cell["bbox_text"] = px(cell["bbox_text"]) if cell["bbox_text"] else None
        out["grid"] = grid
        if block.grid.problem:
            out["problem"] = block.grid.problem
    return out


def _edges(blocks: Sequence[Block]) -> dict[str, list[list[int]]]:
    captions = []
    for block in blocks:
        if block.klass == "Caption" and block.float_:
            for other in blocks:
                if other.float_ == block.float_ and other.klass in ("Picture", "Table", "Code"):
                    captions.append([block.order, other.order])
    return {"caption_of": captions}


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
        "files": [dict(page.files) for page in result.pages if page.ok],
    }  # fmt: skip
    text = json.dumps(report, ensure_ascii=False, indent=1)
    (out / f"{name}-report.json").write_text(text + "\n", encoding="utf-8")
