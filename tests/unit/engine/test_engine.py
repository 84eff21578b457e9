"""The loop against its referee, and the books it keeps."""

import itertools

import pytest
import torch

from nanovl.core.conversation import Conversation, VideoPart
from nanovl.core.errors import ConfigError, InputError, NanoVLError
from nanovl.core.generation import SamplingParams
from nanovl.engine.engine import Engine
from nanovl.engine.naive import generate_naive
from nanovl.engine.sequence import EngineRequest
from nanovl.testing import picture, streamed_equals_final, tiny_model, tiny_processor


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def processor():
    return tiny_processor()


@pytest.fixture
def engine(model, processor):
    return Engine(model, processor.tokenizer, stop_ids=processor.tokenizer.eos_ids)


@pytest.fixture
def request_of(model, processor):
    def make(text="Hi", media=(), *, reasoning=False, sampling=None, **options):
        layout = processor.plan(Conversation.user(text, media), reasoning=reasoning)
        return EngineRequest(
            layout=layout,
            load=lambda: processor.load(layout, dtype=model.dtype),
            sampling=sampling or SamplingParams(max_tokens=12),
            thinking=reasoning,
            **options,
        )

    return make


def answers(engine, *requests):
    done = {i: d.generation for i, d in engine.run(requests) if d.generation}
    return [done[i] for i in range(len(requests))]


def image_part():
    from nanovl.core.conversation import ImagePart, MediaRef

    return ImagePart(source=MediaRef(array=picture()))


def video_part(rate):
    from nanovl.core.conversation import MediaRef

    frames = [picture(64, 64, seed=i) for i in range(4)]
    return VideoPart(source=MediaRef(array=frames), fps=2.0, pruning_rate=rate)


SAMPLINGS = {
    "greedy": SamplingParams(max_tokens=12),
    "hot": SamplingParams(max_tokens=12, temperature=1.2, top_p=0.9, seed=3),
    "penalty": SamplingParams(max_tokens=12, repetition_penalty=1.5),
    "min_p": SamplingParams(max_tokens=12, temperature=2.0, min_p=0.1, top_k=40, seed=-1),
    "eos": SamplingParams(max_tokens=20, ignore_eos=True),
}


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize("media", [(), "image", "video", "pruned"], ids=str)
def test_engine_equals_naive_loop(engine, request_of, sampling, media):
    parts = {
        "image": lambda: [image_part()],
        "video": lambda: [video_part(None)],
        "pruned": lambda: [video_part(0.5)],
    }
    request = request_of("Look.", parts[media]() if media else (), sampling=sampling)
    (answer,) = answers(engine, request)
    naive = generate_naive(engine.model, engine.codec, request, tuple(engine.stop_ids))
    assert answer.token_ids == naive.token_ids
    assert (answer.text, answer.finish_reason) == (naive.text, naive.finish_reason)


@pytest.mark.parametrize("chunk", [1, 7, 64, 10_000])
def test_prefill_chunks_change_nothing(model, processor, request_of, engine, chunk):
    request = request_of("A longer question, so that there are chunks.", [image_part()])
    other = Engine(
        model, processor.tokenizer, stop_ids=processor.tokenizer.eos_ids, prefill_chunk=chunk
    )
    assert answers(other, request)[0].token_ids == answers(engine, request)[0].token_ids


def test_batch_equals_single_with_fewer_slots_than_requests(model, processor, request_of):
    requests = [
        request_of("a" * n, sampling=SamplingParams(max_tokens=3 + n, temperature=t, seed=n))
        for n, t in [(1, 0.0), (30, 0.8), (4, 0.0), (12, 1.5), (2, 0.0)]
    ]
    wide = Engine(model, processor.tokenizer, stop_ids=(), max_slots=8)
    narrow = Engine(model, processor.tokenizer, stop_ids=(), max_slots=2)
    alone = [answers(wide, r)[0].token_ids for r in requests]
    assert [g.token_ids for g in answers(wide, *requests)] == alone
    assert [g.token_ids for g in answers(narrow, *requests)] == alone
    assert narrow.used_slots == 0


