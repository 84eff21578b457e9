"""Small drawings for buttons, as SVG paths on a grid of 24 by 24. Our own; the words name them.

Must not know where icons are used.
"""

from __future__ import annotations

from nanovl.synth.screens.dom import Raw

__all__ = ["ICONS", "icon"]

# name: (what people call it, paths drawn as strokes)
ICONS: dict[str, tuple[str, str]] = {
    "search": ("magnifying glass", "M10 4a6 6 0 1 0 .01 0M14.5 14.5L20 20"),
    "trash": ("trash can", "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13M10 11v6M14 11v6"),
    "pencil": ("pencil", "M4 20l1-5L16 4l4 4L9 19zM14 6l4 4"),
    "plus": ("plus sign", "M12 5v14M5 12h14"),
    "minus": ("minus sign", "M5 12h14"),
    "cross": ("cross", "M6 6l12 12M18 6L6 18"),
    "menu": ("three lines", "M4 7h16M4 12h16M4 17h16"),
    "dots": (
        "three dots",
        "M4 12a1 1 0 1 0 2 0a1 1 0 1 0-2 0M11 12a1 1 0 1 0 2 0a1 1 0 1 0-2 0M18 12a1 1 0 1 0 2 0"
        "a1 1 0 1 0-2 0",
    ),
    "gear": (
        "gear",
        "M12 9a3 3 0 1 0 .01 0M12 2v4M12 18v4M2 12h4M18 12h4M5 5l3 3M16 16l3 3M5 19l3-3M16 8l3-3",
    ),
    "heart": ("heart", "M12 20C5 15 3 11 4 8c1-4 6-4 8 0 2-4 7-4 8 0 1 3-1 7-8 12z"),
    "star": ("star", "M12 3l3 6 6 1-4.5 4.5 1 6.5-5.5-3-5.5 3 1-6.5L3 10l6-1z"),
    "play": ("play triangle", "M7 4l13 8-13 8z"),
    "pause": ("two bars", "M8 5v14M16 5v14"),
    "skip": ("skip forward arrow", "M5 5l9 7-9 7zM18 5v14"),
    "rewind": ("skip back arrow", "M19 5l-9 7 9 7zM6 5v14"),
    "mail": ("envelope", "M3 6h18v12H3zM3 7l9 7 9-7"),
    "send": ("paper plane", "M3 11L21 4l-6 17-4-7zM11 14L21 4"),
    "folder": ("folder", "M3 6h7l2 2h9v11H3z"),
    "file": ("sheet of paper", "M6 3h8l4 4v14H6zM14 3v4h4"),
    "calendar": ("calendar sheet", "M4 6h16v14H4zM4 10h16M8 3v4M16 3v4"),
    "person": ("person", "M12 4a4 4 0 1 0 .01 0M4 21c0-5 4-7 8-7s8 2 8 7"),
    "bell": ("bell", "M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 21h4"),
    "house": ("house", "M3 11l9-8 9 8M6 9v11h12V9M10 20v-6h4v6"),
    "download": ("arrow pointing down", "M12 3v12M7 11l5 5 5-5M4 20h16"),
    "upload": ("arrow pointing up", "M12 16V4M7 8l5-5 5 5M4 20h16"),
    "share": (
        "three linked dots",
        "M16 5a2 2 0 1 0 4 0a2 2 0 1 0-4 0M4 12a2 2 0 1 0 4 0a2 2 0 1 0-4 0M16 19a2 2 0 1 0 4 0"
        "a2 2 0 1 0-4 0M8 11l8-5M8 13l8 5",
    ),
    "funnel": ("funnel", "M4 5h16l-6 8v6l-4-2v-4z"),
    "lock": ("padlock", "M6 11h12v9H6zM8 11V8a4 4 0 0 1 8 0v3"),
    "left": ("left arrow", "M15 5l-7 7 7 7"),
    "right": ("right arrow", "M9 5l7 7-7 7"),
    "down": ("down arrow", "M5 9l7 7 7-7"),
    "cart": ("shopping cart", "M3 4h3l3 11h9l2-8H7M10 19h.01M17 19h.01"),
    "reload": ("circular arrow", "M19 8a8 8 0 1 0 1 5M20 4v5h-5"),
    "disk": ("floppy disk", "M4 4h13l3 3v13H4zM8 4v5h7V4M8 20v-6h8v6"),
    "printer": ("printer", "M7 9V3h10v6M4 9h16v8h-3M7 17H4V9M7 14h10v7H7z"),
    "picture": ("landscape picture", "M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 5M16 9h.01"),
    "clip": ("paper clip", "M8 12l6-6a3 3 0 0 1 4 4l-8 8a5 5 0 0 1-7-7l8-8"),
    "clock": ("clock", "M12 3a9 9 0 1 0 .01 0M12 7v5l4 3"),
    "phone": ("telephone", "M5 3h4l2 5-3 2c1 3 3 5 6 6l2-3 5 2v4c-9 2-18-7-16-16z"),
    "camera": ("camera", "M3 7h5l2-3h4l2 3h5v13H3zM12 10a3.5 3.5 0 1 0 .01 0"),
    "microphone": ("microphone", "M9 4h6v9H9zM6 11a6 6 0 0 0 12 0M12 17v4"),
    "speaker": ("loudspeaker", "M4 9h4l5-5v16l-5-5H4zM16 9c2 2 2 4 0 6M18 6c4 4 4 8 0 12"),
    "shuffle": ("crossing arrows", "M3 6h4l10 12h4M3 18h4L17 6h4M18 3l3 3-3 3M18 15l3 3-3 3"),
    "undo": ("arrow turning left", "M9 5L4 10l5 5M4 10h10a6 6 0 0 1 0 11h-4"),
    "redo": ("arrow turning right", "M15 5l5 5-5 5M20 10H10a6 6 0 0 0 0 11h4"),
    "box": ("archive box", "M3 4h18v5H3zM5 9v11h14V9M10 13h4"),
    "flag": ("flag", "M5 21V4h13l-3 4 3 5H5"),
    "sun": (
        "sun",
        "M12 8a4 4 0 1 0 .01 0M12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2",
    ),
    "moon": ("crescent moon", "M19 15A8 8 0 1 1 10 4a7 7 0 0 0 9 11z"),
    "cloud": ("cloud", "M7 18a4 4 0 0 1 0-8 5 5 0 0 1 10-1 4.5 4.5 0 0 1 0 9z"),
    "pin": ("map pin", "M12 21C6 14 5 11 5 9a7 7 0 0 1 14 0c0 2-1 5-7 12zM12 7a2 2 0 1 0 .01 0"),
    "check": ("check mark", "M4 12l6 6L20 6"),
    "sort": ("up and down arrows", "M8 4v16M4 8l4-4 4 4M16 4v16M12 16l4 4 4-4"),
    "grid": ("grid of squares", "M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h6v6h-6z"),
    "branch": ("branching line", "M7 3v18M7 12c6 0 10-2 10-7"),
    "bug": ("beetle", "M8 9h8v8a4 4 0 0 1-8 0zM9 9a3 3 0 0 1 6 0M3 13h5M16 13h5M4 7l4 3M20 7l-4 3"),
    "eye": ("eye", "M2 12c5-8 15-8 20 0-5 8-15 8-20 0zM12 9a3 3 0 1 0 .01 0"),
}


def icon(name: str, size: int = 18, colour: str = "currentColor", width: float = 2.0) -> Raw:
    """An icon as inline SVG.

    Args:
        name: A key of `ICONS`.
        size: Width and height in CSS pixels.
        colour: Of its lines.
        width: Of its lines on the grid of 24.
    """
    return Raw(
        f'<svg width="{size}" height="{size}" viewBox="0 0 24 24" fill="none" stroke="{colour}" '
        f'stroke-width="{width}" stroke-linecap="round" stroke-linejoin="round" '
        f'style="flex:none;display:block"><path d="{ICONS[name][1]}"/></svg>'
    )
