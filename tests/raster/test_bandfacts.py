from __future__ import annotations

import json
from pathlib import Path

import pytest
import rasterio
from rasterio.enums import ColorInterp

from geotranslate.raster.bandfacts import BandFacts
from tests.conftest import WriteRaster, values

TWO = BandFacts((0.1, 2.0), (0.0, 5.0), ("m", ""), ("nir", "undefined"))


def facts_of(path: Path, *indexes: int) -> BandFacts:
    with rasterio.open(path) as dataset:
        return BandFacts.of(dataset, indexes)


def test_plain_files_say_nothing_but_colors(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", values((3, 4, 4), "uint8"), photometric="RGB")
    assert facts_of(path, 1, 2, 3) == BandFacts(colors=("red", "green", "blue"))
    assert facts_of(path, 3, 1) == BandFacts(colors=("blue", "red"))
    assert facts_of(path, 1, 2, 3).is_rgb and not facts_of(path, 3, 1).is_rgb


def test_bands_that_are_used_are_told_of_in_their_order(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", values((3, 4, 4), "int16"))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (1, 2, 3), (0, 0, 7)
        dataset.units = ("", "m", "K")
        dataset.colorinterp = [ColorInterp.gray, ColorInterp.nir, ColorInterp.undefined]
    expected = BandFacts((3, 2), (7, 0), ("K", "m"), ("undefined", "nir"))
    assert facts_of(path, 3, 2) == expected
    assert facts_of(path, 1) == BandFacts(colors=("gray",))


def test_color_table_is_not_a_color_of_the_band(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", values((1, 4, 4), "uint8"), colormap={1: (9, 9, 9, 255)})
    assert facts_of(path, 1).colors == ("gray",)


@pytest.mark.parametrize("facts", [BandFacts(), TWO])
def test_facts_survive_json(facts: BandFacts) -> None:
    assert BandFacts.from_json(json.loads(json.dumps(facts.to_json())), 2) == facts


def test_facts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="not those of 3 bands"):
        BandFacts.from_json(TWO.to_json(), 3)
    with pytest.raises(ValueError, match=r"colors\[0\] is 'mauve'; give one of undefined, gray"):
        BandFacts.from_json({**TWO.to_json(), "colors": ["mauve", "red"]}, 2)


def test_deviation_has_neither_offset_nor_color() -> None:
    assert BandFacts().with_deviation() == BandFacts()
    mixed = BandFacts(
        (0.1, 2.0, 1.0), (0.0, 5.0, 0.0), ("m", "", ""), ("nir", "undefined", "undefined")
    )
    assert TWO.with_deviation() == mixed
    same = BandFacts((0.1, 0.1), (), ("m", "m"), ())
    assert same.with_deviation() == BandFacts((0.1,) * 3, (), ("m",) * 3, ())
