"""docs/reference/recipes.md is what the dataclasses and the bundled recipes say."""

from __future__ import annotations

import re

from nanovl.core.config import to_dict
from nanovl.train.config import OptimConfig, load_recipe, recipe_names
from tools import recipe_page


def flat(data, prefix=""):
    for key, value in data.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_the_page_is_fresh():
    page = recipe_page.PAGE.read_text(encoding="utf-8")
    assert page == recipe_page.page(), (
        "docs/reference/recipes.md is stale; run: python tools/recipe_page.py"
    )


def test_every_key_and_recipe_has_a_row_with_a_meaning():
    page = recipe_page.page()
    rows = dict(re.findall(r"^\| `([\w./]+)` \|.*\| ([^|]+) \|$", page, flags=re.M))
    whole = [load_recipe("qad"), load_recipe("mini/stage2")]  # distill is set, reuse is set
    keys = {key for recipe in whole for key in flat(to_dict(recipe))}
    assert len(keys) > 80
    assert keys - rows.keys() <= {"distill"}
    assert set(recipe_names()) <= rows.keys()
    assert all(meaning.strip() for meaning in rows.values())


def test_joint_explanations_name_what_they_explain():
    rows = recipe_page._rows(OptimConfig, "optim.", True)
    meanings = {key: meaning for key, _, _, meaning in rows}
    assert meanings["`optim.min_lr`"].startswith("`lr`, `min_lr`: ")
    assert meanings["`optim.clip`"] == "Largest global gradient norm; null does not clip."
