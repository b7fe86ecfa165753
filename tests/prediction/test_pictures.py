"""Images that `predict` takes, and pictures that it draws and writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import InvalidInputError, OutputExistsError

WriteChips = Callable[..., Path]


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """Return rows, columns and bands."""
    return np.random.default_rng(0).integers(0, 255, (40, 70, 3)).astype(np.uint8)


@pytest.fixture
def rgb_model(write_chips: WriteChips) -> Pix2Pix:
    """Return an untrained model of pictures to pictures."""
    data = prepare_data(write_chips(count=4, target=(3, "uint8")))
    return Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)


def test_bands_may_come_last_and_pictures_may_be_of_pil(
    fresh_model: Pix2Pix, image: NDArray[np.uint8]
) -> None:
    first = fresh_model.predict(np.moveaxis(image, 2, 0))
    assert first.shape == (1, 40, 70)
    assert np.array_equal(fresh_model.predict(image), first)
    assert np.array_equal(fresh_model.predict(Image.fromarray(image)), first)


def test_alpha_of_a_picture_is_its_mask(write_chips: WriteChips, image: NDArray[np.uint8]) -> None:
    data = prepare_data(write_chips(count=4, target=(1, "float32")))
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    alpha = np.full((40, 70, 1), 255, np.uint8)
    alpha[:9] = 0
    translated = model.predict(Image.fromarray(np.concatenate([image, alpha], axis=2)))
    assert np.isnan(translated[:, :9]).all() and np.isfinite(translated[:, 9:]).all()


def test_colors_of_a_palette_are_bands(fresh_model: Pix2Pix, image: NDArray[np.uint8]) -> None:
    picture = Image.fromarray(image).quantize(8)
    expected = fresh_model.predict(np.asarray(picture.convert("RGB")))
    assert np.array_equal(fresh_model.predict(picture), expected)


@pytest.mark.parametrize("given", [np.zeros((4, 9, 5)), np.zeros((9, 9)), Image.new("L", (9, 9))])
def test_other_bands_are_said(fresh_model: Pix2Pix, given: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"band|rows, cols"):
        fresh_model.predict(given)


def test_translations_are_drawn(fresh_model: Pix2Pix, image: NDArray[np.uint8]) -> None:
    plt.close("all")
    translated = fresh_model.predict(image, show=True)
    assert translated.shape == (1, 40, 70)
    assert [axis.get_title() for axis in plt.gcf().axes] == ["source", "translation"]
    plt.close("all")


@pytest.mark.parametrize("name", ["a.png", "a.JPG", "a.jpeg"])
def test_the_ending_says_the_format(
    rgb_model: Pix2Pix, image: NDArray[np.uint8], tmp_path: Path, name: str
) -> None:
    translated = rgb_model.predict(image, output=tmp_path / name)
    with Image.open(tmp_path / name) as written:
        assert written.format == ("PNG" if name.endswith("png") else "JPEG")
        pixels = np.moveaxis(np.asarray(written), 2, 0)
    assert pixels.shape == translated.shape
    if name == "a.png":
        assert np.array_equal(pixels, translated)
    assert [path.name for path in tmp_path.glob("*a.*")] == [name]
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        rgb_model.predict(image, output=tmp_path / name)
    rgb_model.predict(image, output=tmp_path / name, overwrite=True)


def test_impossible_pictures_are_said_before_translating(
    write_chips: WriteChips, image: NDArray[np.uint8], tmp_path: Path
) -> None:
    data = prepare_data(write_chips(count=4, target=(1, "float32")))
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    with pytest.raises(InvalidInputError, match=r"1 x float32, which a PNG cannot hold; write a"):
        model.predict(image, output=tmp_path / "a.png")
    with pytest.raises(InvalidInputError, match=r"give the file to predict_raster\(path, output\)"):
        model.predict(image, output=tmp_path / "a.tif")
    with pytest.raises(InvalidInputError, match="give True or False"):
        model.predict(image, show="yes")  # type: ignore[arg-type]


def test_classes_keep_their_colors(
    write_chips: WriteChips, image: NDArray[np.uint8], tmp_path: Path
) -> None:
    colors = {value: (value, 255 - value, 7, 255) for value in range(256)}
    folder = write_chips(count=4)
    for path in folder.glob("images2/*.tif"):
        with rasterio.open(path, "r+") as chip:
            chip.write(chip.read() // 200 * 200)
            chip.write_colormap(1, colors)
    data = prepare_data(folder, target_classes=True)
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    translated = model.predict(image, output=tmp_path / "classes.png")
    with rasterio.open(tmp_path / "classes.png") as written:
        assert np.array_equal(written.read(), translated)
        assert written.colormap(1)[200] == colors[200]
    with pytest.raises(InvalidInputError, match="are classes, which a JPEG cannot hold"):
        model.predict(image, output=tmp_path / "classes.jpg")
