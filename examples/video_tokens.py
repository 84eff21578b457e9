"""What a video costs at several pruning rates, without decoding its frames.

python examples/video_tokens.py clip.mp4
"""

from __future__ import annotations

import sys

import nanovl


def main(path: str) -> None:
    """Print one line per rate."""
    model = nanovl.load()
    for rate in (0.0, 0.5, 0.75, 0.9):
        count = model.count_tokens("What happens?", files=[path], pruning_rate=rate)
        print(f"pruning {rate:4.0%}: {count.video:6} visual tokens, {count.total:6} in all")


if __name__ == "__main__":
    main(sys.argv[1])
