"""What every test gets: an empty home, a clean environment, fixed seeds, one thread, no network."""

from __future__ import annotations

import os

# Before torch is imported: one thread per process, so that sums do not depend on the machine.
os.environ["OMP_NUM_THREADS"] = "1"

import itertools
import json
import random
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).parent / "golden"
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "", None})
# Begun first, so that no process is left alone with one of them at the end.
LONGEST = ("test_train_overfit.py", "test_docs.py", "test_reading.py", "test_all_generators.py")
FOREIGN_SETTINGS = ("NANOVL_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update-golden`."""
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the files under tests/golden with what the tests got; review the diff",
    )


def pytest_configure(config: pytest.Config) -> None:
    """One thread also where torch was imported before this file; Ctrl-C works for children."""
    del config
    torch.set_num_threads(1)
    # A shell starts jobs in the background with the signal ignored, and children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; otherwise in the order of the folders."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def tex_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The TeX engine's fonts, read once for all test processes: that takes half a minute."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "texcache"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def _new_homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    # Numbered here: `mktemp` would read the folder of all the others for every test.
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def home(_new_homes: Iterator[Path], tex_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh NANOVL_HOME; settings of whoever runs the tests do not reach them.

    It holds nothing but a link to the font cache of all tests.
    """
    for name in list(os.environ):
        if name.startswith(FOREIGN_SETTINGS):
            monkeypatch.delenv(name)
    folder = next(_new_homes)
    folder.mkdir()
    (folder / "texcache").symlink_to(tex_cache)
    monkeypatch.setenv("NANOVL_HOME", str(folder))
    monkeypatch.setenv("HF_HOME", str(folder / "huggingface"))
    monkeypatch.setenv("COLUMNS", "100")  # width of help texts and tables
    monkeypatch.setenv("NO_COLOR", "1")
    return folder


@pytest.fixture(autouse=True)
def _seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    # `torch.manual_seed` notes a stack trace per absent device and call, for ever.
    torch.default_generator.manual_seed(0)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(0)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine has no network but itself: names do not resolve, addresses are unreachable."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    getaddrinfo = socket.getaddrinfo

    def check(address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in LOCAL_HOSTS:
            raise OSError(101, f"tests have no network (connection to {address[0]!r})")

    def guarded_connect(self: socket.socket, address: Any) -> None:
        check(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        check(address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in LOCAL_HOSTS and any(c.isalpha() for c in name) and ":" not in name:
            raise socket.gaierror(socket.EAI_NONAME, f"tests have no network (looking up {name!r})")
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """Compare with a committed file: `golden("name.json", value)`.

    Names ending in .json hold JSON values, all others text. With `--update-golden` the file is
    written instead.
    """
    update = request.config.getoption("--update-golden")

    def compare(name: str, value: Any) -> None:
        path = GOLDEN / name
        is_json = path.suffix == ".json"
        text = json.dumps(value, indent=1) + "\n" if is_json else str(value)
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.is_file(), f"{path} does not exist; run pytest with --update-golden"
        expected = path.read_text(encoding="utf-8")
        if is_json:
            assert json.loads(text) == json.loads(expected), f"differs from {path}"
        else:
            assert text == expected, f"differs from {path}"

    return compare


@pytest.fixture
def demo() -> Path:
    """Folder of the bundled demo pictures."""
    from nanovl.core.paths import asset

    return asset("demo")
