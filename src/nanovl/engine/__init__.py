"""Requests to tokens: prompts in, streamed answers out.

Runs the model over its cache, chooses tokens, ends thinking on budget, keeps answers to a grammar,
and turns ids into text, reasoning and tool calls. Knows nothing of HTTP, command lines, files of
checkpoints or training.
Reading order: detokenize, reasoning, json_stream, tools, output, repetition, grammar, constraint,
sequence, stream, task, scheduler, media_cache, prefix_cache, runner, steps, engine, naive,
messages, vlm.
"""
