"""How a prompt frames a problem and asks for the form of its answer, and how the answer looks.

Shared by the generators of problems in words. Knows no problem.

Source: data synthesis specification, sections 13 (final form) and 17 (form asked in the prompt).
"""

from __future__ import annotations

import random

__all__ = ["BOXED", "DIRECT", "FRAMES", "boxed_prompt", "direct_prompt"]

FRAMES = (
    "{problem}",
    "Solve this problem. {problem}",
    "Work out the answer: {problem}",
    "Consider this. {problem}",
    "Here is a problem.\n\n{problem}",
    "Read carefully and answer. {problem}",
    "Can you solve the following? {problem}",
    "Problem: {problem}",
    "I am stuck on this one: {problem}",
    "Please calculate. {problem}",
)
BOXED = (
    "Put the result in \\boxed{}.",
    "Write the final answer inside \\boxed{}.",
    "Finish with the answer in \\boxed{}.",
    "End with \\boxed{answer}.",
    "Give the answer as \\boxed{...}.",
    "The final line should be the answer in \\boxed{}.",
    "Place your answer within \\boxed{}.",
    "Box the final answer with \\boxed{}.",
    "Use \\boxed{} for the result.",
    "Your answer must stand in \\boxed{}.",
    "",
)
DIRECT = (
    "Give only the result.",
    "Answer with the result alone.",
    "No explanation, just the answer.",
    "State just the answer.",
    "Reply with the final answer and nothing else.",
    "Only the final answer, please.",
    "Skip the working and give the answer.",
    "A bare answer is enough.",
    "Respond with the answer only.",
    "Short answer without steps.",
)


def boxed_prompt(rng: random.Random, problem: str) -> tuple[str, str]:
    """A prompt whose answer is boxed, and the id of its wording."""
    frame, note = rng.randrange(len(FRAMES)), rng.randrange(len(BOXED))
    text = f"{FRAMES[frame].replace('{problem}', problem)} {BOXED[note]}".strip()
    return text, f"boxed/{frame}.{note}"


def direct_prompt(rng: random.Random, problem: str) -> tuple[str, str]:
    """A prompt that wants the bare answer, and the id of its wording."""
    frame, note = rng.randrange(len(FRAMES)), rng.randrange(len(DIRECT))
    return f"{FRAMES[frame].replace('{problem}', problem)} {DIRECT[note]}", f"direct/{frame}.{note}"
