"""General importers: LLaVA style conversations and chat messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.data.convert_samples import Run, picture, save, stable, video


def said(*texts: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]


def test_llava_exact(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "coco" / "1.jpg")
    item = {
        "id": "000",
        "image": "coco/1.jpg",
        "conversations": said("<image>\nWhat is it?", "A cat.", "Sure?", "Yes.", "Why?"),
    }
    run = stable("llava", save(tmp_path / "mix.json", [item]))
    assert run.json("mix-000") == {
        "id": "mix-000",
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "image": "mix-coco_1.jpg",
                        "metadata": {"width": 200, "height": 100},
                    },
                    {"type": "text", "text": "What is it?"},
                ],
            },
            {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
            {"role": "user", "content": [{"type": "text", "text": "Sure?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
        ],
        "reasoning": "off",
        "source": "mix",
        "task": "image_chat",
    }


def test_llava_places_several_pictures_and_videos(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    video(tmp_path / "academic" / "v1.mp4")
    items = [
        {"id": 1, "image": ["a.png", "b.png"], "conversations": said("A <image> B <image>", "x")},
        {"id": 2, "image": ["a.png", "b.png"], "conversations": said("Compare.", "x")},
        {"id": 3, "video": "academic/v1.mp4", "conversations": said("<image>\nGo?", "x")},
        {"id": 3, "video": "v1", "conversations": said("What?", "<think>t</think>x")},
        {"conversations": said("Hi", "Ho")},
    ]
    run = stable("llava-video", save(tmp_path / "train.json", items), extra={"source": "lv"})
    kinds = {k: [f.type for f in m.record.messages[0].content] for k, m in run.made.items()}
    assert kinds == {
        "lv-1": ["text", "image", "text", "image"],
        "lv-2": ["image", "image", "text"],
        "lv-3": ["video", "text"],
        "lv-3-2": ["video", "text"],
        "lv-train-4": ["text"],
    }
    assert [f.value for f in run["lv-1"].messages[0].content] == ["A", "lv-a.png", "B", "lv-b.png"]
    assert run["lv-3"].messages[0].content[0].value == "lv-academic_v1.mp4"
    assert [m.record.task for m in run.made.values()][2:] == ["video_chat", "video_chat", "chat"]
    assert run["lv-3-2"].reasoning is None  # the loader draws
    on = Run("llava", tmp_path / "train.json", extra={"mode": "on"})
    assert on["train-3-2"].reasoning == "on"


def test_malformed_conversations_are_dropped_by_name(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    items: list[Any] = [
        {"image": "a.png", "conversations": said("<image><image>", "x")},
        {"image": "gone.png", "conversations": said("<image>", "x")},
        {"image": "broken.png", "conversations": said("<image>", "x")},
        {"conversations": [{"from": "robot", "value": "x"}]},
        {"conversations": [{"from": "human"}]},
        {"conversations": said("Hi")},
        {"conversations": said("Hi", " ")},
        {"conversations": said("Hi", "x", "y")[1:] + said("a", "b")},
        {"conversations": said("Hi", "x <think>")},
        {"conversations": "Hi"},
        {"video": "v.mp4", "conversations": said("<video>", "x")},
        {"image": 5.5, "conversations": said("Hi", "x")},
    ]
    run = Run("llava", save(tmp_path / "x.json", items))
    assert not run.made
    assert [(reason, where) for reason, where, _ in run.drops] == [
        ("media_count", "x.json[0]"),
        ("missing_media", "x.json[1]"),
        ("bad_media", "x.json[2]"),
        ("bad_value", "x.json[3]"),
        ("missing_field", "x.json[4]"),
        ("no_answer", "x.json[5]"),
        ("empty", "x.json[6]"),
        ("bad_turn_order", "x.json[7]"),
        ("bad_trace", "x.json[8]"),
        ("wrong_type", "x.json[9]"),
        ("missing_media", "x.json[10]"),
        ("missing_media", "x.json[11]"),
    ]
    assert run.drops[4][2] == "conversations[0].value is missing; there are: from"


def test_messages_with_media_tools_and_calls(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        picture(tmp_path / "m" / name)
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    text = {"type": "text", "text": "Which?"}
    lines: list[Any] = [
        {
            "id": "t",
            "tools": [tool],
            "messages": [
                {"role": "system", "content": "Be exact."},
                {"role": "user", "content": "Add 1."},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "content": "2"},
                {"role": "assistant", "content": "It is 2."},
            ],
        },
        {
            "id": "l",
            "images": ["a.png", "b.png"],
            "messages": [
                {"role": "user", "content": [{"type": "image"}, {"type": "image"}, text]},
                {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
            ],
        },
        {
            "id": "n",
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "file://a.png"}}, text],
                },
                {"role": "assistant", "content": "a"},
            ],
        },
        {
            "id": "m",
            "images": ["a.png"],
            "messages": [
                {"role": "user", "content": "Look: <image> Which?"},
                {"role": "assistant", "content": "a"},
            ],
        },
    ]
    run = stable("messages", save(tmp_path / "train.jsonl", lines), images=tmp_path / "m")
    record = run.json("train-t")
    assert record["tools"] == [tool]
    assert [m["role"] for m in record["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert record["messages"][2]["tool_calls"] == [{"name": "add", "arguments": {"a": 1}}]
    assert record["messages"][4]["content"] == [{"type": "text", "text": "It is 2."}]
    listed = [f.value for f in run["train-l"].messages[0].content]
    assert listed == ["train-a.png", "train-b.png", "Which?"]
    assert [f.type for f in run["train-n"].messages[0].content] == ["image", "text"]
    assert [f.value for f in run["train-m"].messages[0].content] == [
        "Look:",
        "train-a.png",
        "Which?",
    ]
    assert not run.drops


def test_malformed_messages_are_dropped_by_name(tmp_path: Path) -> None:
    def line(content: Any, **more: Any) -> dict[str, Any]:
        asked = {"role": "user", "content": content}
        return {"messages": [asked, {"role": "assistant", "content": "x"}], **more}

    call = {"function": {"name": "f", "arguments": "{"}}
    called = {"role": "assistant", "content": None, "tool_calls": [call]}
    lines: list[Any] = [
        line([{"type": "image"}]),
        line([{"type": "sound"}]),
        line([{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]),
        line("Hi", tools="[{"),
        line("Hi", tools=[{"description": "x"}]),
        {"messages": [{"role": "user", "content": "Hi"}, called]},
        {"messages": [{"role": "tool", "content": "Hi"}, {"role": "assistant", "content": "x"}]},
        line(7.5, images=["none.png"]),
        line([]),
        {"message": []},
    ]
    run = Run("messages", save(tmp_path / "m.jsonl", lines))
    assert not run.made
    assert [(reason, where) for reason, where, _ in run.drops] == [
        ("media_count", "m.jsonl:1"),
        ("bad_value", "m.jsonl:2"),
        ("missing_media", "m.jsonl:3"),
        ("bad_tool", "m.jsonl:4"),
        ("bad_tool", "m.jsonl:5"),
        ("bad_call", "m.jsonl:6"),
        ("bad_turn_order", "m.jsonl:7"),
        ("missing_media", "m.jsonl:8"),
        ("empty", "m.jsonl:9"),
        ("missing_field", "m.jsonl:10"),
    ]
    assert "messages[0].content[0]" in run.drops[0][2]
