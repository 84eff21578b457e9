"""First program inside the sandbox: takes limits and rights away, then runs a script.

Started by path with the limits as JSON in its first argument. Standard library only, nothing of
nanovl: the repository is not there. What it prints before the script starts tells the parent that
isolation stands.

Source: evaluation specification, section 10.
"""

from __future__ import annotations

import json
import os
import runpy
import sys

__all__ = ["READY", "main"]

READY = b"nanovl sandbox ready\n"


def main() -> None:
    """Set the limits, drop the user, announce readiness, run the script."""
    import builtins
    import resource

    options = json.loads(sys.argv[1])
    limits = {
        resource.RLIMIT_AS: options["memory_bytes"],
        resource.RLIMIT_CPU: options["cpu_s"],
        resource.RLIMIT_FSIZE: options["file_bytes"],
        resource.RLIMIT_NPROC: options["processes"],
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_CORE: 0,
    }
    for which, most in limits.items():
        _, ceiling = resource.getrlimit(which)
        if ceiling != resource.RLIM_INFINITY:
            most = min(most, ceiling)
        resource.setrlimit(which, (most, most))
    user = options.get("user")
    if user is not None:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    sys.path[:] = [*options["packages"], *[p for p in sys.path if p and p != "/box"]]
    # Python runs without its site module; these two come from there and programs use them.
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]
    script = options["script"]
    sys.argv = [script]
    os.write(1, READY)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
