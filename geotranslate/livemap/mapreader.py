"""Reader of rio-tiler whose pixels are translated when a map asks for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import attr
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.features import bounds as bounds_of
from rasterio.transform import from_bounds
from rasterio.warp import reproject, transform, transform_bounds
from rio_tiler.constants import WEB_MERCATOR_TMS, WGS84_CRS
from rio_tiler.errors import TileOutsideBounds
from rio_tiler.io.base import BaseReader
from rio_tiler.models import BandStatistics, ImageData, Info, PointData
from rio_tiler.utils import CRS_to_uri

from geotranslate.livemap.blockstore import REDUCED, BlockStore, Key, Pixels
from geotranslate.raster.tiling import Region
from geotranslate.raster.writing import OutputProfile

COARSEST = 2.05
"""Most pixels of the output per pixel of the screen, along an axis, for which blocks are computed;
for larger numbers, averages of finished blocks are shown."""

POINTS = 9
"""Points along each side of a map tile by which its place on the output is found."""

NATIVE = 1.5
"""Most pixels of the output per pixel of the screen at the zoom of its resolution."""

SHARP = 1.01
"""Most pixels of the output per pixel of the screen that are drawn without a mean."""

MARGIN = 2
"""Pixels around a map tile that its resampling needs."""

BBox = tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """A rectangle of the ground with a number of pixels, and the pixels of the output under it."""

    bounds: BBox
    """Left, bottom, right and top in the CRS."""
    crs: CRS
    width: int
    height: int
    region: Region
    """Pixels of the output."""
    scale: float
    """Pixels of the output per pixel of the rectangle, along the axis with more."""
    shrink: int
    """Pixels of the output along an axis that become one before they are reprojected."""
    keys: tuple[Key, ...]
    """Blocks to compute; none for a view that is answered from finished ones."""

    @property
    def transform(self) -> Affine:
        """Transform of the rectangle."""
        return from_bounds(*self.bounds, self.width, self.height)


@dataclass(frozen=True)
class _Places:
    """Rows and columns in the output of points of a rectangle, evenly spread `(down, across)`."""

    rows: NDArray[np.float64]
    cols: NDArray[np.float64]
    share: tuple[float, float]
    """Shares of the width and of the height of the rectangle over which the points are spread."""

    def scale(self, width: int, height: int) -> float:
        """Return the pixels of the output per pixel of the rectangle, along the axis with more."""
        return max(
            float(np.hypot(np.diff(self.cols, axis=axis), np.diff(self.rows, axis=axis)).max())
            * (POINTS - 1)
            / (side * share)
            for axis, side, share in ((1, width, self.share[0]), (0, height, self.share[1]))
        )


@attr.s(kw_only=True)
class BlockReader(BaseReader):  # type: ignore[misc]
    """Reader of the output of a translation, as rio-tiler's readers read files.

    At native resolution, values are those of the file that `predict_raster` writes.

    Args:
        input: Profile of the output.
        store: Its blocks.
        row_edges: First row of every block, and the number of rows.
        col_edges: First column of every block, and the number of columns.
    """

    input: OutputProfile = attr.ib()
    store: BlockStore = attr.ib()
    row_edges: tuple[int, ...] = attr.ib()
    col_edges: tuple[int, ...] = attr.ib()
    tms: Any = attr.ib(default=WEB_MERCATOR_TMS)
    _outlines: dict[str, BBox] = attr.ib(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        grid = self.input.grid
        self.crs, self.transform = grid.crs, grid.transform
        self.height, self.width = grid.height, grid.width
        # Corners of a rotated grid lie on all sides of its bounds.
        self.bounds = tuple(grid.footprint.bounds)

    @cached_property
    def minzoom(self) -> int:
        """Coarsest zoom at which blocks are computed."""
        return self._zoom_for(COARSEST)

    @cached_property
    def maxzoom(self) -> int:
        """Zoom at which a pixel of the screen is about a pixel of the output."""
        return self._zoom_for(NATIVE)

    def _zoom_for(self, most: float) -> int:
        """Return the coarsest zoom of at most some pixels of the output per pixel of the screen."""
        for zoom in range(self.tms.maxzoom + 1):
            bounds = self.tms.xy_bounds(self.tms.tile(*self._center, zoom))
            places = self._places(tuple(bounds), self.tms.rasterio_crs)
            if places is not None and places.scale(256, 256) <= most:
                return zoom
        return int(self.tms.maxzoom)

    @property
    def lonlat_bounds(self) -> BBox:
        """Least and largest longitude and latitude: west, south, east and north."""
        return self._outline(WGS84_CRS)

    @property
    def _center(self) -> tuple[float, float]:
        left, bottom, right, top = self.lonlat_bounds
        return (left + right) / 2, (bottom + top) / 2

    def view(self, bounds: BBox, crs: CRS, width: int, height: int) -> View | None:
        """Return the pixels under a rectangle of the ground; None if it misses the output."""
        places = self._places(bounds, crs)
        if places is None:
            return None
        region = Region(
            max(math.floor(places.rows.min()) - MARGIN, 0),
            min(math.ceil(places.rows.max()) + MARGIN, self.input.grid.height),
            max(math.floor(places.cols.min()) - MARGIN, 0),
            min(math.ceil(places.cols.max()) + MARGIN, self.input.grid.width),
        )
        if region.height <= 0 or region.width <= 0:
            return None
        scale = places.scale(width, height)
        if scale > COARSEST:
            return View(bounds, crs, width, height, region, scale, 2 ** int(math.log2(scale)), ())
        keys = tuple(product(*self._touched(region)))
        return View(bounds, crs, width, height, region, scale, 1, keys)

    def tile_view(self, x: int, y: int, z: int, tilesize: int = 256) -> View | None:
        """Return the pixels under a map tile; None if it misses the output."""
        bounds = tuple(self.tms.xy_bounds(x, y, z))
        return self.view(bounds, self.tms.rasterio_crs, tilesize, tilesize)

    def image(self, view: View, blocks: Mapping[Key, Pixels]) -> ImageData:
        """Return a view of blocks that are computed, reprojected."""
        data = self._assembled(view, blocks)
        left_top = Affine.translation(view.region.left, view.region.top)
        placed = self.transform @ left_top @ Affine.scale(view.shrink)
        smooth = not self.input.categorical and view.scale > SHARP
        # NaN marks invalid pixels on the way, as averages must not contain them.
        found, _ = reproject(
            np.where(np.ma.getmaskarray(data), np.float32(np.nan), data.data),
            np.full((len(data), view.height, view.width), np.nan, np.float32),
            src_transform=placed,
            src_crs=self.crs,
            src_nodata=np.nan,
            dst_transform=view.transform,
            dst_crs=view.crs,
            dst_nodata=np.nan,
            resampling=Resampling.bilinear if smooth else Resampling.nearest,
        )
        gone = ~np.isfinite(found).all(axis=0)
        typed = np.where(gone, 0, found)
        if np.issubdtype(data.dtype, np.integer):
            typed = np.rint(typed)
        return ImageData(
            np.ma.MaskedArray(typed.astype(data.dtype), np.broadcast_to(gone, typed.shape)),
            bounds=view.bounds,
            crs=view.crs,
        )

    def read(self, region: Region) -> Pixels:
        """Return pixels of the output, as `predict_raster` writes them.

        Raises:
            GeotranslateError: A block cannot be computed.
        """
        keys = tuple(product(*self._touched(region)))
        return self._pasted(region, self.store.get(keys))

    def tile(
        self, tile_x: int, tile_y: int, tile_z: int, tilesize: int = 256, **_: Any
    ) -> ImageData:
        """Return a map tile; its blocks are computed if needed.

        Raises:
            TileOutsideBounds: The tile misses the output.
            GeotranslateError: A block cannot be computed.
        """
        view = self.tile_view(tile_x, tile_y, tile_z, tilesize)
        if view is None:
            raise TileOutsideBounds(f"Tile {tile_z}/{tile_x}/{tile_y} misses the scene.")
        return self.image(view, self.store.get(view.keys))

    def part(
        self,
        bbox: BBox,
        dst_crs: CRS | None = None,
        bounds_crs: CRS = WGS84_CRS,
        width: int | None = None,
        height: int | None = None,
        max_size: int | None = None,
        **_: Any,
    ) -> ImageData:
        """Return a rectangle of the ground, by default with the pixels of the output.

        Args:
            bbox: Left, bottom, right and top.
            dst_crs: CRS of the result; by default the CRS of the output.
            bounds_crs: CRS of `bbox`.
            width: Columns of the result.
            height: Rows of the result.
            max_size: Longest side of the result without `width` and `height`.

        Raises:
            TileOutsideBounds: The rectangle misses the output.
        """
        crs = self.crs if dst_crs is None else dst_crs
        bounds: BBox = bbox
        if bounds_crs != crs:
            bounds = transform_bounds(bounds_crs, crs, *bbox, densify_pts=21)
        rows, cols = self._sides(bounds, crs, height, width, max_size)
        view = self.view(bounds, crs, cols, rows)
        if view is None:
            raise TileOutsideBounds(f"The bounds {bbox} miss the scene.")
        return self.image(view, self.store.get(view.keys))

    def preview(self, max_size: int = 1024, **_: Any) -> ImageData:
        """Return the whole output; a coarse one from blocks that are computed already."""
        return self.part(self.bounds, bounds_crs=self.crs, max_size=max_size)

    def point(self, lon: float, lat: float, coord_crs: CRS = WGS84_CRS, **_: Any) -> PointData:
        """Return the values of the pixel at a place; its block is computed if needed.

        Raises:
            TileOutsideBounds: The place is not on the output.
        """
        (x,), (y,) = transform(coord_crs, self.crs, [lon], [lat])
        col, row = (math.floor(at) for at in ~self.input.grid.transform @ (x, y))
        if not (0 <= row < self.height and 0 <= col < self.width):
            raise TileOutsideBounds(f"The place {lon}, {lat} is not on the scene.")
        pixels = self.read(Region(row, row + 1, col, col + 1))
        return PointData(pixels[:, 0, 0], coordinates=(lon, lat), crs=coord_crs)

    def feature(self, shape: dict[str, Any], **options: Any) -> ImageData:
        """Return the bounds of a GeoJSON geometry in longitude and latitude."""
        return self.part(bounds_of(shape.get("geometry", shape)), **options)

    def info(self) -> Info:
        """Return facts about the output."""
        output = self.input
        names = [f"b{band + 1}" for band in range(output.bands)]
        return Info(
            bounds=self.bounds,
            crs=CRS_to_uri(self.crs) or self.crs.to_wkt(),
            band_metadata=[(name, {}) for name in names],
            band_descriptions=list(zip(names, self._names, strict=True)),
            dtype=output.dtype,
            nodata_type="None" if output.nodata is None else "Nodata",
        )

    def statistics(self, **options: Any) -> dict[str, BandStatistics]:
        """Return statistics of a preview."""
        found: dict[str, BandStatistics] = self.preview().statistics(**options)
        return found

    @property
    def _names(self) -> list[str]:
        given = self.input.band_names or [""] * self.input.bands
        return [name or f"b{band}" for band, name in enumerate(given, 1)]

    def _places(self, bounds: BBox, crs: CRS) -> _Places | None:
        """Return the places in the output of points of a rectangle; None if it misses the output.

        The points lie where the rectangle overlaps the bounds of the output, as the CRS of the
        output may have no place for others.
        """
        own = self._outline(crs)
        left, bottom = max(bounds[0], own[0]), max(bounds[1], own[1])
        right, top = min(bounds[2], own[2]), min(bounds[3], own[3])
        if left >= right or bottom >= top:
            return None
        across, down = np.linspace(left, right, POINTS), np.linspace(top, bottom, POINTS)
        x, y = (each.ravel() for each in np.meshgrid(across, down))
        if crs != self.crs:
            x, y = (np.asarray(each) for each in transform(crs, self.crs, x, y))
        cols, rows = ~self.input.grid.transform @ (x, y)
        share = (right - left) / (bounds[2] - bounds[0]), (top - bottom) / (bounds[3] - bounds[1])
        return _Places(rows.reshape(POINTS, POINTS), cols.reshape(POINTS, POINTS), share)

    def _outline(self, crs: CRS) -> BBox:
        """Return the bounds of the output in a CRS."""
        key = crs.to_wkt()
        if key not in self._outlines:
            self._outlines[key] = self.input.grid.footprint_in(crs).bounds
        return self._outlines[key]

    def _sides(
        self, bounds: BBox, crs: CRS, height: int | None, width: int | None, most: int | None
    ) -> tuple[int, int]:
        """Return rows and columns of a rectangle."""
        places = self._places(bounds, crs)
        scale = 1.0 if places is None else places.scale(1, 1)
        wide, high = bounds[2] - bounds[0], bounds[3] - bounds[1]
        longest = scale if most is None else min(scale, most)
        rows = round(longest * high / max(wide, high)) if height is None else height
        cols = round(longest * wide / max(wide, high)) if width is None else width
        return max(rows, 1), max(cols, 1)

    def _touched(self, region: Region) -> tuple[range, range]:
        """Return the rows and columns of the blocks that hold pixels of a region."""
        found = []
        for edges, first, last in (
            (self.row_edges, region.top, region.bottom),
            (self.col_edges, region.left, region.right),
        ):
            begin = int(np.searchsorted(edges, first, side="right")) - 1
            found.append(range(begin, int(np.searchsorted(edges, last, side="left"))))
        return found[0], found[1]

    def _assembled(self, view: View, blocks: Mapping[Key, Pixels]) -> Pixels:
        if view.keys:
            return self._pasted(view.region, blocks)
        touched = self._touched(view.region)
        if view.shrink < REDUCED:
            found = self._pasted(view.region, self.store.finished(*touched))
            return reduce_block(found, view.shrink, classes=self.input.categorical)
        found = self._pasted(view.region, self.store.finished_reduced(*touched), REDUCED)
        return reduce_block(found, view.shrink // REDUCED, classes=self.input.categorical)

    def _pasted(self, region: Region, blocks: Mapping[Key, Pixels], had: int = 1) -> Pixels:
        """Return the pixels of a region, masked where no block is.

        Args:
            region: Pixels of the output.
            blocks: The blocks.
            had: Pixels of the output along an axis that one pixel of a block stands for; if they
                are several, blocks are placed to one of these.
        """
        shape = self.input.bands, -(-region.height // had), -(-region.width // had)
        found = np.zeros(shape, self.input.dtype)
        gone = np.ones(shape[1:], bool)
        for (row, col), block in blocks.items():
            top = (self.row_edges[row] - region.top) // had
            left = (self.col_edges[col] - region.left) // had
            _paste(found, block.data, top, left)
            _paste(gone[None], np.ma.getmaskarray(block)[:1], top, left)
        return np.ma.MaskedArray(found, np.broadcast_to(gone, shape))


def reduce_block(block: Pixels, shrink: int, *, classes: bool) -> Pixels:
    """Return a block with one pixel for `shrink` times `shrink` pixels.

    Args:
        block: Pixels `(bands, rows, cols)`, all bands with the same mask.
        shrink: Pixels along an axis that become one.
        classes: Whether to take the first pixel in place of the mean.
    """
    if shrink == 1:
        return block
    if classes:
        return block[:, ::shrink, ::shrink].copy()
    rows, cols = (np.arange(0, side, shrink) for side in block.shape[1:])
    gone = np.ma.getmaskarray(block)[0]

    def summed(values: NDArray[Any]) -> NDArray[np.float64]:
        # Along the rows first, whose pixels lie side by side.
        downwards = np.add.reduceat(values, rows, axis=-2, dtype=np.float64)
        return np.add.reduceat(downwards, cols, axis=-1)

    counts = summed(~gone)
    means = summed(np.where(gone, 0, block.data)) / np.maximum(counts, 1)
    if np.issubdtype(block.dtype, np.integer):
        means = np.rint(means)
    return np.ma.MaskedArray(means.astype(block.dtype), np.broadcast_to(counts == 0, means.shape))


def _paste(onto: NDArray[Any], block: NDArray[Any], top: int, left: int) -> None:
    """Copy a block to a place, as far as it lies on the array."""
    rows = slice(max(top, 0), min(top + block.shape[1], onto.shape[1]))
    cols = slice(max(left, 0), min(left + block.shape[2], onto.shape[2]))
    if rows.start < rows.stop and cols.start < cols.stop:
        onto[:, rows, cols] = block[
            :, rows.start - top : rows.stop - top, cols.start - left : cols.stop - left
        ]
