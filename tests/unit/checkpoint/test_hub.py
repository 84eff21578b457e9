"""Hub downloads, with the hub package replaced: what is asked for, and every way to fail."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from nanovl.checkpoint.hub import ALLOW_PATTERNS, download, is_repo_id
from nanovl.core.errors import CheckpointError
from nanovl.core.events import Event
from nanovl.core.paths import models_dir

MakeFolder = Callable[..., Path]
REPO = "owner/model"


class FakeHub:
    """Stands in for `snapshot_download`."""

    def __init__(self, cached: Path | None = None, result: Path | Exception | None = None) -> None:
        self.cached, self.result = cached, result
        self.calls: list[dict[str, Any]] = []

    def __call__(self, repo_id: str, **options: Any) -> str:
        self.calls.append({"repo_id": repo_id} | options)
        if options.get("local_files_only"):
            if self.cached is None:
                raise errors.LocalEntryNotFoundError("not here")
            return str(self.cached)
        if isinstance(self.result, Exception):
            raise self.result
        bar = options["tqdm_class"]
        with bar(total=0, unit="B", name="huggingface_hub.snapshot_download") as written:
            received = bar(total=0, unit="B", name="huggingface_hub.snapshot_download.transfer")
            written.total = 300
            for n in (100, 200):
                received.update(n)
                written.update(n)
            written.refresh()
            written.set_description("done")
            written.set_postfix_str("", refresh=False)
            assert written.format_dict.get("rate") is None or written.n == 300
        assert list(bar([1, 2], desc="Fetching 2 files", total=2)) == [1, 2]
        return str(self.result)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeHub]:
    def install(**options: Any) -> FakeHub:
        fake = FakeHub(**options)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", fake)
        return fake

    return install


def test_what_is_asked_for(hub: Callable[..., FakeHub], tmp_path: Path) -> None:
    fake = hub(result=tmp_path)
    assert download(REPO, revision="v1", token="secret") == tmp_path
    call = fake.calls[-1]
    assert call["repo_id"] == REPO
    assert call["revision"] == "v1"
    assert call["token"] == "secret"
    assert call["cache_dir"] == models_dir() / "hub"
    assert call["allow_patterns"] == list(ALLOW_PATTERNS)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("model-00001-of-00006.safetensors", True),
        ("model.safetensors.index.json", True),
        ("config.json", True),
        ("chat_template.jinja", True),
        ("merges.txt", True),
        ("modeling.py", False),
        ("pytorch_model.bin", False),
        ("weights.pt", False),
        ("x.pickle", False),
    ],
)
def test_only_data_is_fetched(name: str, wanted: bool) -> None:
    assert any(fnmatch.fnmatch(name, pattern) for pattern in ALLOW_PATTERNS) is wanted


def test_progress_counts_bytes_once_and_draws_nothing(
    hub: Callable[..., FakeHub], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hub(result=tmp_path)
    events: list[Event] = []
    download(REPO, on_event=events.append)
    assert [(e.name, e.done, e.total, e.unit) for e in events] == [
        ("download", 100, 300, "bytes"),
        ("download", 300, 300, "bytes"),
    ]
    assert capfd.readouterr() == ("", "")


def test_a_complete_copy_of_another_program_is_used(
    hub: Callable[..., FakeHub], make_folder: MakeFolder
) -> None:
    folder = make_folder()
    fake = hub(cached=folder, result=RuntimeError("must not be asked"))
    assert download(REPO) == folder
    assert len(fake.calls) == 1


def test_an_incomplete_copy_is_not_used(
    hub: Callable[..., FakeHub], make_folder: MakeFolder, tmp_path: Path
) -> None:
    folder = make_folder(shards=3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    hub(cached=folder, result=tmp_path)
    assert download(REPO) == tmp_path


class TransportError(Exception):
    """Like those of the transport underneath: no relation to any class we know."""


def response(status: int) -> Any:
    """Enough of a response; its class differs between versions of the hub package."""
    request = SimpleNamespace(method="GET", url="https://hub", headers={})
    return SimpleNamespace(status_code=status, headers={}, request=request)


def offline() -> Exception:
    error = errors.LocalEntryNotFoundError("not in the cache")
    error.__cause__ = errors.OfflineModeIsEnabled("offline")
    return error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.RepositoryNotFoundError("x", response=response(404)), "no such repository"),
        (errors.GatedRepoError("x", response=response(403)), "access must be granted"),
        (errors.RevisionNotFoundError("x", response=response(404)), "no such revision"),
        (errors.LocalEntryNotFoundError("x"), "the hub cannot be reached"),
        (offline(), "set to offline mode"),
        (errors.OfflineModeIsEnabled("x"), "set to offline mode"),
        (errors.HFValidationError("x"), "not a repository id"),
        (errors.HfHubHTTPError("x", response=response(500)), "download failed"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (TransportError("refused"), r"TransportError: refused\); what was received is kept"),
        (ConnectionResetError("reset"), "try again to resume"),
    ],
)
def test_failures(hub: Callable[..., FakeHub], error: Exception, message: str) -> None:
    hub(result=error)
    with pytest.raises(CheckpointError, match=message) as caught:
        download(REPO, revision="v1")
    assert str(caught.value).startswith("owner/model at revision v1: ")


def test_no_network_in_reality() -> None:
    with pytest.raises(CheckpointError, match="owner/model: not in the cache and the hub"):
        download(REPO)


@pytest.mark.parametrize(
    ("name", "is_id"),
    [
        ("nvidia/NVIDIA-Nemotron-Nano-12B-v2-VL-FP8", True),
        ("a/b", True),
        ("a", False),
        ("a/b/c", False),
        ("./a/b", False),
        ("/a/b", False),
        ("../b", False),
        ("~/b", False),
        ("a/", False),
        ("https://x/y", False),
    ],
)
def test_repository_ids(name: str, is_id: bool) -> None:
    assert is_repo_id(name) is is_id
