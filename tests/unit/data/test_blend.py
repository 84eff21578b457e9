"""nanovl.data.blend: energon's blend files, read with the same result."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from nanovl.core.errors import ConfigError
from nanovl.data.blend import Source, load_blend


def records(path: Path, count: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps({"id": str(i), "messages": []}) + "\n" for i in range(count))
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def blend_file(path: Path, **splits: Any) -> Path:
    data = {"__module__": "megatron.energon", "__class__": "MetadatasetV2", "splits": splits}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for name, count in (("a", 100), ("b", 10), ("c", 7)):
        records(tmp_path / f"{name}.jsonl", count)
    return tmp_path


def test_a_record_file_is_a_blend(here: Path) -> None:
    (source,) = load_blend(here / "a.jsonl")
    assert source == Source(name="a", path=here / "a.jsonl")
    (source,) = load_blend(str(records(here / "z.jsonl.gz", 1)), "val")
    assert source.name == "z"


def test_a_folder_of_the_released_layout(tmp_path: Path) -> None:
    file = records(tmp_path / "set" / "set.jsonl", 1)
    records(tmp_path / "set" / "other.jsonl", 1)
    (tmp_path / "set" / "media").mkdir()
    (source,) = load_blend(tmp_path / "set")
    assert (source.path, source.media, source.name) == (file, tmp_path / "set" / "media", "set")


def test_other_folders(tmp_path: Path) -> None:
    file = records(tmp_path / "one" / "x.jsonl", 1)
    assert load_blend(tmp_path / "one")[0].path == file
    records(tmp_path / "one" / "y.jsonl", 1)
    with pytest.raises(ConfigError, match=r"record files found: x\.jsonl, y\.jsonl"):
        load_blend(tmp_path / "one")
    blend_file(tmp_path / "one" / "metadataset.yaml", train={"path": "y.jsonl"})
    assert [s.name for s in load_blend(tmp_path / "one")] == ["y"]


def test_weights_are_shares(here: Path) -> None:
    file = blend_file(
        here / "blend.yaml",
        train={"blend": [{"weight": 3, "path": "a.jsonl"}, {"path": "b.jsonl"}]},
        val={"path": "c.jsonl"},
    )
    first, second = load_blend(file)
    assert (first.weight, second.weight) == (0.75, 0.25)
    assert (first.repetitions, first.start, first.stop) == (None, 0, None)
    (only,) = load_blend(file, "val")
    assert (only.name, only.weight) == ("c", 1.0)


def test_everything_a_reference_may_say(here: Path) -> None:
    (here / "pictures").mkdir()
    file = blend_file(
        here / "sub" / "blend.yaml",
        train={
            "blend": [
                {
                    "weight": 1.5,
                    "path": "../a.jsonl",
                    "subflavors": {"source": "charts", "kind": "qa"},
                    "aux": {"media": "../pictures"},
                    "subset": {"range": ["50%", "75%"]},
                    "shuffle_over_epochs_multiplier": 2,
                }
            ]
        },
    )
    (source,) = load_blend(file)
    assert source.path.resolve() == here / "a.jsonl"
    assert source.media is not None
    assert source.media.resolve() == here / "pictures"
    assert source == Source(
        name="charts",
        path=source.path,
        media=source.media,
        weight=1.0,
        start=50,
        stop=75,
        subflavors={"source": "charts", "kind": "qa"},
        shuffle_over_epochs=2,
    )


def test_media_may_be_a_plain_folder_for_energon(here: Path) -> None:
    (here / "pictures").mkdir()
    reference = {"path": "a.jsonl", "aux": {"media": "filesystem://pictures"}}
    (source,) = load_blend(blend_file(here / "blend.yaml", train=reference))
    assert source.media == here / "pictures"


def test_blends_nest_and_multiply(here: Path) -> None:
    blend_file(
        here / "inner" / "inner.yaml",
        train={"blend": [{"weight": 1, "path": "../b.jsonl"}, {"weight": 4, "path": "../c.jsonl"}]},
    )
    file = blend_file(
        here / "outer.yaml",
        train={
            "blend": [
                {"weight": 2, "path": "a.jsonl"},
                {"weight": 2, "path": "inner/inner.yaml"},
            ]
        },
    )
    assert [(s.name, s.weight) for s in load_blend(file)] == [
        ("a", 0.5),
        ("b", pytest.approx(0.1)),
        ("c", pytest.approx(0.4)),
    ]


def test_repetitions_multiply(here: Path) -> None:
    blend_file(
        here / "inner.yaml",
        train={"blend_epochized": [{"repetitions": 3, "path": "b.jsonl"}, {"path": "c.jsonl"}]},
    )
    file = blend_file(
        here / "outer.yaml",
        train={
            "blend_epochized": [
                {"repetitions": 0.25, "path": "a.jsonl"},
                {"repetitions": 2, "path": "inner.yaml"},
            ]
        },
    )
    found = [(s.name, s.repetitions) for s in load_blend(file)]
    assert found == [("a", 0.25), ("b", 6.0), ("c", 2.0)]


@pytest.mark.parametrize(
    ("inner", "outer"), [("blend", "blend_epochized"), ("blend_epochized", "blend")]
)
def test_weights_and_repetitions_do_not_mix(inner: str, outer: str, here: Path) -> None:
    blend_file(here / "inner.yaml", train={inner: [{"path": "b.jsonl"}]})
    file = blend_file(here / "outer.yaml", train={outer: [{"path": "inner.yaml"}]})
    with pytest.raises(ConfigError, match="either all weighted"):
        load_blend(file)


def test_outer_subflavors_win(here: Path) -> None:
    blend_file(
        here / "inner.yaml",
        train={"path": "a.jsonl", "subflavors": {"source": "inner", "only": 1}},
    )
    file = blend_file(
        here / "outer.yaml",
        train={"blend": [{"path": "inner.yaml", "subflavors": {"source": "outer", "x": 2}}]},
    )
    (source,) = load_blend(file)
    assert source.name == "outer"
    assert source.subflavors == {"source": "outer", "only": 1, "x": 2}


@pytest.mark.parametrize(
    ("range", "expected"),
    [
        (["0%", "25%"], (0, 25)),
        (["25%", "100%"], (25, 100)),
        (["33.3%", "66.6%"], (33, 66)),
        ([10, 20], (10, 20)),
        ([90, "end"], (90, 100)),
        ([0, 0], (0, 0)),
    ],
)
def test_subsets(range: list[Any], expected: tuple[int, int], here: Path) -> None:
    reference = {"path": "a.jsonl", "subset": {"range": range}}
    (source,) = load_blend(blend_file(here / "blend.yaml", train=reference))
    assert (source.start, source.stop) == expected


def test_subsets_nest_from_the_inside_out(here: Path) -> None:
    # A quarter to three quarters, and of that the first half; then records 20 to 60, first half.
    blend_file(
        here / "inner.yaml",
        train={
            "blend": [
                {"path": "a.jsonl", "subset": {"range": ["25%", "75%"]}},
                {"path": "a.jsonl", "subset": {"range": [20, 60]}},
                {"path": "a.jsonl"},
            ]
        },
    )
    outer = {"path": "inner.yaml", "subset": {"range": ["0%", "50%"]}}
    file = blend_file(here / "outer.yaml", train={"blend": [outer]})
    assert [(s.start, s.stop) for s in load_blend(file)] == [(25, 50), (20, 40), (0, 50)]
    file = blend_file(
        here / "whole.yaml",
        train={"blend": [{"path": "inner.yaml"}], "subset": {"range": ["50%", "100%"]}},
    )
    assert [(s.start, s.stop) for s in load_blend(file)] == [(50, 75), (40, 60), (50, 100)]


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [(1, 1, 1), (2, 3, 6), (None, 3, None), (-1, None, None), (-1, 4, -1), (4, -1, -1)],
)
def test_shuffling_over_epochs(
    inner: int | None, outer: int | None, expected: int | None, here: Path
) -> None:
    key = "shuffle_over_epochs_multiplier"
    blend_file(here / "inner.yaml", train={"path": "a.jsonl", key: inner})
    file = blend_file(here / "outer.yaml", train={"path": "inner.yaml", key: outer})
    assert load_blend(file)[0].shuffle_over_epochs == expected


def test_a_split_may_be_renamed(here: Path) -> None:
    blend_file(here / "inner.yaml", train={"path": "a.jsonl"}, val={"path": "b.jsonl"})
    file = blend_file(here / "outer.yaml", train={"path": "inner.yaml", "split_part": "val"})
    assert [s.name for s in load_blend(file)] == ["b"]


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"blend": []}, r"splits\.train\.blend: got \[\], expected a list"),
        ({"blend": ["a.jsonl"]}, r"blend\[0\]: got 'a\.jsonl', expected a reference"),
        ({"blend": [{"path": "a.jsonl", "wieght": 1}]}, "unknown key 'wieght'; did you mean 'weig"),
        ({"blend": [{"path": "a.jsonl", "repetitions": 1}]}, "unknown key 'repetitions'"),
        ({"blend_epochized": [{"path": "a.jsonl", "weight": 1}]}, "unknown key 'weight'"),
        ({"path": "a.jsonl", "weight": 1}, "unknown key 'weight'"),
        ({"blend": [{"path": "a.jsonl"}], "shuffle": 1}, "unknown key 'shuffle'"),
        ({"blend": [{"path": "a.jsonl", "weight": "1"}]}, r"weight: got '1', expected a number"),
        ({"blend": [{"path": "a.jsonl", "weight": -1}]}, "expected a finite number of at least 0"),
        ({"blend": [{"path": "a.jsonl", "weight": float("nan")}]}, "expected a finite number"),
        ({"blend": [{"path": "a.jsonl", "weight": 0}]}, "every weight is 0"),
        ({"blend": [{"blend": [{"path": "a.jsonl"}]}]}, "a blend inside a blend is a file"),
        ({"join": [{"path": "a.jsonl"}], "joiner": {}}, "joins are not read"),
        ({"path": "d.jsonl"}, r"d\.jsonl: no such file or folder; did you mean '\w\.jsonl'"),
        ({"path": "nested.yml"}, r"nested\.yml: no such file"),
        ({"path": 3}, "path: got 3, expected a path"),
        ({}, "path: got None, expected a path"),
        ({"path": "${DATA}/a.jsonl"}, "environment variables are not filled in"),
        ({"path": "msc://bucket/a.jsonl"}, "only local paths"),
        ({"path": "note.txt"}, r"expected a record file \(\.jsonl or \.jsonl\.gz\)"),
        ({"path": "a.jsonl", "aux": {"meda": "x"}}, "unknown key 'meda'; did you mean 'media'"),
        ({"path": "a.jsonl", "aux": "x"}, "aux: got 'x', expected media: PATH"),
        ({"path": "a.jsonl", "aux": {"media": "nowhere"}}, r"aux\.media: .*nowhere: no such"),
        ({"path": "a.jsonl", "subflavors": "x"}, "subflavors: got 'x'"),
        ({"path": "a.jsonl", "shuffle_over_epochs_multiplier": 0}, "got 0, expected 1 or more"),
        ({"path": "a.jsonl", "subset": [1, 2]}, r"expected range: \[0%, 25%\]"),
        ({"path": "a.jsonl", "subset": {"rang": 1}}, "unknown key 'rang'"),
        ({"path": "a.jsonl", "subset": {"range": [1]}}, "expected two values"),
        ({"path": "a.jsonl", "subset": {"range": [1, "50%"]}}, "two percentages or two record"),
        ({"path": "a.jsonl", "subset": {"range": ["end", "end"]}}, "only the second may be end"),
        ({"path": "a.jsonl", "subset": {"range": ["0%", "101%"]}}, "got '101%', expected"),
        ({"path": "a.jsonl", "subset": {"range": ["0", "1"]}}, "got '0', expected"),
        ({"path": "a.jsonl", "subset": {"range": [-1, 5]}}, "got -1, expected"),
        ({"path": "a.jsonl", "subset": {"range": [5, 4]}}, "ends before it begins"),
        ({"path": "a.jsonl", "subset": {"range": [5, 101]}}, r"records 5 to 101, but .* has 100"),
    ],
)
def test_mistakes_are_named(node: dict[str, Any], message: str, here: Path) -> None:
    (here / "note.txt").write_text("x")
    with pytest.raises(ConfigError, match=message):
        load_blend(blend_file(here / "blend.yaml", train=node))


def test_record_numbers_belong_to_record_files(here: Path) -> None:
    blend_file(here / "inner.yaml", train={"path": "a.jsonl"})
    subset = {"subset": {"range": [0, 5]}}
    with pytest.raises(ConfigError, match="over a blend file give percentages"):
        load_blend(blend_file(here / "o.yaml", train={"path": "inner.yaml", **subset}))
    outer = {"blend": [{"path": "a.jsonl", "subset": {"range": ["0%", "5%"]}}], **subset}
    with pytest.raises(ConfigError, match="use percentages there"):
        load_blend(blend_file(here / "o.yaml", train=outer))


def test_other_files(here: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_blend(here / "none.jsonl")
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_blend(here / "none.yaml")
    good = yaml.safe_load(blend_file(here / "g.yaml", train={"path": "a.jsonl"}).read_text())
    for change, message in (
        ({"__class__": "Metadataset"}, "got 'Metadataset', expected 'MetadatasetV2'"),
        ({"__module__": "x"}, "__module__: got 'x'"),
        ({"splits": []}, r"splits: got \[\]"),
        ({"split": {}}, "unknown key 'split'; did you mean 'splits'"),
        ({"splits": {"trian": {}}}, "has no split 'train'; did you mean 'trian'"),
    ):
        (here / "bad.yaml").write_text(yaml.safe_dump(good | change))
        with pytest.raises(ConfigError, match=message):
            load_blend(here / "bad.yaml")


def test_a_blend_that_contains_itself(here: Path) -> None:
    blend_file(here / "one.yaml", train={"path": "two.yaml"})
    blend_file(here / "two.yaml", train={"path": "one.yaml"})
    with pytest.raises(ConfigError, match="contains itself"):
        load_blend(here / "one.yaml")


def test_the_real_energon_agrees(here: Path) -> None:
    pytest.importorskip("megatron.energon")
    from megatron.energon import WorkerConfig
    from megatron.energon.epathlib import EPath
    from megatron.energon.metadataset.loader import load_dataset

    for name in "abc":
        _energon_index(here / f"{name}.jsonl")
    blend_file(
        here / "inner.yaml",
        train={
            "blend": [
                {"weight": 1, "path": "b.jsonl", "subflavors": {"source": "bee", "k": 1}},
                {"weight": 4, "path": "c.jsonl", "subset": {"range": ["10%", "90%"]}},
                {"weight": 2, "path": "a.jsonl", "subset": {"range": [7, 61]}},
            ]
        },
    )
    file = blend_file(
        here / "outer.yaml",
        train={
            "blend": [
                {"weight": 2, "path": "a.jsonl"},
                {
                    "weight": 3,
                    "path": "inner.yaml",
                    "subset": {"range": ["33%", "81%"]},
                    "subflavors": {"k": 2},
                    "shuffle_over_epochs_multiplier": 3,
                },
            ]
        },
    )
    loaded = load_dataset(EPath(str(file))).get_datasets(
        training=True,
        split_part="train",
        worker_config=WorkerConfig(rank=0, world_size=1, num_workers=0),
    )
    sources = load_blend(file)
    assert len(loaded.datasets) == len(sources) == 4
    for mine, theirs in zip(sources, loaded.datasets, strict=True):
        assert str(mine.path) == str(theirs.dataset.path)
        assert mine.weight == pytest.approx(theirs.weight, abs=1e-12)
        assert dict(mine.subflavors) == (theirs.dataset.subflavors or {})
        assert mine.shuffle_over_epochs == theirs.dataset.shuffle_over_epochs
        subset = theirs.dataset.subset
        if subset is not None:
            assert (mine.start, mine.stop) == subset.compute_subset(len(theirs.dataset))


def _energon_index(path: Path) -> None:
    """What `energon prepare` writes beside a record file."""
    offsets = [0]
    for line in path.read_bytes().splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    index = b"".join(n.to_bytes(8, "little") for n in offsets)
    path.with_suffix(".jsonl.idx").write_bytes(index)
