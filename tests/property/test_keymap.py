"""The key map is idempotent, and bijective on the names of a model."""

from __future__ import annotations

from hypothesis import given, settings, strategies as st

from nanovl.checkpoint.keymap import canonical_name, expected_tensors
from nanovl.model.config import preset

NAMES = sorted(expected_tensors(preset("12b")))
WORDS = st.sampled_from(
    [
        "model",
        "language_model",
        "backbone",
        "vision_model",
        "mlp1",
        "lm_head",
        "embeddings",
        "layers",
        "norm_f",
        "0",
        "weight",
    ]
)


@settings(max_examples=50, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=6).map(".".join))
def test_idempotent(name: str) -> None:
    once = canonical_name(name)
    assert canonical_name(once) == once


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(NAMES))
def test_released_names_are_fixed_points(name: str) -> None:
    assert canonical_name(name) == name


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(NAMES), st.sampled_from(["", "model."]), st.booleans())
def test_every_alias_leads_back(name: str, prefix: str, renamed: bool) -> None:
    alias = name.replace("language_model.backbone.", "language_model.model.") if renamed else name
    assert canonical_name(prefix + alias) == name


def test_aliases_of_different_tensors_stay_different() -> None:
    aliases = [n.replace("language_model.backbone.", "model.") for n in NAMES]
    assert len({canonical_name(alias) for alias in aliases}) == len(NAMES)
