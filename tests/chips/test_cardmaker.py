from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geotranslate import prepare_data
from geotranslate.errors import GeotranslateWarning
from tests.conftest import WriteRaster, values

WriteChips = Callable[..., Path]


def give_nodata(folder: Path, numbers: list[float | None]) -> None:
    """Give the chips of a folder nodata values, in turn."""
    for number, path in enumerate(sorted(folder.iterdir())):
        with rasterio.open(path, "r+") as chip:
            chip.nodata = numbers[number % len(numbers)]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(
    ("numbers", "shown"), [([-9999, -1], "-9999, -1|-1, -9999"), ([np.nan, 0], "nan, 0|0, nan")]
)
def test_different_nodata_values_of_a_side_are_said(
    write_chips: WriteChips, side: str, numbers: list[float | None], shown: str
) -> None:
    folder = write_chips(source=(1, "float32"), target=(1, "float32"))
    give_nodata(folder / ("images" if side == "source" else "images2"), numbers)
    sentence = (
        rf"The {side} chips differ in their nodata value \(({shown})\): each chip is read by its "
        r"own, but the model keeps \S+ alone\. Export them again from rasters with one nodata"
    )
    with pytest.warns(GeotranslateWarning, match=sentence) as caught:
        card = prepare_data(folder).card
    kept = getattr(card, side).nodata
    assert f"keeps {kept:g} alone" in str(caught[0].message)
    # The place that is named is the user's.
    assert caught[0].filename == __file__


@pytest.mark.parametrize("numbers", [[0], [np.nan], [None], [None, 0], [0, None, None]])
def test_one_nodata_value_or_none_is_kept_without_a_word(
    write_chips: WriteChips, numbers: list[float | None]
) -> None:
    folder = write_chips(target=(1, "float32"))
    give_nodata(folder / "images2", numbers)
    kept = prepare_data(folder).card.target.nodata
    assert [kept] == pytest.approx([n for n in numbers if n is not None][:1] or [None], nan_ok=True)


def test_different_scales_of_a_side_are_said(write_chips: WriteChips) -> None:
    folder = write_chips(target=(1, "uint16"))
    for number, path in enumerate(sorted((folder / "images2").iterdir())):
        with rasterio.open(path, "r+") as chip:
            chip.scales, chip.units = (0.5,), ("m",)
            chip.offsets = (-1000.0 if number else 0.0,)
    sentence = (
        r"The target chips differ in scale, offset or unit \(scale 0\.5, (offset -1000\.0, )?"
        r"unit m / .*\), but their stored values are taken as they are\. Bring their rasters to"
    )
    with pytest.warns(GeotranslateWarning, match=sentence) as caught:
        prepare_data(folder)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("share", [0.0, 0.125, 0.25])
def test_summary_says_the_share_of_nodata_of_each_side(
    write_raster: WriteRaster, tmp_path: Path, share: float
) -> None:
    for number in range(4):
        for side in ("images", "images2"):
            data = values((1, 64, 64), "float32", number)
            # In half of the target chips, twice the share of their rows.
            if side == "images2" and number % 2:
                data[:, : int(64 * 2 * share)] = -1e9
            write_raster(f"{side}/{number}.tif", data, nodata=-1e9, crs=None, transform=None)
    summary = str(prepare_data(tmp_path).summary())
    assert f"target  1 band of float32, {share:.1%} nodata" in summary
    assert "source  1 band of float32, 0.0% nodata" in summary
