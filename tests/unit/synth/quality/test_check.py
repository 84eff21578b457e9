"""Every rule finds what was planted for it and nothing in sound data; filters take it out."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.blend import load_blend
from nanovl.data.records import Record
from nanovl.synth.base import Answer, Task
from nanovl.synth.quality import DROPPING, RULES, QualityConfig, check, filter_datasets
from nanovl.synth.quality.balance import Balance
from nanovl.synth.run import Job, run
from tests.unit.synth.quality.planted import dataset, png, sample
from tests.unit.synth.quality.test_texts import GERMAN

CONFIG = QualityConfig(model="tiny", seq_len=4096)
EVALUATION = "which of the seven parcels in the left hand picture was opened before noon on friday"


def blank(colour: tuple[int, int, int] = (255, 255, 255), **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (96, 64), colour).save(buffer, "PNG", **options)
    return buffer.getvalue()


def with_exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png(77))).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def boxed(x0: float, y0: float, x1: float, y1: float) -> dict[str, Any]:
    return {"gt": {"blocks": [{"text": f"unique {x0} {y0}", "bbox": [x0, y0, x1, y1]}]}}


def answered(value: Any, said: str, kind: str, verifier: str) -> dict[str, Any]:
    return {"answer": Answer(type=kind, value=value), "said": said, "verifier": verifier}


def two_answers() -> tuple[Task, ...]:
    return tuple(
        Task(
            task="read",
            question="What is it?",
            answer_text=text,
            answer=Answer(type="text", value=text),
            verifier="exact",
            media=("p000",),
        )
        for text in ("this", "that")
    )


LONG = " ".join(f"word{k}" for k in range(200))
PLANTED: dict[str, dict[str, Any]] = {
    "ambiguous_question": {"tasks": two_answers()},
    "blocked": {"question": "One of the special magic numbers for x is: 3. What is it?"},
    "box_empty": boxed(10, 10, 10, 30),
    "box_outside": boxed(10, 10, 120, 30),
    "email": {"text": "Write to anna@realcompany.org at once."},
    "eval_overlap": {"question": f"Say: {EVALUATION}?"},
    "image_blank": {"picture": blank()},
    "image_contrast": {"picture": blank((200, 200, 200))},
    "image_exif": {"picture": with_exif()},
    "image_size": {"size": (95, 64)},
    "image_undecodable": {"picture": b"\x89PNG and nothing else"},
    "language": {"text": GERMAN},
    "target_small": answered(
        [[100, 100, 150, 900]], "<ref>it</ref><box>(100,100),(150,900)</box>", "box", "iou"
    ),
    "text_small": {"quality": {"least_text_px": 6.5}},
    "too_long": {"question": "word " * 5000},
    "verifier_self": answered("left", "right", "text", "exact"),
}


def sound(count: int) -> list[Any]:
    return [sample(number) for number in range(count)]


def found_in(report: Any) -> dict[str, int]:
    return {rule: sum(sets.values()) for rule, sets in report.counts.items()}


def evaluation(tmp_path: Path) -> Path:
    path = tmp_path / "eval.jsonl"
    path.write_text(json.dumps({"question": EVALUATION}))
    return path


def test_sound_data_passes(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "set", sound(12))
    report = check([folder], against=[evaluation(tmp_path)], config=CONFIG)
    assert found_in(report) == {}
    assert report.datasets == {"set": {"units": 12, "records": 12, "pictures": 12}}
    assert report.evaluation is not None


@pytest.mark.parametrize("rule", sorted(PLANTED))
def test_what_is_planted_is_found_and_taken_out(tmp_path: Path, rule: str) -> None:
    samples = [*sound(6), sample(6, **PLANTED[rule]), sample(7)]
    folder = dataset(tmp_path / "set", samples)
    report = check([folder], against=[evaluation(tmp_path)], config=CONFIG, out=tmp_path / "report")
    found = found_in(report)
    assert found.pop(rule) == 1
    # Of the blank and the broken pictures.
    assert set(found) <= {"image_blank", "image_contrast", "image_uniform", "unusable"}
    assert report.examples[rule][0].sample == "planted-train-000000006"
    (made,) = filter_datasets(folder, tmp_path / "clean" / "set", tmp_path / "report")
    left = 1 if rule == "ambiguous_question" else 0
    assert (made.samples, made.gone_samples) == (7 + left, 1 - left)
    assert made.rules[rule] == 1
    rows = [json.loads(v) for v in (tmp_path / "clean/set/removed.jsonl").read_text().splitlines()]
    assert any(rule in row["rules"] for row in rows)
    again = check([tmp_path / "clean" / "set"], against=[evaluation(tmp_path)], config=CONFIG)
    assert again.num_dropping == 0
    assert again.datasets["set"]["units"] == 7 + left


def test_duplicates(tmp_path: Path) -> None:
    longer = [f"Parcel {k} of the long list " + LONG for k in range(2)]
    samples = [
        sample(0),
        sample(1, text=longer[0]),
        sample(2),
        sample(3, gt=sample(0).gt),  # says the same under another picture
        sample(4, text=longer[1]),  # nearly the same
        sample(5),
    ]
    a = dataset(tmp_path / "a", samples, size=2)
    b = dataset(tmp_path / "b", [sample(2), sample(9)])
    report = check([a, b], config=CONFIG, out=tmp_path / "report")
    assert report.counts["exact_duplicate"] == {"a": 1, "b": 1}
    assert report.counts["near_duplicate"] == {"a": 1}
    rows = [json.loads(v) for v in (tmp_path / "report/findings.jsonl").read_text().splitlines()]
    told = {(r["rule"], r["dataset"], r["sample"][-1]): r["message"] for r in rows}
    assert told["exact_duplicate", "a", "3"] == "like planted-train-000000000 of a"
    assert told["exact_duplicate", "b", "2"] == "like planted-train-000000002 of a"
    assert told["near_duplicate", "a", "4"].endswith("planted-train-000000001")


def plain(folder: Path, rows: list[tuple[str, bytes]]) -> Path:
    """Records without ground truth, as a converter writes them."""
    (folder / "media").mkdir(parents=True)
    lines = []
    for number, (text, picture) in enumerate(rows):
        (folder / "media" / f"{number}.png").write_bytes(picture)
        lines.append(
            json.dumps(
                {
                    "id": f"r{number}",
                    "messages": [
                        {
                            "role": "user",
                            "content": [
                                {"type": "image", "image": f"{number}.png"},
                                {"type": "text", "text": "Read it."},
                            ],
                        },
                        {"role": "assistant", "content": [{"type": "text", "text": text}]},
                    ],
                }
            )
        )
    (folder / f"{folder.name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_pictures_that_look_alike_and_say_the_same(tmp_path: Path) -> None:
    jpeg = io.BytesIO()
    Image.open(io.BytesIO(png(1))).save(jpeg, "JPEG", quality=70)
    again = io.BytesIO()
    Image.open(jpeg).save(again, "PNG")
    rows = [("one", png(1)), ("one", again.getvalue()), ("two", again.getvalue()), ("one", png(2))]
    folder = plain(tmp_path / "set", [*rows, ("one", png(1))])
    report = check([folder], config=CONFIG, out=tmp_path / "report")
    assert found_in(report) == {"image_duplicate": 1, "exact_duplicate": 1}
    (made,) = filter_datasets(folder, tmp_path / "clean", tmp_path / "report")
    assert (made.samples, made.gone_samples) == (3, 2)
    (source,) = load_blend(tmp_path / "clean")
    ids = [json.loads(line)["id"] for line in source.path.read_text().splitlines()]
    assert ids == ["r0", "r2", "r3"]


def test_a_source_in_two_splits(tmp_path: Path) -> None:
    train = dataset(tmp_path / "train", [sample(0, group="g1"), sample(1, group="g2"), sample(2)])
    val = dataset(tmp_path / "val", [sample(5, group="g1"), sample(6)], split="val")
    report = check([train, val], config=CONFIG)
    assert report.counts == {"split_leak": {"train": 1}}
    assert "source 'g1' is in train, val; val keeps it" in report.examples["split_leak"][0].message


def test_lines_and_media_that_are_broken(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "set", sound(6), size=3)
    path = folder / "shards" / "000000.gt.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{broken\n" + lines[2])
    with tarfile.open(folder / "media" / "shard_000001.tar", "w"):
        pass
    report = check([folder], config=CONFIG, out=tmp_path / "report")
    assert report.counts["malformed"] == {"set": 2}  # the line, and records without ground truth
    assert report.counts["media_missing"] == {"set": 3}
    (made,) = filter_datasets(folder, tmp_path / "clean", tmp_path / "report")
    assert (made.samples, made.gone_samples) == (2, 3)
    assert made.rules["malformed"] == 2


def test_records_the_loader_would_drop(tmp_path: Path) -> None:
    folder = plain(tmp_path / "set", [("fine", png(1)), ("", png(2))])
    assert check([folder], config=CONFIG).counts["unusable"] == {"set": 1}


def test_workers_do_not_change_the_findings(tmp_path: Path) -> None:
    samples = [sample(k, **PLANTED[rule]) for k, rule in enumerate(sorted(PLANTED), start=10)]
    folder = dataset(tmp_path / "set", [*sound(8), *samples], size=3)
    texts = []
    for workers in (1, 2):
        check([folder], config=CONFIG, out=tmp_path / str(workers), workers=workers)
        texts.append((tmp_path / str(workers) / "findings.jsonl").read_text())
    assert texts[0] == texts[1]
    assert texts[0]


def test_rules_can_be_left_out(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "set", [sample(1, **PLANTED["email"]), sample(2)])
    with pytest.raises(ConfigError, match="did you mean 'email'"):
        QualityConfig(skip=("emial",))
    report = check([folder], config=QualityConfig(model="tiny", skip=("email",)))
    assert report.counts == {}
    assert report.skipped["email"] == "by request"
    assert "no evaluation files" in report.skipped["eval_overlap"]


def test_a_block_list_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# ours\nparcel [46]\n")
    folder = dataset(tmp_path / "set", sound(8))
    config = QualityConfig(model="tiny", block=(str(tmp_path / "words.txt"),))
    assert check([folder], config=config).counts == {"blocked": {"set": 2}}
    (tmp_path / "words.txt").write_text("(\n")
    with pytest.raises(ConfigError, match=r"words.txt:1: no regular expression"):
        check([folder], config=QualityConfig(model="tiny", block=(str(tmp_path / "words.txt"),)))


def test_balance() -> None:
    counts = Balance()
    for k in range(400):
        yes = k % 10 < 7
        said = "yes" if yes else "no"
        counts.add("is_it", f"t/{k % 80}", "exact_ci", Answer(type="bool", value=yes), said)
        letter = "ABCD"[0 if k % 2 else k % 4]
        counts.add("pick", f"p/{k % 90}", "mcq", Answer(type="choice", value=letter), letter)
        name = "north" if k else "south"
        counts.add("where", "w/0", "exact", Answer(type="text", value=name), name)
        even = Answer(type="bool", value=bool(k % 2))
        counts.add("fair", f"f/{k % 70}", "exact_ci", even, "yes" if k % 2 else "no")
    found = {f.rule: f.message for f in counts.findings("set", QualityConfig())}
    assert set(found) == {"answer_entropy", "mcq_position", "template_share", "yes_no_band"}
    assert found["yes_no_band"] == "is_it: 70.0% yes of 400"
    assert found["template_share"] == "where: w/0: 25.0% of the questions"
    assert "mostly 'north'" in found["answer_entropy"]
    assert not list(Balance().findings("set", QualityConfig()))


def test_a_mixture_is_filtered_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "mix"
    dataset(folder / "a", [sample(0), sample(1, **PLANTED["email"]), sample(2)])
    dataset(folder / "b", [sample(5, **PLANTED["email"])])
    entries = [
        {"weight": w, "path": f"{n}/{n}.jsonl", "aux": {"media": f"{n}/media"}}
        for n, w in (("a", 3), ("b", 1))
    ]
    document = {
        "__module__": "megatron.energon",
        "__class__": "MetadatasetV2",
        "splits": {"train": {"blend": entries}},
    }
    (folder / "blend.yaml").write_text(json.dumps(document))
    report = check([folder], config=CONFIG, out=tmp_path / "report")
    assert report.counts["email"] == {"a": 1, "b": 1}
    made = filter_datasets(folder, tmp_path / "clean", tmp_path / "report")
    assert [(one.name, one.samples, one.folder is None) for one in made] == [
        ("a", 2, False),
        ("b", 0, True),
    ]
    (source,) = load_blend(tmp_path / "clean" / "blend.yaml")
    assert source.path == tmp_path / "clean" / "a" / "a.jsonl"
    assert source.weight == 1.0
    for line in source.path.read_text().splitlines():
        Record.from_json(json.loads(line))


def test_what_a_filter_refuses(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "set", sound(2))
    other = dataset(tmp_path / "other", [sample(9, **PLANTED["email"])])
    check([other], config=CONFIG, out=tmp_path / "report")
    with pytest.raises(InputError, match="is about 'other', but set is to be filtered"):
        filter_datasets(folder, tmp_path / "clean", tmp_path / "report")
    with pytest.raises(ConfigError, match="not empty"):
        filter_datasets(folder, folder, tmp_path / "report")
    with pytest.raises(ConfigError, match="unknown rule"):
        filter_datasets(other, tmp_path / "x", tmp_path / "report", keep=["mail"])
    (made,) = filter_datasets(other, tmp_path / "y", tmp_path / "report", keep=["email"])
    assert made.samples == 1


def test_data_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or folder"):
        check([tmp_path / "none"])
    folder = dataset(tmp_path / "set", sound(1))
    with pytest.raises(InputError, match="named twice"):
        check([folder, folder])
    with pytest.raises(ConfigError, match="workers"):
        check([folder], workers=0)


def test_every_rule_is_tested_and_said_what_it_does() -> None:
    others = {
        "answer_entropy", "blind_answer", "exact_duplicate", "image_duplicate", "image_uniform",
        "malformed", "mcq_position", "media_missing", "near_duplicate", "split_leak",
        "template_share", "unusable", "verifier_loose", "yes_no_band",
    }  # fmt: skip
    assert set(RULES) == set(PLANTED) | others
    assert set(DROPPING) < set(RULES)


def test_a_verifier_that_accepts_anything(tmp_path: Path) -> None:
    given = [answered(value, f"{value} or 7", "number", "number") for value in (7, 7.0)]
    assert check([dataset(tmp_path / "a", [sample(k, **g) for k, g in enumerate(given)])],
                 config=CONFIG).counts == {}  # fmt: skip
    loose = [
        sample(0, **answered("A", "A", "choice", "mcq")),
        sample(1, **answered("B", "B) not A", "choice", "mcq")),
        sample(2, **answered(["a", "b"], "a, b", "list", "set")),
        sample(3, **answered(["b", "a"], "b, a", "list", "set")),
    ]
    assert check([dataset(tmp_path / "b", loose)], config=CONFIG).counts == {}


@pytest.mark.parametrize("generator", ["text-maths", "scenes-geometry"])
def test_real_data_passes_and_the_filter_keeps_it(tmp_path: Path, generator: str) -> None:
    folder = tmp_path / "set"
    run(Job(generator=generator, out=folder, count=8, shard_size=4))
    report = check([folder], config=QualityConfig(model="tiny", seq_len=16384), out=tmp_path / "r")
    assert report.num_dropping == 0, report.counts
    filter_datasets(folder, tmp_path / "clean" / "set", tmp_path / "r")
    new = tmp_path / "clean" / "set"
    assert (new / "set.jsonl").read_bytes() == (folder / "set.jsonl").read_bytes()
    assert (new / "set.jsonl.idx").read_bytes() == (folder / "set.jsonl.idx").read_bytes()
    shards = sorted(p.relative_to(folder) for p in folder.glob("shards/*.gt.jsonl"))
    for path in [*shards, *(p.relative_to(folder) for p in folder.glob("media/*.tar"))]:
        assert (new / path).read_bytes() == (folder / path).read_bytes()


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    folder = dataset(tmp_path / "set", [*sound(3), sample(3, **PLANTED["email"])])
    words = [sys.executable, "-m", "nanovl", "synth"]
    done = subprocess.run(
        [*words, "check", str(folder), "--out", str(tmp_path / "r"), "-o", "model=tiny"],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("email ")
    assert "anna@realcompany.org" in done.stderr
    clean = subprocess.run(
        [*words, "filter", str(folder), str(tmp_path / "clean"), "--report", str(tmp_path / "r")],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert clean.returncode == 0, clean.stderr
    assert "3 samples and 3 records kept, 1 and 1 gone (email 1)" in clean.stderr
