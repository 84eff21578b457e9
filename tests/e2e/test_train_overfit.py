"""A tiny model learns samples by heart, and its export answers them as a user would ask."""

from __future__ import annotations

import itertools
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import nanovl
from nanovl.cli.main import app
from nanovl.data.convert import convert
from nanovl.data.records import Record
from nanovl.data.writer import RecordWriter
from nanovl.testing import training_set
from nanovl.train.config import load_recipe
from nanovl.train.trainer import train

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

# Everything is learned by heart, so the settings are not those of a stage: a high rate, a short
# memory of squared gradients, no decay.
SETTINGS = (
    "model.preset=tiny",
    "model.init=random",
    "stage.init_from=null",
    "data.max_tiles=6",
    "data.num_workers=0",
    "data.packing.buffer_samples=64",
    "batch.global=1",
    "optim.lr=0.01",
    "optim.betas=[0.9,0.95]",
    "optim.weight_decay=0",
    "optim.warmup_frac=0.05",
    "optim.schedule=linear",
    "ckpt.every_iters=10000",
)


def learn(data: Path, folder: Path, updates: int, length: int) -> tuple[Path, list[float], float]:
    """Train; the export, the loss of every update, and the CPU seconds it took."""
    recipe = load_recipe(
        "mini/stage1",
        [
            *SETTINGS,
            f"data.seq_len={length}",
            f"stage.train_iters={updates}",
            f"data.metadataset={data}",
            f"ckpt.dir={folder}",
        ],
    )
    begun = time.process_time()
    result = train(recipe, device="cpu")
    seconds = time.process_time() - begun
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert result.export is not None
    return result.export, [json.loads(line)["loss"] for line in lines], seconds


def questions(record: Record, files: Path) -> tuple[str, list[str], str]:
    """What a user would send, with its files written out, and the answer."""
    question = "".join(f.value for f in record.messages[0].content if f.type == "text")
    return question, [str(files / f.value) for f in record.media], record.messages[1].text


def unpack(folder: Path, out: Path) -> Iterator[Record]:
    """Records of a data set; their media become files."""
    for shard in sorted(folder.glob("media/*.tar")):
        with tarfile.open(shard) as archive:
            archive.extractall(out, filter="data")
    for line in (folder / f"{folder.name}.jsonl").read_text().splitlines():
        yield Record.from_json(json.loads(line))


def count_right(export: Path, asked: list[tuple[str, list[str], str]]) -> int:
    """How many questions the export answers word by word."""
    model = nanovl.load(str(export), dtype="float32")
    right = 0
    for question, files, answer in asked:
        got = model.chat(question, files=files, temperature=0, max_tokens=len(answer) + 8)
        right += got.text.strip() == answer.strip()
    return right


def ask(export: Path, question: str, files: list[str]) -> str:
    """The same through the command line."""
    attached = [word for file in files for word in ("-a", file)]
    words = ["chat", question, *attached, "-m", str(export), "--json", "--temperature", "0"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["text"]


def check(
    export: Path, losses: list[float], asked: list[tuple[str, list[str], str]], right: int
) -> None:
    last = losses[-30:]
    assert sum(last) / len(last) < 0.05
    assert count_right(export, asked) >= right
    for question, files, answer in asked[:: len(asked) // 3]:
        assert ask(export, question, files).strip() == answer.strip()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_made_samples_are_learned_and_answered(tmp_path: Path) -> None:
    kinds = ("shapes", "words", "tables", "charts", "pairs", "videos", "recall")
    blend = training_set(tmp_path / "set", samples=21, kinds=kinds, size=64)
    export, losses, seconds = learn(blend, tmp_path / "run", 400, 2048)
    asked = []
    for kind in kinds:
        for record in unpack(tmp_path / "set" / kind, tmp_path / "files"):
            asked.append(questions(record, tmp_path / "files"))
    assert len(asked) == 21
    assert seconds < 120
    assert sum(losses[-30:]) / 30 < 0.05
    # 21 were seen; the questions alone, without looking, give 7.
    assert count_right(export, asked) >= 19


# --- real samples -------------------------------------------------------------------------------

SOURCES = {
    "nanovl-receipts": "receipts",
    "nanovl-clipart": "images",
    "nanovl-charts": "charts",
    "nanovl-wtq": "tables",
    "nanovl-fairytaleqa": "reading",
}


def short(record: Record) -> bool:
    """One question that is answered in a few words at once."""
    if len(record.messages) != 2 or record.has_trace or record.tools:
        return False
    return len(record.messages[1].text) <= 40 and len(record.messages[0].text) <= 800


def real_samples(folder: Path) -> tuple[Path, list[tuple[str, list[str], str]]]:
    """64 of them from five data sets, about as many of each."""
    kept: dict[str, list[Record]] = {}
    for name, source in SOURCES.items():
        convert(name, DATA / source, folder / name, limit=400)
        found: dict[tuple[str, ...], Record] = {}
        for record in unpack(folder / name, folder / "files"):
            if short(record):
                names = tuple(f.value for f in record.media)
                found.setdefault((record.messages[0].text, *names), record)
        kept[name] = list(found.values())
    turns = itertools.chain.from_iterable(itertools.zip_longest(*kept.values()))
    chosen = list(itertools.islice((record for record in turns if record is not None), 64))
    assert len({record.id for record in chosen}) == 64
    assert {record.source for record in chosen} == set(SOURCES)
    with RecordWriter(folder / "chosen") as writer:
        for record in chosen:
            names = {f.value for f in record.media}
            writer.write(record, {n: (folder / "files" / n).read_bytes() for n in names})
    return folder / "chosen", [questions(record, folder / "files") for record in chosen]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data beside the repository")
def test_real_samples_are_learned_and_answered(tmp_path: Path) -> None:
    data, asked = real_samples(tmp_path)
    export, losses, seconds = learn(data, tmp_path / "run", 450, 4096)
    assert seconds < 180
    check(export, losses, asked, 58)
