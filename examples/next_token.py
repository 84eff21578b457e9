"""The network without the engine: one forward pass, and the most likely next tokens.

python examples/next_token.py src/nanovl/assets/demo/receipt.png "The total is"
"""

from __future__ import annotations

import sys

import torch

import nanovl
from nanovl.core.conversation import Conversation, ImagePart, MediaRef
from nanovl.model.context import ForwardContext


@torch.no_grad()
def main(path: str, question: str) -> None:
    """Print five candidates with their probabilities."""
    vlm, processor = nanovl.load_model("mini")
    conversation = Conversation.user(question, [ImagePart(source=MediaRef.of(path))])
    layout = processor.plan(conversation)  # sizes only: ids and where the picture goes
    inputs = processor.load(layout)  # now the pixels
    prompt = vlm.embed(inputs)  # (t, d): visual tokens in place of their placeholders
    logits = vlm(prompt.x, ForwardContext.single(layout.num_tokens), rows="last")[0]
    best = torch.softmax(logits[: processor.tokenizer.size], dim=-1).topk(5)
    for probability, token in zip(best.values.tolist(), best.indices.tolist(), strict=True):
        print(f"{probability:6.2%}  {processor.tokenizer.decode([token])!r}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
