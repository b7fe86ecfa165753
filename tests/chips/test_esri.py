from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rasterio.crs import CRS

from geotranslate.chips.esri import ExportSide, read_map, write_metadata
from geotranslate.chips.statistics import Statistics
from tests.conftest import values


@pytest.fixture
def written(tmp_path: Path) -> Path:
    everywhere = np.ones((8, 8), bool)
    write_metadata(
        tmp_path,
        ["000000000.tif", "000000001.tif"],
        tile_size=8,
        crs=CRS.from_epsg(3857),
        resolution=(0.5, 0.5),
        source=ExportSide(("red", "green"), Statistics.of(values((2, 8, 8), "uint8"), everywhere)),
        target=ExportSide(("",), Statistics.of(values((1, 8, 8), "float32"), everywhere)),
    )
    return tmp_path


def test_map_that_is_written_is_read_back(written: Path) -> None:
    assert read_map(written / "map.txt") == [
        ("images/000000000.tif", "images2/000000000.tif"),
        ("images/000000001.tif", "images2/000000001.tif"),
    ]


def test_map_of_arcgis_is_read(tmp_path: Path) -> None:
    lines = [
        "images\\2.tif images2\\2.tif \r\n",
        "images\\1.tif  images2\\1.tif \r\n",
        "images\\2.tif images2\\2.tif \r\n",
        "\r\n",
    ]
    (tmp_path / "map.txt").write_bytes("".join(lines).encode())
    assert read_map(tmp_path / "map.txt") == [
        ("images/2.tif", "images2/2.tif"),
        ("images/1.tif", "images2/1.tif"),
    ]


def test_statistics_are_consistent(written: Path) -> None:
    model = json.loads((written / "esri_model_definition.emd").read_text())
    accumulated = json.loads((written / "esri_accumulated_stats.json").read_text())
    for suffix in ("", "2"):
        tiles, states = model[f"AllTilesStats{suffix}"], accumulated[f"BandStatsState{suffix}"]
        for tile, state in zip(tiles, states, strict=True):
            assert tile["Mean"] == state["M1"]
            assert tile["StdDev"] == pytest.approx((state["M2"] / state["Num"]) ** 0.5)
            assert tile["Min"] == state["Min"]
            assert tile["Max"] == state["Max"]


def test_files_and_keys_are_those_of_a_real_export(written: Path, shared_data: Path) -> None:
    real = shared_data / "esri_export_tiles"
    files = {path.name for path in real.iterdir() if path.is_file()}
    assert files == {path.name for path in written.iterdir()}
    for name in ("esri_model_definition.emd", "esri_accumulated_stats.json"):
        ours, theirs = (json.loads((f / name).read_text()) for f in (written, real))
        assert set(theirs) | {"Classes"} == set(ours)
        assert ours["MinCellSize"]["spatialReference"] == {"wkid": 102100, "latestWkid": 3857}
        for key, value in theirs.items():
            assert isinstance(ours[key], dict) == isinstance(value, dict)
            if isinstance(value, dict):
                assert ours[key].keys() == value.keys()
            elif isinstance(value, list) and isinstance(value[0], dict):
                assert ours[key][0].keys() == value[0].keys()
    first = (written / "stats.txt").read_text().splitlines()[0]
    assert first == "images = 2 *2*8*8"


def test_real_map_is_read(shared_data: Path) -> None:
    pairs = read_map(shared_data / "esri_export_tiles" / "map.txt")
    assert len(pairs) == 12
    assert pairs[2] == ("images/000000000002.tif", "images2/000000000002.tif")
