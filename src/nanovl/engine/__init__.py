"""Requests to tokens: prompts in, streamed answers out.

Runs the model over its cache, chooses tokens, ends thinking on budget, and turns ids into text,
reasoning and tool calls. Knows nothing of HTTP, command lines, files of checkpoints or training.
Reading order: detokenize, reasoning, tools, output, sequence, engine, messages, vlm.
"""
