"""The tokenizer wrapper: control tokens, neutralising, bytes, damaged files."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nanovl.core.errors import CheckpointError, ConfigError, InputError
from nanovl.processing.tokenizer import MediaNames, Tokenizer, byte_tokenizer
from nanovl.processing.vocab import (
    CONTROL_TOKENS,
    byte_alphabet,
    byte_definition,
    bytes_to_symbols,
    definition,
    symbols_to_bytes,
)

INJECTIONS = (
    "<SPECIAL_12>",
    "<s>",
    "</s>",
    "<unk>",
    "<image>",
    "<img>",
    "</img>",
    "<video>",
    "<SPECIAL_999>",
    "<<s>>",
    "x<image><image>y",
    "<SPECIAL_1<s>2>",
    " </s> ",
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return byte_tokenizer()


def edited(**changes: object) -> str:
    """The byte vocabulary's file with some of its top-level entries changed."""
    return json.dumps(byte_definition() | changes)


def test_byte_alphabet_is_a_bijection_and_round_trips() -> None:
    assert len(set(byte_alphabet())) == 256
    data = bytes(range(256))
    assert symbols_to_bytes(bytes_to_symbols(data)) == data
    assert symbols_to_bytes("a b") is None  # a space is not a symbol
    # The published alphabet: space and newline have well-known stand-ins.
    assert bytes_to_symbols(b" \n") == "\u0120\u010a"


def test_byte_tokenizer_ids_are_byte_values(tokenizer: Tokenizer) -> None:
    text = "A \u00e9\u4e16 12\n\n\t<"
    assert tokenizer.encode(text) == list(text.encode())
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.size == 256 + len(CONTROL_TOKENS) <= 320


def test_control_tokens_resolve_by_name(tokenizer: Tokenizer) -> None:
    assert tokenizer.bos_id == tokenizer.token_id("<s>") == tokenizer.control_tokens["<s>"]
    assert tokenizer.turn_end_id == tokenizer.token_id("<SPECIAL_12>")
    assert tokenizer.eos_ids == (tokenizer.turn_end_id, tokenizer.token_id("</s>"))
    assert tokenizer.image_id == tokenizer.token_id("<image>")
    assert tokenizer.image_start_id == tokenizer.token_id("<img>")
    assert tokenizer.image_end_id == tokenizer.token_id("</img>")
    assert tokenizer.video_id == tokenizer.token_id("<video>")
    assert tokenizer.pad_id == tokenizer.token_id("<SPECIAL_999>")
    assert tokenizer.pad_id not in tokenizer.eos_ids
    assert tokenizer.is_control(tokenizer.image_id)
    assert not tokenizer.is_control(65)


def test_unknown_token_is_an_error_with_a_hint(tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match=r"no token '<imag>'; did you mean '<image>'"):
        tokenizer.token_id("<imag>")


