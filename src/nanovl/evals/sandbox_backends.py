"""How a program is put in a box: bubblewrap, nsjail, podman or docker, or not at all.

Each backend turns a `Launch` into a command line. All of them give: no network, a read-only root
without home, repository or models, a private temporary folder of limited size, a user without
rights. `UnsafeLocal` gives none of that and is never chosen by itself. Must not run the programs.

Source: evaluation specification, section 10.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from nanovl.core.paths import settings
from nanovl.evals.sandbox_seccomp import seccomp_filter

__all__ = [
    "BOX",
    "SITE",
    "Backend",
    "Bubblewrap",
    "Command",
    "Container",
    "Launch",
    "Nsjail",
    "UnsafeLocal",
    "backends",
]

BOX = "/box"
"""Where the files of a job are inside, read-only."""

SITE = "/site"
"""Where packages are inside, read-only."""

_NOBODY = 65534
_FIRST_USER = 200_000
"""Users of boxes started by root are drawn from here on, so that none has other processes."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One program to start.

    Attributes:
        box: Folder with the job's files; seen as `BOX`.
        python: The interpreter on this machine.
        prefix: Folder it is installed in; seen at the same place.
        packages: Name inside `SITE` to folder or file here.
        data: Further read-only paths: place inside to path here.
        tmp_bytes: Size of the temporary folder.
        memory_bytes: For backends that limit all processes together.
        processes: Most processes.
    """

    box: Path
    python: Path
    prefix: Path
    packages: Mapping[str, Path]
    data: Mapping[str, Path]
    tmp_bytes: int
    memory_bytes: int
    processes: int


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to execute, and what the launcher inside is told.

    Attributes:
        argv: Command line up to and without the launcher's arguments.
        box: Where the job's files are for the program.
        packages: Entries for the module search path.
        user: User id to change to inside, or None.
        env: Environment of the outermost process.
        keep: Open files the command needs; close them after the start.
        cwd: Folder to start in, or None.
        kill: A further command that ends the program, or None.
    """

    argv: Sequence[str]
    box: str = BOX
    packages: Sequence[str] = (SITE,)
    user: int | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    keep: Sequence[IO[bytes]] = ()
    cwd: str | None = None
    kill: Sequence[str] | None = None


class Backend(Protocol):
    """One way to isolate."""

    @property
    def name(self) -> str:
        """Shown in results and errors."""
        ...

    def missing(self) -> str | None:
        """Why it cannot be used here, or None. Whether it works is only known by trying."""
        ...

    def command(self, launch: Launch) -> Command:
        """The command line for one program."""
        ...


