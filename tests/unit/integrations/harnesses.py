"""The few classes of the harnesses that the plug-ins derive from, as small as they can be.

The real ones are run by tests/e2e/test_harness_plugins.py.
"""

from __future__ import annotations

import abc
import sys
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class BaseModel:
    """Of VLMEvalKit."""

    def __init__(self) -> None:
        self.dump_image_func = None

    def generate(self, message: list[dict[str, Any]], dataset: str | None = None) -> str:
        return self.generate_inner(message, dataset)  # type: ignore[attr-defined]


class BaseAPI:
    """Of VLMEvalKit: tries again after failures and after empty answers."""

    def __init__(self, retry: int = 10, wait: int = 1, verbose: bool = True) -> None:
        self.retry = retry
        self.system_prompt = None

    def preprocess_message_with_role(self, message: Any) -> Any:
        raise AssertionError("moves system texts to the model")

    def generate(self, message: list[dict[str, Any]], **kwargs: Any) -> str:
        message = self.preprocess_message_with_role(message)
        for _ in range(self.retry):
            code, answer, _ = self.generate_inner(message, **kwargs)  # type: ignore[attr-defined]
            if code == 0 and answer != "":
                return answer
        return "Failed to obtain answer via API."


class Lmms(abc.ABC):
    """Of lmms-eval."""

    def __init__(self) -> None:
        self.cache_hook = SimpleNamespace(add_partial=lambda *given: self.kept.append(given))
        self.kept: list[Any] = []
        self.task_dict: dict[str, Any] = {}

    @abc.abstractmethod
    def loglikelihood(self, requests: Any) -> Any: ...

    @abc.abstractmethod
    def generate_until(self, requests: Any) -> Any: ...

    @abc.abstractmethod
    def generate_until_multi_round(self, requests: Any) -> Any: ...


@dataclass
class GenerationResult:
    """Of lmms-eval."""

    text: str
    token_counts: Any = None


@dataclass
class TokenCounts:
    """Of lmms-eval."""

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int


@dataclass(frozen=True)
class ModelManifest:
    """Of lmms-eval."""

    model_id: str
    chat_class_path: str


def install(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """Put the classes where the plug-ins look for them."""
    contents: dict[str, dict[str, Any]] = {
        "vlmeval": {},
        "vlmeval.api": {},
        "vlmeval.api.base": {"BaseAPI": BaseAPI},
        "vlmeval.config": {"supported_VLM": {}},
        "vlmeval.run": {"main": lambda: None},
        "vlmeval.vlm": {},
        "vlmeval.vlm.base": {"BaseModel": BaseModel},
        "lmms_eval": {},
        "lmms_eval.api": {},
        "lmms_eval.api.instance": {
            "GenerationResult": GenerationResult,
            "TokenCounts": TokenCounts,
        },
        "lmms_eval.api.model": {"lmms": Lmms},
        "lmms_eval.models": {},
        "lmms_eval.models.registry_v2": {"ModelManifest": ModelManifest},
    }
    made = {}
    for name, values in contents.items():
        module = ModuleType(name)
        module.__path__ = []  # type: ignore[attr-defined]
        vars(module).update(values)
        made[name] = module
        monkeypatch.setitem(sys.modules, name, module)
    return made


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Make a package one that is not installed."""

    class Nowhere:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in list(sys.modules):
        if name.partition(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Nowhere(), *sys.meta_path])
