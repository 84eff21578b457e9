"""Page generators as the runner uses them: repeatable, inside the page, true to the source."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import PIL
import pytest
from PIL import Image, features

from nanovl.core.errors import ConfigError, InputError
from nanovl.synth.base import Sample
from nanovl.synth.documents.fonts import BUILTIN
from nanovl.synth.documents.ocrpage import ocr_line, ocr_page, ocr_word
from nanovl.synth.documents.rendered import render_passages, render_text
from nanovl.synth.documents.rendertables import render_tables
from nanovl.synth.documents.scenepage import ocr_scene
from nanovl.synth.records import sample_records
from nanovl.synth.verify import score
from tests.unit.synth.checks import make, print_of

PLAIN: dict[str, Any] = {"fonts": [BUILTIN]}
RANDOM = {"ocr-word": ocr_word, "ocr-line": ocr_line, "ocr-page": ocr_page, "ocr-scene": ocr_scene}


def samples(generator: Any, count: int) -> list[Sample]:
    """Samples of the first indices; nine of ten at least."""
    found = [s for s in (make(generator, n) for n in range(count)) if s is not None]
    assert len(found) >= 0.9 * count
    return found


def places(value: Any) -> Iterator[list[float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in ("bbox", "ink") and inner is not None:
                yield inner
            elif key == "chars":
                yield from inner
            else:
                yield from places(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from places(inner)


def check(sample: Sample) -> None:
    """Boxes are inside their page, answers pass their check, records can be made."""
    assert len(sample.gt["pages"]) == len(sample.media)
    for page, media in zip(sample.gt["pages"], sample.media, strict=True):
        width, height = Image.open(io.BytesIO(media.data)).size
        assert (width, height) == (page["width"], page["height"]) == (media.width, media.height)
        count = 0
        for x0, y0, x1, y1 in places(page):
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
            count += 1
        assert count
    for task in sample.tasks:
        assert score(task.verifier, task.answer, task.answer_text) == 1.0, task
    assert len(sample_records(sample)) == len(sample.tasks)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RANDOM))
def test_random_text_samples_hold_together(name: str) -> None:
    generator = RANDOM[name]({})
    assert generator.name == name
    for sample in samples(generator, 24):
        check(sample)


def test_strips_are_multiples_of_32_and_say_their_text() -> None:
    for make_generator in (ocr_word, ocr_line):
        for sample in samples(make_generator({**PLAIN, "heights": [32, 96]}), 30):
            (media,) = sample.media
            assert media.height in (32, 96)
            assert media.width % 32 == 0
            (task,) = sample.tasks
            line = sample.gt["pages"][0]["blocks"][0]["lines"][0]
            assert task.answer_text == line["text"]
            words = line["words"]
            assert [len(w["chars"]) for w in words] == [len(w["text"]) for w in words]


def test_difficulty_goes_from_a_word_to_a_page() -> None:
    counts, heights = [], []
    for level in range(5):
        found = samples(ocr_page({**PLAIN, "difficulty": level, "augment": "none"}), 8)
        lines = [
            line for s in found for block in s.gt["pages"][0]["blocks"] for line in block["lines"]
        ]
        counts.append(len(lines) / len(found))
        tall = sorted(line["bbox"][3] - line["bbox"][1] for line in lines)
        heights.append(tall[len(tall) // 2])
        assert all(f"difficulty:{level}" in s.tags for s in found)
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert counts[4] > 15
    assert heights[0] > heights[4]


@pytest.mark.slow
def test_scenes_come_in_all_layouts() -> None:
    tags = {t for s in samples(ocr_scene(PLAIN), 30) for t in s.tags}
    assert {"layout:sheet", "layout:receipt", "layout:sign"} <= tags


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heights": [40]}, "multiples of 32"),
        ({"scripts": ["klingon"]}, "klingon"),
        ({"difficulty": 7}, "0 to 4"),
        ({"augment": "fax"}, "expected one of"),
        ({"font_split": "test"}, "heldout"),
        ({"unanswerable": 0.9}, "0 to 0.5"),
        ({"height": [32]}, "did you mean 'heights'"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ocr_page(settings)


def test_scripts_without_fonts_are_rejected_by_name() -> None:
    from nanovl.synth.base import Reject, Streams

    with pytest.raises(Reject, match="no_font"):
        ocr_word({**PLAIN, "scripts": ["thai"]}).generate(0, Streams(1))


# -- Real questions ------------------------------------------------------------------------------


def test_passages_keep_their_questions_and_answers(reading: Path) -> None:
    generator = render_passages({**PLAIN, "source": str(reading), "whole": 0.5})
    seen = set()
    for sample in samples(generator, 16):
        check(sample)
        text = " ".join(
            line["text"]
            for page in sample.gt["pages"]
            for block in page["blocks"]
            if not block["class"].startswith("page_")
            for line in block["lines"]
        )
        for passage in sample.gt["passages"]:
            assert " ".join(passage.split()) in text
        asked = [t for t in sample.tasks if t.task in ("document_qa", "multi_page_qa")]
        assert asked
        for task in asked:
            assert "How many sons had the miller of part" in task.question
            assert task.answer_text == "three sons"
        seen.add(len(sample.gt["passages"]))
        assert sample.group == "fairytaleqa:The mill"
        assert sample.license == "Apache-2.0"
    assert seen == {1, 3}  # single sections and the whole story


def test_whole_stories_are_in_the_order_of_the_book(reading: Path) -> None:
    generator = render_passages({**PLAIN, "source": str(reading), "whole": 1.0})
    sample = samples(generator, 1)[0]
    assert [p[0] for p in sample.gt["passages"]] == ["1", "2", "3"]


def test_languages_without_a_font_are_counted(
    reading: Path, caplog: pytest.LogCaptureFixture
) -> None:
    generator = render_passages({**PLAIN, "source": str(reading), "dataset": "xquad"})
    assert generator.skipped == {"no_font:zh": 1}
    assert "zh" in caplog.text
    assert {s.lang for s in samples(generator, 6)} == {"de", "en"}
    with pytest.raises(InputError, match="no_font:zh"):
        render_passages({**PLAIN, "source": str(reading), "dataset": "xquad", "languages": ["zh"]})


def test_questions_cross_languages(reading: Path) -> None:
    generator = render_passages(
        {**PLAIN, "source": str(reading), "dataset": "xquad", "cross_lingual": 1.0}
    )
    for sample in samples(generator, 4):
        task = sample.tasks[0]
        own = {"en": "Where does the cat", "de": "Wo liegt die Katze"}[sample.lang]
        assert own not in task.question
        assert task.answer_text == {"en": "the old barn", "de": "alten Scheune"}[sample.lang]


def test_tables_keep_their_questions_and_cells(tables: Path) -> None:
    generator = render_tables({**PLAIN, "source": str(tables), "max_rows": 50})
    assert generator.skipped == {"bad_value": 1, "too_large": 1}
    answers = set()
    for sample in samples(generator, 12):
        check(sample)
        (block,) = [b for b in sample.gt["pages"][0]["blocks"] if b["class"] == "table"]
        cells = {(c["row"], c["column"]): c["text"] for c in block["cells"]}
        truth = sample.gt["table"]
        for column, text in enumerate(truth["header"]):
            assert cells[-1, column] == text
        for row, texts in enumerate(truth["rows"]):
            assert [cells[row, c] for c in range(len(texts))] == texts
        answers |= {t.answer_text for t in sample.tasks if t.task == "table_qa"}
    assert answers == {"Team C", "Team H, Team G"}


def test_statements_are_true_or_false(tables: Path) -> None:
    generator = render_tables({**PLAIN, "source": str(tables), "dataset": "tabfact"})
    for sample in samples(generator, 4):
        (task,) = [t for t in sample.tasks if t.task == "fact_check"]
        assert task.answer_text == "true"
        assert "Team A won once." in task.question


def test_tables_too_wide_for_any_page_are_rejected(tables: Path) -> None:
    generator = render_tables({**PLAIN, "source": str(tables), "split": "val"})
    assert make(generator, 0) is None


def test_texts_are_rendered_with_their_structure(texts: Path) -> None:
    generator = render_text({**PLAIN, "paths": [str(texts)], "characters": [200, 700]})
    assert generator.skipped == {"missing_field": 1, "no_font:zh": 1}
    classes = set()
    for sample in samples(generator, 12):
        check(sample)
        classes |= {b["class"] for p in sample.gt["pages"] for b in p["blocks"]}
        assert sample.group == "text:a"
    assert {"text", "section_header", "list_item"} <= classes


def test_the_configuration_holds_content_not_places(
    reading: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    for path in reading.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    one, two = (render_passages({**PLAIN, "source": str(p)}) for p in (reading, other))
    assert one.config == two.config
    assert str(reading) not in repr(one.config)
    assert print_of(samples(one, 1)[0]) == print_of(samples(two, 1)[0])


def test_a_source_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fairytaleqa_train"):
        render_passages({**PLAIN, "source": str(tmp_path)})
    with pytest.raises(ConfigError, match="source"):
        render_passages(PLAIN)


# -- The same again ------------------------------------------------------------------------------

_PROGRAM = """
import hashlib, sys
from nanovl.synth.base import Streams, Reject
from nanovl.synth.documents.ocrpage import ocr_line, ocr_page, ocr_word
from nanovl.synth.documents.scenepage import ocr_scene
state = hashlib.sha256()
for factory in (ocr_word, ocr_line, ocr_page, ocr_scene):
    generator = factory({})
    for index in [int(a) for a in sys.argv[1:]]:
        try:
            s = generator.generate(index, Streams(1000 + index))
        except Reject as error:
            state.update(str(error).encode())
            continue
        for m in s.media:
            state.update(m.data)
        state.update(repr((index, s.gt, s.tasks, s.tags, s.quality)).encode())
        state.update(b"|")
