"""`nanovl train`: what it says, and what it says about bad input."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nanovl.core.conversation import Conversation
from nanovl.data.drops import REASONS
from nanovl.testing import picture, picture_bytes, tiny_processor, training_set

SETTINGS = (
    "model.preset=tiny",
    "model.init=random",
    "stage.init_from=null",
    "data.seq_len=256",
    "data.num_workers=0",
    "data.prefetch=0",
    "data.max_tiles=1",
    "data.packing.buffer_samples=8",
    "batch.global=1",
    "stage.train_iters=2",
)


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    return training_set(folder, samples=8, kinds=("shapes", "dialogue"), size=64)


@pytest.fixture
def train(cli: Callable[..., Any], blend: Path, tmp_path: Path) -> Callable[..., Any]:
    """The command with settings of a short run; further words are added."""

    def call(*words: object, data: Path | None = None) -> Any:
        folder = f"ckpt.dir={tmp_path / 'run'}"
        return cli(
            "train", "mini/stage1", *SETTINGS, f"data.metadataset={data or blend}", folder, *words
        )

    return call


# --- a run --------------------------------------------------------------------------------------


def test_progress_and_result(train: Callable[..., Any], tmp_path: Path) -> None:
    done = train()
    assert done.code == 0, done.err
    export = tmp_path / "run" / "export"
    assert done.out == f"{export}\n"
    assert (export / "config.json").is_file()
    lines = done.err.splitlines()
    steps = [line for line in lines if line.lstrip().startswith(("1/2 ", "2/2 "))]
    assert len(steps) == 2
    for word in ("loss", "grad", "lr", "tok/s", "MFU", "data", "eta"):
        assert word in steps[0]
    assert any("checkpoint at update 2" in line for line in lines)

    again = train("--json")  # nothing is left to do
    assert again.code == 0
    found = json.loads(again.out)
    assert (found["status"], found["update"], found["export"]) == ("finished", 2, str(export))
    assert "continuing after update 2" in again.err
    assert "1/2" not in again.err

    refused = train("--fresh")
    assert (refused.code, refused.out) == (1, "")
    assert "already holds step-00000002" in refused.err

    changed = train("optim.lr=0.1")
    assert changed.code == 1
    assert "optim.lr (0.0005 -> 0.1)" in changed.err

    shrunk = train("stage.train_iters=1")
    assert shrunk.code == 1
    assert "stage.train_iters (2 -> 1)" in shrunk.err


def test_a_run_folder_is_a_recipe(train: Callable[..., Any], cli: Any, tmp_path: Path) -> None:
    train("run.max_minutes=1e-9")
    done = cli("train", tmp_path / "run", "run.max_minutes=null")
    assert done.code == 0, done.err
    assert "continuing after update 1" in done.err
    report = cli("train", "--report", tmp_path / "run")
    assert report.out == f"{tmp_path / 'run' / 'report.html'}\n"
    assert "<html" in (tmp_path / "run" / "report.html").read_text()


def test_stopped_early(train: Callable[..., Any], tmp_path: Path) -> None:
    done = train("run.max_minutes=1e-9")
    assert (done.code, done.out) == (0, "")
    assert "stopped at update 1; the same command continues" in done.err


def test_dry_run_trains_nothing(train: Callable[..., Any], tmp_path: Path) -> None:
    done = train("--dry-run")
    assert done.code == 0, done.err
    for word in ("parameters", "updates", "first pack", "memory per rank", "sources"):
        assert word in done.out
    assert not (tmp_path / "run").exists()
    found = json.loads(train("--dry-run", "--json").out)
    assert found["sources"] == "shapes, dialogue"


# --- wrong words --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["mini/stag1"], 2, "did you mean 'mini/stage1'"),
        (["mini/stage1", "optim.lrr=1"], 2, "did you mean 'lr'"),
        (["mini/stage1", "opitm.lr=1"], 2, "did you mean 'optim'"),
        (["mini/stage1", "data.paking.enabled=false"], 2, "did you mean 'packing'"),
        (["mini/stage1", "optim.lr=fast"], 2, "optim.lr"),
        (["mini/stage1", "optim.lr=-1"], 2, "optim.lr: got -1"),
        (["mini/stage1", "loss.reduction=squared"], 2, "loss.reduction"),
        (["mini/stage1", "data.seq_len=1000"], 2, "not a multiple of data.align 16"),
        (["mini/stage1", "stage.train_tokens=5"], 2, "exactly one of train_tokens"),
        (["mini/stage1", "stage.freeze=[vison]"], 2, "stage.freeze"),
        (["mini/stage1"], 2, "data.metadataset is not set"),
        (
            ["mini/stage1", "data.metadataset=gone.yaml", "model.init=random", "stage.init_from="],
            2,
            "gone.yaml",
        ),
        (["mini/stage1", "data.metadataset=BLEND"], 1, "runs/mini/stage0/export"),
        (["mini/stage1", "data.metadataset=BLEND", "parallel.cp=2"], 2, "does not make 1 ranks"),
        (["--report", "gone"], 2, "gone"),
        (["--report", "gone", "mini/stage1"], 2, "--report takes a run folder alone"),
        ([], 2, "no recipe; name a file or a bundled one"),
    ],
    ids=lambda value: "-".join(value)[:40] if isinstance(value, list) else "",
)
def test_mistakes(
    cli: Callable[..., Any],
    blend: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("train", *(word.replace("BLEND", str(blend)) for word in words))
    assert (done.code, done.out) == (code, ""), done.err
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert not list(tmp_path.iterdir())  # no run folder was begun


def test_a_typo_in_a_file_names_the_file(cli: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("stage: {train_iters: 1}\nopitm: {lr: 1}\n")
    done = cli("train", path)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert "mine.yaml" in line
    assert "did you mean 'optim'" in line


def test_a_blend_of_files_that_do_not_exist(train: Callable[..., Any], tmp_path: Path) -> None:
    blend = tmp_path / "blend.yaml"
    content = {
        "__module__": "megatron.energon",
        "__class__": "MetadatasetV2",
        "splits": {"train": {"blend": [{"weight": 1, "path": "none.jsonl"}]}},
    }
    blend.write_text(yaml.safe_dump(content))
    done = train(data=blend)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert "none.jsonl" in line
    blend.write_text(yaml.safe_dump({**content, "splits": {"training": {}}}))
    done = train(data=blend)
    assert done.code == 2
    assert "did you mean 'training'" in done.err


# --- bad records --------------------------------------------------------------------------------


def talk(number: int, **changes: Any) -> dict[str, Any]:
    messages = [
        {"role": "user", "content": f"Question {number}?"},
        {"role": "assistant", "content": f"Answer {number}."},
    ]
    return {"id": f"r-{number}", "messages": messages, **changes}


def said(*turns: tuple[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": "r",
        "messages": [{"role": role, "content": content} for role, content in turns],
        **changes,
    }


def shown(kind: str, name: str) -> list[dict[str, Any]]:
    return [{"type": kind, kind: name}, {"type": "text", "text": "What?"}]


LENGTH = 1024


def question_of(tokens: int) -> str:
    """A question that makes a prompt of so many tokens."""
    prompt = tiny_processor().plan(Conversation.user("a"), reasoning=False, bos=True)
    return "a" * (tokens - prompt.num_tokens + 1)


# A line, the reason it is dropped for, and the field the message names.
BAD: dict[str, tuple[Any, str, str]] = {
    "broken JSON": ('{"id": "r", ', "malformed_record", "bad.jsonl:1:13: not JSON"),
    "no object": ("[1, 2]", "malformed_record", "expected an object"),
    "unknown key": (talk(0, mesages=1), "malformed_record", "did you mean 'messages'"),
    "no id": ({"messages": talk(0)["messages"]}, "malformed_record", "id: got nothing"),
    "no messages": ({"id": "r", "messages": []}, "malformed_record", "messages: is empty"),
    "unknown role": (said(("usr", "a"), ("assistant", "b")), "malformed_record", "[0].role"),
    "unknown type": (
        said(("user", [{"type": "img", "img": "a"}]), ("assistant", "b")),
        "malformed_record",
        "messages[0].content[0].type: got 'img'",
    ),
    "no payload": (
        said(("user", [{"type": "image"}]), ("assistant", "b")),
        "malformed_record",
        "messages[0].content[0].image",
    ),
    "picture in an answer": (
        said(("user", "a"), ("assistant", shown("image", "good.png"))),
        "malformed_record",
        "messages[1].content[0]",
    ),
    "negative weight": (talk(0, weight=-1), "malformed_record", "weight: got -1"),
    "reasoning": (talk(0, reasoning="maybe"), "malformed_record", "reasoning: got 'maybe'"),
    "weight zero": (talk(0, weight=0), "no_target", "weight 0"),
    "no question": (said(("assistant", "a")), "bad_turn_order", "messages[0]"),
    "no answer": (said(("user", "a")), "bad_turn_order", "user"),
    "empty answer": (said(("user", "a"), ("assistant", " ")), "empty_turn", "messages[1]"),
    "open trace": (
        said(("user", "a"), ("assistant", "<think>never closed")),
        "bad_reasoning",
        "</think>",
    ),
    "no file": (
        said(("user", shown("image", "god.png")), ("assistant", "a")),
        "missing_media",
        "did you mean 'good.png'",
    ),
    "no picture": (
        said(("user", shown("image", "text.png")), ("assistant", "a")),
        "undecodable_media",
        "text.png",
    ),
    "cut picture": (
        said(("user", shown("image", "cut.png")), ("assistant", "a")),
        "undecodable_media",
        "cut.png",
    ),
    "no video": (
        said(("user", shown("video", "text.mp4")), ("assistant", "a")),
        "undecodable_media",
        "text.mp4",
    ),
    "sound": (
        said(("user", shown("audio", "tone.wav")), ("assistant", "a")),
        "unsupported_media",
        "transcript",
    ),
    "too many pictures": (
        said(("user", shown("image", "good.png") * 160), ("assistant", "a")),
        "too_long_media",
        f"limit of {LENGTH}",
    ),
    "long question": (
        said(("user", "word " * 400), ("assistant", "a")),
        "no_target",
        "0 tokens carry loss",
    ),
    "all tiles": (
        said(("user", shown("image", "good.png") * 9), ("assistant", "a")),
        "oversized",
        "max_tiles_per_pack",
    ),
    "too few targets": (
        said(("user", question_of(LENGTH - 2)), ("assistant", "a" * 600)),
        "too_few_targets",
        "carry loss",
    ),
}
assert {reason for _, reason, _ in BAD.values()} == set(REASONS)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All bad lines, and good ones between them."""
    folder = tmp_path_factory.mktemp("bad") / "bad"
    media = folder / "media"
    media.mkdir(parents=True)
    good = picture_bytes(picture(64, 64, "noise"))
    (media / "good.png").write_bytes(good)
    (media / "cut.png").write_bytes(good[:-4000])
    (media / "text.png").write_text("no picture")
    (media / "text.mp4").write_text("no video")
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(3200))
    (media / "tone.wav").write_bytes(sound.getvalue())
    lines = []
    for number, (line, _, _) in enumerate(BAD.values()):
        if isinstance(line, dict) and "id" in line:
            line = {**line, "id": f"bad-{number}"}
        lines += [line if isinstance(line, str) else json.dumps(line), json.dumps(talk(number))]
    (folder / "bad.jsonl").write_text("\n".join(lines) + "\n")
    return folder


