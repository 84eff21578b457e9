"""What holds for every prompt: planned = produced, pruning keeps lengths, text stays text."""

from typing import Any

from hypothesis import given, settings, strategies as st

from nanovl.core.conversation import (
    Conversation,
    ImagePart,
    MediaRef,
    Message,
    Part,
    TextPart,
    VideoPart,
)
from nanovl.core.layout import IGNORE_LABEL, relay_videos
from nanovl.core.paths import asset
from nanovl.processing.config import ProcessorConfig
from nanovl.processing.processor import Processor
from nanovl.processing.tokenizer import Tokenizer, byte_tokenizer
from nanovl.processing.vocab import CONTROL_TOKENS
from nanovl.testing.media import picture

BYTES = byte_tokenizer()
MINI = Tokenizer.from_folder(asset("mini"))
TOKENIZERS = st.sampled_from([BYTES, MINI])

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SIDES = st.integers(1, 200)
HOSTILE = st.lists(
    st.one_of(st.sampled_from(CONTROL_TOKENS), st.sampled_from(["<", ">", "<s", "\n", " ", "a"])),
    max_size=8,
).map("".join)


@st.composite
def media(draw: st.DrawFn) -> Part:
    width = draw(SIDES)
    height = min(max(draw(SIDES), -(-width // 150)), width * 150)
    if draw(st.booleans()):
        tiles = draw(st.none() | st.integers(1, 12))
        return ImagePart(source=MediaRef.of(picture(width, height)), max_tiles=tiles)
    count = draw(st.integers(1, 6))
    rate = draw(st.none() | st.floats(0, 0.95))
    frames = [picture(width, height, seed=k) for k in range(count)]
    return VideoPart(source=MediaRef.of(frames), pruning_rate=rate)


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    messages = [Message.text("system", draw(TEXT))] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(1, 2))):
        if turn:
            messages.append(Message.text("assistant", draw(TEXT)))
        parts = (*draw(st.lists(media(), max_size=3)), TextPart(text=draw(TEXT)))
        messages.append(Message(role="user", parts=parts))
    return Conversation(messages=tuple(messages))


@st.composite
def configs(draw: st.DrawFn) -> ProcessorConfig:
    return ProcessorConfig(
        image_size=64,
        mode=draw(st.sampled_from(["tiles", "native", "tiling-size-matching"])),
        use_thumbnail=draw(st.booleans()),
        video_layout=draw(st.sampled_from(["train", "trt", "vllm", "compact"])),
        keep_frame_aspect=draw(st.booleans()),
    )


@settings(max_examples=40, deadline=None)
@given(conversations(), configs(), TOKENIZERS, st.none() | st.integers(1, 20))
def test_planned_is_produced(
    conversation: Conversation, config: ProcessorConfig, tokenizer: Tokenizer, budget: int | None
) -> None:
    processor = Processor(tokenizer, config)
    layout = processor.plan(conversation, total_tiles=budget)
    inputs = processor.load(layout)
    assert inputs.input_ids.tolist() == layout.input_ids
    assert inputs.layout is layout
    made = 0
    for span, pixels in zip(layout.spans, inputs.pixel_values, strict=True):
        tiles, _, height, width = pixels.shape
        cells = tiles * (height // config.cell) * (width // config.cell)
        assert cells == span.tiles * span.tokens_per_tile >= span.num_tokens
        made += cells if span.pruning_rate == 0 else span.num_tokens
        block = layout.input_ids[span.start : span.start + span.length]
        assert block.count(layout.placeholder) == span.num_tokens
    assert made == layout.num_visual_tokens == layout.input_ids.count(tokenizer.image_id)
    # Every run of placeholders stands between <img> and </img>.
    starts = layout.input_ids.count(tokenizer.image_start_id)
    frames = sum(span.tiles if span.kind == "video" else 1 for span in layout.spans)
    assert starts == layout.input_ids.count(tokenizer.image_end_id) == frames
    # Planning again, and counting, say the same.
    assert processor.plan(conversation, total_tiles=budget) == layout
    assert processor.count_tokens(conversation, total_tiles=budget).total == layout.num_tokens


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(2, 8), st.floats(0.05, 0.95))
def test_relaying_a_pruned_video_moves_nothing_but_placeholders(
    data: st.DataObject, count: int, rate: float
) -> None:
    style: Any = data.draw(st.sampled_from(["train", "trt", "vllm", "compact"]))
    processor = Processor(BYTES, ProcessorConfig(image_size=64, video_layout=style))
    frames = [picture(40, 30, seed=k) for k in range(count)]
    parts = [ImagePart(source=MediaRef.of(picture(60, 60))), VideoPart(source=MediaRef.of(frames))]
    layout = processor.plan(Conversation.user("x", parts), pruning_rate=rate)
    span = layout.spans[1]
    kept = [0] * count
    for _ in range(span.num_tokens):
        free = [k for k in range(count) if kept[k] < span.tokens_per_tile]
        kept[data.draw(st.sampled_from(free))] += 1
    relaid = relay_videos(layout, {1: kept})
    assert relaid.num_tokens == layout.num_tokens
    assert relaid.spans == layout.spans
    text = [i for i in layout.input_ids if i != layout.placeholder]
    assert [i for i in relaid.input_ids if i != layout.placeholder] == text
    assert relaid.input_ids[: span.start] == layout.input_ids[: span.start]
    # Laying out the even split again gives the plan back.
    even = [span.num_tokens // count + (k < span.num_tokens % count) for k in range(count)]
    assert relay_videos(relaid, {1: even}).input_ids == layout.input_ids


@settings(max_examples=50, deadline=None)
@given(HOSTILE, HOSTILE, TOKENIZERS)
def test_text_never_becomes_control_tokens(user: str, system: str, tokenizer: Tokenizer) -> None:
    processor = Processor(tokenizer)
    layout = processor.plan(Conversation.user(user, system=system))
    benign = processor.plan(Conversation.user("x", system="y"))
    control = [i for i in benign.input_ids if tokenizer.is_control(i)]
    assert [i for i in layout.input_ids if tokenizer.is_control(i)] == control
    assert tokenizer.decode(tokenizer.encode(user)) == user


@settings(max_examples=50, deadline=None)
@given(TEXT, TOKENIZERS)
def test_neutralising_changes_nothing_without_control_strings(
    text: str, tokenizer: Tokenizer
) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b"".join(tokenizer.decode_bytes([i]) for i in ids) == text.encode()
    if not any(name in text for name in CONTROL_TOKENS):
        assert tokenizer.encode(text, control=True) == ids


@settings(max_examples=50, deadline=None)
@given(TEXT, TEXT.filter(str.strip), st.none() | TEXT.filter(str.strip), TOKENIZERS)
def test_training_ids_are_prompt_ids_and_answer_ids(
    question: str, answer: str, trace: str | None, tokenizer: Tokenizer
) -> None:
    answer, question = answer.replace("/", ""), question.replace("/", "")
    if not answer.strip():
        return
    processor = Processor(tokenizer)
    asked = Conversation.user(question)
    reply = Message.text("assistant", answer, reasoning=trace)
    sample = Conversation(messages=(*asked.messages, reply))
    prompt = processor.plan(asked, reasoning=trace is not None).input_ids
    layout = processor.plan(sample, training=True)
    said = f"{answer.strip()}\n"
    if trace is not None:
        said = f"{trace.strip()}\n</think>\n\n{said}"
    expected = [*tokenizer.encode(said), tokenizer.turn_end_id, *tokenizer.encode("\n")]
    assert layout.input_ids == [*prompt, *expected]
    assert layout.labels == [IGNORE_LABEL] * len(prompt) + expected