print(state.hexdigest())
"""


@pytest.mark.slow
def test_processes_with_other_hash_seeds_make_the_same_bytes() -> None:
    def run(seed: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, "0", "1", "2"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert run("1") == run("2") != ""


def test_a_sample_does_not_depend_on_those_before_it() -> None:
    for factory in RANDOM.values():
        fresh = print_of(samples(factory({}), 4)[-1])
        generator = factory({})
        for index in (9, 5, 7):
            make(generator, index)
        again = make(generator, 3)
        assert again is not None
        assert print_of(again) == fresh


def test_golden_samples(
    golden: Callable[[str, Any], None],
    reading: Path,
    tables: Path,
    texts: Path,
    request: pytest.FixtureRequest,
) -> None:
    made = {name: factory(PLAIN) for name, factory in RANDOM.items()}
    made["render-passages"] = render_passages({**PLAIN, "source": str(reading)})
    made["render-tables"] = render_tables({**PLAIN, "source": str(tables)})
    made["render-text"] = render_text({**PLAIN, "paths": [str(texts)], "characters": [200, 700]})
    versions = {"pillow": PIL.__version__, "freetype": features.version("freetype2")}
    if not request.config.getoption("--update-golden"):
        import json

        from tests.unit.synth.checks import GOLDEN

        written = json.loads((GOLDEN / "documents.json").read_text())["versions"]
        if written != versions:
            pytest.skip(f"golden pixels were made with {written}, this is {versions}")
    found = {name: print_of(samples(g, 1)[0]) for name, g in sorted(made.items())}
    golden("synth/documents.json", {"versions": versions, "samples": found})


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("ocr-word", 50), ("ocr-line", 50), ("ocr-page", 3)])
def test_generators_are_fast(name: str, least: int) -> None:
    generator = RANDOM[name]({})
    for index in range(8):
        make(generator, 1000 + index)
    begun = time.process_time()
    count = 100 if "page" not in name else 20
    for index in range(count):
        make(generator, index)
    rate = count / (time.process_time() - begun)
    assert rate > least  # a quarter of the target, for busy machines
