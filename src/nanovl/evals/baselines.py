"""Peers that need no model: Tesseract, rules on its text, constant and random answers.

A score means something beside what these get on the same samples with the same metric. Recognising
text needs the program `tesseract`; whoever lacks it gets an error that says so, never another
number. Must not look at references except where a constant answer is chosen by them ("majority"
is the best known constant: the most frequent reference of the set itself).

Source: the local suite's peers (evaluation issue, point 6).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanovl.core.config import nearest
from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.core.paths import settings
from nanovl.evals import baseline_rules as rules
from nanovl.evals.base import Level, Medium, Metric, Response, Result, Sample, Scored

__all__ = ["BASELINES", "Baseline", "Ocr", "baseline_responses", "baseline_result"]

PROGRAM = "tesseract"
_TIMEOUT_S = 120
_LINE, _PAGE, _COLUMN = 7, 3, 4  # Tesseract's page segmentation modes
_MIDDLE = "<box>(250,250),(750,750)</box>"


class Ocr:
    """Tesseract, run once for every picture.

    Args:
        language: Its model, such as "eng" or "eng+deu".
        cache: Folder that keeps what was read; None keeps it in memory alone.

    Raises:
        BackendError: The program is not installed.
    """

    def __init__(self, language: str = "eng", *, cache: Path | None = None) -> None:
        if shutil.which(PROGRAM) is None:
            raise BackendError(
                f"{PROGRAM} was not found, the reading baselines need it; on Debian and Ubuntu: "
                "apt install tesseract-ocr"
            )
        self.language = language
        self.cache = cache
        self._known: dict[str, str] = {}
        self.version = self._run(["--version"]).split("\n", 1)[0].strip()

    def read(self, medium: Medium, *, mode: int = _PAGE, spaces: bool = False) -> str:
        """Text of a picture.

        Args:
            medium: An image.
            mode: Tesseract's page segmentation: 7 one line, 3 a page, 4 a column of lines.
            spaces: Keep wide gaps between words, as between cells.

        Raises:
            InputError: The picture cannot be read.
        """
        if medium.kind != "image":
            raise InputError(f"{medium.name}: {medium.kind}, Tesseract reads pictures")
        data = medium.data if medium.data is not None else _bytes(medium)
        arguments = ["--psm", str(mode), "-l", self.language]
        if spaces:
            arguments += ["-c", "preserve_interword_spaces=1"]
        digest = hashlib.sha256(data).hexdigest()
        key = hashlib.sha256("|".join((self.version, digest, *arguments)).encode()).hexdigest()
        if key not in self._known:
            self._known[key] = self._cached(key, data, arguments, medium.name)
        return self._known[key]

    def _cached(self, key: str, data: bytes, arguments: Sequence[str], name: str) -> str:
        path = None if self.cache is None else self.cache / f"{key}.txt"
        if path is not None and path.is_file():
            return path.read_text(encoding="utf-8")
        with tempfile.NamedTemporaryFile(suffix=Path(name).suffix) as file:
            file.write(data)
            file.flush()
            text = self._run([file.name, "stdout", *arguments], name).replace("\f", "").strip()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return text

    def _run(self, arguments: Sequence[str], name: str = "") -> str:
        # One thread: several are slower on small pictures, and peers share the machine.
        environment = {**settings(), "OMP_THREAD_LIMIT": "1"}
        try:
            done = subprocess.run(
                [PROGRAM, *arguments], capture_output=True, timeout=_TIMEOUT_S, env=environment
            )
        except subprocess.TimeoutExpired as error:
            raise InputError(f"{name}: {PROGRAM} took more than {_TIMEOUT_S} s") from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()[:300]
            raise InputError(f"{name}: {PROGRAM} failed: {said}")
        return done.stdout.decode("utf-8", "replace")


def _bytes(medium: Medium) -> bytes:
    try:
        return Path(medium.path or "").read_bytes()
    except OSError as error:
        raise InputError(f"{medium.path}: cannot be read ({error.strerror or error})") from error


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A peer.

    Attributes:
        name: As in `SuiteTask.baselines`.
        title: What it does, for people.
        reads: Whether it needs the text of pictures.
        answer: From a sample, all samples of the set and the reader (None unless `reads`) to what
            it answers.
    """

    name: str
    title: str
    answer: Callable[[Sample, Sequence[Sample], Ocr | None], str]
    reads: bool = False


def _text_of(sample: Sample, ocr: Ocr | None, *, mode: int = _PAGE, spaces: bool = False) -> str:
    assert ocr is not None
    pictures = [m for m in sample.media if m.kind == "image"]
    return "\n\n".join(ocr.read(m, mode=mode, spaces=spaces) for m in pictures)


def _asked(sample: Sample) -> str:
    """The question as its source wrote it, without a wording around it."""
    return str(sample.meta.get("question") or sample.question)


def _draw(sample: Sample, options: Sequence[str]) -> str:
    """One of the options; depends on the id alone."""
    digest = hashlib.sha256(f"nanovl-baseline:{sample.id}".encode()).digest()
    return options[int.from_bytes(digest[:8], "big") % len(options)] if options else ""


# -- Constant and random answers -----------------------------------------------------------------


def _plain(answer: Any) -> str:
    """A reference as a model would write it."""
    if isinstance(answer, (list, tuple)):
        return str(answer[0]) if answer else ""
    return str(answer)


