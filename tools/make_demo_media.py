"""Draw three of the bundled demo pictures, with questions: a receipt, a bar chart and a page.

    python tools/make_demo_media.py [FOLDER]

The shapes are chosen so that the model's tiling rule costs little: 1 x 2 tiles and a thumbnail for
the receipt, one tile for the chart, 2 x 3 and a thumbnail for the page.

Uses only the font inside Pillow, so the same Pillow gives the same pixels on every machine. Every
answer is computed from the numbers that are drawn. All other inputs and `questions.json` are made
by `demo_inputs`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).resolve().parent.parent / "src" / "nanovl" / "assets" / "demo"

RECEIPT = (
    ("Espresso", 2, 240),
    ("Oat flat white", 1, 390),
    ("Cheese toast", 1, 650),
    ("Water", 2, 150),
)
TAX_PERCENT = 10
CHART = (("Mon", 18), ("Tue", 27), ("Wed", 12), ("Thu", 35), ("Fri", 30))
STATIONS = (("North pier", 412, 9.1), ("Mill pond", 268, 12.4), ("Old quarry", 95, 14.0))

INK, SOFT, RULE = "#1c1c1c", "#5a5a5a", "#b4b4b4"


def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font."""
    loaded = ImageFont.load_default(size)
    assert isinstance(loaded, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return loaded


def euros(cents: int) -> str:
    """Money as printed: 12.50."""
    return f"{cents // 100}.{cents % 100:02d}"


def draw_receipt() -> tuple[Image.Image, list[dict[str, str]]]:
    """A cafe receipt on white paper."""
    width, height = 360, 720
    image = Image.new("RGB", (width, height), "#fbfaf7")
    draw = ImageDraw.Draw(image)
    draw.text((width / 2, 64), "CAFE MERIDIAN", INK, font(34), anchor="mm")
    draw.text((width / 2, 104), "14 Harbour Street", SOFT, font(18), anchor="mm")
    draw.text((width / 2, 134), "2025-03-08   09:41   Table 6", SOFT, font(18), anchor="mm")
    y = 192
    for name, count, cents in RECEIPT:
        draw.text((32, y), f"{count} x {name}", INK, font(22))
        draw.text((width - 32, y), euros(count * cents), INK, font(22), anchor="ra")
        y += 44
    subtotal = sum(count * cents for _, count, cents in RECEIPT)
    tax = round(subtotal * TAX_PERCENT / 100)
    draw.line((32, y + 6, width - 32, y + 6), RULE, 2)
    y += 26
    for label, cents, size in (
        ("Subtotal", subtotal, 22),
        (f"Tax {TAX_PERCENT}%", tax, 22),
        ("TOTAL EUR", subtotal + tax, 30),
    ):
        draw.text((32, y), label, INK, font(size))
        draw.text((width - 32, y), euros(cents), INK, font(size), anchor="ra")
        y += size + 20
    draw.text((width / 2, height - 72), "Thank you!", SOFT, font(22), anchor="mm")
    most = max(RECEIPT, key=lambda item: item[1] * item[2])
    return image, [
        {"question": "What is the total?", "answer": euros(subtotal + tax)},
        {"question": "Which item cost the most?", "answer": most[0]},
        {"question": "On which date was this paid?", "answer": "2025-03-08"},
    ]


def draw_chart() -> tuple[Image.Image, list[dict[str, str]]]:
    """A bar chart with a value axis and grid lines."""
    width, height = 512, 512
    left, right, top, bottom = 62, width - 24, 96, height - 64
    highest = 40
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    draw.text((width / 2, 44), "Bicycles repaired per day", INK, font(28), anchor="mm")
    for value in range(0, highest + 1, 10):
        y = bottom - (bottom - top) * value / highest
        draw.line((left, y, right, y), RULE if value else INK, 1 if value else 2)
        draw.text((left - 12, y), str(value), SOFT, font(20), anchor="rm")
    step = (right - left) / len(CHART)
    for index, (day, value) in enumerate(CHART):
        x = left + step * (index + 0.5)
        y = bottom - (bottom - top) * value / highest
        draw.rectangle((x - step * 0.3, y, x + step * 0.3, bottom - 1), fill="#2f6f9f")
        draw.rectangle((x - 16, y - 27, x + 16, y - 4), fill="white")  # no grid line through it
        draw.text((x, y - 16), str(value), INK, font(20), anchor="mm")
        draw.text((x, bottom + 24), day, INK, font(22), anchor="mm")
    best, worst = max(CHART, key=lambda bar: bar[1]), min(CHART, key=lambda bar: bar[1])
    return image, [
        {"question": "Which day has the highest bar?", "answer": best[0]},
        {"question": "How many bicycles were repaired on Tuesday?", "answer": str(CHART[1][1])},
        {
            "question": "What is the difference between the highest and the lowest day?",
            "answer": str(best[1] - worst[1]),
        },
    ]


def draw_page() -> tuple[Image.Image, list[dict[str, str]]]:
    """A page of a report: heading, paragraphs, a small table, a page number."""
    width, height = 640, 960
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    margin, y = 56, 64
    draw.text((margin, y), "Water temperature survey", INK, font(36))
    y += 64
    first = (
        "In June the survey team watched three stations around the bay. A buoy at every station "
        "took a reading once an hour, unless the wind was too strong to trust it."
    )
    y = paragraph(draw, first, margin, y, width - 2 * margin) + 14
    y = paragraph(
        draw,
        "The table lists the number of readings and the mean temperature of each station.",
        margin,
        y,
        width - 2 * margin,
    )
    y += 24
    columns = (margin, 310, 470)
    for x, heading in zip(columns, ("Station", "Readings", "Mean (C)"), strict=True):
        draw.text((x, y), heading, INK, font(24))
    draw.line((margin, y + 38, width - margin, y + 38), INK, 2)
    y += 52
    for name, readings, mean in STATIONS:
        for x, cell in zip(columns, (name, str(readings), f"{mean:.1f}"), strict=True):
            draw.text((x, y), cell, INK, font(24))
        y += 42
    draw.line((margin, y, width - margin, y), RULE, 1)
    y += 30
    warmest = max(STATIONS, key=lambda s: s[2])
    paragraph(
        draw,
        f"{warmest[0]} was the warmest station on every day of the survey. The next survey is "
        "planned for September; until then the buoys stay in the water and report by radio.",
        margin,
        y,
        width - 2 * margin,
    )
    draw.text((width / 2, height - 48), "7", SOFT, font(22), anchor="mm")
    return image, [
        {"question": "What is the title of this page?", "answer": "Water temperature survey"},
        {
            "question": "How many readings were taken at Mill pond?",
            "answer": str(dict((s[0], s[1]) for s in STATIONS)["Mill pond"]),
        },
        {"question": "Which station was the warmest?", "answer": warmest[0]},
    ]


def paragraph(draw: ImageDraw.ImageDraw, text: str, x: int, y: int, width: int) -> int:
    """Write text in lines of at most `width` pixels; returns the y below it."""
    face, line = font(23), ""
    for word in [*text.split(), ""]:
        longer = f"{line} {word}".strip()
        if word and draw.textlength(longer, face) <= width:
            line = longer
            continue
        draw.text((x, y), line, INK, face)
        y, line = y + 34, word
    return y


def drawings() -> dict[str, tuple[Image.Image, list[dict[str, str]]]]:
    """File name to picture and questions."""
    return {"receipt.png": draw_receipt(), "chart.png": draw_chart(), "page.png": draw_page()}


def main(folder: Path = FOLDER) -> None:
    """Write the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (image, _) in drawings().items():
        image.quantize(32, method=Image.Quantize.MEDIANCUT).save(folder / name, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
