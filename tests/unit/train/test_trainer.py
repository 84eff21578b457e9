"""The loop does what the recipe says, and goes on where it stopped."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

import nanovl
from nanovl.checkpoint.build import load_model
from nanovl.core.errors import CheckpointError, ConfigError
from nanovl.core.inputs import PackedBatch
from nanovl.data.loader import build_loader
from nanovl.engine.vlm import NanoVL
from nanovl.model.vlm import VLM
from nanovl.testing import assert_same_tensors, picture, run_distributed, training_set
from nanovl.train.config import Recipe
from nanovl.train.parallel import ParallelDims, open_world
from nanovl.train.step import StepLoss, TrainModule, part_of
from nanovl.train.trainer import Trainer, TrainResult, train
from tests.unit.train.runs import KINDS, Events, keys, losses, recipe, records, weights

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    return training_set(folder, samples=24, held_out=8, kinds=KINDS, size=64)


@pytest.fixture(scope="module")
def small(blend: Path) -> Callable[..., Recipe]:
    return functools.partial(recipe, blend)


@contextlib.contextmanager
def trainer_of(recipe: Recipe, events: Any = None) -> Iterator[Trainer]:
    with open_world(ParallelDims(), CPU) as world:
        trainer = Trainer(recipe, world, on_event=events or Events())
        try:
            yield trainer
        finally:
            if trainer.loader is not None:
                trainer.loader.close()


def run(recipe: Recipe, events: Any = None) -> tuple[TrainResult, dict[str, torch.Tensor]]:
    """Train to the end; result and final weights."""
    with trainer_of(recipe, events) as trainer:
        result = trainer.run()
        return result, weights(trainer)


def change_loss(monkeypatch: pytest.MonkeyPatch, factors: dict[int, float], packs: int = 2) -> None:
    """Multiply the loss of the first pack of some updates (counted from 1) by a factor."""
    original, calls = TrainModule.forward, {"n": 0}

    def forward(self: TrainModule, batch: PackedBatch, parallel: Any = None) -> StepLoss:
        step = original(self, batch, parallel)
        update, number = divmod(calls["n"], packs)
        calls["n"] += 1
        if number == 0 and update + 1 in factors:
            return step._replace(total=step.total * factors[update + 1])
        return step

    monkeypatch.setattr(TrainModule, "forward", forward)


# --- what an update is --------------------------------------------------------------------------


def test_a_run_learns_and_says_so(small: Callable[..., Recipe], tmp_path: Path) -> None:
    events = Events()
    result, _ = run(small(tmp_path, "stage.train_iters=8"), events)
    assert (result.status, result.update, result.folder) == ("finished", 8, tmp_path)
    assert events.names() == ["step"] * 8 + ["save", "finished"]
    lines = records(tmp_path)
    assert [line["update"] for line in lines] == list(range(1, 9))
    assert lines[-1]["loss"] == result.loss
    assert lines[-1]["loss"] < 0.9 * lines[0]["loss"]
    assert lines[0]["loss"] == pytest.approx(math.log(320), rel=0.1)  # random weights
    wanted = {"grad_norm", "lr", "tokens_per_s", "data_wait_s", "mfu", "eta_s", "pack/fill"}
    assert wanted <= set(lines[0])
    assert {f"grad_norm/{part}" for part in ("vision", "projector", "llm")} <= set(lines[0])
    assert sum(lines[-1]["counters"]["source_tokens"].values()) == lines[-1]["counters"]["tokens"]
    assert {k for line in lines for k in line if k.startswith("loss/")} == {
        f"loss/{kind}" for kind in KINDS
    }
    assert lines[-1]["samples"] == sum(map(len, keys(tmp_path)))
    described = json.loads((tmp_path / "run.json").read_text())
    assert described["status"] == "finished"


def test_the_split_into_micro_batches_does_not_matter(
    small: Callable[..., Recipe], tmp_path: Path
) -> None:
    outcomes = []
    for micro in (1, 2, 4):
        one = small(
            tmp_path / str(micro),
            "data.packing.enabled=false",
            "batch.global=4",
            f"batch.micro={micro}",
            "precision.compute=fp64",
            "data.pixel_dtype=float32",
            "stage.train_iters=2",
        )
        _, after = run(one)
        outcomes.append((losses(one.run_dir), keys(one.run_dir), after))
    for other in outcomes[1:]:
        assert other[1] == outcomes[0][1]  # the same samples
        assert other[0] == pytest.approx(outcomes[0][0], rel=1e-10)
        for name, value in outcomes[0][2].items():
            torch.testing.assert_close(other[2][name], value, rtol=1e-8, atol=1e-10, msg=name)


def test_normalisation_by_the_worked_example(small: Callable[..., Recipe], tmp_path: Path) -> None:
    # Training specification, section 4.3: micro-batches A to D.
    totals, masses = [7.0, 10.0, 19.0, 4.0], [12.0, 5.0, 27.0, 1.0]
    packs: Any = [SimpleNamespace(weight_mass=mass) for mass in masses]
    for normalize, expected in (("global", 0.888889), ("microbatch", 1.821759)):
        with trainer_of(small(tmp_path, f"loss.normalize={normalize}")) as trainer:
            scales = trainer._scales(packs, sum(masses))
        loss = sum(t * s for t, s in zip(totals, scales, strict=True))
        assert loss == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize(
    "normalize", ["global", pytest.param("microbatch", marks=pytest.mark.slow)]
)
def test_loss_and_gradient_of_an_update(
    small: Callable[..., Recipe], tmp_path: Path, normalize: str
) -> None:
    one = small(
        tmp_path,
        f"loss.normalize={normalize}",
        "batch.global=3",
        "optim.clip=null",
        "optim.lr=1e-30",
        "precision.compute=fp64",
    )
    with trainer_of(one) as trainer:
        packs = trainer._fetch()
        update = trainer._update(packs)
        model = VLM(trainer.built.config, dtype=torch.float64)
        model.load_state_dict({n.removeprefix("vlm."): v for n, v in weights(trainer).items()})
    module = TrainModule(model)
    sums = [module(pack).total for pack in packs]
    masses = [pack.weight_mass for pack in packs]
    assert max(masses) > 1.02 * min(masses)  # or both would be the same
    if normalize == "global":
        loss = sum(sums) / sum(masses)
    else:
        loss = sum(s / m for s, m in zip(sums, masses, strict=True)) / 3
    loss.backward()
    assert update.loss == pytest.approx(float(loss.detach()), rel=1e-10)
    squares = dict.fromkeys(update.norms, 0.0)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            squares[part_of(name)] += float(parameter.grad.square().sum())
    wanted = {part: math.sqrt(square) for part, square in squares.items()}
    assert update.norms == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    "frozen",
    [
        ("vision", "llm"),
        pytest.param(("vision",), marks=pytest.mark.slow),
        pytest.param(("projector",), marks=pytest.mark.slow),
    ],
)
def test_frozen_parts_do_not_change_by_a_bit(
    small: Callable[..., Recipe], tmp_path: Path, frozen: tuple[str, ...]
) -> None:
    one = small(tmp_path, f"stage.freeze=[{','.join(frozen)}]", "optim.weight_decay=0.1")
    with trainer_of(one) as trainer:
        before = weights(trainer)
        trainer.run()
        after = weights(trainer)
    same = {n: torch.equal(before[n], after[n]) for n in before}
    assert all(same[n] for n in before if part_of(n) in frozen)
    moved = [n for n in before if part_of(n) not in frozen]
    assert moved
    assert not [n for n in moved if same[n]]
    norms = records(tmp_path)[-1]
    assert all(norms[f"grad_norm/{part}"] == 0.0 for part in frozen)


def test_recompute_changes_nothing(small: Callable[..., Recipe], tmp_path: Path) -> None:
    _, kept = run(small(tmp_path / "a", "recompute=none", "stage.train_iters=3"))
    _, again = run(small(tmp_path / "b", "recompute=full", "stage.train_iters=3"))
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert_same_tensors(again, kept)


@pytest.mark.slow
def test_bf16_stays_near_fp32(small: Callable[..., Recipe], tmp_path: Path) -> None:
    run(small(tmp_path / "fp32", "stage.train_iters=12"))
    run(small(tmp_path / "bf16", "stage.train_iters=12", "precision.compute=bf16"))
    a, b = losses(tmp_path / "fp32"), losses(tmp_path / "bf16")
    worst = max(abs(x - y) / x for x, y in zip(a, b, strict=True))
    assert 0 < worst < 0.01  # observed: 0.0012


def test_the_same_settings_give_the_same_bits(small: Callable[..., Recipe], tmp_path: Path) -> None:
    short = ("precision.compute=bf16", "stage.train_iters=2")
    _, first = run(small(tmp_path / "a", *short))
    _, second = run(small(tmp_path / "b", *short))
    run(small(tmp_path / "c", *short, "run.seed=1"))
    assert_same_tensors(second, first)
    assert losses(tmp_path / "a") == losses(tmp_path / "b") != losses(tmp_path / "c")


def test_learning_rate_and_counters_follow_the_updates(
    small: Callable[..., Recipe], tmp_path: Path
) -> None:
    one = small(tmp_path, "stage.train_iters=10", "optim.warmup_frac=0.2", "optim.lr=0.001")
    run(one)
    rates = [record["lr"] for record in records(tmp_path)]
    assert rates[:3] == pytest.approx([0.0, 5e-4, 1e-3])
    assert all(a > b for a, b in itertools.pairwise(rates[2:]))
    assert [r["counters"]["packs"] for r in records(tmp_path)] == [2 * n for n in range(1, 11)]


# --- trouble ------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [math.nan, pytest.param(math.inf, marks=pytest.mark.slow)])
def test_an_update_that_is_no_number_is_left_out(
    small: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    change_loss(monkeypatch, {3: factor})
    seen: dict[int, dict[str, torch.Tensor]] = {}
    events = Events()
    with trainer_of(small(tmp_path, "optim.ema_decay=0.9"), events) as trainer:
        events.actions = {
            n: functools.partial(lambda n: seen.update({n: weights(trainer)}), n)
            for n in range(1, 7)
        }
        result = trainer.run()
    assert result.status == "finished"
    assert_same_tensors(seen[3], seen[2])
    assert any(not torch.equal(seen[4][n], seen[3][n]) for n in seen[3])
    lines = records(tmp_path)
    assert [line.get("skipped") for line in lines] == [
        None,
        None,
        "non-finite loss or gradient",
        None,
        None,
        None,
    ]
    assert lines[-1]["counters"]["skipped"] == 1
    # The data was used and the rate goes on.
    assert lines[3]["lr"] < lines[2]["lr"] < lines[1]["lr"]
    assert lines[-1]["counters"]["packs"] == 12


def test_five_in_a_row_end_the_run_with_the_samples(
    small: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_loss(monkeypatch, dict.fromkeys(range(3, 20), math.nan))
    one = small(tmp_path, "stage.train_iters=30", "ckpt.every_iters=2")
    with pytest.raises(CheckpointError) as caught:
        run(one)
    message = str(caught.value)
    assert "update 7: skipped 5 updates in a row and 5 of the last 1000" in message
    assert "non-finite loss or gradient" in message
    samples = message.partition("Samples of this one: ")[2].partition(". Continue")[0].split(", ")
    names = {f"{kind}/{line}/{turn}" for kind in KINDS for line in range(1, 9) for turn in range(9)}
    assert set(samples) <= names
    assert samples
    # What was saved before is complete.
    assert {p.name for p in (tmp_path / "checkpoints").iterdir()} >= {"step-00000006"}


@pytest.mark.slow
def test_twenty_in_a_thousand_end_it_too(
    small: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_loss(monkeypatch, dict.fromkeys((2, 4, 6), math.nan))
    one = small(tmp_path, "run.max_skips_in_1000=2")
    with pytest.raises(CheckpointError, match=r"update 6: skipped 1 updates in a row and 3 of"):
        run(one)


@pytest.mark.parametrize("mode", [pytest.param("log", marks=pytest.mark.slow), "skip"])
def test_a_spike(
    small: Callable[..., Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mode: str,
) -> None:
    change_loss(monkeypatch, {8: 30.0})
    one = small(
        tmp_path, "stage.train_iters=9", "run.spike_window=20", f"run.spike={mode}", "optim.lr=1e-5"
    )
    run(one)
    lines = records(tmp_path)
    assert lines[7]["loss"] > 5 * lines[6]["loss"]
    assert lines[7].get("skipped") == ("loss spike" if mode == "skip" else None)
    assert "far above the recent mean" in caplog.text
    assert "skipped" not in lines[8]


def test_data_that_ends_is_named(small: Callable[..., Recipe], tmp_path: Path) -> None:
    one = small(tmp_path, "data.epochs=1", "stage.train_iters=1000")
    with pytest.raises(ConfigError, match=r"the data ended after \d+ of 1000 updates; lower"):
        run(one)


def test_a_pack_without_loss_is_left_out(
    small: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Trainer._fetch
    calls = {"n": 0}

    def fetch(self: Trainer) -> list[PackedBatch]:
        packs = original(self)
        calls["n"] += 1
        if calls["n"] != 2:
            return packs
        return [
            PackedBatch(
                **{
                    **vars(pack),
                    "labels": torch.full_like(pack.labels, -100),
                    "loss_weight": torch.zeros_like(pack.loss_weight),
                }
            )
            for pack in packs
        ]

    monkeypatch.setattr(Trainer, "_fetch", fetch)
    run(small(tmp_path, "stage.train_iters=3"))
    assert [r.get("skipped") for r in records(tmp_path)] == [None, "no token carries loss", None]


# --- stopping and going on ----------------------------------------------------------------------


EXACT = {
    "plain": ("optim.ema_decay=0.9", "precision.compute=bf16"),
    "background": ("ckpt.async=true", "ckpt.every_iters=1", "data.prefetch=2"),
    "fp8": ("precision.compute=bf16", "precision.recipe=fp8_delayed", "precision.amax_history=3"),
    "unpacked": ("data.packing.enabled=false", "batch.global=4", "batch.micro=2"),
}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("plain", signal.SIGTERM),
        pytest.param("background", signal.SIGUSR1, marks=pytest.mark.slow),
        pytest.param("fp8", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("unpacked", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_the_rest_is_the_same(
    small: Callable[..., Recipe], tmp_path: Path, name: str, number: signal.Signals
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    _, wanted = run(small(whole, *EXACT[name]))
    events = Events({3: lambda: os.kill(os.getpid(), number)})
    before = signal.getsignal(number)
    result, _ = run(small(parts, *EXACT[name]), events)
    assert signal.getsignal(number) is before
    assert (result.status, result.update) == ("interrupted", 3)
    assert json.loads((parts / "run.json").read_text())["status"] == "interrupted"
    assert [p.name for p in sorted((parts / "checkpoints").iterdir())][-1] == "step-00000003"

    events = Events()
    result, after = run(small(parts, *EXACT[name]), events)
    assert result.status == "finished"
    assert events.names()[:2] == ["resume", "step"]
    assert_same_tensors(after, wanted)
    assert losses(parts) == losses(whole)
    assert keys(parts) == keys(whole)
    for name in ("tokens", "packs", "source_tokens"):
        assert records(parts)[-1]["counters"][name] == records(whole)[-1]["counters"][name]
    moving = [k for k in records(whole)[-1] if k.startswith("loss/")]
    assert [records(parts)[-1][k] for k in moving] == [records(whole)[-1][k] for k in moving]


def test_time_is_up(small: Callable[..., Recipe], tmp_path: Path) -> None:
    result, _ = run(small(tmp_path, "run.max_minutes=1e-9"))
    assert (result.status, result.update) == ("interrupted", 1)
    # The limit is free to change.
    result, _ = run(small(tmp_path, "run.max_minutes=10"))
    assert (result.status, result.update) == ("finished", 6)


def test_a_finished_run_does_nothing_more(small: Callable[..., Recipe], tmp_path: Path) -> None:
    one = small(tmp_path, "ckpt.export_hf=true")
    first, wanted = run(one)
    metrics = (tmp_path / "metrics.jsonl").read_bytes()
    weights_file = next((tmp_path / "export").glob("*.safetensors")).read_bytes()
    saved = sorted((tmp_path / "checkpoints").rglob("*"))
    times = [p.stat().st_mtime_ns for p in saved]
    events = Events()
    second, after = run(one, events)
    assert (second.status, second.update, second.export) == (first.status, 6, first.export)
    assert "step" not in events.names()
    assert "save" not in events.names()
    assert_same_tensors(after, wanted)
    assert (tmp_path / "metrics.jsonl").read_bytes() == metrics
    assert next((tmp_path / "export").glob("*.safetensors")).read_bytes() == weights_file
    assert [p.stat().st_mtime_ns for p in saved] == times


def test_another_recipe_cannot_continue(small: Callable[..., Recipe], tmp_path: Path) -> None:
    run(small(tmp_path, "stage.train_iters=2"))
    changed = small(
        tmp_path, "stage.train_iters=3", "optim.lr=1e-5", "optim.betas=[0.9,0.95]", "data.seed=4"
    )
    with pytest.raises(CheckpointError) as caught:
        run(changed)
    message = str(caught.value)
    for part in (
        "data.seed (0 -> 4)",
        "optim.lr (0.002 -> 1e-05)",
        "stage.train_iters (2 -> 3)",
        "optim.betas",
        "Continue with the recipe.yaml of the run folder",
    ):
        assert part in message
    assert "ckpt" not in message.partition("other settings")[2].partition("Continue")[0]


@pytest.mark.slow
def test_a_changed_blend_file_cannot_continue(
    small: Callable[..., Recipe], blend: Path, tmp_path: Path
) -> None:
    run(small(tmp_path, "stage.train_iters=2"))
    content = yaml.safe_load(blend.read_text())
    before = blend.read_text()
    content["splits"]["train"]["blend"][0]["weight"] = 100
    try:
        blend.write_text(yaml.safe_dump(content))
        with pytest.raises(CheckpointError, match=r"data\.metadataset\.sha256"):
            run(small(tmp_path, "stage.train_iters=2"))
    finally:
        blend.write_text(before)


def test_fresh_refuses_to_continue(small: Callable[..., Recipe], tmp_path: Path) -> None:
    one = small(tmp_path, "stage.train_iters=1")
    run(one)
    with pytest.raises(CheckpointError, match=r"already holds step-00000001; continue it without"):
        train(one, device="cpu", fresh=True)


@pytest.mark.slow
def test_reset_data_keeps_the_weights(small: Callable[..., Recipe], tmp_path: Path) -> None:
    events = Events({3: lambda: os.kill(os.getpid(), signal.SIGTERM)})
    run(small(tmp_path), events)
    result = train(small(tmp_path), device="cpu", reset_data=True)
    assert (result.status, result.update) == ("finished", 6)
    found = keys(tmp_path)
    assert found[3:] == found[:3]  # the data began anew


@pytest.mark.slow
def test_a_half_written_checkpoint_is_passed_over(
    small: Callable[..., Recipe], tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    _, wanted = run(small(whole))
    events = Events({4: lambda: os.kill(os.getpid(), signal.SIGTERM)})
    run(small(parts, "ckpt.every_iters=2"), events)
    checkpoints = parts / "checkpoints"
    (checkpoints / "step-00000004" / "manifest.json").unlink()
    shutil.copytree(checkpoints / "step-00000002", checkpoints / "tmp-00000005")
    with (parts / "metrics.jsonl").open("a") as file:
        file.write('{"update": 5, "lo')  # cut off
    _, after = run(small(parts, "ckpt.every_iters=2"))
    assert_same_tensors(after, wanted)
    assert losses(parts) == losses(whole)
    assert keys(parts) == keys(whole)


# --- held-out loss, export ----------------------------------------------------------------------


def test_held_out_loss(small: Callable[..., Recipe], tmp_path: Path) -> None:
    # Strong updates of the encoder: nothing it remembers of earlier weights may be used.
    one = small(tmp_path, "eval.every=2", "eval.batches=4", "optim.lr=0.02", "optim.clip=null")
    seen: dict[int, dict[str, torch.Tensor]] = {}
    events = Events()
    with trainer_of(one, events) as trainer:
        events.actions = {n: lambda n=n: seen.update({n: weights(trainer)}) for n in (2, 4, 6)}
        trainer.run()
        config, processor = trainer.built.config, trainer.built.processor
    held_out = replace(one.data, split="val", shuffle=False)
    loader = build_loader(held_out, processor)
    packs = [next(loader) for _ in range(4)]
    loader.close()
    assert any(pack.num_tiles for pack in packs)
    module = TrainModule(VLM(config, dtype=torch.float32))
    expected = []
    for update in (2, 4, 6):
        module.load_state_dict(seen[update])
        with torch.no_grad():
            total = sum(float(module(pack).total) for pack in packs)
        expected.append(total / sum(p.weight_mass for p in packs))
    found = [r["eval/loss"] for r in records(tmp_path) if "eval/loss" in r]
    assert found == pytest.approx(expected, rel=1e-5)  # what is stale is off by far more
    assert len(set(found)) == 3


def test_training_does_not_depend_on_looking(small: Callable[..., Recipe], tmp_path: Path) -> None:
    short = ("precision.compute=bf16", "stage.train_iters=3")
    _, without = run(small(tmp_path / "a", *short))
    looked = ("eval.every=1", "eval.batches=2", "ckpt.every_iters=1", "ckpt.export_each=true")
    _, with_it = run(small(tmp_path / "b", *short, *looked))
    assert_same_tensors(with_it, without)


def test_the_export_is_the_trained_model(small: Callable[..., Recipe], tmp_path: Path) -> None:
    one = small(tmp_path, "ckpt.export_hf=true", "stage.train_iters=3", "optim.lr=0.01")
    with trainer_of(one) as trainer:
        result = trainer.run()
        trained = weights(trainer)
        config, processor = trainer.built.config, trainer.built.processor
    assert result.export == tmp_path / "export"
    loaded, _ = load_model(str(result.export), device="cpu", dtype="float32")
    model = VLM(config, dtype=torch.float32).eval().requires_grad_(False)
    rounded = {}
    for name, value in trained.items():
        name = name.removeprefix("vlm.")
        kept = dict(VLM(config, device="meta").named_parameters())[name].dtype
        rounded[name] = value.to(kept).float()
    model.load_state_dict(rounded)
    assert_same_tensors(
        {n: p.detach() for n, p in loaded.named_parameters()},
        {n: p.detach() for n, p in model.named_parameters()},
    )
    questions = ["What shape is this?", "How many?"]
    images = [picture(64, 64, "noise"), picture(90, 50, "checker")]
    ours, theirs = NanoVL(model, processor), nanovl.load(str(result.export), dtype="float32")
    for question, image in zip(questions, images, strict=True):
        wanted = ours.chat(question, files=[image], max_tokens=12)
        got = theirs.chat(question, files=[image], max_tokens=12)
        assert got.token_ids == wanted.token_ids
        assert got.token_ids


@pytest.mark.slow
def test_averages_are_exported(small: Callable[..., Recipe], tmp_path: Path) -> None:
    one = small(tmp_path, "ckpt.export_hf=true", "optim.ema_decay=0.5", "optim.lr=0.01")
    with trainer_of(one) as trainer:
        result = trainer.run()
        assert trainer.ema is not None
        name = "vlm.language_model.backbone.norm_f.weight"
        average = trainer.ema.values[name].to_local().clone()
        last = weights(trainer)[name]
    loaded, _ = load_model(str(result.export), device="cpu", dtype="float32")
    found = loaded.language_model.backbone.norm_f.weight.detach()
    torch.testing.assert_close(found, average.bfloat16().float(), rtol=0, atol=0)
    assert not torch.equal(average.bfloat16(), last.bfloat16())


def test_the_next_stage_starts_from_the_export(
    small: Callable[..., Recipe], tmp_path: Path
) -> None:
    first, _ = run(small(tmp_path / "a", "ckpt.export_hf=true", "stage.train_iters=2"))
    following = small(tmp_path / "b", "model.init=checkpoint", f"stage.init_from={first.export}")
    with trainer_of(following) as trainer:
        start = weights(trainer)
    exported, _ = load_model(str(first.export), device="cpu", dtype="float32")
    assert_same_tensors(start, {f"vlm.{n}": p.detach() for n, p in exported.named_parameters()})
    redrawn = small(
        tmp_path / "c",
        "model.init=checkpoint",
        f"stage.init_from={first.export}",
        "model.reinit=[projector]",
    )
    with trainer_of(redrawn) as trainer:
        again = weights(trainer)
    # Norms start at one, before and after.
    differ = {part_of(n) for n in start if not torch.equal(start[n], again[n])}
    assert differ == {"projector"}
    wrong = small(
        tmp_path / "d",
        "model.init=checkpoint",
        "model.preset=mini",
        f"stage.init_from={first.export}",
    )
    with pytest.raises(ConfigError, match=r"model\.preset 'mini' is not the shape of"):
        run(wrong)


# --- several ranks ------------------------------------------------------------------------------


def two_ranks(rank: int, world: int, blend: str, folder: str) -> dict[str, Any]:
    """Six updates; the gradients of the second rank are broken in the third."""
    torch.set_num_threads(1)
    one = recipe(Path(blend), Path(folder), "batch.global=4", "ckpt.every_iters=3")
    original, calls = TrainModule.forward, {"n": 0}

    def forward(self: TrainModule, batch: PackedBatch, parallel: Any = None) -> StepLoss:
        step = original(self, batch, parallel)
        calls["n"] += 1
        return step._replace(total=step.total * math.nan) if calls["n"] == 5 and rank else step

    TrainModule.forward = forward  # type: ignore[method-assign]
    with open_world(ParallelDims(), CPU) as here:
        trainer = Trainer(one, here)
        if rank:
            # Told on one rank alone, acted on by both.
            trainer.on_event = lambda event: None
            wait = trainer._report

            def report(*args: Any) -> None:
                wait(*args)
                if trainer.counters.update == 5:
                    trainer._stop.set()

            trainer._report = report  # type: ignore[method-assign]
        result = trainer.run()
        return {
            "status": result.status,
            "update": result.update,
            "skipped": trainer.counters.skipped,
            "samples": trainer.counters.samples,
            "loss": result.loss,
        }


@pytest.mark.slow
def test_two_ranks_decide_together(blend: Path, tmp_path: Path) -> None:
    first, second = run_distributed(two_ranks, 2, str(blend), str(tmp_path))
    assert first == second
    assert (first["status"], first["update"], first["skipped"]) == ("interrupted", 5, 1)
    assert [r.get("skipped") for r in records(tmp_path)] == [
        None,
        None,
        "non-finite loss or gradient",
        None,
        None,
    ]
    assert first["samples"] == sum(map(len, keys(tmp_path)))
    saved = {p.name for p in (tmp_path / "checkpoints").iterdir()}
    assert saved == {"step-00000003", "step-00000005"}
    streams = tmp_path / "checkpoints/step-00000005/dataloader"
    assert {p.name for p in streams.iterdir()} == {"dp00000.pt", "dp00001.pt"}
    # One rank cannot take the data of two.
    one = recipe(blend, tmp_path, "batch.global=4", "ckpt.every_iters=3")
    with pytest.raises(CheckpointError, match="2 data streams, this run has 1"):
        run(one)
