"""The metrics file, pack metrics, source losses, spikes, speed and the progress line."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from nanovl.core.errors import BackendError, InputError
from nanovl.core.inputs import PackedBatch
from nanovl.train.metrics import (
    Eta,
    MetricsWriter,
    PackNumbers,
    SourceLoss,
    SpikeDetector,
    duration,
    loss_by_source,
    pack_metrics,
    pack_numbers,
    progress_line,
    read_metrics,
    throughput,
)


def pack(lengths: list[int], padding: int = 0, loss_rows: tuple[int, ...] = ()) -> PackedBatch:
    """Segments "a", "b", ... with loss of weight 0.5 at the given rows."""
    segments = [*lengths, padding] if padding else lengths
    total = sum(segments)
    labels = torch.full((total,), -100)
    weight = torch.zeros(total)
    for row in loss_rows:
        labels[row], weight[row] = 1, 0.5
    sizes = torch.tensor(segments)
    return PackedBatch(
        input_ids=torch.zeros(total, dtype=torch.int64),
        labels=labels,
        loss_weight=weight,
        cu_seqlens=torch.tensor([0, *sizes.cumsum(0).tolist()], dtype=torch.int32),
        seq_idx=torch.repeat_interleave(torch.arange(len(segments)), sizes).int(),
        position_ids=torch.zeros(total, dtype=torch.int64),
        keys=tuple(map(str, range(len(lengths)))),
        sources=tuple("abcdef"[: len(lengths)]),
        num_padding=padding,
    )


# --- the file -------------------------------------------------------------------------------------


def write(folder: Path, updates: range, restored: int | None = None) -> Path:
    with MetricsWriter(folder, restored_update=restored) as writer:
        for update in updates:
            writer.write({"update": update, "loss": 1.0 / update})
        return writer.path


def test_records_come_back(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path / "run") as writer:
        writer.write({"update": 1, "loss": 2.5, "skipped": "spike", "counters": {"tokens": 7}})
        writer.write(
            {"update": 2, "loss": math.nan, "a": math.inf, "b": -math.inf, "c": [math.nan]}
        )
        found = list(read_metrics(tmp_path / "run"))  # while the run goes on
    assert found[0] == {"update": 1, "loss": 2.5, "skipped": "spike", "counters": {"tokens": 7}}
    assert math.isnan(found[1]["loss"])
    assert (found[1]["a"], found[1]["b"]) == (math.inf, -math.inf)
    assert math.isnan(found[1]["c"][0])
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_a_resumed_run_makes_its_updates_again(tmp_path: Path) -> None:
    path = write(tmp_path, range(1, 11))
    before = path.read_bytes()
    write(tmp_path, range(7, 11), restored=6)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))


def test_nothing_to_drop_leaves_the_file_alone(tmp_path: Path) -> None:
    path = write(tmp_path, range(1, 4))
    inode = path.stat().st_ino
    write(tmp_path, range(4, 5), restored=3)
    assert path.stat().st_ino == inode
    assert [r["update"] for r in read_metrics(path)] == [1, 2, 3, 4]


@pytest.mark.parametrize("cut", range(1, 25, 4))
def test_a_line_cut_off_by_a_kill_is_dropped(tmp_path: Path, cut: int) -> None:
    path = write(tmp_path, range(1, 6))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert [r["update"] for r in read_metrics(path)] == (
        [1, 2, 3, 4, 5] if cut == 1 else [1, 2, 3, 4]
    )
    write(tmp_path, range(5, 6), restored=4)
    assert path.read_bytes() == whole


def test_restarting_from_nothing_empties_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, range(1, 4))
    write(tmp_path, range(1, 1), restored=0)
    assert path.read_bytes() == b""


def test_lines_that_are_no_records_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(
        b'{"update": 1}\n\xff\xfe\n[1]\n{"loss": 1}\n\n{"update": "x"}\n{"update": 2}\n'
    )
    assert [r["update"] for r in read_metrics(tmp_path)] == [1, 2]
    MetricsWriter(tmp_path, restored_update=2).close()
    assert path.read_bytes() == b'{"update": 1}\n{"update": 2}\n'


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"metrics\.jsonl: cannot be read"):
        list(read_metrics(tmp_path))


def test_another_file_name(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path, path=tmp_path / "deep" / "m.jsonl") as writer:
        writer.write({"update": 1})
    assert len(list(read_metrics(tmp_path / "deep" / "m.jsonl"))) == 1


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with MetricsWriter(tmp_path, tensorboard=True, restored_update=0) as writer:
        writer.write({"update": 1, "loss": 2.0, "skipped": "no number"})
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_missing_tensorboard_names_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(BackendError, match=r"nanovl\[train\]"):
        MetricsWriter(tmp_path, tensorboard=True)


# --- packs ----------------------------------------------------------------------------------------


def test_numbers_of_packs() -> None:
    found = pack_numbers(
        [pack([5, 3], padding=8, loss_rows=(1, 2, 6)), pack([16])], capacity=16, buffer_wait_s=0.5
    )
    assert found == PackNumbers(
        packs=2,
        capacity=32,
        real_tokens=24,
        segments=3,
        segments_max=2,
        attention_work=25.0 + 9.0 + 256.0,
        tiles=0,
        loss_tokens=3,
        weight_mass=1.5,
        buffer_wait_s=0.5,
    )
    assert pack_numbers([pack([5, 3], padding=8)]).capacity == 16


def numbers(**changes: Any) -> PackNumbers:
    base: dict[str, Any] = dict(
        packs=1,
        capacity=100,
        real_tokens=90,
        segments=4,
        segments_max=4,
        attention_work=10.0,
        tiles=0,
        loss_tokens=30,
        weight_mass=5.0,
    )
    return PackNumbers(**{**base, **changes})


def test_metrics_over_ranks() -> None:
    found = pack_metrics(
        [
            numbers(tiles=6, weight_mass=4.0, buffer_wait_s=0.1),
            numbers(
                real_tokens=100, segments=8, segments_max=8, attention_work=30.0, loss_tokens=8
            ),
        ]
    )
    assert found == {
        "pack/fill": 0.95,
        "pack/segments_mean": 6.0,
        "pack/segments_max": 8,
        "pack/imbalance_tokens": 100 / 95,
        "pack/imbalance_attn": 1.5,
        "pack/imbalance_tiles": 2.0,
        "pack/loss_tokens_frac": 38 / 190,
        "pack/weight_mass_min": 4.0,
        "pack/weight_mass_max": 5.0,
        "pack/buffer_wait_s": 0.1,
    }
    assert pack_metrics([numbers()])["pack/imbalance_tiles"] == 1.0  # no tiles anywhere


def test_worked_example_of_imbalance() -> None:
    """Training specification, section 3.2: balanced and greedy packs of the same samples."""
    balanced = [[9000, 2500, 600], [7000, 3000, 1500, 300, 200], [5000, 4000, 2000, 900]]
    greedy = [[9000, 7000, 300], [5000, 4000, 3000, 2500, 1500, 200], [2000, 900, 600]]
    for packs, tokens, attention in ((balanced, 1.008, 1.36), (greedy, 1.358, 2.01)):
        found = pack_metrics([pack_numbers([pack(one)], capacity=16384) for one in packs])
        assert found["pack/fill"] == pytest.approx(0.732, abs=0.001)
        assert found["pack/imbalance_tokens"] == pytest.approx(tokens, abs=0.001)
        assert found["pack/imbalance_attn"] == pytest.approx(attention, abs=0.005)


# --- losses ---------------------------------------------------------------------------------------


def test_losses_go_to_their_sources() -> None:
    batch = pack([4, 4], padding=2, loss_rows=(1, 2, 6))
    found = loss_by_source(batch, torch.tensor([1, 2, 6]), torch.tensor([1.0, 3.0, 10.0]))
    assert found == {"a": (2.0, 1.0), "b": (5.0, 0.5)}
    nothing = loss_by_source(batch, torch.tensor([], dtype=torch.int64), torch.tensor([]))
    assert nothing == {"a": (0.0, 0.0), "b": (0.0, 0.0)}


def test_parts_of_a_pack_add_up() -> None:
    """Context-parallel ranks hold rows of the same pack."""
    batch = pack([4, 4], loss_rows=(0, 2, 5, 6))
    rows, losses = torch.tensor([0, 2, 5, 6]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    whole = SourceLoss().update(loss_by_source(batch, rows, losses))
    parts = [loss_by_source(batch, rows[i::2], losses[i::2]) for i in range(2)]
    assert SourceLoss().update(*parts) == pytest.approx(whole)
    assert whole == {"loss/a": 1.5, "loss/b": 3.5}


def test_running_means_continue() -> None:
    first = SourceLoss(decay=0.5)
    assert first.update({"a": (4.0, 2.0)}) == {"loss/a": 2.0}
    assert first.update({"a": (4.0, 1.0), "b": (1.0, 1.0)}) == {"loss/a": 3.0, "loss/b": 1.0}
    assert first.update({"a": (math.nan, 1.0), "b": (0.0, 0.0)}) == {"loss/a": 3.0, "loss/b": 1.0}
    second = SourceLoss(decay=0.5)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.update({"a": (1.0, 1.0)}) == first.update({"a": (1.0, 1.0)})


def test_spikes() -> None:
    detector = SpikeDetector(sigma=6, window=8, least=4)
    assert not detector.is_spike(1e9)  # nothing is known yet
    for loss in (1.0, 1.2, 0.8, 1.0):
        detector.add(loss)
    deviation = math.sqrt((0.2**2 + 0.2**2) / 4)
    assert detector.limit() == pytest.approx(1.0 + 6 * deviation)
    assert detector.is_spike(1.0 + 6.01 * deviation)
    assert not detector.is_spike(1.0 + 5.99 * deviation)
    assert not detector.is_spike(math.nan)  # that is another check's business
    again = SpikeDetector(sigma=6, window=8, least=4)
    again.load_state_dict(json.loads(json.dumps(detector.state_dict())))
    assert again.limit() == detector.limit()
    detector.add(math.inf)
    assert detector.limit() == again.limit()
    for _ in range(8):
        detector.add(5.0)  # a lasting change is learned
    assert not detector.is_spike(5.04)
    assert detector.is_spike(5.06)  # more than 1 % above a constant


# --- speed ----------------------------------------------------------------------------------------


def test_throughput() -> None:
    found = throughput(tokens=2000, real_tokens=1800, step_s=2.0, devices=4, flops=8e12, peak=1e13)
    assert found == {
        "tokens": 2000,
        "real_tokens": 1800,
        "step_s": 2.0,
        "tokens_per_s": 1000.0,
        "real_tokens_per_s": 900.0,
        "tokens_per_s_per_gpu": 250.0,
        "tflops": 1.0,
        "mfu": 0.1,
    }
    without = throughput(tokens=1, real_tokens=1, step_s=0.0, devices=1, flops=1.0)
    assert "mfu" not in without
    assert math.isfinite(without["tokens_per_s"])


def test_time_left_ignores_a_slow_update() -> None:
    eta = Eta(total=100, window=5)
    for update, seconds in enumerate([2.0, 2.0, 60.0, 2.0, 2.0], start=1):
        left = eta.update(update, seconds)
    assert left == 190.0
    assert eta.update(101, 2.0) == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0s"),
        (59.6, "1m 0s"),
        (390, "6m 30s"),
        (18720, "5h 12m"),
        (273600, "3d 4h"),
        (math.inf, "?"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_line() -> None:
    record = {
        "update": 120,
        "loss": 2.34567,
        "grad_norm": 1.234,
        "lr": 2e-5,
        "tokens_per_s": 12345.0,
        "mfu": 0.1712,
        "step_s": 2.0,
        "data_wait_s": 0.05,
        "eta_s": 11520.0,
    }
    assert progress_line(record, 2158) == (
        " 120/2158  loss 2.3457  grad 1.23  lr 2.00e-05  12.3k tok/s  MFU 17.1%  data 2%  "
        "eta 3h 12m"
    )
    assert progress_line({"update": 3, "total": 9, "loss": math.nan, "skipped": "loss spike"}) == (
        "3/9  loss nan  SKIPPED (loss spike)"
    )
    assert "0.52 TFLOP/s" in progress_line({"update": 1, "tflops": 0.524, "eval/loss": 1.5})
    assert progress_line({"update": 7}) == "7"
