"""Files beside the weights, above all the chat template other engines will render."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from nanovl.checkpoint.side_files import (
    copy_side_files,
    media_names,
    stop_ids,
    write_tokenizer_files,
)
from nanovl.core.conversation import (
    Conversation,
    ImagePart,
    MediaRef,
    Message,
    TextPart,
    ToolCall,
    VideoPart,
)
from nanovl.core.errors import CheckpointError
from nanovl.core.paths import asset
from nanovl.model.config import preset
from nanovl.processing.pieces import render_text
from nanovl.processing.template import render
from nanovl.processing.tokenizer import Tokenizer, byte_tokenizer


def jinja(messages: list[dict[str, Any]], **variables: Any) -> str:
    """Render like transformers does."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    template = environment.from_string(asset("chat_template.jinja").read_text())
    return template.render(messages=messages, **{"add_generation_prompt": True} | variables)


def part(data: dict[str, Any]) -> Any:
    if data["type"] == "text":
        return TextPart(text=data["text"])
    ref = MediaRef(data=b"x")
    return ImagePart(source=ref) if data["type"].startswith("image") else VideoPart(source=ref)


def ours(messages: list[dict[str, Any]], tools: list[Any], thinking: bool | None) -> str:
    converted = []
    for message in messages:
        content = message["content"] or ""
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        calls = tuple(
            ToolCall(name=c["function"]["name"], arguments=c["function"]["arguments"])
            for c in message.get("tool_calls", [])
        )
        converted.append(
            Message(
                role=message["role"], parts=tuple(part(p) for p in parts if p), tool_calls=calls
            )
        )
    conversation = Conversation(messages=tuple(converted), tools=tuple(tools))
    return render_text(render(conversation, reasoning=thinking))


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


IMAGE, VIDEO = {"type": "image"}, {"type": "video"}
GET = {
    "type": "function",
    "function": {"name": "get", "description": "d", "parameters": {"type": "object"}},
}
CASES: dict[str, list[dict[str, Any]]] = {
    "plain": [user("Hi")],
    "think_user": [user("Solve 2+2 /think")],
    "sys_think": [{"role": "system", "content": "/think"}, user("Hi")],
    "sys_no_think": [{"role": "system", "content": "You are X. /no_think"}, user("Hi")],
    "img1": [user([text("What is this?"), IMAGE])],
    "img2": [user([IMAGE, IMAGE, text("Compare.")])],
    "imgvid": [user([IMAGE, VIDEO, text("\n\nDescribe")])],
    "inline": [user([IMAGE, IMAGE, text("A <image> vs B <image>?")])],
    "multi": [
        {"role": "system", "content": "Be brief."},
        user("a"),
        {"role": "assistant", "content": "<think>\nr\n</think>\n\nb"},
        user("c /no_think"),
    ],
    "last_wins": [
        {"role": "system", "content": "/no_think"},
        user("x /think"),
        {"role": "assistant", "content": "y"},
        user("z"),
    ],
    "both": [user("/no_think /think")],
    "glued": [user("a/no_think")],
    "sysonly": [{"role": "system", "content": "S"}],
    "two_systems": [
        {"role": "system", "content": " A "},
        user("x"),
        {"role": "assistant", "content": "y"},
        {"role": "system", "content": "B"},
        user('\u00e9 <b> & "q"'),
    ],
    "closing_tag": [user("what does </think> mean?")],
    "tools": [
        user("w?"),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"function": {"name": "get", "arguments": {"city": "Paris"}}},
                {"function": {"name": "get", "arguments": '{"city": "Rome"}'}},
            ],
        },
        {"role": "tool", "content": '{"t": 1}'},
        {"role": "tool", "content": '{"t": 2}'},
    ],
    "tools_with_text": [
        {"role": "system", "content": "S"},
        user("w?"),
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"function": {"name": "get", "arguments": {}}}],
        },
        {"role": "tool", "content": "3"},
        {"role": "assistant", "content": "Three."},
        user("and?"),
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_template_for_other_engines_equals_our_own(name: str) -> None:
    tools = [GET] if name.startswith("tools") else []
    for thinking in (None, True, False):
        expected = ours(CASES[name], tools, thinking)
        assert jinja(CASES[name], tools=tools, enable_thinking=thinking) == expected


def test_worked_renderings() -> None:
    assert jinja(CASES["plain"]) == (
        "<s><SPECIAL_10>System\n\n<SPECIAL_11>User\nHi\n<SPECIAL_11>Assistant\n<think></think>"
    )
    assert jinja(CASES["img2"]).endswith(
        "User\n<image 1><image> <image 2><image>\nCompare.\n<SPECIAL_11>Assistant\n<think></think>"
    )
    training = [user("a"), {"role": "assistant", "content": "<think></think>b"}]
    assert jinja(training, add_generation_prompt=False) == (
        "<s><SPECIAL_10>System\n\n<SPECIAL_11>User\na\n<SPECIAL_11>Assistant\n<think></think>b\n"
        "<SPECIAL_12>\n"
    )


def test_tokenizer_files(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    write_tokenizer_files(tmp_path, tokenizer, preset("tiny"))
    assert Tokenizer.from_folder(tmp_path).to_json() == tokenizer.to_json()
    generation = json.loads((tmp_path / "generation_config.json").read_text())
    assert generation["eos_token_id"] == list(tokenizer.eos_ids)
    assert generation["bos_token_id"] == tokenizer.bos_id
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["bos_token"] == "<s>"
    assert config["eos_token"] == "<SPECIAL_12>"
    assert config["add_bos_token"] is False
    assert tokenizer.token_id(config["pad_token"]) == tokenizer.pad_id
    special = json.loads((tmp_path / "special_tokens_map.json").read_text())
    assert {"<image>", "<img>", "</img>"} <= set(special["additional_special_tokens"])
    pictures = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert pictures["image_size"] == 64
    assert pictures["max_num_tiles"] == 12


@pytest.mark.parametrize(
    ("value", "extra"),
    [("2", (2,)), ("[7, 8]", (7, 8)), ("null", ()), (None, ())],
)
def test_stop_ids(tmp_path: Path, value: str | None, extra: tuple[int, ...]) -> None:
    tokenizer = byte_tokenizer()
    if value is not None:
        (tmp_path / "generation_config.json").write_text(f'{{"eos_token_id": {value}}}')
    assert stop_ids(tmp_path, tokenizer) == (*tokenizer.eos_ids, *extra)


def test_damaged_generation_config(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": "x"}')
    with pytest.raises(CheckpointError, match="eos_token_id is 'x'"):
        stop_ids(tmp_path, byte_tokenizer())


def test_only_data_is_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.mkdir()
    target.mkdir()
    for name in (
        "tokenizer.json",
        "chat_template.jinja",
        "merges.txt",
        "modeling.py",
        "config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "README.md",
    ):
        (source / name).write_text(name)
    (source / "folder.json").mkdir()
    copy_side_files(source, target)
    assert {p.name for p in target.iterdir()} == {
        "tokenizer.json",
        "chat_template.jinja",
        "merges.txt",
    }


def test_media_names_of_a_config() -> None:
    names = media_names(preset("12b"))
    assert (names.image, names.video) == ("<image>", "<video>")
