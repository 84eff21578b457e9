"""Benchmarks: readers, prompts, metrics, runs, reports.

Knows the engine's facade or an HTTP endpoint; never the trainer or the server.

Reading order: base (the nouns), modes; scoring (metrics); registry, readers, prompts, text_prompts,
native (nanovl's own format), ruler_sources, ruler_tasks, ruler_files (RULER made here), mini_suite
(the local suite), tasks (all of them together), leaks and contamination;
requests, answerers, chat_body, transport, endpoint (who answers); runfolder, runner, source (runs);
sandbox with sandbox_backends, sandbox_launch and sandbox_seccomp (programs); judge, baselines with
baseline_rules, health, intervals, scorefiles, score (what answers are worth);
tables, plots, paper, examples, compare, report with report_rows, report_tables, report_bars and
report_page; sweeps, speed, serve_check.
"""

from __future__ import annotations

__all__: list[str] = []
