"""The package as a whole: versions, exported names, docstrings, what an import costs."""

from __future__ import annotations

import ast
import hashlib
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import nanovl

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "nanovl"
MODULES = sorted(p for p in SOURCE.rglob("*.py"))
ROOMS = sorted(p.parent for p in SOURCE.glob("*/__init__.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dotted(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def exported(path: Path) -> list[str] | None:
    """The module's `__all__` if it is written as a plain list."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
        ):
            names = node.value.elts if isinstance(node.value, ast.List) else []
            plain = [n.value for n in names if isinstance(n, ast.Constant)]
            return plain if len(plain) == len(names) > 0 else None
    return None


def export_order(name: str) -> tuple[int, str]:
    """SCREAMING, then CamelCase, then the rest."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2), name


def test_version_is_the_same_everywhere() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\]", changelog, flags=re.MULTILINE)
    assert versions, "CHANGELOG.md names no version"
    assert versions[0] == nanovl.__version__
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/nanovl/__init__.py"


def test_license_is_the_whole_apache_text() -> None:
    text = (ROOT / "LICENSE").read_bytes()
    expected = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    assert hashlib.sha256(text).hexdigest() == expected


def test_rooms_are_those_of_the_import_contract() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = next(c for c in contracts if c["type"] == "layers")["layers"]
    declared = {room.strip() for layer in layers for room in layer.split("|")}
    assert {r.name for r in ROOMS} == {r for r in declared if not r.startswith("(")}


def test_modules_say_what_they_are_for() -> None:
    silent = []
    for path in MODULES:
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if not docstring.split("\n\n")[0].endswith((".", ":", "?")):
            silent.append(relative(path))
    assert not silent, "no docstring, or its first paragraph is not a sentence"


@pytest.mark.parametrize("room", ROOMS, ids=lambda p: p.name)
def test_room_tells_the_reading_order(room: Path) -> None:
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
    assert docstring
    assert "Reading order" in docstring
    order = docstring.split("Reading order", 1)[1]
    named = set(re.findall(r"[a-z_0-9]+", order))
    unnamed = {p.stem for p in room.glob("*.py")} - {"__init__"} - named
    assert not unnamed, f"{room.name}: reading order leaves out {sorted(unnamed)}"


def test_exported_names_exist_and_are_sorted() -> None:
    faults = []
    for path in MODULES:
        names = exported(path)
        if names is None:
            continue
        module = importlib.import_module(dotted(path))
        missing = [name for name in names if not hasattr(module, name)]
        if missing or names != sorted(set(names), key=export_order):
            faults.append((dotted(path), missing, names))
    assert not faults, "module, names that do not exist, names (twice or not sorted)"


def test_sources_are_ascii_and_finished() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        strange = sorted({c for c in text if ord(c) > 127})
        assert not strange, f"{relative(path)} contains {strange}"
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", text), f"{relative(path)} is not finished"
        assert path.name != "utils.py"


def test_environment_is_read_in_one_module() -> None:
    readers = [
        relative(path)
        for path in MODULES
        if re.search(r"os\.(environ|getenv)", path.read_text(encoding="utf-8"))
    ]
    assert readers == ["src/nanovl/core/paths.py"]


def test_import_is_cheap() -> None:
    code = (
        "import sys, nanovl, nanovl.testing;"
        "heavy = {'torch', 'numpy', 'PIL', 'av', 'tokenizers', 'typer', 'huggingface_hub'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_public_names_resolve() -> None:
    for name in nanovl.__all__:
        assert getattr(nanovl, name) is not None
        assert name in dir(nanovl)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = nanovl.lod


def test_test_kit_names_resolve() -> None:
    kit = importlib.import_module("nanovl.testing")
    for name in kit.__all__:
        value = getattr(kit, name)
        assert callable(value), f"nanovl.testing.{name} is {value!r}"
        assert value.__doc__, f"nanovl.testing.{name} has no docstring"
    with pytest.raises(AttributeError, match="no attribute 'pictures'"):
        _ = kit.pictures


def test_no_large_file_enters_by_accident() -> None:
    large = [
        relative(p)
        for p in SOURCE.rglob("*")
        if p.is_file() and p.stat().st_size > 500_000 and p.suffix != ".pyc"
    ]
    assert all(name.startswith("src/nanovl/assets/mini/") for name in large), large