def test_same_seed_same_answer_other_seed_another(engine, request_of):
    def ids(seed):
        sampling = SamplingParams(max_tokens=16, temperature=1.5, seed=seed)
        return answers(engine, request_of(sampling=sampling))[0].token_ids

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)
    assert ids(None) != ids(None)


def test_padding_rows_are_never_generated(engine, request_of):
    sampling = SamplingParams(max_tokens=60, temperature=50.0, seed=0, ignore_eos=True)
    (answer,) = answers(engine, request_of(sampling=sampling))
    assert engine.model.config.lm.vocab_size > engine.codec.size
    assert max(answer.token_ids) < engine.codec.size


def test_stop_token_ends_the_answer(model, processor, request_of):
    request = request_of(sampling=SamplingParams(max_tokens=12, ignore_eos=True))
    ids = answers(Engine(model, processor.tokenizer, stop_ids=()), request)[0].token_ids
    stop = ids[5]
    request = request_of(sampling=SamplingParams(max_tokens=12))
    (answer,) = answers(Engine(model, processor.tokenizer, stop_ids=(stop,)), request)
    first = ids.index(stop)
    assert answer.token_ids == ids[: first + 1]
    assert (answer.finish_reason, answer.stop_reason) == ("stop", stop)
    assert answer.text == processor.tokenizer.decode(ids[:first]).lstrip("\r\n")


def test_budget_forces_the_closing_tag(engine, request_of):
    sampling = SamplingParams(max_tokens=40, ignore_eos=True)
    request = request_of(reasoning=True, sampling=sampling, soft=5, hard=8)
    (answer,) = answers(engine, request)
    closing = engine.codec.encode("</think>\n\n")
    ids = list(answer.token_ids)
    at = next(i for i in range(len(ids)) if ids[i : i + len(closing)] == closing)
    assert 5 <= at <= 8 + 3 + 2
    assert answer.reasoning is not None
    assert "</think>" not in answer.reasoning + answer.text
    assert at + len(closing) == answer.usage.reasoning_tokens
    naive = generate_naive(engine.model, engine.codec, request, tuple(engine.stop_ids))
    assert naive.token_ids == answer.token_ids


def test_budget_state_is_kept_per_sequence(engine, request_of):
    sampling = SamplingParams(max_tokens=40, ignore_eos=True)
    requests = [
        request_of("x", reasoning=True, sampling=sampling, soft=b, hard=b) for b in (3, 9, 17)
    ]
    requests.append(request_of("x", sampling=sampling))
    together = answers(engine, *requests)
    assert [g.token_ids for g in together] == [answers(engine, r)[0].token_ids for r in requests]
    assert len({g.usage.reasoning_tokens for g in together}) == 4


def test_thinking_cut_by_length_leaves_no_answer(engine, request_of):
    sampling = SamplingParams(max_tokens=6, ignore_eos=True)
    (answer,) = answers(engine, request_of(reasoning=True, sampling=sampling))
    assert (answer.text, answer.finish_reason) == ("", "length")
    assert answer.reasoning
    assert answer.usage.reasoning_tokens == 6


def test_usage_and_timings(engine, request_of, processor):
    request = request_of("Look.", [image_part(), video_part(0.5)])
    (answer,) = answers(engine, request)
    image, video = request.layout.spans
    usage, timings = answer.usage, answer.timings
    assert usage.prompt_tokens == request.layout.num_tokens
    assert usage.completion_tokens == len(answer.token_ids) == 12
    assert (usage.image_tokens, usage.video_tokens) == (image.num_tokens, video.num_tokens)
    assert usage.reasoning_tokens == 0
    assert timings.prefill_tokens == usage.prompt_tokens
    assert timings.decode_tokens == 11
    parts = timings.media_s + timings.encode_s + timings.prefill_s
    assert min(timings.media_s, timings.encode_s, timings.prefill_s, timings.decode_s) > 0
    assert timings.ttft_s >= parts
    assert [m["kind"] for m in answer.media] == ["image", "video"]
    assert answer.media[1]["tokens_before_pruning"] > answer.media[1]["tokens"]