LIMITS = (
    f"data.seq_len={LENGTH}",
    "data.packing.max_tiles_per_pack=8",
    "data.packing.buffer_samples=60",
)


def test_every_kind_of_bad_record_is_counted_in_the_metrics(
    train: Callable[..., Any], bad: Path, tmp_path: Path
) -> None:
    done = train(*LIMITS, "data.shuffle=false", "stage.train_iters=6", data=bad)
    assert done.code == 0, done.err
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    counted = {
        name.removeprefix("data/dropped/").removesuffix("/bad")
        for name in last
        if name.startswith("data/dropped/")
    }
    assert counted == set(REASONS)
    wanted = dict.fromkeys(REASONS, 0)
    for _, reason, _ in BAD.values():
        wanted[reason] += 1
    # What is found out while planning is complete after the first buffer.
    for reason in set(REASONS) - {"undecodable_media"}:
        assert last[f"data/dropped/{reason}/bad"] >= wanted[reason]


_FOUND: dict[int, str] = {}


@pytest.fixture
def validated(cli: Callable[..., Any], bad: Path) -> dict[int, str]:
    """Line -> what `nanovl data validate` says; one run for all tests."""
    if not _FOUND:
        words = ("--model", "tiny", "--seq-len", LENGTH, "-o", "max_tiles=1")
        words = (*words, "-o", "packing.max_tiles_per_pack=8")
        done = cli("data", "validate", bad, "--decode", *words)
        assert done.code == 1, done.err
        for text in done.out.splitlines():
            if text.startswith("bad.jsonl:"):
                _FOUND[int(text.split(":")[1])] = text
    return _FOUND


@pytest.mark.parametrize("name", BAD)
def test_validate_names_file_line_and_field(validated: dict[int, str], name: str) -> None:
    _, reason, says = BAD[name]
    line = 2 * list(BAD).index(name) + 1
    assert validated[line].startswith(f"bad.jsonl:{line}: {reason}: ")
    assert says in validated[line]


def test_good_records_are_not_complained_about(validated: dict[int, str]) -> None:
    assert sorted(validated) == [2 * number + 1 for number in range(len(BAD))]


def test_nothing_but_bad_records(train: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "all-bad.jsonl"
    path.write_text('{"id": "a", "messages": []}\n{"id": \n')
    done = train(data=path)
    assert done.code == 2
    (line,) = done.err.splitlines()[-1:]
    assert "not one of its 2 records can be used" in line
    assert "all-bad.jsonl" in line


def test_records_that_end_up_without_a_pack(train: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text(json.dumps(said(("user", "a"), ("assistant", " "))) + "\n")
    done = train(data=path)
    assert done.code == 2
    assert "the last 1000 records could not be used" in done.err
    assert "empty_turn (1000)" in done.err
