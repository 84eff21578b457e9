import pytest
import torch

from nanovl.core.errors import InputError
from nanovl.core.inputs import ProcessedInputs
from nanovl.core.layout import MediaSpan, TokenLayout
from nanovl.model.cache import HybridCache
from nanovl.model.config import preset
from nanovl.model.context import ForwardContext
from nanovl.model.vision import augmented_positions
from nanovl.model.vlm import VLM
from nanovl.ops.evs import kept_per_frame, retained_count, retention_mask

IMAGE = 300


@pytest.fixture(scope="module")
def vlm():
    model = VLM(preset("tiny"), dtype=torch.float32)
    model.initialize(torch.Generator().manual_seed(0))
    return model.eval()


def image_span(start, tiles):
    return MediaSpan(
        kind="image",
        start=start,
        length=4 * tiles,
        num_tokens=4 * tiles,
        tiles=tiles,
        tile_size=(64, 64),
        grid=(2, 2),
    )


def sample(ids, spans, seed=0):
    generator = torch.Generator().manual_seed(seed)
    layout = TokenLayout(input_ids=ids, spans=tuple(spans), placeholder=IMAGE)
    return ProcessedInputs(
        layout=layout,
        input_ids=torch.tensor(ids),
        pixel_values=tuple(
            torch.randn(s.tiles, 3, *s.tile_size, generator=generator) for s in spans
        ),
    )


@torch.no_grad()
def test_visual_tokens_replace_placeholders_in_order(vlm):
    inputs = sample([1, *[IMAGE] * 8, 2, *[IMAGE] * 4, 3], [image_span(1, 2), image_span(10, 1)])
    x = vlm.embed(inputs).x
    first = vlm.encode_media(inputs.pixel_values[0]).flatten(0, 2)
    second = vlm.encode_media(inputs.pixel_values[1]).flatten(0, 2)
    torch.testing.assert_close(x[1:9], first)
    torch.testing.assert_close(x[10:14], second)
    torch.testing.assert_close(x[[0, 9, 14]], vlm.embed_tokens(torch.tensor([1, 2, 3])))


@torch.no_grad()
def test_text_only_needs_no_encoder(vlm):
    inputs = sample([5, 6, 7], [])
    torch.testing.assert_close(vlm.embed(inputs).x, vlm.embed_tokens(torch.tensor([5, 6, 7])))


def test_a_placeholder_mismatch_is_refused_with_both_numbers(vlm):
    with pytest.raises(InputError, match=r"3 visual placeholders .* 4 visual tokens"):
        vlm.merge(torch.tensor([1, IMAGE, IMAGE, IMAGE]), [torch.zeros(4, 64)], IMAGE)


@torch.no_grad()
def test_tiles_per_call_do_not_matter(vlm):
    pixels = torch.randn(5, 3, 64, 64)
    whole = vlm.encode_media(pixels)
    try:
        vlm.max_tiles_per_call = 2
        torch.testing.assert_close(vlm.encode_media(pixels), whole, rtol=1e-5, atol=1e-5)
    finally:
        vlm.max_tiles_per_call = None


@torch.no_grad()
def test_pictures_of_several_sizes_are_encoded_together(vlm):
    """Each as if it were alone, however many fit into one pass."""
    sizes = [(1, 32, 96), (2, 64, 64), (1, 128, 32), (1, 64, 64), (3, 32, 32)]
    pictures = [torch.randn(m, 3, height, width) for m, height, width in sizes]
    alone = torch.cat([vlm.encode_media(p).flatten(0, 2) for p in pictures])
    try:
        for tiles in (1, 2, 100):
            vlm.max_tiles_per_call = tiles
            together = vlm.encode_pictures(pictures)
            torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    finally:
        vlm.max_tiles_per_call = None


@torch.no_grad()
def test_any_multiple_of_two_patches_is_encoded(vlm):
    assert vlm.encode_media(torch.randn(1, 3, 32, 96)).shape == (1, 1, 3, 64)
    with pytest.raises(InputError, match="multiples of 32"):
        vlm.encode_media(torch.randn(1, 3, 48, 64))


def video_span(start, frames, kept, rate):
    before = tuple((10 + f, 20) for f in range(frames))
    after = tuple((30,) for _ in range(frames))
    return MediaSpan(
        kind="video",
        start=start,
        length=3 * frames + kept,
        num_tokens=kept,
        tiles=frames,
        tile_size=(64, 64),
        grid=(2, 2),
        before=before,
        after=after,
        pruning_rate=rate,
    )


