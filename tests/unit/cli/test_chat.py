"""One question on the command line."""

import json
import os

import pytest

from nanovl.testing import pdf_bytes, picture_bytes

from .conftest import FakeStdin


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.png"
    path.write_bytes(picture_bytes())
    return path


class Piped(FakeStdin):
    """Standard input that is a pipe."""

    def __init__(self, data):
        super().__init__(data)
        self._read, write = os.pipe()
        os.close(write)

    def fileno(self):
        return self._read


def test_answer_goes_to_standard_output_alone(cli, checkpoint):
    result = cli("Hi", "there", "-m", checkpoint, "--max-tokens", 8)
    assert result.code == 0
    assert result.out.endswith("\n")
    again = cli("Hi there", "-m", checkpoint, "--max-tokens", 8, "--no-stream", "--usage")
    assert again.out == result.out
    assert "answer 8 tokens" in again.err
    assert "answer" not in result.err.replace("answers are noise", "")


def test_json(cli, checkpoint, page):
    result = cli("Hi", "-a", page, "-m", checkpoint, "--max-tokens", 4, "--json")
    document = json.loads(result.out)
    assert document["usage"]["completion_tokens"] == 4
    assert document["usage"]["image_tokens"] > 0
    assert document["usage"]["total_tokens"] == document["usage"]["prompt_tokens"] + 4
    assert document["finish_reason"] == "length"
    assert document["media"][0]["kind"] == "image"
    assert document["timings"]["ttft_s"] > 0
    assert document["reasoning"] is None


def test_piped_text_comes_before_the_question(cli, checkpoint):
    def count(*words, stdin=None):
        words = (*words, "-m", checkpoint, "--max-tokens", 1, "--json")
        return json.loads(cli(*words, stdin=stdin).out)["usage"]["prompt_tokens"]

    plain = count("Sum up.")
    assert count("Sum up.", stdin=Piped(b"Bread costs 3.\n")) == plain + len("Bread costs 3.\n\n")
    assert count(stdin=Piped(b"Sum up.")) == plain
    assert count("Sum up.", stdin=Piped(b"")) == plain


def test_piped_file(cli, checkpoint, page):
    words = ("Look", "-m", checkpoint, "--max-tokens", 3)
    named = cli(*words, "-a", page)
    piped = cli(*words, "-a", "-", stdin=Piped(page.read_bytes()))
    assert (piped.code, piped.out) == (0, named.out)


@pytest.mark.parametrize(
    ("data", "words", "message"),
    [
        (b"\x89PNG", [], "not UTF-8 text; to ask about a picture or document in it, add -a -"),
        (b"", ["-a", "-"], "standard input is empty"),
    ],
)
def test_bad_pipes(cli, checkpoint, data, words, message):
    result = cli("Look", "-m", checkpoint, *words, stdin=Piped(data))
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_reasoning_goes_to_standard_error(cli, checkpoint):
    words = ("Hi", "-m", checkpoint, "--max-tokens", 60, "--seed", 1)
    words = (*words, "--reasoning-budget", 6, "-o", "grace=2", "-o", "ignore_eos=true")
    shown = cli(*words)
    hidden = cli(*words, "--hide-reasoning")
    assert shown.out == hidden.out
    assert "think" not in shown.out
    assert len(shown.err) > len(hidden.err)
    document = json.loads(cli(*words, "--json").out)
    assert document["usage"]["reasoning_tokens"] > 6
    assert document["reasoning"].strip()[:1] in shown.err


def test_budget_zero_is_off(cli, checkpoint):
    words = ("Hi", "-m", checkpoint, "--max-tokens", 2, "--json", "--reasoning-budget", 0)
    assert json.loads(cli(*words).out)["reasoning"] is None


def test_document_options(cli, checkpoint, tmp_path):
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf_bytes(3))
    words = ("Look", "-m", checkpoint, "--max-tokens", 1, "--json", "-a", path, "--max-tiles", 1)
    pages = json.loads(cli(*words, "--pages", "2-3").out)["media"]
    assert len(pages) == 2
    result = cli(*words, "--pages", "2-9")
    assert result.code == 2
    assert "2-9" in result.err


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut.png", picture_bytes()[:60]),
        ("empty.jpg", b""),
        ("noise.png", b"\x00\x01" * 50),
        ("cut.pdf", pdf_bytes()[:80]),
        ("what.xyz", b"\x00\x01\x02\x03"),
    ],
)
def test_bad_files(cli, checkpoint, tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    result = cli("Look", "-m", checkpoint, "-a", path)
    assert (result.code, result.out) == (2, "")
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert name in errors[0]
    assert "Traceback" not in result.err


def test_too_long_for_the_context(cli, checkpoint):
    result = cli("x" * 500, "-m", checkpoint, "-o", "context_length=100")
    assert (result.code, result.out) == (2, "")
    assert "100" in result.err


@pytest.mark.parametrize(("name", "hint"), [("minni", "mini"), ("12b", "--random 12b")])
def test_unknown_models(cli, name, hint):
    result = cli("Hi", "-m", name)
    assert (result.code, result.out) == (1, "")
    assert hint in result.err


def test_terminal_gets_no_control_characters(capsys, monkeypatch):
    from nanovl.cli.console import write

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    write("a\x1b[31mb")
    assert capsys.readouterr().out == "a[31mb"
