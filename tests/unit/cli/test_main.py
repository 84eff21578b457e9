"""Which verb runs, and what happens when something goes wrong."""

import pytest

from nanovl import __version__
from nanovl.cli import console
from nanovl.cli.console import guarded, one_line, printable
from nanovl.cli.main import route
from nanovl.core.errors import (
    BackendError,
    CapacityError,
    CheckpointError,
    ConfigError,
    InputError,
    NanoVLError,
)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["chat"]),
        (["What is this?"], ["chat", "What is this?"]),
        (["-m", "x", "hi"], ["chat", "-m", "x", "hi"]),
        (["chat", "info"], ["chat", "info"]),
        (["info", "x"], ["info", "x"]),
        (["--help"], ["--help"]),
        (["--version"], ["--version"]),
        (["inform me", "please"], ["chat", "inform me", "please"]),
        (["hello"], ["chat", "hello"]),
        (["--", "--debug"], ["chat", "--", "--debug"]),
    ],
)
def test_first_word_decides(words, expected):
    assert route(words) == expected


def test_debug_may_stand_anywhere(monkeypatch):
    monkeypatch.setattr(console, "DEBUG", False)
    assert route(["info", "x", "--debug"]) == ["info", "x"]
    assert console.DEBUG


def test_misspelt_verb(cli):
    result = cli("inof")
    assert (result.code, result.out) == (2, "")
    assert "did you mean 'info'" in result.err


def test_version(cli):
    assert cli("--version") == (0, f"nanovl {__version__}\n", "")


@pytest.mark.parametrize("verb", [[], ["chat"], ["info"], ["convert"], ["doctor"]], ids=str)
def test_help_opens_with_a_sentence_and_two_examples(cli, verb):
    result = cli(*verb, "--help")
    assert result.code == 0
    lines = [line.strip() for line in result.out.splitlines()]
    start = lines.index("Examples:")
    assert all(line.startswith("nanovl") for line in lines[start + 1 : start + 3])
    sentence = " ".join(lines[2:start]).strip()
    assert sentence.count(".") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["hi", "--nonsense"], "No such option"),
        (["info", "a", "b"], "unexpected extra argument"),
        (["hi", "--top-p", "much"], "--top-p"),
        (["hi", "-o", "top_k"], "expected section.key=value"),
        (["hi", "-o", "topk=1"], "unknown setting 'topk'; did you mean 'top_k'"),
        (["hi", "-o", "top_k=x"], "sampling.top_k: got 'x'"),
        (["hi", "-o", "grace=x"], "grace 'x'"),
        (["hi", "-o", "context_length=x"], "context_length 'x'"),
        (["hi", "-o", "prefill_chunk=0"], "prefill_chunk 0"),
        (["hi", "--temperature", "-1"], "temperature -1.0: expected >= 0"),
        (["hi", "--evs", "x"], "--evs 'x': expected a rate"),
        (["hi", "--reasoning", "maybe"], "reasoning mode 'maybe'"),
        (["hi", "--reasoning", "off", "--reasoning-budget", "5"], "reasoning off"),
        (["hi", "-a", "nope.png"], "nope.png: no such file"),
        (["hi", "-a", ""], "empty"),
        (["hi", "--transcriber", "ears"], "transcriber 'ears'"),
        (["hi", "--device", "abacus"], "device 'abacus'"),
        (["hi", "--dtype", "int3"], "dtype 'int3'"),
        (["hi", "--quant", "int3"], "quant 'int3'"),
        ([], "no question"),
        (["convert", "a"], "expected SOURCE and OUT"),
        (["convert", "--random", "tiny", "a", "b"], "expected OUT with --random"),
        (["convert", "a", "b", "--seed", "3"], "--seed belongs to --random"),
        (["convert", "--random", "tiny", "a", "--keep", "x"], "--keep belongs"),
        (["convert", "--random", "tiny", "a", "--shard-size", "big"], "size 'big'"),
        (["convert", "--random", "tinyy", "a"], "did you mean 'tiny'"),
        (["convert", "--random", "tiny", "a", "--format", "fp9"], "fp9"),
    ],
    ids=lambda w: " ".join(w) if isinstance(w, list) else "",
)
def test_wrong_usage(cli, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli(*words)
    assert result.code == 2
    assert result.out == ""
    assert message in result.err
    assert "Traceback" not in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (ConfigError("x"), 2),
        (CheckpointError("x"), 1),
        (CapacityError("x"), 1),
        (BackendError("x"), 1),
        (NanoVLError("x"), 1),
        (MemoryError(), 1),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("x"), 1),
    ],
    ids=lambda e: type(e).__name__,
)
def test_exit_codes(error, code, capsys):
    @guarded
    def verb():
        raise error

    with pytest.raises(SystemExit) as end:
        verb()
    assert end.value.code == code
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_bug_says_so(capsys):
    @guarded
    def verb():
        raise ZeroDivisionError("oops")

    with pytest.raises(SystemExit):
        verb()
    err = capsys.readouterr().err
    assert err == "error: ZeroDivisionError: oops (this is a bug in nanovl, rerun with --debug)\n"


def test_debug_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setenv("NANOVL_DEBUG", "1")

    @guarded
    def verb():
        raise InputError("oops")

    with pytest.raises(SystemExit):
        verb()
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: oops\n")


def test_messages_cannot_steer_the_terminal():
    assert printable("a\x1b[2Jb\tc\nd\x9b") == "a[2Jb\tc\nd"
    assert one_line("a\n\x1b]0;x\x07 b") == "a ]0;x b"
