"""Looks are drawn with scaled chances, as a function of configuration, seed and name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from nanovl.core.errors import ConfigError
from nanovl.synth.tex.augment import AugmentConfig, draw, load_augment
from nanovl.synth.tex.hues import contrast

NAMES = [f"paper-{k}" for k in range(2000)]


def test_the_scale_leaves_the_stated_share_unchanged() -> None:
    config = AugmentConfig()
    draws = [draw(config, name) for name in NAMES]
    unchanged = sum(not d.changes for d in draws) / len(draws)
    assert unchanged == pytest.approx(0.1, abs=0.02)
    counts = Counter(change for d in draws for change in d.changes)
    assert counts["font"] / len(draws) == pytest.approx(config.scale, abs=0.04)
    assert counts["page"] / len(draws) == pytest.approx(0.3 * config.scale, abs=0.03)
    assert counts["letter_spacing"] == 0  # breaks the blanks of text; off unless asked for


def test_the_published_list_gives_the_published_scale() -> None:
    """Eighteen chances of 0.3, one of 0.1 and one of 1.0 are scaled by about 0.33."""
    base = [0.3] * 18 + [0.1, 1.0]
    config = AugmentConfig()
    shares = ("crop_marks", "frame", "fit_floats", "balanced", "column_rule")
    names = [n for n in vars(config) if n not in ("changed", "fonts", *shares)]
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        kept = 1.0
        for p in base:
            kept *= 1 - middle * p
        low, high = (middle, high) if 1 - kept < 0.9 else (low, middle)
    assert high == pytest.approx(0.329, abs=0.01)
    kept = 1.0
    for name in names:
        kept *= 1 - min(1.0, config.scale * getattr(config, name))
    assert 1 - kept == pytest.approx(0.9, abs=1e-6)


def test_a_draw_depends_on_name_and_seed_alone() -> None:
    config = AugmentConfig()
    assert draw(config, "a", seed=1) == draw(config, "a", seed=1)
    assert len({draw(config, "a", seed=k).style for k in range(20)}) > 10
    assert len({draw(config, n).style for n in NAMES[:20]}) > 10


def test_colours_keep_their_contrast_and_pages_their_text() -> None:
    config = AugmentConfig(changed=0.99, text_color=1, page_color=1, sepia=1, page=1, columns=1)
    for name in NAMES[:500]:
        style = draw(config, name).style
        assert contrast(style.text_color or "000000", style.page_color or "ffffff") > 2
        if style.width_mm is not None:
            assert style.left_mm is not None
            assert style.right_mm is not None
            assert style.width_mm - style.left_mm - style.right_mm > 0.4 * style.width_mm
            assert 60 <= style.width_mm <= 800


def test_every_change_of_the_list_is_drawn_and_valid() -> None:
    config = AugmentConfig(
        changed=0.999, letter_spacing=0.3, float_rotation=1, watermark=1, furniture=1,
        running_head=1, page_rotation=1, table_rules=1, background=1, section_color=1,
        crop_marks=0.5, frame=0.5,
    )  # fmt: skip
    made = [draw(config, name) for name in NAMES[:600]]
    drawn = {change for d in made for change in d.changes}
    assert drawn == {
        n for n in vars(config)
        if n not in ("changed", "fonts", "crop_marks", "frame", "fit_floats", "balanced",
                     "column_rule")
    }  # fmt: skip
    values = {name for d in made for name, v in vars(d.style).items() if v is not None}
    assert values == set(vars(made[0].style)) - {"margin_mm", "mono_font"}
    for d in made:
        style = d.style
        pages = [style.page_color or "ffffff", *(style.background_colors or ())]
        if style.watermark_color:
            pages.append(style.watermark_color)
        for text in (style.text_color or "000000", *(style.section_colors or ())):
            assert all(contrast(text, page) > 2 for page in pages), style
        assert bool(style.options()) == bool(d.changes)


def test_contrast_is_that_of_the_web_guidelines() -> None:
    assert contrast("000000", "ffffff") == pytest.approx(21)
    assert contrast("777777", "ffffff") == pytest.approx(4.48, abs=0.01)


def test_a_file_of_chances(tmp_path: Path) -> None:
    path = tmp_path / "looks.yaml"
    path.write_text("page: 0.5\nfonts: [Noto Serif]\n")
    config = load_augment(path)
    assert (config.page, config.fonts) == (0.5, ("Noto Serif",))
    path.write_text("pages: 0.5\n")
    with pytest.raises(ConfigError, match="page"):
        load_augment(path)


@pytest.mark.parametrize("values", [{"page": 1.5}, {"changed": 1.0}, {"fonts": ()}])
def test_chances_out_of_range_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        AugmentConfig(**values)  # type: ignore[arg-type]
