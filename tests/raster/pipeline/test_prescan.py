"""What `apply` may know of the scene and of its tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from geotranslate.raster.pipeline import translate_raster
from geotranslate.raster.pipeline.prescan import SceneTiles
from tests.conftest import WriteRaster, values

Batch = NDArray[np.float32]
OPTIONS: dict[str, Any] = {
    "bands_out": 1,
    "tile_size": 64,
    "overlap": 16,
    "dtype": "float32",
    "progress": False,
}


def read(path: Any) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        return dataset.read()


class Placed:
    """Draws the number of each tile."""

    needs_places = True

    def __call__(self, batch: Batch, places: list[tuple[int, int]]) -> Batch:
        numbers = np.array([10 * row + col for row, col in places], np.float32)
        return np.broadcast_to(numbers[:, None, None, None], (len(batch), 1, 64, 64))


@pytest.mark.parametrize("batch_size", [1, 3, 5])
def test_tiles_come_with_their_places(
    write_raster: WriteRaster, tmp_path: Path, batch_size: int
) -> None:
    scene = write_raster("a.tif", values((1, 200, 160), "uint8"))
    written = translate_raster(
        scene, tmp_path / "b.tif", Placed(), batch_size=batch_size, blend="crop", **OPTIONS
    )
    assert np.unique(read(written)).tolist() == [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32]


class Looking:
    """Subtracts the mean of the tiles that it is shown."""

    stride, radius = 1, 0

    def __init__(self, margin: tuple[int, int] = (0, 0)) -> None:
        self.margin, self.seen = margin, {}

    def prescan(self, scene: SceneTiles) -> Any:
        for place, (data, valid) in scene.tiles(*scene.around(self.margin)):
            again = scene.tile(place)
            np.testing.assert_array_equal(data, again[0])
            np.testing.assert_array_equal(valid, again[1])
            self.seen[place] = valid.mean()
        file = scene.once("mean", lambda path: path.write_text("5") and None)
        mean = float(file.read_text())
        return lambda batch: batch - mean


@pytest.mark.parametrize("max_memory", [None, 1000])
def test_scene_is_shown_before_its_tiles(
    write_raster: WriteRaster, tmp_path: Path, max_memory: int | None
) -> None:
    data, valid = values((1, 500, 300), "uint8"), np.ones((500, 300), bool)
    valid[:120, :120] = False
    scene, apply = write_raster("a.tif", data, valid=valid), Looking()
    written = translate_raster(scene, tmp_path / "b.tif", apply, max_memory=max_memory, **OPTIONS)
    rows, cols = 11, 6
    assert len(apply.seen) == written.tiles - 4 == rows * cols - 4
    assert min(apply.seen.values()) > 0 and not (tmp_path / "b.tif.parts").exists()
    np.testing.assert_allclose(read(written)[:, valid], data[:, valid] - 5.0)


def test_tiles_around_an_area_are_shown_as_asked_for(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    scene = write_raster("a.tif", values((1, 500, 500), "uint8"))
    area = (500_000 + 2 * 190, 5_000_000 - 2 * 250, 500_000 + 2 * 210, 5_000_000 - 2 * 240)
    shown = []
    for margin in ((0, 0), (2, 1), (50, 50)):
        apply = Looking(margin)
        translate_raster(scene, tmp_path / f"{margin[0]}.tif", apply, bbox=area, **OPTIONS)
        shown.append(sorted(apply.seen))
    assert 1 <= len(shown[0]) <= 4
    rows, cols = ({place[axis] for place in shown[0]} for axis in (0, 1))
    assert shown[1] == [
        (row, col)
        for row in range(min(rows) - 2, max(rows) + 3)
        for col in range(min(cols) - 1, max(cols) + 2)
    ]
    assert len(shown[2]) == 11 * 11


def test_finished_output_needs_no_look(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene = write_raster("a.tif", values((1, 90, 90), "uint8"))
    translate_raster(scene, tmp_path / "b.tif", Looking(), **OPTIONS)
    apply = Looking()
    translate_raster(scene, tmp_path / "b.tif", apply, resume=True, **OPTIONS)
    assert not apply.seen
