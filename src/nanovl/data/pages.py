"""A page of samples as a trainer would see them: a picture of each, and their text.

Draws, renders and writes files into one folder; decides nothing about the samples.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nanovl.core.errors import InputError
from nanovl.core.events import Event, OnEvent, ignore_event
from nanovl.data.blend import Source
from nanovl.data.drops import DropCounter, Dropped
from nanovl.data.encode import EncodedSample, SampleEncoder
from nanovl.data.stream import RecordStream, StreamItem
from nanovl.processing.preview import preview
from nanovl.processing.token_runs import COLORS, token_runs

__all__ = ["SamplePage", "sample_page"]

_DRAWS_PER_SAMPLE = 20  # draws after which a page does with fewer samples


@dataclass(frozen=True, kw_only=True)
class SamplePage:
    """What `sample_page` wrote.

    Attributes:
        index: The page.
        pictures: One per sample.
        dropped: Draws that could not be used, per reason and source.
    """

    index: Path
    pictures: tuple[Path, ...]
    dropped: dict[str, dict[str, int]]


def sample_page(
    sources: Sequence[Source],
    encoder: SampleEncoder,
    folder: Path,
    *,
    count: int = 8,
    seed: int = 0,
    title: str = "samples",
    on_event: OnEvent = ignore_event,
) -> SamplePage:
    """Draw samples as a run with this seed would, and write them as pictures and one page.

    Args:
        sources: Leaves of the blend.
        encoder: Of the model and settings in question.
        folder: Made when it is not there; files of the same name are replaced.
        count: Samples wanted; a small set may have fewer.
        seed: Of the draw.
        title: Headline of the page.
        on_event: Told about progress in samples.

    Raises:
        InputError: Not one usable sample, or the folder cannot be written.
    """
    drops = DropCounter()
    cards: list[str] = []
    pictures: list[Path] = []
    stream = RecordStream(sources, seed=seed, shuffle=True, on_drop=drops.add)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror})") from error
    seen: set[str] = set()
    for _ in range(count * _DRAWS_PER_SAMPLE):
        item = next(stream, None)
        if item is None or len(pictures) == count:
            break
        name = item.key.rpartition("/")[0]
        if name in seen:
            continue
        seen.add(name)
        try:
            sample = encoder.encode(item)
            inputs = encoder.load(sample).inputs
        except Dropped as error:
            drops.add(item.source, error.reason, error.message)
            continue
        picture = folder / f"sample_{len(pictures):02d}.png"
        facts = _facts(item)
        image = preview(sample.layout, encoder.processor, inputs, title=item.key, facts=facts)
        image.save(picture)
        cards.append(_card(len(cards), item, sample, encoder, picture.name, facts))
        pictures.append(picture)
        on_event(Event(name="draw", done=len(pictures), total=count, unit="samples"))
    if not pictures:
        why = next(iter(drops.examples().values()), ["the data set is empty"])[0]
        raise InputError(f"not one usable sample; the first reason: {why}")
    index = folder / "index.html"
    index.write_text(_page(title, cards, drops), encoding="utf-8")
    return SamplePage(index=index, pictures=tuple(pictures), dropped=drops.counts())


def _facts(item: StreamItem) -> list[str]:
    record = item.record
    parts = [
        f"id {record.id}",
        f"task {record.task}" if record.task else "",
        f"reasoning {record.reasoning}" if record.reasoning else "",
        f"weight {record.weight:g}" if record.weight != 1 else "",
    ]
    return ["   ".join(part for part in parts if part)]


def _card(
    number: int,
    item: StreamItem,
    sample: EncodedSample,
    encoder: SampleEncoder,
    picture: str,
    facts: Sequence[str],
) -> str:
    runs = token_runs(sample.layout, encoder.processor.tokenizer)
    text = "".join(
        f'<span class="{run.role.replace(" ", "-")}">{html.escape(run.text)}</span>' for run in runs
    )
    source = html.escape(json.dumps(item.record.to_json(), ensure_ascii=False, indent=1))
    return (
        f'<section id="s{number}"><h2>{html.escape(item.key)}</h2>'
        f"<p>{html.escape('   '.join(facts))}</p>"
        f'<a href="{picture}"><img src="{picture}" alt="sample {number}" loading="lazy"></a>'
        f"<details><summary>tokens as text</summary><pre>{text}</pre></details>"
        f"<details><summary>record</summary><pre>{source}</pre></details></section>"
    )


def _page(title: str, cards: Sequence[str], drops: DropCounter) -> str:
    colors = "".join(
        f".{role.replace(' ', '-')}{{color:{ink};background:{paper}}}"
        for role, (ink, paper) in COLORS.items()
    )
    links = " ".join(f'<a href="#s{i}">{i + 1}</a>' for i in range(len(cards)))
    lost = "".join(
        f"<li>{html.escape(reason)}: {sum(per_source.values())}, such as "
        f"{html.escape(drops.examples().get(reason, ['-'])[0])}</li>"
        for reason, per_source in drops.counts().items()
    )
    note = f"<p>Draws that could not be used:</p><ul>{lost}</ul>" if lost else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>"
        "body{font:16px/1.5 system-ui,sans-serif;max-width:1240px;margin:0 auto;padding:24px;"
        "color:#111827;background:#f3f4f6}"
        "section{background:#fff;border:1px solid #e5e7eb;border-radius:10px;padding:16px 24px;"
        "margin:24px 0}h2{font-size:18px;margin:4px 0}p{color:#6b7280;margin:4px 0}"
        "img{max-width:100%;height:auto}"
        "pre{white-space:pre-wrap;overflow-wrap:anywhere;font:14px/1.6 ui-monospace,monospace;"
        "background:#fff}pre span{border-radius:3px}"
        ".control,.control-loss,.visual,.more{padding:0 5px;margin:0 1px;font-size:12px}"
        f"summary{{cursor:pointer;color:#1d4ed8}}{colors}</style>"
        f"<h1>{html.escape(title)}</h1><p>{len(cards)} samples: {links}</p>{note}"
        f"{''.join(cards)}</html>\n"
    )
