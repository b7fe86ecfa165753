from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import gcps_and_rpcs
from geotranslate.raster.writing.cog import Driver
from tests.conftest import GCPS, GRIDS, RPCS, WriteRaster, values
from tests.raster.writing.test_partfile import names
from tests.raster.writing.written import output, write

DRIVERS: list[Driver] = ["COG", "GTiff"]
CODES = ["EPSG:32633", "EPSG:4326", "EPSG:3857", "EPSG:2193", "EPSG:3031", "EPSG:7415"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return a path in a folder of its own."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "a.tif"


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("code", [None, *CODES])
def test_file_lies_where_its_grid_does(
    out: Path, driver: Driver, grid: str, code: str | None
) -> None:
    crs = None if code is None else CRS.from_string(code)
    expected = Grid(crs, Affine.translation(0.1, 1 / 3) @ GRIDS[grid], 20, 30)
    write(out, output(grid=expected), driver=driver)
    with rasterio.open(out) as dataset:
        found = Grid.of(dataset)
    assert found.crs == crs
    if grid == "rotated":
        assert found.transform[:6] == pytest.approx(expected.transform[:6], rel=1e-15)
    else:
        assert found.transform == expected.transform
    if code is not None:
        assert found.crs is not None and found.crs.to_string() == code
    assert names(out.parent) == ["a.tif"]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("points", [{"gcps": GCPS}, {"rpcs": RPCS}], ids=["gcps", "rpcs"])
def test_points_and_rpcs_are_carried_over(
    write_raster: WriteRaster, out: Path, driver: Driver, points: dict[str, Any]
) -> None:
    path = write_raster(
        "source.tif", values((1, 20, 30), "uint8"), crs="EPSG:4326", transform=None, **points
    )
    carry_over(path, out, driver)


def carry_over(source: Path, out: Path, driver: Driver) -> None:
    with rasterio.open(source) as dataset:
        gcps, rpcs = gcps_and_rpcs(dataset)
        assert gcps or rpcs
        facts = output(grid=Grid.of(dataset), gcps=gcps, rpcs=rpcs)
    data = np.ones((1, facts.grid.height, facts.grid.width))
    write(out, facts, data, driver=driver)
    with rasterio.open(out) as dataset:
        found, coefficients = gcps_and_rpcs(dataset)
        assert Grid.of(dataset).matches(facts.grid)
    if gcps is not None:
        assert found is not None
        assert found.points == gcps.points
        assert found.crs == gcps.crs
    assert coefficients.keys() == rpcs.keys()
    for key, text in rpcs.items():
        one, other = (np.array(value.split(), float) for value in (text, coefficients[key]))
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert names(out.parent) == ["a.tif"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("nodata", "dtype"),
    [
        (0, "uint8"),
        (-32768, "int16"),
        (float("nan"), "float32"),
        (-3.4028234663852886e38, "float32"),
        (1e-300, "float64"),
        (2**32 - 1, "uint32"),
        (None, "float32"),
    ],
)
def test_nodata_is_kept_exactly(
    out: Path, driver: Driver, nodata: float | None, dtype: str
) -> None:
    write(out, output(dtype=dtype, nodata=nodata), driver=driver)
    with rasterio.open(out) as dataset:
        assert repr(dataset.nodata) == repr(None if nodata is None else float(nodata))
        assert dataset.dataset_mask().all()


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("bands", [1, 2, 5])
def test_facts_of_bands_are_kept(out: Path, driver: Driver, bands: int) -> None:
    facts: dict[str, tuple[Any, ...]] = {
        "band_names": tuple(f"<höhe> & {band}" for band in range(bands)),
        "scales": tuple(0.1 * (band + 1) for band in range(bands)),
        "offsets": tuple(-1 / 3 * band for band in range(bands)),
        "units": tuple("m²" if band else "m" for band in range(bands)),
    }
    write(out, output(bands=bands, dtype="int16", **facts), driver=driver)
    with rasterio.open(out) as dataset:
        assert dataset.descriptions == facts["band_names"]
        assert dataset.scales == pytest.approx(facts["scales"], rel=1e-15)
        assert dataset.offsets == pytest.approx(facts["offsets"], rel=1e-15)
        assert dataset.units == facts["units"]
    assert names(out.parent) == ["a.tif"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("bands", range(1, 7))
def test_no_band_is_alpha_unasked(out: Path, driver: Driver, dtype: str, bands: int) -> None:
    shape = (bands, 20, 30)
    write(out, output(bands=bands, dtype=dtype), np.zeros(shape), driver=driver)
    with rasterio.open(out) as dataset:
        assert ColorInterp.alpha not in dataset.colorinterp
        assert dataset.dataset_mask().all()
        picture = dtype == "uint8" and bands in (3, 4)
        assert (dataset.colorinterp[0] is ColorInterp.red) == picture


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    "colors",
    [
        ("blue", "green", "red", "nir"),
        ("red", "green", "blue", "nir"),
        ("red", "green", "blue", "alpha"),
        ("gray", "Cb", "Cr", "swir"),
        ("gray", "undefined", "undefined", "undefined"),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_colors_are_kept(out: Path, driver: Driver, colors: tuple[str, ...], dtype: str) -> None:
    write(out, output(bands=4, colors=colors, dtype=dtype), driver=driver)
    with rasterio.open(out) as dataset:
        assert tuple(color.name for color in dataset.colorinterp) == colors
    assert names(out.parent) == ["a.tif"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("nodata", [None, 0])
def test_colormap_is_kept(out: Path, driver: Driver, dtype: str, nodata: float | None) -> None:
    colormap = {0: (9, 8, 7, 255), 3: (255, 0, 1, 255), 255: (1, 2, 3, 0)}
    write(out, output(dtype=dtype, colormap=colormap, nodata=nodata), driver=driver)
    with rasterio.open(out) as dataset:
        assert dataset.colorinterp == (ColorInterp.palette,)
        found = dataset.colormap(1)
    assert {value: found[value][:3] for value in colormap} == {
        value: color[:3] for value, color in colormap.items()
    }
    assert names(out.parent) == ["a.tif"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("where", ["Area", "Point"])
def test_tags_are_kept(out: Path, driver: Driver, where: str) -> None:
    tags = {
        "TIFFTAG_SOFTWARE": "geotranslate",
        "GEOTRANSLATE": '{"a": "<&>\'", "höhe": [1, 2]}',
        "AREA_OR_POINT": where,
    }
    facts = output(tags=tags)
    write(out, facts, driver=driver)
    with rasterio.open(out) as dataset:
        found = dataset.tags()
        assert dataset.transform == facts.grid.transform
    assert {key: found[key] for key in tags} == tags


TEXT = st.text(max_size=20)


@settings(max_examples=60)
@given(TEXT, TEXT, TEXT)
def test_no_text_spoils_the_file(
    tmp_path_factory: pytest.TempPathFactory, tag: str, name: str, unit: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "out").mkdir()
    facts = output(band_names=(name,), units=(unit,), tags={"GEOTRANSLATE": tag, tag: "x"})
    with rasterio.open(write(folder / "out" / "a.tif", facts)) as dataset:
        assert dataset.read().min() == 1
        printable = "".join(c for c in name if c.isprintable())
        if printable == name:
            assert (dataset.descriptions[0] or "").strip() == name.strip()
