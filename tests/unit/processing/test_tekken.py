"""The 12B's vocabulary rebuilt from the public rank file, against every published id."""

import hashlib
import importlib.metadata
import importlib.util
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from nanovl.core.conversation import Conversation
from nanovl.core.errors import CheckpointError
from nanovl.processing.processor import Processor
from nanovl.processing.sampling import select_frames, timestamps
from nanovl.processing.tokenizer import Tokenizer, build_tekken
from nanovl.processing.video_layout import VideoStyle, frame_text, kept_tokens, separators

SHA256 = "eccd1665d2e477697c33cb7f0daa6f6dfefc57a0a6bceb66d4be52952f827516"
NEEDED = "1.13.1"


def rank_file() -> Path:
    try:
        version = importlib.metadata.version("mistral-common")
    except importlib.metadata.PackageNotFoundError:
        version = "none"
    spec = importlib.util.find_spec("mistral_common")
    if version != NEEDED or spec is None or not spec.submodule_search_locations:
        pytest.skip(f"needs mistral-common=={NEEDED} (extra 'tekken-test'), found {version}")
    return Path(spec.submodule_search_locations[0]) / "data" / "tekken_240718.json"


@pytest.fixture(scope="module")
def tekken() -> Tokenizer:
    path = rank_file()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    return build_tekken(path)


def test_sizes_and_control_ids(tekken: Tokenizer) -> None:
    assert tekken.size == 131082
    assert (tekken.token_id("<unk>"), tekken.bos_id, tekken.eos_ids) == (0, 1, (12, 2))
    assert [tekken.token_id(f"<SPECIAL_{n}>") for n in (10, 11, 12, 999)] == [10, 11, 12, 999]
    assert tekken.pad_id == 999
    pairs = ["<img>", "</img>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>"]
    names = ["<image>", *pairs, "<video>"]
    assert [tekken.token_id(name) for name in names] == list(range(131072, 131082))
    assert len(tekken.control_tokens) == 1010


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("<think></think>", [49250, 2077, 4468, 74045, 1062]),
        ("<think>\n", [49250, 2077, 1561]),
        ("</think>", [1885, 74045, 1062]),
        ("</think>\n\n", [1885, 74045, 3318]),
        ("\n</think>\n\n", [1010, 1885, 74045, 3318]),
        (".\n</think>\n\n", [1626, 1885, 74045, 3318]),
        (".</think>", [15342, 74045, 1062]),
        (" </think>", [2259, 74045, 1062]),
        ("/think", [1047, 74045]),
        ("/no_think", [75010, 31180, 2077]),
        ("<TOOLCALL>[", [1060, 9197, 8568, 1067, 17810, 110391]),
        ("This is a video:\n", [4380, 1395, 1261, 7476, 1877]),
        (
            "Frame 1 sampled at 0.00 seconds: ",
            [9670, 1032, 1049, 43630, 1513, 1032, 1048, 1046, 1048, 1048, 12900, 1058, 1032],
        ),
        ("System", [6775]),
        ("User", [4019]),
        ("Assistant", [102897]),
        ("\n", [1010]),
        ("\n\n", [1267]),
        (".\n", [1626]),
        (":\n", [1877]),
        (":", [1058]),
        (" ", [1032]),
        (" at", [1513]),
        (" seconds", [12900]),
        ("Hello, world!", [22177, 1044, 4304, 1033]),
        (
            "The quick brown fox jumps over 1234567 lazy dogs.",
            [1784, 7586, 22980, 94137, 72993, 2136, 1032, *range(1049, 1056), 42757, 25007, 1046],
        ),
        ("\u3053\u3093\u306b\u3061\u306f\u4e16\u754c", [130128, 29659]),
        (
            "\\frac{a}{b} = 3.14",
            [30188, 26827, 3483, 1098, 1125, 1376, 1032, 1051, 1046, 1049, 1052],
        ),
        (
            "def f(x):\n    return x**2\n",
            [3149, 1284, 4790, 3640, 1293, 1850, 2460, 1438, 1050, 1010],
        ),
    ],
)
def test_published_ids(tekken: Tokenizer, text: str, ids: list[int]) -> None:
    assert tekken.encode(text) == ids
    assert tekken.decode(ids) == text


