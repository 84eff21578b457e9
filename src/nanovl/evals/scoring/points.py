"""Places in pictures and films: clicks in boxes, overlap of boxes and of intervals.

`point_in_box` scores clicks on screenshots; the IoU functions serve benchmarks that ask for boxes
or times besides an answer. Nothing here looks at a picture, but for the size in its header.

Source: evaluation specification, sections 4.5, 6.23 and 12.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from nanovl.core.errors import InputError
from nanovl.evals.base import Judge, Level, Metric, Response, Result, Sample, Scored, Verdict
from nanovl.evals.scoring.edits import check_profile
from nanovl.evals.scoring.literals import literal
from nanovl.evals.scoring.tally import mean_result

__all__ = [
    "Box",
    "PointInBox",
    "box_iou",
    "create_point_in_box",
    "interval_iou",
    "mean_best_iou",
    "parse_click",
    "parse_click_vk",
    "tagged_boxes",
    "target_boxes",
    "target_region",
]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"
_VK_CLICK = re.compile(r"x=([\d.]+), y=([\d.]+)", re.ASCII)
_NAMED_CLICK = re.compile(
    rf"\bx[\"']?\s*[=:]\s*({_NUMBER})\s*,\s*[\"']?y[\"']?\s*[=:]\s*({_NUMBER})", re.ASCII
)
_BARE_CLICK = re.compile(rf"[\[(]\s*({_NUMBER})\s*,\s*({_NUMBER})\s*[\])]", re.ASCII)
_TAGGED_BOX = re.compile(r"<box>(.*?)</box>", re.DOTALL)
_WHOLE_BOX = re.compile(r"\[(\d+),(\d+),(\d+),(\d+)\]", re.ASCII)
_THOUSAND = 1000.0


def box_iou(a: Box, b: Box) -> float:
    """Area of the intersection over area of the union; 0 when there is no area."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    common = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union > 0 else 0.0


