"""Recipes: bundled files against the report's tables, mistakes, overrides, round trips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import ConfigError
from nanovl.train.config import (
    Recipe,
    accumulation,
    dump_recipe,
    load_recipe,
    num_updates,
    recipe_from,
    recipe_names,
    recipes_dir,
    tokens_per_update,
)

STAGES = ("stage0", "stage1", "stage2", "stage3", "stage4")


def recipe(**stage: Any) -> Recipe:
    return recipe_from({"stage": {"train_iters": 10, **stage}})


def test_bundled_recipes_are_all_there() -> None:
    expected = {*STAGES, "qad", "mini/pre", "mini/qad", *(f"mini/{s}" for s in STAGES)}
    assert set(recipe_names()) == expected
    assert list(recipe_names()) == sorted(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_bundled_recipes_load_and_round_trip(name: str, tmp_path: Path) -> None:
    loaded = load_recipe(name)
    assert loaded.description
    assert loaded.name == name.replace("/", "-")
    assert loaded.data.metadataset is None  # a placeholder; nobody's paths are shipped
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(loaded), encoding="utf-8")
    assert load_recipe(path) == loaded
    assert load_recipe(tmp_path) == loaded  # a run folder


def test_table_of_hyper_parameters() -> None:
    """Training specification, section 1.2."""
    found = [load_recipe(name) for name in STAGES]
    assert [r.data.seq_len for r in found] == [16384, 16384, 49152, 49152, 311296]
    assert [r.batch.global_ for r in found] == [1024, 128, 128, 128, 128]
    assert [r.optim.lr for r in found] == [2e-4, 2e-5, 2e-5, 2e-5, 2e-5]
    assert [r.optim.weight_decay for r in found] == [0.01, 0.05, 0.05, 0.05, 0.05]
    assert [r.parallel.cp for r in found] == [1, 1, 2, 2, 8]
    assert [set(r.stage.freeze) for r in found] == [{"vision", "llm"}, set(), set(), set(), set()]
    assert [r.packing for r in found] == [False, True, True, True, True]
    assert {r.data.max_tiles for r in found} == {12}
    assert {(r.data.video.fps, r.data.video.max_frames) for r in found} == {(2.0, 128)}
    for r in found:
        o = r.optim
        assert (o.betas, o.eps, o.clip) == ((0.9, 0.999), 1e-8, 1.0)
        assert (o.warmup_frac, o.schedule, o.min_lr, o.ema_decay) == (0.1, "cosine", 0.0, None)
        assert (r.loss.reduction, r.loss.unit, r.loss.normalize) == ("square", "turn", "global")
        p = r.precision
        assert (p.recipe, p.format, p.amax_history, p.margin) == ("fp8_delayed", "hybrid", 1024, 0)
        assert (p.bf16_first, p.bf16_last, p.vit_bf16_first, p.vit_bf16_last) == (2, 2, 2, 2)
    assert found[0].model.reinit == ("projector",)


def test_derived_lengths() -> None:
    """Training specification, sections 1.2 and 1.3."""
    found = [load_recipe(name) for name in STAGES]
    assert [num_updates(r) for r in found] == [2158, 53644, 8742, 2384, 301]
    assert [tokens_per_update(r) for r in found] == [
        16_777_216,
        2_097_152,
        6_291_456,
        6_291_456,
        39_845_888,
    ]
    by_samples = ["stage.train_iters=null", "stage.train_samples=2209792"]
    assert num_updates(load_recipe("stage0", by_samples)) == 2158


def test_distillation_mirrors_stage_1() -> None:
    """Training specification, section 11."""
    qad, stage1 = load_recipe("qad"), load_recipe("stage1")
    assert (qad.optim, qad.batch, qad.data) == (stage1.optim, stage1.batch, stage1.data)
    assert qad.precision.recipe == "bf16"
    assert qad.stage.trainable == {"llm"}
    assert qad.distill is not None
    assert (qad.distill.temperature, qad.distill.positions) == (1.0, "loss")
    assert num_updates(qad) == num_updates(stage1) // 100


def test_table_of_the_small_model() -> None:
    """Training specification, section 12."""
    found = [load_recipe(f"mini/{name}") for name in STAGES]
    assert [r.data.seq_len for r in found] == [1024, 1024, 3072, 3072, 19456]
    assert [r.batch.global_ for r in found] == [64, 16, 16, 16, 8]
    assert [r.optim.lr for r in found] == [1e-3, 5e-4, 2e-4, 2e-4, 1e-4]
    assert [r.optim.weight_decay for r in found] == [0.01, 0.05, 0.05, 0.05, 0.05]
    large = [load_recipe(name) for name in STAGES]
    for small, big in zip(found, large, strict=True):
        assert small.stage.freeze == big.stage.freeze
        assert small.packing == big.packing
        assert small.data.seq_len * 16 == big.data.seq_len
        assert load_recipe(f"mini/{big.name}", [f"parallel.cp={big.parallel.cp}"]).parallel.cp
    chain = [r.stage.init_from for r in found]
    assert chain == [f"runs/mini/{n}/export" for n in ("pre", *STAGES[:-1])]
    for previous, r in zip([load_recipe("mini/pre"), *found], found, strict=False):
        assert r.stage.init_from == f"{previous.run_dir.as_posix()}/export"


def test_blend_templates_are_the_reported_mixture() -> None:
    """Training specification, section 1.4: weights are samples drawn."""
    import yaml

    text = (recipes_dir() / "blends" / "stage2.yaml").read_text(encoding="utf-8")
    parts = yaml.safe_load(text)["splits"]["train"]["blend"]
    assert [p["weight"] for p in parts] == [1.4, 6.5, 3.25]
    assert sum(p["weight"] for p in parts) == pytest.approx(11.15)
    assert [p.get("subset", {}).get("range") for p in parts] == [
        None,
        ["0%", "25%"],
        ["0%", "50%"],
    ]
    reuse = load_recipe("mini/stage2").data.reuse
    assert reuse is not None
    assert (reuse.multimodal, reuse.text) == (0.25, 0.5)


def test_overrides_come_last() -> None:
    words = ["optim.lr=1e-5", "batch.global=64", "ckpt.async=false", "stage.freeze=[vision]"]
    found = load_recipe("stage1", words)
    assert (found.optim.lr, found.batch.global_, found.ckpt.async_) == (1e-5, 64, False)
    assert found.stage.trainable == {"projector", "llm"}
    assert "global: 64" in dump_recipe(found)
    assert "async: false" in dump_recipe(found)
    assert load_recipe("mini/qad", ["distill=null"]).distill is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["optim.lrr=1"], r"stage1\.optim: unknown key 'lrr'; did you mean 'lr'"),
        (["optimm.lr=1"], r"stage1: unknown key 'optimm'; did you mean 'optim'"),
        (["batch.globl=1"], r"stage1\.batch: unknown key 'globl'; did you mean 'global'"),
        (["data.packing.bufer_samples=1"], "did you mean 'buffer_samples'"),
        (["stage.freeze=[visoin]"], "expected one of 'vision', 'projector', 'llm'; did you mean"),
        (["stage.train_iters=5"], "exactly one of train_tokens, train_samples, train_iters"),
        (["stage.train_tokens=null"], "got 'no length', expected exactly one"),
        (["stage.train_tokens=0"], r"stage1: stage\.train_tokens: got 0, expected a positive"),
        (
            ["stage.train_tokens=null", "stage.train_samples=100"],
            "null with packing, where a batch counts packs",
        ),
        (["batch.micro=2"], r"batch\.micro: got 2, expected 1 with packing"),
        (["batch.global=0"], r"batch\.global: got 0"),
        (["optim.lr=0"], r"optim\.lr: got 0\.0, expected > 0"),
        (["optim.min_lr=1"], r"optim\.min_lr: got 1\.0, expected 0 to lr 2e-05"),
        (["optim.warmup_frac=1"], "warmup_frac"),
        (["optim.betas=[0.9, 1.0]"], "betas"),
        (["optim.lr_mult.vision=0"], r"lr_mult\.vision.*stage\.freeze"),
        (["optim.ema_decay=1"], "ema_decay"),
        (["parallel.tp=2"], r"parallel\.tp: got 2, expected 1: .*no tensor parallelism"),
        (["parallel.cp=3"], r"data\.seq_len: got 16384.*multiple of 48"),
        (["parallel.cp=512"], r"cannot share 128 Mamba heads in 8 groups over 512 ranks"),
        (["precision.compute=fp32"], r"precision\.compute: got 'fp32', expected bf16 beside"),
        (["precision.recipe=fp8"], "expected one of 'bf16', 'fp8_delayed', 'fp8_tensorwise'"),
        (["stage.freeze=[vision, projector, llm]"], "at least one module left to train"),
        (["model.preset=13b"], r"model\.preset: got '13b'.*did you mean '12b'"),
        (["model.preset=null", "model.init=random"], "init: random reads none"),
        (["distill={}"], "bf16 in QAD"),
        (["distill={}", "stage.freeze=[llm]"], "distillation trains the quantized language model"),
        (["eval.every=0"], r"eval\.every"),
        (["run.spike=stop"], "expected one of 'log', 'skip'"),
        (["log"], "expected section.key=value"),
    ],
)
def test_mistakes_are_named(words: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load_recipe("stage1", words)


def test_state_passing_has_no_head_limit() -> None:
    words = ["parallel.cp=512", "parallel.cp_mamba=state", "precision.recipe=bf16"]
    assert load_recipe("stage1", words).parallel.cp == 512


def test_lengths_must_fit_fp8_and_context_parallelism() -> None:
    with pytest.raises(ConfigError, match=r"not a multiple of data\.align 16"):
        load_recipe("mini/stage1", ["data.seq_len=1000"])
    with pytest.raises(ConfigError, match="nearest is 1008"):
        load_recipe("mini/stage1", ["data.seq_len=1004", "data.align=4"])


def test_unknown_recipes_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'mini/stage1'"):
        load_recipe("mini/stge1")
    with pytest.raises(ConfigError, match=r"neither a file nor one of .*qad"):
        load_recipe(tmp_path / "none.yaml")
    broken = tmp_path / "mine.yaml"
    broken.write_text("stage: {train_iters: 3}\noptim: {lr: -1}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^mine\.yaml: optim\.lr: got -1"):
        load_recipe(broken)


def test_placeholders_stop_a_run_with_what_to_set() -> None:
    with pytest.raises(ConfigError, match=r"recipe 'stage1': data\.metadataset is not set"):
        load_recipe("stage1").check_ready()
    words = ["data.metadataset=x.yaml"]
    with pytest.raises(ConfigError, match=r"no weights to start from; set stage\.init_from"):
        load_recipe("stage0", words).check_ready()
    load_recipe("stage0", [*words, "model.path=./checkpoint"]).check_ready()
    load_recipe("mini/pre", words).check_ready()


def test_batches_must_divide() -> None:
    stage1 = load_recipe("stage1")
    assert accumulation(stage1, 8) == 16
    with pytest.raises(ConfigError, match="cannot be shared by 512 data-parallel ranks"):
        accumulation(stage1, 512)
    stage0 = load_recipe("mini/stage0")
    assert accumulation(stage0, 2) == 64 // (2 * stage0.batch.micro)


def test_never_fewer_than_one_update() -> None:
    assert num_updates(recipe(train_iters=None, train_tokens=1)) == 1
    assert num_updates(recipe()) == 10
    assert recipe(id="x").run_dir == Path("runs/stagex")
