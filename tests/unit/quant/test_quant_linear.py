"""The four quantized linears against their dequantized weights."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nanovl.core.errors import CheckpointError, InputError
from nanovl.ops.lowp import (
    fp8_decode,
    fp8_encode,
    fp8_scale,
    nvfp4_decode,
    nvfp4_encode,
    nvfp4_fake_quant_activation,
)
from nanovl.quant import (
    Fp8Linear,
    Int4Linear,
    Int8Linear,
    NvFp4Linear,
    base as quant_base,
    floating as quant_floating,
    int4_kernel,
    integer as quant_integer,
)
from nanovl.quant.linear import fp8_matmul_works

ALL = [Fp8Linear, NvFp4Linear, Int8Linear, Int4Linear]
BF16, F32 = torch.bfloat16, torch.float32


def weight(n, k, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(n, k, generator=generator) * 0.02).bfloat16()


def inputs(t, k, seed=1, dtype=BF16):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(t, k, generator=generator).to(dtype)


def make(cls, n, k, **kwargs):
    if cls in (Fp8Linear, NvFp4Linear):
        kwargs.setdefault("input_amax", 4.0)
    return cls.from_float(weight(n, k), **kwargs)


def relative_error(y, expected):
    return ((y.double() - expected.double()).norm() / expected.double().norm()).item()


def exact_product(module, x):
    return x.double() @ module.dequantized_weight(F32).double().t()


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("n", [1, 3, 129, 256])
@pytest.mark.parametrize("k", [32, 160])
@pytest.mark.parametrize("t", [1, 3, 4, 5, 17])
def test_equals_the_dequantized_product(cls, n, k, t):
    module = make(cls, n, k)
    numbers = module.dequantized_weight(F32)
    # observed maximum over this grid: 8.3e-3 in bf16, 1.0e-3 in fp16, 3.8e-7 in fp32
    for dtype, bound in ((BF16, 1.5e-2), (torch.float16, 2e-3), (F32, 1e-5)):
        x = inputs(t, k, dtype=dtype)
        y = module(x)
        assert (y.shape, y.dtype) == ((t, n), dtype)
        # against the expected size of the result: a lone output may cancel to nearly nothing
        size = (x.double().norm() * numbers.double().norm() / k**0.5).item()
        assert (y.double() - exact_product(module, x)).norm().item() < bound * size


@pytest.mark.parametrize("cls", ALL)
def test_leading_dimensions_and_empty_input(cls):
    module = make(cls, 48, 64)
    x = inputs(6, 64)
    whole = module(x)
    assert torch.equal(module(x.view(2, 3, 64)), whole.view(2, 3, 48))
    # a non-contiguous input
    assert torch.equal(module(x.t().contiguous().t()), whole)
    assert module(x[:0]).shape == (0, 48)
    assert module(x[0]).shape == (48,)


@pytest.mark.parametrize("cls", ALL)
def test_row_chunks_equal_one_product(cls, monkeypatch):
    module = make(cls, 200, 64)
    x = inputs(9, 64)
    whole = module(x)
    # a multiple of the INT4 kernel's block is not needed
    monkeypatch.setattr(quant_base, "CHUNK_ROWS", 48)
    assert torch.equal(module(x), whole)


@pytest.mark.parametrize("cls", ALL)
def test_workspace_is_one_chunk(cls, monkeypatch):
    monkeypatch.setattr(quant_base, "CHUNK_ROWS", 32)
    module = make(cls, 96, 64)
    seen = []
    product = F.linear

    def spy(x, w):
        seen.append(tuple(w.shape))
        return product(x, w)

    monkeypatch.setattr(F, "linear", spy)
    module(inputs(9, 64))
    assert seen == [(32, 64)] * 3


@pytest.mark.parametrize("cls", ALL)
def test_bias(cls):
    linear = nn.Linear(64, 48)
    without = cls.from_float(linear.weight)
    module = cls.from_float(linear)
    x = torch.randn(3, 64)
    torch.testing.assert_close(module(x), without(x) + linear.bias.detach())
    assert "bias" in module.state_dict()
    assert "bias" not in without.state_dict()


def buffers_of(cls):
    return {
        Fp8Linear: {"weight": torch.float8_e4m3fn, "weight_scale": F32, "input_scale": F32},
        NvFp4Linear: {
            "weight": torch.uint8,
            "weight_scale": torch.float8_e4m3fn,
            "weight_scale_2": F32,
            "input_scale": F32,
        },
        Int8Linear: {"weight": torch.int8, "weight_scale": F32},
        Int4Linear: {"weight_packed": torch.uint8, "weight_scale": BF16, "weight_min": BF16},
    }[cls]


def assert_same_state(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype is b[name].dtype
        assert a[name].shape == b[name].shape
        left, right = (t.contiguous().flatten().view(torch.uint8) for t in (a[name], b[name]))
        assert torch.equal(left, right), name


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("assign", [False, True])
def test_state_dict_round_trip(cls, assign):
    module = make(cls, 129, 64)
    x = inputs(2, 64)
    before = module(x)  # INT4 is in the kernel's order from here on
    state = module.state_dict()
    assert {name: t.dtype for name, t in state.items()} == buffers_of(cls)
    other = cls(64, 129, device="meta" if assign else "cpu")
    other.load_state_dict(state, assign=assign)
    assert_same_state(other.state_dict(), state)
    assert torch.equal(other(x), before)
    assert_same_state(module.state_dict(), state)
    assert torch.equal(module(x), before)


@pytest.mark.parametrize("cls", ALL)
def test_meta_construction_has_the_shapes_of_the_real_thing(cls):
    empty = cls(64, 129, device="meta")
    real = make(cls, 129, 64)
    assert (empty.in_features, empty.out_features, empty.format) == (64, 129, real.format)
    assert real.format == cls.__name__.removesuffix("Linear").lower()
    shapes = {name: (t.shape, t.dtype) for name, t in real.state_dict().items()}
    assert {name: (t.shape, t.dtype) for name, t in empty.state_dict().items()} == shapes
    assert all(t.device.type == "meta" for t in empty.buffers())
    assert not list(empty.parameters())


@pytest.mark.parametrize("cls", ALL)
def test_to_dtype_and_copy_leave_the_format_alone(cls):
    module = make(cls, 48, 64)
    x = inputs(2, 64)
    before, state = module(x), module.state_dict()
    moved = nn.Sequential(module).to(torch.float16).half().to("cpu")[0]
    assert_same_state(moved.state_dict(), state)
    assert torch.equal(moved(x), before)
    assert torch.equal(copy.deepcopy(module)(x), before)


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize("t", [2, 9])
def test_gradient_reaches_the_input(cls, t, monkeypatch):
    monkeypatch.setattr(quant_base, "CHUNK_ROWS", 32)
    module = make(cls, 96, 64)
    x = inputs(t, 64, dtype=F32).requires_grad_()
    module(x).sum().backward()
    expected = module.dequantized_weight(F32).sum(0).expand(t, 64)
    torch.testing.assert_close(x.grad, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cls", ALL)
def test_inference_mode_then_normal_mode(cls):
    module = make(cls, 48, 64)
    x = inputs(2, 64)
    with torch.inference_mode():
        first = module(x).clone()
        state = module.state_dict()
    assert torch.equal(module(x), first)
    module.load_state_dict(state)
    assert torch.equal(module(x), first)


# --- FP8 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("assign", [False, True])
def test_fp8_scalar_scale_shapes(shape, assign):
    module = make(Fp8Linear, 32, 64)
    state = module.state_dict()
    loaded = {n: t.reshape(shape) if n.endswith("scale") else t for n, t in state.items()}
    other = Fp8Linear(64, 32, device="meta" if assign else "cpu")
    other.load_state_dict(loaded, assign=assign)
    assert_same_state(other.state_dict(), state)


@pytest.mark.parametrize("shape", [(32,), (32, 1)])
@pytest.mark.parametrize("assign", [False, True])
def test_fp8_per_channel_scale_is_read(shape, assign):
    w = weight(32, 64)
    module = Fp8Linear.from_float(w, per_channel=True, input_amax=4.0)
    state = module.state_dict()
    assert state["weight_scale"].shape == (32,)
    loaded = {**state, "weight_scale": state["weight_scale"].reshape(shape)}
    # a module made for a scalar scale takes the per-channel one
    other = Fp8Linear(64, 32, device="meta" if assign else "cpu")
    other.load_state_dict(loaded, assign=assign)
    assert_same_state(other.state_dict(), state)
    x = inputs(9, 64)
    assert relative_error(other(x), exact_product(module, x)) < 1e-2


def test_fp8_scale_of_another_shape_is_refused():
    state = make(Fp8Linear, 32, 64).state_dict()
    state["weight_scale"] = torch.ones(16)
    with pytest.raises(RuntimeError, match="size mismatch"):
        Fp8Linear(64, 32).load_state_dict(state)


def test_weight_only_module_takes_an_input_scale_it_is_given():
    state = make(Fp8Linear, 32, 64).state_dict()
    other = Fp8Linear(64, 32, input_scale=False, device="meta")
    assert "input_scale" not in other.state_dict()
    other.load_state_dict(state, assign=True)
    assert_same_state(other.state_dict(), state)


def test_missing_input_scale_is_an_error_unless_weight_only():
    state = Fp8Linear.from_float(weight(32, 64)).state_dict()
    assert "input_scale" not in state
    with pytest.raises(RuntimeError, match="input_scale"):
        Fp8Linear(64, 32).load_state_dict(state)
    Fp8Linear(64, 32, input_scale=False).load_state_dict(state)


def test_fp8_from_float_uses_the_given_maxima():
    w = weight(32, 64)
    module = Fp8Linear.from_float(w, weight_amax=1.0, input_amax=13.4375)
    assert module.weight_scale.item() == fp8_scale(torch.tensor(1.0)).item()
    assert module.input_scale.item() == 0.02999441884458065
    assert Fp8Linear.from_float(w, input_amax=0.0).input_scale.item() == 1.0


def test_fp8_parity_mode_is_the_low_precision_product():
    module = make(Fp8Linear, 96, 64, input_amax=2.0)
    x = inputs(7, 64)  # some values are above the calibrated 2.0
    q = fp8_encode(x, module.input_scale)
    products = fp8_decode(q, torch.tensor(1.0), F32).double() @ (
        fp8_decode(module.weight, torch.tensor(1.0), F32).double().t()
    )
    expected = products * module.input_scale.double() * module.weight_scale.double()
    plain = module(x)
    module.emulate_activation = True
    parity = module(x)
    assert parity.dtype is BF16
    # bf16 rounding of the output alone
    torch.testing.assert_close(parity, expected.bfloat16(), rtol=8e-3, atol=1e-5)
    assert relative_error(plain, expected) > 1e-2


def test_fp8_scaled_product_equals_parity_mode():
    # torch has this product on the CPU as well: slow, but the same arguments
    module = make(Fp8Linear, 96, 64)
    x = inputs(7, 64)
    y = module._scaled_product(x)
    module.emulate_activation = True
    torch.testing.assert_close(y, module(x), rtol=8e-3, atol=1e-5)


def test_fp8_matmul_is_not_used_on_a_cpu():
    assert not fp8_matmul_works(torch.device("cpu"))


def wrong(*args, **kwargs):
    return torch.zeros(args[0].shape[0], 128, dtype=BF16)


def absent(*args, **kwargs):
    raise RuntimeError("no such kernel")


@pytest.mark.parametrize("kernel", [wrong, absent])
def test_fp8_probe_rejects_wrong_numbers_and_missing_kernels(monkeypatch, caplog, kernel):
    cpu = torch.device("cpu")
    assert quant_floating._probe_fp8_matmul(cpu)
    monkeypatch.setattr(torch, "_scaled_mm", kernel)
    assert not quant_floating._probe_fp8_matmul(cpu)
    assert "decoding weights instead" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("cls", ALL)
def test_gpu_equals_cpu(cls):
    module = make(cls, 256, 128)
    x = inputs(7, 128)
    expected = exact_product(module, x)
    y = module.cuda()(x.cuda()).cpu()
    # FP8 hardware rounds the activations as well
    assert relative_error(y, expected) < (6e-2 if cls is Fp8Linear else 1e-2)
    module.emulate_activation = True
    parity = module(x.cuda()).cpu()
    assert relative_error(module.cpu()(x), parity) < 1e-2
    if cls is Fp8Linear and fp8_matmul_works(torch.device("cuda")):
        assert relative_error(y, parity) < 1e-2


def test_fp8_check_names_the_fault():
    module = make(Fp8Linear, 32, 64)
    module.check("m")
    module.weight.view(torch.uint8)[3, 4] = 0xFF
    with pytest.raises(CheckpointError, match=r"layers\.0\.in_proj\.weight: holds NaN"):
        module.check("layers.0.in_proj")


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (Fp8Linear, "weight_scale"),
        (Fp8Linear, "input_scale"),
        (NvFp4Linear, "weight_scale_2"),
        (NvFp4Linear, "input_scale"),
        (Int8Linear, "weight_scale"),
        (Int4Linear, "weight_scale"),
    ],
)
def test_check_refuses_bad_scales(cls, name, bad):
    module = make(cls, 32, 64)
    module.check("m")
    getattr(module, name).view(-1)[-1] = bad
    with pytest.raises(CheckpointError, match=rf"m\.{name}: holds"):
        module.check("m")


# --- NVFP4 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0x7F, 0xFF, 0x80, 0xB8])
def test_nvfp4_check_refuses_nan_and_negative_block_scales(code):
    module = make(NvFp4Linear, 32, 64)
    module.check("m")
    module.weight_scale.view(torch.uint8)[3, 1] = code
    with pytest.raises(CheckpointError, match="NaN or negative block scales"):
        module.check("m")


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_nvfp4_scalar_scale_shapes(shape):
    module = make(NvFp4Linear, 32, 64)
    state = module.state_dict()
    scalars = ("weight_scale_2", "input_scale")
    loaded = {n: t.reshape(shape) if n in scalars else t for n, t in state.items()}
    other = NvFp4Linear(64, 32, device="meta")
    other.load_state_dict(loaded, assign=True)
    assert_same_state(other.state_dict(), state)


def test_nvfp4_parity_mode_is_the_low_precision_product():
    module = make(NvFp4Linear, 96, 64, input_amax=2.0)
    x = inputs(7, 64)
    rounded = nvfp4_fake_quant_activation(x.float(), module.input_scale).double()
    expected = rounded @ module.dequantized_weight(F32).double().t()
    plain = module(x)
    module.emulate_activation = True
    torch.testing.assert_close(module(x), expected.bfloat16(), rtol=8e-3, atol=1e-5)
    assert relative_error(plain, expected) > 5e-2


def test_parity_mode_without_input_scale_is_weight_only():
    x = inputs(7, 64)
    for module in (NvFp4Linear.from_float(weight(96, 64)), make(Int8Linear, 96, 64)):
        plain = module(x)
        module.emulate_activation = True
        assert torch.equal(module(x), plain)


def test_nvfp4_from_float_equals_the_codec():
    w = weight(33, 48)
    module = NvFp4Linear.from_float(w)
    packed, scale, scale_2 = nvfp4_encode(w)
    assert torch.equal(module.weight, packed)
    assert torch.equal(module.dequantized_weight(), nvfp4_decode(packed, scale, scale_2))


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="multiple of 16"):
        NvFp4Linear(24, 32)
    with pytest.raises(InputError, match="group size"):
        Int4Linear(48, 32)
    with pytest.raises(InputError, match="group size"):
        Int4Linear(64, 32, group_size=16)
    with pytest.raises(InputError, match="two dimensions"):
        Int8Linear.from_float(torch.ones(3))


# --- output error of a linear with Gaussian inputs: quantization specification, section 7.4 ------


@pytest.mark.parametrize(
    ("cls", "emulate", "percent"),
    [
        (Fp8Linear, True, 3.7),
        (Fp8Linear, False, 2.65),
        (NvFp4Linear, True, 13.4),
        (NvFp4Linear, False, 9.5),
        (Int8Linear, False, 0.87),
        (Int4Linear, False, 8.08),
    ],
)
def test_output_error(cls, emulate, percent):
    w = weight(512, 2048).float()
    x = inputs(256, 2048, dtype=F32)
    amax = {"input_amax": x.abs().max()} if emulate else {}
    module = cls.from_float(w, **amax)
    module.emulate_activation = emulate
    assert relative_error(module(x), x @ w.t()) == pytest.approx(percent / 100, rel=0.05)


# --- INT8 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(32,), (32, 1)])
def test_int8_scale_shapes(shape):
    module = make(Int8Linear, 32, 64)
    state = module.state_dict()
    loaded = {**state, "weight_scale": state["weight_scale"].reshape(shape)}
    other = Int8Linear(64, 32, device="meta")
    other.load_state_dict(loaded, assign=True)
    assert_same_state(other.state_dict(), state)


@pytest.mark.parametrize("k", [1, 3, 17, 24, 40])
def test_int8_odd_columns_stay_away_from_the_packed_kernel(k, monkeypatch):
    # torch 2.13: with bf16 inputs it reads past the end of rows that are no multiple of 16 long
    def forbidden(*args):
        raise AssertionError("packed kernel called")

    monkeypatch.setattr(torch, "_weight_int8pack_mm", forbidden)
    module = make(Int8Linear, 5, k)
    x = inputs(2, k)
    assert relative_error(module(x), exact_product(module, x)) < 1e-2


def test_int8_kernel_choice(monkeypatch):
    calls = []
    kernel = torch._weight_int8pack_mm
    monkeypatch.setattr(
        torch, "_weight_int8pack_mm", lambda *args: calls.append(len(args[0])) or kernel(*args)
    )
    module = make(Int8Linear, 32, 64)
    for t in (1, 4, 5, 64):
        module(inputs(t, 64))
    assert calls == [1, 4]
    module.gemv_rows = 16
    module(inputs(16, 64))
    assert calls == [1, 4, 16]


def test_int8_large_sums_in_fp16():
    module = Int8Linear.from_float(torch.full((16, 1024), 1e-3))
    x = torch.full((8, 1024), 10.0, dtype=torch.float16)
    # the bare integers would sum to 1.3 million, far beyond fp16
    torch.testing.assert_close(module(x).float(), torch.full((8, 16), 10.24), rtol=5e-3, atol=0)


# --- INT4 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("group_size", [32, 64, 128, 256])
@pytest.mark.parametrize("n", [1, 16, 70, 200])
def test_int4_kernel_and_decoding_agree(group_size, n):
    module = make(Int4Linear, n, 256, group_size=group_size)
    x = inputs(4, 256, dtype=F32)
    packed = module(x)
    module.gemv_rows = 0
    torch.testing.assert_close(packed, module(x), rtol=1e-4, atol=1e-5)


def test_int4_holds_its_nibbles_once():
    module = make(Int4Linear, 129, 64)
    portable, numbers = module.weight_packed.clone(), module.dequantized_weight()
    module(inputs(1, 64))
    kernel = int4_kernel.int4_kernel()
    if not kernel.works or kernel.block is None:
        pytest.skip("this processor has no INT4 kernel whose order is known")
    assert module.weight_packed is None
    assert torch.equal(module.dequantized_weight(), numbers)
    assert torch.equal(module.state_dict()["weight_packed"], portable)


@pytest.mark.parametrize("block", [16, 32, 64])
def test_int4_kernel_order_is_undone(block):
    torch.manual_seed(0)
    n, k = 3 * block, 8
    codes = torch.randint(0, 16, (n, k), dtype=torch.uint8)
    half = block // 2
    blocks = codes.view(3, block, k)
    packed = (blocks[:, :half] | blocks[:, half:] << 4).transpose(1, 2).reshape(n, k // 2)
    assert torch.equal(int4_kernel.read_kernel_order(packed, block), codes)


@pytest.mark.parametrize("kernel", [wrong, absent])
def test_int4_probe_rejects_wrong_numbers_and_missing_kernels(monkeypatch, kernel):
    monkeypatch.setattr(torch, "_weight_int4pack_mm_for_cpu", kernel)
    assert not int4_kernel.probe_int4_kernel().works


@pytest.mark.parametrize("cls", ALL)
def test_compiles_in_one_piece_after_the_first_call(cls):
    module = make(cls, 128, 64)
    with torch.no_grad():
        for t in (1, 9):
            x = inputs(t, 64)
            expected = module(x)
            torch.compiler.reset()
            compiled = torch.compile(module, backend="eager", fullgraph=True)
            assert torch.equal(compiled(x), expected)
    torch.compiler.reset()


@pytest.mark.parametrize(
    "kernel",
    [
        int4_kernel.Int4Kernel(works=False, block=None),
        int4_kernel.Int4Kernel(works=True, block=None),
    ],
)
def test_int4_on_other_processors(kernel, monkeypatch):
    module = make(Int4Linear, 70, 64)
    x = inputs(2, 64, dtype=F32)
    expected = module(x)
    module.state_dict()
    if not int4_kernel.int4_kernel().works:
        pytest.skip("this processor has no INT4 kernel")
    monkeypatch.setattr(quant_integer, "int4_kernel", lambda: kernel)
    torch.testing.assert_close(module(x), expected, rtol=1e-4, atol=1e-5)
    assert module.weight_packed is not None


def test_int4_symmetric_pack_quantized_weights():
    # compressed-tensors stores q + 8, element 0 in the lowest nibble
    q = [-8, -7, -1, 0, 1, 2, 6, 7]
    packed = (
        torch.tensor([0xFEA98710, 0x76543210, 0, 0]).to(torch.uint32).view(torch.int32).view(1, 4)
    )
    scale = torch.tensor([[0.0123]]).bfloat16()
    module = Int4Linear.from_symmetric(packed, scale)
    expected = [*q, -8, -7, -6, -5, -4, -3, -2, -1, *[-8] * 16]
    numbers = module.dequantized_weight(F32)
    torch.testing.assert_close(numbers, scale.float() * torch.tensor([expected]), rtol=1e-6, atol=0)
