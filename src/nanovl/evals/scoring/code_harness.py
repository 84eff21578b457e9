"""Runs one program on many inputs, inside the sandbox; never sees an expected output.

Reads requests and writes replies as JSON lines on the first two file descriptors, which it takes
away from the program. Standard library only, nothing of nanovl. The parent compares.

Source: evaluation specification, section 6.14; public reference: LiveCodeBench/LiveCodeBench.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
from typing import IO, Any

__all__ = ["main", "tagged"]

# Names programs may use without importing them; judges of programming contests offer them.
_NAMES = """
    string re datetime collections heapq bisect copy math random statistics itertools functools
    operator io sys json
"""
_MODULES = _NAMES.split()
_STARRED = (*_MODULES, "builtins", "typing")
_RECURSION = 50_000
_KEPT_MESSAGE = 300


def _preamble() -> str:
    stars = [f"from {name} import *" for name in _STARRED]
    return "\n".join([*stars, *(f"import {name}" for name in _MODULES)])


def _whole(code: str) -> Any:
    """The program as one function, so that its variables are local and fast.

    NOTE(parity): the reference always does this, which breaks programs that use `global` or look
    at their own namespace; those run as they are here.
    """
    tree = ast.parse(code)
    for node in ast.walk(tree):
        own_space = isinstance(node, ast.Name) and node.id in ("globals", "locals", "exec", "eval")
        if own_space or isinstance(node, ast.Global):
            return compile(tree, "program.py", "exec"), None
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    rest = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    function = ast.FunctionDef(
        name="_program",
        args=ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[]),
        body=rest or [ast.Pass()],
        decorator_list=[],
    )
    module = ast.fix_missing_locations(ast.Module(body=[*imports, function], type_ignores=[]))
    return compile(module, "program.py", "exec"), "_program"


def tagged(value: Any, depth: int = 0) -> Any:
    """A value as JSON that keeps the kinds Python's equality tells apart."""
    if value is None or isinstance(value, bool | str):
        return ["c", value]
    if isinstance(value, int):
        return ["i", hex(value)]
    if isinstance(value, float):
        return ["f", value.hex()]
    if depth > 200:
        return ["?", "nested too deep"]
    for kind, name in ((list, "l"), (tuple, "t")):
        if isinstance(value, kind):
            return [name, [tagged(item, depth + 1) for item in value]]
    if isinstance(value, set | frozenset):
        return ["s", [tagged(item, depth + 1) for item in value]]
    if isinstance(value, dict):
        pairs = value.items()
        return ["d", [[tagged(key, depth + 1), tagged(item, depth + 1)] for key, item in pairs]]
    if type(value).__module__.split(".")[0] == "numpy" and getattr(value, "ndim", 1) == 0:
        return tagged(value.item(), depth + 1)
    return ["?", type(value).__name__]


class _Files:
    """The program's standard input and output: real files on descriptors 0 and 1."""

    def __init__(self) -> None:
        self._stdin = sys.stdin
        self._stdout = sys.stdout
        self._printed: IO[bytes] | None = None

    def feed(self, text: str) -> None:
        """Put a text on standard input and an empty file on standard output."""
        # Objects a program got by `from sys import stdin` stay valid, unless it closed them.
        broken = []
        for number, stream in enumerate((self._stdin, self._stdout)):
            try:
                stream.flush() if number else stream.read()
            except (OSError, ValueError):
                broken.append(number)
        for number in (0, 1):  # a closed one would be taken by the next file opened
            try:
                os.fstat(number)
            except OSError:
                os.open(os.devnull, os.O_RDWR)
        with tempfile.TemporaryFile() as given:
            given.write(text.encode("utf-8", "surrogateescape"))
            given.seek(0)
            os.dup2(given.fileno(), 0)
        if self._printed is not None:
            self._printed.close()
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - read after the program ran
        os.dup2(self._printed.fileno(), 1)
        if 0 in broken:
            self._stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
        if 1 in broken:
            self._stdout = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
        sys.stdin, sys.stdout = self._stdin, self._stdout

    def taken(self, most: int) -> str:
        """What was printed, cut after `most` bytes."""
        assert self._printed is not None
        for stream in {sys.stdout, self._stdout}:
            try:
                stream.flush()
            except (ValueError, AttributeError):
                continue  # the program closed it or put something else there
        return os.pread(self._printed.fileno(), most, 0).decode("utf-8", "replace")


def _message(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_KEPT_MESSAGE]


class _Program:
    """The program, loaded once."""

    def __init__(self, code: str, function: str | None) -> None:
        self._space: dict[str, Any] = {"__name__": "__main__" if function is None else "program"}
        exec(_preamble(), self._space)
        sys.setrecursionlimit(_RECURSION)
        self._method: Any = None
        self._body: Any = None
        if function is None:
            self._body, name = _whole(code)
            if name is not None:
                exec(self._body, self._space)
                self._method = self._space[name]
            return
        exec(compile(code, "program.py", "exec"), self._space)
        holder = self._space["Solution"]() if "class Solution" in code else None
        self._method = getattr(holder, function) if holder else self._space[function]

    def print_for(self, files: _Files, text: str, most: int) -> dict[str, Any]:
        """Run on a standard input."""
        files.feed(text)
        try:
            if self._method is not None:
                self._method()
            else:
                exec(self._body, dict(self._space))
        except SystemExit:
            pass
        return {"output": files.taken(most)}

    def value_for(self, text: str) -> dict[str, Any]:
        """Call the method with one JSON value per line."""
        arguments = [json.loads(line) for line in text.split("\n")]
        value = self._method(*arguments)
        # Tuples in place of lists are forgiven, on the outside only, as in the reference.
        return {"value": tagged(list(value) if isinstance(value, tuple) else value)}


def main() -> None:
    """Load the program, then answer requests until they end."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)

    def reply(content: dict[str, Any]) -> None:
        replies.write(json.dumps(content) + "\n")
        replies.flush()

    plan = json.loads(requests.readline())
    files = _Files()
    try:
        program = _Program(plan["code"], plan["function"])
    except BaseException as error:
        reply({"error": _message(error)})
        return
    reply({"loaded": True})
    for line in requests:
        request = json.loads(line)
        try:
            if plan["function"] is None:
                answer = program.print_for(files, request["input"], request["most"])
            else:
                answer = program.value_for(request["input"])
        except BaseException as error:
            answer = {"error": _message(error)}
        reply(answer)
    os._exit(0)  # threads of the program must not hold this up


if __name__ == "__main__":
    main()