def _environment(python_path: str | None = None) -> dict[str, str]:
    """The fixed environment of every program."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": "/tmp",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TZ": "UTC",
        **({"PYTHONPATH": python_path} if python_path else {}),
    }


def _interpreter(launch: Launch, box: str = BOX) -> list[str]:
    return [str(launch.python), "-s", "-S", "-B", "-P", f"{box}/launch.py"]


def _system_folders() -> list[tuple[str, str | None]]:
    """The folders of programs and libraries: path, and the target where it is a link."""
    found: list[tuple[str, str | None]] = [("/usr", None)]
    for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if os.path.islink(path):
            found.append((path, os.readlink(path)))
        elif os.path.isdir(path):
            found.append((path, None))
    return found


def _open_folders(path: str) -> list[str]:
    """Folders above a place, made enterable for every user; bubblewrap would close them."""
    above = [str(folder) for folder in reversed(Path(path).parents) if str(folder) != "/"]
    return [word for folder in above for word in ("--perms", "0755", "--dir", folder)]


@dataclass(frozen=True)
class Bubblewrap:
    """bubblewrap: unprivileged namespaces, or plain namespaces and a fresh user id for root."""

    name: str = "bubblewrap"

    def missing(self) -> str | None:
        """Whether the program `bwrap` is there."""
        return None if shutil.which("bwrap") else "the program 'bwrap' is not installed"

    def command(self, launch: Launch) -> Command:
        """Everything is made anew; only programs, libraries and the job are bound in."""
        is_root = os.geteuid() == 0
        argv = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
        argv += ["--unshare-cgroup-try", "--hostname", "sandbox", "--die-with-parent"]
        argv += ["--new-session", "--clearenv"]
        user = None
        if is_root:
            # The kernel exempts root from the limit on processes, mapped or not.
            user = _FIRST_USER + secrets.randbelow(1 << 20)
            argv += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        else:
            argv += ["--unshare-user", "--uid", str(_NOBODY), "--gid", str(_NOBODY)]
        for key, value in _environment().items():
            argv += ["--setenv", key, value]
        for folder, target in _system_folders():
            argv += ["--symlink", target, folder] if target else ["--ro-bind", folder, folder]
        if not launch.prefix.is_relative_to("/usr"):
            argv += _open_folders(str(launch.prefix))
            argv += ["--ro-bind", str(launch.prefix), str(launch.prefix)]
        small = ["--size", str(min(launch.tmp_bytes, 64 << 20)), "--tmpfs", "/dev/shm"]
        argv += ["--dev", "/dev", "--perms", "1777", *small, "--remount-ro", "/dev"]
        argv += ["--proc", "/proc"]
        argv += ["--perms", "1777", "--size", str(launch.tmp_bytes), "--tmpfs", "/tmp"]
        argv += ["--ro-bind", str(launch.box), BOX, *_open_folders(f"{SITE}/any")]
        for name, path in launch.packages.items():
            argv += ["--ro-bind", str(path), f"{SITE}/{name}"]
        for inside, path in launch.data.items():
            argv += [*_open_folders(inside), "--ro-bind", str(path), inside]
        argv += ["--chdir", "/tmp", "--remount-ro", "/"]
        keep: list[IO[bytes]] = []
        rules = seccomp_filter()
        if rules is not None:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - closed after the start
            file.write(rules)
            file.seek(0)
            keep.append(file)
            argv += ["--seccomp", str(file.fileno())]
        return Command(argv=[*argv, *_interpreter(launch)], user=user, keep=keep)


@dataclass(frozen=True)
class Nsjail:
    """nsjail: the same isolation by another program."""

    name: str = "nsjail"

    def missing(self) -> str | None:
        """Whether the program `nsjail` is there."""
        return None if shutil.which("nsjail") else "the program 'nsjail' is not installed"

    def command(self, launch: Launch) -> Command:
        """Limits of single processes are left to the launcher inside."""
        argv = ["nsjail", "--mode", "o", "--quiet", "--hostname", "sandbox", "--cwd", "/tmp"]
        argv += ["--user", str(_NOBODY), "--group", str(_NOBODY), "--disable_rlimits"]
        argv += ["--iface_no_lo"]
        for key, value in _environment().items():
            argv += ["--env", f"{key}={value}"]
        for folder, target in _system_folders():
            argv += ["--symlink", f"{target}:{folder}"] if target else ["--bindmount_ro", folder]
        if not launch.prefix.is_relative_to("/usr"):
            argv += ["--bindmount_ro", str(launch.prefix)]
        for device in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"):
            argv += ["--bindmount", device]
        size = f"size={launch.tmp_bytes},mode=1777"
        argv += ["--mount", f"none:/tmp:tmpfs:{size}"]
        argv += ["--bindmount_ro", f"{launch.box}:{BOX}"]
        for name, path in launch.packages.items():
            argv += ["--bindmount_ro", f"{path}:{SITE}/{name}"]
        for inside, path in launch.data.items():
            argv += ["--bindmount_ro", f"{path}:{inside}"]
        return Command(argv=[*argv, "--", *_interpreter(launch)])


@dataclass(frozen=True)
class Container:
    """podman or docker with an image that holds Python and the packages.

    Attributes:
        program: "podman" or "docker".
        image: Name of an image built once; nothing is pulled.
        python: The interpreter inside the image.
    """

    program: str
    image: str
    python: str = "python3"

    @property
    def name(self) -> str:
        """The program's name."""
        return self.program

    def missing(self) -> str | None:
        """Whether program, service and image are there."""
        if not shutil.which(self.program):
            return f"the program '{self.program}' is not installed"
        asked = subprocess.run(
            [self.program, "image", "inspect", self.image],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=20,
            check=False,
        )
        if asked.returncode == 0:
            return None
        said = asked.stderr.decode(errors="replace").strip().splitlines()
        return f"{self.program} has no image '{self.image}' ({said[-1] if said else 'no reason'})"

    def command(self, launch: Launch) -> Command:
        """One container per program; the image's own packages are used."""
        name = f"nanovl-{secrets.token_hex(8)}"
        argv = [self.program, "run", "--rm", "--interactive", "--name", name, "--pull", "never"]
        argv += ["--network", "none", "--read-only", "--cap-drop", "ALL"]
        argv += ["--pids-limit", str(launch.processes), "--memory", str(launch.memory_bytes)]
        argv += ["--security-opt", "no-new-privileges", "--user", f"{_NOBODY}:{_NOBODY}"]
        argv += ["--tmpfs", f"/tmp:rw,size={launch.tmp_bytes},mode=1777", "--workdir", "/tmp"]
        argv += ["--volume", f"{launch.box}:{BOX}:ro"]
        for inside, path in launch.data.items():
            argv += ["--volume", f"{path}:{inside}:ro"]
        for key, value in _environment().items():
            argv += ["--env", f"{key}={value}"]
        # The image's site packages are wanted here, so no -S.
        argv += [self.image, self.python, "-s", "-B", "-P", f"{BOX}/launch.py"]
        return Command(argv=argv, packages=(), env=settings(), kill=[self.program, "kill", name])


@dataclass(frozen=True)
class UnsafeLocal:
    """No isolation: limits on resources only. For code one trusts; never chosen by itself."""

    name: str = "unsafe-local"

    def missing(self) -> str | None:
        """Always there."""
        return None

    def command(self, launch: Launch) -> Command:
        """The interpreter itself, in the job's folder."""
        folders = sorted({str(path.parent) for path in launch.packages.values()})
        return Command(
            argv=_interpreter(launch, str(launch.box)),
            box=str(launch.box),
            packages=folders,
            env=_environment(),
            cwd=str(launch.box),
        )


def backends(image: str = "nanovl-sandbox:3.11") -> tuple[Backend, ...]:
    """All backends that isolate, best first.

    Args:
        image: For podman and docker.
    """
    return (Bubblewrap(), Nsjail(), Container("podman", image), Container("docker", image))
