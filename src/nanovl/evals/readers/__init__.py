"""Readers: from the files benchmarks are published in to samples.

Nothing is downloaded, nothing in a file is evaluated, no row disappears without being counted.

Every column of a file that is not part of `Sample` itself is in `Sample.meta` under its own name;
`meta` also has `dataset` (stem of the file) and `part`, and where they apply `variant` (MMMU-Pro),
`cot` (step-by-step files), `box` ("size" or "corners"), `answer_text` (videos), `prefix` and `task`
(RULER).

Reading order: manifest (what was read), find (where files are), cells, rows (a row as a sample),
tsv, records, pdf, video_index, html_pairs, ns_jsonl, folder (nanovl's own format), load (a whole
benchmark).
"""

from __future__ import annotations

from nanovl.evals.readers.load import Loaded, load, read
from nanovl.evals.readers.manifest import Problem, ReadLog, same_manifest

__all__ = ["Loaded", "Problem", "ReadLog", "load", "read", "same_manifest"]
