"""Leaks: the same bytes, the same runs of words, and what is only a wording."""

from __future__ import annotations

import json

import pytest

from nanovl.core.errors import InputError
from nanovl.evals.base import Medium, Sample
from nanovl.evals.leaks import LeakFinder, own_text, scan_data_set

WORDING = "Look at the picture of the page very carefully and then answer the following question: "
STORY = (
    "The old lighthouse keeper climbed the stairs every evening with a brass lamp in one hand and "
    "a loaf of bread in the other while the gulls circled above the grey and restless water"
)
OTHER = (
    "Nobody in the village could remember when the clock on the town hall had last struck noon "
    "although the mayor insisted that it had been repaired twice during his first term of office"
)


def asked(name, text, *, media=(), **meta):
    return Sample(id=name, question=text, answer="x", media=media, meta=meta)


def found(finder):
    return [(leak.sample, leak.what) for leak in finder.leaks()]


def test_a_text_is_found_wherever_it_stands_and_however_it_is_set():
    finder = LeakFinder([asked("a", "?", source_text=STORY), asked("b", OTHER)])
    finder.see_text("Chapter one.\n\n" + STORY.upper().replace(" ", ",  ") + " The end.", "f:1")
    leaks = finder.leaks()
    assert [(leak.sample, leak.what, leak.share, leak.source) for leak in leaks] == [
        ("a", "text", 1.0, "f:1")
    ]


def test_half_of_the_runs_decide():
    finder = LeakFinder([asked("a", STORY)])
    words = STORY.split()
    finder.see_text(" ".join(words[:15]), "f:1")
    assert finder.leaks() == []
    assert len(finder.leaks(least=0)) == 1
    finder.see_text(" ".join(words[8:]), "f:2")
    assert found(finder) == [("a", "text")]
    assert finder.leaks()[0].source == "f:1"  # where it was seen first


def test_a_wording_that_samples_share_is_no_leak():
    samples = [asked(name, WORDING + text) for name, text in zip("abc", (STORY, OTHER, "what?"),
                                                                 strict=True)]  # fmt: skip
    finder = LeakFinder(samples)
    finder.see_text(WORDING + "who?", "f:1")
    assert finder.leaks(least=0) == []
    alone = LeakFinder(samples[2:])
    alone.see_text(WORDING + "who?", "f:1")
    assert len(alone.leaks(least=0)) == 1


def test_the_own_text_of_a_sample_is_looked_for():
    sample = asked("a", "Read the page.", source_text=STORY)
    assert own_text(sample) == STORY
    assert own_text(asked("a", "Who?")) == "Who?\nx"
    finder = LeakFinder([sample])
    finder.see_text(STORY, "f:1")
    assert found(finder) == [("a", "text")]


def test_samples_of_one_text_leak_together():
    finder = LeakFinder([asked("a", "?", source_text=STORY), asked("b", "?", source_text=STORY)])
    finder.see_text(STORY, "f:1")
    assert found(finder) == [("a", "text"), ("b", "text")]


def test_short_texts_count_as_a_whole_and_very_short_ones_not_at_all():
    finder = LeakFinder([
        asked("a", "?", source_text="How many sheep did the second shepherd lose?"),
        asked("b", "?", source_text="How many sheep?"),
    ])  # fmt: skip
    finder.see_text("how many sheep did the second shepherd lose", "f:1")
    finder.see_text("How many sheep?", "f:2")
    finder.see_text("How many sheep did the second shepherd lose, and where?", "f:3")
    assert found(finder) == [("a", "text")]


def test_scripts_without_spaces_are_searched_by_letters():
    text = "\u6771\u4eac\u306f\u65e5\u672c\u306e\u9996\u90fd\u3067\u3042\u308a\u4eba\u53e3\u304c"
    finder = LeakFinder([asked("a", "?", source_text=text)])
    assert finder.searched > 0
    finder.see_text(f"\u7b2c{text}\u591a", "f:1")
    assert found(finder) == [("a", "text")]


def test_media_are_found_by_their_bytes(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"picture")
    samples = [
        asked("a", "?", media=(Medium(kind="image", path=str(path), name="x.png"),)),
        asked("b", "?", media=(Medium(kind="video", data=b"clip", name="c.mp4"),)),
    ]
    finder = LeakFinder(samples)
    finder.see_medium(b"another picture", "t:1")
    assert finder.leaks() == []
    finder.see_medium(b"picture", "t:2")
    finder.see_medium(b"clip", "t:3")
    assert found(finder) == [("a", "medium"), ("b", "medium")]
    assert finder.files == 3


def test_a_data_set_is_read_whole(tmp_path):
    folder = tmp_path / "train"
    (folder / "media").mkdir(parents=True)
    (folder / "media" / "p.png").write_bytes(b"picture")
    (folder / "media" / "q.png").write_bytes(b"other")
    content = [{"type": "image", "image": "p.png"}, {"type": "text", "text": "Read."}]
    lines = [
        {"id": "1", "messages": [
            {"role": "user", "content": content},
            {"role": "assistant", "content": [{"type": "text", "text": STORY}]},
        ]},
        {"id": "2", "messages": [
            {"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"},
        ]},
    ]  # fmt: skip
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
    samples = [
        asked("a", "?", source_text=STORY),
        asked("b", "?", source_text=OTHER),
        asked("c", "?", media=(Medium(kind="image", data=b"picture", name="p"),)),
        asked("d", "?", media=(Medium(kind="image", data=b"other", name="q"),)),
    ]
    finder = LeakFinder(samples)
    scan_data_set(finder, folder)
    assert found(finder) == [("a", "text"), ("c", "medium")]  # q.png is in no record
    assert (finder.texts, finder.files) == (4, 1)
    assert "train.jsonl:1" in finder.leaks()[0].source


def test_nothing_to_look_for_and_missing_media_are_errors(tmp_path):
    with pytest.raises(InputError, match="no samples"):
        LeakFinder([])
    gone = Medium(kind="image", path=str(tmp_path / "gone.png"), name="gone")
    with pytest.raises(InputError, match=r"gone\.png"):
        LeakFinder([asked("a", "?", media=(gone,))])
