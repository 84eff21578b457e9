"""Synonyms from the files of WordNet: a made-up copy, and the real one where it is installed."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

import pytest

from nanovl.core.errors import InputError
from nanovl.evals.scoring import wordnet
from nanovl.evals.scoring.wordnet import WordNet

pytest.importorskip("nltk", reason="needs the extra 'evals'")

NOUNS = [["car", "auto", "motor_car"], ["goose"], ["bus"], ["Paris"]]
VERBS = [["run", "go"], ["bus"]]
ADJECTIVES = [["big", "large(a)"]]
IRREGULAR = {"noun": "geese goose\n", "verb": "ran run\n", "adj": "", "adv": ""}


def write_copy(folder: Path) -> Path:
    """Files in the formats of WordNet 3.0."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, sets in (("noun", NOUNS), ("verb", VERBS), ("adj", ADJECTIVES), ("adv", [])):
        data, index = "  1 licence\n", {}
        for words in sets:
            for word in words:
                index.setdefault(word.lower().partition("(")[0], []).append(len(data))
            listed = " ".join(f"{word} 0" for word in words)
            data += f"{len(data):08d} 05 {part[0]} {len(words):02x} {listed} 000 | gloss\n"
        lines = [
            f"{word} {part[0]} {len(places)} 1 @ {len(places)} 0 "
            + " ".join(f"{place:08d}" for place in places)
            for word, places in sorted(index.items())
        ]
        (folder / f"data.{part}").write_text(data)
        (folder / f"index.{part}").write_text("\n".join(["  1 licence", *lines, ""]))
        (folder / f"{part}.exc").write_text(IRREGULAR[part])
    return folder


def names(found: WordNet, word: str) -> set[str]:
    """All synonyms of a word."""
    return {name.name() for one in found.synsets(word) for name in one.lemmas()}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("car", {"car", "auto", "motor_car"}),
        ("Cars", {"car", "auto", "motor_car"}),
        ("geese", {"goose"}),
        ("ran", {"run", "go"}),
        ("going", {"run", "go"}),
        ("buses", {"bus"}),
        ("paris", {"Paris"}),
        ("biggest", set()),
        ("larger", {"big", "large"}),
        ("unknown", set()),
        ("", set()),
    ],
)
def test_synonyms(tmp_path: Path, word: str, expected: set[str]) -> None:
    assert names(WordNet(write_copy(tmp_path)), word) == expected


def test_zip_file(tmp_path: Path) -> None:
    folder = write_copy(tmp_path / "wordnet")
    with zipfile.ZipFile(tmp_path / "wordnet.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"wordnet/{file.name}")
    assert names(WordNet(tmp_path / "wordnet.zip"), "autos") == {"car", "auto", "motor_car"}


def test_missing_files_are_named(tmp_path: Path) -> None:
    folder = write_copy(tmp_path)
    (folder / "verb.exc").unlink()
    with pytest.raises(InputError, match=r"files are missing: verb\.exc; expected"):
        WordNet(folder)
    (tmp_path / "broken.zip").write_text("no archive")
    with pytest.raises(InputError, match="cannot be read as a folder or ZIP file"):
        WordNet(tmp_path / "broken.zip")


def test_first_complete_copy_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk.data

    monkeypatch.setattr(wordnet, "_SYSTEM", tmp_path / "system")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "data")])
    assert WordNet.find() is None
    write_copy(tmp_path / "data" / "corpora" / "wordnet")
    (tmp_path / "data" / "corpora" / "wordnet" / "noun.exc").unlink()
    assert WordNet.find() is None
    write_copy(tmp_path / "system")
    found = WordNet.find()
    assert found is not None
    assert found.source == tmp_path / "system"


def test_agrees_with_nltk() -> None:
    real = WordNet.find()
    if real is None:
        pytest.skip("compares with the real WordNet 3.0, which is not installed")
    if not real.source.is_dir() or not (real.source / "lexnames").exists():
        pytest.skip("NLTK needs WordNet with its file 'lexnames', which is not installed")
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    with pytest.warns(UserWarning, match="multilingual"):
        theirs = WordNetCorpusReader(str(real.source), None)
    source = random.Random(0)
    words = []
    for part in ("noun", "verb", "adj", "adv"):
        lines = (real.source / f"index.{part}").read_text().splitlines()[29:]
        words += [line.split()[0] for line in source.sample(lines, 200)]
    words += [word + ending for word in words for ending in ("s", "es", "ed", "ing", "er")]
    for word in words:
        expected = {name.name() for one in theirs.synsets(word) for name in one.lemmas()}
        assert names(real, word) == expected, word
