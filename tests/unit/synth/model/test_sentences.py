"""Translation piece by piece: what comes back is checked, what fails stays as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from nanovl.core.errors import BackendError, ConfigError
from nanovl.synth.model.client import ChatClient, Endpoint, RequestFailed, Stopped
from nanovl.synth.model.limits import Limits
from nanovl.synth.model.sentences import CheckedTranslator, split_sentences, translation_problem
from nanovl.synth.model.tongues import tongue
from nanovl.synth.tex.retypeset import translate_text
from nanovl.synth.tex.translate import (
    EndpointTranslator,
    MBartTranslator,
    PseudoTranslator,
    make_translator,
    read_translator,
)
from tests.unit.synth.model.stub import Body, Say, serving, system_of, user_of

GERMAN = {
    "The river rises in spring by <a0> metres.": "Der Fluss steigt im Fr\u00fchling um <a0> Meter.",
    "In 1997 it flooded the old town.": "Im Jahr 1997 \u00fcberflutete er die alte Stadt.",
    "Nobody had expected that.": "Damit hatte niemand gerechnet.",
}
TEXT = " ".join(GERMAN)


def german(texts: Sequence[str]) -> list[str]:
    """Translates the three sentences, alone or in a row."""
    made = []
    for text in texts:
        for source, target in GERMAN.items():
            text = text.replace(source, target)
        made.append(text)
    return made


def test_sentences_are_split_and_joined_again() -> None:
    text = "See Fig. 3 and Dr. Smith et al. for more. It is 3.5 m. \n<a0> begins. Is it? Yes!  "
    parts = split_sentences(text)
    assert "".join(body + blank for body, blank in parts) == text
    assert [body for body, _ in parts] == [
        "See Fig. 3 and Dr. Smith et al. for more.",
        "It is 3.5 m.",
        "<a0> begins.",
        "Is it?",
        "Yes!",
    ]


@pytest.mark.parametrize("unit", ["paragraph", "sentence"])
def test_good_translations_are_taken(unit: str) -> None:
    one = CheckedTranslator(german, "de", unit=unit)  # type: ignore[arg-type]
    assert one.translate([f"\n{TEXT}\n", "<a0><a1>", ""]) == [
        "\n" + " ".join(GERMAN.values()) + "\n",
        "<a0><a1>",
        "",
    ]
    assert one.counts["translated"] == one.counts["pieces"] == (1 if unit == "paragraph" else 3)


@pytest.mark.parametrize(
    ("source", "reply", "rule"),
    [
        ("The <a0> is red.", "Das <a0> ist rot.", ""),
        ("The <a0> is red.", "Das ist rot.", "anchors"),
        ("The <a0> is red.", "Das <a0> <a0> ist rot.", "anchors"),
        ("The <a0> is red.", "Das <a0> <a1> ist rot.", "anchors"),
        ("It is red.", "  ", "empty"),
        ("It is red.", "Die Vereinten Nationen sind rot.", "hallucination"),
        ("It is red.", "Es ist \\displaystyle rot.", "hallucination"),
        ("It is red.", "Es ist \\textbf{rot}.", "commands"),
        ("It has 12 parts.", "Es hat 13 Teile.", "numbers"),
        ("It costs 1,250.5 francs.", "Es kostet 1.250,5 Franken.", ""),
        ("It has 12 parts.", "Es hat \u0661\u0662 Teile.", ""),
        ("It is red here.", "rot rot rot rot rot rot rot rot rot", "loop"),
        ("A sentence of some length, with a good many letters.", "Ein Satz.", "length"),
        ("Short.", "Kurz " + "und noch etwas mehr dazu, ohne Ende, " * 3, "length"),
        ("This is the first of them.", "This is the first of them.", "untranslated"),
        ("Nobody had thought of it at that time, which is why it was a surprise to all.",
         "Personne n'avait cru que cela fut possible, et c'est pour cela que tous furent surpris.",
         "language"),
        ("A good day.", "\u0414\u043e\u0431\u0440\u044b\u0439 \u0434\u0435", "language"),
    ],
)  # fmt: skip
def test_rules_of_translations(source: str, reply: str, rule: str) -> None:
    assert translation_problem(source, reply, "de") == rule


def test_ideographs_are_counted_as_they_are_read() -> None:
    source = "The river rises in spring and falls in autumn."
    assert (
        translation_problem(
            source, "\u6cb3\u6c34\u6625\u5929\u4e0a\u6da8\uff0c\u79cb\u5929\u4e0b\u964d\u3002", "zh"
        )
        == ""
    )


def test_a_bad_paragraph_is_tried_sentence_by_sentence_and_a_bad_sentence_stays() -> None:
    asked: list[str] = []

    def clumsy(texts: Sequence[str]) -> list[str]:
        asked.extend(texts)
        return [t if "1997" in t else german([t])[0] for t in texts]

    one = CheckedTranslator(clumsy, "de", unit="paragraph")
    (made,) = one.translate([TEXT])
    first, second, third = GERMAN
    assert made == f"{GERMAN[first]} {second} {GERMAN[third]}"
    assert asked == [TEXT, first, second, third]
    assert one.counts == {"pieces": 3, "translated": 2, "kept:untranslated": 1}


def test_addresses_travel_as_anchors() -> None:
    sent: list[str] = []

    def shout(texts: Sequence[str]) -> list[str]:
        sent.extend(texts)
        return [t.upper().replace("<A", "<a") for t in texts]

    text = "Write to ada@example.org or see https://example.org/a?b=1, then <a0> it."
    assert CheckedTranslator(shout).translate([text]) == [
        "WRITE TO ada@example.org OR SEE https://example.org/a?b=1, THEN <a0> IT."
    ]
    assert sent == ["Write to <a1> or see <a2>, then <a0> it."]


def test_short_phrases_travel_in_a_sentence() -> None:
    def careful(texts: Sequence[str]) -> list[str]:
        assert texts == [
            'The heading of this part is "Related work".',
            'The heading of this part is "Odd".',
        ]
        return [
            "Die \u00dcberschrift dieses Teils ist \u201eVerwandte Arbeiten\u201c.",
            "Nichts in Zeichen.",
        ]

    one = CheckedTranslator(careful, "de", carrier=True)
    assert one.translate(["Related work", "Odd"]) == ["Verwandte Arbeiten", "Odd"]
    assert one.counts["kept:carrier"] == 1


def test_a_translator_that_loses_texts_is_named() -> None:
    with pytest.raises(BackendError, match="0 texts for 1"):
        CheckedTranslator(lambda texts: []).translate(["Something to say."])


# --- endpoints ----------------------------------------------------------------------------------


def _translating(body: Body, before: int) -> Say:
    assert "German" in system_of(body)
    text = user_of(body)
    if "[down]" in text:
        return Say(status=400)
    return Say(german([text])[0])


def _client(url: str, **limits: float) -> ChatClient:
    return ChatClient(Endpoint(url=url, model="m"), Limits(retries=0, **limits))  # type: ignore[arg-type]


def test_an_endpoint_translates_and_is_asked_once() -> None:
    paper = (
        "\\begin{document}\n"
        + TEXT.replace("<a0>", "$h$")
        + "\n\n[down] is not there.\\end{document}"
    )
    with serving(_translating) as stub:
        one = make_translator("de", client=_client(stub.url))
        done = translate_text(paper, one)
        assert "Der Fluss steigt im Fr\u00fchling um $h$ Meter. Im Jahr 1997" in done.text
        assert "[down] is not there." in done.text
        assert (done.paragraphs, done.translated, done.kept) == (2, 1, ("unchanged",))
        assert one.counts == {"pieces": 2, "translated": 1, "kept:no_reply": 1}
        count = stub.count
        assert translate_text(paper, one).text == done.text
        assert stub.count == count + 1  # the one that failed is tried again


def test_an_endpoint_that_answers_nothing_is_an_error_and_a_budget_ends_the_run() -> None:
    with serving(lambda body, before: Say("no", status=400)) as stub:
        one = EndpointTranslator(stub.url, "m", "German")
        with pytest.raises(RequestFailed, match="HTTP 400"):
            one.translate(["a b", "c d"])
    with serving(_translating) as stub:
        poor = make_translator("de", client=_client(stub.url, budget_tokens=0))
        with pytest.raises(Stopped, match="budget of 0 tokens"):
            poor.translate([TEXT])
        assert stub.count == 0


def test_translators_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pseudo = read_translator("pseudo")
    (made,) = pseudo.translate(["The level <a0> rises slowly."])
    assert made == PseudoTranslator().translate(["The level <a0> rises slowly."])[0]
    assert read_translator("pseudo") is pseudo
    with serving(_translating) as stub:
        monkeypatch.setenv("SOME_KEY", "sk-1")
        one = read_translator(
            f"endpoint:llama3:8b:German:{stub.url}", key_env="SOME_KEY", cache=tmp_path / "t.sqlite"
        )
        assert one.translate(["Nobody had expected that."]) == ["Damit hatte niemand gerechnet."]
        assert stub.bodies[0]["model"] == "llama3:8b"
        assert stub.keys == ["Bearer sk-1"]
        assert (tmp_path / "t.sqlite").is_file()
    for how in ("mbart", "endpoint:m:de", "deepl", "pseudo:x", "endpoint:m:Klingon:http://h/v1"):
        with pytest.raises(ConfigError):
            read_translator(how)
    with pytest.raises(ConfigError, match="NO_SUCH_KEY is not set"):
        read_translator("endpoint:m:de:http://h/v1", key_env="NO_SUCH_KEY")
    with pytest.raises(ConfigError, match="either an endpoint"):
        make_translator("de")


def test_tongues() -> None:
    assert tongue("de").mbart == tongue("de_DE").mbart == tongue("German").mbart == "de_DE"
    assert tongue("zh-Hans").name == "Chinese"
    with pytest.raises(ConfigError, match="did you mean 'german'"):
        tongue("germn")


# --- mBART --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny mBART with random weights and the real form of its files."""
    transformers = pytest.importorskip("transformers")
    import torch

    folder = tmp_path_factory.mktemp("mbart")
    letters = ["\u2581", *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<>.,\"'"]
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocabulary += [(letter, -float(n)) for n, letter in enumerate(letters)]
    tokenizer = transformers.MBart50Tokenizer(vocab=vocabulary, src_lang="en_XX", tgt_lang="de_DE")
    tokenizer.save_pretrained(folder)
    config = transformers.MBartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, max_position_embeddings=600, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.MBartForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_mbart_runs_from_its_folder(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = MBartTranslator(str(weights), "en_XX", "de_DE")
    seen = {}
    generate = one.model.generate

    def short(**given: object) -> object:
        seen.update(given)
        return generate(**{**given, "max_length": 12})

    monkeypatch.setattr(one.model, "generate", short)
    made = one.translate(["a red house"])
    assert made == one.translate(["a red house"])
    assert seen["forced_bos_token_id"] == one.tokenizer.convert_tokens_to_ids("de_DE")
    assert seen["repetition_penalty"] == 1.5
    # Random weights say nothing of use; the checks keep the source.
    checked = CheckedTranslator(one.translate, "de", carrier=True)
    text = "The river <a0> rises in spring by several metres, as it has always done."
    assert checked.translate([text]) == [text]
    assert sum(n for k, n in checked.counts.items() if k.startswith("kept:")) == 1


def test_languages_mbart_does_not_know_are_named(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'xx_XX'"):
        MBartTranslator(str(weights), "en_XX", "xx_XX")
    with pytest.raises(BackendError, match="mbart-large-50"):
        read_translator(f"mbart:{tmp_path}:en:de")
