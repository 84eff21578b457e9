"""The small shared things: exception tree, events, log set-up, folders."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanovl.core import errors, paths
from nanovl.core.events import Event, ignore_event, setup_logging


def test_every_error_is_a_nanovl_error() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), errors.NanoVLError)
        assert name in (errors.__doc__ or "")


def test_a_missing_extra_names_the_command() -> None:
    error = errors.missing_extra("faster_whisper", "speech", "speech recognition")
    assert isinstance(error, errors.BackendError)
    assert "pip install 'nanovl[speech]'" in str(error)


def test_events_are_plain_data() -> None:
    event = Event(name="load", done=1, total=2, unit="tensors")
    assert event.data == {}
    assert ignore_event(event) is None  # type: ignore[func-returns-value]


@pytest.fixture
def bare_logger() -> Iterator[logging.Logger]:
    """The package's logger without handlers, put back afterwards."""
    logger = logging.getLogger("nanovl")
    before = (list(logger.handlers), logger.level, logger.propagate)
    logger.handlers[:] = []
    logger.propagate = True  # pytest puts handlers of its own on loggers that do not propagate
    yield logger
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def test_logging_is_set_up_once(
    bare_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANOVL_LOG", "debug")
    setup_logging()
    setup_logging("error")
    assert len(bare_logger.handlers) == 1
    assert bare_logger.level == logging.ERROR
    setup_logging()
    assert bare_logger.level == logging.DEBUG
    setup_logging("no such level")
    assert bare_logger.level == logging.WARNING


def test_log_goes_to_the_standard_error_of_the_moment(
    bare_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stderr", first)
    setup_logging("info")
    bare_logger.info("one")
    first.close()
    monkeypatch.setattr("sys.stderr", second)
    bare_logger.info("two")
    assert second.getvalue() == "INFO nanovl: two\n"


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NANOVL_HOME", str(tmp_path))
    assert paths.home() == tmp_path
    assert paths.models_dir() == tmp_path / "models"
    monkeypatch.setenv("NANOVL_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert paths.home() == tmp_path / "me" / ".nanovl"


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("1", True)])
def test_debug(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("NANOVL_DEBUG", value)
    assert paths.debug_enabled() is expected


def test_assets_are_inside_the_package() -> None:
    assert paths.asset("mini", "tokenizer.json").is_file()
