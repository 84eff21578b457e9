"""One sample as the viewer shows it: media, boxes, times, conversations, texts, tables.

Gives plain data. Text stays text (the viewer puts it into text nodes); HTML stands under "h" only
and comes from `markup`, which escapes. Must not write files but through the `save` it is given.

Source: data synthesis specification, section 20.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nanovl.core.config import to_dict
from nanovl.core.errors import InputError, NanoVLError
from nanovl.synth.datasets import DataSet, Made, MediaFile
from nanovl.synth.gallery.markup import has_markup, markdown_html, tables_of
from nanovl.synth.gallery.overlay import Overlay, Place, Span, find_places
from nanovl.synth.gallery.pictures import picture_size, strip_of, thumbnail, wave
from nanovl.synth.quality.answers import answer_of, reference_of
from nanovl.synth.registry import GENERATORS, create
from nanovl.synth.verify import is_right, score

__all__ = ["Save", "Shown", "command_of", "index_in", "settings_words", "show", "verified"]

Save = Callable[[str, bytes], str]
"""Keeps a file of the sample (suffix of its name, content) and gives its address."""

_BOX = re.compile(r"\(\s*(\d+)\s*,\s*(\d+)\s*\)\s*,\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)")
_THINK = re.compile(r"<think>(.*?)</think>\s*", re.S)
_DIGEST = re.compile(r"^[a-z_]+:[0-9a-f]{8,}$")
_INDEX = re.compile(r"-(\d{9})(?:-|$)")
_UNIT = 1000  # boxes in answers are thousandths of the picture
_EXCERPT = 260


@dataclass(frozen=True)
class Shown:
    """A sample for the viewer.

    Attributes:
        data: Of its page.
        row: Of the index.
        classes: Of its boxes and times, for colours.
    """

    data: dict[str, Any]
    row: dict[str, Any]
    classes: frozenset[str]


def show(made: Made, source: DataSet, key: str, save: Save) -> Shown:
    """A sample as plain data, its media saved.

    Args:
        made: The sample.
        source: Where it is from.
        key: Its short name in the site.
        save: Keeps media.

    Raises:
        InputError: A medium is missing or cannot be decoded.
    """
    truth = made.truth
    visual = [m for m in made.media if m.kind != "audio"]
    sizes = [(int(m.facts.get("width", 0)), int(m.facts.get("height", 0))) for m in visual]
    overlay = find_places(truth.get("gt"), sizes, [_short(m.name, made.id) for m in visual])
    records = [_record(record, made) for record in made.records]
    answers = list(_answer_places(made, sizes))
    media, thumb, badge = _media(made, source, overlay, answers, save)
    outside = sum(_is_outside(p, sizes) for p in overlay.places)
    warnings = [f"{outside} boxes leave their picture."] if outside else []
    wrong = sum(not r["right"] for r in records if r["verifier"])
    if wrong:
        warnings.append(f"{wrong} reference answers do not pass their own check.")
    tags = [str(t) for t in truth.get("tags", ())]
    level = next((t.split(":")[1] for t in tags if t.startswith("difficulty:")), None)
    asked = next((q for r in made.records if (q := _question(r))), "") or _first_text(truth)
    row = {
        "k": key,
        "id": made.id,
        "n": _label(made),
        "s": source.name,
        "g": str(truth.get("generator", "")),
        "t": sorted({str(r.get("task", "")) for r in made.records} - {""}),
        "a": [t for t in tags if not t.startswith("difficulty:")],
        "d": level,
        "q": asked[:_EXCERPT],
        "p": thumb,
        "b": badge,
    }
    data = {
        "media": media,
        "records": records,
        "texts": [{"t": t, "h": h} for t, h in _texts(truth.get("gt"))],
        "tables": [{"t": t, "h": h} for t, h in tables_of(truth.get("gt"))],
        "raw": {"truth": truth, "records": list(made.records)},
        "about": _about(made, source),
        "command": command_of(made, source),
        "warnings": warnings,
    }
    classes = {p.klass for p in overlay.places} | {s.group for s in overlay.spans}
    return Shown(data, row, frozenset(classes | ({"answer", "answers"} if answers else set())))


# -- Media ---------------------------------------------------------------------------------------


def _media(
    made: Made, source: DataSet, overlay: Overlay, answers: Sequence[dict[str, Any]], save: Save
) -> tuple[list[dict[str, Any]], str, str]:
    """Media of the page, the thumbnail's address and what stands on it."""
    found: list[dict[str, Any]] = []
    thumb = ""
    place = 0
    for medium in made.media:
        data = source.read(medium)
        number = len(found)
        if medium.kind == "audio":
            found.append(_sound(medium, made, data, number, save))
            thumb = thumb or found[-1]["wave"]
            continue
        here = [p for p in overlay.places if p.medium == place]
        asked = [a for a in answers if a["m"] == medium.name]
        show_one = _video if medium.kind == "video" else _image
        one, small = show_one(medium, made, data, number, here, asked, overlay.spans, save)
        found.append(one)
        thumb = thumb or save("thumb.jpg", small)
        place += 1
    badge = ""
    if len(found) > 1:
        badge = f"{len(found)} pictures" if found[0]["kind"] == "image" else f"{len(found)} media"
    elif found and found[0]["kind"] != "image":
        badge = f"{found[0]['duration']:.0f} s {found[0]['kind']}"
    return found, thumb, badge


