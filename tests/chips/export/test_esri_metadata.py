from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rasterio.crs import CRS

from geotranslate import export_chips
from geotranslate.chips.bands.statistics import Statistics
from geotranslate.chips.export.esri_metadata import ExportSide, write_metadata
from geotranslate.chips.export.exportoptions import ExportOptions
from geotranslate.chips.layouts import read_map
from tests.conftest import WriteRaster, read_pairs, values


@pytest.fixture
def written(tmp_path: Path) -> Path:
    everywhere = np.ones((8, 8), bool)
    write_metadata(
        tmp_path,
        ["000000000.tif", "000000001.tif"],
        ExportOptions(tile_size=8),
        crs=CRS.from_epsg(3857),
        resolutions=[(0.5, 0.7), (0.6, 0.5), (0.5, 0.5)],
        source=ExportSide(("red", "green"), Statistics.of(values((2, 8, 8), "uint8"), everywhere)),
        target=ExportSide(("",), Statistics.of(values((1, 8, 8), "float32"), everywhere)),
    )
    return tmp_path


def test_map_that_is_written_is_read_back(written: Path) -> None:
    assert read_map(written / "map.txt") == [
        ("images/000000000.tif", "images2/000000000.tif"),
        ("images/000000001.tif", "images2/000000001.tif"),
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


def test_cell_sizes_are_the_least_and_the_greatest(written: Path) -> None:
    for name in ("esri_model_definition.emd", "esri_accumulated_stats.json"):
        found = json.loads((written / name).read_text())
        for key, size in (("MinCellSize", 0.5), ("MaxCellSize", 0.7)):
            assert found[key]["y"] == size
        assert (found["MinCellSize"]["x"], found["MaxCellSize"]["x"]) == (0.5, 0.6)


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
    ours, theirs = ((f / "stats.txt").read_text().splitlines() for f in (written, real))
    assert ours[0] == "images = 2 *2*8*8"
    assert ours[1:] == theirs[1:]
    state, real_state = (
        json.loads((f / "esri_accumulated_stats.json").read_text()) for f in (written, real)
    )
    for key in ("Version", "OutputFeatures", "FeatureStats", "NumClasses", "MetaDataMode"):
        assert state[key] == real_state[key]


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"\xff\xfe no text",
        b'{"ImageHeight": "e.g. 256", "ExtractBands": "e.g. [0, 1, 2]", "AllTilesStats": "none"}',
    ],
)
def test_pairs_are_the_same_whatever_the_metadata_say(
    write_raster: WriteRaster, tmp_path: Path, content: bytes | None
) -> None:
    raster = write_raster("a.tif", values((1, 64, 64), "uint8"))
    chips = tmp_path / "chips"
    export_chips(raster, raster, chips, tile_size=32, progress=False)
    before = read_pairs(chips)
    for name in ("esri_model_definition.emd", "esri_accumulated_stats.json", "stats.txt"):
        (chips / name).unlink()
        if content is not None:
            (chips / name).write_bytes(content)
    after = read_pairs(chips)
    assert [pair.name for pair in after.pairs] == [pair.name for pair in before.pairs]
    assert not after.left_out


def test_next_index_follows_the_highest_number(tmp_path: Path) -> None:
    side = ExportSide(("",), Statistics.of(values((1, 8, 8), "uint8"), np.ones((8, 8), bool)))
    for names, following in ((["3.tif", "000000025.tif"], 26), (["a.tif", "b.tif"], 2)):
        write_metadata(
            tmp_path,
            names,
            ExportOptions(tile_size=8),
            crs=None,
            resolutions=[(1, 1)],
            source=side,
            target=side,
        )
        state = json.loads((tmp_path / "esri_accumulated_stats.json").read_text())
        assert (state["NumTiles"], state["NextTileIndex"]) == (2, following)
