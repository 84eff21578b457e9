"""First part of the small model's pre-stage: its encoder learns to read, without a language model.

    python -m tools.mini_vision --texts DATA/text --out RUN --updates 20000
    python -m tools.mini_vision --out RUN --export FOLDER       # a checkpoint with this encoder

Text is drawn as it is needed, and every line is read by a throw-away head: first single lines, easy
ones before hard ones, then lines cut out of tiles, then whole tiles; first told where every letter
stands, then by CTC as well. A line costs a tenth of a tile or less. Matrices of the blocks are
optimized by Muon, everything else by AdamW. The run goes on where it stopped, to the bit. Every
`--check` updates lines in faces never trained on are read: `log.jsonl` has the share of wrong
characters (CER).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from nanovl.checkpoint import load_processor, save_model
from nanovl.core.device import choose_device, keep_freed_memory
from nanovl.evals.scoring.edits import distance
from nanovl.model.config import preset
from nanovl.model.vision import VisionModel, cropped_positions
from nanovl.model.vlm import VLM
from nanovl.processing.pixels import CLIP_MEAN, CLIP_STD
from nanovl.train.reading import ReadingHead, placing_loss, reading_loss
from tools.mini_tiles import SIDE as TILE, Line, Painter, Texts, strips

TRAIN = {
    "wiki_train.jsonl.gz": 0.4,
    "books_train-00.jsonl.gz": 0.2,
    "tech_train.jsonl.gz": 0.25,
    "multilingual.jsonl.gz": 0.15,
}
HELD_OUT = {"wiki_val.jsonl.gz": 0.6, "tech_val.jsonl.gz": 0.4}
LETTERS = 300
SINGLE = 0.5  # share of the run that reads single lines, 8 for every tile of an update
HARDEST = 0.4  # share of the run after which they are as hard as they get
STRIPS = 0.8  # share of the run after which whole tiles are read
STEADY = 0.6  # share of the run after which the rates fall
ALONE = 0.2  # share of the run in which places of letters are all the loss
PLACED = 0.5  # their share of the loss afterwards; the rest is CTC
MUON = 15.0  # rate of Muon by the rate of AdamW
PATCH = 16

# Pictures of one size (b, height, width, 3) uint8, and the lines of each.
Drawn = tuple[torch.Tensor, list[list[Line]]]


class Tiles(IterableDataset[list[Drawn]]):
    """What every update from `first` on reads, by size."""

    def __init__(self, texts: Path, batch: int, first: int, updates: int) -> None:
        self.texts, self.batch, self.first, self.updates = texts, batch, first, updates

    def __iter__(self) -> Iterator[list[Drawn]]:
        painter = Painter(Texts(self.texts, TRAIN))
        worker = get_worker_info()  # workers take turns
        mine, turns = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for update in range(self.first + mine, self.updates, turns):
            if update < SINGLE * self.updates:
                hardness = min(1.0, update / (HARDEST * self.updates))
                count = 8 * self.batch
                own = [painter.strip(update * count + k, hardness) for k in range(count)]
                pictures = torch.from_numpy(np.stack([strip for strip, _ in own]))
                yield [(pictures, [[line] for _, line in own])]
                continue
            made = [painter.tile(update * self.batch + k) for k in range(self.batch)]
            if update >= STRIPS * self.updates:
                tiles = torch.stack([torch.from_numpy(t.copy()) for t, _ in made])
                yield [(tiles, [lines for _, lines in made])]
                continue
            rng = random.Random(update)
            sizes: dict[tuple[int, int], list[tuple[np.ndarray, Line]]] = {}
            for image, lines in made:
                for size, found in strips(image, lines, rng).items():
                    sizes.setdefault(size, []).extend(found)
            yield [
                (torch.stack([torch.from_numpy(t.copy()) for t, _ in own]), [[x] for _, x in own])
                for own in sizes.values()
            ]


def normalised(tiles: torch.Tensor) -> torch.Tensor:
    """(b, h, w, 3) uint8 to (b, 3, h, w) bf16 as the processor makes it, on the same device."""
    mean, std = (torch.tensor(v, device=tiles.device) for v in (CLIP_MEAN, CLIP_STD))
    x = (tiles.float() / 255.0 - mean) / std
    return x.permute(0, 3, 1, 2).contiguous().to(torch.bfloat16)


def places(lines: list[list[Line]]) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Tile of every line (n,), boxes in patches (n, 4), texts."""
    flat = [(k, line) for k, own in enumerate(lines) for line in own]
    tiles = torch.tensor([k for k, _ in flat], dtype=torch.long)
    boxes = torch.tensor([line.box for _, line in flat]).view(-1, 4) / PATCH
    return tiles, boxes, [line.text for _, line in flat]


