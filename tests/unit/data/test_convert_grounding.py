"""Converters of boxes and polygons: detections, layouts, referring expressions, scene text."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from nanovl.core.errors import ConfigError, InputError
from nanovl.data.convert import convert
from nanovl.data.convert.banks import BANKS
from nanovl.data.convert.banks_annotations import ANNOTATION_BANKS
from nanovl.data.convert.base import ConvertOptions, Item, Malformed
from nanovl.data.convert.boxes import (
    Region,
    corner_box,
    corner_quad,
    overlap,
    points,
    polygon_box,
    size_box,
)
from nanovl.data.convert.detection import Scene, scene_turns
from nanovl.data.convert.parts import item_key
from nanovl.data.convert.templates import slot_names
from tests.unit.data.convert_samples import Run, picture, save, stable

# -- Boxes ---------------------------------------------------------------------------------------


def item(**data: Any) -> Item:
    return Item("x.json:annotations[3]", data)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0, 0, 200, 100], (0, 0, 1000, 1000)),
        ([10, 20, 50, 25], (50, 200, 300, 450)),
        ([-10, -10, 30, 30], (0, 0, 100, 200)),  # cut at the edge
        ([190, 90, 60, 60], (950, 900, 1000, 1000)),
        ([33.3, 0.04, 33.5, 50], (167, 0, 334, 500)),
    ],
)
def test_pixel_boxes_become_thousandths(given: list[float], expected: tuple[int, ...]) -> None:
    assert size_box(item(bbox=given), "bbox", 200, 100) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0, 0, 0, 10], "width 0 and height 10"),
        ([0, 0, 10, -1], "height -1"),
        ([200, 0, 5, 5], "outside the picture"),
        ([10, 10, 0.05, 5], "less than a thousandth"),
        ([0, 0, 10], "got 3 values"),
        ([0, 0, 10, "9"], "got '9'"),
        ([0, 0, 10, float("inf")], "finite"),
        ([0, 0, 10, True], "got True"),
    ],
)
def test_degenerate_boxes_are_named(given: list[Any], message: str) -> None:
    with pytest.raises(Malformed, match=message) as caught:
        size_box(item(bbox=given), "bbox", 200, 100)
    assert caught.value.reason == "bad_box"
    assert "bbox" in caught.value.message


def test_corner_boxes_and_polygons() -> None:
    assert corner_box(item(b=[20, 10, 40, 20]), "b", 200, 100) == (100, 100, 200, 200)
    with pytest.raises(Malformed, match="upside down"):
        corner_box(item(b=[40, 10, 20, 20]), "b", 200, 100)
    flat, pairs = item(p=[0, 0, 20, 0, 20, 10]), item(p=[[0, 0], [20, 0], [20, 10]])
    assert points(flat, "p") == points(pairs, "p") == [(0, 0), (20, 0), (20, 10)]
    assert polygon_box(points(flat, "p"), 200, 100, "p") == (0, 0, 100, 100)
    for bad in ([0, 0, 1], [0, 0, 1, 1], [[0, 0], [1]], [0, 0, 1, 0, None, 1]):
        with pytest.raises(Malformed, match="p: "):
            points(item(p=bad), "p")


def test_quads_run_clockwise_from_the_top_left_whatever_the_source_does() -> None:
    expected = ((100, 100), (200, 100), (200, 200), (100, 200))
    corners = [(20.0, 10.0), (40.0, 10.0), (40.0, 20.0), (20.0, 20.0)]
    for first in range(4):
        turned = corners[first:] + corners[:first]
        assert corner_quad(turned, 200, 100) == expected
        assert corner_quad(turned[::-1], 200, 100) == expected
    assert corner_quad(corners[:3], 200, 100) is None
    assert corner_quad([corners[0], *corners[:3]], 200, 100) is None


def test_overlap() -> None:
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (10, 0, 15, 10)) == 0


def test_item_key_uses_ids_and_places() -> None:
    assert item_key(Item("d/train.jsonl:12", {"id": 7}), "id") == "7"
    assert item_key(Item("train.jsonl.gz:12", {}), "id") == "train-12"
    assert item_key(Item("x.json:images[4]", {})) == "x-4"


def test_every_bank_has_eight_wordings_with_equal_slots() -> None:
    for kind, wordings in ANNOTATION_BANKS.items():
        assert BANKS[kind] is wordings
        assert len(set(wordings)) >= 8, kind
        assert len({frozenset(slot_names(w)) for w in wordings}) == 1, kind


# -- Scenes --------------------------------------------------------------------------------------


def region(label: str, *box: int) -> Region:
    return Region(label, (box[0], box[1], box[2], box[3]))


def test_questions_of_a_scene() -> None:
    scene = Scene(
        regions=[region("dog", 500, 0, 600, 100), region("dog", 0, 0, 100, 100)],
        captions=["Two dogs."],
    )
    turns = {t.key: t for t in scene_turns(scene, random.Random(0), ConvertOptions())}
    assert turns["locate-0"].answer == (
        "<ref>dog</ref><box>(0,0),(100,100)</box>\n<ref>dog</ref><box>(500,0),(600,100)</box>"
    )
    assert '"dog"' in turns["locate-0"].question.text
    assert turns["count-0"].answer == "2"
    assert turns["inside-0"].answer == "dog"
    assert "<box>(" in turns["inside-0"].question.text
    assert turns["caption"].answer == "Two dogs."


def test_groups_and_crowded_kinds_are_not_asked_about() -> None:
    many = [region("bird", i * 10, 0, i * 10 + 9, 9) for i in range(21)]
    scene = Scene(
        regions=[*many, region("cow", 0, 500, 90, 600)], absent=["cow", "bird"], groups={"cow"}
    )
    options = ConvertOptions(extra={"negatives": 50, "inside": 0})
    assert scene_turns(scene, random.Random(0), options) == []


def test_boxes_two_kinds_share_are_not_asked_about() -> None:
    scene = Scene(regions=[region("man", 0, 0, 100, 100), region("statue", 0, 0, 100, 99)])
    turns = scene_turns(scene, random.Random(0), ConvertOptions())
    assert not [t for t in turns if t.task == "reverse_grounding"]


def test_share_of_negatives() -> None:
    scene = Scene(regions=[region("dog", 0, 0, 100, 100)], absent=["dog", "cat", "cow"])
    answers = []
    for seed in range(600):
        turns = scene_turns(scene, random.Random(seed), ConvertOptions(extra={"count": 0}))
        answers += [t.answer for t in turns if t.task == "grounding"]
    assert 0.10 < answers.count("not present") / len(answers) < 0.20
    with pytest.raises(ConfigError, match="negatives"):
        scene_turns(scene, random.Random(0), ConvertOptions(extra={"negatives": 51}))


# -- COCO ----------------------------------------------------------------------------------------


def coco(root: Path, **more: Any) -> Path:
    for name in ("a.jpg", "b.jpg"):
        picture(root / "train2017" / name)
    images = [
        {"id": 1, "file_name": "a.jpg", "width": 200, "height": 100},
        {"id": 2, "file_name": "b.jpg", "width": 200, "height": 100},
        {"id": 3, "file_name": "gone.jpg", "width": 200, "height": 100},
        {"id": 4, "file_name": "b.jpg", "width": 0, "height": 100},
        "x",
    ]
    marks = [
        {"id": 1, "image_id": 1, "category_id": 18, "bbox": [20, 10, 40, 50]},
        {"id": 2, "image_id": 1, "category_id": 18, "bbox": [100, 10, 0, 50]},
        {"id": 3, "image_id": 1, "category_id": 1, "bbox": [100, 10, 20, 50]},
        {"id": 4, "image_id": 1, "category_id": 77, "bbox": [1, 1, 20, 50]},
        {"id": 5, "image_id": 99, "category_id": 1, "bbox": [1, 1, 20, 50]},
        {"id": 6, "image_id": 2, "category_id": 1, "bbox": [1, 1, 20, 50], "iscrowd": 1},
        {"id": 7, "image_id": 2, "category_id": 18, "bbox": [0, 50, 100, 50]},
    ]
    categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]
    data = {"images": images, "annotations": marks, "categories": categories}
    return save(root / "annotations" / "instances_train2017.json", {**data, **more})


def test_coco_exact(tmp_path: Path) -> None:
    coco(tmp_path)
    captions = [{"image_id": 1, "caption": "A dog \n and a person."}, {"image_id": 1}]
    save(tmp_path / "annotations" / "captions_train2017.json", {"annotations": captions})
    run = stable("coco", tmp_path, extra={"negatives": 0})
    record = run.json("coco-2-locate-0")
    kind, index = record["metadata"]["template"].split("/")
    assert record == {
        "id": "coco-2-locate-0",
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "image": "coco-2.jpg",
                        "metadata": {"width": 200, "height": 100},
                    },
                    {"type": "text", "text": BANKS[kind][int(index)].format(label='"dog"')},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "<ref>dog</ref><box>(0,500),(500,1000)</box>"}
                ],
            },
        ],
        "reasoning": "off",
        "source": "coco",
        "task": "grounding",
        "metadata": {"template": f"{kind}/{index}", "seed": 0},
    }
    # "dog" of picture 1 has an unusable box, "person" of picture 2 is a crowd.
    assert run.answer("coco-1-locate-0") == "<ref>person</ref><box>(500,100),(600,600)</box>"
    assert "coco-1-locate-1" not in run.made
    assert "coco-2-locate-1" not in run.made
    assert run.answer("coco-1-caption") == "A dog and a person."
    assert [(reason, where) for reason, where, _ in run.drops] == [
        ("missing_field", "captions_train2017.json:annotations[1]"),
        ("bad_value", "instances_train2017.json:annotations[4]"),
        ("bad_box", "instances_train2017.json:annotations[1]"),
        ("bad_value", "instances_train2017.json:annotations[3]"),
        ("missing_media", "instances_train2017.json:images[2]"),
        ("bad_value", "instances_train2017.json:images[3]"),
        ("wrong_type", "instances_train2017.json:images[4]"),
    ]
    assert run.drops[2][2] == "bbox: width 0 and height 50, expected > 0"


def test_coco_negatives_name_absent_kinds_only(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 2, "name": "car"}]
    path = coco(tmp_path, categories=categories)
    seen = set()
    for seed in range(30):
        run = Run("coco", path, seed=seed, extra={"negatives": 50})
        for key, made in run.made.items():
            if "locate" in key and run.answer(key) == "not present":
                seen.add(run.question(key).split('"')[1])
                assert made.record.id.startswith("coco-2-")  # picture 1 has an unknown category
    assert seen == {"car"}


def test_coco_refuses_other_json(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no list 'images'"):
        Run("coco", save(tmp_path / "instances_train.json", {"annotations": []}))
    with pytest.raises(InputError, match=r"categories\[0\] has no id and name"):
        Run("coco", coco(tmp_path, categories=[{"id": 1}]))
    with pytest.raises(ConfigError, match="locate"):
        Run("coco", coco(tmp_path), extra={"locate": "many"})


def test_coco_through_the_writer(tmp_path: Path) -> None:
    coco(tmp_path / "in")
    report = convert("coco", tmp_path / "in", tmp_path / "out", extra={"negatives": 0})
    assert report.written == sum(report.tasks.values()) > 3
    assert report.media == 2
    assert report.dropped == {"bad_value": 3, "bad_box": 1, "missing_media": 1, "wrong_type": 1}
    assert report.examples["bad_box"] == [
        "instances_train2017.json:annotations[1]: bbox: width 0 and height 50, expected > 0"
    ]
    with pytest.raises(ConfigError, match="did you mean 'negatives'"):
        convert("coco", tmp_path / "in", tmp_path / "out2", extra={"negative": 0})


def test_doclaynet(tmp_path: Path) -> None:
    picture(tmp_path / "PNG" / "page.png", 1025, 1025)
    names = ["Caption", "Text", "Title"]
    save(
        tmp_path / "COCO" / "train.json",
        {
            "images": [{"id": 5, "file_name": "page.png", "width": 1025, "height": 1025}],
            "annotations": [
                {"image_id": 5, "category_id": 2, "bbox": [102.5, 512.5, 820, 205]},
                {"image_id": 5, "category_id": 3, "bbox": [102.5, 102.5, 820, 51.25]},
            ],
            "categories": [{"id": i, "name": n} for i, n in enumerate(names, 1)],
        },
    )
    run = stable("doclaynet", tmp_path)
    assert run.answer("doclaynet-5-layout") == (
        "<ref>Title</ref><box>(100,100),(900,150)</box>\n"
        "<ref>Text</ref><box>(100,500),(900,700)</box>"
    )
    assert "Caption, Text, Title" in run.question("doclaynet-5-layout")
    answers = {run.answer(f"doclaynet-5-class-{i}") for i in (0, 1)}
    assert answers == {"Title", "Text"}


# -- Open Images ---------------------------------------------------------------------------------


def test_openimages(tmp_path: Path) -> None:
    for name in ("aa", "bb", "dd"):
        picture(tmp_path / "train" / f"{name}.jpg")
    header = (
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
        "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
    )
    rows = [
        "aa,x,/m/dog,1,0.1,0.3,0.25,0.5,0,0,0,0,0",
        "aa,x,/m/cat,1,0.5,0.9995,0.0,1.0,0,0,0,0,0",
        "bb,x,/m/cat,1,0.5,0.5,0.0,1.0,0,0,0,0,0",
        "bb,x,/m/dog,1,0.5,0.6,0.0,1.0,0,0,1,0,0",
        "cc,x,/m/dog,1,0.5,0.6,0.0,1.0,0,0,0,0,0",
        "dd,x,/m/nameless,1,0.5,0.6,0.0,1.0,0,0,0,0,0",
    ]
    save(tmp_path / "train-annotations-bbox.csv", "\n".join([header, *rows]) + "\n")
    save(tmp_path / "class-descriptions-boxable.csv", "/m/dog,Dog\n/m/cat,Cat\n/m/cow,Cow\n")
    save(
        tmp_path / "train-annotations-human-imagelabels-boxable.csv",
        "ImageID,Source,LabelName,Confidence\naa,verification,/m/cow,0\naa,verification,/m/dog,1\n",
    )
    run = stable("openimages", tmp_path, extra={"negatives": 50})
    located = [k for k in run.made if k.startswith("openimages-aa-locate")]
    answers = {run.question(k).split('"')[1]: run.answer(k) for k in located}
    assert answers["Dog"] == "<ref>Dog</ref><box>(100,250),(300,500)</box>"
    assert answers["Cat"] == "<ref>Cat</ref><box>(500,0),(1000,1000)</box>"
    assert answers.get("Cow", "not present") == "not present"
    assert [(reason, where) for reason, where, _ in run.drops] == [
        ("bad_box", "train-annotations-bbox.csv:4"),
        ("empty", "train-annotations-bbox.csv:4"),
        ("missing_media", "train-annotations-bbox.csv:6"),
        ("bad_value", "train-annotations-bbox.csv:7"),
        ("empty", "train-annotations-bbox.csv:7"),
    ]


# -- RefCOCO -------------------------------------------------------------------------------------


def test_refcoco(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "COCO_train2014_000000000009.jpg", 640, 480)
    image = {
        "id": 9,
        "file_name": "COCO_train2014_000000000009.jpg",
        "width": 640,
        "height": 480,
    }
    marks = [
        {"id": 70, "image_id": 9, "bbox": [64, 48, 128, 240]},
        {"id": 71, "image_id": 9, "bbox": [64, 48, 0, 240]},
        {"id": 72, "image_id": 8, "bbox": [64, 48, 10, 240]},
    ]
    save(tmp_path / "refcoco" / "instances.json", {"images": [image], "annotations": marks})
    said = [{"sent": "man in red"}, {"sent": "man in red"}, {"sent": "left guy"}]
    base = {"split": "train", "sentences": said}
    refs = [
        {**base, "ref_id": 0, "ann_id": 70},
        {**base, "ref_id": 1, "ann_id": 71},
        {**base, "ref_id": 2, "ann_id": 72},
        {**base, "ref_id": 3, "ann_id": 7000},
        {**base, "ref_id": 4, "ann_id": 70, "split": "val"},
        {**base, "ref_id": 5, "ann_id": 70, "sentences": []},
    ]
    save(tmp_path / "refcoco" / "refs.json", refs)
    run = stable("refcoco", tmp_path / "refcoco")
    box = "<box>(100,100),(300,600)</box>"
    assert sorted(run.made) == ["refcoco-0-phrase-0", "refcoco-0-phrase-1", "refcoco-0-region"]
    assert run.answer("refcoco-0-phrase-0") == f"<ref>man in red</ref>{box}"
    assert '"left guy"' in run.question("refcoco-0-phrase-1")
    assert box in run.question("refcoco-0-region")
    assert run.answer("refcoco-0-region") in ("man in red", "left guy")
    assert run.drops == [
        (
            "bad_box",
            "refs.json[1]",
            "instances.json:annotations[1].bbox: width 0 and height 240, expected > 0",
        ),
        (
            "bad_value",
            "refs.json[2]",
            "instances.json:annotations[2].image_id: 8 is not among the images",
        ),
        ("bad_value", "refs.json[3]", "ann_id: 7000 is not among the annotations"),
        ("empty", "refs.json[5]", "sentences: the list is empty"),
    ]


def test_pickled_references_are_refused(tmp_path: Path) -> None:
    (tmp_path / "refs(unc).p").write_bytes(b"x")
    with pytest.raises(InputError, match="a pickle can run any code"):
        Run("refcoco", tmp_path / "refs(unc).p")


# -- Scene text ----------------------------------------------------------------------------------


def test_textocr(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / "train_images" / f"{name}.jpg")
    images = {
        n: {"id": n, "file_name": f"train/{n}.jpg", "width": 200, "height": 100} for n in "ab"
    }
    words = {
        "a_1": ("STOP", [20, 10, 40, 10, 40, 20, 20, 20]),
        "a_2": (".", [20, 10, 40, 10, 40, 20, 20, 20]),
        "a_3": ("TURNED", [100, 10, 140, 50, 130, 60, 90, 20]),
        "a_4": ("flat", [1, 1, 1, 1, 1, 1]),
        "b_1": ("GO", [20, 10, 40, 10, 40, 20, 30, 25, 20, 20]),
    }
    marks = {k: {"id": k, "utf8_string": t, "points": p} for k, (t, p) in words.items()}
    listed = {"a": ["a_1", "a_2", "a_3", "a_4", "a_9"], "b": ["b_1"]}
    data = {"imgs": images, "anns": marks, "imgToAnns": listed}
    save(tmp_path / "TextOCR_0.1_train.json", data)
    run = stable("textocr", tmp_path, extra={"boxes": 5})
    assert run.answer("textocr-a-boxes") == (
        "<ref>STOP</ref><box>(100,100),(200,200)</box><ref>TURNED</ref><box>(450,100),(700,600)</box>"
    )
    assert run.answer("textocr-a-quads") == (
        "<ref>STOP</ref><quad>(100,100),(200,100),(200,200),(100,200)</quad>\n"
        "<ref>TURNED</ref><quad>(500,100),(700,500),(650,600),(450,200)</quad>"
    )
    found = {run.answer(k).split("</ref>")[0]: run[k].task for k in run.made if "-a-find" in k}
    assert found == {"<ref>STOP": "grounding", "<ref>TURNED": "grounding_quad"}
    assert "textocr-b-boxes" in run.made
    assert "textocr-b-quads" not in run.made  # five corners are no quadrilateral
    assert [(reason, where) for reason, where, _ in run.drops] == [
        ("illegible", "TextOCR_0.1_train.json:anns['a_2']"),
        ("bad_box", "TextOCR_0.1_train.json:anns['a_4']"),
        ("missing_field", "TextOCR_0.1_train.json:anns['a_9']"),
    ]


def test_hiertext(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "id1.jpg")
    line = {"vertices": [[20, 10], [100, 10], [100, 20], [20, 20]], "legible": True}
    paragraphs = [
        {"lines": [{**line, "text": "Hello there"}, {**line, "text": "", "legible": False}]},
        {"lines": [{**line, "text": " "}]},
    ]
    size = {"image_width": 200, "image_height": 100}
    rows = [
        {"image_id": "id1", **size, "paragraphs": paragraphs},
        {"image_id": "id2", **size, "paragraphs": paragraphs[1:]},
        {"image_id": "id1", **size, "paragraphs": 3},
    ]
    save(tmp_path / "train.json", {"annotations": rows})
    run = stable("hiertext", tmp_path)
    box = "<box>(100,100),(500,200)</box>"
    assert run.answer("hiertext-id1-boxes") == f"<ref>Hello there</ref>{box}"
    assert run.answer("hiertext-id1-region-0") == "Hello there"
    assert run.drops == [
        ("illegible", "train.json:annotations[0]", "paragraphs[0].lines[1]: marked as illegible"),
        ("empty", "train.json:annotations[0]", "paragraphs[1].lines[0].text is blank"),
        ("empty", "train.json:annotations[1]", "paragraphs[0].lines[0].text is blank"),
        ("empty", "train.json:annotations[1]", "the picture has no legible text"),
        ("wrong_type", "train.json:annotations[2]", "paragraphs: got int, expected a list"),
    ]
