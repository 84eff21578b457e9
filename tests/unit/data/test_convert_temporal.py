"""Converters of videos: when things happen, what happens, lettered questions."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.convert.banks import BANKS
from nanovl.data.convert.base import ConvertOptions, Malformed
from nanovl.data.convert.temporal import (
    Event,
    clean_event,
    dense_turn,
    grounding_turns,
    label_turns,
    merged_spans,
    sentence,
)
from tests.unit.data.convert_samples import Run, save, stable, video

MISSING = "missing_media"


# -- Spans ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "duration", "expected"),
    [
        (0.0, 10.0, 10.0, (0.0, 10.0)),
        (1.04, 2.06, None, (1.0, 2.1)),
        (59.96, 61.0, None, (60.0, 61.0)),
        (3.0, 10.4, 10.0, (3.0, 10.0)),  # less than a second behind the end: cut
    ],
)
def test_clean_event_rounds_to_tenths(
    start: float, end: float, duration: float | None, expected: tuple[float, float]
) -> None:
    event = clean_event(start, end, " a  b ", name="segment", duration=duration)
    assert (event.start, event.end, event.text) == (*expected, "a b")


@pytest.mark.parametrize(
    ("start", "end", "text", "reason"),
    [
        (-1.0, 2.0, "a", "bad_span"),
        (2.0, 2.04, "a", "bad_span"),
        (3.0, 2.0, "a", "bad_span"),
        (float("nan"), 2.0, "a", "bad_span"),
        (0.0, 12.0, "a", "bad_span"),
        (0.0, 2.0, "  ", "empty"),
    ],
)
def test_clean_event_names_what_is_wrong(start: float, end: float, text: str, reason: str) -> None:
    with pytest.raises(Malformed, match=r"annotations\[3\]") as caught:
        clean_event(start, end, text, name="annotations[3]", duration=10.0)
    assert caught.value.reason == reason


def test_spans_of_a_label_are_sorted_and_touching_ones_joined() -> None:
    events = [Event(20, 30, "x"), Event(0, 5, "x"), Event(5, 8, "x"), Event(25, 31.5, "x")]
    assert merged_spans(events) == [(0, 8), (20, 31.5)]


def test_label_turns_write_the_specified_answers() -> None:
    events = [Event(70.5, 80, "run"), Event(0, 9.5, "run"), Event(30, 40, "sit")]
    turns = label_turns(events, ["run", "sit"], random.Random(0), ConvertOptions())
    when = {t.question.text.split('"')[1]: t.answer for t in turns if t.key.startswith("when")}
    assert when == {"run": "00:00-00:09.5, 01:10.5-01:20", "sit": "00:30-00:40"}
    for turn in turns:
        if turn.key.startswith("when"):
            assert "mm:ss-mm:ss" in turn.question.text
            assert "not present" in turn.question.text
    what = [t for t in turns if t.task == "reverse_localisation"]
    assert len(what) == 2
    for turn in what:
        assert turn.answer == ("sit" if "00:30" in turn.question.text else "run")


def test_incomplete_labels_are_neither_localised_nor_called_absent() -> None:
    options = ConvertOptions(extra={"negatives": 50, "labels": 5})
    events = [Event(0, 5, "run"), Event(10, 15, "sit")]
    for seed in range(20):
        turns = label_turns(
            events, ["run", "sit"], random.Random(seed), options, incomplete={"run"}
        )
        assert not any('"run"' in t.question.text for t in turns)


def test_negatives_are_ten_to_twenty_percent_by_default() -> None:
    labels = [f"label {i}" for i in range(50)]
    answers = []
    for seed in range(600):
        events = [Event(0, 5, labels[seed % 50]), Event(6, 9, labels[(seed + 1) % 50])]
        turns = label_turns(events, labels, random.Random(seed), ConvertOptions())
        answers += [t.answer for t in turns if t.task == "temporal_localisation"]
    assert 0.10 < answers.count("not present") / len(answers) < 0.20


def test_negatives_option_is_checked() -> None:
    with pytest.raises(ConfigError, match="negatives: got 80"):
        label_turns(
            [Event(0, 5, "a")], [], random.Random(0), ConvertOptions(extra={"negatives": "80"})
        )


def test_reverse_questions_skip_spans_two_labels_share() -> None:
    events = [Event(0, 10, "run"), Event(2, 9, "sing"), Event(20, 30, "sit")]
    turns = label_turns(events, [], random.Random(1), ConvertOptions(extra={"reverse": 5}))
    assert [t.answer for t in turns if t.task == "reverse_localisation"] == ["sit"]


def test_dense_captions_and_grounding() -> None:
    events = [Event(65, 70, "He bows."), Event(0, 12.5, "A man enters."), Event(70, 75, "he bows.")]
    assert dense_turn(events, random.Random(0)).answer == (
        "00:00-00:12.5 A man enters.\n01:05-01:10 He bows.\n01:10-01:15 he bows."
    )
    turns = grounding_turns(events, random.Random(0), 5)
    assert [t.answer for t in turns] == ["00:00-00:12.5"]  # the other sentence occurs twice
    assert "A man enters." in turns[0].question.text
    assert sentence("he bows") == "he bows."


# -- ActivityNet ---------------------------------------------------------------------------------


def captions(root: Path) -> Path:
    video(root / "videos" / "v_abc.mp4")
    video(root / "videos" / "v_def.mkv")
    return save(
        root / "train.json",
        {
            "v_abc": {
                "duration": 82.73,
                "timestamps": [[17.37, 60.81], [0.83, 19.86]],
                "sentences": [" A boy  bends down", "A woman sits."],
            },
            "v_def": {
                "duration": 10,
                "timestamps": [[0, 4], [9, 3], [5, "x"]],
                "sentences": ["One.", "Two.", "Three."],
            },
            "v_gone": {"duration": 5, "timestamps": [[0, 4]], "sentences": ["One."]},
            "v_none": {"duration": 0, "timestamps": [], "sentences": []},
            "v_odd": {"duration": 5, "timestamps": [[0, 4]], "sentences": []},
            "v_list": [1],
        },
    ).parent


def test_activitynet_captions_exact(tmp_path: Path) -> None:
    run = stable("activitynet-captions", captions(tmp_path))
    record = run.json("activitynet-v_abc-dense")
    template = record["metadata"]["template"]
    kind, index = template.split("/")
    assert kind == "dense_captioning"
    assert record == {
        "id": "activitynet-v_abc-dense",
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "video",
                        "video": "activitynet-v_abc.mp4",
                        "metadata": {"video_duration": 82.73},
                    },
                    {"type": "text", "text": BANKS[kind][int(index)]},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {
                        "type": "text",
                        "text": "00:00.8-00:19.9 A woman sits.\n00:17.4-01:00.8 A boy bends down",
                    }
                ],
            },
        ],
        "reasoning": "off",
        "source": "activitynet",
        "task": "dense_captioning",
        "metadata": {"template": template, "seed": 0},
    }
    assert run.answer("activitynet-v_abc-ground-0") == "00:00.8-00:19.9"
    assert run.answer("activitynet-v_abc-ground-1") == "00:17.4-01:00.8"
    # One usable segment of three: it can be found, but the list would not be dense.
    assert [k for k in run.made if "v_def" in k] == ["activitynet-v_def-ground-0"]
    assert run.drops == [
        ("bad_span", "train.json['v_def']", "timestamps[1]: 9 to 3 s, expected the start before "
         "the end"),
        ("bad_span", "train.json['v_def']", "timestamps[2]: got [5, 'x'], expected [start, end] in "
         "seconds"),
        (MISSING, "train.json['v_gone']", "id: there is no video 'v_gone' (looked in: videos, "
         "which has 2)"),
        ("bad_value", "train.json['v_none']", "duration: got 0, expected seconds > 0"),
        ("bad_value", "train.json['v_odd']", "timestamps: 1 entries, but sentences has 0"),
        ("wrong_type", "train.json['v_list']", "got list, expected an object"),
    ]  # fmt: skip


def detection(root: Path) -> Path:
    for name in ("v_one.mp4", "v_two.mp4"):
        video(root / "videos" / name)
    sports = ["Long jump", "High jump", "Pole vault", "Javelin throw", "Discus throw"]
    other = [{"nodeName": "Cooking", "parentName": "Root"}]
    return save(
        root / "activity_net.v1-3.min.json",
        {
            "taxonomy": [{"nodeName": s, "parentName": "Athletics"} for s in sports] + other,
            "database": {
                "one": {
                    "duration": 100.0,
                    "subset": "training",
                    "annotations": [
                        {"label": "Long jump", "segment": [50.0, 61.28]},
                        {"label": "Long jump", "segment": [5.0, 9.0]},
                    ],
                },
                "two": {
                    "duration": 100.0,
                    "subset": "training",
                    "annotations": [
                        {"label": "High jump", "segment": [1.0, 5.0]},
                        {"label": "High jump", "segment": [5.0, 500.0]},
                        {"label": "Cooking", "segment": [10.0, 20.0]},
                    ],
                },
                "three": {"duration": 9, "subset": "validation", "annotations": []},
                "four": {"duration": 9, "subset": "training", "annotations": [{"segment": [1, 2]}]},
            },
        },
    )


def test_activitynet_detection(tmp_path: Path) -> None:
    run = stable("activitynet-detection", detection(tmp_path), extra={"negatives": 0})
    name = "activitynet-detection-one"
    assert run.answer(f"{name}-when-0") == "00:05-00:09, 00:50-01:01.3"
    assert {run.answer(f"{name}-what-{i}") for i in (0, 1)} == {"Long jump"}
    shown = run.question(f"{name}-class")
    letter = run.answer(f"{name}-class")
    assert f"{letter}. Long jump" in shown
    assert "Cooking" not in shown  # the wrong options are siblings in the taxonomy
    # The spans of "High jump" are incomplete, so it is not asked when it happens.
    assert run.answer("activitynet-detection-two-when-0") == "00:10-00:20"
    assert "activitynet-detection-two-when-1" not in run.made
    assert run.drops == [
        (
            "bad_span",
            "activity_net.v1-3.min.json['two']",
            "annotations[1].segment: 5 to 500 s in a video of 100 s",
        ),
        (
            "missing_field",
            "activity_net.v1-3.min.json['four']",
            "annotations[0].label is missing; there are: segment",
        ),
    ]


def test_relatives_of_activitynet_share_the_reader(tmp_path: Path) -> None:
    path = detection(tmp_path)
    for name in ("hacs", "fineaction"):
        run = Run(name, path)
        assert f"{name}-one-when-0" in run.made
        assert run.made[f"{name}-one-when-0"].record.source == name
    assert not Run("hacs", path, split="val").made


def test_youcook2(tmp_path: Path) -> None:
    video(tmp_path / "videos" / "113" / "GLd3aX16zBg.webm")
    path = save(
        tmp_path / "youcookii_annotations_trainval.json",
        {
            "database": {
                "GLd3aX16zBg": {
                    "duration": 241.62,
                    "subset": "training",
                    "annotations": [
                        {"segment": [90, 102], "id": 0, "sentence": "spread margarine"},
                        {"segment": [114, 127], "id": 1, "sentence": "place cheese"},
                        {"segment": [130, 140], "id": 2, "sentence": ""},
                    ],
                }
            }
        },
    )
    run = stable("youcook2", path)
    assert sorted(run.made) == ["youcook2-GLd3aX16zBg-ground-0", "youcook2-GLd3aX16zBg-ground-1"]
    assert run.answer("youcook2-GLd3aX16zBg-ground-1") == "01:54-02:07"
    assert "place cheese." in run.question("youcook2-GLd3aX16zBg-ground-1")
    assert run.drops[0][0] == "empty"
    assert "annotations[2].sentence" in run.drops[0][2]


def test_didemo(tmp_path: Path) -> None:
    video(tmp_path / "videos" / "1@N02_2_3.mov")
    base = {"video": "1@N02_2_3.mov", "description": "a dog jumps", "num_segments": 6}
    path = save(
        tmp_path / "train_data.json",
        [
            {**base, "annotation_id": 1, "times": [[1, 1], [2, 3], [2, 3], [0, 0]]},
            {**base, "annotation_id": 2, "times": [[0, 0], [1, 1], [2, 2]]},
            {**base, "annotation_id": 3, "times": [[3, 2]]},
            {**base, "annotation_id": 4, "times": [[5, 9], [5, 9]]},
            {**base, "annotation_id": 5, "times": []},
            {**base, "annotation_id": 6, "times": [[0, 1]], "description": None},
        ],
    )
    run = stable("didemo", path)
    assert list(run.made) == ["didemo-1-ground-0"]
    assert run.answer("didemo-1-ground-0") == "00:10-00:20"
    assert set(run.made["didemo-1-ground-0"].media) == {"didemo-1_N02_2_3.mov"}
    assert run.drops == [
        ("no_agreement", "train_data.json[1]", "times: 3 different choices"),
        ("bad_span", "train_data.json[2]", "times[0]: got [3, 2]"),
        ("bad_span", "train_data.json[3]", "times: 25 to 50 s in a video of 30 s"),
        ("empty", "train_data.json[4]", "times: the list is empty"),
        (
            "missing_field",
            "train_data.json[5]",
            "description is missing; there are: video, description, num_segments, annotation_id, "
            "times",
        ),
    ]


def test_medvidqa_and_moments(tmp_path: Path) -> None:
    video(tmp_path / "clips" / "_6csIJAWj_s.mp4")
    asked = {
        "sample_id": 12,
        "question": "How to stretch a calf?",
        "video_id": "_6csIJAWj_s",
        "video_length": 226,
        "answer_start_second": 62,
        "answer_end_second": 80.25,
    }
    path = save(tmp_path / "train.json", [asked, {**asked, "answer_end_second": "soon"}])
    run = Run("medvidqa", path, images=tmp_path / "clips")
    assert run.answer("medvidqa-12-ground-0") == "01:02-01:20.3"
    assert run.drops[0][:2] == ("wrong_type", "train.json[1]")

    lines: list[Any] = [
        {"video": "_6csIJAWj_s", "query": "A man waves", "start": 3, "end": 5.5},
        {"qid": 9, "vid": "_6csIJAWj_s", "query": "q", "relevant_windows": [[70, 78]]},
        {"qid": 10, "vid": "_6csIJAWj_s", "query": "q", "relevant_windows": [[1, 2], [3, 4]]},
        {"qid": 11, "vid": "_6csIJAWj_s", "start": 1, "end": 2},
        "{broken",
    ]
    run = stable("moments", save(tmp_path / "m.jsonl", lines), images=tmp_path / "clips")
    assert run.answer("m-m-1-ground-0") == "00:03-00:05.5"
    assert run.answer("m-9-ground-0") == "01:10-01:18"
    assert [d[:2] for d in run.drops] == [
        ("several_spans", "m.jsonl:3"),
        ("missing_field", "m.jsonl:4"),
        ("bad_json", "m.jsonl:5"),
    ]


def test_breakfast(tmp_path: Path) -> None:
    video(tmp_path / "BreakfastII" / "P03" / "cam01" / "P03_cereals.avi")
    name = "P03_cam01_P03_cereals"
    video(tmp_path / "BreakfastII" / f"{name}.avi")
    text = "1-30 SIL  \n31-150 take_bowl  \n151-428 pour_cereals  \n"
    save(tmp_path / "segmentation" / "cereals" / f"{name}.txt", text)
    save(tmp_path / "segmentation" / "cereals" / "P04_x.txt", "1-30 SIL\n31- take_bowl\n")
    source = tmp_path / "segmentation"
    run = stable("breakfast", source, images=tmp_path / "BreakfastII", extra={"negatives": 0})
    dense = f"breakfast-{name}-dense"
    assert run.answer(dense) == "00:02-00:10 take bowl\n00:10-00:28.5 pour cereals"
    assert run.tasks()["temporal_localisation"] == 2
    assert [d[:2] for d in run.drops] == [("bad_span", "P04_x.txt:2"), ("empty", "P04_x.txt")]


def test_videos_in_nested_folders_are_found(tmp_path: Path) -> None:
    video(tmp_path / "v" / "P03" / "cam01" / "P03_cereals.avi")
    name = "P03_cam01_P03_cereals"
    save(tmp_path / "s" / f"{name}.txt", "1-30 SIL\n31-150 take_bowl\n")
    run = Run("breakfast", tmp_path / "s", images=tmp_path / "v")
    assert set(run.made[f"breakfast-{name}-dense"].media) == {f"breakfast-{name}.avi"}


# -- Classes and lettered questions --------------------------------------------------------------


def test_kinetics(tmp_path: Path) -> None:
    video(tmp_path / "videos" / "abseiling" / "-3B32lodo2M_000059_000069.mp4")
    video(tmp_path / "videos" / "whole.mp4")
    rows = [
        "label,youtube_id,time_start,time_end,split",
        "abseiling,-3B32lodo2M,59,69,train",
        "air drumming,whole,12,22,train",
        "bowling,gone,0,10,train",
        "yoga,other,0,10,validate",
        "zumba,whole,22,12,train",
        ",whole,0,10,train",
    ]
    path = save(tmp_path / "train.csv", "\n".join(rows) + "\n")
    run = stable("kinetics", path)
    key = "kinetics--3B32lodo2M_000059_000069"
    assert run.answer(f"{key}-open") == "abseiling"
    letter, shown = run.answer(f"{key}-closed"), run.question(f"{key}-closed")
    assert f"{letter}. abseiling" in shown
    assert 4 <= sum(line[1:3] == ". " for line in shown.splitlines()) <= 8
    whole = run["kinetics-whole_000012_000022-open"].media[0]
    assert whole.metadata == {"start_s": 12.0, "end_s": 22.0}
    assert [d[:2] for d in run.drops] == [
        (MISSING, "train.csv:4"),
        ("bad_span", "train.csv:6"),
        ("missing_field", "train.csv:7"),
    ]
    assert "label is missing" in run.drops[2][2]


def test_nextqa(tmp_path: Path) -> None:
    video(tmp_path / "videos" / "1164" / "3238737531.mp4")
    save(tmp_path / "map_vid_vidorID.json", {"3238737531": "1164/3238737531"})
    head = "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
    row = "3238737531,369,640,480,why is the boy smiling,{},6,CW,sad,happy,angry,tired,{}\n"
    path = save(tmp_path / "train.csv", head + row.format(1, "lost") + row.format(5, "lost"))
    run = stable("nextqa", path, extra={"open": True})
    assert run.answer("nextqa-3238737531-6-choice") == "B"
    assert "Why is the boy smiling?" in run.question("nextqa-3238737531-6-choice")
    assert "A. sad\nB. happy\nC. angry\nD. tired\nE. lost" in run.question(
        "nextqa-3238737531-6-choice"
    )
    assert run.answer("nextqa-3238737531-6-open") == "happy"
    assert run["nextqa-3238737531-6-open"].metadata["type"] == "CW"
    assert run.drops == [("no_answer", "train.csv:3", "answer: got 5, expected 0..4")]


def test_clevrer(tmp_path: Path) -> None:
    video(tmp_path / "videos" / "video_00000.mp4")
    why = {"question_id": 2, "question": "Why?", "question_type": "explanatory"}
    choices = [("the cube", "correct"), ("the ball", "wrong"), ("the cone", "correct")]
    marked = [{"choice_id": i, "choice": c, "answer": a} for i, (c, a) in enumerate(choices)]
    none = [{**c, "answer": "wrong"} for c in marked]
    questions = [
        {
            "question_id": 0,
            "question": "How many cubes are moving?",
            "question_type": "descriptive",
            "answer": "3",
        },
        {**why, "choices": marked},
        {**why, "question_id": 3, "choices": none},
        {**why, "question_id": 4, "choices": [{**marked[0], "answer": "maybe"}]},
    ]
    scene = {"scene_index": 0, "video_filename": "video_00000.mp4", "questions": questions}
    path = save(tmp_path / "train.json", [scene, {**scene, "scene_index": 1, "questions": []}])
    run = stable("clevrer", path)
    assert run.answer("clevrer-0-q0") == "3"
    assert run.answer("clevrer-0-q2") == "A, C"
    assert run.answer("clevrer-0-q3") == "none"
    assert '"none"' in run.question("clevrer-0-q3")
    assert run.drops == [
        (
            "no_answer",
            "train.json[0]",
            "questions[3].choices: expected answers correct or wrong",
        ),
        ("empty", "train.json[1]", "questions: none can be used"),
    ]


def test_perception_test(tmp_path: Path) -> None:
    video(tmp_path / "videos" / "video_7.mp4")
    question = {"id": 4, "question": "Where is it?", "options": ["left", "right", "gone"]}
    entry = {
        "metadata": {"num_frames": 900, "frame_rate": 30.0},
        "mc_question": [{**question, "answer_id": 2}, {**question, "id": 5, "answer_id": 3}],
        "action_localisation": [
            {"id": 0, "label": "Putting down", "timestamps": [1_500_000, 3_000_000]},
            {"id": 1, "label": "Putting down", "timestamps": [20_000_000, 21_000_000]},
        ],
    }
    save(tmp_path / "all_train.json", {"video_7": entry, "video_8": {**entry, "metadata": {}}})
    run = stable("perception-test", tmp_path, extra={"negatives": 0})
    assert run.answer("perception-video_7-q4") == "C"
    assert run.answer("perception-video_7-when-0") == "00:01.5-00:03, 00:20-00:21"
    assert run["perception-video_7-q4"].media[0].metadata == {"video_duration": 30.0}
    assert [d[0] for d in run.drops] == ["no_answer", "missing_field"]
    assert run.drops[1][2] == "metadata.frame_rate is missing; there are: "


def test_a_missing_folder_of_videos_is_an_error_not_a_drop(tmp_path: Path) -> None:
    path = captions(tmp_path) / "train.json"
    with pytest.raises(InputError, match="folder of videos does not exist"):
        Run("activitynet-captions", path, images=tmp_path / "nowhere")
