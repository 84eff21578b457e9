"""Styles become options, prose is translated, and what is not prose comes back unchanged."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from nanovl.core.errors import BackendError, ConfigError
from nanovl.synth.tex.restyle import style_options
from nanovl.synth.tex.retypeset import translate_text
from nanovl.synth.tex.translate import EndpointTranslator, MBartTranslator, PseudoTranslator

TEXT = r"""\documentclass{article}
\title{Untouched preamble}
\begin{document}
\section{Some heading words}
The level $h(t)$ rises \emph{slowly} as shown by \cite{reed} in Figure~\ref{fig:a}.

\begin{equation} E = mc^2 \label{e} \end{equation}
Another paragraph with 5\% of everything.
\end{document}
"""


class _Fixed:
    def __init__(self, reply: str) -> None:
        self.reply = reply

    def translate(self, texts: Sequence[str]) -> list[str]:
        return [self.reply for _ in texts]


def test_prose_changes_and_everything_else_stays() -> None:
    done = translate_text(TEXT, PseudoTranslator())
    assert done.translated == done.paragraphs == 2
    for kept in ("$h(t)$", r"\cite{reed}", r"\ref{fig:a}", r"E = mc^2 \label{e}", r"5\%",
                 "Untouched preamble", r"\emph{", r"\section{"):  # fmt: skip
        assert kept in done.text
    assert "l\u00e9v\u00e9l" in done.text
    assert done.text.count("{") == done.text.count("}")
    assert translate_text(TEXT, PseudoTranslator()) == done


@pytest.mark.parametrize(("reply", "problem"), [("anchors are gone", "anchors"), ("", "anchors")])
def test_a_bad_translation_keeps_the_source(reply: str, problem: str) -> None:
    done = translate_text(TEXT, _Fixed(reply))
    assert done.translated == 0
    assert set(done.kept) == {problem}
    assert r"as shown by \cite{reed}" in done.text


def test_a_translator_may_not_add_commands() -> None:
    text = "\\begin{document}\nplain words without anchors here\n\\end{document}"
    done = translate_text(text, _Fixed("\\input{/etc/passwd}"))
    assert "passwd" not in done.text


def test_styles() -> None:
    options = style_options(["columns=2", "width_mm=210", "height_mm=297", "size_pt=12"])
    assert options[0] == "\\def\\ngtoptions{}"
    assert "\\def\\ngtcolumns{2}" in options
    assert style_options([]) == ()


@pytest.mark.parametrize(
    "word",
    [
        "columns=4",
        "colums=2",
        "table_rules=some",
        "float_angles=45",
        "watermark=a}b",
        "section_colors=red",
        "background=clouds",
        "background_colors=ffffff",
        "headings=no",
        "columns",
        "size_pt=x",
        "width_mm=210",
        "font=a}b",
    ],
)
def test_bad_styles_are_refused(word: str) -> None:
    with pytest.raises(ConfigError):
        style_options([word])


@pytest.fixture
def endpoint() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = body["messages"][-1]["content"].upper().replace("<A", "<a")
            reply = {"choices": [{"message": {"content": text}}]}
            if body["model"] == "broken":
                reply = {}
            data = json.dumps(reply).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_endpoint_translates(endpoint: str) -> None:
    done = translate_text(TEXT, EndpointTranslator(endpoint, "m", "Capitals"))
    assert "THE LEVEL $h(t)$" in done.text
    with pytest.raises(BackendError, match="chat protocol"):
        EndpointTranslator(endpoint, "broken", "x").translate(["a"])


def test_an_endpoint_that_is_down_is_named() -> None:
    with pytest.raises(BackendError, match="does not answer"):
        EndpointTranslator("http://127.0.0.1:9", "m", "x", timeout_s=2).translate(["a"])


def test_weights_that_are_not_there_are_named(tmp_path) -> None:
    with pytest.raises(BackendError):
        MBartTranslator(str(tmp_path), "en_XX", "de_DE")
