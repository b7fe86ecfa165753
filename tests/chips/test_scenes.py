"""Chips are known by the scenes that they were cut from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geotranslate import export_chips, prepare_data
from geotranslate.chips.scenes import matching_bands, quantiles_of_raster, scenes_of
from geotranslate.errors import InvalidInputError
from geotranslate.raster.reader import RasterReader
from tests.conftest import WriteRaster, read_pairs, values


def test_chips_of_an_export_have_the_names_of_their_scenes(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    scenes = [
        write_raster(f"{name}.tif", values((1, 64, 128), "uint8", n)) for n, name in enumerate("ab")
    ]
    export_chips(scenes, scenes[::-1], tmp_path / "out", tile_size=64)
    found = scenes_of(read_pairs(tmp_path / "out").sources)
    assert found == (str(scenes[0]),) * 2 + (str(scenes[1]),) * 2
    # Both sides of a pair have the scene of its source.
    assert scenes_of(read_pairs(tmp_path / "out").targets) == found


def test_windows_of_a_raster_are_of_it_and_other_chips_of_no_known_scene(
    write_raster: WriteRaster, write_chips: Callable[..., Path]
) -> None:
    one = write_raster("one.tif", values((1, 64, 128), "uint8"))
    two = write_raster("two.tif", values((1, 64, 128), "uint8", 1))
    data = prepare_data(one, two, chip_size=64, val_split_pct=0.5)
    assert scenes_of(data.folder.sources) == (str(one),) * 2
    assert scenes_of(read_pairs(write_chips(count=3)).sources) == (None,) * 3


@pytest.mark.parametrize(
    ("names", "bands", "expected"),
    [
        (("b", "a"), 2, (2, 1)),
        (("b", "a", "c"), 3, (2, 1)),
        ((), 2, (1, 2)),
        ((), 5, (4, 2)),
        ((), 3, None),
    ],
)
def test_bands_of_a_raster_are_found_by_name_or_number(
    write_raster: WriteRaster,
    write_chips: Callable[..., Path],
    names: tuple[str, ...],
    bands: int,
    expected: tuple[int, ...] | None,
) -> None:
    side = prepare_data(write_chips(source=(2, "uint8"))).card.source
    side = replace(side, band_names=("a", "b"), indexes=(4, 2), file_bands=5)
    with RasterReader(write_raster("s.tif", values((bands, 9, 9), "uint8"), names=names)) as found:
        assert matching_bands(side, found) == expected


def test_rasters_that_cannot_be_compared_are_refused(
    write_raster: WriteRaster, write_chips: Callable[..., Path]
) -> None:
    side = prepare_data(write_chips()).card.source
    with pytest.raises(InvalidInputError, match=r"s.tif has 2 bands but the source has 3; give"):
        quantiles_of_raster(write_raster("s.tif", values((2, 9, 9), "uint8")), side)
    empty = write_raster("e.tif", np.full((3, 9, 9), np.nan, "float32"))
    with pytest.raises(InvalidInputError, match=r"e.tif has no valid pixel in windows"):
        quantiles_of_raster(empty, side)
