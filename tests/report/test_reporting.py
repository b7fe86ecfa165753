"""Laws of reports: their size, what they ask for, what they may not run, and their contents."""

from __future__ import annotations

import html.parser
import json
import re
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from shapely.geometry import box

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError
from geotranslate.report.content import page_name
from tests.conftest import NORTH_UP, WriteRaster
from tests.report.conftest import HEIGHT, WIDTH, Made, small_tiles, waves


class Parser(html.parser.HTMLParser):
    """Elements of a page, with their attributes, and the texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        last = self.elements[-1] if self.elements else ("", {})
        (self.scripts if last[0] == "script" else self.words).append(data)


def test_the_page_asks_for_nothing(made: Made) -> None:
    page = Parser(made.text)
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "srcset", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/webp;base64,", "#")), (tag, value)
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
    policy = next(
        attributes["content"]
        for tag, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|https?://", made.text)


def test_all_parts_are_there(made: Made) -> None:
    text = made.text
    for part in ("scenes", "limits", "model", "training", "data", "reproduce"):
        assert f'<section id="{part}"' in text
    assert text.count("<article") == 2 and text.count("<polyline") == 2
    for words in (
        "Compared with truth.tif",
        "its error is not known",
        "Skill over simple translations",
        "a linear map of the source",
        "no training pixel has",
        "A pixel of the training data is 2",
        "--scene scene.tif=truth.tif --scene alone.tif",
        made.model.digest(),
        "near</th>",
    ):
        assert words in text, words
    page = Parser(text)
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert all(image["alt"] for image in images)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(b - a <= 1 for a, b in pairwise(levels))


def test_equal_inputs_make_equal_pages(model: Pix2Pix, tmp_path: Path) -> None:
    scene = next((tmp_path / "chips" / "images").iterdir())
    pages = [model.report(tmp_path / f"{i}" / "a.html", [scene]) for i in _folders(tmp_path)]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def _folders(place: Path) -> list[str]:
    for name in "12":
        (place / name).mkdir()
    return ["1", "2"]


@pytest.mark.parametrize("size", [0.15])
def test_the_size_is_kept(
    made: Made, tmp_path: Path, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_tiles(monkeypatch)
    page = made.model.report(
        tmp_path / "a.html", [(made.scene, made.truth)], max_size=size, progress=False
    )
    assert page.stat().st_size <= size * 1e6
    found = re.search(r'id="viewer-1">(.*?)</script>', page.read_text("utf-8"))
    assert found is not None
    facts = json.loads(found[1])
    assert facts["sizes"][0] == [HEIGHT, WIDTH] and facts["step"] > 1
    with pytest.raises(InvalidInputError, match=r"max_size is 0.01 MB but the report needs 0\.\d+"):
        made.model.report(tmp_path / "b.html", [made.scene], max_size=0.01, progress=False)
    assert not (tmp_path / "b.html").exists()


def test_names_of_strangers_are_text(write_raster: WriteRaster, tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    script = "</script><script>alert(1)</script>"
    for chip in range(4):
        place = {"transform": NORTH_UP @ Affine.translation(64 * chip, 0)}
        for side in ("images", "images2"):
            write_raster(f"c/{side}/{chip}.tif", waves(1, 64, 64, chip), names=(evil,), **place)
    model = Pix2Pix(prepare_data(tmp_path / "c"), recipe="seamless", ngf=4, ndf=4)
    model.history.append({script: 1.0, evil: 2.0})
    scene = write_raster("<b>&'\".tif", waves(1, 40, 40), names=(evil,))
    truth = write_raster("<i>truth.tif", waves(1, 40, 40), names=(evil,))
    zones = gpd.GeoDataFrame(
        {"name": [script]}, geometry=[box(500_000, 4_999_900, 500_100, 5_000_000)], crs=32633
    )
    text = model.report(tmp_path / "a.html", [(scene, truth)], zones=zones).read_text("utf-8")
    page = Parser(text)
    assert evil not in text and script not in text
    assert {tag for tag, _ in page.elements}.isdisjoint({"b", "i"})
    words = "".join(page.words)
    assert evil in words and script in words and "<b>&'\".tif" in words
    assert len([tag for tag, _ in page.elements if tag == "script"]) == 2


def test_a_page_is_written_whole_or_not_at_all(
    model: Pix2Pix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = model.report(tmp_path / "a.html")
    before = page.read_bytes()
    with pytest.raises(OutputExistsError, match=r"a.html exists; give another name or pass over"):
        model.report(page)
    with pytest.raises(RasterFileError, match=r"missing.tif cannot be opened"):
        model.report(page, ["missing.tif"], overwrite=True)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RasterFileError, match=r"report \S+a.html cannot be written: .*No space"):
        model.report(page, overwrite=True)
    assert page.read_bytes() == before and [*tmp_path.glob(".*")] == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"path": "a.pdf"}, "path is a.pdf, and the report is one HTML file; give a name that"),
        ({"path": "no/where/a.html"}, "The folder no/where of the report a.html does not exist"),
        ({"path": 3}, "path is 3; give the path of a file"),
        ({"scenes": "a.tif"}, "scenes is 'a.tif'; give a list of pairs"),
        ({"scenes": ("a.tif", "b.tif")}, r"scenes is \('a.tif', 'b.tif'\); give a list of pairs"),
        ({"scenes": [("a.tif",)]}, r"Item 1 of scenes is \('a.tif',\); give a scene, or a pair"),
        ({"scenes": 3}, "scenes is 3; give a list"),
        ({"max_size": 0}, "max_size is 0; give a number above 0"),
        ({"rgb_bands": (1, 2)}, r"rgb_bands is \(1, 2\); give three numbers of bands, or one"),
        ({"rgb_bands": 0}, "rgb_bands is 0; give a whole number of at least 1"),
        ({"overwrite": 1}, "overwrite is 1; give True or False"),
        ({"progress": "no"}, "progress is 'no'; give True or False"),
        ({"direction": "BtoA"}, "direction is 'BtoA', but a Pix2Pix translates from source"),
    ],
)
def test_wrong_values_end_in_sentences(
    model: Pix2Pix, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises((InvalidInputError, RasterFileError), match=sentence):
        model.report(**{"path": tmp_path / "a.html", **options})


def test_other_grids_and_16_bit(write_raster: WriteRaster, tmp_path: Path) -> None:
    for chip in range(4):
        place = {"transform": NORTH_UP @ Affine.translation(64 * chip, 0)}
        deep = waves(2, 64, 64, chip).astype("uint16") * 90
        write_raster(f"c/images/{chip}.tif", deep, nodata=0, **place)
        write_raster(f"c/images2/{chip}.tif", deep[:1] + 7, **place)
    alone = Pix2Pix(prepare_data(tmp_path / "c").card, recipe="seamless", ngf=4, ndf=4)
    scene = waves(2, 80, 90, 5).astype("uint16") * 90
    scene[:, :10, :10] = 0
    places = [
        write_raster("scene.tif", scene, nodata=0),
        # Half as large pixels, from 10 pixels farther east.
        write_raster(
            "truth.tif",
            scene[:1, :, 10:].repeat(2, 1).repeat(2, 2),
            transform=NORTH_UP @ Affine.translation(10, 0) @ Affine.scale(0.5),
        ),
    ]
    text = alone.report(tmp_path / "a.html", [tuple(places)], progress=False).read_text("utf-8")
    facts = json.loads(re.search(r'id="viewer-1">(.*?)</script>', text)[1])  # type: ignore[index]
    layers = {each["key"]: each["values"] for each in facts["layers"]}
    assert layers["source"]["type"] == layers["truth"]["type"] == "uint16"
    assert layers["source"]["valid"] and layers["truth"]["valid"]
    assert '<section id="data"' not in text and "stretched" not in text
    assert "a linear map fitted on this scene" in text


@pytest.mark.parametrize("colored", [False, True])
def test_classes_and_palettes(write_raster: WriteRaster, tmp_path: Path, colored: bool) -> None:
    colors = np.array([[250, 250, 250], [180, 60, 40], [0, 90, 160]], "uint8")
    chance = np.random.default_rng(0)

    def labels(side: int) -> Any:
        return chance.integers(0, 3, (side // 8, side // 8)).repeat(8, 0).repeat(8, 1)

    for chip in range(4):
        place = {"transform": NORTH_UP @ Affine.translation(64 * chip, 0)}
        found = labels(64)
        target = colors[found].transpose(2, 0, 1) if colored else found[None].astype("uint8")
        write_raster(f"c/images/{chip}.tif", waves(3, 64, 64, chip), **place)
        write_raster(f"c/images2/{chip}.tif", target, **place)
    expected = nullcontext() if colored else pytest.warns(match="taken for 3 classes")
    with expected:
        data = prepare_data(tmp_path / "c")
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    found = labels(64)
    truth = colors[found].transpose(2, 0, 1) if colored else found[None].astype("uint8")
    scenes = [(write_raster("s.tif", waves(3, 64, 64)), write_raster("t.tif", truth))]
    palette = {place: color.tolist() for place, color in enumerate(colors)} if colored else None
    zones = gpd.GeoSeries([box(500_000, 4_999_900, 500_100, 5_000_000)], crs=32633)
    text = model.report(
        tmp_path / "a.html", scenes, palette=palette, zones=zones, progress=False
    ).read_text("utf-8")
    for words in ("have the right class", "Where the pixels of each class went", "wrong", "IoU"):
        assert words in text
    facts = json.loads(re.search(r'id="viewer-1">(.*?)</script>', text)[1])  # type: ignore[index]
    kinds = {each["key"]: each["classes"] for each in facts["layers"]}
    assert kinds["error"] and kinds["truth"] is not colored
    assert ("--color 1:180,60,40" in text) is colored


def test_scenes_of_training_ground_are_named(model: Pix2Pix, tmp_path: Path) -> None:
    chip = tmp_path / "chips" / "images" / "0.tif"
    text = model.report(tmp_path / "a.html", [chip], progress=False).read_text("utf-8")
    assert "of the scene is ground that the model was trained on" in text


def test_queries_of_urls_are_not_shown() -> None:
    assert page_name("https://a.org/b/c.tif?token=secret") == "c.tif"
    assert page_name("/vsicurl/https://a.org/c.tif?token=secret") == "c.tif"
    both = "https://a.org/c.tif?token=1", "/vsicurl/https://b.org/d.tif?x=2"
    assert page_name("+".join(both), "c.tif?token=1+d.tif?x=2") == "c.tif+d.tif"
    assert page_name("/home/me/what?.tif") == "what?.tif"
