"""Mixtures: what a file may say, how counts are shared out, and what comes of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from nanovl.core.errors import BackendError, ConfigError
from nanovl.data.blend import load_blend
from nanovl.data.records import Record
from nanovl.synth.mix import Mix, MixEntry, load_mix, plan_mix, shipped_mixes
from nanovl.synth.mixrun import run_mix
from nanovl.synth.registry import GENERATORS
from nanovl.synth.schedule import Queue
from nanovl.synth.shards import Shard
from tests.unit.synth.fakes import digests, fakes  # noqa: F401  # a fixture


def written(folder: Path, **data: Any) -> Path:
    path = folder / "mix.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_mixes())
def test_mixtures_of_the_package_are_sound(name: str, tmp_path: Path) -> None:
    parts = plan_mix(load_mix(name), tmp_path)
    assert {part.job.generator for part in parts} <= set(GENERATORS)
    assert {part.job.split for part in parts} == {"train", "val"}


def test_the_starter_set_has_the_sizes_of_the_specification(tmp_path: Path) -> None:
    counts: dict[str, int] = {}
    for part in plan_mix(load_mix("mini"), tmp_path):
        kind = part.name.partition("-")[0]
        counts[kind] = counts.get(kind, 0) + part.job.count
    longctx = load_mix("mini").entries["text-longctx"].count
    assert longctx == 2000
    assert counts["ocr"] == 30_000
    assert counts["scenes"] == 20_000
    assert counts["charts"] == counts["tables"] == counts["business"] == 10_000
    assert counts["screens"] + counts["html"] == 10_000
    assert counts["papers"] == 4_000  # of two to three pages
    assert counts["text"] - longctx == 50_000
    assert counts["video"] == 3_000


WRONG = {
    "unknown key 'totl'; did you mean 'total'": {"totl": 3, "generators": {"tables": {"count": 1}}},
    "unknown key 'wieght'; did you mean 'weight'": {"generators": {"tables": {"wieght": 1}}},
    "unknown generator 'table'; did you mean 'tables'": {"generators": {"table": {"count": 1}}},
    "generators: got None": {"total": 3},
    "did you mean 'generators'": {"generator": {"tables": {"count": 1}}},
    "has a weight, so the file needs a total": {"generators": {"tables": None}},
    "both a weight and a count": {"generators": {"tables": {"weight": 1, "count": 1}}},
    "count: got 0": {"generators": {"tables": {"count": 0}}},
    "weight: got -1": {"total": 5, "generators": {"tables": {"weight": -1}}},
    "weight: got inf": {"total": 5, "generators": {"tables": {"weight": float("inf")}}},
    "shares add up to 0.9": {"splits": {"train": 0.9}, "generators": {"tables": {"count": 1}}},
    "expected a share": {"splits": {"train": "all"}, "generators": {"tables": {"count": 1}}},
    "expected a name of letters": {"generators": {"a/b": {"generator": "tables", "count": 1}}},
    "total: got 0": {"total": 0, "generators": {"tables": {"count": 1}}},
    "expected positive amounts": {"generators": {"tables": {"count": 1, "ray": {"num_cpus": 0}}}},
}


@pytest.mark.parametrize("message", sorted(WRONG))
def test_what_a_file_may_not_say(message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_mix(written(tmp_path, **WRONG[message]))
    assert message in str(caught.value)
    assert str(caught.value).startswith("mix.yaml")


def test_a_mixture_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'smoke'"):
        load_mix("smok")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_mix(tmp_path / "bad.yaml")


def mix(total: int | None = None, splits: dict[str, float] | None = None, **entries: Any) -> Mix:
    made = {}
    for name, given in entries.items():
        entry = {"weight": given} if isinstance(given, float) else {"count": given}
        made[name] = MixEntry(generator="text-maths", **entry)
    return Mix(entries=made, total=total, splits=splits or {"train": 1.0})


def test_weights_share_out_what_counts_leave(tmp_path: Path) -> None:
    parts = plan_mix(mix(total=100, a=10, b=2.0, c=1.0, d=1.0), tmp_path)
    assert {p.name: p.job.count for p in parts} == {"a": 10, "b": 45, "c": 23, "d": 22}
    assert [p.blend for p in parts] == [10, 45, 23, 22]


def test_splits_take_their_share_and_lose_nothing(tmp_path: Path) -> None:
    parts = plan_mix(mix(splits={"train": 0.9, "val": 0.1}, a=25, b=1), tmp_path)
    assert {p.folder: p.job.count for p in parts} == {"a": 23, "a-val": 2, "b": 1}
    assert {p.folder: p.job.split for p in parts}["a-val"] == "val"


def test_scale_multiplies_and_keeps_one(tmp_path: Path) -> None:
    parts = plan_mix(mix(a=1000, b=3), tmp_path, scale=0.01)
    assert {p.name: p.job.count for p in parts} == {"a": 10, "b": 1}
    with pytest.raises(ConfigError, match="scale"):
        plan_mix(mix(a=1), tmp_path, scale=0)


def test_numbers_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leaves 1 for 2 entries"):
        plan_mix(mix(total=10, a=9, b=1.0, c=1.0), tmp_path)
    with pytest.raises(ConfigError, match="gives no sample"):
        plan_mix(mix(total=10, b=1000.0, c=0.001), tmp_path)


def test_folders_do_not_collide(tmp_path: Path) -> None:
    entries = {
        "a": MixEntry(generator="text-maths", count=10),
        "a-val": MixEntry(generator="text-maths", count=10),
    }
    with pytest.raises(ConfigError, match="'a-val' is taken"):
        plan_mix(Mix(entries=entries, splits={"train": 0.5, "val": 0.5}), tmp_path)


# --- order --------------------------------------------------------------------------------------


def shards(folder: str, count: int) -> list[Shard]:
    return [
        Shard(generator="g", number=n, start=10 * n, stop=10 * n + 10, out=Path(folder))
        for n in range(count)
    ]


def result(seconds: float) -> dict[str, Any]:
    return {"samples": 10, "lost": 0, "wall_s": seconds}


def test_the_queue_tries_everything_once_then_takes_the_longest() -> None:
    queue = Queue([*shards("quick", 6), *shards("slow", 3)])
    first, second = queue.pop(), queue.pop()
    assert [first.out.name, second.out.name] == ["quick", "slow"]
    queue.finish(first, result(1.0))
    queue.finish(second, result(10.0))
    assert queue.seconds_left() == pytest.approx(5 * 1.0 + 2 * 10.0)
    order = [queue.pop().out.name for _ in range(7)]
    assert order == ["slow", "slow", "quick", "quick", "quick", "quick", "quick"]
    with pytest.raises(IndexError):
        queue.pop()


def test_the_queue_learns_from_earlier_runs_and_gives_back() -> None:
    queue = Queue(
        [*shards("quick", 2), *shards("slow", 2)],
        {Path("quick"): [result(0.1)], Path("slow"): [result(9.0)]},
    )
    shard = queue.pop()
    assert shard.out.name == "slow"
    queue.put_back(shard)
    assert queue.pop() == shard
    queue.drop(Path("slow"))
    assert len(queue) == 2


# --- runs ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("fakes")
def test_workers_and_interruptions_do_not_change_a_byte(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        total=40,
        shard_size=3,
        splits={"train": 0.8, "val": 0.2},
        generators={"fake": {"weight": 1}, "fake-two": {"weight": 3, "settings": {"reject": 2}}},
    )
    outs = [tmp_path / name / "mix" for name in "abc"]
    first = run_mix(file, outs[0], workers=1)
    run_mix(file, outs[1], workers=2)
    run_mix(file, outs[2], workers=2)
    (outs[2] / "fake-two" / "shards" / "000002.done.json").unlink()
    (outs[2] / "fake" / "fake.jsonl").unlink()
    (outs[2] / "blend.yaml").unlink()
    (outs[2] / "fake" / "shards" / ".tmp-1-000000.jsonl").write_text("of a killed worker")
    again = run_mix(file, outs[2], workers=2)
    assert digests(outs[0]) == digests(outs[1]) == digests(outs[2])
    assert first.samples + 2 == 40
    assert first.rejects == {"never": 8}
    assert [one.totals.reused for one in again.made] == [3, 1, 7, 2]
    assert again.made[2].totals.samples == 23


@pytest.mark.usefixtures("fakes")
def test_the_blend_is_read_as_it_is(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        splits={"train": 0.75, "val": 0.25},
        generators={
            "fake": {"count": 8, "settings": {"media_bytes": 9}},
            "fake-two": {"count": 4, "blend": 12},
        },
    )
    totals = run_mix(file, tmp_path / "mix")
    assert totals.blend is not None
    train, val = load_blend(totals.blend), load_blend(totals.blend, "val")
    assert [s.name for s in train] == ["fake", "fake-two"]
    assert [s.weight for s in train] == pytest.approx([6 / 15, 9 / 15])
    assert len(val) == 2
    assert train[0].media == tmp_path / "mix" / "fake" / "media"
    assert train[1].media is None
    for source in (*train, *val):
        lines = source.path.read_text().splitlines()
        assert lines
        for line in lines:
            Record.from_json(json.loads(line))
    state = json.loads((tmp_path / "mix" / "mix.json").read_text())
    assert sum(row["samples"] for row in state["datasets"]) == 12


@pytest.mark.usefixtures("fakes")
def test_what_is_missing_is_left_out_and_named(tmp_path: Path) -> None:
    data = {
        "generators": {
            "fake": {"count": 3},
            "fake-two": {"count": 3, "settings": {"needs": "no-such-program"}},
        }
    }
    file = written(tmp_path, **data)
    totals = run_mix(file, tmp_path / "mix")
    assert totals.samples == 3
    assert "no-such-program was not found" in totals.skipped["fake-two"]
    assert not (tmp_path / "mix" / "fake-two").exists()
    with pytest.raises(BackendError, match=r"generators.fake-two: no-such-program"):
        run_mix(file, tmp_path / "strict", strict=True)
    del data["generators"]["fake"]
    with pytest.raises(BackendError, match="none of the generators can work here"):
        run_mix(written(tmp_path, **data), tmp_path / "none")


@pytest.mark.usefixtures("fakes")
def test_one_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        shard_size=2,
        generators={
            "fake": {"count": 6},
            "fake-two": {"count": 6, "settings": {"no_program": 3}},
            "one-that-is-all-rejects": {
                "generator": "fake", "count": 1, "settings": {"reject": 0},
            },
        },
    )  # fmt: skip
    totals = run_mix(file, tmp_path / "mix", workers=2)
    assert totals.failed == {"fake-two": "chromium went away"}
    assert [one.totals.samples for one in totals.made] == [6, totals.made[1].totals.samples, 0]
    assert totals.blend is not None
    assert [s.name for s in load_blend(totals.blend)] == ["fake"]


@pytest.mark.usefixtures("fakes")
def test_broken_settings_and_templates_are_named(tmp_path: Path) -> None:
    broken = {"generators": {"fake": {"count": 1, "settings": {"media_bytes": -1}}}}
    with pytest.raises(ConfigError, match=r"generators.fake: .* ValueError: a broken template"):
        run_mix(written(tmp_path, **broken), tmp_path / "mix")
    wrong = {"generators": {"text-maths": {"count": 1, "settings": {"stepz": 1}}}}
    with pytest.raises(ConfigError, match=r"generators.text-maths: .*unknown key 'stepz'"):
        run_mix(written(tmp_path, **wrong), tmp_path / "mix")
    assert not (tmp_path / "mix").exists()


@pytest.mark.usefixtures("fakes")
def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, generators={"fake": {"count": 1}})
    (tmp_path / "mix").mkdir()
    (tmp_path / "mix" / "thesis.tex").write_text("x")
    with pytest.raises(ConfigError, match=r"holds 'thesis.tex'"):
        run_mix(file, tmp_path / "mix")


@pytest.mark.usefixtures("fakes")
def test_other_settings_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    run_mix(written(tmp_path, generators={"fake": {"count": 1}}), tmp_path / "mix")
    other = {"generators": {"fake": {"count": 1, "settings": {"bug": 7}}}}
    with pytest.raises(ConfigError, match="holds a data set with other settings"):
        run_mix(written(tmp_path, **other), tmp_path / "mix")


def test_the_command_line(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        generators={
            "text-maths": {"count": 4},
            "text-expressions": {"count": 3},
        },
    )
    words = [sys.executable, "-m", "nanovl", "synth", "mix"]
    done = subprocess.run(
        [*words, str(file), str(tmp_path / "mix")], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'mix' / 'blend.yaml'}\n"
    assert "7 samples in 2 data sets" in done.stderr
    assert "/s/core" in done.stderr
    wrong = subprocess.run(
        [*words, "smok", str(tmp_path / "x")], capture_output=True, text=True, timeout=100
    )
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
