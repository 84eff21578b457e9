"""The vocabulary of the embedded model, as shipped."""

import json

import pytest

from nanovl.core.paths import asset
from nanovl.processing.tokenizer import Tokenizer
from nanovl.processing.vocab import CONTROL_TOKENS


@pytest.fixture(scope="module")
def mini() -> Tokenizer:
    return Tokenizer.from_folder(asset("mini"))


def test_size_and_control_tokens(mini: Tokenizer) -> None:
    assert mini.size == 10240
    assert [mini.token_id(name) for name in CONTROL_TOKENS] == list(range(len(CONTROL_TOKENS)))
    assert set(mini.control_tokens) == set(CONTROL_TOKENS)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("1234", ["1", "2", "3", "4"]),
        ("System\n\n", ["System", "\n\n"]),
        ("Assistant\n", ["Assistant", "\n"]),
        ("a\n\n\nb", ["a", "\n\n\n", "b"]),
        ("    return", ["   ", " return"]),
        ("The cat", ["The", " cat"]),
    ],
)
def test_word_splitting(mini: Tokenizer, text: str, pieces: list[str]) -> None:
    assert [mini.decode([i]) for i in mini.encode(text)] == pieces


@pytest.mark.parametrize("tag", ["<think>", "</think>", "<TOOLCALL>", "</TOOLCALL>"])
def test_tags_are_ordinary_text(mini: Tokenizer, tag: str) -> None:
    ids = mini.encode(tag, control=True)
    assert len(ids) > 1
    assert not any(map(mini.is_control, ids))


def test_everything_round_trips(mini: Tokenizer) -> None:
    text = "\u0939\u093f\u0928\u094d\u0926\u0940 \u4e16\u754c \U0001f600 \x00\x7f\u00a0<image>\r\n"
    assert mini.decode(mini.encode(text)) == text


def test_english_compresses(mini: Tokenizer) -> None:
    text = (
        "The library opened in the morning, and the children who had been waiting at the door ran "
        "to the shelves where the new books were kept."
    )
    assert len(text) / len(mini.encode(text)) > 3.5


def test_sidecar_files_agree_with_the_vocabulary(mini: Tokenizer) -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        data = json.loads(asset("mini", name).read_text(encoding="utf-8"))
        tokens = [v for k, v in data.items() if k.endswith("_token") and isinstance(v, str)]
        tokens += data.get("additional_special_tokens", [])
        assert tokens
        assert all(t in mini.control_tokens for t in tokens)
        assert mini.token_id(data["eos_token"]) == mini.turn_end_id
