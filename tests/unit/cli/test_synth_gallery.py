"""`nanovl synth gallery`, `card` and `reject` as a person types them."""

from __future__ import annotations

import json

import pytest

from tests.unit.synth.gallery.data_sets import page_set


@pytest.mark.parametrize("verb", ["gallery", "card", "reject"])
def test_help_opens_with_a_sentence_and_two_examples(cli, verb):
    result = cli("synth", verb, "--help")
    assert result.code == 0
    lines = [line.strip() for line in result.out.splitlines()]
    start = lines.index("Examples:")
    assert all(line.startswith(f"nanovl synth {verb}") for line in lines[start + 1 : start + 3])


@pytest.mark.slow
def test_from_gallery_to_a_reviewed_set(cli, tmp_path):
    page_set(tmp_path / "pages", 3)
    result = cli("synth", "gallery", str(tmp_path / "pages"), "--out", str(tmp_path / "site"))
    assert (result.code, result.out.strip()) == (0, str(tmp_path / "site" / "index.html"))
    assert "3 of 3 samples" in result.err
    flag = {"data_set": "pages", "id": "ocr-page-train-000000001", "note": ""}
    exported = {"format": "nanovl-flags", "version": 1, "flags": [flag]}
    (tmp_path / "flags.json").write_text(json.dumps(exported))
    words = ["synth", "reject", "--flags", str(tmp_path / "flags.json"), str(tmp_path / "pages")]
    result = cli(*words, "--out", str(tmp_path / "new"), "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["removed"] == ["ocr-page-train-000000001"]
    result = cli("synth", "card", str(tmp_path / "new"), "--model", "tiny")
    assert result.code == 0, result.err
    assert result.out.splitlines()[0] == str(tmp_path / "new" / "DATASET.md")
    facts = json.loads((tmp_path / "new" / "dataset.json").read_text())
    assert facts["data_sets"][0]["rejects"] == {"flagged": 1}
    assert facts["data_sets"][0]["flagged"] == 1


def test_mistakes_are_named(cli, tmp_path):
    result = cli("synth", "gallery", str(tmp_path / "none"), "--out", str(tmp_path / "site"))
    assert result.code == 2
    assert "does not exist" in result.err
    result = cli("synth", "gallery", str(tmp_path / "none"))
    assert result.code == 2
    assert "--out" in result.err
