"""`nanovl summarize`: a video in five bullets, and questions about it."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from nanovl.cli import options
from nanovl.cli.apps import Subtitles, Tokens, media_options, opened
from nanovl.cli.console import Progress, guarded, note, write, write_json

__all__ = ["summarize"]


@guarded
def summarize(
    video: Annotated[
        str, typer.Argument(metavar="VIDEO", help="A file, a URL of one, or a YouTube video.")
    ],
    model: options.Model = "mini",
    every: Annotated[
        float,
        typer.Option("--every", metavar="S", min=0.1, help="See a frame in so many seconds."),
    ] = 4.0,
    subtitles: Subtitles = None,
    transcriber: options.Transcriber = None,
    language: Annotated[
        list[str] | None,
        typer.Option("--language", metavar="CODE", help="Of subtitles and speech, such as en."),
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat/--no-chat", help="Take questions about it, on a terminal.")
    ] = True,
    max_tokens: Tokens = None,
    evs: options.Evs = None,
    device: options.Device = "auto",
    quant: options.Quant = None,
    json: options.Json = False,
) -> None:
    """Summarise a video in five bullets with times; then ask more about it.

    \b
    Examples:
      nanovl summarize talk.mp4 --transcriber whisper
      nanovl summarize https://youtu.be/VIDEO_ID --json

    A video longer than the context is seen in parts. YouTube needs the extra "youtube".
    """
    from nanovl.apps.hearing import said_in
    from nanovl.apps.summary import summarize as run
    from nanovl.apps.timeline import open_video

    asking = media_options(evs=evs)
    tokens = max_tokens or 1024
    # Questions may look at the video again, so that it stays until they are over.
    with tempfile.TemporaryDirectory(prefix="nanovl-") as folder:
        source, transcript = _local(video, Path(folder), language)
        loaded = opened(model, device, quant)
        with Progress() as progress:
            timeline = said_in(
                loaded,
                open_video(loaded, source, transcript),
                subtitles=subtitles,
                transcriber=transcriber,
                language=language[0] if language else None,
                on_event=progress,
            )
            found = run(
                loaded, timeline, every_s=every, max_tokens=tokens, on_event=progress, **asking
            )
        if json:
            document = asdict(found)
            del document["conversation"]
            write_json({"video": video, "model": loaded.name, **document})
            return
        write(found.markdown + "\n")
        if chat and sys.stdin is not None and sys.stdin.isatty():
            from nanovl.cli.repl import Repl

            repl = Repl(loaded, {**asking, "reasoning": "auto"})
            repl.messages += found.conversation
            repl.run()


def _local(video: str, folder: Path, language: list[str] | None) -> tuple[Any, tuple[Any, ...]]:
    """The video, fetched if it is one of YouTube's, and what its subtitles say."""
    from nanovl.apps import youtube

    if not youtube.is_youtube(video):
        return video, ()
    if text := youtube.notice():
        note(text)
    with Progress() as progress:
        found = youtube.fetch(video, folder, languages=language or ("en",), on_event=progress)
    kind = "made by people" if found.official else "automatic"
    note(f"{found.title or video}: {f'subtitles {kind}' if found.transcript else 'no subtitles'}")
    return found.path, found.transcript
