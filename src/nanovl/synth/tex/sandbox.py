"""Runs TeX programs on files nobody has read: one private folder, no network, hard limits.

With bubblewrap the program sees the TeX tree and the font cache (both read-only) and its work
folder, nothing else of the machine. Without it a weaker mode is left, said once as a warning: TeX's
own rules for opening files (nothing above the job's folder), Lua's file functions narrowed to the
job's folder and the TeX tree (nanovl-gt-guard.lua), no shell, no sockets, and the limits. Then only
these rules stand between a source and the machine, not the kernel; BibTeX, Biber and Ghostscript
(which runs with -dSAFER) have their own. Must not interpret what the program made.

Source: data synthesis specification, section 3.18.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nanovl.core.errors import BackendError
from nanovl.core.paths import home, program_path
from nanovl.synth.usage import note_unseen, tree_seconds

__all__ = ["Finished", "Limits", "Sandbox", "font_cache", "hooks_folder", "start_folder"]

_logger = logging.getLogger(__name__)

_INSIDE = "/job"  # where the work folder appears
_HOOKS = "/hooks"
_CACHE = "/texcache"
_TIMES = ".processor-time"
_NAMES = "luatex-cache/generic/names"
_START = "start"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one program may use.

    Attributes:
        cpu_s: Processor seconds.
        wall_s: Seconds until the whole process group is killed.
        memory_bytes: Address space.
        file_bytes: Largest file it may write.
    """

    cpu_s: int = 120
    wall_s: float = 180.0
    memory_bytes: int = 4 << 30
    file_bytes: int = 256 << 20


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a program ended.

    Attributes:
        code: Exit status; negative signal number when killed.
        seconds: Wall-clock time.
        cpu_s: Processor time of the program and its children.
        output: Last 20,000 characters of what it printed.
        failure: "timeout", "memory", "file_size" or "" when no limit was met.
    """

    code: int
    seconds: float
    cpu_s: float
    output: str
    failure: str


def hooks_folder() -> Path:
    """Folder of the TeX and Lua files shipped with this package."""
    return Path(__file__).resolve().parent / "hooks"


def font_cache() -> Path:
    """Folder of the engine's font cache, shared by all runs and read-only for them.

    Without links in its path: the Lua guard compares it with paths that have none.
    """
    return (home() / "texcache").resolve()


def start_folder() -> Path:
    """Folder of what makes the engine start quickly (`startup`); part of the font cache's."""
    return font_cache() / _START


def _has_bubblewrap() -> bool:
    return _works(shutil.which("bwrap"))


