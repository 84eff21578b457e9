"""`nanovl caption`: a sentence for every part of a video, as subtitles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanovl.cli import options
from nanovl.cli.apps import Out, Subtitles, check_out, media_options, opened, save
from nanovl.cli.console import Progress, guarded
from nanovl.core.errors import ConfigError

__all__ = ["caption"]


@guarded
def caption(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A file, or a URL of one.")],
    out: Out = None,
    format: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="srt, vtt or json; else by -o, or srt."),
    ] = None,
    every: Annotated[
        float, typer.Option("--every", metavar="S", help="Length of the parts in seconds.")
    ] = 5.0,
    scenes: Annotated[bool, typer.Option("--scenes", help="Divide at the film's cuts.")] = False,
    frames: Annotated[
        int, typer.Option("--frames", metavar="N", min=1, help="Frames of a part at most.")
    ] = 8,
    subtitles: Subtitles = None,
    transcriber: options.Transcriber = None,
    model: options.Model = "mini",
    max_tokens: options.MaxTokens = 128,
    evs: options.Evs = None,
    device: options.Device = "auto",
    quant: options.Quant = None,
) -> None:
    """Describe a video part by part, as SRT, VTT or JSON.

    \b
    Examples:
      nanovl caption clip.mp4 -o clip.srt
      nanovl caption clip.mp4 --scenes --format json
    """
    from nanovl.apps.captioning import caption as run
    from nanovl.apps.hearing import said_in
    from nanovl.apps.subtitles import FORMATS, to_json, to_srt, to_vtt
    from nanovl.apps.timeline import open_video

    kind = format or (Path(out).suffix.lstrip(".").lower() if out else "srt") or "srt"
    if kind not in FORMATS:
        raise ConfigError(f"subtitle format {kind!r}: expected {', '.join(FORMATS)}")
    check_out(out)
    asking = media_options(evs=evs)
    loaded = opened(model, device, quant)
    with Progress() as progress:
        timeline = said_in(
            loaded,
            open_video(loaded, video),
            subtitles=subtitles,
            transcriber=transcriber,
            on_event=progress,
        )
        cues = run(
            loaded,
            timeline,
            every_s=None if scenes else every,
            frames=frames,
            max_tokens=max_tokens or 128,
            on_event=progress,
            **asking,
        )
    save({"srt": to_srt, "vtt": to_vtt, "json": to_json}[kind](cues), out)
