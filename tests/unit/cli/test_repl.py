"""A conversation, with a person played by a list of lines."""

import pytest

from nanovl.cli.repl import Repl
from nanovl.core.conversation import ImagePart
from nanovl.testing import picture_bytes, tiny_nanovl


@pytest.fixture(scope="module")
def model():
    return tiny_nanovl()


@pytest.fixture
def talk(model, capsys):
    def run(*lines, **options):
        feed = iter(lines)

        def read(prompt):
            line = next(feed, None)
            if line is None:
                raise EOFError
            if isinstance(line, BaseException):
                raise line
            return line

        repl = Repl(model, {"max_tokens": 3, "reasoning": "auto"}, read=read, **options)
        repl.run()
        return repl, capsys.readouterr()

    return run


def texts(repl):
    return [(m.role, m.parts[-1].text) for m in repl.messages]


def test_history_grows(talk):
    repl, captured = talk("Hi", "", "And then?", "/quit", "never asked")
    assert [role for role, _ in texts(repl)] == ["user", "assistant"] * 2
    assert texts(repl)[2] == ("user", "And then?")
    answers = [text for role, text in texts(repl) if role == "assistant"]
    assert captured.out == "".join(a if a.endswith("\n") else a + "\n" for a in answers)


def test_attach_goes_to_the_next_question_only(talk, tmp_path):
    path = tmp_path / "a b.png"
    path.write_bytes(picture_bytes())
    repl, captured = talk(f"/attach '{path}'", "Look", "And?")
    assert isinstance(repl.messages[0].parts[0], ImagePart)
    assert repl.messages[2].media == ()
    assert "attached" in captured.err


def test_reset(talk):
    repl, _ = talk("Hi", "/reset")
    assert repl.messages == []


def test_reasoning(talk):
    repl, captured = talk("/reasoning on 100", "Hi", "/reasoning off", "Hi")
    assert repl._asking["reasoning"].mode == "off"
    assert "reasoning on 100" in captured.err


def test_think_switches_are_no_commands(talk):
    repl, _ = talk("/think hard", "/no_think")
    assert [t for role, t in texts(repl) if role == "user"] == ["/think hard", "/no_think"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/atach x", "no command /atach; did you mean '/attach'"),
        ("/attach", "expected one or more files"),
        ("/attach 'x", "No closing quotation"),
        ("/attach nope.png", "nope.png: no such file"),
        ("/reasoning maybe", "expected one of off, on, auto"),
        ("/reasoning on much", "budget 'much'"),
        ("/reasoning off 5", "reasoning off"),
    ],
)
def test_mistakes_do_not_end_it(talk, line, message):
    repl, captured = talk(line, "Hi")
    assert message in captured.err
    assert captured.err.count("error: ") == 1
    assert len(repl.messages) == 2


def test_help(talk):
    assert "/attach" in talk("/help")[1].err


def test_interrupt_at_the_prompt_and_in_an_answer(talk, model, monkeypatch):
    repl, captured = talk(KeyboardInterrupt(), "Hi")
    assert len(repl.messages) == 2
    assert "leaves" in captured.err

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("nanovl.cli.repl.show", interrupted)
    repl, captured = talk("Hi")
    assert repl.messages == []
    assert "stopped" in captured.err


def test_system_and_usage(talk):
    _, captured = talk("Hi", system="Be brief.", usage=True)
    assert "first token" in captured.err