@torch.no_grad()
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 0.75])
def test_a_pruned_video_is_laid_out_again(vlm, rate):
    frames = 5
    kept = retained_count(frames, 4, rate)
    span = video_span(2, frames, kept, rate)
    counts = [min(4, max(0, kept - 4 * f)) for f in range(frames)]
    ids = [1, 2, *span.frame_ids(counts, IMAGE), 3]
    inputs = sample(ids, [span])
    prompt = vlm.embed(inputs)
    tokens = vlm.encode_media(inputs.pixel_values[0])
    mask = retention_mask(tokens, rate)
    assert prompt.layout.input_ids == [1, 2, *span.frame_ids(kept_per_frame(mask), IMAGE), 3]
    assert len(prompt.layout.input_ids) == len(ids)
    at = (prompt.input_ids == IMAGE).nonzero()[:, 0]
    torch.testing.assert_close(prompt.x[at], tokens.flatten(1, 2)[mask])


@torch.no_grad()
def test_rows_choose_logits(vlm):
    x = vlm.embed_tokens(torch.arange(9))
    ctx = ForwardContext(cu_seqlens=(0, 4, 9))
    everything = vlm(x, ctx, rows="all")
    assert everything.dtype == torch.float32
    torch.testing.assert_close(vlm(x, ctx, rows="last"), everything[[3, 8]])
    torch.testing.assert_close(vlm(x, ctx, rows=torch.tensor([2, 5])), everything[[2, 5]])
    assert vlm(x, ctx, rows="none").shape == (0, 320)


def test_wrong_number_of_rows(vlm):
    with pytest.raises(InputError, match="3 input rows for a context of 4"):
        vlm(torch.zeros(3, 64), ForwardContext.single(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cu_seqlens": (0, 3, 3)}, "rising"),
        ({"cu_seqlens": (1, 3)}, "rising"),
        ({"cu_seqlens": (0,)}, "rising"),
        ({"cu_seqlens": (0, 3), "slots": (0,)}, "without a cache"),
    ],
)
def test_context_is_checked(arguments, message):
    with pytest.raises(InputError, match=message):
        ForwardContext(**arguments)


def test_slots_are_checked(vlm):
    cache = HybridCache(vlm.config.lm, 2)
    for slots in ((0,), (0, 0), (0, 2)):
        with pytest.raises(InputError, match="slots"):
            ForwardContext(cu_seqlens=(0, 1, 2), cache=cache, slots=slots)


@torch.no_grad()
def test_mixed_prefill_and_decode_in_one_call(vlm):
    """Segments of any length continue their own slots."""
    a, b = torch.arange(3, 20), torch.arange(40, 70)
    cache = HybridCache(vlm.config.lm, 3, dtype=torch.float32)
    vlm(vlm.embed_tokens(a[:16]), ForwardContext.single(16, cache, 2))
    x = vlm.embed_tokens(torch.cat([a[16:], b]))
    got = vlm(x, ForwardContext(cu_seqlens=(0, 1, 31), cache=cache, slots=(2, 0)))
    for row, ids in ((0, a), (1, b)):
        alone = vlm(vlm.embed_tokens(ids), ForwardContext.single(len(ids)))
        torch.testing.assert_close(got[row], alone[0], rtol=1e-5, atol=1e-5)
    assert cache.lengths == [30, 0, 17]


