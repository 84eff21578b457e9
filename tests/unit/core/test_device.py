"""Device and dtype names."""

import subprocess
import sys

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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_freed_memory_is_kept() -> None:
    # In a process of its own: the setting cannot be taken back.
    code = (
        "import torch\n"
        "from nanovl.core.device import keep_freed_memory\n"
        "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "keep_freed_memory()\n"
        "del_me = torch.ones(30_000_000)\n"
        "full = resident()\n"
        "del del_me\n"
        "print(full - resident())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 30_000_000  # of 120 MB
