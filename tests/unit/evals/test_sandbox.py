"""The sandbox: what programs cannot do, how they end, and that it refuses rather than degrades."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest

from nanovl.core.errors import BackendError, InputError
from nanovl.evals.sandbox import Environment, Limits, ResultCache, Sandbox, result_key
from nanovl.evals.sandbox_backends import Bubblewrap, Container, Launch, Nsjail, backends
from nanovl.evals.sandbox_seccomp import seccomp_filter


def _reason() -> str:
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed; the sandbox cannot be tried here"
    try:
        Sandbox(candidates=[Bubblewrap()])
    except BackendError as error:
        return f"bubblewrap does not work here: {error}"
    return ""


_WHY_NOT = _reason()
needs_bubblewrap = pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT or "-")


@pytest.fixture(scope="module")
def box() -> Sandbox:
    return Sandbox(candidates=[Bubblewrap()])


def _run(box: Sandbox, program: str, **limits: float):
    given = Limits(**{"wall_s": 20.0, **limits})  # type: ignore[arg-type]
    return box.run({"main.py": program.encode()}, given)


@needs_bubblewrap
class TestBox:
    def test_output_input_and_exit_status(self, box: Sandbox) -> None:
        program = "import sys\nprint(input())\nsys.stderr.write('note')\nsys.exit(3)"
        outcome = box.run({"main.py": program.encode()}, stdin=b"hello\n")
        assert (outcome.stdout, outcome.stderr, outcome.returncode) == (b"hello\n", b"note", 3)
        assert outcome.killed == ""

    def test_large_input_passes(self, box: Sandbox) -> None:
        program = "import sys\nprint(len(sys.stdin.read()))"
        outcome = box.run({"main.py": program.encode()}, stdin=b"x" * 3_000_000)
        assert outcome.stdout == b"3000000\n"

    def test_a_session_answers_line_by_line(self, box: Sandbox) -> None:
        program = "while True:\n    print(int(input()) * 2, flush=True)"
        with box.start({"main.py": program.encode()}) as session:
            assert session.ask(b"21", 10) == b"42"
            assert session.ask(b"4", 10) == b"8"
            assert session.ask(b"not a number", 10) is None
            outcome = session.finish()
        assert outcome.returncode == 1
        assert b"ValueError" in outcome.stderr

    def test_no_network(self, box: Sandbox) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            outcome = _run(
                box,
                "import socket\n"
                "for host in ('127.0.0.1', '10.0.0.1', '1.1.1.1'):\n"
                "    try:\n"
                f"        socket.create_connection((host, {port}), timeout=2)\n"
                "        print('connected')\n"
                "    except OSError as error:\n"
                "        print(error.errno)\n",
            )
        assert b"connected" not in outcome.stdout
        assert outcome.stdout.count(b"\n") == 3

    def test_no_files_of_home_repository_or_host(self, box: Sandbox, tmp_path: Path) -> None:
        secret = tmp_path / "secret.txt"
        secret.write_text("secret")
        places = [str(secret), str(Path(__file__)), str(Path.home() / ".bashrc"), "/etc/passwd"]
        outcome = _run(
            box,
            f"import os\nfor p in {places!r}:\n"
            "    try:\n        open(p).read(); print('read', p)\n"
            "    except OSError:\n        print('no')\n",
        )
        assert outcome.stdout == b"no\n" * 4

    def test_no_secrets_in_any_environment(
        self, box: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NANOVL_TEST_SECRET", "hunter2")
        outcome = _run(
            box,
            "import os, glob\nseen = repr(dict(os.environ))\n"
            "for p in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):\n"
            "    try:\n        seen += open(p).read()\n    except OSError:\n        pass\n"
            "print('hunter2' in seen, len(seen) > 0)",
        )
        assert outcome.stdout == b"False True\n"

    def test_nothing_outside_the_temporary_folder_can_be_written(self, box: Sandbox) -> None:
        outcome = _run(
            box,
            "for p in ('/x', '/usr/x', '/box/main.py', '/box/x', '/dev/x', '/proc/x', '/root/x',\n"
            "          '/proc/sys/kernel/hostname'):\n"
            "    try:\n        open(p, 'w').write('x'); print('wrote', p)\n"
            "    except OSError:\n        pass\n"
            "open('/tmp/y', 'w').write('fine'); print(open('/tmp/y').read())",
        )
        assert outcome.stdout == b"fine\n"
        assert not os.path.exists("/tmp/y")

    def test_the_temporary_folder_and_files_are_limited(self, box: Sandbox) -> None:
        outcome = _run(
            box,
            "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "def fill(pattern, piece, most):\n"
            "    total = 0\n"
            "    try:\n"
            "        for i in range(most):\n"
            "            with open(pattern % i, 'wb') as f:\n"
            "                f.write(piece); total += len(piece)\n"
            "    except OSError:\n        pass\n"
            "    return total >> 20\n"
            "print(fill('/tmp/%d', bytes(8 << 20), 64) <= 32)\n"
            "print(fill('/dev/shm/%d', bytes(8 << 20), 64) <= 32)\n"
            "try:\n    open('/dev/shm/z', 'wb').write(bytes(17 << 20)); print('big')\n"
            "except OSError:\n    print('no')\n",
            tmp_bytes=32 << 20,
        )
        assert outcome.stdout == b"True\nTrue\nno\n"

    def test_user_and_rights(self, box: Sandbox) -> None:
        outcome = _run(
            box,
            "import os\nprint(os.getuid() != 0, os.getgid() != 0)\n"
            "status = open('/proc/self/status').read()\n"
            "print([l.split()[1] for l in status.splitlines() if l.startswith('CapEff')])\n"
            "try:\n    os.setuid(0); print('root')\nexcept OSError:\n    print('no')\n",
        )
        assert outcome.stdout == b"True True\n['0000000000000000']\nno\n"

    def test_no_new_namespaces_or_hidden_memory(self, box: Sandbox) -> None:
        outcome = _run(
            box,
            "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            "print(libc.unshare(0x10000000), libc.shmget(0, 4096, 0o1600))\n"
            "try:\n    os.memfd_create('x'); print('memfd')\nexcept OSError:\n    print('no')\n",
        )
        assert outcome.stdout == b"-1 -1\nno\n"

    def test_a_fork_bomb_is_contained(self, box: Sandbox) -> None:
        started = time.monotonic()
        outcome = _run(
            box,
            "import os, time\nmade = 0\n"
            "while True:\n"
            "    try:\n        pid = os.fork()\n"
            "    except OSError:\n        print(made, flush=True); time.sleep(60)\n"
            "    if pid == 0:\n        time.sleep(60)\n"
            "    made += 1\n",
            wall_s=4.0,
        )
        assert outcome.killed == "timeout"
        assert 10 <= int(outcome.stdout.split()[0]) < 64
        assert time.monotonic() - started < 20

    def test_memory_of_one_process_is_limited(self, box: Sandbox) -> None:
        outcome = _run(box, "x = bytearray(1 << 30)", memory_bytes=512 << 20)
        assert outcome.returncode == 1
        assert b"MemoryError" in outcome.stderr

    def test_memory_of_all_processes_is_limited(self, box: Sandbox) -> None:
        outcome = _run(
            box,
            "import os, time\n"
            "for _ in range(6):\n"
            "    if os.fork() == 0:\n"
            "        x = bytearray(100 << 20)\n"
            "        x[::4096] = b'1' * len(x[::4096])\n"
            "        time.sleep(30)\n"
            "time.sleep(30)",
            memory_bytes=300 << 20,
        )
        assert outcome.killed == "memory"

    def test_an_endless_loop_is_killed(self, box: Sandbox) -> None:
        started = time.monotonic()
        outcome = _run(box, "while True: pass", wall_s=1.0)
        assert outcome.killed == "timeout"
        assert outcome.returncode is None
        assert time.monotonic() - started < 15

    def test_processor_time_is_limited(self, box: Sandbox) -> None:
        outcome = _run(box, "while True: pass", cpu_s=1)
        assert outcome.killed == ""
        assert outcome.returncode not in (0, None)

    def test_an_output_flood_is_cut(self, box: Sandbox) -> None:
        outcome = _run(
            box,
            "import sys\nfor _ in range(300): sys.stdout.write('x' * 65536)\n"
            "sys.stderr.write('y' * 300000)\n",
        )
        assert outcome.returncode == 0
        assert len(outcome.stdout) == len(outcome.stderr) == 100_000

    def test_a_reply_that_is_too_long_is_none(self, box: Sandbox) -> None:
        with box.start({"main.py": b"print('x' * 200)"}) as session:
            assert session.ask(b"go", 10, most_bytes=100) is None

    def test_nor_is_one_that_came_before_it_was_asked_for(self, box: Sandbox) -> None:
        program = b"print('y\\n' + 'x' * 200, flush=True); input()"
        with box.start({"main.py": program}) as session:
            assert session.ask(b"", 10) == b"y"
            assert session.ask(b"", 10, most_bytes=100) is None

    def test_everything_dies_with_the_session(self, box: Sandbox) -> None:
        mark = f"nanovl-{os.getpid()}-{time.monotonic_ns()}"
        program = (
            "import os, sys, time\n"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            "    line = ['python', '-c', 'import time; time.sleep(99)']\n"
            f"    os.execv(sys.executable, [*line, '{mark}'])\n"
            "time.sleep(1); print('ok', flush=True); time.sleep(99)\n"
        )
        with box.start({"main.py": program.encode()}) as session:
            assert session.ask(b"", 20) == b"ok"
            assert _running(mark)
        deadline = time.monotonic() + 10
        while _running(mark) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _running(mark)

    def test_only_the_packages_asked_for(self) -> None:
        program = (
            "import importlib.util as u\n"
            "print([bool(u.find_spec(n)) for n in ('numpy', 'torch', 'nanovl', 'json')])\n"
            "import numpy; print(int(numpy.arange(4).sum()))"
        )
        box = Sandbox(Environment.of(packages=("numpy",)), candidates=[Bubblewrap()])
        outcome = _run(box, program)
        assert outcome.stdout == b"[True, False, False, True]\n6\n"
        assert "numpy" in box.environment.versions

    def test_data_is_there_and_read_only(self, box: Sandbox, tmp_path: Path) -> None:
        file = tmp_path / "data.bin"
        file.write_bytes(b"42")
        file.chmod(0o644)
        program = (
            b"print(open('/data/x').read())\n"
            b"try:\n    open('/data/x', 'w'); print('wrote')\nexcept OSError:\n    print('no')\n"
        )
        outcome = box.run({"main.py": program}, data={"/data/x": file})
        assert outcome.stdout == b"42\nno\n"
        assert file.read_bytes() == b"42"

    def test_hashes_are_fixed(self, box: Sandbox) -> None:
        outputs = {_run(box, "print(hash('a'), list({'a', 'b', 'c'}))").stdout for _ in range(2)}
        assert len(outputs) == 1


def _running(mark: str) -> bool:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if mark in Path(f"/proc/{entry}/cmdline").read_bytes().decode(errors="replace"):
                    return True
            except OSError:
                continue
    return False


def test_without_a_backend_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BackendError, match=r"no sandbox works.*bwrap.*nsjail.*podman.*docker"):
        Sandbox(Environment.of(sys.executable))


def test_a_backend_that_does_not_work_is_named(tmp_path: Path) -> None:
    class Broken(Bubblewrap):
        def missing(self) -> None:
            return None

        def command(self, launch: Launch):
            command = super().command(launch)
            return type(command)(argv=["false"], keep=command.keep)

    with pytest.raises(BackendError, match=r"bubblewrap: .*did not become ready"):
        Sandbox(candidates=[Broken()])


def test_unsafe_local_warns_and_limits(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        box = Sandbox(unsafe_local=True)
    assert "WITHOUT isolation" in caplog.text
    assert box.run({"main.py": b"print(1)"}).stdout == b"1\n"
    outcome = box.run({"main.py": b"while True: pass"}, Limits(wall_s=0.5))
    assert outcome.killed == "timeout"
    outcome = box.run({"main.py": b"x = bytearray(1 << 30)"}, Limits(memory_bytes=512 << 20))
    assert b"MemoryError" in outcome.stderr


def test_the_order_of_backends() -> None:
    assert [backend.name for backend in backends()] == ["bubblewrap", "nsjail", "podman", "docker"]


@pytest.mark.parametrize("backend", [Nsjail(), Container("docker", "image")])
def test_command_lines_isolate(backend: Nsjail | Container, tmp_path: Path) -> None:
    launch = Launch(
        box=tmp_path,
        python=Path("/opt/python/bin/python3"),
        prefix=Path("/opt/python"),
        packages={"numpy": Path("/opt/lib/numpy")},
        data={"/data/x": Path("/srv/x")},
        tmp_bytes=1024,
        memory_bytes=4096,
        processes=64,
    )
    line = " ".join(backend.command(launch).argv)
    assert f"{tmp_path}:/box" in line
    assert "/srv/x:/data/x" in line
    if isinstance(backend, Container):
        for flag in ("--network none", "--read-only", "--cap-drop ALL", "--pids-limit 64"):
            assert flag in line
    else:
        assert "--bindmount_ro /usr" in line
        assert "65534" in line


def test_names_and_data_are_checked(tmp_path: Path) -> None:
    box = Sandbox(unsafe_local=True)
    with pytest.raises(InputError, match="not a plain file name"):
        box.run({"../main.py": b""})
    with pytest.raises(InputError, match="does not exist"):
        box.run({"main.py": b""}, data={"/x": tmp_path / "none"})


def test_environments_name_what_is_missing() -> None:
    with pytest.raises(BackendError, match=r"lacks the packages.*no_such_package"):
        Environment.of(packages=("no_such_package",))
    with pytest.raises(BackendError, match="could not be asked"):
        Environment.of("/nonexistent/python")


def test_results_are_cached_on_disk_but_not_sandbox_errors(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    key = result_key("print(1)", "t", "e")
    assert key != result_key("print(1)t", "", "e")
    cache = ResultCache(path)
    cache.add(key, {"status": "sandbox_error"})
    assert ResultCache(path).get(key) is None
    cache.add(key, {"status": "pass"})
    assert ResultCache(path).get(key) == {"status": "pass"}
    with path.open("ab") as file:
        file.write(b'{"key": "torn')
    assert ResultCache(path).get(key) == {"status": "pass"}
    memory = ResultCache()
    memory.add(key, {"status": "wrong"})
    assert memory.get(key) == {"status": "wrong"}


def test_the_filter_knows_two_machines() -> None:
    for machine in ("x86_64", "aarch64"):
        rules = seccomp_filter(machine)
        assert rules is not None
        assert len(rules) % 8 == 0
    assert seccomp_filter("sparc") is None
