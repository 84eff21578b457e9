"""Captions, comparisons and Markdown, by a scripted model and by a random one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nanovl.apps.captioning import caption, even_spans
from nanovl.apps.comparing import compare
from nanovl.apps.cuts import scenes, spans_between
from nanovl.apps.reading import read_pages, to_markdown
from nanovl.apps.subtitles import read_subtitles, to_srt
from nanovl.apps.timeline import Timeline, open_video
from nanovl.core.conversation import MediaRef, VideoPart
from nanovl.core.errors import ConfigError, InputError
from nanovl.core.generation import Generation
from nanovl.processing.media import Limits
from nanovl.testing import pdf, picture, tiny_nanovl, video
from tests.unit.apps.fakes import FakeNanoVL


def timeline(duration_s, fps=25.0):
    return Timeline(
        video=VideoPart(source=MediaRef(data=b"x", name="v.mp4")), duration_s=duration_s, fps=fps
    )


def test_captions_cover_the_video_and_repetitions_are_joined():
    texts = iter(["A dog.", "a dog.", "A\ncat.", "Rain."])
    model = FakeNanoVL(lambda *a: {"caption": next(texts)})
    cues = caption(model, timeline(18.0), every_s=5.0, frames=4)
    assert [(c.start_s, c.end_s, c.text) for c in cues] == [
        (0.0, 10.0, "a dog."),
        (10.0, 15.0, "A cat."),
        (15.0, 18.0, "Rain."),
    ]
    assert [a.files[0].start_s for a in model.asked] == [0.0, 5.0, 10.0, 15.0]
    assert model.asked[0].files[0].max_frames == 4


def test_a_rest_too_short_for_a_frame_belongs_to_the_last_part():
    spans = even_spans(timeline(10.5), 5.0)
    assert [(s.start_s, s.end_s) for s in spans] == [(0.0, 5.0), (5.0, 10.5)]
    assert len(even_spans(timeline(0.4), 5.0)) == 1
    for wrong in (0.0, -1.0, float("nan"), 0.5):
        with pytest.raises(ConfigError, match="expected at least 1 s"):
            even_spans(timeline(10.0), wrong)
    with pytest.raises(InputError, match="its length is unknown"):
        caption(FakeNanoVL(lambda *a: {}), timeline(0.0, 0.0))


def test_cuts_are_found_where_the_picture_changes(tmp_path):
    shades = [20] * 24 + [220] * 24 + [60] * 32
    frames = [Image.fromarray(np.full((48, 64, 3), s, np.uint8)) for s in shades]
    path = video(tmp_path / "cut.mp4", fps=8, pictures=frames)
    line = open_video(tiny_nanovl(), str(path))
    spans = scenes(line, Limits.local())
    assert [s.start_s for s in spans] == pytest.approx([0.0, 3.0, 6.0], abs=0.51)
    assert spans[-1].end_s == 10.0
    small = Limits(max_frames=3)  # decoded a few at a time, with the same result
    assert scenes(line, small) == spans


def test_parts_between_cuts_have_a_length():
    spans = spans_between([0.2, 3.0, 3.5, 59.9], 60.0, 1.0, 20.0)
    edges = [s.start_s for s in spans] + [spans[-1].end_s]
    assert edges == pytest.approx([0.0, 3.0, 22.0, 41.0, 60.0])
    assert len(spans_between([], 0.5, 1.0, 20.0)) == 1


def test_captions_of_a_random_model_are_a_valid_file(tmp_path):
    model = tiny_nanovl()
    line = open_video(model, str(video(tmp_path / "v.mp4", frames=32, fps=8)))
    cues = caption(model, line, every_s=2.0, max_tokens=48)
    assert cues
    assert [s.text for s in read_subtitles(to_srt(cues))]


def test_a_comparison_in_one_prompt():
    answer = {
        "summary": "Alike\n but for one thing.",
        "same": ["both are grey"],
        "differences": [{"topic": "size", "first": "small", "second": "large"}],
    }
    model = FakeNanoVL(lambda *a: answer)
    found = compare(model, picture(), picture(32, 32), focus="the size")
    assert found.summaries == ("Alike but for one thing.",)
    assert found.differences[0].page is None
    assert "Look at this above all: the size" in model.asked[0].prompt
    assert len(model.asked[0].files) == 2
    assert "- size: small / large" in found.markdown


def test_long_documents_are_compared_page_with_page(tmp_path):
    def reply(prompt, files, schema):
        row = {"topic": "t", "first": "1", "second": files[1].pages}
        return {"summary": "s", "same": ["x"], "differences": [row]}

    model = FakeNanoVL(reply, context=1500, part_tokens=300)
    one, two = (str(pdf(tmp_path / f"{n}.pdf", n)) for n in (2, 4))
    found = compare(model, one, two, max_tokens=200)
    assert [d.page for d in found.differences] == [1, 2]
    assert found.same == ("x",)
    assert found.notes == ("only the second has page 3, 4, which was not compared",)
    assert "(page 2)" in found.markdown


def test_a_random_model_compares():
    found = compare(tiny_nanovl(), picture(), picture(seed=1), max_tokens=200)
    assert found.summaries[0]
    assert found.markdown


def test_pages_become_markdown_with_their_numbers(tmp_path):
    texts = iter(["```markdown\n# One\n```", "Two\n```\ncode\n```", ("", "length")])
    model = FakeNanoVL(lambda *a: next(texts))
    pages = read_pages(model, str(pdf(tmp_path / "d.pdf", 3)))
    assert "".join(to_markdown(pages)) == (
        "<!-- page 1 -->\n\n# One\n"
        "\n---\n\n<!-- page 2 -->\n\nTwo\n```\ncode\n```\n"
        "\n---\n\n<!-- page 3 -->\n\n<!-- page 3: cut off -->\n"
    )
    assert model.asked[0].options["repetition_detection"]["min_count"] == 64


def test_a_page_in_circles_is_marked_as_cut(tmp_path):
    class Circles(FakeNanoVL):
        def batch(self, requests, **options):
            return [Generation(text="la la", stop_reason="repetition") for _ in requests]

    (page,) = read_pages(Circles(lambda *a: ""), picture())
    assert not page.is_complete


def test_a_page_beyond_the_context():
    with pytest.raises(InputError, match="page 1: leaves no room"):
        list(read_pages(FakeNanoVL(lambda *a: "", context=150), picture()))


def test_pages_are_read_while_they_are_taken(tmp_path):
    model = FakeNanoVL(lambda *a: "text")
    pages = read_pages(model, str(pdf(tmp_path / "d.pdf", 6)))
    next(pages)
    assert len(model.asked) == 2
    assert len(list(pages)) == 5
    (only,) = read_pages(tiny_nanovl(), picture(), max_tokens=20)
    assert only.number == 1
