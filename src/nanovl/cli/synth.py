"""`nanovl synth ...`: make training data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanovl.cli import options, synth_gallery
from nanovl.cli.console import Progress, fail, guarded, note, one_line, write, write_json
from nanovl.cli.synth_check import check, export, filter_
from nanovl.cli.synth_mix import mix
from nanovl.cli.synth_model import qa, traces
from nanovl.core.config import to_dict

if TYPE_CHECKING:
    from nanovl.synth.tex import DocumentResult

__all__ = ["synth"]

synth = typer.Typer(
    name="synth",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)
synth.command("mix")(mix)
synth.command("qa")(qa)
synth.command("traces")(traces)
synth.command("check")(check)
synth.command("filter")(filter_)
synth.command("export")(export)


@synth.callback()
def root() -> None:
    """Make training data: pages, tables, charts, screens, videos and text with ground truth.

    \b
    Examples:
      nanovl synth run scenes-2d scenes --count 1000 --workers 2
      nanovl synth tex paper.tar.gz --out pages
    """


@synth.command("tex")
@guarded
def tex(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SRC...", help="Folders, .tex files or tar archives of LaTeX."),
    ],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help="Where the pages go.")],
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="strict refuses sources with TeX errors, lenient keeps the pages that pass.",
        ),
    ] = "strict",
    dpi: Annotated[int, typer.Option("--dpi", metavar="N", help="Of the pictures.")] = 144,
    image: Annotated[str, typer.Option("--image", metavar="FORMAT", help="png or jpg.")] = "png",
    order: Annotated[
        str, typer.Option("--order", metavar="NAME", help="Reading order: shipout or floats-last.")
    ] = "shipout",
    main: Annotated[
        str | None, typer.Option("--main", metavar="FILE", help="Main file inside a source.")
    ] = None,
    export: Annotated[
        list[str] | None,
        typer.Option(
            "--export",
            metavar="FORM",
            help="Also write markdown, flat-xywh, flat-xyxy, parse, coco or docling. May be "
            "repeated.",
        ),
    ] = None,
    restyle: Annotated[
        list[str] | None,
        typer.Option(
            "--restyle",
            metavar="KEY=VALUE",
            help="Typeset otherwise: font, mono_font, columns, section_columns, size_pt, width_mm, "
            "height_mm, margin_mm, line_spacing, word_spacing, alignment, text_color, page_color, "
            "section_colors, background, watermark, furniture, frame, crop_marks, running_head, "
            "page_rotation, float_angles, fit_floats, table_rules, table_bars, headings, captions, "
            "bibliography, page_numbers and others. May be repeated.",
        ),
    ] = None,
    augment: Annotated[
        str | None,
        typer.Option(
            "--augment",
            metavar="CONFIG",
            help="Typeset otherwise at random: a YAML file of chances, or 'default'.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of --augment.")] = 0,
    translate: Annotated[
        str | None,
        typer.Option(
            "--translate",
            metavar="HOW",
            help="pseudo, mbart:FOLDER:FROM:TO, or endpoint:MODEL:LANGUAGE:URL.",
        ),
    ] = None,
    key_env: Annotated[
        str,
        typer.Option(
            "--key-env", metavar="NAME", help="Environment variable with the endpoint's key."
        ),
    ] = "",
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", help="Sources compiled at once.")
    ] = 1,
    json: options.Json = False,
) -> None:
    """Compile LaTeX sources into pages with every block, box and character known.

    \b
    Examples:
      nanovl synth tex paper.tar.gz --out pages --export markdown
      nanovl synth tex papers/* --out pages --profile lenient --restyle columns=2

    Sources that break are reported by the name of what went wrong and skipped; the totals come
    last. Pages that do not agree with their own PDF are left out.
    """
    from nanovl.synth.tex.batch import BatchConfig, compile_batch
    from nanovl.synth.tex.restyle import style_options

    config = BatchConfig(
        out=out, profile=profile, dpi=dpi, image=image, order=order, main=main,
        exports=tuple(export or ()), options=style_options(restyle or ()), augment=augment,
        seed=seed, translate=translate, key_env=key_env,
    )  # fmt: skip
    results = []
    for result in compile_batch([Path(source) for source in sources], config, workers=workers):
        results.append(result)
        if not json:
            note(_line(result))
    totals = _totals(results)
    if json:
        write_json(totals)
    else:
        write(
            f"{totals['sources']} sources, {totals['compiled']} compiled; "
            f"{totals['good_pages']} of {totals['pages']} pages written\n"
        )
        for name, count in totals["failures"].items():
            write(f"  {name:<20} {count}\n")
        if augment is not None:
            write(f"{totals['augmented']} changed in looks, {sum(totals['fallbacks'].values())} "
                  "kept as they were because no page survived the change\n")  # fmt: skip
        if translate is not None:
            write(f"{totals['translated']} of {totals['paragraphs']} paragraphs translated\n")
    if not totals["good_pages"]:
        fail("no page passed; see the reports in " + out, 1)


def _line(result: DocumentResult) -> str:
    if not result.pages:
        return f"{result.source}: {result.status}: {one_line(result.message)}"
    return f"{result.source}: {result.good_pages} of {len(result.pages)} pages"


def _totals(results: list[DocumentResult]) -> dict[str, Any]:
    failures: dict[str, int] = {}
    for result in results:
        if result.status != "ok":
            failures[result.status] = failures.get(result.status, 0) + 1
    return {
        "sources": len(results),
        "compiled": sum(bool(r.pages) for r in results),
        "pages": sum(len(r.pages) for r in results),
        "good_pages": sum(r.good_pages for r in results),
        "failures": dict(sorted(failures.items())),
        "augmented": sum(bool(r.changes) for r in results),
        "paragraphs": sum(r.translated[0] for r in results),
        "translated": sum(r.translated[1] for r in results),
        "fallbacks": dict(sorted(Counter(r.fallback for r in results if r.fallback).items())),
    }


@synth.command("doctor")
@guarded
def doctor(json: options.Json = False) -> None:
    """Say which programs, packages and fonts data synthesis finds here, and how to get the rest.

    \b
    Examples:
      nanovl synth doctor
      nanovl synth doctor --json
    """
    from dataclasses import asdict

    from nanovl.synth.papers.dress import class_needs
    from nanovl.synth.tex.doctor import needs

    found = [*needs(), *class_needs()]
    if json:
        write_json({"needs": [asdict(need) for need in found]})
        return
    for need in found:
        state = "ok" if need.is_there else "MISSING" if need.is_required else "missing"
        line = "" if need.is_there else f"; {need.install}"
        write(f"{state:<8} {need.name:<26} {need.purpose}{line}\n")


@synth.command("list")
@guarded
def list_generators(json: options.Json = False) -> None:
    """Name the generators.

    \b
    Examples:
      nanovl synth list
      nanovl synth list --json
    """
    from nanovl.synth.registry import GENERATORS

    if json:
        write_json({name: entry.description for name, entry in sorted(GENERATORS.items())})
        return
    for name, entry in sorted(GENERATORS.items()):
        write(f"{name:<20} {entry.description}\n")


@synth.command("run")
@guarded
def run_generator(
    generator: Annotated[str, typer.Argument(metavar="GENERATOR", help="See nanovl synth list.")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="Folder of the data set.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Settings of the generator."),
    ] = None,
    count: Annotated[int, typer.Option("--count", metavar="N", help="Samples to make.")] = 100,
    start: Annotated[int, typer.Option("--start", metavar="N", help="First index.")] = 0,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Part of the set.")] = (
        "train"
    ),
    shard_size: Annotated[
        int, typer.Option("--shard-size", metavar="N", help="Indices per shard.")
    ] = 500,
    workers: Annotated[int, typer.Option("--workers", metavar="N", help="Processes.")] = 1,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help='Work on Ray: "local" or a cluster.'),
    ] = None,
    json: options.Json = False,
) -> None:
    """Make a data set with a generator, or what is missing of it.

    \b
    Examples:
      nanovl synth run text-maths maths --count 1000 --workers 2
      nanovl synth run ocr-page pages --count 200 --split val

    The same command continues a run that was stopped; the bytes do not depend on the workers.
    """
    from nanovl.core.config import apply_overrides
    from nanovl.synth.run import Job, run

    job = Job(
        generator=generator,
        out=Path(out),
        count=count,
        start=start,
        config=apply_overrides({}, settings or ()),
        split=split,
        shard_size=shard_size,
    )
    with Progress() as progress:
        totals = run(job, workers=workers, ray=ray, on_event=progress)
    if json:
        write_json(to_dict(totals))
        return
    write(f"{totals.path}\n")
    rate = totals.samples / totals.cpu_s if totals.cpu_s else 0.0
    note(
        f"{totals.samples:,} samples, {totals.records:,} records, {totals.media:,} media files, "
        f"{rate:.1f} samples/s/core, {totals.seconds:.0f} s"
    )
    if totals.lost or totals.rejects:
        reasons = ", ".join(f"{reason} {n}" for reason, n in totals.rejects.items())
        note(f"{totals.lost} indices without a sample; rejected attempts: {reasons or 'none'}")


synth_gallery.register(synth)
