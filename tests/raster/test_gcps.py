from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.rpc import RPC
from rasterio.transform import RPCTransformer
from rasterio.windows import Window

from geotranslate.raster.opening import GroundControlPoints, gcps_and_rpcs
from tests.conftest import GCPS, RPCS, WriteRaster, values

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


class Placed:
    """What `points_of` reads of a dataset."""

    height, width = 20, 30
    gcps = (GCPS, None)

    def tags(self, ns: str) -> dict[str, str]:
        assert ns == "RPC"
        return {**RPCS.to_gdal(), "ERR_BIAS": "0.0"}


OFFSETS = st.integers(-50, 50)
SCALES = st.sampled_from([0.25, 0.5, 1, 2, 3, 4])


@given(OFFSETS, OFFSETS, SCALES)
def test_points_stay_on_their_ground(row: int, col: int, scale: float) -> None:
    found, _ = gcps_and_rpcs(Placed(), Window(col, row, 7, 9), scale)  # type: ignore[arg-type]
    assert found is not None
    for point, (line, sample, x, y, z) in zip(GCPS, found.points, strict=True):
        assert (row + line / scale, col + sample / scale) == pytest.approx((point.row, point.col))
        assert (x, y, z) == (point.x, point.y, 0)


@given(OFFSETS, OFFSETS, SCALES)
def test_rpcs_send_every_pixel_to_its_ground(row: int, col: int, scale: float) -> None:
    _, found = gcps_and_rpcs(Placed(), Window(col, row, 7, 9), scale)  # type: ignore[arg-type]
    rows, cols = np.array([0.0, 3, 9]), np.array([0.0, 5, 7])
    with RPCTransformer(RPCS) as before, RPCTransformer(RPC.from_gdal(found)) as after:
        expected = before.xy(row + rows / scale, col + cols / scale, offset="ul")
        there = after.xy(rows, cols, offset="ul")
    np.testing.assert_allclose(there, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["test_rpcs.tif", "test_rpcs_ext_file.tif", "gcp.tif"])
def test_points_that_do_not_move_keep_their_digits(shared_data: Path, name: str) -> None:
    path = shared_data / "corpus" / "georef" / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    with rasterio.open(path) as dataset:
        gcps, rpcs = gcps_and_rpcs(dataset)
        assert rpcs == dataset.tags(ns="RPC")
        shown = [(p.row, p.col, p.x, p.y, p.z) for p in dataset.gcps[0]]
        assert shown == ([] if gcps is None else list(gcps.points))
        _, shifted = gcps_and_rpcs(dataset, Window(5, 0, 10, 10))
        changed = {key for key in rpcs if rpcs[key] != shifted[key]}
        assert changed == ({"SAMP_OFF"} if rpcs else set())


@pytest.mark.parametrize("facts", [{}, {"gcps": GCPS}, {"rpcs": RPCS}], ids=["", "gcps", "rpcs"])
def test_points_are_found_where_there_are_some(
    write_raster: WriteRaster, facts: dict[str, Any]
) -> None:
    path = write_raster(
        "a.tif", values((1, 20, 30), "uint8"), crs="EPSG:4326", transform=None, **facts
    )
    with warnings.catch_warnings(), rasterio.open(path) as dataset:
        gcps, rpcs = gcps_and_rpcs(dataset)
    assert (gcps is not None) == ("gcps" in facts)
    assert bool(rpcs) == ("rpcs" in facts)
    if gcps is not None:
        assert gcps.crs == "EPSG:4326"
        assert GroundControlPoints.from_json(json.loads(json.dumps(gcps.to_json()))) == gcps
