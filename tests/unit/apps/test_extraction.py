"""Documents as data: page by page, put together by rules, always in the form of the schema."""

from __future__ import annotations

import json

import jsonschema
import pytest

from nanovl.apps import extraction
from nanovl.apps.evidence import Evidence, find_evidence
from nanovl.apps.extraction import extract
from nanovl.apps.merging import merge, without_nulls
from nanovl.apps.pages import PageRef, open_pages
from nanovl.core.conversation import ImagePart, MediaRef
from nanovl.core.errors import InputError
from nanovl.testing import pdf, picture, tiny_nanovl, video
from tests.unit.apps.fakes import FakeNanoVL

SCHEMA = {
    "type": "object",
    "properties": {
        "number": {"type": "string"},
        "rows": {"type": "array", "items": {"type": "object", "properties": {
            "what": {"type": "string"}, "amount": {"type": "number"}}}},
        "total": {"type": "number"},
    },
    "required": ["number", "total"],
}  # fmt: skip


def test_gaps_are_filled_lists_appended_and_conflicts_told():
    pages = [
        {"number": "A1", "rows": [{"what": "x"}], "total": None, "to": {"name": None}},
        None,
        {"number": "A2", "rows": [{"what": "x"}, {"what": "y"}], "total": 7, "to": {"name": "n"}},
    ]
    merged = merge(pages, [4, 5, 6])
    assert merged.value == {
        "number": "A1",
        "rows": [{"what": "x"}, {"what": "y"}],
        "total": 7,
        "to": {"name": "n"},
    }
    assert merged.places[0] == {"/number": "/number", "/rows/0/what": "/rows/0/what"}
    assert merged.places[1] == {}
    assert merged.places[2]["/rows/1/what"] == "/rows/1/what"
    assert "/number" not in merged.places[2]
    assert merged.conflicts == ["/number: page 6 says 'A2', page 4 says 'A1', which is kept"]


def test_an_item_of_a_later_page_moves_to_its_place_in_the_whole():
    merged = merge([{"l": ["a", "b"]}, {"l": ["c"]}], [1, 2])
    assert merged.places[1] == {"/l/0": "/l/2"}
    assert without_nulls({"a": None, "b": [{"c": None}]}) == {"b": [{}]}


def test_pages_of_another_form_do_not_break_the_rest():
    merged = merge([{"a": {"b": 1}}, {"a": "text"}, {"a": [1]}], [1, 2, 3])
    assert merged.value == {"a": {"b": 1}}
    assert len(merged.conflicts) == 2


def by_page(prompt, files, schema):
    if prompt.startswith("These values"):
        spot = {"box": [900, 10, 100, 20]}
        return {key: spot if key == "v1" else None for key in schema["properties"]}
    number = int(files[0].pages)
    return {
        1: {"number": "A1", "rows": [{"what": "x", "amount": 1}], "total": None},
        2: {"number": None, "rows": [{"what": "y", "amount": 2}], "total": None},
        3: {"number": None, "rows": [], "total": 3},
    }[number]


def test_a_document_beyond_the_context_is_read_page_by_page(tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "matches", lambda model, schema, value: True)
    model = FakeNanoVL(by_page, context=2000, part_tokens=500)
    found = extract(model, str(pdf(tmp_path / "d.pdf", 3)), SCHEMA, max_tokens=600)
    assert found.by_page
    assert not found.rewritten
    assert found.pages == 3
    assert list(found.data) == ["number", "rows", "total"]
    assert found.data["total"] == 3
    assert [r["what"] for r in found.data["rows"]] == ["x", "y"]
    assert found.evidence["/number"] == Evidence(page=1, box=(100, 10, 900, 20))
    assert found.evidence["/rows/1/what"] == Evidence(page=2, box=(100, 10, 900, 20))
    assert found.evidence["/rows/1/amount"] == Evidence(page=2), "no box, but the page is known"
    assert found.evidence["/total"] == Evidence(page=3, box=(100, 10, 900, 20))


def test_what_does_not_keep_to_the_schema_is_written_again(tmp_path, monkeypatch):
    seen = []

    def judge(model, schema, value):
        seen.append(value)
        return False

    monkeypatch.setattr(extraction, "matches", judge)

    def reply(prompt, files, schema):
        if prompt.startswith("These are the data"):
            return {"number": "A1", "rows": [], "total": 3}
        return by_page(prompt, files, schema)

    model = FakeNanoVL(reply, context=2000, part_tokens=500)
    found = extract(model, str(pdf(tmp_path / "d.pdf", 3)), SCHEMA, max_tokens=600)
    assert found.rewritten
    assert len(seen) == 2
    assert found.data == {"number": "A1", "rows": [], "total": 3}
    assert set(found.evidence) == {"/number", "/total"}


def test_a_random_model_gives_valid_data_in_one_go_and_by_page(tmp_path):
    path = str(pdf(tmp_path / "d.pdf", 2))
    model = tiny_nanovl()
    small = {
        "type": "object",
        "properties": {"n": {"type": "string", "maxLength": 5}, "k": {"type": "integer"}},
        "required": ["n", "k"],
    }
    found = extract(model, path, small, max_tokens=200)
    jsonschema.validate(found.data, small)
    assert not found.by_page
    assert set(found.evidence) <= {"/n", "/k"}
    for spot in found.evidence.values():
        assert spot is None or (spot.page in (1, 2) and (spot.box is None or max(spot.box) <= 1000))
    pages = [page.part for page in open_pages(model, path)]
    model.engine.context_length = model.count_tokens("", files=pages).total + 1000
    paged = extract(model, path, small, max_tokens=800, evidence=False)
    assert paged.by_page
    assert paged.pages == 2
    jsonschema.validate(paged.data, small)


def test_many_values_are_asked_for_in_groups():
    def reply(prompt, files, schema):
        return {key: {"page": 2, "box": [1, 2, 1, 4]} for key in schema["properties"]}

    model = FakeNanoVL(reply)
    part = ImagePart(source=MediaRef(array=picture()))
    pages = [PageRef(number=7, part=part), PageRef(number=9, part=part)]
    values = {f"/{i}": f"say {i}" for i in range(30)}
    found = find_evidence(model, pages, values)
    assert len(model.asked) == 2
    assert list(found) == list(values)
    assert found["/29"] == Evidence(page=9, box=None), "a box without an area is none"
    assert json.dumps("say 24") in model.asked[1].prompt
    assert find_evidence(model, pages, {}) == {}


def test_pages_that_can_be_used(tmp_path):
    model = FakeNanoVL(lambda *a: {})
    path = str(pdf(tmp_path / "d.pdf", 4))
    assert [p.number for p in open_pages(model, path, pages="2,4")] == [2, 4]
    assert open_pages(model, path, pages="2,4")[1].part.pages == "4"
    assert [p.number for p in open_pages(model, picture())] == [1]
    with pytest.raises(InputError, match="is a picture; pages 2 belong to PDFs"):
        open_pages(model, picture(), pages="2")
    with pytest.raises(InputError, match=r"v.mp4: expected a picture or a PDF, got video"):
        open_pages(model, str(video(tmp_path / "v.mp4")))
    (tmp_path / "t.txt").write_text("words")
    with pytest.raises(InputError, match="expected a picture or a PDF, got text"):
        open_pages(model, str(tmp_path / "t.txt"))
