"""Exports whose target chips have finer or coarser pixels than their source chips."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry import box

from geotranslate import export_chips, prepare_data
from geotranslate.errors import GeotranslateError, InvalidInputError
from tests.conftest import NORTH_UP, WriteRaster, values

SIZES = {"finer": Fraction(4), "coarser": Fraction(1, 2)}


@pytest.fixture
def rasters(write_raster: WriteRaster) -> Any:
    """Return a function that writes a source of 2 m and a target of other pixels of its ground."""

    def write(factor: Fraction, rows: int = 96, cols: int = 80) -> tuple[Path, Path]:
        source = write_raster("source.tif", values((2, rows, cols), "uint8"))
        shape = (1, int(rows * factor), int(cols * factor))
        target = values(shape, "uint8", seed=1) | 1
        target[0, :3, :3] = 0
        place = NORTH_UP @ Affine.scale(1 / float(factor))
        return source, write_raster("target.tif", target, transform=place, nodata=0)

    return write


def pixels_of(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        found: NDArray[Any] = dataset.read()
    return found


@pytest.mark.parametrize(("name", "wanted"), [("finer", "own"), ("coarser", "meters")])
def test_target_chips_are_its_own_pixels_under_the_source_chips(
    rasters: Any, tmp_path: Path, name: str, wanted: str
) -> None:
    factor = SIZES[name]
    source, target = rasters(factor)
    size = 2 / float(factor)
    done = export_chips(
        source,
        target,
        tmp_path / "chips",
        tile_size=32,
        stride=16,
        target_resolution="own" if wanted == "own" else size,
        progress=False,
    )
    assert not done.target_warped
    whole = pixels_of(target)
    frame = gpd.read_file(done.folder / "chips.gpkg")
    assert len(frame) == done.pairs == 20
    for row in frame.itertuples():
        chip = done.folder / "images2" / f"{row.name}.tif"
        top, left = int(row.row * factor), int(row.col * factor)
        side = int(32 * factor)
        np.testing.assert_array_equal(
            pixels_of(chip), whole[:, top : top + side, left : left + side]
        )
        with (
            rasterio.open(chip) as there,
            rasterio.open(done.folder / "images" / f"{row.name}.tif") as here,
        ):
            assert here.shape == (32, 32)
            np.testing.assert_allclose(there.bounds, here.bounds)
    data = prepare_data(done)
    assert data.card.factor == factor
    again = export_chips(
        source,
        target,
        tmp_path / "chips",
        tile_size=32,
        stride=16,
        target_resolution="own",
        append=True,
        progress=False,
    )
    assert again.pairs == 20
    with pytest.raises(InvalidInputError, match=r"not like the new ones: .* has .* px and"):
        export_chips(source, target, done, tile_size=32, append=True, progress=False)


def test_by_default_the_target_has_the_pixels_of_the_source(rasters: Any, tmp_path: Path) -> None:
    source, target = rasters(Fraction(4))
    done = export_chips(source, target, tmp_path / "chips", tile_size=32, progress=False)
    assert done.target_warped
    assert prepare_data(done).card.factor == 1


def test_target_of_another_grid_is_laid_onto_divided_pixels(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    """Its pixels are 0.49 m, begin elsewhere, and lie in another CRS."""
    source = write_raster("source.tif", values((1, 64, 64), "uint8"))
    place = NORTH_UP @ Affine.translation(-3.3, -2.1) @ Affine.scale(0.49 / 2)
    target = write_raster("target.tif", values((1, 300, 300), "uint8"), transform=place)
    done = export_chips(
        source, target, tmp_path / "chips", tile_size=32, target_resolution="own", progress=False
    )
    assert done.target_warped
    with rasterio.open(done.folder / "images2" / "000000000.tif") as chip:
        assert chip.transform.almost_equals(NORTH_UP @ Affine.scale(0.25), 1e-9)
        assert chip.shape == (128, 128)


def test_shapes_are_burned_into_finer_pixels_and_blackened_there(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    source = write_raster("source.tif", values((1, 32, 32), "uint8") | 1, nodata=0)
    left, top = NORTH_UP @ (0, 0)
    shape = box(left + 10.5, top - 30.5, left + 40.5, top - 5.5)
    layer = gpd.GeoDataFrame({"kind": [7]}, geometry=[shape], crs="EPSG:32633")
    done = export_chips(
        source,
        layer,
        tmp_path / "chips",
        tile_size=32,
        burn="kind",
        target_resolution=0.5,
        blacken=True,
        min_valid=0,
        progress=False,
    )
    target = pixels_of(next((done.folder / "images2").iterdir()))
    assert target.shape == (1, 128, 128)
    # Every pixel is 0.5 m: 60 columns and 50 rows of the shape.
    assert (target == 7).sum() == 60 * 50
    assert (target[0, 11:61, 21:81] == 7).all()


@pytest.mark.parametrize("name", list(SIZES))
def test_turned_chips_show_the_same_ground(rasters: Any, tmp_path: Path, name: str) -> None:
    source, target = rasters(SIZES[name])
    done = export_chips(
        source,
        target,
        tmp_path / "chips",
        tile_size=32,
        rotation_angle=90,
        target_resolution="own",
        progress=False,
    )
    assert done.pairs == 4 * 6
    assert prepare_data(done).card.factor == SIZES[name]


@pytest.mark.parametrize("factor", [Fraction(2), Fraction(1, 2)], ids=str)
def test_shift_is_found_and_undone(
    write_raster: WriteRaster, tmp_path: Path, factor: Fraction
) -> None:
    cells = np.random.default_rng(3).integers(1, 255, (1, 40, 40), "uint8")
    ground = cells.repeat(32, 1).repeat(32, 2)
    step = {Fraction(2): (2, 1), Fraction(1, 2): (1, 2)}[factor]
    source = write_raster(
        "source.tif", ground[:, :: step[0], :: step[0]], transform=NORTH_UP @ Affine.scale(step[0])
    )
    moved = np.roll(ground, (12, -8), (1, 2))
    target = write_raster(
        "target.tif", moved[:, :: step[1], :: step[1]], transform=NORTH_UP @ Affine.scale(step[1])
    )
    done = export_chips(
        source,
        target,
        tmp_path / "chips",
        tile_size=128,
        target_resolution="own",
        shift="auto",
        source_classes=False,
        target_classes=False,
        progress=False,
    )
    assert done.shifts == ((12 / step[0], -8 / step[0]),)
    with rasterio.open(done.folder / "images2" / "000000000.tif") as chip:
        corner = chip.read(1)[16:40, 16:40]
    side = slice(16 * step[1], 40 * step[1], step[1])
    np.testing.assert_array_equal(corner, ground[0, side, side])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"target_resolution": "half"}, "target_resolution is 'half'; give 'source'"),
        ({"target_resolution": 0}, "target_resolution is 0"),
        ({"target_resolution": 0.8}, r"pixels 0\.8 x 0\.8 m beside 2 x 2 m of .*source\.tif; give"),
        ({"target_resolution": 0.1}, r"pixels 0\.1 x 0\.1 m beside 2 x 2 m"),
        ({"target_resolution": 8, "tile_size": 30}, "tile_size is 30, .* covers 4 x 4 .* multiple"),
        (
            {"target_resolution": 8, "tile_size": 32, "stride": 6},
            "stride is 6, but a pixel of the target covers 4 x 4",
        ),
    ],
)
def test_what_cannot_be_is_said(
    rasters: Any, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    source, target = rasters(Fraction(4))
    with pytest.raises(GeotranslateError, match=sentence):
        export_chips(source, target, tmp_path / "chips", progress=False, **options)


def test_vector_layers_and_rasters_without_crs_have_no_pixels_of_a_size(
    rasters: Any, write_raster: WriteRaster, tmp_path: Path
) -> None:
    source, target = rasters(Fraction(4))
    with rasterio.open(source) as dataset:
        outline = box(*dataset.bounds)
    layer = gpd.GeoDataFrame(geometry=[outline], crs="EPSG:32633")
    options: dict[str, Any] = {"tile_size": 32, "progress": False}
    folder = tmp_path / "chips"
    with pytest.raises(InvalidInputError, match="but the vector layer holds shapes, which have no"):
        export_chips(source, layer, folder, target_resolution="own", **options)
    with pytest.raises(InvalidInputError, match="but the vector layer holds shapes, which get the"):
        export_chips(layer, target, folder, target_resolution=0.5, **options)
    plain = write_raster("plain.tif", values((1, 64, 64), "uint8"), crs=None)
    with pytest.raises(InvalidInputError, match=r"plain\.tif has no CRS that tells the size"):
        export_chips(plain, plain, folder, target_resolution="own", **options)
