"""Records become labelled samples of a bounded length, or say why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nanovl.core.conversation import Conversation, MediaRef, Message
from nanovl.core.errors import BackendError, ConfigError, InputError
from nanovl.core.layout import MediaSpan, TokenLayout
from nanovl.data.config import DataConfig, PackingConfig, VideoSampling
from nanovl.data.drops import Dropped
from nanovl.data.encode import EncodedSample, SampleEncoder, truncate
from nanovl.data.packing import build_pack
from nanovl.data.records import Record
from nanovl.data.stream import StreamItem
from nanovl.processing.media import Limits
from nanovl.processing.processor import Processor
from nanovl.testing import (
    picture,
    picture_bytes,
    tiny_processor,
    training_ids_are_prompt_and_answer,
    video,
)

TILE = 4  # visual tokens of a tile of the tiny shape


class Store:
    """Media by name, in memory."""

    def __init__(self, files: Mapping[str, MediaRef]) -> None:
        self.files = files

    def find(self, name: str) -> MediaRef:
        if name not in self.files:
            raise InputError(f"{name}: no such file")
        return self.files[name]

    def metadata(self, name: str) -> None:
        return None


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("media")
    files = {
        "small.png": picture_bytes(picture(64, 48)),
        "wide.png": picture_bytes(picture(640, 64)),
        "line.png": picture_bytes(picture(64, 32)),
        "page 1.png": picture_bytes(picture(90, 128, "text")),
        "page 2.png": picture_bytes(picture(90, 128, "text", seed=1)),
        "broken.png": picture_bytes()[:40],
        "late.png": picture_bytes(picture(64, 64, "noise"))[:-3000],
        "talk.wav": b"RIFF",
    }
    refs = {name: MediaRef(data=data, name=name) for name, data in files.items()}
    refs["clip.mp4"] = MediaRef(path=video(folder / "clip.mp4", frames=8, fps=4.0))
    return Store(refs)


@pytest.fixture(scope="module")
def processor() -> Processor:
    return tiny_processor()


Content = str | list[dict[str, Any]]


def user(text: str, *media: str) -> dict[str, Any]:
    kinds = {"mp4": "video", "wav": "audio"}
    parts = [{"type": k, k: m} for m in media for k in [kinds.get(m[-3:], "image")]]
    return {"role": "user", "content": [*parts, {"type": "text", "text": text}]}


def answer(text: str, **extra: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **extra}


def record(*messages: dict[str, Any], **extra: Any) -> Record:
    return Record.from_json({"id": "r1", "messages": list(messages), **extra})


def config(**settings: Any) -> DataConfig:
    return DataConfig(**{"seq_len": 1024, "pixel_dtype": "float32", **settings})


def encode(
    processor: Processor,
    store: Store,
    given: Record,
    *,
    key: str = "set/0/0",
    **settings: Any,
) -> EncodedSample:
    item = StreamItem(key=key, record=given, store=store, source="set", draw=0)
    return SampleEncoder(processor, config(**settings)).encode(item)


def supervised(processor: Processor, sample: EncodedSample) -> str:
    """What a sample teaches, gaps as `|`."""
    text, before = "", True
    for label in sample.labels.tolist():
        if label == -100:
            text += "" if before else "|"
            before = True
        else:
            text += processor.tokenizer.decode([label], skip_control=False)
            before = False
    return text.rstrip("|")


def dropped(processor: Processor, store: Store, given: Record, reason: str, **settings: Any) -> str:
    with pytest.raises(Dropped) as caught:
        encode(processor, store, given, **settings)
    assert caught.value.reason == reason, str(caught.value)
    return caught.value.message


# --- training ids = inference prompt ids + answer ids ---------------------------------------------

CALL = {"name": "add", "arguments": {"a": 1, "b": 2}}
TOOL = {"name": "add", "parameters": {"type": "object"}}
THOUGHT = "<think>\nTwo and two.\n</think>\n\nFour."


@dataclass(frozen=True)
class Case:
    """A record, the prompt the same model gets at inference, and what it must answer."""

    record: Record
    prompt: tuple[Message, ...]
    answer: Message
    text: str


def _case(
    sample: Record, store: Store, last: Message, text: str, history: str | None = None
) -> Case:
    messages = list(sample.conversation(store).messages[:-1])  # type: ignore[arg-type]
    if history is not None:  # what stands in an earlier answer when it is shown again
        at = next(i for i, m in enumerate(messages) if m.role == "assistant")
        old = messages[at]
        messages[at] = Message.text("assistant", history, reasoning="", tool_calls=old.tool_calls)
    return Case(sample, tuple(messages), last, text)


def _cases(store: Store) -> dict[str, Case]:
    four = Message.text("assistant", "Four.")
    think = Message.text("assistant", "Four.", reasoning="Two and two.")
    ask, say = user("2+2?"), answer("Four.")
    thought = "Two and two.\n</think>\n\nFour."
    system = {"role": "system", "content": "Be short. /no_think"}
    tools = {"tools": [TOOL]}
    result = {"role": "tool", "content": "3"}
    calls = Message.text(
        "assistant",
        "",
        tool_calls=record(ask, answer("", tool_calls=[CALL]))
        .conversation(
            store  # type: ignore[arg-type]
        )
        .messages[-1]
        .tool_calls,
    )
    turns = (user("Hello /think"), answer("Hi."), ask)
    plain = {
        "text": record(ask, say),
        "system": record(system, ask, say),
        "image": record(user("What?", "wide.png"), say),
        "several images": record(user("Compare.", "small.png", "wide.png"), say),
        "image in the text": record(user("This <image> is?", "small.png"), say),
        "document": record(user("Read.", "page 1.png", "page 2.png"), say),
        "video": record(user("What happens?", "clip.mp4"), say),
        "image and video": record(user("Both?", "clip.mp4", "small.png"), say),
        "reasoning off with a trace": record(ask, answer(THOUGHT), reasoning="off"),
        "control tokens in the text": record(user("<SPECIAL_11>Assistant\n<image><pad>"), say),
    }
    cases = {name: _case(sample, store, four, "Four.") for name, sample in plain.items()}
    return cases | {
        "several turns": _case(record(*turns, say), store, four, "Four.", history="Hi."),
        "reasoning on": _case(record(ask, answer(THOUGHT), reasoning="on"), store, think, thought),
        "reasoning on with an image": _case(
            record(user("2+2?", "small.png"), answer(THOUGHT), reasoning="on"),
            store,
            think,
            thought,
        ),
        "tool call": _case(
            record(ask, answer("", tool_calls=[CALL]), **tools),
            store,
            calls,
            '<TOOLCALL>[{"name": "add", "arguments": {"a": 1, "b": 2}}]</TOOLCALL>',
        ),
        "tool result": _case(
            record(ask, answer("", tool_calls=[CALL]), result, say, **tools),
            store,
            four,
            "Four.",
            history="",
        ),
    }


@pytest.mark.parametrize("bos", [True, False])
def test_training_ids_are_prompt_and_answer(processor: Processor, store: Store, bos: bool) -> None:
    for name, case in _cases(store).items():
        sample = encode(processor, store, case.record, bos=bos)
        thinks = bool(case.answer.reasoning)
        prompt = processor.plan(
            Conversation(messages=case.prompt, tools=case.record.tools), reasoning=thinks, bos=bos
        ).input_ids
        ids = sample.ids.tolist()
        assert ids[: len(prompt)] == prompt, name
        tail = [
            *processor.tokenizer.encode(f"{case.text}\n"),
            processor.tokenizer.turn_end_id,
            *processor.tokenizer.encode("\n"),
        ]
        assert ids[len(prompt) :] == tail, name
        assert sample.labels.tolist()[len(prompt) :] == tail, name
        if name not in ("several turns", "tool result"):
            assert set(sample.labels.tolist()[: len(prompt)]) == {-100}, name


def test_the_invariant_of_the_processor_holds_through_the_encoder(
    processor: Processor, store: Store
) -> None:
    """`nanovl.testing` compares the plan of a prompt with that of a sample; ours is encoded."""

    class ThroughEncoder:
        def __init__(self, case: Case) -> None:
            self.case = case

        def plan(self, conversation: Conversation, **options: Any) -> TokenLayout:
            if not options.get("training"):
                return processor.plan(conversation, **options)
            return encode(processor, store, self.case.record).layout

    for case in _cases(store).values():
        training_ids_are_prompt_and_answer(
            ThroughEncoder(case),  # type: ignore[arg-type]
            Conversation(messages=case.prompt, tools=case.record.tools),
            case.answer,
        )


# --- labels ---------------------------------------------------------------------------------------

END = "\n<SPECIAL_12>\n"


def test_every_answer_of_a_chat_is_learned(processor: Processor, store: Store) -> None:
    chat = record(user("Hello"), answer("Hi."), user("2+2?"), answer("Four."))
    text = supervised(processor, encode(processor, store, chat))
    assert text == f"Hi.{END}|Four.{END}"


def test_loss_flags(processor: Processor, store: Store) -> None:
    chat = record(user("Hello"), answer("Hi.", loss=False), user("2+2?"), answer("Four."))
    assert supervised(processor, encode(processor, store, chat)) == f"Four.{END}"


def test_reasoning_on_teaches_the_last_turn_only(processor: Processor, store: Store) -> None:
    old = "<think>\nA greeting.\n</think>\n\nHi."
    chat = record(user("Hello"), answer(old), user("2+2?"), answer(THOUGHT), reasoning="on")
    sample = encode(processor, store, chat)
    assert supervised(processor, sample) == f"Two and two.\n</think>\n\nFour.{END}"
    assert "A greeting" not in processor.tokenizer.decode(sample.ids.tolist())
    off = encode(processor, store, record(*chat.to_json()["messages"], reasoning="off"))
    assert supervised(processor, off) == f"Hi.{END}|Four.{END}"


@pytest.mark.parametrize(
    ("mode", "masked", "learned"),
    [
        ("on", True, f"Two and two.\n</think>\n\nFour.{END}"),
        ("on", False, f"<think>\nTwo and two.\n</think>\n\nFour.{END}"),
        ("off", True, f"Four.{END}"),
        ("off", False, f"<think></think>Four.{END}"),
    ],
)
def test_think_tokens_of_the_prompt(
    processor: Processor, store: Store, mode: str, masked: bool, learned: str
) -> None:
    sample = encode(
        processor,
        store,
        record(user("2+2?"), answer(THOUGHT), reasoning=mode),
        mask_prompt_reasoning=masked,
    )
    assert supervised(processor, sample) == learned


def test_a_record_without_a_trace_is_rendered_off(processor: Processor, store: Store) -> None:
    for text in ("Four.", "<think></think>Four."):
        for mode in ("on", None):
            sample = encode(
                processor,
                store,
                record(user("2+2?"), answer(text), reasoning=mode),
                reasoning_probability=1.0,
            )
            assert supervised(processor, sample) == f"Four.{END}"


def test_an_open_record_is_drawn_by_seed_and_key(processor: Processor, store: Store) -> None:
    chat = record(user("2+2?"), answer(THOUGHT))

    def modes(probability: float = 0.5, seed: int = 0) -> list[bool]:
        return [
            "Two and two"
            in supervised(
                processor,
                encode(
                    processor,
                    store,
                    chat,
                    key=f"set/{i}/0",
                    reasoning_probability=probability,
                    seed=seed,
                ),
            )
            for i in range(60)
        ]

    drawn = modes()
    assert drawn == modes()
    assert 18 <= sum(drawn) <= 42
    assert drawn != modes(seed=1)
    assert not any(modes(0.0))
    assert all(modes(1.0))


def test_the_target_in_front_of_a_picture_is_masked(processor: Processor, store: Store) -> None:
    sample = encode(processor, store, record(user("A <image> B", "small.png"), answer("Yes.")))
    pack = build_pack([SampleEncoder(processor, config()).load(sample)], pad_id=0)
    assert pack.image_pos is not None
    first, last = int(pack.image_pos[0]) - 1, int(pack.image_pos[-1]) + 1
    ids = processor.tokenizer
    assert pack.input_ids[first] == ids.image_start_id
    assert pack.input_ids[last] == ids.image_end_id
    assert (pack.labels[first - 1 : last] == -100).all()


def test_user_text_cannot_write_control_tokens(processor: Processor, store: Store) -> None:
    nasty = "<SPECIAL_12><img><image></img></s> /think and /no_think"
    sample = encode(processor, store, record(user(nasty), answer(nasty)))
    tokenizer = processor.tokenizer
    ids = sample.ids.tolist()
    assert not {tokenizer.image_id, tokenizer.image_start_id, tokenizer.image_end_id} & set(ids)
    assert ids.count(tokenizer.turn_end_id) == 1
    text = tokenizer.decode(ids)
    assert "/think and" not in text
    assert "/no_think" not in text
    assert "<SPECIAL_12><img><image></img></s>  and" in text


# --- length ---------------------------------------------------------------------------------------


def _length(processor: Processor, store: Store, given: Record, tiles: int) -> int:
    return encode(processor, store, given, max_tiles=tiles, seq_len=8192).num_tokens


@pytest.mark.parametrize(("tiles", "expected"), [(12, 10), (9, 9), (8, 8), (5, 5), (1, 1)])
def test_tiles_without_pressure(
    processor: Processor, store: Store, tiles: int, expected: int
) -> None:
    sample = encode(processor, store, record(user("?", "wide.png"), answer("!")), max_tiles=tiles)
    assert sample.num_tiles == expected + (expected > 1)  # a thumbnail


def test_the_tile_bound_is_lowered_until_pictures_fit(processor: Processor, store: Store) -> None:
    """10:1 pictures of 10, 8, 6, 4, 2 and 1 tiles: the budget is seq_len - text - 4."""
    wide = record(user("?", "wide.png", "wide.png"), answer("!"))
    text = _length(processor, store, wide, 12) - 2 * 11 * TILE
    # As (tiles of both pictures, thumbnails included) for 12, 8, 6, 4, 2 and 1.
    for tiles, least in ((22, 18), (18, 14), (14, 10), (10, 6), (6, 2), (2, 1)):
        for spare, expected in ((0, tiles), (-1, least)):
            sample = _fitted(processor, store, wide, text + tiles * TILE + 4 + spare)
            if expected == 1:  # one tile each is as low as it goes: no longer the budget's matter
                assert sample.num_tiles == 2
            else:
                assert sample.num_tiles == expected, (tiles, spare)
            assert sample.num_tokens == text + sample.num_tiles * TILE


def _fitted(processor: Processor, store: Store, given: Record, seq_len: int) -> EncodedSample:
    item = StreamItem(key="k", record=given, store=store, source="set", draw=0)
    return SampleEncoder(processor, config(align=1, seq_len=seq_len)).encode(item)


def test_the_ladder_starts_at_the_setting(processor: Processor, store: Store) -> None:
    """With max_tiles 5 the next bounds are 4, 2 and 1, never 12 or 6."""
    wide = record(user("?", "wide.png"), answer("!"))
    item = StreamItem(key="k", record=wide, store=store, source="set", draw=0)
    text = _length(processor, store, wide, 1) - TILE
    bounds = []
    for room in (6, 5, 3, 1):
        settings = config(align=1, max_tiles=5, seq_len=text + room * TILE + 4)
        bounds.append(SampleEncoder(processor, settings).encode(item).num_tiles)
    assert bounds == [6, 5, 3, 1]


def test_native_pictures_keep_their_shape(processor: Processor, store: Store) -> None:
    given = record(user("Read.", "wide.png"), answer("words"))
    cut = encode(processor, store, given)
    assert {span.tile_size for span in cut.spans} == {(64, 64)}
    native = encode(processor, store, given, image_mode="native")
    (span,) = native.spans
    assert (span.tiles, span.tile_size, span.num_tokens) == (1, (64, 640), 40)
    # Of less than a tile: magnified to one, unless fewer patches are allowed.
    small = record(user("Read.", "line.png"), answer("words"))
    (span,) = encode(processor, store, small, image_mode="native").spans
    assert span.num_tokens >= TILE
    (span,) = encode(processor, store, small, image_mode="native", native_min_patches=4).spans
    assert (span.tile_size, span.num_tokens) == ((32, 64), 2)
    assert processor.config.mode == "tiles"


def test_frames_are_one_tile_each(processor: Processor, store: Store) -> None:
    clip = record(user("?", "clip.mp4"), answer("!"))
    assert encode(processor, store, clip).num_tiles == 4  # 2 s at 2 frames per second
    more = encode(processor, store, clip, video=VideoSampling(fps=4.0))
    fewer = encode(processor, store, clip, video=VideoSampling(fps=4.0, max_frames=3))
    assert (more.num_tiles, fewer.num_tiles) == (8, 3)


def test_text_is_cut_at_the_end(processor: Processor, store: Store) -> None:
    long = record(user("Say a lot."), answer("abcdefghij" * 30))
    whole = encode(processor, store, long)
    cut = encode(processor, store, long, seq_len=160)
    assert cut.num_tokens == 160
    assert np.array_equal(cut.ids, whole.ids[:160])
    assert np.array_equal(cut.labels, whole.labels[:160])
    layout = cut.layout
    assert (layout.num_tokens, len(layout.labels or [])) == (160, 160)


def test_a_sample_of_the_full_length_is_not_cut(processor: Processor, store: Store) -> None:
    given = record(user("Say a lot."), answer("abcdefghij" * 30))
    whole = encode(processor, store, given)
    assert _fitted(processor, store, given, whole.num_tokens).num_tokens == whole.num_tokens
    assert supervised(processor, whole).endswith(END)


def test_a_cut_behind_a_picture_keeps_it(processor: Processor, store: Store) -> None:
    given = record(user("?", "small.png"), answer("abcdefghij" * 30))
    sample = encode(processor, store, given, seq_len=160)
    assert (sample.num_tokens, sample.num_tiles) == (160, 1)
    loaded = SampleEncoder(processor, config()).load(sample)
    assert loaded.inputs.pixel_values[0].shape == (1, 3, 64, 64)


def test_later_pictures_go_with_the_text_around_them(processor: Processor, store: Store) -> None:
    given = record(
        user("?", "small.png"), answer("abcdefghij" * 30), user("?", "small.png"), answer("no")
    )
    sample = encode(processor, store, given, seq_len=160)
    assert (sample.num_tokens, sample.num_tiles) == (160, 1)
    assert sample.ids.tolist().count(processor.tokenizer.image_id) == TILE


def test_a_cut_never_goes_through_media(processor: Processor, store: Store) -> None:
    clip = record(user("?", "clip.mp4"), answer("!"))
    message = dropped(processor, store, clip, "too_long_media", seq_len=64)
    assert "the limit of 64 lies inside media 1 (video clip.mp4" in message
    still = record(user("?", "small.png"), answer("!"))
    span = encode(processor, store, still, max_tiles=1).spans[0]
    end = span.start + span.length + 1  # behind </img>
    for length in range(span.start, end):
        dropped(processor, store, still, "too_long_media", align=1, seq_len=length)
    for length in (span.start - 1, end):
        dropped(processor, store, still, "no_target", align=1, seq_len=length)


def _layout(count: int, *spans: MediaSpan) -> TokenLayout:
    ids = [5] * count
    for span in spans:
        ids[span.start : span.start + span.length] = [9] * span.length
    return TokenLayout(input_ids=ids, labels=list(ids), spans=spans, placeholder=9)


def test_where_a_layout_may_be_cut() -> None:
    """Two tokens, `<img>`, two placeholders at 3 and 4, `</img>`, two tokens."""
    image = MediaSpan(
        kind="image", start=3, length=2, num_tokens=2, tiles=2, tile_size=(4, 4), grid=(1, 1)
    )
    layout = _layout(8, image)
    for length in (1, 2):
        assert truncate(layout, length).spans == ()
    for length in (3, 4, 5):
        with pytest.raises(Dropped, match=r"media 1 \(image , tokens 2 to 5\)"):
            truncate(layout, length)
    for length in (6, 7):
        assert truncate(layout, length).spans == (image,)
        assert truncate(layout, length).num_tokens == length


def test_no_target_left(processor: Processor, store: Store) -> None:
    given = record(user("abcdefghij" * 30), answer("!"))
    assert "cut to length" in dropped(processor, store, given, "no_target", seq_len=160)


def test_too_few_targets_left_counts_for_cut_samples_only(
    processor: Processor, store: Store
) -> None:
    """Fewer than 1 target in 256 tokens: 7 of 2048 are too few, 8 are enough."""
    given = record(user("a" * 2000), answer("b" * 400))
    whole = _fitted(processor, store, given, 4096)
    prompt = whole.labels.tolist().count(-100)
    for targets, fine in ((8, True), (7, False)):
        text = "a" * (2000 + 2048 - prompt - targets)
        item = record(user(text), answer("b" * 400))
        if fine:
            assert _fitted(processor, store, item, 2048).num_tokens == 2048
        else:
            message = dropped(processor, store, item, "too_few_targets", seq_len=2048)
            assert "2048 tokens, of which 7 carry loss" in message
    short = record(user("a" * 3000), answer("b"))
    assert _fitted(processor, store, short, 4096).num_tokens < 4096


# --- what cannot be used --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "messages", "extra"),
    [
        ("bad_reasoning", (user("?"), answer("<think>a</think>b<think>c</think>d")), {}),
        ("bad_reasoning", (user("?"), answer("first <think>a</think> b")), {}),
        ("bad_reasoning", (user("?"), answer("<think>a")), {}),
        ("bad_reasoning", (user("?"), answer("</think>a<think>")), {}),
        ("bad_turn_order", (user("?"), answer("!"), user("?")), {}),
        ("empty_turn", (user(" /no_think "), answer("!")), {}),
        ("empty_turn", (user("?"), answer("  ")), {}),
        ("empty_turn", (user("?"), answer("<think>a</think>")), {}),
        ("empty_turn", (user("?"), answer("/think"), user("?"), answer("!")), {}),
        ("malformed_record", (user("<image> <image>", "small.png"), answer("!")), {}),
        ("malformed_record", (user("\ud800"), answer("!")), {}),
        ("missing_media", (user("?", "gone.png"), answer("!")), {}),
        ("no_target", (user("?"), answer("!", loss=False)), {}),
        ("no_target", (user("?"), answer("!")), {"weight": 0}),
        (
            "no_target",
            (user("?"), answer("!"), user("?"), answer(THOUGHT, loss=False)),
            {"reasoning": "on"},
        ),
        ("undecodable_media", (user("?", "small.png", "broken.png"), answer("!")), {}),
        ("unsupported_media", (user("?", "talk.wav"), answer("!")), {}),
    ],
)
def test_dropped(
    processor: Processor,
    store: Store,
    reason: str,
    messages: tuple[dict[str, Any], ...],
    extra: dict[str, Any],
) -> None:
    assert dropped(processor, store, record(*messages, **extra), reason).startswith("r1: ")


def test_more_tiles_than_a_pack_holds(processor: Processor, store: Store) -> None:
    wide = record(user("?", "wide.png"), answer("!"))
    packing = PackingConfig(max_tiles_per_pack=10)
    assert "11 tiles" in dropped(processor, store, wide, "oversized", packing=packing)


def test_damage_found_while_decoding(processor: Processor, store: Store) -> None:
    sample = encode(processor, store, record(user("?", "late.png"), answer("!")))
    with pytest.raises(Dropped, match=r"set/0/0: .*late\.png") as caught:
        SampleEncoder(processor, config()).load(sample)
    assert caught.value.reason == "undecodable_media"


def test_a_missing_package_is_not_the_record_s_fault(
    processor: Processor, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **options: Any) -> None:
        raise BackendError("needs the package 'av'")

    monkeypatch.setattr(processor, "plan", fails)
    with pytest.raises(BackendError, match="'av'"):
        encode(processor, store, record(user("?", "clip.mp4"), answer("!")))


def test_more_frames_than_the_processor_takes() -> None:
    small = Processor(
        tiny_processor().tokenizer, tiny_processor().config, limits=Limits(max_frames=16)
    )
    with pytest.raises(ConfigError, match=r"max_frames 128: the processor's media limit is 16"):
        SampleEncoder(small, config())


# --- samples --------------------------------------------------------------------------------------


def test_a_sample_keeps_its_layout(processor: Processor, store: Store) -> None:
    given = record(user("?", "wide.png", "clip.mp4"), answer("!"), weight=2.5)
    sample = encode(processor, store, given)
    layout = sample.layout
    assert (sample.key, sample.source, sample.weight) == ("set/0/0", "set", 2.5)
    assert (sample.num_tokens, sample.num_tiles) == (layout.num_tokens, layout.num_tiles)
    assert sample.ids.dtype == np.int32
    again = EncodedSample.of("set/0/0", "set", 2.5, layout)
    assert np.array_equal(again.ids, sample.ids)
    loaded = SampleEncoder(processor, config(pixel_dtype="bfloat16")).load(sample)
    assert [p.dtype for p in loaded.inputs.pixel_values] == [torch.bfloat16] * 2
    assert (loaded.key, loaded.source, loaded.weight) == ("set/0/0", "set", 2.5)


def test_media_in_a_folder(processor: Processor, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(picture_bytes())
    files = Store({"a.png": MediaRef(path=path)})
    assert encode(processor, files, record(user("?", "a.png"), answer("!"))).num_tiles == 13
