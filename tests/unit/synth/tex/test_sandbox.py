"""Programs run with limits and without the rest of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanovl.core.errors import BackendError
from nanovl.synth.tex.sandbox import Limits, Sandbox


def _run(work: Path, script: str, limits: Limits | None = None, isolate: bool | None = False):
    return Sandbox(work, limits, isolate=isolate).run(["sh", "-c", script])


def test_a_program_works_in_its_folder(tmp_path: Path) -> None:
    result = _run(tmp_path, "echo hi > out.txt; echo said")
    assert (result.code, result.failure, result.output) == (0, "", "said\n")
    assert (tmp_path / "out.txt").read_text() == "hi\n"


def test_a_program_that_hangs_is_stopped(tmp_path: Path) -> None:
    result = _run(tmp_path, "sleep 60", Limits(wall_s=0.5))
    assert result.failure == "timeout"
    assert result.seconds < 20


def test_a_program_that_spins_is_stopped(tmp_path: Path) -> None:
    result = _run(tmp_path, "while :; do :; done", Limits(cpu_s=1, wall_s=60))
    assert result.failure == "timeout"


def test_a_file_may_not_grow_without_end(tmp_path: Path) -> None:
    result = _run(tmp_path, "exec cat /dev/zero > big", Limits(file_bytes=1 << 16))
    assert result.failure == "file_size"
    assert (tmp_path / "big").stat().st_size <= 1 << 16


def test_the_machine_is_out_of_sight(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    if not sandbox.is_isolated:
        pytest.skip("bubblewrap does not work here")
    secret = tmp_path.parent / "secret.txt"
    secret.write_text("x")
    result = sandbox.run(
        ["sh", "-c", f"cat {secret} /etc/passwd; ls /home /root; echo x > /usr/x; echo $HOME"]
    )
    assert result.output.splitlines()[-1] == "/job"
    assert "root:" not in result.output


def test_a_missing_program_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="apt install"):
        Sandbox(tmp_path, isolate=False).run(["no-such-program"])
