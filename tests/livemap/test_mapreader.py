"""A map shows the pixels that `predict_raster` writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.warp import reproject, transform
from rio_tiler.errors import TileOutsideBounds

from geotranslate import Pix2Pix
from geotranslate.livemap.blockstore import BlockStore
from geotranslate.livemap.mapreader import BlockReader, reduce_block
from geotranslate.raster.tiling import Region
from tests.conftest import WriteRaster, values
from tests.livemap.conftest import PLACE, small_blocks


@contextmanager
def reading(model: Pix2Pix, scene: Path, **options: Any) -> Iterator[BlockReader]:
    """Yield the reader of a scene."""
    with small_blocks(model.predictor, scene, **options) as blocks:
        store = BlockStore(blocks.block, partial(reduce_block, classes=False), 2**26)
        try:
            yield BlockReader(
                input=blocks.output,
                store=store,
                row_edges=blocks.row_edges,
                col_edges=blocks.col_edges,
            )
        finally:
            store.close()


@pytest.fixture(scope="module")
def written(model: Pix2Pix, scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("written") / "out.tif"
    options: dict[str, Any] = {"precision": "float32", "progress": False}
    return model.predict_raster(scene, output, tile_size=64, norm_stats="running", **options).path


@pytest.fixture(scope="module")
def reader(model: Pix2Pix, scene: Path) -> Iterator[BlockReader]:
    with reading(model, scene) as found:
        yield found


def test_any_region_is_what_is_written(reader: BlockReader, written: Path) -> None:
    with rasterio.open(written) as dataset:
        expected, known = dataset.read(), dataset.dataset_mask() > 0
    for top, bottom, left, right in ((0, 220, 0, 260), (33, 34, 0, 260), (60, 131, 200, 260)):
        found = reader.read(Region(top, bottom, left, right))
        assert found.data.tobytes() == expected[:, top:bottom, left:right].tobytes()
        np.testing.assert_array_equal(found.mask[0], ~known[top:bottom, left:right])


def test_a_tile_is_the_written_raster_reprojected(reader: BlockReader, written: Path) -> None:
    zoom = reader.maxzoom + 2
    x, y, _ = reader.tms.tile(*reader._center, zoom)
    image = reader.tile(x, y, zoom)
    with rasterio.open(written) as dataset:
        expected = np.zeros((1, 256, 256), np.uint8)
        place = rasterio.transform.from_bounds(*reader.tms.xy_bounds(x, y, zoom), 256, 256)
        reproject(
            rasterio.band(dataset, 1),
            expected,
            dst_transform=place,
            dst_crs="EPSG:3857",
            resampling=Resampling.nearest,
        )
    # GDAL computes places to an eighth of a pixel, by windows that begin elsewhere.
    assert (image.array.data == expected).mean() > 0.98
    assert image.array.dtype == np.uint8


def test_a_part_on_the_own_grid_is_exact(
    model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    pixels = values((3, 130, 90), "uint8")
    pixels[:, 20:50, 30:] = 0
    scene = write_raster("scene.tif", pixels, nodata=0)
    options: dict[str, Any] = {"precision": "float32", "progress": False, "tile_size": 64}
    output = model.predict_raster(scene, tmp_path / "out.tif", norm_stats="running", **options)
    with reading(model, scene) as reader, rasterio.open(output) as dataset:
        image = reader.part(reader.bounds, bounds_crs=reader.crs)
        known = dataset.dataset_mask() > 0
        np.testing.assert_array_equal(image.array.mask[0], ~known)
        np.testing.assert_array_equal(image.array.data[0][known], dataset.read(1)[known])
        assert image.array.shape == (1, 130, 90)


def test_points_are_pixels(reader: BlockReader, written: Path) -> None:
    with rasterio.open(written) as dataset:
        pixels, known = dataset.read(1), dataset.dataset_mask() > 0
    for row, col in ((0, 0), (219, 259), (50, 130), (100, 77)):
        (lon,), (lat,) = transform(
            "EPSG:32633", "EPSG:4326", *([at] for at in PLACE @ (col + 0.5, row + 0.5))
        )
        point = reader.point(lon, lat)
        assert bool(point.array.mask[0]) == (not known[row, col])
        assert point.array.data[0] == pixels[row, col]
    with pytest.raises(TileOutsideBounds):
        reader.point(0, 0)


def test_from_afar_only_finished_blocks_are_shown(model: Pix2Pix, scene: Path) -> None:
    with reading(model, scene) as reader:
        for zoom in (reader.minzoom - 1, reader.minzoom - 5):
            x, y, _ = reader.tms.tile(*reader._center, zoom)
            assert reader.tile(x, y, zoom).array.mask.all()
        assert reader.store.computed == 0
        exact = reader.read(Region(0, 220, 0, 260))
        for zoom in (reader.minzoom - 1, reader.minzoom - 5):
            x, y, _ = reader.tms.tile(*reader._center, zoom)
            seen = reader.tile(x, y, zoom).array
            assert not seen.mask.all()
            assert abs(float(seen.mean()) - float(exact.mean())) < 12


def test_the_reader_describes_the_output(reader: BlockReader) -> None:
    info = reader.info()
    assert info.dtype == "uint8"
    assert info.crs.endswith("32633")
    assert reader.statistics()["b1"].count > 0
    with pytest.raises(TileOutsideBounds):
        reader.tile(0, 0, 12)


@pytest.mark.parametrize("shrink", [1, 2, 3, 8])
def test_reduced_blocks_are_means_of_valid_pixels(shrink: int) -> None:
    chance = np.random.default_rng(shrink)
    data = chance.integers(0, 255, (2, 13, 17)).astype(np.uint8)
    mask = np.broadcast_to(chance.random((13, 17)) < 0.4, data.shape)
    block = np.ma.MaskedArray(data, mask)
    found = reduce_block(block, shrink, classes=False)
    for row in range(found.shape[1]):
        for col in range(found.shape[2]):
            at = (slice(row * shrink, (row + 1) * shrink), slice(col * shrink, (col + 1) * shrink))
            cell = block[:, at[0], at[1]]
            assert bool(found.mask[0, row, col]) == bool(cell.mask.all())
            if not cell.mask.all():
                means = cell.reshape(2, -1).mean(axis=1)
                np.testing.assert_allclose(found[:, row, col], means, atol=0.501)
    some = reduce_block(block, shrink, classes=True)
    np.testing.assert_array_equal(some.data, data[:, ::shrink, ::shrink])
