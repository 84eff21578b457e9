"""Samples of the picture generators become training records with their media and answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nanovl.synth.charts import generator as charts
from nanovl.synth.records import sample_records
from nanovl.synth.scenes import generator as scenes, geometry_tasks
from nanovl.synth.tables import generator as tables
from tests.unit.synth.checks import made

CASES = {
    "scenes-2d": scenes.create({}),
    "scenes-geometry": geometry_tasks.create({}),
    "tables": tables.create({"fonts": ["builtin"], "multipage": 0.5}),
    "charts-drawn": charts.create_drawn({}),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_records_have_the_pictures_and_the_answer(name: str) -> None:
    for index, sample in enumerate(made(CASES[name], 12)):
        named = replace(sample, id=f"{name}-train-{index:09d}")
        found = sample_records(named)
        assert len(found) == len(sample.tasks)
        for record, task in zip(found, sample.tasks, strict=True):
            text = str(record)
            for media in task.media:
                assert f"{named.id}-{media}" in text
            assert task.template
            assert task.media
