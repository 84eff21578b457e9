"""Write the small model as it ships: FP8 weights, tokenizer, configuration, and a card with scores.

    python -m tools.mini_ship --weights RUNS/stage4/export --out FOLDER
        [--scores RUNS/scores.json] [--runs RUNS] [--format fp8]

FOLDER is `src/nanovl/assets/mini` for the model inside the package. It is written in the released
layout; activation ranges are calibrated on the bundled demo inputs, on which the logits of both
forms are compared, and nothing is written where the result would be too large or too far off.
Weights that were never trained may be written too, and say so wherever they are loaded.

Source: training specification, section 12; quantization specification, sections 5 and 9.5.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nanovl.checkpoint import inspect, load_model, save_model
from nanovl.checkpoint.hf import INDEX_NAME, SINGLE_NAME
from nanovl.checkpoint.keymap import linear_modules
from nanovl.core.conversation import Conversation, Message, TextPart
from nanovl.core.errors import CheckpointError, ConfigError, NanoVLError
from nanovl.core.paths import asset
from nanovl.model.config import VLMConfig, preset
from nanovl.model.context import ForwardContext
from nanovl.model.vlm import VLM
from nanovl.processing.attachments import attach
from nanovl.processing.media import Limits
from nanovl.processing.processor import Processor
from tools.mini_card import Facts, card

MOST_BYTES = 48_000_000
"""Of the whole folder."""
MOST_DIVERGENCE = 0.05
"""Mean Kullback-Leibler divergence, in nats a token, from the trained weights."""
_INPUTS = 12  # demo inputs that are looked at
_LONGEST = 4096  # tokens of one of them


@dataclass(frozen=True, kw_only=True)
class Closeness:
    """How far the written form is from the weights it was made of.

    Attributes:
        tokens: Answer tokens that were compared.
        agreement: Share of them whose likeliest token is the same.
        divergence: Mean Kullback-Leibler divergence in nats.
        largest: Largest difference of two logits.
        spread: Standard deviation of the logits, to compare it with.
    """

    tokens: int
    agreement: float
    divergence: float
    largest: float
    spread: float


# --- what the model is looked at with -------------------------------------------------------------


def samples(limit: int = _INPUTS) -> list[tuple[Conversation, dict[str, Any]]]:
    """Bundled demo inputs with questions and right answers, and how each is asked."""
    entries = json.loads(asset("demo", "questions.json").read_text(encoding="utf-8"))
    found: dict[str, tuple[Conversation, dict[str, Any]]] = {}
    for entry in entries:
        if entry["name"] in found:
            continue
        files = entry.get("files", [entry["file"]])
        parts = [attach(str(asset("demo", name)), limits=Limits.local()) for name in files]
        asked = Message(role="user", parts=(*parts, TextPart(text=entry["question"])))
        answer = Message.text("assistant", str(entry["answer"]))
        found[entry["name"]] = Conversation(messages=(asked, answer)), entry.get("options", {})
    return list(found.values())[:limit]


@torch.no_grad()
def answers(
    vlm: VLM, processor: Processor, asked: Sequence[tuple[Conversation, Mapping[str, Any]]]
) -> Iterator[torch.Tensor]:
    """Logits (answer tokens, vocabulary), fp32, of every conversation that is short enough."""
    for conversation, options in asked:
        layout = processor.plan(conversation, training=True, **options)
        if layout.num_tokens > _LONGEST or layout.labels is None:
            continue
        labels = torch.tensor(layout.labels)
        prompt = vlm.embed(processor.load(layout, dtype=vlm.dtype))
        logits = vlm(prompt.x, ForwardContext.single(layout.num_tokens), rows="all")
        # The logits of a token are those of the row before it.
        kept = (labels[1:] >= 0).nonzero()[:, 0]
        yield logits[kept][:, : processor.tokenizer.size].float()  # differences are small


def calibrate(
    vlm: VLM, processor: Processor, asked: Sequence[tuple[Conversation, Mapping[str, Any]]]
) -> dict[str, float]:
    """Largest absolute input of every linear of the decoder.

    Raises:
        ConfigError: A linear was never reached.
    """
    largest: dict[str, float] = {}

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            del module
            found = float(inputs[0].abs().amax())
            largest[name] = max(largest.get(name, 0.0), found)

        return hook

    names = list(linear_modules(vlm.config.lm))
    hooks = [vlm.get_submodule(n).register_forward_pre_hook(watch(n)) for n in names]
    try:
        for _ in answers(vlm, processor, asked):
            pass
    finally:
        for hook in hooks:
            hook.remove()
    missed = [name for name in names if not largest.get(name, 0.0) > 0]
    if missed:
        raise ConfigError(f"calibration: {len(missed)} linears saw no input, first {missed[0]}")
    return largest


def compare(one: Iterator[torch.Tensor], other: Iterator[torch.Tensor]) -> Closeness:
    """Two models on the same answers; the first is the reference.

    Raises:
        ConfigError: There is nothing to compare.
    """
    pairs = list(zip(one, other, strict=True))
    if not pairs:
        raise ConfigError("no demo input is short enough to compare the weights on")
    a, b = (torch.cat(part) for part in zip(*pairs, strict=True))
    p, q = a.log_softmax(-1), b.log_softmax(-1)
    return Closeness(
        tokens=len(a),
        agreement=float((a.argmax(-1) == b.argmax(-1)).double().mean()),
        divergence=float((p.exp() * (p - q)).sum(-1).mean()),
        largest=float((a - b).abs().max()),
        spread=float(a.std()),
    )


# --- the folder ---------------------------------------------------------------------------------


def ship(
    weights: Path,
    out: Path,
    *,
    facts: Facts | None = None,
    format: str = "fp8",
    shape: VLMConfig | None = None,
    most_bytes: int = MOST_BYTES,
    most_divergence: float = MOST_DIVERGENCE,
) -> Closeness:
    """Write the folder.

    Args:
        weights: Checkpoint folder of the last training step.
        out: Folder; its other files stay.
        facts: For the card.
        format: Of the decoder's linears: "fp8" or "bf16".
        shape: The model must have this shape; None takes "mini".
        most_bytes: Of all files together.
        most_divergence: See `MOST_DIVERGENCE`.

    Raises:
        ConfigError: Another shape, too large, or too far from the weights.
        CheckpointError: The weights cannot be read, or the folder cannot be written.
    """
    vlm, processor = load_model(weights, device="cpu")
    wanted = (shape or preset("mini")).lm
    if vlm.config.lm != wanted:
        raise ConfigError(f"{weights}: its decoder is not of the shape that ships")
    origin = inspect(weights).origin or "trained"
    asked = samples()
    ranges = calibrate(vlm, processor, asked)
    with tempfile.TemporaryDirectory() as scratch:
        made = save_model(
            vlm,
            Path(scratch) / "mini",
            processor=processor,
            format=format,
            input_amax=ranges if format != "bf16" else None,
            origin=origin,
        )
        again, processor_again = load_model(made, device="cpu")
        close = compare(answers(vlm, processor, asked), answers(again, processor_again, asked))
        if not close.divergence <= most_divergence:
            raise ConfigError(
                f"{format}: divergence from the trained weights is {close.divergence:.3g} nats, "
                f"expected at most {most_divergence:g}; keep more linears in bf16"
            )
        text = card(inspect(made), facts or Facts(), close, format)
        (made / "README.md").write_text(text, encoding="utf-8")
        size = sum(path.stat().st_size for path in made.iterdir())
        if size > most_bytes:
            raise ConfigError(f"the folder has {size:,} bytes, more than {most_bytes:,}")
        install(made, out)
    return close


def install(made: Path, out: Path) -> None:
    """Move files into a folder, weights last, so that a broken copy is never taken for a model.

    Raises:
        CheckpointError: The disk cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in (*out.glob("*.safetensors"), out / INDEX_NAME, out / "hf_quant_config.json"):
            old.unlink(missing_ok=True)
        for path in sorted(made.iterdir(), key=lambda p: (p.name == SINGLE_NAME, p.name)):
            partial = out / f"{path.name}.partial"
            shutil.copyfile(path, partial)
            partial.replace(out / path.name)
    except OSError as error:
        raise CheckpointError(f"{out}: cannot be written ({error.strerror or error})") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="checkpoint folder")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--scores", type=Path, help="of tools.mini_score")
    parser.add_argument("--runs", type=Path, help="run folder of tools.make_mini, for what it took")
    parser.add_argument("--format", default="fp8", choices=("fp8", "bf16"))
    parser.add_argument("--most-divergence", type=float, default=MOST_DIVERGENCE)
    options = parser.parse_args(arguments)
    try:
        close = ship(
            options.weights,
            options.out,
            facts=Facts.read(options.scores, options.runs),
            format=options.format,
            most_divergence=options.most_divergence,
        )
    except NanoVLError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in options.out.iterdir() if path.is_file())
    print(
        f"{options.out}: {size / 1e6:.1f} MB; {close.agreement:.1%} of {close.tokens} answer "
        f"tokens as before, divergence {close.divergence:.2g} nats, logits at most "
        f"{close.largest:.2g} apart (their spread is {close.spread:.2g})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
