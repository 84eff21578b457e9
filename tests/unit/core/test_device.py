"""Device and dtype names."""

import pytest
import torch

from nanovl.core.device import available_memory_bytes, capability, choose_device, choose_dtype
from nanovl.core.errors import BackendError, ConfigError


def test_devices() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "meta", "cpux"])
def test_names_that_are_no_device(name: str) -> None:
    with pytest.raises(ConfigError, match=f"device '{name}'"):
        choose_device(name)


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(BackendError, match="CUDA devices; use cpu"):
        choose_device("cuda:99")


def test_dtypes() -> None:
    device = torch.device("cpu")
    assert choose_dtype("auto", device) is torch.bfloat16
    assert choose_dtype("fp32", device) is torch.float32
    with pytest.raises(ConfigError, match="dtype 'int8': expected auto, "):
        choose_dtype("int8", device)


def test_facts_about_this_machine() -> None:
    facts = capability("cpu")
    assert facts.kind == "cpu"
    assert facts.name
    assert facts.memory_bytes > 0
    assert 0 <= available_memory_bytes() <= facts.memory_bytes