def interval_iou(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Length of the intersection of two intervals over that of their union.

    Args:
        a: Start and end, e.g. in seconds.
        b: The other interval.

    Returns:
        0 to 1; 0 for an interval that ends before it starts, and for two of no length.
    """
    if a[1] < a[0] or b[1] < b[0]:
        return 0.0
    common = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - common
    return common / union if union > 0 else 0.0


def tagged_boxes(text: str) -> list[Box]:
    """Boxes written as `<box>[x1,y1,x2,y2]</box>`: whole numbers, no spaces, none inverted."""
    found = []
    for inside in _TAGGED_BOX.findall(text):
        match = _WHOLE_BOX.match(inside.strip())
        if match:
            x1, y1, x2, y2 = (float(group) for group in match.groups())
            if x1 < x2 and y1 < y2:
                found.append((x1, y1, x2, y2))
    return found


def target_boxes(cell: Any) -> list[Box] | None:
    """The boxes of a `target_instances` cell; None when the sample has no such cell.

    Args:
        cell: A list of boxes, or its text.

    Raises:
        InputError: The cell is not a list of boxes of four numbers.
    """
    if cell is None:
        return None
    read = _literal(cell)
    if isinstance(read, (list, tuple)) and all(_is_box(box) for box in read):
        return [(float(x1), float(y1), float(x2), float(y2)) for x1, y1, x2, y2 in read]
    raise InputError(
        f"column 'target_instances': expected a list of boxes [x1, y1, x2, y2], got {cell!r}. "
        "Check the file"
    )


def mean_best_iou(said: Sequence[Box], targets: Sequence[Box]) -> float:
    """For every target its best IoU with a predicted box; the mean over the targets.

    Without predicted boxes 0; without targets 1 when boxes are predicted all the same.
    """
    if not said:
        return 0.0
    if not targets:
        return 1.0
    return sum(max(box_iou(target, box) for box in said) for target in targets) / len(targets)


def parse_click_vk(text: str) -> tuple[float, float] | None:
    """The click the public harness reads: `x=<number>, y=<number>`, else the origin.

    Returns:
        None when the digits and full stops are no number.
    """
    match = _VK_CLICK.search(text)
    if match is None:
        return 0.0, 0.0
    try:
        return float(match[1]), float(match[2])
    except ValueError:
        return None


def parse_click(text: str) -> tuple[float, float] | None:
    """The click nanovl reads: the first `x = .., y = ..`, else the last pair in brackets."""
    named = _NAMED_CLICK.search(text)
    if named:
        return float(named[1]), float(named[2])
    pairs = _BARE_CLICK.findall(text)
    return (float(pairs[-1][0]), float(pairs[-1][1])) if pairs else None


def target_region(box: Sequence[float], size: tuple[float, float], *, corners: bool) -> Box:
    """A target box as shares of the picture's width and height.

    Args:
        box: In pixels: left, top and width, height, or the four corners.
        size: Width and height of the picture in pixels.
        corners: Whether `box` holds corners.
    """
    x, y, third, fourth = box
    edges = (x, y, third, fourth) if corners else (x, y, x + third - 1, y + fourth - 1)
    # NOTE(parity): -1 stands for 0.
    left, top, right, bottom = (0.0 if edge == -1 else float(edge) for edge in edges)
    return left / size[0], top / size[1], right / size[0], bottom / size[1]


@dataclass(frozen=True)
class PointInBox:
    """Share of clicks inside their target.

    A sample's target is `meta["bbox"]` (or its answer), in pixels. The picture's width and height
    are `meta["image_size"]` when the file has them, otherwise read from the first picture.

    Attributes:
        profile: "vk" and "legacy" read a response without a click as a click at the origin.
        benchmark: Id of the benchmark. ScreenSpot-Pro gives corners, the others width and
            height; a sample says it itself with `meta["box"]`, "corners" or "size".
        name: Name of the metric.
    """

    profile: str = "default"
    benchmark: str = ""
    name: str = "point_in_box"

    def __post_init__(self) -> None:
        check_profile(self.profile, self.name)

    def score(
        self,
        sample: Sample,
        response: Response,
        *,
        level: Level = "rules",
        judge: Judge | None = None,
    ) -> Verdict:
        """1.0 for a click inside the target or on its edge, else 0.0; the rules always decide.

        A click with a coordinate above 1 is in pixels, unless the prompt declared something else
        by `meta["coordinates"]`: "pixels" or "thousandths".

        Raises:
            InputError: The sample has no box or no size.
        """
        del level, judge
        size = _size(sample)
        region = target_region(self._box(sample), size, corners=self._corners(sample))
        default = self.profile == "default"
        click = parse_click(response.text) if default else parse_click_vk(response.text)
        if click is None or not all(math.isfinite(coordinate) for coordinate in click):
            return Verdict(value=0.0, detail={"parsed": False})
        x, y = click
        declared = sample.meta.get("coordinates") if default else None
        if declared == "thousandths":
            x, y = x / _THOUSAND, y / _THOUSAND
        elif declared == "pixels" or x > 1 or y > 1:
            x, y = x / size[0], y / size[1]
        inside = region[0] <= x <= region[2] and region[1] <= y <= region[3]
        return Verdict(value=float(inside), extracted=[x, y], detail={"parsed": True})

    def _box(self, sample: Sample) -> Sequence[float]:
        cell = sample.meta.get("bbox", sample.answer)
        box = _literal(cell)
        if _is_box(box):
            return [float(edge) for edge in box]
        raise InputError(
            f"metric '{self.name}', sample {sample.id!r}: expected a box of four numbers in "
            f"column 'bbox', got {cell!r}. Check the file"
        )

    def _corners(self, sample: Sample) -> bool:
        declared = sample.meta.get("box")
        if declared in ("corners", "size"):
            return bool(declared == "corners")
        return "pro" in self.benchmark.lower() or "application" in sample.meta

    def aggregate(self, scored: Sequence[Scored]) -> Result:
        """Clicks inside over all items of all files, and by category and kind. Unit: 0 to 1."""
        return mean_result(scored, self.name, columns=_columns)


def _columns(item: Scored) -> list[str]:
    kind = item.sample.meta.get("data_type") or item.sample.meta.get("ui_type")
    category = item.sample.category
    both = f"{category}:{kind}" if category and kind else None
    return [str(column) for column in (category, kind, both) if column]


def _size(sample: Sample) -> tuple[float, float]:
    """Width and height of a sample's picture in pixels."""
    cell = _literal(sample.meta.get("image_size"))
    if cell is None:
        cell = _header_size(sample)
    if isinstance(cell, (list, tuple)) and len(cell) == 2 and all(_is_number(x) for x in cell):
        width, height = float(cell[0]), float(cell[1])
        if width > 0 and height > 0:
            return width, height
    raise InputError(
        f"metric 'point_in_box', sample {sample.id!r}: expected the picture's width and height in "
        f"pixels as meta['image_size'], or a picture that can be read; got {cell!r}. Check the file"
    )


def _header_size(sample: Sample) -> tuple[int, int] | None:
    medium = next((medium for medium in sample.media if medium.kind == "image"), None)
    if medium is None or (medium.data is None and medium.path is None):
        return None
    source = io.BytesIO(medium.data) if medium.data is not None else str(medium.path)
    try:
        with Image.open(source) as picture:
            return picture.size
    except (OSError, Image.DecompressionBombError):
        return None


def _literal(cell: Any) -> Any:
    return literal(cell.strip()) if isinstance(cell, str) else cell


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_box(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple)) and len(value) == 4 and all(_is_number(x) for x in value)
    )


def create_point_in_box(profile: str = "default", *, benchmark: str = "") -> Metric:
    """Clicks inside their target; `benchmark` is the id, which decides the box format."""
    return PointInBox(profile, benchmark)