@torch.no_grad()
@pytest.mark.parametrize("slots", [(0, 1, 2), (2, 0, 1), (1, 3, 0)])
def test_batched_decode_equals_single(vlm, slots):
    cache = HybridCache(vlm.config.lm, 4, dtype=torch.float32)
    prompts = [torch.arange(5 + i, 15 + 3 * i) for i in range(3)]
    for slot, ids in zip(slots, prompts, strict=True):
        vlm(vlm.embed_tokens(ids), ForwardContext.single(len(ids), cache, slot))
    for step in range(3):
        new = torch.tensor([50 + step, 60 + step, 70 + step])
        ctx = ForwardContext(cu_seqlens=(0, 1, 2, 3), cache=cache, slots=slots)
        assert ctx.is_decode
        got = vlm(vlm.embed_tokens(new), ctx)
        prompts = [torch.cat([p, n[None]]) for p, n in zip(prompts, new, strict=True)]
        for row, ids in enumerate(prompts):
            alone = vlm(vlm.embed_tokens(ids), ForwardContext.single(len(ids)))
            torch.testing.assert_close(got[row], alone[0], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_copied_slot_goes_its_own_way(vlm):
    cache = HybridCache(vlm.config.lm, 2, dtype=torch.float32)
    ids = torch.arange(12)
    vlm(vlm.embed_tokens(ids), ForwardContext.single(12, cache, 0))
    cache.copy_slot(0, 1)
    x = vlm.embed_tokens(torch.tensor([99]))
    first = vlm(x, ForwardContext.single(1, cache, 1))
    vlm(vlm.embed_tokens(torch.tensor([7])), ForwardContext.single(1, cache, 1))
    second = vlm(x, ForwardContext.single(1, cache, 0))
    torch.testing.assert_close(first, second)
    cache.reset(1)
    assert cache.lengths == [13, 0]


def test_cache_grows_by_the_attention_layers_only(vlm):
    config = vlm.config.lm
    cache = HybridCache(config, 1)
    empty = cache.nbytes
    assert empty == config.state_bytes()
    cache.reserve(0, 1024)
    assert cache.nbytes - empty == 1024 * config.kv_bytes_per_token()


def test_cached_positions_follow_the_weights(vlm):
    model = VLM(preset("tiny"), dtype=torch.float32)
    model.initialize(torch.Generator().manual_seed(1))
    generator = model.vision_model.radio_model.model.patch_generator
    with torch.no_grad():
        before = generator.positions(2, 2).clone()
        generator.pos_embed.add_(1.0)
        torch.testing.assert_close(generator.positions(2, 2), before + 1.0)


def test_position_augmentation_reads_a_window_of_the_table():
    size = 16
    rows = torch.arange(size).float().view(size, 1).expand(size, size)
    table = torch.stack([rows, rows.t()], dim=-1).reshape(1, -1, 2)
    out = augmented_positions(table, 8, 8, torch.Generator().manual_seed(3)).view(8, 8, 2)
    steps = out[1:, :, 0] - out[:-1, :, 0]
    torch.testing.assert_close(steps, steps[0, 0].expand_as(steps), rtol=1e-4, atol=1e-4)
    assert 0 < float(steps[0, 0]) * 7 <= size - 1
    assert float(out.min()) >= 0
    assert float(out.max()) <= size - 1


def test_gradients_reach_every_parameter(vlm):
    model = VLM(preset("tiny"), dtype=torch.float32)
    model.initialize(torch.Generator().manual_seed(0))
    ids = [1, *[IMAGE] * 4, 2, 3, 9, 8]
    prompt = model.embed(sample(ids, [image_span(1, 1)]))
    model(prompt.x, ForwardContext(cu_seqlens=(0, 7, 9)), rows="all").square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    # Keys of softmax attention over one token get no gradient only if nothing else attends.
    assert without == []


def test_what_is_kept_between_calls_serves_gradients_too():
    """A frozen model that answered in inference mode can still pass gradients through."""
    model = VLM(preset("tiny"), dtype=torch.float32)
    model.initialize(torch.Generator().manual_seed(0))
    model.requires_grad_(False)
    inputs = sample([1, *[IMAGE] * 4, 2], [image_span(1, 1)])
    with torch.inference_mode():
        expected = model(model.embed(inputs).x, ForwardContext.single(6))
    x = model.embed(inputs).x.requires_grad_()
    got = model(x, ForwardContext.single(6))
    got.sum().backward()
    torch.testing.assert_close(got.detach(), expected)
    assert x.grad.abs().sum() > 0
    pixels = inputs.pixel_values[0].clone().requires_grad_()
    model.encode_media(pixels).sum().backward()
    assert pixels.grad.abs().sum() > 0


def test_decay_rates_follow_the_weights(vlm):
    model = VLM(preset("tiny"), dtype=torch.float32)
    model.initialize(torch.Generator().manual_seed(0))
    x = torch.randn(7, 64)
    with torch.no_grad():
        before = model(x, ForwardContext.single(7))
        model.language_model.backbone.layers[0].mixer.A_log.add_(1.0)
        after = model(x, ForwardContext.single(7))
    assert not torch.equal(before, after)
