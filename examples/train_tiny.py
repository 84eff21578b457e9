"""Train a model of 0.26 M parameters on questions about three pictures, then ask it.

python examples/train_tiny.py runs/example
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nanovl
from nanovl.core.events import Event
from nanovl.core.paths import asset
from nanovl.data.records import Fragment, Record, RecordMessage
from nanovl.data.writer import RecordWriter
from nanovl.train.config import load_recipe
from nanovl.train.metrics import progress_line
from nanovl.train.trainer import train

# The first of the three questions about each picture.
QUESTIONS = json.loads(asset("demo", "questions.json").read_text(encoding="utf-8"))[:9:3]


def write_records(folder: Path) -> None:
    """The bundled pictures and questions as records."""
    with RecordWriter(folder) as writer:
        for number, item in enumerate(QUESTIONS):
            name = item["file"]
            shown = Fragment(type="image", value=name)
            asked = Fragment(type="text", value=item["question"])
            told = Fragment(type="text", value=item["answer"])
            record = Record(
                id=f"demo-{number}",
                messages=(
                    RecordMessage(role="user", content=(shown, asked)),
                    RecordMessage(role="assistant", content=(told,)),
                ),
            )
            writer.write(record, {name: asset("demo", name).read_bytes()})


def show(event: Event) -> None:
    """Print every twentieth update."""
    if event.name == "step" and event.done % 20 == 0:
        print(progress_line(event.data, int(event.total)))


def main(folder: str) -> None:
    """Write the data, train in `folder` (or continue there), ask."""
    data = Path(folder) / "data"
    if not data.exists():
        write_records(data)
    recipe = load_recipe(
        "mini/pre",  # the keys: docs/reference/recipes.md
        [
            "model.preset=tiny",
            f"data.metadataset={data}",
            "data.num_workers=0",
            "data.packing.buffer_samples=50",
            "batch.global=1",
            "stage.train_iters=60",
            "optim.lr=1e-2",
            "optim.ema_decay=null",
            f"ckpt.dir={folder}",
        ],
    )
    result = train(recipe, on_event=show)
    assert result.export is not None
    model = nanovl.load(result.export)
    for item in QUESTIONS:
        picture = asset("demo", item["file"])
        answer = model.chat(
            item["question"],
            files=[picture],
            max_tokens=32,
            temperature=0,
            max_tiles=recipe.data.max_tiles,
        )
        print(f"{item['question']} {answer.text.strip()!r}, expected {item['answer']!r}")


if __name__ == "__main__":
    main(sys.argv[1])
