"""Placeholders for packages that a harness imports and a plain picture task never uses.

VLMEvalKit imports every model and every data set it knows when it starts, and with them packages
that nanovl does not install (torchvision, decord ...). With this folder on PYTHONPATH, the names
below can be imported where they are missing; whatever is taken from them is an empty class, and
using one does nothing useful. Only for tests of the plug-ins: never part of the package.

transformers is hidden even where it is installed: it takes the placeholder of torchvision for the
real one, and nanovl does not need it.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MISSING = {
    "Levenshtein",
    "accelerate",
    "cv2",
    "datasets",
    "decord",
    "flash_attn",
    "imageio",
    "json_repair",
    "openai",
    "pylatexenc",
    "qwen_vl_utils",
    "rouge",
    "scipy",
    "sklearn",
    "torchvision",
}


HIDDEN = {"transformers"}


class Nothing(type):
    """Of classes that have every attribute."""

    def __getattr__(cls, name: str) -> object:
        return made(cls, name)


def made(owner: object, name: str) -> object:
    """An empty class that stands for whatever has this name; can be derived from and called."""
    if name.startswith("__"):
        raise AttributeError(name)
    where = getattr(owner, "__name__", "")
    body = {
        "__module__": where,
        "__init__": lambda self, *a, **k: None,
        "__call__": lambda self, *a, **k: a[0] if a else None,  # decorators
    }
    fresh = Nothing(name, (), body)
    setattr(owner, name, fresh)
    return fresh


class Placeholder(ModuleType):
    """A module that has every name."""

    __path__: list[str] = []
    __version__ = "999"

    def __getattr__(self, name: str) -> object:
        return made(self, name)


class Finder(MetaPathFinder, Loader):
    """Finds placeholders for some names."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in self.names:
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Placeholder(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        return None


sys.meta_path.insert(0, Finder(HIDDEN))
sys.meta_path.append(Finder(MISSING))