def _image(
    medium: MediaFile, made: Made, data: bytes, number: int, places: Sequence[Place],
    answers: Sequence[dict[str, Any]], spans: Sequence[Span], save: Save,
) -> tuple[dict[str, Any], bytes]:  # fmt: skip
    del spans
    width, height = picture_size(data)
    boxes = [_place(p, p.box) for p in places] + [_asked(a, width, height) for a in answers]
    one = {
        "kind": "image",
        "name": _short(medium.name, made.id),
        "src": save(f"{number}.{_ending(medium.name, 'png')}", data),
        "w": width,
        "h": height,
        "boxes": boxes,
    }
    return one, thumbnail(data)


def _video(
    medium: MediaFile, made: Made, data: bytes, number: int, places: Sequence[Place],
    answers: Sequence[dict[str, Any]], spans: Sequence[Span], save: Save,
) -> tuple[dict[str, Any], bytes]:  # fmt: skip
    strip = strip_of(data)
    frames = []
    for k, frame in enumerate(strip.frames):
        boxes = [_place(p, at) for p in places if (at := p.at(frame.seconds)) is not None]
        # Which frame an answer is about only its question says: it is shown on all.
        boxes += [_asked(a, strip.width, strip.height) for a in answers]
        address = save(f"{number}-f{k:02d}.jpg", frame.jpeg)
        frames.append({"t": frame.seconds, "src": address, "boxes": boxes})
    times = [{"g": s.group, "a": s.start, "z": s.end, "t": s.text} for s in spans]
    times += [
        {"g": "answers", "a": a, "z": z, "t": f"{record.get('task', '')}: {_question(record)}"}
        for record in made.records
        for a, z in _intervals(record)
    ]
    one = {
        "kind": "video",
        "name": _short(medium.name, made.id),
        "src": save(f"{number}.{_ending(medium.name, 'mp4')}", data),
        "w": strip.width,
        "h": strip.height,
        "duration": strip.duration,
        "sound": strip.has_sound,
        "frames": frames,
        "spans": times,
    }
    middle = strip.frames[len(strip.frames) // 2].jpeg
    return one, thumbnail(middle)


def _sound(medium: MediaFile, made: Made, data: bytes, number: int, save: Save) -> dict[str, Any]:
    picture, seconds = wave(data)
    segments = medium.facts.get("transcript")
    spans = [
        {"g": "transcript", "a": s["start_s"], "z": s["end_s"], "t": s["text"]}
        for s in (segments if isinstance(segments, list) else ())
    ]
    return {
        "kind": "audio",
        "name": _short(medium.name, made.id),
        "src": save(f"{number}.{_ending(medium.name, 'wav')}", data),
        "wave": save(f"{number}-wave.jpg", picture),
        "duration": round(seconds, 3),
        "spans": spans,
    }


def _place(place: Place, box: Sequence[float]) -> dict[str, Any]:
    made: dict[str, Any] = {"c": place.klass, "b": list(box), "t": place.text}
    if place.quad:
        made["q"] = list(place.quad)
    if place.order is not None:
        made["o"] = place.order
    if place.attributes:
        made["a"] = dict(place.attributes)
    return made


def _is_outside(place: Place, sizes: Sequence[tuple[int, int]]) -> bool:
    width, height = sizes[place.medium] if place.medium < len(sizes) else (0, 0)
    x0, y0, x1, y1 = place.box
    return bool(width) and not (-1 <= x0 <= x1 <= width + 1 and -1 <= y0 <= y1 <= height + 1)


def _answer_places(made: Made, sizes: Sequence[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """Boxes and points of answers about one picture, in thousandths."""
    del sizes
    for number, record in enumerate(made.records):
        shown = [p for m in record.get("messages", ()) for p in _parts(m) if p["type"] != "text"]
        if len(shown) != 1:
            continue
        answer = (record.get("metadata") or {}).get("answer") or {}
        boxes: list[list[float]] = []
        if answer.get("type") == "point" and isinstance(answer.get("value"), Mapping):
            value = answer["value"]
            boxes = [value["box"]] if value.get("box") else []
            if value.get("point"):
                x, y = value["point"]
                boxes.append([x, y, x, y])
        else:
            said = " ".join(
                str(p["text"])
                for m in record.get("messages", ())
                if m.get("role") == "assistant"
                for p in _parts(m)
                if p["type"] == "text"
            )
            boxes = [[float(v) for v in b] for b in _BOX.findall(_THINK.sub("", said))]
        for box in boxes:
            name = str(shown[0][shown[0]["type"]])
            yield {"m": name, "k": number, "b": box, "t": _question(record)}


def _asked(answer: Mapping[str, Any], width: int, height: int) -> dict[str, Any]:
    x0, y0, x1, y1 = answer["b"]
    box = [x0 * width / _UNIT, y0 * height / _UNIT, x1 * width / _UNIT, y1 * height / _UNIT]
    made = {"c": "answer", "b": box, "t": answer["t"], "k": answer["k"]}
    if (x0, y0) == (x1, y1):
        made["r"] = max(3.0, width / 120)
    return made


# -- Conversations -------------------------------------------------------------------------------


def _record(record: Mapping[str, Any], made: Made) -> dict[str, Any]:
    facts = record.get("metadata") or {}
    right, value, problem = verified(record)
    return {
        "task": str(record.get("task", "")),
        "reasoning": record.get("reasoning") or ("open" if _thinks(record) else ""),
        "verifier": str(facts.get("verifier", "")),
        "right": right,
        "score": value,
        "problem": problem,
        "tools": [str((t.get("function") or t).get("name", "")) for t in record.get("tools", ())],
        "messages": [_message(m, made) for m in record.get("messages", ())],
    }


def verified(record: Mapping[str, Any]) -> tuple[bool, float | None, str]:
    """Whether the reference answer of a record passes its own check.

    Returns:
        That, its score (None without a check or when the check failed to work), and why not.
    """
    asked = answer_of(record)
    if asked is None:
        return True, None, ""
    verifier, answer = asked
    try:
        text = reference_of(record, answer)
        found = score(verifier, answer, text)
        return is_right(verifier, answer, text), round(found, 4), ""
    except (NanoVLError, TypeError, ValueError, KeyError, AttributeError) as error:
        return False, None, f"{type(error).__name__}: {error}"


def _thinks(record: Mapping[str, Any]) -> bool:
    return any(
        _THINK.search(p.get("text", "")) for m in record.get("messages", ()) for p in _parts(m)
    )


def _message(message: Mapping[str, Any], made: Made) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    for part in _parts(message):
        if part["type"] != "text":
            parts.append({"m": _short(str(part[part["type"]]), made.id)})
            continue
        text = str(part["text"])
        for thought in _THINK.findall(text):
            parts.append({"think": thought.strip()})
        text = _THINK.sub("", text)
        one = {"t": text}
        if message.get("role") in ("assistant", "tool") and has_markup(text):
            one["h"] = markdown_html(text)
        if text:
            parts.append(one)
    shown: dict[str, Any] = {"r": str(message.get("role", "")), "p": parts}
    if message.get("tool_calls"):
        shown["calls"] = [
            {"name": str(c["name"]), "arguments": c["arguments"]} for c in message["tool_calls"]
        ]
    return shown


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [p for p in content or () if isinstance(p, Mapping) and p.get("type")]


def _question(record: Mapping[str, Any]) -> str:
    for message in record.get("messages", ()):
        if message.get("role") == "user":
            return " ".join(p["text"] for p in _parts(message) if p["type"] == "text").strip()
    return ""


def _intervals(record: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    answer = (record.get("metadata") or {}).get("answer") or {}
    value = answer.get("value")
    if answer.get("type") == "interval" and isinstance(value, list) and value:
        for pair in value if isinstance(value[0], list) else [value]:
            yield float(pair[0]), float(pair[1])


# -- Texts and facts -----------------------------------------------------------------------------


def _texts(truth: Any) -> Iterator[tuple[str, str]]:
    """Markdown of a ground truth, page by page."""
    pages = truth.get("pages") if isinstance(truth, Mapping) else None
    for number, page in enumerate(pages if isinstance(pages, list) else [truth], 1):
        if not isinstance(page, Mapping):
            continue
        blocks = page.get("blocks")
        text = page.get("markdown")
        if not isinstance(text, str) and isinstance(blocks, list):
            ordered = sorted(
                (b for b in blocks if isinstance(b, Mapping)), key=lambda b: b.get("order") or 0
            )
            text = "\n\n".join(str(b.get("markdown") or b.get("text") or "") for b in ordered)
        if isinstance(text, str) and text.strip():
            yield (f"page {number}" if pages and len(pages) > 1 else ""), markdown_html(text)


def _first_text(truth: Mapping[str, Any]) -> str:
    blocks = (truth.get("gt") or {}).get("blocks") or ()
    return next((str(b["text"]) for b in blocks if b.get("text")), "")


def _about(made: Made, source: DataSet) -> list[tuple[str, str]]:
    truth = made.truth
    found = [
        ("id", made.id),
        ("data set", source.name),
        ("generator", f"{truth.get('generator', '')} {truth.get('version', '')}".strip()),
        ("seed", truth.get("seed", "")),
        ("configuration", source.claim.get("config_hash", "")),
        ("split", source.claim.get("split", "")),
        ("language", truth.get("lang", "")),
        ("licence", truth.get("license", "")),
        ("group", truth.get("group", "")),
        ("tags", ", ".join(map(str, truth.get("tags", ())))),
    ]
    quality = truth.get("quality") or {}
    found += [(f"quality: {k}", v) for k, v in quality.items() if not isinstance(v, list | dict)]
    found += [
        (f"medium: {_short(m.name, made.id)}", ", ".join(f"{k} {v}" for k, v in _facts(m)))
        for m in made.media
    ]
    return [(name, str(value)) for name, value in found if value not in ("", None)]


def _facts(medium: MediaFile) -> Iterator[tuple[str, Any]]:
    for key, value in medium.facts.items():
        if key not in ("name",) and isinstance(value, str | int | float):
            yield key, value


def command_of(made: Made, source: DataSet) -> str:
    """The command that makes a sample again, alone."""
    if source.kind == "tex":
        name, dpi = made.id.rpartition("-p")[0], made.truth["gt"]["dpi"]
        report = source.path / f"{name}-report.json"
        origin = name
        if report.is_file():
            origin = str(json.loads(report.read_text(encoding="utf-8")).get("source") or name)
        return f"nanovl synth tex {shlex.quote(origin)} --out pages --dpi {dpi}"
    claim = source.claim
    number = index_in(made.id)
    if not claim or number is None:
        return f"nanovl data inspect {shlex.quote(source.name)}"
    words = ["nanovl", "synth", "run", str(claim["generator"]), "again"]
    words += ["--start", str(number), "--count", "1", "--split", str(claim["split"])]
    words += settings_words(str(claim["generator"]), claim.get("config") or {})
    return " ".join(shlex.quote(word) for word in words)


def index_in(sample: str) -> int | None:
    """The index in a sample's id, None for ids of another form."""
    found = _INDEX.search(sample)
    return int(found[1]) if found else None


def settings_words(generator: str, config: Mapping[str, Any]) -> Iterator[str]:
    """Settings that are not the default, as words of a command.

    A digest stands for files that must be named again.
    """
    usual: Mapping[str, Any] = {}
    if generator in GENERATORS:
        try:
            usual = json.loads(json.dumps(to_dict(create(generator).config)))
        except (InputError, NanoVLError):
            usual = {}  # it cannot do without settings: all are shown
    for key, value in sorted(config.items()):
        if key in usual and usual[key] == value:
            continue
        values = value if isinstance(value, list) else [value]
        if any(isinstance(v, str) and _DIGEST.match(v) for v in values):
            yield f"{key}={key.upper()}"
        else:
            yield f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def _label(made: Made) -> str:
    """What a card says: the generator and the index, or the id."""
    number = index_in(made.id)
    return made.id if number is None else f"{made.truth.get('generator', '')} {number}"


def _short(name: str, sample: str) -> str:
    return name.removeprefix(f"{sample}-").rpartition(".")[0] or name


def _ending(name: str, otherwise: str) -> str:
    found = name.rpartition(".")[2].lower()
    known = ("png", "jpg", "jpeg", "webp", "gif", "mp4", "webm", "mov", "wav", "mp3", "flac", "ogg")
    return found if found in known else otherwise
