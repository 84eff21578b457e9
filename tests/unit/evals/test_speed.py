"""Speed of answers about a video: what is asked, and that nothing kept earlier answers it."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from nanovl.core.errors import ConfigError
from nanovl.evals.endpoint import ChatEndpoint
from nanovl.evals.speed import EndpointTarget, Load, ModelTarget, measure, synthetic_video
from nanovl.testing import tiny_nanovl
from tests.unit.evals.stub import Body, Say, serving

LOAD = Load(frames=4, width=64, height=64, answer_tokens=3, requests=2, repeats=2, warm_up=1)


def frames(data: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_videos_differ_by_their_number_alone() -> None:
    one, other = frames(synthetic_video(LOAD, 1)), frames(synthetic_video(LOAD, 2**32 - 1))
    assert len(one) == len(other) == 4
    assert one[0].shape == (64, 64, 3)
    assert synthetic_video(LOAD, 7) == synthetic_video(LOAD, 7)
    rows = [np.abs(a.astype(int) - b.astype(int)).max(axis=(1, 2))
            for a, b in zip(one, other, strict=True)]  # fmt: skip
    assert all(row[-8:].min() > 100 for row in rows), "the number cannot be seen"
    assert all(row[:40].max() < 60 for row in rows), "it changes the rest"


def test_nothing_kept_answers_a_request() -> None:
    """With one video for all, encoded media and prefixes of the first request served the others."""
    model = tiny_nanovl()
    found = measure(ModelTarget(model), [0.0, 0.5], load=LOAD)
    stats = model.engine.stats()
    assert stats.media_queries >= 2 * (1 + 2 * 2)
    assert stats.media_hits == 0
    assert [(s.pruning_rate, s.requests, s.failed) for s in found] == [(0.0, 4, 0), (0.5, 4, 0)]
    for speed in found:
        assert speed.ttft_mean_ms > 0
        assert speed.tokens_per_s > 0
        assert speed.spread["ttft_mean_ms"] >= 0
    again = measure(ModelTarget(model), [0.0], load=LOAD)
    assert again[0].requests == 4
    assert model.engine.stats().media_hits == 0


def test_an_endpoint_gets_a_new_video_every_time() -> None:
    def say(body: Body, before: int) -> Say:
        return Say(text="a b c")

    with serving(say) as stub:
        target = EndpointTarget(ChatEndpoint(stub.url, "m"))
        measure(target, [0.5], load=LOAD, concurrency=(2,))
        sent = stub.bodies
    urls = [body["messages"][1]["content"][0]["video_url"]["url"] for body in sent]
    assert len(urls) == len(set(urls)) == 1 + 2 * 2
    assert all(body["mm_processor_kwargs"] == {"video_pruning_rate": 0.5} for body in sent)
    assert all(body["ignore_eos"] for body in sent)


@pytest.mark.parametrize(("rates", "parallel"), [([1.0], 1), ([0.5], 0)])
def test_points_that_cannot_be(rates: list[float], parallel: int) -> None:
    with pytest.raises(ConfigError, match="expected"):
        measure(ModelTarget(tiny_nanovl()), rates, concurrency=(parallel,), load=LOAD)
