"""What every video generator must hold: shared by the tests beside this file."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import replace
from typing import Any

import av
import numpy as np

from nanovl.synth.base import Sample
from nanovl.synth.records import sample_records
from nanovl.synth.verify import is_right
from nanovl.synth.video.encode import decode_frames

STEP_S = 0.5  # frames are sampled at two per second


def check_video(sample: Sample) -> list[np.ndarray]:
    """The file decodes as described, answers pass, times lie on the grid; gives the frames."""
    json.dumps(sample.gt)
    media = sample.media[0]
    frames = decode_frames(media.data)
    assert len(frames) == media.extra["video_num_frames"]
    assert len(frames) / sample.gt["fps"] == sample.gt["duration"]
    assert frames[0].shape == (media.height, media.width, 3)
    for caption in sample.gt["captions"]:
        assert 0 <= caption["t0"] < caption["t1"] <= sample.gt["duration"]
        assert caption["t1"] - caption["t0"] >= STEP_S
        assert (caption["t0"] / STEP_S).is_integer()
        assert (caption["t1"] / STEP_S).is_integer()
    assert sample.tasks
    for task in sample.tasks:
        assert is_right(task.verifier, task.answer, task.answer_text), task
        assert task.media == (media.name,)
        assert "{" not in task.question
        assert task.question[0].upper() == task.question[0]
    sample_records(replace(sample, id="s"))
    return frames


def check_others_fail(samples: list[Sample]) -> None:
    """Another clip's answer to the same kind of question is not accepted."""
    by_kind: dict[str, list[Any]] = {}
    for sample in samples:
        for task in sample.tasks:
            by_kind.setdefault(f"{task.task}/{task.verifier}", []).append(task)
    tried = 0
    for tasks in by_kind.values():
        for one, other in itertools.pairwise(tasks):
            loose = one.verifier in ("edit_distance", "iou", "interval_iou")
            if one.answer_text.casefold() != other.answer_text.casefold() and not loose:
                tried += 1
                assert not is_right(one.verifier, one.answer, other.answer_text), (one, other)
    assert tried > 5


def shown(sample: Sample) -> dict[str, Any]:
    """A sample for a golden file: no pixels, the digest of the decoded ones apart."""
    gt = {k: v for k, v in sample.gt.items() if k != "objects"}
    gt["objects"] = [
        {**o, "track": o["track"][:: len(o["track"]) // 4]} for o in sample.gt.get("objects", ())
    ]
    tasks = [[t.task, t.question, t.answer_text, t.trace] for t in sample.tasks]
    made: dict[str, Any] = json.loads(json.dumps({"gt": gt, "tasks": tasks}))
    return made


def pixels_of(frames: list[np.ndarray]) -> dict[str, str]:
    """Digest of frames with the version of the library that decoded them."""
    digest = hashlib.sha256(b"".join(f.tobytes() for f in frames)).hexdigest()[:16]
    return {"av": av.__version__, "pixels": digest}
