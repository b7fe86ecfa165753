"""Blocks that are computed on demand are the pixels that are written."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from shapely.geometry import Point

from geotranslate.raster.pipeline import SceneBlocks, translate
from geotranslate.raster.pipeline.translate_options import (
    ReadOptions,
    RunOptions,
    TranslateOptions,
)
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling import TilingOptions
from geotranslate.raster.writing import OutputOptions
from tests.conftest import GRIDS, WriteRaster, values


class Own:
    """A function whose result depends on the whole tile, so that neighboring tiles differ."""

    def __init__(self, factor: Fraction) -> None:
        self.factor = factor

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        rows, cols = (
            (np.arange(side * self.factor) / self.factor).astype(int) for side in batch.shape[2:]
        )
        changed = batch[:, :1] * 0.5 + batch.mean(axis=(1, 2, 3), keepdims=True) * 0.4
        return changed[:, :, rows[:, None], cols]


class Near(Own):
    """A function of near pixels alone, whose tiles can be cropped."""

    radius, stride, any_shape = 3, 2, True

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        moved = (batch[:, :1] + np.roll(batch[:, :1], 3, 2) + np.roll(batch[:, :1], -2, 3)) / 3
        return moved.astype(np.float32)


def assembled(blocks: SceneBlocks) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return all blocks as one raster; the last ones are computed first."""
    grid, output = blocks.grid, blocks.output
    data = np.zeros((output.bands, grid.height, grid.width), output.dtype)
    valid = np.zeros(data.shape[1:], bool)
    rows, cols = blocks.row_edges, blocks.col_edges
    for row in reversed(range(len(rows) - 1)):
        for col in range(len(cols) - 1):
            at = slice(*rows[row : row + 2]), slice(*cols[col : col + 2])
            data[:, at[0], at[1]], valid[at] = blocks.block(row, col)
    return data, valid


CASES: dict[str, dict[str, Any]] = {
    "cropped": {"apply": Near(Fraction(1))},
    "blended": {},
    "half a tile of overlap": {"overlap": 32},
    "padding": {"overlap": 24, "padding": 8},
    "cut": {"blend": "crop"},
    "rotated": {"grid": "rotated", "apply": Near(Fraction(1))},
    "south-up": {"grid": "south-up"},
    "one tile": {"tile_size": 512, "apply": Near(Fraction(1))},
    "nodata": {"nodata": 7, "masked": True},
    "mask": {"masked": True},
    "floats": {"dtype": "float32", "masked": True},
    "classes": {"classes": True, "masked": True},
    "twice": {"scale": 2},
    "half": {"scale": Fraction(1, 2), "masked": True},
    "three halves": {"scale": Fraction(3, 2), "masked": True},
    "area": {"aoi": Point(500_150, 4_999_850).buffer(90)},
}


@pytest.mark.parametrize("name", CASES)
def test_blocks_are_the_written_pixels(
    name: str, tmp_path: Path, write_raster: WriteRaster
) -> None:
    case = {"grid": "north-up", "tile_size": 64, "overlap": None, "padding": None} | CASES[name]
    pixels = values((2, 201, 158), "uint8").astype(np.uint8)
    nodata = None
    if case.get("masked"):
        pixels[:, 20:150, 90:] = nodata = 255
    scene = write_raster("scene.tif", pixels, transform=GRIDS[case["grid"]], nodata=nodata)
    factor = Fraction(case.get("scale", 1))
    options = TranslateOptions(
        ReadOptions(aoi=case.get("aoi")),
        TilingOptions(
            case["tile_size"], case["overlap"], case["padding"], case.get("blend", "auto"), factor
        ),
        OutputOptions(
            1,
            case.get("dtype", "uint8"),
            nodata=case.get("nodata"),
            categorical=case.get("classes", False),
        ),
        RunOptions(progress=False),
    )
    apply = case.get("apply", Own(factor))
    with rasterio.open(translate(scene, tmp_path / "out.tif", apply, options)) as written:
        expected, known = written.read(), written.dataset_mask() > 0
    with RasterReader(scene) as reader:
        blocks = SceneBlocks.of(reader, apply, options)
        data, valid = assembled(blocks)
        assert blocks.grid == blocks.output.grid
        assert data.dtype == expected.dtype
        np.testing.assert_array_equal(valid, known)
        assert data.tobytes() == expected.tobytes()


def test_a_cropped_block_needs_one_tile(tmp_path: Path, write_raster: WriteRaster) -> None:
    class Counting(Near):
        asked = 0

        def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
            Counting.asked += len(batch)
            return super().__call__(batch)

    scene = write_raster("scene.tif", values((2, 201, 158), "uint8"))
    options = TranslateOptions(
        ReadOptions(), TilingOptions(64), OutputOptions(1), RunOptions(progress=False)
    )
    with RasterReader(scene) as reader:
        blocks = SceneBlocks.of(reader, Counting(Fraction(1)), options)
        for row in range(len(blocks.row_edges) - 1):
            blocks.block(row, 1)
            assert Counting.asked == row + 1
