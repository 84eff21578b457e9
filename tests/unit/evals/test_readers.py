"""Every benchmark's files, written in their own format, come back as samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.evals.base import Medium
from nanovl.evals.readers import load
from nanovl.evals.registry import benchmark, benchmarks
from tests.unit.evals.official import OFFICIAL, Want


def holds(medium: Medium, wanted: bytes | str) -> bool:
    if isinstance(wanted, str):
        return medium.path is not None and Path(medium.path).as_posix().endswith(wanted)
    data = medium.data if medium.data is not None else Path(medium.path or "").read_bytes()
    return data == wanted


def test_every_benchmark_has_a_fixture() -> None:
    assert set(OFFICIAL) == set(benchmarks())


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_official_files_are_read_back(name: str, tmp_path: Path) -> None:
    wanted = OFFICIAL[name](tmp_path)
    one = benchmark(name)
    units = load(one, tmp_path)
    found = {(unit.part, sample.id): sample for unit in units for sample in unit.samples}
    for unit in units:
        assert unit.problems == ()
        assert unit.found == unit.manifest["found"]
        assert all(len(record.sha256) == 64 and record.rows for record in unit.files)
    separate = one.combine == "separate" and len(one.files) > 1
    keys = [(want.part if separate else "", want.id) for want in wanted]
    assert list(found) == keys
    for key, want in zip(keys, wanted, strict=True):
        check(found[key], want)


def check(sample: object, want: Want) -> None:
    for key in ("id", "question", "answer", "hint", "group", "category"):
        assert getattr(sample, key) == getattr(want, key), key
    assert dict(sample.options) == dict(want.options)  # type: ignore[attr-defined]
    media = sample.media  # type: ignore[attr-defined]
    assert len(media) == len(want.media)
    for medium, expected in zip(media, want.media, strict=True):
        assert holds(medium, expected)
        is_pdf = isinstance(expected, bytes) and expected.startswith(b"%PDF")
        kind = "video" if isinstance(expected, str) else "pdf" if is_pdf else "image"
        assert medium.kind == kind
    for key, value in want.meta.items():
        assert sample.meta[key] == value, key  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_missing_files_are_named_with_where_to_put_them(name: str, tmp_path: Path) -> None:
    one = benchmark(name)
    with pytest.raises(InputError) as error:
        load(one, tmp_path)
    message = str(error.value)
    assert one.files[0].names[0] in message
    assert one.source in message
    assert str(tmp_path / one.files[0].names[0]) in message
    assert "downloads no benchmark" in message
    with pytest.raises(InputError, match="there is no"):
        load(one, tmp_path / "nowhere")


def test_the_network_is_refused() -> None:
    with pytest.raises(InputError, match="read from disk only"):
        load(benchmark("mmstar"), Path("https://example.org/LMUData"))


def test_a_benchmark_may_have_a_folder_of_its_own(tmp_path: Path) -> None:
    wanted = OFFICIAL["mmstar"](tmp_path / "mmstar")
    (unit,) = load(benchmark("mmstar"), tmp_path)
    assert [s.id for s in unit.samples] == [w.id for w in wanted]
    (unit,) = load(benchmark("mmstar"), tmp_path / "mmstar" / "MMStar.tsv")
    assert len(unit.samples) == 2


def test_parts_are_chosen_by_name(tmp_path: Path) -> None:
    OFFICIAL["mmmb"](tmp_path)
    units = load(benchmark("mmmb"), tmp_path, parts=["ru", "en"])
    assert [unit.name for unit in units] == ["mmmb/ru", "mmmb/en"]
    with pytest.raises(ConfigError, match="did you mean 'en'"):
        load(benchmark("mmmb"), tmp_path, parts=["enn"])
    (tmp_path / "MMMB_tr.tsv").unlink()
    with pytest.raises(InputError, match="part tr"):
        load(benchmark("mmmb"), tmp_path)


def test_an_optional_part_may_be_missing(tmp_path: Path) -> None:
    OFFICIAL["docvqa"](tmp_path)
    (tmp_path / "DocVQA_TEST.tsv").unlink()
    (unit,) = load(benchmark("docvqa"), tmp_path)
    assert (unit.part, unit.expected) == ("val", 5349)
    with pytest.raises(InputError, match="DocVQA_TEST"):
        load(benchmark("docvqa"), tmp_path, parts=["test"])


@pytest.mark.parametrize(
    ("name", "found", "expected"),
    [
        ("pope", 3, 9000),
        ("dynamath_worst", 2, 501),
        ("wemath", 2, 525),
        ("scicode", 2, 80),
        ("mmmu_val", 2, 900),
        ("mmmu_pro", 2, 3460),
        ("screenspot_pro", 6, 1581),
        ("cv_bench", 2, 2638),
        ("ruler", 2, 6500),
        ("mmstar", 2, 1500),
    ],
)
def test_counts_are_those_the_registry_means(
    name: str, found: int, expected: int, tmp_path: Path
) -> None:
    OFFICIAL[name](tmp_path)
    (unit,) = load(benchmark(name), tmp_path)
    assert (unit.found, unit.expected) == (found, expected)


def test_a_limit_draws_whole_questions(tmp_path: Path) -> None:
    OFFICIAL["dynamath_worst"](tmp_path)
    (unit,) = load(benchmark("dynamath_worst"), tmp_path, limit=1)
    assert {s.group for s in unit.samples} == {"0"}
    assert len(unit.samples) == 2
    assert unit.found == 2  # of the whole file
    OFFICIAL["crpe_relation"](tmp_path)
    (unit,) = load(benchmark("crpe_relation"), tmp_path, limit=5)
    assert len(unit.samples) == 8


def test_pictures_can_stay_on_disk(tmp_path: Path) -> None:
    OFFICIAL["mmstar"](tmp_path)
    (kept,) = load(benchmark("mmstar"), tmp_path, media_folder=tmp_path / "media")
    (held,) = load(benchmark("mmstar"), tmp_path)
    assert len(list((tmp_path / "media").iterdir())) == 2
    for a, b in zip(kept.samples, held.samples, strict=True):
        assert a.media[0].data is None
        assert Path(str(a.media[0].path)).read_bytes() == b.media[0].data
