"""Subtitle files: valid whatever the texts hold; read back as they were."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from nanovl.apps.subtitles import Cue, ordered, read_subtitles, to_json, to_srt, to_vtt
from nanovl.core.errors import InputError

EVIL = "a --> b\n\n2\n00:00:01,000 --> 00:00:02,000\n<script>x</script> & {\\an8}\x00\u2028end"


def test_a_text_cannot_end_its_cue_or_open_markup():
    cues = [Cue(start_s=0.0, end_s=1.5, text=EVIL), Cue(start_s=1.5, end_s=3661.001, text="b")]
    srt, vtt = to_srt(cues), to_vtt(cues)
    assert len(re.findall("-->", srt)) == len(re.findall("-->", vtt)) == 2
    assert "<" not in srt
    assert "&lt;script&gt;" in vtt
    assert srt.startswith("1\n00:00:00,000 --> 00:00:01,500\n")
    assert "\n2\n00:00:01,500 --> 01:01:01,001\nb\n" in srt
    assert vtt.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n")
    assert "\x00" not in srt + vtt
    assert [s.text for s in read_subtitles(srt)][1] == "b"
    again = read_subtitles(vtt)
    assert "<script>x</script> &" in again[0].text
    assert (again[1].start_s, again[1].end_s) == (1.5, 3661.001)


@given(
    st.lists(
        st.tuples(
            st.floats(-5, 500), st.floats(0, 20), st.text(st.characters(codec="utf-8"), max_size=20)
        ),
        max_size=12,
    )
)
def test_times_rise_and_nothing_overlaps(rows):
    cues = [Cue(start_s=a, end_s=a + b, text=t) for a, b, t in rows]
    found = ordered(cues)
    assert all(c.end_s > c.start_s >= 0 and c.text.strip() for c in found)
    assert all(a.end_s <= b.start_s for a, b in pairwise(found))
    blocks = [b for b in to_srt(cues).split("\n\n") if b.strip()]
    assert len(blocks) == len(found)
    assert all(len(block.strip("\n").split("\n")) == 3 for block in blocks)
    assert to_vtt(cues).count("-->") == len(found)
    assert len(json.loads(to_json(cues))) == len(found)


def test_rolling_captions_are_not_said_twice():
    text = """WEBVTT
Kind: captions

00:00:00.000 --> 00:00:02.000 align:start position:0%
hello<00:00:00.500><c> there</c>

00:00:02.000 --> 00:00:02.010
hello there

00:00:02.010 --> 00:00:04.000
hello there
second &amp; line

00:00:04.000 --> 00:00:06.000
second &amp; line
third
"""
    assert [s.text for s in read_subtitles(text)] == ["hello there", "second & line", "third"]


def test_srt_with_windows_line_ends_and_a_mark():
    text = (
        "\ufeff1\r\n00:00:01,5 --> 00:00:02,000\r\n<i>One</i>\r\n\r\n2\r\n01:02 --> 01:03\r\nno\r\n"
    )
    segments = read_subtitles(text)
    assert [(s.start_s, s.end_s, s.text) for s in segments] == [(1.5, 2.0, "One")]


def test_what_is_no_subtitles():
    with pytest.raises(InputError, match=r"talk.txt: no cue in it"):
        read_subtitles("just words", "talk.txt")
