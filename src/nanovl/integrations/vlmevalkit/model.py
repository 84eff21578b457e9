"""A VLMEvalKit model that answers in this process.

The kit asks one question at a time and keeps the answers; videos come as files and are sampled
here, pictures in the order of the row. Must not import the kit until a class is asked for.

Source: evaluation specification, sections 9.1 and 9.3.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from nanovl.core.conversation import Conversation
from nanovl.core.errors import BackendError, ConfigError
from nanovl.integrations.asking import Asked, Asker, shown
from nanovl.integrations.settings import split_settings
from nanovl.integrations.vlmevalkit.messages import of_chat, of_row

__all__ = ["InProcess", "kit_module", "model_class"]


class InProcess:
    """Everything of the model class that is not the kit's.

    Args:
        video_llm: Whether videos come as files. Without it the kit sends its own frames, each of
            which is cut into tiles like any picture.
        **options: See `nanovl.integrations.settings`.
    """

    INTERLEAVE = True
    VIDEO_LLM = True
    is_api = False

    def __init__(self, *, video_llm: bool = True, **options: Any) -> None:
        super().__init__()
        self.VIDEO_LLM = bool(video_llm)
        load, ask = split_settings(options, where="nanovl in VLMEvalKit")
        if load.batch_size != type(load)().batch_size:
            raise ConfigError(
                f"batch_size {load.batch_size}: the kit asks one question at a time; serve the "
                "model and use NanoVLEndpoint with --api-nproc to have several at once"
            )
        self.asker = Asker(load, ask)

    def use_custom_prompt(self, dataset: str | None = None) -> bool:
        """The prompts of the kit are used as they are."""
        return False

    def generate_inner(
        self, message: Sequence[Mapping[str, Any]], dataset: str | None = None
    ) -> str:
        """The answer to one row.

        Raises:
            NanoVLError: It cannot be asked, unless `on_error` is "empty".
        """
        return self._answer(of_row(message), dataset)

    def chat_inner(self, messages: Sequence[Mapping[str, Any]], dataset: str | None = None) -> str:
        """The answer to the last of several turns; errors as for `generate_inner`."""
        return self._answer(of_chat(messages), dataset)

    def _answer(self, conversation: Conversation, dataset: str | None) -> str:
        asked = Asked(conversation=conversation, name=f"a row of {dataset or 'the data'}")
        (generation,) = self.asker.answers([asked])
        return shown(generation, reasoning=self.asker.ask.show_reasoning)


@cache
def model_class() -> type[InProcess]:
    """`NanoVLModel`, derived from the kit's base class.

    Raises:
        BackendError: VLMEvalKit is not installed.
    """
    base = kit_module("vlm.base").BaseModel
    return type("NanoVLModel", (InProcess, base), {"__module__": __name__})


def kit_module(name: str) -> Any:
    """A module of VLMEvalKit.

    Raises:
        BackendError: The kit is not installed.
    """
    try:
        return importlib.import_module(f"vlmeval.{name}")
    except ModuleNotFoundError as error:
        if error.name != "vlmeval":
            raise  # a part of the kit lacks one of its own requirements
        raise BackendError(
            "the VLMEvalKit classes need the package 'vlmeval', which is not installed; install "
            "VLMEvalKit into this environment (see docs/guides/harnesses.md)"
        ) from None