def test_published_prompt(tekken: Tokenizer) -> None:
    layout = Processor(tekken).plan(Conversation.user("Hi"))
    assert layout.input_ids == [
        *(1, 10, 6775, 1267, 11, 4019, 1010, 37133, 1010, 11, 102897, 1010),
        *(49250, 2077, 4468, 74045, 1062),
    ]


@pytest.mark.parametrize(
    ("number", "time_s", "tokens"),
    [(1, 0.0, 13), (9, 9.9, 13), (10, 9.9, 14), (100, 59.4, 16), (128, 118.77, 17)],
)
def test_cost_of_a_frame_announcement(
    tekken: Tokenizer, number: int, time_s: float, tokens: int
) -> None:
    text = frame_text(number, time_s)
    assert len(tekken.encode(text)) == tokens
    assert len(tekken.encode("\n" + text)) == tokens + 1


@pytest.mark.parametrize(
    ("style", "totals"),
    [
        ("compact", [34943, 18559, 12005, 10367, 5451]),
        ("vllm", [35070, 18686, 12132, 10494, 5578]),
        ("train", [35076, 18692, 12138, 10500, 5584]),
        # Header as "train", no line breaks after the 128 frames.
        ("trt", [35076 - 128, 18692 - 128, 12138 - 128, 10500 - 128, 5584 - 128]),
    ],
)
def test_whole_video_block(tekken: Tokenizer, style: VideoStyle, totals: list[int]) -> None:
    indices = select_frames(1920, 30.0)
    before, after = separators(timestamps(indices, 30.0), len(indices), style, tekken)
    text = sum(map(len, before)) + sum(map(len, after))
    rates = (0, 0.5, 0.7, 0.75, 0.9)
    assert [text + kept_tokens(128, 256, rate) for rate in rates] == totals


def test_eight_frames_of_the_trt_layout(tekken: Tokenizer) -> None:
    # Header 5, 13 per frame, one more for each of the four frames at ten seconds or later.
    before, after = separators([2.5 * i + 1 for i in range(8)], 8, "trt", tekken)
    text = sum(map(len, before)) + sum(map(len, after)) - 2 * 8
    assert text == 8 * 13 + 5 + 4


def naive_ids(word: bytes, ranks: dict[bytes, int]) -> list[int]:
    """Merge the neighbours whose join has the lowest rank, until none has one."""
    if word in ranks:
        return [ranks[word]]
    parts: Sequence[bytes] = [bytes([b]) for b in word]
    while True:
        joins = [ranks.get(a + b, 1 << 30) for a, b in itertools.pairwise(parts)]
        if not joins or min(joins) == 1 << 30:
            return [ranks[p] for p in parts]
        at = joins.index(min(joins))
        parts = [*parts[:at], parts[at] + parts[at + 1], *parts[at + 2 :]]


def test_merges_reproduce_the_ranks(tekken: Tokenizer) -> None:
    vocab = json.loads(tekken.to_json())["model"]["vocab"]
    control = tekken.control_tokens
    ranks = {tekken.decode_bytes([i]): i for t, i in vocab.items() if t not in control}
    # Long words that are no entries of the vocabulary, in several scripts.
    words = [
        "Donaudampfschiff",
        "antidisestablishmentarianismically",
        "xqzvbnmlkjh",
        "\u0437\u0434\u0440\u0430\u0432\u0441\u0442\u0432\u0443\u0439\u0442\u0435\u043c\u0438\u0440",
        "\u4eba\u5de5\u667a\u80fd\u6a21\u578b\u7684\u672a\u6765\u53d1\u5c55",
        "\u0938\u0902\u0935\u093f\u0927\u093e\u0928\u0935\u093e\u0926",
        "\u0e1b\u0e23\u0e30\u0e40\u0e17\u0e28\u0e44\u0e17\u0e22",
        "============------========",
        "ababababababababa",
    ]
    for word in words:
        assert tekken.encode(word) == naive_ids(word.encode(), ranks), word


def damaged(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "tekken.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        {"vocab": []},
        {"config": {"pattern": "."}, "vocab": [{"rank": 0, "token_bytes": "!!"}]},
        {"config": {"pattern": "."}, "vocab": [{"rank": 0, "token_bytes": "AA=="}]},
    ],
)
def test_damaged_rank_files(tmp_path: Path, content: object) -> None:
    with pytest.raises(CheckpointError, match=r"tekken\.json"):
        build_tekken(damaged(tmp_path, content))


def test_missing_rank_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        build_tekken(tmp_path / "tekken.json")
