"""The decoder of the small model learns to read what its encoder sees: the step between the two
halves of the pre-stage.

    python -m tools.mini_reading --init WEIGHTS --texts DATA/text --out RUN --updates 1000
    python -m tools.mini_reading --init WEIGHTS --out RUN --export FOLDER

Pictures full of text are transcribed line by line. The renderer knows where every letter stands, so
each visual token is told, too, which token of the text lies on it: reading becomes copying, which
a decoder learns soon, instead of an order that it has to find by itself. The encoder stays as it
is. Sizes grow from single lines to whole tiles over the first part of the run.

A run that was stopped goes on when the same command is given again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from nanovl.checkpoint.build import load_model, processor_config, save_model
from nanovl.core.conversation import Conversation, ImagePart, MediaRef, Message, TextPart
from nanovl.core.device import choose_device, keep_freed_memory
from nanovl.core.inputs import PackedBatch
from nanovl.core.layout import IGNORE_LABEL
from nanovl.data.convert.banks import BANKS
from nanovl.data.packing import LoadedSample, build_pack, select_greedy
from nanovl.model.vlm import VLM
from nanovl.processing.processor import Processor
from nanovl.processing.tokenizer import Tokenizer
from nanovl.train.optim import build_optimizer, clip_gradients, gradient_norms, set_learning_rate
from nanovl.train.step import TrainModule, freeze
from tools.mini_tiles import SIDE, Line, Painter, Texts
from tools.mini_vision import HELD_OUT, TRAIN

SEQ_LEN = 2048
GROWING = 0.3  # share of the run in which pictures grow from lines to tiles
STEADY = 0.6  # share of the run after which the rate falls
SMALLEST_PICTURE = 16  # vision patches


class Reading:
    """Samples: a picture full of text, its transcript, and what lies on every visual token.

    Args:
        painter: Draws.
        processor: Of the model, taking pictures at their native size.
    """

    def __init__(self, painter: Painter, processor: Processor) -> None:
        self.painter = painter
        config = replace(
            processor.config, mode="native", native_min_patches=SMALLEST_PICTURE, max_num_tiles=2
        )
        self.processor = processor.with_config(config)
        self.blank = processor.tokenizer.encode("\n")[-1]

    def sample(self, seed: int, grown: float) -> LoadedSample | None:
        """One sample; None where nothing was written.

        Args:
            seed: Of everything.
            grown: 0 is single lines of 32 pixels, 1 whole tiles among others.
        """
        rng = random.Random(seed)
        most = 32 + grown * (SIDE - 32)
        if rng.random() < 0.25 + 0.75 * (1 - grown):
            image, line = self.painter.strip(seed, min(1.0, 2 * grown))
            lines = [line]
        else:
            height = 32 * max(1, round(rng.uniform(0.3, 1.0) * most / 32))
            width = 32 * rng.randint(8, SIDE // 32)
            image, lines = self.painter.tile(seed, size=(width, height))
        text = "\n".join(line.text for line in lines)
        if not text:
            return None
        question = TextPart(text=rng.choice(BANKS["ocr_text"]))
        picture = ImagePart(source=MediaRef(array=image, name="text"))
        said = Conversation(
            messages=(
                Message(role="user", parts=(picture, question)),
                Message(role="assistant", parts=(TextPart(text=text),)),
            )
        )
        layout = self.processor.plan(said, training=True, reasoning=False)
        inputs = self.processor.load(layout, dtype=torch.bfloat16)
        assert inputs.labels is not None
        (span,) = layout.spans
        shown = on_cells(self.processor.tokenizer, text, lines, image.shape[:2], span.grid)
        labels = inputs.labels.clone()
        targets = torch.full((span.grid[0] * span.grid[1],), self.blank)
        for cell, token in shown.items():
            targets[cell] = token
        empty = torch.tensor([c not in shown for c in range(len(targets))])
        # Paper says little: a tenth of it is enough.
        targets[empty & (torch.rand(len(targets), generator=_generator(seed)) > 0.1)] = IGNORE_LABEL
        # Labels are not shifted: what a visual token is to say stands on the position after it.
        labels[span.start + 1 : span.start + 1 + len(targets)] = targets
        return LoadedSample(key=str(seed), source="tiles", inputs=replace(inputs, labels=labels))


def on_cells(
    tokenizer: Tokenizer,
    text: str,
    lines: list[Line],
    size: tuple[int, int],
    grid: tuple[int, int],
) -> dict[int, int]:
    """Which token of a transcript lies on which visual token.

    Args:
        tokenizer: Makes the tokens.
        text: Lines joined by line breaks.
        lines: Where they stand.
        size: Height and width of the picture in pixels.
        grid: Rows and columns of visual tokens.

    Returns:
        Cell (row-major) -> token; of several the one with most letters on the cell.
    """
    place: list[tuple[float, float] | None] = []  # of every byte of the text
    for line in lines:
        middle = 0.5 * (line.box[1] + line.box[3])
        for char, centre in zip(line.text, line.centres, strict=True):
            place += [None if char == " " else (centre, middle)] * len(char.encode())
        place.append(None)  # the line break
    rows, columns = grid
    weight: dict[int, dict[int, int]] = {}
    at = 0
    for token in tokenizer.encode(text):
        length = len(tokenizer.decode_bytes([token]))
        for spot in place[at : at + length]:
            if spot is None:
                continue
            column = int(spot[0] / size[1] * columns)
            row = int(spot[1] / size[0] * rows)
            if 0 <= row < rows and 0 <= column < columns:
                own = weight.setdefault(row * columns + column, {})
                own[token] = own.get(token, 0) + 1
        at += length
    return {cell: max(own, key=own.__getitem__) for cell, own in weight.items()}


class Packs(IterableDataset[list[PackedBatch]]):
    """What every update from `first` on is trained with."""

    def __init__(self, args: argparse.Namespace, processor: Processor, first: int) -> None:
        self.args, self.processor, self.first = args, processor, first

    def __iter__(self) -> Iterator[list[PackedBatch]]:
        args = self.args
        reading = Reading(Painter(Texts(args.texts, TRAIN)), self.processor)
        worker = get_worker_info()  # workers take turns
        mine, turns = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for update in range(self.first + mine, args.updates, turns):
            grown = min(1.0, update / (GROWING * args.updates))
            yield packs_of(reading, update, args.batch, grown)


def packs_of(reading: Reading, update: int, count: int, grown: float) -> list[PackedBatch]:
    """So many packs of samples nobody else gets."""
    samples: list[LoadedSample] = []
    seed = update * 10_000
    while sum(len(s.inputs.input_ids) for s in samples) < 0.97 * count * SEQ_LEN:
        found = reading.sample(seed, grown)
        seed += 1
        if found is not None and len(found.inputs.input_ids) <= SEQ_LEN:
            samples.append(found)
    lengths = [len(s.inputs.input_ids) for s in samples]
    chosen = select_greedy(lengths, SEQ_LEN)
    pad = reading.processor.tokenizer.pad_id
    packs = [
        build_pack([samples[k] for k in group], pad_id=pad, align=16, reduction="token")
        for group in chosen
    ]
    return packs


class Run:
    """Weights in bf16, their fp32 masters, and where the run is."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.folder: Path = args.out
        self.device = choose_device(args.device)
        vlm, self.processor = load_model(args.init, device="cpu", dtype="float32", quant="bf16")
        self.masters = TrainModule(vlm.train())
        freeze(vlm, ("vision",))
        vlm.vision_model.requires_grad_(False)
        leaf = VLM(vlm.config, dtype=torch.bfloat16)
        leaf.load_state_dict(vlm.state_dict())
        freeze(leaf, ("vision",))
        self.module = TrainModule(leaf.to(self.device).train())
        self.masters.to(self.device)
        self.optimizer = build_optimizer(
            self.masters, name="muon", betas=(0.9, 0.98), weight_decay=0.05
        )
        self.pairs = [
            (master, self.module.get_parameter(name))
            for name, master in self.masters.named_parameters()
            if master.requires_grad
        ]
        self.update = 0

    def step(self, packs: list[PackedBatch], rate: float, limit: float) -> dict[str, float]:
        """One update; mean loss on letters and on cells, and the norm of the gradient."""
        mass = sum(pack.weight_mass for pack in packs)
        sums = {"text": 0.0, "cells": 0.0}
        counts = {"text": 0, "cells": 0}
        for pack in packs:
            found = self.module(pack.to(self.device))
            (found.total / mass).backward()
            assert pack.image_pos is not None
            visual = torch.zeros(pack.num_tokens, dtype=torch.bool)
            visual[pack.image_pos] = True
            on_picture = visual[found.rows.cpu()]
            for name, chosen in (("cells", on_picture), ("text", ~on_picture)):
                sums[name] += float(found.token_loss.cpu()[chosen].sum())
                counts[name] += int(chosen.sum())
        for master, own in self.pairs:
            master.grad = None if own.grad is None else own.grad.float()
            own.grad = None
        norm = sum(n**2 for n in gradient_norms(self.optimizer).values()) ** 0.5
        clip_gradients(self.optimizer, norm, limit)
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        with torch.no_grad():
            for master, own in self.pairs:
                own.copy_(master)
        self.update += 1
        return {"norm": norm, **{k: sums[k] / max(counts[k], 1) for k in sums}}

    @torch.no_grad()
    def check(self, reading: Reading, samples: int) -> dict[str, float]:
        """Share of tokens said right, each after the right ones before it; unseen faces, texts."""
        right = {"text": 0, "cells": 0}
        total = {"text": 0, "cells": 0}
        vlm = self.module.vlm.eval()
        for k in range(samples):
            sample = reading.sample(10**9 + k, 1.0)
            if sample is None:
                continue
            pack = build_pack([sample], pad_id=reading.processor.tokenizer.pad_id)
            hidden, labels, _, _ = self.module.hidden(pack.to(self.device), None)
            rows = (labels != IGNORE_LABEL).nonzero()[:, 0]
            said = vlm.language_model.logits(hidden[rows]).argmax(-1)
            assert pack.image_pos is not None
            on_picture = torch.isin(rows.cpu(), pack.image_pos)
            same = (said == labels[rows]).cpu()
            for name, chosen in (("cells", on_picture), ("text", ~on_picture)):
                right[name] += int(same[chosen].sum())
                total[name] += int(chosen.sum())
        vlm.train()
        return {f"right_{name}": right[name] / max(total[name], 1) for name in right}

    def save(self) -> None:
        """Replace the checkpoint."""
        state = {
            "update": self.update,
            "masters": self.masters.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        path = self.folder / "state.pt"
        torch.save(state, path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)

    def restore(self) -> None:
        """Go on from the checkpoint, if there is one."""
        path = self.folder / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.update = state["update"]
        self.masters.load_state_dict(state["masters"])
        self.optimizer.load_state_dict(state["optimizer"])
        with torch.no_grad():
            for master, own in self.pairs:
                own.copy_(master)


def train(args: argparse.Namespace) -> None:
    """Go on until `--updates`."""
    keep_freed_memory()
    args.out.mkdir(parents=True, exist_ok=True)
    run = Run(args)
    run.restore()
    loader = DataLoader(
        Packs(args, run.processor, run.update),
        batch_size=None,
        num_workers=args.workers,
        prefetch_factor=2 if args.workers else None,
    )
    held_out = Reading(
        Painter(Texts(args.texts, HELD_OUT), split="heldout", worn=False), run.processor
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    kept = begun = time.monotonic()
    rows: list[dict[str, float]] = []
    with (args.out / "log.jsonl").open("a", encoding="utf-8") as log:
        for packs in loader:
            left = (args.updates - run.update) / ((1 - STEADY) * args.updates)
            rate = args.lr * min(1.0, (run.update + 1) / args.warmup, max(0.03, left))
            rows.append(run.step(packs, rate, args.clip))
            last = run.update == args.updates
            row: dict[str, Any] = {}
            if run.update % 10 == 0 or last:
                seconds = (time.monotonic() - begun) / len(rows)
                means = {k: round(sum(r[k] for r in rows) / len(rows), 4) for k in rows[0]}
                row = {"update": run.update, **means, "rate": rate, "seconds": round(seconds, 2)}
                rows, begun = [], time.monotonic()
            if run.update % args.check == 0 or last:
                row |= {"update": run.update, **run.check(held_out, args.check_samples)}
            if row:
                print(json.dumps(row), file=log, flush=True)
            if time.monotonic() - kept > 180 or last or stop.is_set():
                run.save()
                kept = time.monotonic()
            if stop.is_set():
                break


def export(args: argparse.Namespace) -> None:
    """A checkpoint of the model, taking pictures at their native size."""
    args.device = "cpu"
    run = Run(args)
    run.restore()
    vlm = run.module.vlm.eval()
    vlm.config = replace(vlm.config, native_min_patches=SMALLEST_PICTURE)
    processor = Processor(run.processor.tokenizer, processor_config(vlm.config))
    save_model(vlm, args.export, processor=processor, overwrite=True)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--init", required=True, help="checkpoint to begin with")
    parser.add_argument("--texts", type=Path, help="folder of the texts")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--export", type=Path, help="write a checkpoint instead")
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=6, help="packs of 2,048 tokens of an update")
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--check", type=int, default=100, help="updates between checks")
    parser.add_argument("--check-samples", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    if args.export:
        export(args)
    else:
        train(args)


if __name__ == "__main__":
    main()
