"""Runs programs written by a model where they harm nothing: no network, no files, few resources.

A `Sandbox` has one isolating backend and one environment (an interpreter with packages). It starts
programs as `Session`s: send a line, get a line, or wait for the end. Without a working backend
there is no sandbox, only an error saying so; `unsafe_local=True` is the caller's own decision.
It must not know what is tested.

Source: evaluation specification, section 10.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import TracebackType
from typing import Literal

from nanovl.core.errors import BackendError, InputError
from nanovl.core.paths import program_path
from nanovl.evals import sandbox_launch
from nanovl.evals.sandbox_backends import (
    Backend,
    Command,
    Launch,
    UnsafeLocal,
    backends,
)
from nanovl.evals.scoring.keyed_lines import KeyedLines

__all__ = [
    "Environment",
    "Limits",
    "Outcome",
    "ResultCache",
    "Sandbox",
    "Session",
    "Status",
    "result_key",
]

log = logging.getLogger(__name__)

Status = Literal["pass", "wrong", "timeout", "error", "no_code", "sandbox_error"]
"""What came of a tested program. `sandbox_error` says nothing about the program."""

_START_S = 30.0
_WATCH_S = 0.05
_PIECE = 65536


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one program may use.

    Attributes:
        wall_s: Time on the clock for `Session.finish`.
        cpu_s: Processor time of each process.
        memory_bytes: Address space of each process, and resident memory of all together.
        file_bytes: Largest file.
        processes: Most processes and threads.
        output_bytes: Output kept; the rest is thrown away.
        tmp_bytes: Size of the temporary folder.
    """

    wall_s: float = 30.0
    cpu_s: int = 60
    memory_bytes: int = 4 << 30
    file_bytes: int = 16 << 20
    processes: int = 64
    output_bytes: int = 100_000
    tmp_bytes: int = 256 << 20


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An interpreter and the packages programs may import.

    Attributes:
        python: The interpreter itself, outside any virtual environment.
        prefix: The folder it is installed in.
        packages: Name to folder or file.
        versions: Of Python and the packages asked for; part of every cache key.
    """

    python: Path
    prefix: Path
    packages: Mapping[str, Path] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Short hash of the versions."""
        text = json.dumps(dict(self.versions), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @classmethod
    def of(cls, python: str | Path = sys.executable, packages: Sequence[str] = ()) -> Environment:
        """The environment of an interpreter, with some of its installed packages.

        Args:
            python: An interpreter, also of a virtual environment. It is run once to ask it.
            packages: Import names. Of those with compiled libraries beside them (`name.libs`),
                these come along.

        Raises:
            BackendError: The interpreter does not run, or lacks a package.
        """
        return _ask_environment(str(python), tuple(packages))


_QUESTION = """
import importlib.metadata, importlib.util, json, os, platform, sys
found, versions, missing = {}, {"python": platform.python_version()}, []
owners = importlib.metadata.packages_distributions()
for name in sys.argv[1:]:
    spec = importlib.util.find_spec(name)
    if spec is None:
        missing.append(name)
        continue
    place = os.path.dirname(spec.origin) if spec.submodule_search_locations else spec.origin
    found[os.path.basename(place)] = place
    if os.path.isdir(place + ".libs"):
        found[name + ".libs"] = place + ".libs"
    owner = owners.get(name, [name])[0]
    versions[name] = importlib.metadata.version(owner)
real = os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2])
real = real if os.path.exists(real) else sys._base_executable
print(json.dumps([os.path.realpath(real), sys.base_prefix, found, versions, missing]))
"""


@lru_cache(maxsize=16)
def _ask_environment(python: str, packages: tuple[str, ...]) -> Environment:
    try:
        asked = subprocess.run(
            [python, "-I", "-c", _QUESTION, *packages], capture_output=True, timeout=60, check=True
        )
        real, prefix, found, versions, missing = json.loads(asked.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        said = getattr(error, "stderr", b"") or b""
        raise BackendError(
            f"the interpreter '{python}' could not be asked for its packages ({error}); "
            f"{said.decode(errors='replace').strip()[-300:]}"
        ) from error
    if missing:
        raise BackendError(
            f"the interpreter '{python}' lacks the packages {missing} that the programs under "
            "test may import; install them there or name another interpreter"
        )
    return Environment(
        python=Path(real),
        prefix=Path(prefix),
        packages={name: Path(place) for name, place in found.items()},
        versions=versions,
    )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a program ended.

    Attributes:
        returncode: As of a process: 0 well, negative for a signal; None if it had to be killed.
        stdout: Output, cut at the limit.
        stderr: Messages, cut at the limit.
        killed: "timeout" or "memory" when it had to be killed, else "".
        wall_s: Seconds from ready to the end.
    """

    returncode: int | None
    stdout: bytes
    stderr: bytes
    killed: Literal["", "timeout", "memory"] = ""
    wall_s: float = 0.0


class Session:
    """A running program; a context manager that ends it.

    Made by `Sandbox.start`. Everything it started dies with it.
    """

    def __init__(self, command: Command, options: Mapping[str, object], limits: Limits) -> None:
        self.limits = limits
        self._command = command
        self._stdout = b""
        self._stderr = b""
        self._killed: Literal["", "timeout", "memory"] = ""
        arguments = [*command.argv, json.dumps({**options, "user": command.user})]
        try:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(command.env) or {"PATH": program_path()},
                cwd=command.cwd,
                pass_fds=[file.fileno() for file in command.keep],
                start_new_session=True,
            )
        finally:
            for file in command.keep:
                file.close()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._streams = (self._process.stdin, self._process.stdout, self._process.stderr)
        for stream in self._streams:
            os.set_blocking(stream.fileno(), False)
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch_memory, daemon=True)
        self._watcher.start()
        self.started = time.monotonic()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _watch_memory(self) -> None:
        """Kill the program when all its processes together hold more than the limit."""
        while not self._over.wait(_WATCH_S):
            if _resident_bytes(self._process.pid) > self.limits.memory_bytes:
                self._killed = "memory"
                self._kill()
                return

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._command.kill:
            subprocess.run(
                list(self._command.kill),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=20,
                check=False,
            )

    def _move(self, deadline: float, unsent: bytes, want: int | None) -> bool:
        """Write `unsent`, read both outputs; until a line, `want` bytes too many, end or deadline.

        Returns:
            False when the deadline passed.
        """
        stdin, stdout, stderr = self._streams
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            if unsent:
                selector.register(stdin, selectors.EVENT_WRITE)
            while selector.get_map():
                if want is not None and not unsent and self._line_ready(want):
                    return True
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                for key, _ in selector.select(left):
                    if key.fileobj is stdin:
                        unsent = self._send(unsent)
                        if not unsent:
                            selector.unregister(stdin)
                    elif not self._receive(key.fd, is_output=key.fileobj is stdout, want=want):
                        selector.unregister(key.fileobj)
                        if want is not None and key.fileobj is stdout:
                            return True
        return True

    def _line_ready(self, want: int) -> bool:
        return b"\n" in self._stdout or len(self._stdout) > want

    def _send(self, unsent: bytes) -> bytes:
        try:
            return unsent[os.write(self._streams[0].fileno(), unsent[:_PIECE]) :]
        except BlockingIOError:
            return unsent
        except BrokenPipeError:
            return b""

    def _receive(self, fd: int, *, is_output: bool, want: int | None) -> bool:
        """Take what is there; False at the end of the stream."""
        try:
            piece = os.read(fd, _PIECE)
        except BlockingIOError:
            return True
        if is_output:
            room = (self.limits.output_bytes if want is None else want + 1) - len(self._stdout)
            self._stdout += piece[: max(room, 0)]
        else:
            self._stderr += piece[: max(self.limits.output_bytes - len(self._stderr), 0)]
        return bool(piece)

    def ask(self, line: bytes, seconds: float, most_bytes: int | None = None) -> bytes | None:
        """Send a line and wait for one.

        Args:
            line: Without line break; b"" sends nothing and only waits.
            seconds: How long to wait.
            most_bytes: Longest reply; a longer one counts as none.

        Returns:
            The reply without line break; None when there was none in time, it was too long, or
            the program ended. `finish` tells why.
        """
        most = self.limits.output_bytes if most_bytes is None else most_bytes
        unsent = line + b"\n" if line else b""
        if not self._move(time.monotonic() + seconds, unsent, most):
            self._killed = self._killed or "timeout"
            return None
        reply, found, rest = self._stdout.partition(b"\n")
        # What came before the question was not measured when it was read.
        if not found or len(reply) > most:
            return None
        self._stdout = rest
        return reply

    def finish(self, stdin: bytes = b"") -> Outcome:
        """Send the last input, close it, wait for the end within `limits.wall_s`; kill if needed.

        Args:
            stdin: What the program may still read.
        """
        deadline = time.monotonic() + (0.0 if self._killed else self.limits.wall_s)
        if not self._killed:
            # Small inputs fit the pipe; closing must not wait for a program that does not read.
            if stdin and not self._move_in(deadline, stdin):
                self._killed = "timeout"
            with contextlib.suppress(BrokenPipeError):
                self._streams[0].close()
            if not self._killed and not self._move(deadline, b"", None):
                self._killed = self._killed or "timeout"
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(deadline - time.monotonic(), 0.1))
        ended = self._process.poll()
        if ended is None and not self._killed:
            self._killed = "timeout"
        self.close()
        return Outcome(
            returncode=None if self._killed else ended,
            stdout=self._stdout,
            stderr=self._stderr,
            killed=self._killed,
            wall_s=time.monotonic() - self.started,
        )

    def _move_in(self, deadline: float, data: bytes) -> bool:
        """Write all of `data` while reading what comes."""
        stdin = self._streams[0]
        with selectors.DefaultSelector() as selector:
            for stream in self._streams[1:]:
                selector.register(stream, selectors.EVENT_READ)
            selector.register(stdin, selectors.EVENT_WRITE)
            while data:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                for key, _ in selector.select(left):
                    if key.fileobj is stdin:
                        data = self._send(data)
                    elif not self._receive(
                        key.fd, is_output=key.fileobj is self._streams[1], want=None
                    ):
                        selector.unregister(key.fileobj)
        return True

    def close(self) -> None:
        """Kill what still runs and let go of everything. Calling it again does nothing."""
        if not self._over.is_set():
            self._over.set()
            self._kill()
            self._process.wait()
            self._watcher.join()
            for stream in self._streams:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _resident_bytes(root: int) -> int:
    """Resident memory of a process and all below it; 0 where /proc does not tell."""
    total, waiting = 0, [root]
    page = os.sysconf("SC_PAGE_SIZE")
    while waiting:
        pid = waiting.pop()
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page
            for task in os.listdir(f"/proc/{pid}/task"):
                waiting += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        except (OSError, ValueError, IndexError):
            continue  # it has just ended
    return total


class Sandbox:
    """An isolating backend with an environment.

    Args:
        environment: What programs may import; None is this interpreter and no package.
        candidates: Backends in order of preference; None is the default order.
        unsafe_local: Run without isolation, with limits on resources only. A warning is logged.

    Raises:
        BackendError: No candidate works here; names each one's reason.
    """

    def __init__(
        self,
        environment: Environment | None = None,
        *,
        candidates: Sequence[Backend] | None = None,
        unsafe_local: bool = False,
    ) -> None:
        self.environment = environment or Environment.of()
        if unsafe_local:
            log.warning("programs written by a model run WITHOUT isolation on this machine")
            self.backend: Backend = UnsafeLocal()
            return
        reasons = []
        for backend in backends() if candidates is None else candidates:
            self.backend = backend
            reason = backend.missing() or self._try()
            if reason is None:
                return
            reasons.append(f"{backend.name}: {reason}")
        raise BackendError(
            "no sandbox works here, so programs are not executed ("
            + "; ".join(reasons or ["no backend was given"])
            + "). Install bubblewrap, or pass --unsafe-local if you trust the programs"
        )

    def _try(self) -> str | None:
        """Why the backend does not work, or None."""
        try:
            with self.start({"main.py": b"print(6 * 7)"}) as session:
                outcome = session.finish()
        except BackendError as error:
            return str(error)
        if outcome.stdout == b"42\n":
            return None
        return f"a trial program printed {outcome.stdout!r} and {outcome.stderr[-200:]!r}"

    @cached_property
    def id(self) -> str:
        """Names environment and backend in cache keys and results."""
        return f"{self.backend.name}:{self.environment.id}"

    def start(
        self,
        files: Mapping[str, bytes],
        limits: Limits | None = None,
        *,
        data: Mapping[str, Path] | None = None,
    ) -> Session:
        """Start `main.py` of the given files.

        Args:
            files: Name to content; names are plain, `main.py` is the program.
            limits: What it may use.
            data: Place inside to a file here, read-only; e.g. `{"/data/test.h5": path}`.

        Returns:
            The session, ready.

        Raises:
            BackendError: The program could not be started; says nothing about the program.
            InputError: A file name is not plain, or a data file cannot be read inside.
        """
        limits = limits or Limits()
        data = dict(data or {})
        for name in files:
            if name != Path(name).name or name == "launch.py":
                raise InputError(f"sandbox: '{name}' is not a plain file name of a program")
        for path in data.values():
            _check_readable(path)
        folder = Path(tempfile.mkdtemp(prefix="nanovl-box-"))
        try:
            _write_box(folder, files)
            launch = Launch(
                box=folder,
                python=self.environment.python,
                prefix=self.environment.prefix,
                packages=self.environment.packages,
                data=data,
                tmp_bytes=limits.tmp_bytes,
                memory_bytes=limits.memory_bytes,
                processes=limits.processes,
            )
            command = self.backend.command(launch)
            unshared = isinstance(self.backend, UnsafeLocal)
            options = {
                "script": f"{command.box}/main.py",
                "packages": list(command.packages) if launch.packages else [],
                "memory_bytes": limits.memory_bytes,
                "cpu_s": limits.cpu_s,
                "file_bytes": limits.file_bytes,
                "processes": limits.processes + (_own_tasks() if unshared else 0),
            }
            session = _BoxSession(folder, command, options, limits)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise BackendError(
                f"sandbox '{self.backend.name}' could not be started: {error}"
            ) from error
        greeting = session.ask(b"", _START_S)
        if greeting is None or greeting + b"\n" != sandbox_launch.READY:
            outcome = session.finish()
            said = outcome.stderr.decode(errors="replace").strip()[-300:]
            raise BackendError(
                f"sandbox '{self.backend.name}' did not become ready (exit status "
                f"{outcome.returncode}): {said or greeting!r}"
            )
        session.started = time.monotonic()
        return session

    def run(
        self,
        files: Mapping[str, bytes],
        limits: Limits | None = None,
        *,
        stdin: bytes = b"",
        data: Mapping[str, Path] | None = None,
    ) -> Outcome:
        """Start `main.py` and wait for its end; arguments and errors as of `start`."""
        with self.start(files, limits, data=data) as session:
            return session.finish(stdin)


class _BoxSession(Session):
    """A session that also removes its folder."""

    def __init__(
        self, folder: Path, command: Command, options: Mapping[str, object], limits: Limits
    ) -> None:
        self._folder = folder
        super().__init__(command, options, limits)

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _write_box(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the job's files and the launcher, readable for any user."""
    launcher = Path(sandbox_launch.__file__).read_bytes()
    for name, content in {**files, "launch.py": launcher}.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o644)
    folder.chmod(0o755)


def _check_readable(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"sandbox: data file {path} does not exist")
    if os.geteuid() == 0 and not path.stat().st_mode & stat.S_IROTH:
        raise InputError(
            f"sandbox: data file {path} is not readable for other users, so programs cannot read "
            f"it; run: chmod o+r {path}"
        )


def _own_tasks() -> int:
    """Threads of this user now: without isolation the limit on processes counts them too."""
    count = 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.stat(f"/proc/{entry}").st_uid == os.geteuid():
                    count += len(os.listdir(f"/proc/{entry}/task"))
            except OSError:
                continue  # it has just ended
    return count


def result_key(program: str, test: str, environment: str) -> str:
    """Cache key of one tested program.

    Args:
        program: Its text.
        test: Name and content of the tests.
        environment: `Sandbox.id`.
    """
    digest = hashlib.sha256()
    for text in (program, test, environment):
        digest.update(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())
    return digest.hexdigest()


class ResultCache:
    """Results of tested programs on disk, by `result_key`.

    Only results that say something about the program are kept, so not `sandbox_error`.

    Args:
        path: A file of JSON lines; None keeps results in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lines = KeyedLines(path) if path is not None else None
        self._memory: dict[str, dict[str, object]] = {}

    def get(self, key: str) -> dict[str, object] | None:
        """The result of a key, or None."""
        found = self._lines.get(key) if self._lines is not None else self._memory.get(key)
        return dict(found) if found is not None else None

    def add(self, key: str, result: Mapping[str, object]) -> None:
        """Remember a result; it must have a "status"."""
        if result["status"] == "sandbox_error":
            return
        if self._lines is not None:
            self._lines.add(key, dict(result))
        else:
            self._memory[key] = dict(result)
