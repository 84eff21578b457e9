"""Strict configuration: suggestions, types, overrides, round trips."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from nanovl.core.config import apply_overrides, from_dict, load_yaml, nearest, to_dict
from nanovl.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Optim:
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)
    name: Literal["adamw", "sgd"] = "adamw"


@dataclass(frozen=True, kw_only=True)
class Run:
    steps: int
    optim: Optim = field(default_factory=Optim)
    folder: Path = Path("runs")
    notes: tuple[str, ...] = ()
    limit: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    fast: bool = False


def test_fields_are_filled_and_converted() -> None:
    run = from_dict(
        Run,
        {
            "steps": 3,
            "optim": {"lr": "1e-5", "betas": [0, 1]},
            "folder": "x/y",
            "notes": ["a", "b"],
            "limit": None,
            "extra": {"k": [1]},
            "fast": True,
        },
    )
    assert run.optim == Optim(lr=1e-5, betas=(0.0, 1.0))
    assert (run.folder, run.notes, run.limit, run.fast) == (Path("x/y"), ("a", "b"), None, True)
    assert run.extra == {"k": [1]}


def test_dicts_round_trip() -> None:
    run = Run(steps=2, optim=Optim(name="sgd"), notes=("a",), limit=4)
    assert to_dict(run)["optim"] == {"lr": 1e-3, "betas": [0.9, 0.95], "name": "sgd"}
    assert from_dict(Run, to_dict(run)) == run


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"steps": 1, "stpes": 2}, "config: unknown key 'stpes'; did you mean 'steps'"),
        ({"steps": 1, "optim": {"lrr": 2}}, r"config\.optim: unknown key 'lrr'; did you mean 'lr'"),
        ({"steps": 1, "zzzzzz": 2}, "unknown key 'zzzzzz'$"),
        ({}, "config: missing steps"),
        ({"steps": "3"}, r"config\.steps: got '3' \(str\), expected int"),
        ({"steps": True}, r"config\.steps: got True \(bool\), expected int"),
        ({"steps": 1.5}, "expected int"),
        ({"steps": 1, "fast": 1}, r"config\.fast: got 1 \(int\), expected bool"),
        (
            {"steps": 1, "optim": {"lr": "fast"}},
            r"config\.optim\.lr: got 'fast', expected a number",
        ),
        ({"steps": 1, "optim": {"name": "adam"}}, "expected one of 'adamw', 'sgd'; did you mean"),
        ({"steps": 1, "optim": {"betas": [1]}}, "betas: got 1 values, expected 2"),
        ({"steps": 1, "optim": 3}, r"config\.optim: got int, expected a mapping"),
        ({"steps": 1, "notes": "abc"}, "notes: got 'abc', expected a list"),
        ({"steps": 1, "notes": [1]}, r"notes\[0\]: got 1 \(int\), expected str"),
        ({"steps": 1, "extra": []}, "extra: got .*, expected a mapping"),
        ({"steps": 1, "limit": "x"}, "limit: got 'x'"),
    ],
)
def test_mistakes_are_named(data: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        from_dict(Run, data)


def test_the_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"run\.yaml: unknown key 'x'"):
        from_dict(Run, {"steps": 1, "x": 1}, where="run.yaml")
    with pytest.raises(ConfigError, match=r"run\.yaml: got list"):
        from_dict(Run, [], where="run.yaml")  # type: ignore[arg-type]


def test_nearest() -> None:
    assert nearest("tile", ["tiles", "native"]) == "; did you mean 'tiles'?"
    assert nearest("qqq", ["tiles", "native"]) == ""


def test_overrides() -> None:
    data = {"steps": 1, "optim": {"lr": 1.0}}
    changed = apply_overrides(data, ["optim.lr=1e-5", "steps=4", "notes=[a, b]", "optim.name=sgd"])
    run = from_dict(Run, changed)
    assert (run.steps, run.optim.lr, run.optim.name, run.notes) == (4, 1e-5, "sgd", ("a", "b"))
    assert data == {"steps": 1, "optim": {"lr": 1.0}}
    assert apply_overrides({}, ["a.b.c=1"]) == {"a": {"b": {"c": 1}}}
    assert apply_overrides({}, ["a=x=y"]) == {"a": "x=y"}
    assert apply_overrides({}, ["a=null"]) == {"a": None}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("optim.lr", r"override 'optim\.lr': expected section\.key=value"),
        ("=3", "expected section"),
        ("steps.x=3", "'steps' is a value, not a section"),
        ("steps=[", "not valid YAML"),
    ],
)
def test_bad_overrides(word: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        apply_overrides({"steps": 1}, [word])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"- a\n", "got list, expected a mapping"),
        (b"a: [", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"run\.yaml.*{expected}"):
        load_yaml(path)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    with pytest.raises(ConfigError, match=r"run\.yaml: cannot be read"):
        load_yaml(path)
    path.write_text("")
    assert load_yaml(path) == {}
    path.write_text("steps: 3\n")
    assert load_yaml(path) == {"steps": 3}