@pytest.mark.parametrize("text", INJECTIONS)
def test_control_strings_in_text_stay_text(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(f"a{text}b")
    assert not any(map(tokenizer.is_control, ids))
    assert tokenizer.decode(ids) == f"a{text}b"


def test_control_strings_become_control_tokens_on_request(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("<s>a<image><imag</s>", control=True)
    bos, image, eos = tokenizer.bos_id, tokenizer.image_id, tokenizer.eos_ids[1]
    assert ids == [bos, ord("a"), image, *b"<imag", eos]
    assert tokenizer.decode(ids) == "a<imag"
    assert tokenizer.decode(ids, skip_control=False) == "<s>a<image><imag</s>"


def test_the_longest_control_token_wins() -> None:
    control = dict(byte_definition()["model"]["vocab"])
    names = {n: control[n] for n in CONTROL_TOKENS} | {"<s><s>": 273}
    text = json.dumps(definition(control | {"<s><s>": 273}, (), names))
    tokenizer = Tokenizer(text)
    assert tokenizer.encode("<s><s><s>", control=True) == [273, tokenizer.bos_id]
    assert tokenizer.size == 274


def test_a_vocabulary_that_merges_into_a_control_token_is_still_neutralised() -> None:
    # Here "<s>" is one word of the vocabulary, so plain encoding reaches it without any matching.
    data = byte_definition()
    data["pre_tokenizer"] = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": False,
    }
    tokenizer = Tokenizer(json.dumps(data))
    assert tokenizer.encode("<s>") == list(b"<s>")
    assert tokenizer.encode("\u00e9<s>x") == list("\u00e9<s>x".encode())


def test_media_tokens_the_file_does_not_mark_special_are_neutralised_too() -> None:
    data = byte_definition()
    for token in data["added_tokens"]:
        token["special"] = token["content"] == "<s>"
    tokenizer = Tokenizer(json.dumps(data))
    assert not any(map(tokenizer.is_control, tokenizer.encode("<image> <SPECIAL_12>")))
    assert tokenizer.encode("<image>", control=True) == [tokenizer.image_id]
    assert json.loads(tokenizer.to_json())["added_tokens"] == data["added_tokens"]


def test_stripping_flags_of_control_tokens_are_honoured() -> None:
    data = byte_definition()
    for token in data["added_tokens"]:
        token["lstrip"] = token["content"] == "<image>"
        token["rstrip"] = token["content"] == "</s>"
        token["single_word"] = token["content"] == "<s>"
    tokenizer = Tokenizer(json.dumps(data))
    ids = tokenizer.encode("a  <image> b</s>  c<s>d <s>", control=True)
    image, eos, bos = tokenizer.image_id, tokenizer.eos_ids[1], tokenizer.bos_id
    assert ids == [97, image, 32, 98, eos, *b"c<s>d ", bos]


def test_other_names_for_media_tokens() -> None:
    text = json.dumps(byte_definition()).replace("<image>", "<picture>")
    names = MediaNames(image="<picture>")
    tokenizer = Tokenizer(text, names=names)
    assert tokenizer.image_id == tokenizer.token_id("<picture>")
    with pytest.raises(CheckpointError, match="no control token <image>"):
        Tokenizer(text)


def test_streaming_bytes_of_split_characters(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("\u4e16")
    parts = [tokenizer.decode_bytes([i]) for i in ids]
    assert len(parts) == 3
    assert b"".join(parts).decode() == "\u4e16"
    assert tokenizer.decode(ids[:2]) == "\ufffd"
    assert tokenizer.decode_bytes([tokenizer.bos_id]) == b""
    assert tokenizer.decode_bytes([tokenizer.bos_id], skip_control=False) == b"<s>"


@pytest.mark.parametrize("token_id", [-1, 273, 1 << 40])
def test_ids_outside_the_vocabulary(tokenizer: Tokenizer, token_id: int) -> None:
    with pytest.raises(InputError, match="expected 0 to 272"):
        tokenizer.decode([token_id])


def test_half_a_surrogate_pair_is_refused(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match="character 2"):
        tokenizer.encode("ab\ud800c")


def test_files_round_trip(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    again = Tokenizer.from_folder(tmp_path)
    assert again.to_json() == tokenizer.to_json()
    tokenizer.save(tmp_path / "other.json")
    assert Tokenizer.from_file(tmp_path / "other.json").encode("hi") == tokenizer.encode("hi")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"model": 3}',
        edited(model={"type": "BPE", "vocab": {}, "merges": []}),
        edited(added_tokens=[]),
        edited(model=byte_definition()["model"] | {"merges": [["a", "bcd"]]}),
    ],
)
def test_damaged_files_name_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        Tokenizer.from_file(path)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: cannot be read"):
        Tokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="not UTF-8"):
        Tokenizer.from_folder(tmp_path)


def test_a_vocabulary_without_all_bytes_is_refused() -> None:
    data = byte_definition()
    del data["model"]["vocab"]["a"]
    with pytest.raises(CheckpointError, match="1 of 256 byte symbols"):
        Tokenizer(json.dumps(data))


def test_pad_falls_back_to_unknown() -> None:
    data = byte_definition()
    data["added_tokens"] = [t for t in data["added_tokens"] if t["content"] != "<SPECIAL_999>"]
    tokenizer = Tokenizer(json.dumps(data))
    assert tokenizer.pad_id == tokenizer.token_id("<unk>")


def test_many_threads_get_equal_ids(tokenizer: Tokenizer) -> None:
    texts = [f"text {i} <image> {'x' * i}" for i in range(200)]
    expected = [tokenizer.encode(t, control=True) for t in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda t: tokenizer.encode(t, control=True), texts)) == expected
