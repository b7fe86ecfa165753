from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform

from geotranslate.raster.grid import Grid
from geotranslate.report.coordinates import ACCURACY, coordinates_of


def interpolated(lattice: dict[str, Any], v: float, u: float) -> tuple[float, float]:
    """Return longitude and latitude at shares of the height and the width, as the page does."""
    cells = lattice["size"] - 1
    i, j = min(int(v * cells), cells - 1), min(int(u * cells), cells - 1)
    down, right = v * cells - i, u * cells - j
    found = []
    for name in ("lon", "lat"):
        corners = np.array(lattice[name])[i : i + 2, j : j + 2]
        rows = corners[0] * (1 - down) + corners[1] * down
        found.append(float(rows[0] * (1 - right) + rows[1] * right))
    return found[0], found[1]


@pytest.mark.parametrize(
    ("crs", "corner", "size"),
    [
        ("EPSG:32633", (500_000, 5_300_000), 10),
        ("EPSG:32660", (780_000, 8_000_000), 40),
        ("EPSG:3857", (9_500_000, 3_200_000), 0.15),
        ("EPSG:3857", (20_037_000, 0), 30),
        ("EPSG:4326", (10, 50), 0.001),
        ("EPSG:3413", (-1_000_000, -1_000_000), 100),
    ],
)
@given(place=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_longitude_and_latitude_are_accurate(
    crs: str, corner: tuple[float, float], size: float, place: tuple[float, float]
) -> None:
    grid = Grid(
        CRS.from_string(crs), Affine.translation(*corner) @ Affine.scale(size, -size), 3000, 2000
    )
    lattice = coordinates_of(grid)["lonlat"]
    lon, lat = interpolated(lattice, *place)
    x, y = grid.transform @ (place[1] * grid.width, place[0] * grid.height)
    expected = np.ravel(transform(grid.crs, "EPSG:4326", [x], [y]))
    pixel = np.hypot(
        lattice["lon"][-1][-1] - lattice["lon"][0][0], lattice["lat"][-1][-1] - lattice["lat"][0][0]
    ) / np.hypot(3000, 2000)
    away = (lon - expected[0] + 180) % 360 - 180, lat - expected[1]
    assert np.abs(away).max() <= 1.5 * ACCURACY * pixel


def test_without_crs_there_are_only_coordinates() -> None:
    found = coordinates_of(Grid(None, Affine.scale(2, -2), 10, 10))
    assert found["lonlat"] is None and found["crs"] == ""
    assert found["affine"] == [2, 0, 0, 0, -2, 0]
