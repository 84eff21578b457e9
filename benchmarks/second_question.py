"""Time to the first token of the first and the second question about one picture of 13 tiles.

    python benchmarks/second_question.py                # the model of the package
    python benchmarks/second_question.py --model FOLDER --pictures 7

Every picture is new, so its first question pays for decoding, encoding and the whole prompt; the
second one comes in a request of its own and finds the encoded picture and the state after it. The
table has medians over the pictures. That answers stay the same is tested in fp32
(tests/unit/engine/test_scheduling.py).
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
from machine import describe
from PIL import Image

import nanovl

SIZE = (2048, 1536)  # 4 x 3 tiles and the thumbnail
QUESTIONS = ("What does the picture show?", "And what is in its upper left corner?")


def picture(seed: int) -> Image.Image:
    """Noise in blocks: nothing that could be known before."""
    blocks = np.random.default_rng(seed).integers(0, 256, (SIZE[1] // 16, SIZE[0] // 16, 3))
    return Image.fromarray(blocks.astype(np.uint8)).resize(SIZE)


def first_token(model: Any, image: Image.Image, question: str) -> tuple[float, Any]:
    """Seconds until something was said, and the whole answer."""
    begun = time.perf_counter()
    seconds, done = 0.0, None
    stream = model.stream(question, files=[image], max_tokens=4, temperature=0.0, max_tiles=12)
    for delta in stream:
        if not seconds and delta.token_ids:
            seconds = time.perf_counter() - begun
        done = delta.generation or done
    return seconds, done


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--pictures", type=int, default=5)
    args = parser.parse_args()
    model = nanovl.load(args.model)
    first_token(model, picture(0), QUESTIONS[0])  # warm-up
    times: dict[str, list[float]] = {"first": [], "second": []}
    for seed in range(1, args.pictures + 1):
        image = picture(seed)
        for name, question in zip(times, QUESTIONS, strict=True):
            seconds, done = first_token(model, image, question)
            times[name].append(seconds)
            tiles = [row["tiles"] for row in done.media]
            assert tiles == [13], f"expected one picture of 13 tiles, got {tiles}"
        kept = done.usage.cached_tokens, done.usage.prompt_tokens
        model.engine.forget()
    print(describe())
    print(f"{args.model}, {args.pictures} pictures of {SIZE[0]} x {SIZE[1]}, 13 tiles")
    print("\n| question | first token, median | spread |\n|---|---|---|")
    for name, found in times.items():
        middle = statistics.median(found)
        print(f"| {name} | {middle:.3f} s | {min(found):.3f} - {max(found):.3f} s |")
    print(f"\nthe second question found {kept[0]} of its {kept[1]} tokens")
    ratios = [a / b for a, b in zip(times["first"], times["second"], strict=True)]
    print(f"second question {statistics.median(ratios):.1f} times sooner (aim: 5)")


if __name__ == "__main__":
    main()