class Windows:
    """Gives strips the positions of any place in a tile; wraps a patch generator's `positions`."""

    def __init__(self, vision: VisionModel) -> None:
        self.generator = vision.radio_model.model.patch_generator
        self.generator.positions = self.positions  # type: ignore[method-assign]
        self.rng: random.Random | None = None  # None: the top left

    def positions(self, rows: int, columns: int) -> torch.Tensor:
        """(rows * columns, u) of a window."""
        side = TILE // PATCH
        table = cropped_positions(self.generator.pos_embed, side, side).view(side, side, -1)
        top, left = 0, 0
        if self.rng is not None:
            top, left = self.rng.randint(0, side - rows), self.rng.randint(0, side - columns)
        return table[top : top + rows, left : left + columns].reshape(rows * columns, -1)


class Run:
    """Weights, their fp32 masters and averages, and where the run is."""

    def __init__(self, folder: Path, alphabet: str, args: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.folder = folder
        self.vision = VisionModel(preset("mini").vision)
        self.vision.initialize(torch.Generator().manual_seed(0))
        self.head = ReadingHead(preset("mini").vision.hidden_size, alphabet)
        self.device = choose_device(args.device)
        self.vision.to(self.device)
        self.head.to(self.device)
        self.leaves = [*self.vision.parameters(), *self.head.parameters()]
        self.masters = [p.detach().clone() for p in self.leaves]  # fp32
        self.averages = [p.clone() for p in self.masters]
        self.vision.to(torch.bfloat16)
        self.head.to(torch.bfloat16)
        self.windows = Windows(self.vision)
        named = [*self.vision.named_parameters(), *self.head.named_parameters()]
        blocks = [p.dim() == 2 and ".blocks." in name for name, p in named]
        inner = [p for p, own in zip(self.masters, blocks, strict=True) if own]
        outer = [p for p, own in zip(self.masters, blocks, strict=True) if not own]
        groups = [
            {"params": [p for p in outer if p.dim() >= 2], "weight_decay": 0.03},
            {"params": [p for p in outer if p.dim() < 2], "weight_decay": 0.0},
        ]
        self.outer = outer
        self.optimizers = (
            torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98), fused=True),
            torch.optim.Muon(inner, lr=MUON * args.lr, weight_decay=0.05),
        )
        self.update = 0

    def look(
        self, pictures: torch.Tensor, lines: list[list[Line]]
    ) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
        """What the head says (t, n, characters + 1), boxes in patches (n, 4), and what is right."""
        tiles, boxes, texts = places(lines)
        features = self.vision(normalised(pictures.to(self.device)))
        where = boxes.to(self.device, torch.bfloat16)
        return self.head(features, tiles.to(self.device), where), boxes, texts

    def step(self, drawn: list[Drawn], rate: float, placed: float) -> tuple[float, int]:
        """One update.

        Args:
            drawn: What is read.
            rate: Learning rate.
            placed: Share of the loss that knows where letters stand; the rest is CTC.

        Returns:
            The loss, per character or per step, and characters.
        """
        letters = sum(len(line.text) for _, own in drawn for lines in own for line in lines) or 1
        total = 0.0
        self.windows.rng = random.Random(self.update)
        for pictures, lines in drawn:
            log_probs, boxes, texts = self.look(pictures, lines)
            loss = log_probs.new_zeros(())
            if placed < 1:
                loss = (1 - placed) * reading_loss(self.head, log_probs, texts)[0]
            if placed > 0:
                centres = [[c / PATCH for c in line.centres] for own in lines for line in own]
                loss = loss + placed * placing_loss(self.head, log_probs, boxes, texts, centres)
            loss = loss * (sum(map(len, texts)) / letters)
            loss.backward()
            total += float(loss.detach())
        for master, leaf in zip(self.masters, self.leaves, strict=True):
            master.grad = None if leaf.grad is None else leaf.grad.float()
            leaf.grad = None
        torch.nn.utils.clip_grad_norm_(self.outer, 1.0)
        for optimizer, factor in zip(self.optimizers, (1.0, MUON), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = factor * rate
            optimizer.step()
        self.update += 1
        kept = min(0.9995, 1.0 - 1.0 / (1.0 + 0.1 * self.update))
        torch._foreach_lerp_(self.averages, self.masters, 1.0 - kept)
        self.show(self.masters)
        return total, letters

    @torch.no_grad()
    def show(self, weights: list[torch.Tensor]) -> None:
        """Compute with these."""
        for leaf, weight in zip(self.leaves, weights, strict=True):
            leaf.copy_(weight)

    def save(self) -> None:
        """Replace the checkpoint."""
        state = {
            "update": self.update,
            "alphabet": self.head.alphabet,
            "masters": self.masters,
            "averages": self.averages,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        path = self.folder / "state.pt"
        torch.save(state, path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.update = state["update"]
        for own, kept in zip(self.masters, state["masters"], strict=True):
            own.copy_(kept)
        self.averages = list(state["averages"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.show(self.masters)

    @torch.no_grad()
    def check(self, texts: Path, count: int, whole: bool) -> dict[str, float]:
        """CER of held-out lines in held-out faces, by height of type; with averaged weights.

        Args:
            texts: Folder of the texts.
            count: Tiles.
            whole: Read tiles, not strips of them.
        """
        self.show(self.averages)
        self.windows.rng = None
        painter = Painter(Texts(texts, HELD_OUT), split="heldout", worn=False)
        wrong = {"small": 0, "large": 0}
        total = {"small": 0, "large": 0}
        for k in range(count):
            image, lines = painter.tile(10**9 + k)
            groups = [(image[None], [lines])] if lines else []
            if not whole:
                groups = [
                    (np.stack([strip for strip, _ in own]), [[line] for _, line in own])
                    for own in strips(image, lines, random.Random(k)).values()
                ]
            for pictures, own in groups:
                log_probs, _, said = self.look(torch.from_numpy(pictures.copy()), own)
                read = self.head.read(log_probs)
                flat = [line for lines in own for line in lines]
                for line, text, found in zip(flat, said, read, strict=True):
                    kind = "small" if line.box[3] - line.box[1] < 20 else "large"
                    wrong[kind] += distance(text, found)
                    total[kind] += len(text)
        self.show(self.masters)
        found = {f"cer_{k}": wrong[k] / max(total[k], 1) for k in wrong}
        return {"cer": sum(wrong.values()) / max(sum(total.values()), 1), **found}


def train(args: argparse.Namespace) -> None:
    """Go on until `--updates`."""
    keep_freed_memory()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "state.pt"
    state = (
        torch.load(path, weights_only=True, map_location=choose_device(args.device))
        if path.exists()
        else None
    )
    alphabet = state["alphabet"] if state else Texts(args.texts, TRAIN).alphabet(LETTERS)
    run = Run(args.out, alphabet, args)
    if state:
        run.restore(state)
    data = Tiles(args.texts, args.batch, run.update, args.updates)
    loader = DataLoader(
        data, batch_size=None, num_workers=args.workers, prefetch_factor=4 if args.workers else None
    )
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    log = (args.out / "log.jsonl").open("a", encoding="utf-8")
    begun = kept = time.monotonic()
    losses: list[float] = []
    letters = 0
    for drawn in loader:
        left = (args.updates - run.update) / ((1 - STEADY) * args.updates)
        rate = args.lr * min(1.0, (run.update + 1) / args.warmup, max(0.03, left))
        placed = 1.0 if run.update < ALONE * args.updates else PLACED
        loss, count = run.step(drawn, rate, placed)
        losses.append(loss)
        letters += count
        now = time.monotonic()
        row: dict[str, Any] = {}
        if run.update % 25 == 0:
            seconds = now - begun
            row = {
                "update": run.update,
                "loss": round(sum(losses) / len(losses), 4),
                "lr": rate,
                "updates_per_s": round(len(losses) / seconds, 3),
                "letters_per_s": round(letters / seconds),
            }
            losses, letters = [], 0
        if run.update % args.check == 0 or run.update == args.updates:
            whole = run.update > STRIPS * args.updates
            row |= {"update": run.update, **run.check(args.texts, args.check_tiles, whole)}
        if row:
            print(json.dumps(row), file=log, flush=True)
            begun = time.monotonic()
        if now - kept > 180 or run.update == args.updates or stop.is_set():
            run.save()
            kept = time.monotonic()
        if stop.is_set():
            break
        if not math.isfinite(loss):
            raise SystemExit(f"update {run.update}: the loss is {loss}; lower --lr")
    log.close()


def export(args: argparse.Namespace) -> None:
    """A checkpoint of the small model: this encoder, everything else as it begins."""
    args.device = "cpu"
    state = torch.load(args.out / "state.pt", weights_only=True, map_location="cpu")
    vlm = VLM(preset("mini"))
    vlm.initialize(torch.Generator().manual_seed(0))
    run = Run(args.out, state["alphabet"], args)
    run.restore(state)
    run.show(run.averages)
    vlm.vision_model.load_state_dict(
        {name: value.float() for name, value in run.vision.state_dict().items()}
    )
    processor = load_processor("mini")[1]
    save_model(vlm.to(torch.bfloat16), args.export, processor=processor, overwrite=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, help="folder of the texts")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--export", type=Path, help="write a checkpoint instead")
    parser.add_argument("--updates", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=16, help="tiles of an update")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=50)
    parser.add_argument("--check", type=int, default=500, help="updates between checks")
    parser.add_argument("--check-tiles", type=int, default=40)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--device", default="auto")
    args = parser.parse_args()
    if args.export:
        export(args)
    else:
        train(args)


if __name__ == "__main__":
    main()
