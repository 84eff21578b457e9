"""Train the vocabulary of nanovl-mini: byte-level BPE, 10,240 entries, control tokens included.

    python tools/train_tokenizer.py DATA_FOLDER [--out src/nanovl/assets/mini]

DATA_FOLDER holds the training data in its published layout (`text/`, `code/`, `tables/`, ...). Only
training files with a licence that lets a model be published are read. Every source contributes a
fixed share, cut deterministically, so the same data gives the same file, byte for byte. Afterwards
the compression on held-out text is printed.
"""

from __future__ import annotations

import argparse
import gzip
import html
import io
import json
import random
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models, trainers

from nanovl.processing.tokenizer import Tokenizer
from nanovl.processing.vocab import CONTROL_TOKENS, byte_alphabet, definition

SIZE = 10240
SEED = 20251103
CHUNK = 4000
# Bytes per language: those the model is asked in, and those it merely should not choke on.
ASKED = ("ar", "de", "el", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
OTHER = ("cs", "fa", "fr", "id", "it", "ja", "ko", "nl", "pl", "pt", "sv")
LANGUAGES = dict.fromkeys(ASKED, 250_000) | dict.fromkeys(OTHER, 100_000)
CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "<SPECIAL_12>",
    "unk_token": "<unk>",
    "pad_token": "<SPECIAL_999>",
    "add_bos_token": False,
    "add_eos_token": False,
    "clean_up_tokenization_spaces": False,
    "model_max_length": 32768,
}
SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "<SPECIAL_12>",
    "unk_token": "<unk>",
    "pad_token": "<SPECIAL_999>",
    "additional_special_tokens": [
        t for t in CONTROL_TOKENS if t not in ("<s>", "<SPECIAL_12>", "<unk>", "<SPECIAL_999>")
    ],
}


def records(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def tar_records(path: Path) -> Iterator[dict[str, Any]]:
    with tarfile.open(path) as tar:
        for member in tar:
            if member.name.endswith(".json"):
                yield json.load(io.TextIOWrapper(tar.extractfile(member), encoding="utf-8"))  # type: ignore[arg-type]


def texts(path: Path, key: str = "text") -> Iterator[str]:
    return (record[key] for record in records(path))


def tables(path: Path) -> Iterator[str]:
    """Tables as the model will write them: Markdown, HTML, CSV in turn."""
    for index, record in enumerate(records(path)):
        rows = [record["header"], *record["rows"]]
        rows = [[str(cell) for cell in row] for row in rows]
        if index % 3 == 0:
            lines = ["| " + " | ".join(row) + " |" for row in rows]
            lines.insert(1, "|" + " --- |" * len(rows[0]))
        elif index % 3 == 1:
            lines = [
                "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>"
                for row in rows
            ]
            lines = ["<table>", *lines, "</table>"]
        else:
            lines = [",".join(row) for row in rows]
        yield (record["title"] or "Table") + "\n" + "\n".join(lines)


def tools(path: Path) -> Iterator[str]:
    for record in records(path):
        yield json.dumps(record["tools"], ensure_ascii=False)
        yield json.dumps(record["calls"], ensure_ascii=False)


def receipts(path: Path) -> Iterator[str]:
    for record in tar_records(path):
        yield "\n".join(line["text"] for line in record["lines"])


def prompt_format() -> Iterator[str]:
    """Strings the prompt format itself puts into every sample."""
    rng = random.Random(SEED)
    for _ in range(600):
        yield (
            f"System\n\nUser\nThis is a video:\nFrame {rng.randint(1, 128)} sampled at "
            f"{rng.random() * 60:.2f} seconds: \nAssistant\n<think>\n\n</think>\n\n\n"
            '<think></think>\n<TOOLCALL>[{"name": "get", "arguments": {}}]</TOOLCALL>\n'
            "<TOOL_RESPONSE>[]</TOOL_RESPONSE>\n<AVAILABLE_TOOLS>[]</AVAILABLE_TOOLS>\n"
            "Audio transcript of x:\n"
            f"[{rng.random() * 60:.2f}s - {rng.random() * 60:.2f}s] \n"
        )


def share(source: Iterable[str], size: int, *, seed: int) -> Iterator[str]:
    """About `size` bytes of a source: random chunks of its documents, repeated if too few."""
    chunks = []
    for document in source:
        chunks += [document[i : i + CHUNK] for i in range(0, len(document), CHUNK)]
    random.Random(seed).shuffle(chunks)
    taken = 0
    while chunks and taken < size:
        for chunk in chunks:
            if taken >= size:
                return
            taken += len(chunk.encode())
            yield chunk


def corpus(data: Path) -> Iterator[str]:
    """The training text, about 45 MB; the numbers below are MB of UTF-8."""
    text, million = data / "text", 1_000_000
    sources: list[tuple[float, Callable[[], Iterable[str]]]] = [
        (9.0, lambda: texts(text / "wiki_train.jsonl.gz")),
        (5.0, lambda: texts(text / "books_train-00.jsonl.gz")),
        (5.0, lambda: texts(text / "books_train-01.jsonl.gz")),
        (5.0, lambda: texts(text / "tech_train.jsonl.gz")),
        (3.0, lambda: texts(data / "reading/fairytaleqa_sections_train.jsonl.gz")),
        (2.0, lambda: texts(data / "math/gsm8k_train.jsonl.gz", "question")),
        (2.0, lambda: texts(data / "math/gsm8k_train.jsonl.gz", "solution")),
        (4.0, lambda: texts(data / "code/pystdlib_modules.jsonl.gz")),
        (3.0, lambda: tables(data / "tables/wtq_tables.jsonl.gz")),
        (2.0, lambda: tables(data / "tables/tabfact_tables.jsonl.gz")),
        (1.0, lambda: tools(data / "tools/bfcl_train.jsonl.gz")),
        (1.2, lambda: receipts(data / "receipts/sroie_train.tar")),
        (0.5, prompt_format),
    ]
    for index, (megabytes, source) in enumerate(sources):
        yield from share(source(), int(megabytes * million), seed=SEED + index)
    pages = list(records(text / "multilingual.jsonl.gz"))
    paragraphs = list(records(data / "reading/xquad_train.jsonl.gz"))
    for index, (language, size) in enumerate(LANGUAGES.items()):
        mine = [r["text"] for r in pages if r["lang"] == language]
        mine += [r["context"] for r in paragraphs if r["lang"] == language]
        yield from share(mine, size, seed=SEED + 100 + index)


def train(lines: Iterable[str]) -> str:
    """Contents of `tokenizer.json`."""
    start = definition({}, (), {})
    rust = tokenizers.Tokenizer.from_str(json.dumps(start))
    rust.model = models.BPE()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=list(CONTROL_TOKENS),
        initial_alphabet=list(byte_alphabet()),
        min_frequency=2,
        max_token_length=24,
        show_progress=False,
    )
    rust.train_from_iterator(lines, trainer)
    model = json.loads(rust.to_str())["model"]
    vocab: dict[str, int] = model["vocab"]
    if len(vocab) != SIZE:
        raise SystemExit(f"got {len(vocab)} entries, expected {SIZE}; the data is too small")
    merges = [(a, b) for a, b in model["merges"]]
    control = {name: vocab[name] for name in CONTROL_TOKENS}
    return json.dumps(definition(vocab, merges, control), ensure_ascii=False, separators=(",", ":"))