def test_streamed_pieces_are_the_answer(engine, request_of):
    sampling = SamplingParams(max_tokens=30, temperature=1.0, seed=8, ignore_eos=True)
    request = request_of(reasoning=True, sampling=sampling, soft=8, hard=10)
    final = streamed_equals_final(d for _, d in engine.run([request]))
    assert final.text
    assert final.reasoning


def test_closing_the_iterator_frees_the_slot(engine, request_of):
    stream = engine.run([request_of(), request_of()])
    assert engine.used_slots == 0
    next(stream)
    assert engine.used_slots == 2
    stream.close()
    assert engine.used_slots == 0


def test_a_stream_waits_for_the_slot_of_another(model, processor, request_of):
    engine = Engine(model, processor.tokenizer, stop_ids=(), max_slots=1)
    first = engine.run([request_of()])
    alone = [next(first)[1].token_ids]
    assert len(list(engine.run([request_of()]))) == 12
    assert engine.used_slots == 0  # the first one was answered on the way, and is read now
    assert len(alone + list(first)) == 12


def test_interleaved_streams_do_not_disturb_each_other(engine, request_of):
    requests = [request_of("one"), request_of("another one")]
    alone = [answers(engine, r)[0].token_ids for r in requests]
    streams = [engine.run([r]) for r in requests]
    got = [[], []]
    for pieces in itertools.zip_longest(*streams):  # one of each in turn
        for ids, piece in zip(got, pieces, strict=True):
            ids += () if piece is None else piece[1].token_ids
    assert [tuple(ids) for ids in got] == alone


def test_an_error_frees_the_slot(engine, request_of):
    from dataclasses import replace

    def broken():
        raise InputError("picture is damaged")

    with pytest.raises(InputError, match="damaged"):
        list(engine.run([replace(request_of("Look.", [image_part()]), load=broken)]))
    assert engine.used_slots == 0


def test_nan_weights_are_reported(processor, request_of):
    model = tiny_model()
    with torch.no_grad():
        model.language_model.backbone.norm_f.weight[3] = float("nan")
    engine = Engine(model, processor.tokenizer, stop_ids=())
    with pytest.raises(NanoVLError, match="weights or activations are broken"):
        list(engine.run([request_of()]))
    assert engine.used_slots == 0


def test_no_gradients_and_no_lasting_mode(engine, request_of):
    for _, _delta in engine.run([request_of()]):
        assert torch.is_grad_enabled()


def test_progress_of_a_long_prompt(model, processor, request_of):
    seen = []
    engine = Engine(model, processor.tokenizer, stop_ids=(), prefill_chunk=16)
    request = request_of("x" * 50)
    list(engine.run([request], seen.append))
    total = request.layout.num_tokens
    assert [e.done for e in seen] == [*range(16, total, 16), total]
    assert {e.total for e in seen} == {total}


@pytest.mark.parametrize("name", ["context_length", "max_slots", "prefill_chunk"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "x", True])
def test_counts_are_checked(model, processor, name, value):
    with pytest.raises(ConfigError, match=f"{name} .*expected a number of at least 1"):
        Engine(model, processor.tokenizer, stop_ids=(), **{name: value})


def test_room(model, processor, request_of):
    request = request_of("Look.", [image_part()])
    prompt = request.layout.num_tokens
    engine = Engine(model, processor.tokenizer, stop_ids=(), context_length=prompt + 3)
    assert engine.room(request.layout) == 3
    engine = Engine(model, processor.tokenizer, stop_ids=(), context_length=prompt)
    with pytest.raises(InputError, match=f"prompt of {prompt} tokens .* context of {prompt}; the "):
        engine.room(request.layout)
