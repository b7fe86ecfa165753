from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from rasterio.errors import NotGeoreferencedWarning

from geotranslate import prepare_data
from geotranslate.chips.layouts.base import TRAIN, VALIDATION
from geotranslate.data.plotting import SPLIT_COLORS
from geotranslate.errors import InvalidInputError, UnknownArgumentError
from tests.conftest import NORTH_UP, WriteRaster, values

WriteChips = Callable[..., Path]


@pytest.fixture(autouse=True)
def close_figures() -> Any:
    yield
    pyplot.close("all")


@pytest.mark.parametrize(
    ("options", "rows"),
    [({}, 4), ({"rows": 2}, 2), ({"max_n": 1}, 1), ({"rows": np.int64(3), "unique": True}, 3)],
)
def test_as_many_pairs_are_drawn_as_are_asked_for(
    write_chips: WriteChips, options: dict[str, Any], rows: int
) -> None:
    prepare_data(write_chips()).show_batch(**options)
    assert len(pyplot.gcf().axes) == 2 * rows


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rows": 0}, "rows is 0; give a whole number of at least 1"),
        ({"max_n": 0}, "max_n is 0; give a whole number of at least 1"),
        ({"rgb_bands": 1.5}, "rgb_bands is 1.5; give three numbers of bands, or one to draw it in"),
        ({"rgb_bands": True}, "rgb_bands is True; give three numbers"),
        ({"rgb_bands": [True, 2, 3]}, "rgb_bands is .*; give three numbers"),
        ({"rgb_bands": "red"}, "rgb_bands is 'red'; give three numbers"),
    ],
)
def test_pictures_that_cannot_be_drawn_are_said(
    write_chips: WriteChips, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        prepare_data(write_chips()).show_batch(**options)


def test_unknown_arguments_of_pictures_are_said(write_chips: WriteChips) -> None:
    with pytest.raises(UnknownArgumentError, match="no argument 'row'; perhaps rows is meant"):
        prepare_data(write_chips()).show_batch(row=2)


def test_bands_to_draw_may_be_numpys(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips())
    for bands in (np.array([3, 2, 1]), np.int64(2), range(1, 4)):
        data.show_batch(rows=1, rgb_bands=bands)


@pytest.mark.parametrize("step", [1, 0.5])
def test_colors_of_the_split_are_those_of_their_labels(
    write_chips: WriteChips, step: float
) -> None:
    folder = write_chips(count=10, step=step)
    data = prepare_data(folder)
    axes = data.plot_split()
    drawn = [to_rgb(color) for color in axes.collections[0].get_facecolor()]
    parts = (data.split.train, data.split.validation, data.split.tests, data.split.left_out)
    for positions, color in zip(parts, SPLIT_COLORS.values(), strict=True):
        assert {drawn[i] for i in positions} <= {to_rgb(color)}
    legend = axes.get_legend()
    shown = {
        text.get_text(): to_rgb(patch.get_facecolor())
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }
    present = [label for label, part in zip(SPLIT_COLORS, parts, strict=True) if part]
    assert shown == {label: to_rgb(SPLIT_COLORS[label]) for label in present}


def test_what_is_hidden_in_training_targets_is_not_drawn_as_training(
    write_chips: WriteChips,
) -> None:
    data = prepare_data(write_chips(count=10, step=0.5))
    drawn = [
        path.get_extents().size.prod() for path in data.plot_split().collections[0].get_paths()
    ]
    for i, area in enumerate(drawn):
        assert area == pytest.approx(128**2 / (2 if i in data.split.masks else 1))


@pytest.mark.parametrize(
    ("crs", "lines"),
    [
        (("EPSG:4326", "EPSG:4326"), ("CRS     EPSG:4326", "pixel   2 x 2 degree")),
        (("EPSG:32633", "EPSG:32633"), ("CRS     EPSG:32633", "pixel   2 x 2 metre")),
        ((None, "EPSG:32633"), ("CRS     EPSG:32633", "pixel   2 x 2 metre")),
        ((None, None), ("CRS     none", "pixel   unknown")),
    ],
)
def test_summary_says_where_pairs_lie_whichever_side_knows(
    write_raster: WriteRaster, tmp_path: Path, crs: tuple[str | None, ...], lines: tuple[str, ...]
) -> None:
    place = NORTH_UP if crs[1] != "EPSG:4326" else Affine(2, 0, 9, 0, -2, 80)
    for number in range(3):
        for side, known in zip(("images", "images2"), crs, strict=True):
            write_raster(
                f"{side}/{number}.tif",
                values((1, 8, 8), "uint8", number),
                crs=known,
                transform=place @ Affine.translation(number * 8, 0),
            )
    text = str(prepare_data(tmp_path).summary())
    for line in lines:
        assert line in text.splitlines()


@pytest.mark.parametrize("shift", [0, 0.5])
def test_summary_says_whether_a_raster_was_warped(write_raster: WriteRaster, shift: float) -> None:
    source = write_raster("a.tif", values((1, 64, 64), "uint8"))
    place = NORTH_UP @ Affine.translation(shift, shift)
    target = write_raster("b.tif", values((1, 64, 64), "float32"), transform=place)
    summary = str(prepare_data(source, target, chip_size=16).summary())
    warped = "the target laid onto the source's grid (bilinear resampling)"
    assert (warped in summary) == bool(shift)


def test_names_of_rasters_are_kept_as_they_are(
    write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rasters = [
        write_raster(f"{n}.tif", values((1, 64, 64), "uint8", i)).as_uri().replace("///", "////")
        for i, n in enumerate("ab")
    ]
    data = prepare_data(*rasters, chip_size=16)
    assert f"folder  {rasters[0]}" in str(data.summary()).splitlines()
    assert data.path.is_dir()


def test_summary_says_what_is_on_both_sides(write_sides: WriteChips) -> None:
    folder = write_sides(sizes=(32, 48), crs=("EPSG:32633", "EPSG:32618"))
    text = str(prepare_data(folder).summary()).splitlines()
    assert "layout        A + B, unpaired" in text
    assert "source chips  4 training, 1 validation" in text
    assert "target chips  7 training, 1 validation" in text
    assert text.index("CRS           EPSG:32633") < text.index(
        "target chips  7 training, 1 validation"
    )
    assert "size          48 x 48 px, used as 32 x 32" in text
    assert "pixel         2 x 2 metre" in text
    assert sum(line.startswith("target  ") for line in text) == 1


def test_summary_says_where_targets_are_drawn(write_chips: WriteChips) -> None:
    folder = write_chips()
    line = "targets  drawn at random in training"
    for paired in (True, False):
        text = str(prepare_data(folder, paired=paired).summary())
        assert (line in text) == (not paired)


def test_every_side_has_a_map_of_its_split(write_sides: WriteChips) -> None:
    data = prepare_data(write_sides())
    axes = data.plot_split()
    assert [axis.get_legend().get_title().get_text() for axis in axes] == ["source", "target"]
    for axis, split, count in zip(axes, data.split, (5, 8), strict=True):
        drawn = [to_rgb(color) for color in axis.collections[0].get_facecolor()]
        assert len(drawn) == count
        for positions, label in ((split.train, TRAIN), (split.validation, VALIDATION)):
            assert {drawn[i] for i in positions} == {to_rgb(SPLIT_COLORS[label])}


def test_side_without_ground_has_no_map(write_sides: WriteChips) -> None:
    place = {"transform": None, "crs": None}
    folder = write_sides(crs=("EPSG:32633", "EPSG:32633"))
    for path in (folder / "B").iterdir():
        with rasterio.open(path) as chip:
            pixels = chip.read()
        write_picture(path, pixels, **place)
    data = prepare_data(folder)
    (axis,) = data.plot_split()
    assert axis.get_legend().get_title().get_text() == "source"
    for path in (folder / "A").iterdir():
        with rasterio.open(path) as chip:
            pixels = chip.read()
        write_picture(path, pixels, **place)
    with pytest.raises(InvalidInputError, match="The chips have no CRS, so there is no map"):
        prepare_data(folder).plot_split()


def write_picture(path: Path, pixels: Any, **options: Any) -> None:
    bands, rows, cols = pixels.shape
    shape = {"count": bands, "height": rows, "width": cols, "dtype": pixels.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        path.unlink()
        with rasterio.open(path, "w", driver="GTiff", **shape, **options) as written:
            written.write(pixels)


def test_gaps_of_unpaired_chips_are_drawn_in_their_own_picture(write_raster: WriteRaster) -> None:
    for number in range(3):
        place = NORTH_UP @ Affine.translation(number * 16, 0)
        data = values((3, 16, 16), "uint8", number)
        write_raster(f"c/A/{number}.tif", data, transform=place)
        valid = np.zeros((16, 16), bool)
        valid[:8] = True
        path = write_raster(f"c/B/{number}.tif", data, transform=place, valid=valid)
        folder = path.parents[1]
    prepare_data(folder, transforms=False).show_batch(rows=1)
    source, target = (axis.images[0].get_array() for axis in pyplot.gcf().axes)
    assert (source[..., 3] == 1).all()
    assert (target[8:, :, 3] == 0).all()
    assert (target[:8, :, 3] == 1).all()
