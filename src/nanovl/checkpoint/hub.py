"""Download a checkpoint from the Hugging Face hub by its repository id.

Only weights, configuration and tokenizer files are fetched; never code, pickles or other formats.
Interrupted downloads resume. Nothing is fetched unless a repository id was asked for.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import errors
from huggingface_hub.utils.tqdm import tqdm

from nanovl.checkpoint.hf import open_checkpoint
from nanovl.core import paths
from nanovl.core.errors import CheckpointError, NanoVLError
from nanovl.core.events import Event, OnEvent, ignore_event

__all__ = ["ALLOW_PATTERNS", "download", "is_repo_id"]

logger = logging.getLogger(__name__)

ALLOW_PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.txt")

_REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def is_repo_id(name: str) -> bool:
    """Whether a name has the form owner/repository."""
    return _REPO_ID.fullmatch(name) is not None


def download(
    repo_id: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    on_event: OnEvent = ignore_event,
) -> Path:
    """Fetch a repository, or what is missing of it.

    A complete copy in the hub's own cache, left there by another program, is used as it is.

    Args:
        repo_id: owner/repository.
        revision: Branch, tag or commit; None is the main branch.
        token: Access token; None uses the one stored by the hub's login command.
        on_event: Told about bytes received.

    Returns:
        A folder with the files of that revision.

    Raises:
        CheckpointError: Unknown or closed repository, no network, or a broken transfer.
    """
    shared = _complete_copy(repo_id, revision)
    if shared is not None:
        logger.info("%s: using the copy in %s", repo_id, shared)
        return shared
    try:
        folder = huggingface_hub.snapshot_download(
            repo_id,
            revision=revision,
            token=token,
            cache_dir=paths.models_dir() / "hub",
            allow_patterns=list(ALLOW_PATTERNS),
            tqdm_class=_progress_class(on_event),
        )
    except Exception as error:
        # The transport underneath (requests, httpx, xet) has exception classes of its own, which
        # differ between versions of the package; all of them mean that nothing was downloaded.
        raise _translate(error, repo_id, revision) from error
    return Path(folder)


def _complete_copy(repo_id: str, revision: str | None) -> Path | None:
    """A copy in the default cache whose weights are all there; None when there is none."""
    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                repo_id,
                revision=revision,
                local_files_only=True,
                allow_patterns=list(ALLOW_PATTERNS),
            )
        )
        open_checkpoint(folder)
    except (NanoVLError, OSError, ValueError) as error:
        logger.debug("%s: no complete copy in the default cache (%s)", repo_id, error)
        return None
    return folder


def _translate(error: Exception, repo_id: str, revision: str | None) -> CheckpointError:
    where = f"{repo_id}" + (f" at revision {revision}" if revision else "")
    retry = "what was received is kept, try again to resume"
    if isinstance(error, errors.GatedRepoError):
        return CheckpointError(
            f"{where}: access must be granted first; accept the terms on the repository's page "
            "and log in with `hf auth login`"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return CheckpointError(
            f"{where}: no such repository on the hub, or it is private; check the name, or log in "
            "with `hf auth login`"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return CheckpointError(f"{where}: the repository has no such revision; check its name")
    if errors.OfflineModeIsEnabled in (type(error), type(error.__cause__)):
        return CheckpointError(
            f"{where}: not in the cache and the hub is set to offline mode (HF_HUB_OFFLINE); "
            "unset it, or pass a folder"
        )
    if isinstance(error, errors.LocalEntryNotFoundError):
        return CheckpointError(
            f"{where}: not in the cache and the hub cannot be reached; connect to the network, or "
            "pass a folder"
        )
    if isinstance(error, errors.HFValidationError):
        return CheckpointError(f"{where}: not a repository id; expected owner/repository")
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return CheckpointError(f"{where}: download failed ({error.strerror}); {retry}")
    return CheckpointError(f"{where}: download failed ({type(error).__name__}: {error}); {retry}")


def _progress_class(on_event: OnEvent) -> type[tqdm]:
    """The package's progress bar, sending events instead of drawing."""

    class Progress(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            # Bytes come in twice, as received and as written to disk; the second is the truth.
            received = str(options.get("name") or "").endswith(".transfer")
            self._counts_bytes = options.get("unit") == "B" and not received
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> bool | None:
            self.n += n or 0  # a disabled bar would not count
            if self._counts_bytes:
                on_event(Event(name="download", done=self.n, total=self.total or 0, unit="bytes"))
            return None

    return Progress
