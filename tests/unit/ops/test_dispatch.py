import torch

from nanovl.ops import dispatch


def test_every_operation_has_an_implementation_and_a_reason():
    rows = dispatch.report("cpu")
    names = [r.operation for r in rows]
    assert len(set(names)) == len(names)
    assert {"attention", "SSM prefill", "int8 linear", "fp8 linear"} <= set(names)
    assert all(r.implementation and r.why for r in rows)


def test_a_missing_kernel_is_reported(monkeypatch):
    monkeypatch.setattr(dispatch, "_has", lambda name: False)
    by_name = {r.operation: r.implementation for r in dispatch.report("cpu")}
    assert by_name["int8 linear"] == by_name["int4 linear"] == "decode to bf16"


def test_a_cpu_without_bf16_gets_a_hint(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert dispatch.report("cpu")[-1].implementation == "use dtype float32"
