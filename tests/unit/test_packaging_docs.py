"""The documents agree with the repository: links, make targets, environment variables, extras."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from nanovl.core.generation import ReasoningParams, SamplingParams
from nanovl.processing.config import ProcessorConfig, Request
from nanovl.processing.media import Limits
from tools import make_demo_media

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, made as code hosts make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, flags=re.M)
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        aim = (page.parent / file).resolve() if file else page
        assert aim.exists(), f"{name_of(page)} links to {target}, which does not exist"
        if anchor:
            assert anchor in anchors(aim), f"{name_of(page)}: no heading for {target}"


def test_every_make_command_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.M))
    phony = re.search(r"^\.PHONY: (.+)$", makefile, flags=re.M)
    assert phony is not None
    assert set(phony.group(1).split()) == targets
    described = set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.M))
    assert described == targets, "every target has a line in `make help`"
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for words in re.findall(r"(?:^|`)make (?:-C \w+ )?((?:[a-z-]+ ?)+)", text, flags=re.M):
            unknown = set(words.split()) - targets
            assert not unknown, f"{name_of(page)}: make {words}: no target {unknown}"


def test_every_environment_variable_is_documented() -> None:
    used = {
        name
        for path in SOURCES
        for name in re.findall(r"\bNANOVL_[A-Z_]+\b", path.read_text(encoding="utf-8"))
    }
    page = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"\bNANOVL_[A-Z_]+\b", page))
    assert used == documented


def test_every_error_class_is_documented() -> None:
    source = (ROOT / "src/nanovl/core/errors.py").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    for name in re.findall(r"^class (\w+)", source, flags=re.M):
        assert f"`{name}`" in page, f"docs/reference/errors.md does not explain {name}"


@pytest.mark.parametrize(
    "settings", [SamplingParams, ReasoningParams, Request, ProcessorConfig, Limits]
)
def test_every_setting_is_documented(settings: type) -> None:
    page = (ROOT / "docs" / "reference" / "config.md").read_text(encoding="utf-8")
    missing = [f.name for f in dataclasses.fields(settings) if f"`{f.name}`" not in page]
    assert not missing, f"docs/reference/config.md does not explain {missing}"


def test_extras_named_anywhere_exist() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = set(tomllib.load(file)["project"]["optional-dependencies"])
    for path in [*PAGES, *SOURCES]:
        text = path.read_text(encoding="utf-8")
        for names in re.findall(r"nanovl\[([a-z,-]+)\]", text):
            assert set(names.split(",")) <= extras, f"{name_of(path)}: nanovl[{names}]"
        for name in re.findall(r"missing_extra\(\s*\"[\w.]+\",\s*\"([\w-]+)\"", text):
            assert name in extras, f"{name_of(path)} names the extra {name!r}"


def test_demo_pictures_are_those_the_tool_draws(tmp_path: Path, demo: Path) -> None:
    make_demo_media.main(tmp_path)
    drawn = {p.name for p in tmp_path.iterdir()}
    assert drawn == {"receipt.png", "chart.png", "page.png"}
    for name in drawn:
        with Image.open(demo / name) as kept, Image.open(tmp_path / name) as again:
            assert kept.size == again.size