def held_out(data: Path) -> Iterator[tuple[str, Iterable[str]]]:
    text = data / "text"
    yield "wiki", texts(text / "wiki_val.jsonl.gz")
    yield "books", texts(text / "books_val.jsonl.gz")
    yield "tech", texts(text / "tech_val.jsonl.gz")
    yield "stories", texts(data / "reading/fairytaleqa_sections_val.jsonl.gz")
    yield "gsm8k", texts(data / "math/gsm8k_val.jsonl.gz", "solution")
    yield "code", texts(data / "code/pystdlib_functions_val.jsonl.gz", "completion")
    yield "tools", tools(data / "tools/bfcl_val.jsonl.gz")
    yield "receipts", receipts(data / "receipts/sroie_val.tar")
    paragraphs = list(records(data / "reading/xquad_val.jsonl.gz"))
    for language in ("en", "de", "es", "ro", "tr", "vi", "ru", "el", "ar", "hi", "zh", "th"):
        yield f"xquad-{language}", [r["context"] for r in paragraphs if r["lang"] == language]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder of the training data")
    parser.add_argument("--out", type=Path, default=Path("src/nanovl/assets/mini"))
    args = parser.parse_args()

    started = time.perf_counter()
    tokenizer = Tokenizer(train(corpus(args.data)), where="trained vocabulary")
    print(f"trained {tokenizer.size} entries in {time.perf_counter() - started:.0f} s")
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(args.out)
    for name, content in (("tokenizer_config.json", CONFIG), ("special_tokens_map.json", SPECIAL)):
        (args.out / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    print("held-out bytes per token (and characters per token)")
    for name, lines in held_out(args.data):
        whole = list(lines)
        tokens = sum(len(tokenizer.encode(line)) for line in whole)
        size = sum(len(line.encode()) for line in whole)
        print(f"  {name:10} {size / tokens:5.2f} {sum(map(len, whole)) / tokens:5.2f}")


if __name__ == "__main__":
    main()