def _majority(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    if isinstance(sample.answer, Mapping):
        values = {
            name: Counter(
                json.dumps(s.answer[name], ensure_ascii=False, sort_keys=True)
                for s in samples
                if isinstance(s.answer, Mapping) and s.answer.get(name) is not None
            )
            for name in sample.answer
        }
        common = {n: json.loads(_most(c)) for n, c in values.items() if c}
        return json.dumps(common, ensure_ascii=False)
    if sample.meta.get("kind") == "set":
        counts = Counter(", ".join(map(str, s.answer)) for s in samples)
    else:
        counts = Counter(_plain(s.answer) for s in samples)
    return _most(counts)


def _most(counts: Counter[str]) -> str:
    return min(counts, key=lambda text: (-counts[text], text))


def _silent(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    return ""


def _first_option(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    return next(iter(sample.options), "")


def _random_option(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    return _draw(sample, list(sample.options))


def _random_choice(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    return _draw(sample, [str(c) for c in sample.meta.get("choices") or ()])


def _middle_box(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    return _MIDDLE


def _whole_clip(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    duration = sample.meta.get("duration_s")
    if not isinstance(duration, (int, float)):
        raise InputError(f"sample {sample.id}: meta.duration_s: got {duration!r}, expected seconds")
    minutes, seconds = divmod(round(duration), 60)
    return f"00:00-{minutes:02d}:{seconds:02d}"


def _last_number(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    return rules.last_number(_asked(sample))


# -- Rules on read text --------------------------------------------------------------------------


def _tesseract(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    is_line = sample.meta.get("layout") == "line"
    return _text_of(sample, ocr, mode=_LINE if is_line else _PAGE)


def _regex_receipt(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    found = rules.receipt_fields(_text_of(sample, ocr, mode=_COLUMN))
    return json.dumps(found, ensure_ascii=False)


def _label_line(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    names = list(sample.answer) if isinstance(sample.answer, Mapping) else []  # asked for by name
    text = _text_of(sample, ocr, mode=_COLUMN)
    return json.dumps(rules.labelled_fields(text, names), ensure_ascii=False)


def _context(sample: Sample, ocr: Ocr | None) -> tuple[str, str]:
    if sample.media:
        return _text_of(sample, ocr), _asked(sample)
    return rules.split_prompt(sample.question)


def _overlap_sentence(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    return rules.best_sentence(*_context(sample, ocr))


def _overlap_span(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    return rules.best_span(*_context(sample, ocr))


def _overlap_cell(sample: Sample, samples: Sequence[Sample], ocr: Ocr | None) -> str:
    return rules.best_cell(_text_of(sample, ocr, mode=6, spaces=True), _asked(sample))


BASELINES: Mapping[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Baseline(name="first-option", title="the first option", answer=_first_option),
        Baseline(
            name="label-line", title="Tesseract, value behind the label", answer=_label_line,
            reads=True,
        ),
        Baseline(name="last-number", title="the last number of the question", answer=_last_number),
        Baseline(name="majority", title="the most frequent answer, always", answer=_majority),
        Baseline(name="middle-box", title="a box in the middle", answer=_middle_box),
        Baseline(
            name="overlap-cell", title="Tesseract, new cell of the nearest row",
            answer=_overlap_cell, reads=True,
        ),
        Baseline(
            name="overlap-sentence", title="the nearest sentence by rare words",
            answer=_overlap_sentence, reads=True,
        ),
        Baseline(
            name="overlap-span", title="Tesseract, new words of the nearest sentence",
            answer=_overlap_span, reads=True,
        ),
        Baseline(name="random-choice", title="one of the choices at random", answer=_random_choice),
        Baseline(name="random-option", title="an option at random", answer=_random_option),
        Baseline(
            name="regex-receipt", title="Tesseract and regular expressions",
            answer=_regex_receipt, reads=True,
        ),
        Baseline(name="silent", title="no answer, no call", answer=_silent),
        Baseline(name="tesseract", title="Tesseract", answer=_tesseract, reads=True),
        Baseline(name="whole-clip", title="from start to end of the clip", answer=_whole_clip),
    )
}  # fmt: skip


def baseline_responses(
    name: str, samples: Sequence[Sample], *, ocr: Ocr | None = None
) -> list[Response]:
    """What a peer answers to the samples of a set, in their order.

    Args:
        name: A key of `BASELINES`.
        samples: All of the set: "majority" counts their references.
        ocr: For peers that read; made when needed.

    Raises:
        ConfigError: There is no such peer.
        BackendError: It needs Tesseract, which is not installed.
    """
    if name not in BASELINES:
        raise ConfigError(
            f"baseline {name!r}: expected one of {', '.join(BASELINES)}{nearest(name, BASELINES)}"
        )
    baseline = BASELINES[name]
    if ocr is None and baseline.reads and any(sample.media for sample in samples):
        ocr = Ocr()
    return [
        Response(text=baseline.answer(sample, samples, ocr), meta={"baseline": name})
        for sample in samples
    ]


def baseline_result(
    name: str,
    samples: Sequence[Sample],
    metric: Metric,
    *,
    level: Level = "extended",
    ocr: Ocr | None = None,
) -> Result:
    """The score of a peer.

    Args:
        name, samples, ocr: See `baseline_responses`.
        metric: Of the task.
        level: How its answers are read; its own forms are plain, so the level rarely matters.

    Raises:
        ConfigError: There is no such peer.
        BackendError: It needs Tesseract, which is not installed.
        InputError: There are no samples.
    """
    responses = baseline_responses(name, samples, ocr=ocr)
    return metric.aggregate(
        [
            Scored(sample=s, response=r, verdict=metric.score(s, r, level=level))
            for s, r in zip(samples, responses, strict=True)
        ]
    )
