"""Training data written by a language model behind an endpoint: questions, answers and traces.

Nothing a model says is taken on trust: answers are asked for again, checked against the ground
truth and counted by the name of the rule that rejected them. Knows the record format; never a
model of ours (any endpoint that speaks the OpenAI chat protocol will do).

Reading order: transport, limits, cache and client (how requests are sent, paced, paid for and
kept); structured and work (strict JSON, many jobs at a time); documents, agree, language and
duplicates (what is asked about and how answers are judged); prompts; qa and traces.
"""

from __future__ import annotations

__all__: list[str] = []
