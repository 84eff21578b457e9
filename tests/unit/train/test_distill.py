"""Distillation: the divergence, its gradient, the mask, shared visual tokens, several ranks."""

import copy
import dataclasses

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F

from nanovl.core.errors import ConfigError
from nanovl.core.inputs import PackedBatch
from nanovl.core.layout import IGNORE_LABEL
from nanovl.model.context import ForwardContext
from nanovl.model.vlm import VLM
from nanovl.ops.loss import chunked_kl
from nanovl.quant import calibrate, freeze as freeze_ranges, insert_fake_quant
from nanovl.testing import assert_close, run_distributed, tiny_config, tiny_model
from nanovl.train.context_parallel import ContextParallel
from nanovl.train.distill import DistillModule, all_text_pack
from nanovl.train.optim import build_optimizer
from nanovl.train.step import TrainModule

IMAGE = 300


def make_pack(lengths=(12, 20), *, padding=0, picture=True, seed=0, dtype=torch.float32):
    """Samples in one stream; the first begins with a picture of four tokens."""
    generator = torch.Generator().manual_seed(seed)
    whole = [*lengths, *([padding] if padding else [])]
    t = sum(whole)
    ids = torch.randint(0, 256, (t,), generator=generator)
    labels = torch.full((t,), IGNORE_LABEL)
    start = 0
    for n in lengths:
        answer = torch.arange(start + n // 2, start + n - 1)
        labels[answer] = ids[answer + 1]
        start += n
    media = {}
    if picture:
        at = torch.arange(1, 5)
        ids[at] = IMAGE
        media = {
            "pixel_values": torch.randn(1, 3, 64, 64, generator=generator).to(dtype),
            "tile_counts": torch.ones(1, dtype=torch.int32),
            "image_pos": at,
        }
    weight = torch.rand(t, generator=generator).masked_fill(labels == IGNORE_LABEL, 0.0)
    numbers = torch.tensor(whole)
    return PackedBatch(
        input_ids=ids,
        labels=labels,
        loss_weight=weight,
        cu_seqlens=F.pad(numbers.cumsum(0), (1, 0)).int(),
        seq_idx=torch.repeat_interleave(torch.arange(len(whole)), numbers).int(),
        position_ids=torch.cat([torch.arange(n) for n in whole]),
        num_padding=padding,
        **media,
    )


def perturbed(model: VLM, size: float, seed: int = 5) -> VLM:
    """A copy whose language model differs."""
    student = copy.deepcopy(model).requires_grad_(True)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in student.language_model.parameters():
            noise = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
            parameter.add_(size * parameter.std().nan_to_num() * noise)
    return student


def make_pair(size=0.1, dtype=torch.float32, **options):
    teacher = tiny_model(1, dtype)
    return DistillModule(perturbed(teacher, size), teacher, **options).train()


def full_logits(vlm: VLM, batch: PackedBatch, lm=None) -> torch.Tensor:
    """All logits, with the model's own merge."""
    visual = []
    if batch.pixel_values is not None:
        visual = [vlm.encode_media(batch.pixel_values).flatten(0, 2)]
    whole = copy.copy(vlm)
    whole._modules = {**vlm._modules, "language_model": lm or vlm.language_model}
    x = whole.merge(batch.input_ids, visual, IMAGE)
    return whole(x, ForwardContext(cu_seqlens=tuple(batch.cu_seqlens.tolist())), "all")


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
def test_equals_the_divergence_of_full_logits(temperature):
    module = make_pair(dtype=torch.float64, temperature=temperature)
    batch = make_pack(padding=3, dtype=torch.float64)
    step = module(batch)
    step.total.backward()
    got = {n: p.grad.clone() for n, p in module.vlm.named_parameters() if p.grad is not None}
    module.zero_grad()
    student = (full_logits(module.vlm, batch) / temperature).log_softmax(1)
    with torch.no_grad():
        taught = (full_logits(module.vlm, batch, module.teacher) / temperature).log_softmax(1)
    each = (taught.exp() * (taught - student)).sum(1) * temperature**2
    expected = (each * batch.loss_weight).sum()
    expected.backward()
    rows = (batch.labels != IGNORE_LABEL).nonzero()[:, 0]
    assert torch.equal(step.rows, rows)
    assert_close(step.token_loss, each[rows], atol=1e-10)
    assert_close(step.total, expected, atol=1e-10)
    wanted = {n: p.grad for n, p in module.vlm.named_parameters() if p.grad is not None}
    assert got.keys() == wanted.keys()
    assert got.keys() == {n for n, _ in module.vlm.named_parameters() if "language_model" in n}
    for name, grad in got.items():
        assert_close(grad, wanted[name], atol=1e-10, what=name)


def test_worked_example():
    """K1 of the quantization specification (made in fp32): logits are the hidden states."""
    student = torch.tensor([[1.0, 2, 0.5], [0, 0, 3]], dtype=torch.float64)
    teacher = torch.tensor([[0.8, 2.5, 0.1], [0, 1, 2]], dtype=torch.float64)
    identity, ones = torch.eye(3, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    for temperature, expected in (
        (1.0, [0.0581378937, 0.2668045163]),
        (2.0, [0.0782850981, 0.3562771082]),
    ):
        _, losses = chunked_kl(student, identity, teacher, identity, ones, temperature=temperature)
        assert losses.tolist() == pytest.approx(expected, abs=5e-7)


def test_nothing_to_learn_from_an_identical_teacher():
    teacher = tiny_model(1)
    module = DistillModule(copy.deepcopy(teacher).requires_grad_(True), teacher).train()
    step = module(make_pack())
    step.total.backward()
    assert step.total.detach().abs() < 1e-5  # observed 5e-7: softmax of equal logits
    assert step.token_loss.abs().max() < 1e-6
    # against logits of size 1 and weights of size 1, gradients are rounding
    for name, parameter in module.vlm.language_model.named_parameters():
        assert parameter.grad.abs().max() < 1e-4, name


def test_rows_at_a_time_do_not_matter():
    results = []
    for rows in (None, 1, 5):
        module = make_pair(dtype=torch.float64)
        module.chunk_rows = rows
        step = module(make_pack(dtype=torch.float64))
        step.total.backward()
        grad = module.vlm.language_model.output_weight.grad
        results.append((step.total.detach(), step.token_loss, grad))
    for other in results[1:]:
        for got, expected in zip(other, results[0], strict=True):
            assert_close(got, expected, atol=1e-12)


def test_only_the_language_model_of_the_student_is_trained():
    module = make_pair()
    trained = {n for n, p in module.named_parameters() if p.requires_grad}
    assert trained
    assert all(name.startswith("vlm.language_model.") for name in trained)
    assert module.training
    assert not module.teacher.training
    build_optimizer(module)  # finds the part of every trained parameter
    # the teacher brings no tower of its own
    assert not [n for n, _ in module.named_parameters() if n.startswith("teacher.vision")]


def test_visual_tokens_are_made_once(monkeypatch):
    module = make_pair(always_encode=True)
    calls = []
    encode = module.vlm.encode_media
    monkeypatch.setattr(module.vlm, "encode_media", lambda p: calls.append(p.shape[0]) or encode(p))
    module(make_pack())
    assert calls == [1]
    module(make_pack(picture=False))  # an empty tile, so that ranks stay in step
    assert calls == [1, 1]


def test_the_picture_matters():
    """Both decoders see it: another picture gives another divergence."""
    module = make_pair()
    batch = make_pack()
    other = dataclasses.replace(batch, pixel_values=-batch.pixel_values)
    with torch.no_grad():
        a, b = module(batch).token_loss, module(other).token_loss
    assert (a[:5] - b[:5]).abs().max() > 1e-4
    assert torch.equal(a[5:], b[5:])  # the second sample has none


def test_every_text_position():
    batch = make_pack((8, 4), padding=2)
    text = all_text_pack(batch)
    wanted = [5, 6, 8, 9, 10]  # not the picture's 1 to 4, what precedes it, or the last of a sample
    assert (text.labels != IGNORE_LABEL).nonzero()[:, 0].tolist() == wanted
    assert text.labels[wanted].tolist() == batch.input_ids[torch.tensor(wanted) + 1].tolist()
    assert text.weight_mass == len(wanted)
    again = all_text_pack(text)
    assert torch.equal(again.labels, text.labels)
    assert torch.equal(again.loss_weight, text.loss_weight)
    module = make_pair(positions="all_text")
    assert torch.equal(module.prepare(batch).labels, text.labels)
    step = module(batch)
    assert step.rows.tolist() == wanted
    assert_close(step.total.detach(), step.token_loss.sum(), atol=1e-6)
    assert make_pair().prepare(batch) is batch


def test_a_pack_without_targets_still_runs():
    batch = make_pack()
    none = dataclasses.replace(
        batch,
        labels=torch.full_like(batch.labels, IGNORE_LABEL),
        loss_weight=torch.zeros_like(batch.loss_weight),
    )
    module = make_pair()
    step = module(none)
    step.total.backward()
    assert step.total.detach() == 0
    assert step.token_loss.shape == step.rows.shape == (0,)
    assert not module.vlm.language_model.output_weight.grad.any()


def test_same_result_type_as_training():
    batch = make_pack()
    distilled = make_pair()(batch)
    trained = TrainModule(tiny_model(1).requires_grad_(True))(batch)
    assert type(distilled) is type(trained)
    assert torch.equal(distilled.rows, trained.rows)
    assert distilled.token_loss.shape == trained.token_loss.shape


def test_a_perturbed_student_comes_back():
    module = make_pair(0.3)
    batches = [make_pack((30, 34), seed=s) for s in range(2)]
    optimizer = torch.optim.AdamW(
        [p for p in module.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.0
    )
    history = []
    for update in range(24):
        optimizer.zero_grad()
        batch = batches[update % 2]
        loss = module(batch).total / batch.weight_mass
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert sum(history[-4:]) < 0.35 * sum(history[:4])


def test_a_quantized_student_learns():
    """Quantization-aware distillation in small: 4 bits behind, closer to the teacher after."""
    teacher = tiny_model(1, gain=2.0)
    student = copy.deepcopy(teacher).requires_grad_(True)
    insert_fake_quant(student.language_model, "nvfp4", ["*_proj"])
    module = DistillModule(student, teacher).train()
    batches = [make_pack((30, 34), seed=s) for s in range(2)]
    assert calibrate(student, batches, module) == ()
    freeze_ranges(student)
    optimizer = torch.optim.AdamW(
        [p for p in module.parameters() if p.requires_grad], lr=3e-4, weight_decay=0.0
    )
    history = []
    for update in range(24):
        optimizer.zero_grad()
        batch = batches[update % 2]
        loss = module(batch).total / batch.weight_mass
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[0] > 1e-4
    assert sum(history[-6:]) < 0.7 * sum(history[:6])


def test_refuses_pairs_that_do_not_fit():
    teacher = tiny_model(1)
    with pytest.raises(ConfigError, match=r"mlp1\..* differs|vision_model.* differs"):
        DistillModule(tiny_model(2), teacher)
    config = tiny_config()
    other = dataclasses.replace(config, lm=dataclasses.replace(config.lm, vocab_size=640))
    with pytest.raises(ConfigError, match="vocab_size is 640"):
        DistillModule(tiny_model(1), tiny_model(1, config=other))
    with pytest.raises(ConfigError, match="positions"):
        make_pair(positions="all")
    with pytest.raises(ConfigError, match="temperature"):
        make_pair(temperature=0.0)


def one_rank_of_two(rank, world):
    """Loss and gradients of this rank's part of a pack, summed over ranks."""
    module = make_pair(dtype=torch.float64)
    batch = make_pack((12, 20), dtype=torch.float64)
    step = module(batch, ContextParallel(dist.group.WORLD))
    step.total.backward()
    total = step.total.detach().clone()
    dist.all_reduce(total)
    grads = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            grads[name] = parameter.grad.clone()
            dist.all_reduce(grads[name])
    return total, grads, step.rows


@pytest.mark.slow
def test_two_ranks_that_share_a_pack():
    (total, grads, rows), (_, _, other_rows) = run_distributed(one_rank_of_two, 2)
    module = make_pair(dtype=torch.float64)
    step = module(make_pack((12, 20), dtype=torch.float64))
    step.total.backward()
    assert torch.equal(torch.cat([rows, other_rows]).sort().values, step.rows)
    assert_close(total, step.total.detach(), atol=1e-10)
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            assert_close(grads[name], parameter.grad, atol=1e-10, what=name)
