"""Items, drops, records and the generator of a record."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.convert import base, sources
from nanovl.data.convert.base import ConvertOptions, Item, Malformed, Media, Turn
from nanovl.data.convert.templates import Question, literal
from nanovl.data.records import Record


def test_the_generator_depends_on_id_and_seed_only() -> None:
    assert base.rng("a", 1).random() == base.rng("a", 1).random()
    values = {base.rng(i, s).random() for i in ("a", "b", "ab") for s in (0, 1, 10)}
    assert len(values) == 9


def test_the_generator_is_the_same_everywhere() -> None:
    # Other numbers here mean that every converted data set changes.
    draw = base.rng("receipts-1", 0)
    assert [draw.randrange(1000) for _ in range(3)] == [92, 179, 616]


@pytest.mark.parametrize(
    ("read", "reason", "message"),
    [
        (lambda i: i.text("nope"), "missing_field", "qa[2].nope is missing; there are: id"),
        (lambda i: i.text("null"), "missing_field", "qa[2].null is missing"),
        (lambda i: i.text("list"), "wrong_type", "qa[2].list: got a list, expected text"),
        (lambda i: i.text("blank"), "empty", "qa[2].blank is blank"),
        (lambda i: i.items("id"), "wrong_type", "qa[2].id: got text, expected a list"),
        (lambda i: i.child("list"), "wrong_type", "qa[2].list: got a list, expected an object"),
        (lambda i: i.children("list"), "wrong_type", "qa[2].list[0]: got text, expected an object"),
        (lambda i: i.number("id"), "wrong_type", "qa[2].id: got 'x', expected a number"),
        (lambda i: i.number("true"), "wrong_type", "qa[2].true: got True, expected a number"),
        (lambda i: i.texts("gaps", aligned=True), "empty", "qa[2].gaps: 1 blank texts"),
        (lambda i: i.child("deep").text("x"), "missing_field", "qa[2].deep.x is missing"),
    ],
)
def test_a_field_that_does_not_fit_is_named(read: object, reason: str, message: str) -> None:
    data = {
        "id": "x",
        "null": None,
        "list": ["a"],
        "blank": "  ",
        "true": True,
        "gaps": ["a", " "],
        "deep": {"y": 1},
    }
    item = Item("f.json", data, path="qa[2]")
    with pytest.raises(Malformed) as caught:
        read(item)  # type: ignore[operator]
    assert caught.value.reason == reason
    assert message in caught.value.message


def test_fields_are_read_leniently_where_that_changes_nothing() -> None:
    item = Item("f.json", {"a": " x ", "n": 3, "f": "2.5", "t": ["a", "", 4]})
    assert (item.text("a"), item.text("n"), item.number("f")) == ("x", "3", 2.5)
    assert item.texts("t") == ("a", "4")
    assert item.maybe("zzz") == ""


def test_each_reports_and_goes_on() -> None:
    heard = []
    options = ConvertOptions(on_drop=lambda *what: heard.append(what))
    items = [Item(f"f.jsonl:{n}", {"q": "x"} if n != 2 else {}) for n in (1, 2, 3)]

    def make(item: Item) -> list[base.Converted]:
        turn = Turn(question=literal(item.text("q")), answer="y", task="t")
        return [base.conversation(options, id=item.where, turns=[turn], source="s")]

    made = list(base.each(items, make, options))
    assert [m.record.id for m in made] == ["f.jsonl:1", "f.jsonl:3"]
    assert heard == [("missing_field", "f.jsonl:2", "q is missing; there are: ")]


def test_a_record_holds_media_first_trace_mode_and_template() -> None:
    media = Media(name="p.png", payload=b"1", metadata={"width": 2, "height": 3})
    turn = Turn(
        question=Question("How many?", "count/3"),
        answer="4",
        trace=" 2 and 2 \n",
        task="count",
        metadata={"page": 1},
    )
    made = base.conversation(
        ConvertOptions(seed=9), id="r1", turns=[turn], source="src", media=[media]
    )
    assert made.media == {"p.png": b"1"}
    record = made.record
    user, assistant = record.messages
    assert [(f.type, f.value) for f in user.content] == [("image", "p.png"), ("text", "How many?")]
    assert user.content[0].metadata == {"width": 2, "height": 3}
    assert assistant.content[0].value == "<think>\n2 and 2\n</think>\n\n4"
    assert (record.reasoning, record.task, record.source) == (None, "count", "src")
    assert record.metadata == {"page": 1, "template": "count/3", "seed": 9}
    assert Record.from_json(record.to_json(), where="x") == record


def test_a_record_without_a_trace_is_off_and_one_may_be_fixed_on() -> None:
    options = ConvertOptions()
    plain = Turn(question=literal("a"), answer="b", task="t")
    traced = Turn(question=literal("a"), answer="b", task="t", trace="c", reasoning="on")
    for turn, mode in ((plain, "off"), (traced, "on")):
        made = base.conversation(options, id="r", turns=[turn], source="s")
        assert made.record.reasoning == mode


def test_turns_become_records_or_one_conversation_that_leaves_traces_alone() -> None:
    turns = [
        Turn(question=literal("a"), answer="1", task="x", key="a"),
        Turn(question=literal("b"), answer="2", task="x", key="b", trace="t"),
        Turn(question=literal("c"), answer="3", task="y", key="c"),
    ]
    media = [Media(name="p.png", payload=b"1")]

    def run(**extra: object) -> list[Record]:
        options = ConvertOptions(extra=extra)
        made = base.records(options, id="i", turns=turns, source="s", media=media)
        assert all(set(m.media) == {"p.png"} for m in made)
        return [m.record for m in made]

    assert [r.id for r in run()] == ["i-a", "i-b", "i-c"]
    traced, joined = run(multi_turn=True)
    assert (traced.id, joined.id) == ("i-b", "i")
    assert [m.role for m in joined.messages] == ["user", "assistant"] * 2
    assert [f.type for f in joined.messages[0].content] == ["image", "text"]
    assert [f.type for f in joined.messages[2].content] == ["text"]


def test_media_names_have_one_dot_and_no_folder() -> None:
    assert base.media_name("docvqa", "a/b.c d", "", suffix=".JPG") == "docvqa-a_b_c_d.jpg"


def test_options_check_their_values() -> None:
    options = ConvertOptions(extra={"a": "true", "b": "7", "c": "x", "d": "1.5"})
    assert options.flag("a", False) is True
    assert options.integer("b", 1) == 7
    assert options.integer("zzz", 3) == 3
    with pytest.raises(ConfigError, match="option c: got 'x', expected true or false"):
        options.flag("c", True)
    with pytest.raises(ConfigError, match=r"option d: got '1\.5', expected a whole number >= 1"):
        options.integer("d", 1)
    with pytest.raises(ConfigError, match="expected one of on, off"):
        options.choice("c", "on", ("on", "off"))


def test_a_line_that_is_not_json_is_dropped_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n{"a": \n[1]\n{"a": 2}\n')
    heard = []
    options = ConvertOptions(on_drop=lambda *what: heard.append(what[:2]))
    assert [i.where for i in sources.read_lines(path, options)] == ["a.jsonl:1", "a.jsonl:5"]
    assert heard == [("bad_json", "a.jsonl:3"), ("wrong_type", "a.jsonl:4")]


def test_damaged_files_are_input_errors(tmp_path: Path) -> None:
    bad = tmp_path / "a.jsonl.gz"
    bad.write_bytes(b"not gzip")
    with pytest.raises(InputError, match="cannot be read"):
        list(sources.read_lines(bad, ConvertOptions()))
    tar = tmp_path / "a.tar"
    tar.write_bytes(b"no tar" * 200)
    with pytest.raises(InputError, match="cannot be read as a tar"):
        list(sources.read_samples(tar, ConvertOptions()))
    with pytest.raises(InputError, match="not valid JSON"):
        sources.load_json(tar)
    with pytest.raises(InputError, match="cannot be read"):
        sources.load_json(tmp_path / "missing.json")


def test_the_file_of_a_split_is_found_or_what_was_looked_for_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    (folder / "x_train.tar").touch()
    (folder / "x_val.tar").touch()
    options = ConvertOptions()
    assert sources.find_file(tmp_path, options, "x_{split}.tar") == folder / "x_train.tar"
    assert sources.find_file(folder / "x_val.tar", options, "y") == folder / "x_val.tar"
    with pytest.raises(InputError, match=r"several files fit \(x_train.tar, x_val.tar\)"):
        sources.find_file(folder, options, "x_*.tar")
    with pytest.raises(InputError, match=r"found none of y_train\.tar"):
        sources.find_file(tmp_path, options, "y_{split}.tar")
    with pytest.raises(InputError, match="no such file or folder"):
        sources.find_file(tmp_path / "zzz", options, "y")


def test_media_files_stay_inside_the_source(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    folders = (None, tmp_path, tmp_path / "images")
    for name in ("images/a.png", "a", "other/a.png"):
        assert sources.media_file(name, "image", *folders).path == tmp_path / "images" / "a.png"
    for name, message in (("../a.png", "outside"), ("/a.png", "outside"), ("b.png", "no file")):
        with pytest.raises(Malformed, match=message) as caught:
            sources.media_file(name, "image", *folders)
        assert caught.value.reason == "missing_media"