@cache
def _works(program: str | None) -> bool:
    if program is not None:
        trial = subprocess.run(
            [program, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"],
            capture_output=True,
            check=False,
        )
        if trial.returncode == 0:
            return True
    _logger.warning(
        "bubblewrap is %s; TeX runs under its own file rules, a Lua guard and process limits only, "
        "no namespace keeps it from the machine. On Debian and Ubuntu: apt install bubblewrap",
        "not installed" if program is None else "not permitted here",
    )
    return False


@cache
def _tree() -> tuple[str, ...]:
    """Folders the programs need, of those that exist."""
    wanted = [
        "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/libexec", "/lib", "/lib64", "/bin",
        "/usr/local/share/texmf", "/usr/share/texlive", "/usr/share/texmf", "/usr/share/fonts",
        "/usr/share/fontconfig", "/usr/share/ghostscript", "/usr/share/color",
        "/usr/share/poppler", "/usr/share/javascript", "/var/lib/texmf", "/var/lib/ghostscript",
        "/etc/texmf", "/etc/fonts", "/etc/ghostscript", "/etc/alternatives", "/etc/ld.so.cache",
        "/etc/libpaper.d", "/etc/papersize", "/etc/paperspecs", "/var/cache/fontconfig",
        "/usr/share/lmodern", "/usr/share/tex-gyre", "/usr/share/texlive-doc",
        "/usr/share/perl", "/usr/share/perl5", "/etc/perl",
    ]  # fmt: skip
    engine = shutil.which("lualatex")
    if engine is not None:
        root = Path(engine).resolve().parent
        if not str(root).startswith("/usr/bin"):
            wanted.append(str(root.parents[1]))
    return tuple(path for path in wanted if os.path.lexists(path))


class Sandbox:
    """Runs programs in one work folder.

    Args:
        work: Existing folder; the only one the programs may write.
        limits: Of every program.
        isolate: None takes bubblewrap where it works; False never does; True insists.

    Raises:
        BackendError: `isolate` is True and there is no working bubblewrap.
    """

    def __init__(
        self, work: Path, limits: Limits | None = None, *, isolate: bool | None = None
    ) -> None:
        self.work = work.resolve()
        self.limits = limits or Limits()
        self.cpu_s = 0.0  # of every program so far
        self.is_isolated = _has_bubblewrap() if isolate is not False else False
        if isolate and not self.is_isolated:
            raise BackendError(
                "bubblewrap does not work here, running unread TeX sources isolated needs it; on "
                "Debian and Ubuntu: apt install bubblewrap"
            )

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        cpu_s: int | None = None,
        writes_cache: bool = False,
    ) -> Finished:
        """Run a program with the work folder as current folder.

        Args:
            command: Program and arguments.
            environment: Added to the fixed environment.
            cpu_s: Overrides the limit.
            writes_cache: Fill the shared font cache; only for documents of this package.

        Raises:
            BackendError: The program is not installed.
        """
        if shutil.which(command[0]) is None:
            package = {"gs": "ghostscript", "bibtex": "texlive-binaries"}.get(
                command[0], "texlive-luatex"
            )
            raise BackendError(
                f"{command[0]} was not found, TeX ground truth needs it; on Debian and Ubuntu: "
                f"apt install {package}"
            )
        limits = self.limits
        cache_folder = font_cache()
        cache_folder.mkdir(parents=True, exist_ok=True)
        settings = self._settings(environment or {}, writes_cache)
        if not writes_cache:
            self._copy_font_names()
        # Processor time is lost on its way out of a namespace: a shell beside the program notes it.
        times = self.work / _TIMES
        times.unlink(missing_ok=True)
        note = f'"$@"; code=$?; times > {_TIMES}; exit $code'
        inner = ["/bin/sh", "-c", note, "sh", *command]
        if self.is_isolated:
            inner = [*self._wrapper(settings, writes_cache), *inner]
        seconds = cpu_s or limits.cpu_s
        # The limits are set by a shell that then becomes the program.
        script = (
            f"ulimit -t {seconds}; ulimit -v {limits.memory_bytes // 1024}; "
            f'ulimit -f {limits.file_bytes // 512}; ulimit -c 0; exec "$@"'
        )
        start = time.monotonic()
        before = os.times()
        process = subprocess.Popen(
            ["/bin/sh", "-c", script, "sh", *inner],
            cwd=self.work,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        failure = ""
        killed = 0.0
        try:
            raw, _ = process.communicate(timeout=limits.wall_s)
        except subprocess.TimeoutExpired:
            failure = "timeout"
            killed = tree_seconds(process.pid)
            _kill(process)
            raw, _ = process.communicate()
        except BaseException:
            _kill(process)
            process.wait()
            raise
        after = os.times()
        output = raw[-20000:].decode("utf-8", "replace")
        code = process.returncode
        spent = (after.children_user + after.children_system) - (
            before.children_user + before.children_system
        )
        handed, spent = spent, max(spent, _noted(times), killed)
        note_unseen(spent - handed)
        times.unlink(missing_ok=True)
        self.cpu_s += spent
        if not failure:
            failure = _limit_met(code, output, spent, seconds)
        return Finished(
            code=code,
            seconds=time.monotonic() - start,
            cpu_s=spent,
            output=output,
            failure=failure,
        )

    @property
    def hooks(self) -> str:
        """Folder of the hooks as the programs see it."""
        return _HOOKS if self.is_isolated else str(hooks_folder())

    @property
    def cache(self) -> str:
        """Folder of the font cache as the programs see it."""
        return _CACHE if self.is_isolated else str(font_cache())

    def _copy_font_names(self) -> None:
        """The engine looks for its font database where it may write only."""
        names = font_cache() / _NAMES
        own = self.work / ".texvar" / _NAMES
        if own.is_dir():
            return
        own.mkdir(parents=True)
        for path in sorted(names.glob("luaotfload-*")):
            shutil.copyfile(path, own / path.name)

    def _settings(self, extra: Mapping[str, str], writes_cache: bool) -> dict[str, str]:
        inside = self.is_isolated
        work = _INSIDE if inside else str(self.work)
        hooks = self.hooks
        cache_folder = self.cache
        start = f"{cache_folder}/{_START}"
        own = f"{work}/.texvar"
        settings = {
            "PATH": "/usr/bin:/bin" if inside else program_path(),
            "HOME": work,
            "LANG": "C.UTF-8",
            "TEXMFOUTPUT": work,
            "TEXMFHOME": f"{work}/.texhome",
            "TEXMFCONFIG": f"{work}/.texconfig",
            "TEXMFVAR": cache_folder if writes_cache else own,
            "TEXMFCACHE": cache_folder if writes_cache else f"{cache_folder}:{own}",
            # Ours come before the job's own: a source must not bring a guard of its own making.
            "TEXINPUTS": f"{hooks}:.:",
            "LUAINPUTS": f"{hooks}:.:",
            "TEXGT_START": start,
            "openin_any": "p" if not inside else "a",
            "openout_any": "p",
            "shell_escape": "f",
            "SOURCE_DATE_EPOCH": "1700000000",
            "FORCE_SOURCE_DATE": "1",
            "MKTEXPK": "0",
            "MKTEXTFM": "0",
            "max_print_line": "1000",
            "error_line": "254",
            "half_error_line": "238",
        }
        if not writes_cache:
            # Compiled Lua and the unpacked format come before what is installed (`startup`).
            settings["TEXFORMATS"] = f"{start}:"
            settings["TEXINPUTS"] = settings["LUAINPUTS"] = f"{hooks}:{start}/lua:.:"
        if not inside:
            # Read by the hooks: what Lua may open beside the job's folder (nanovl-gt-guard.lua).
            settings["TEXGT_GUARD"] = ":".join([*_tree(), hooks, cache_folder])
        settings.update(extra)
        return settings

    def _wrapper(self, settings: Mapping[str, str], writes_cache: bool) -> list[str]:
        words = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session"]
        for path in _tree():
            if os.path.islink(path):
                words += ["--symlink", os.readlink(path), path]
            else:
                words += ["--ro-bind", path, path]
        words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
        words += ["--ro-bind", str(hooks_folder()), _HOOKS]
        words += ["--bind" if writes_cache else "--ro-bind", str(font_cache()), _CACHE]
        words += ["--bind", str(self.work), _INSIDE, "--chdir", _INSIDE, "--clearenv"]
        for name in sorted(settings):
            words += ["--setenv", name, settings[name]]
        return [*words, "--"]


def _noted(path: Path) -> float:
    """Seconds of the last line of the shell's `times`: user and system of what it ran."""
    try:
        lines = path.read_text("ascii").split("\n")
    except (OSError, UnicodeDecodeError):
        return 0.0
    parts = re.findall(r"(\d+)m(\d+(?:\.\d+)?)s", lines[1] if len(lines) > 1 else "")
    return sum(60 * int(minutes) + float(seconds) for minutes, seconds in parts)


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()


def _limit_met(code: int, output: str, spent: float, cpu_s: int) -> str:
    number = -code if code < 0 else code - 128 if code > 128 else 0
    if number in (signal.SIGXCPU, signal.SIGKILL) or (code != 0 and spent >= cpu_s):
        return "timeout"
    if number == signal.SIGXFSZ:
        return "file_size"
    if "not enough memory" in output or "emory exhausted" in output or number == signal.SIGABRT:
        return "memory"
    return ""
