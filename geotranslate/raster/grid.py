"""Grids: CRS, affine transform and shape of rasters, and alignment of one raster to another."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from affine import Affine
from rasterio._err import CPLE_BaseError  # what transforming raises is not public
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_geom
from rasterio.windows import Window
from shapely import get_coordinates
from shapely.geometry import Polygon, mapping, shape
from shapely.geometry.base import BaseGeometry

from geotranslate.errors import GridMismatchError
from geotranslate.raster.composite import OpenComposite


@dataclass(frozen=True, slots=True)
class Grid:
    """A CRS, the transform from (column, row) to world coordinates, and a shape in pixels."""

    crs: CRS | None
    transform: Affine
    height: int
    width: int

    @classmethod
    def of(cls, dataset: DatasetReader) -> Grid:
        """Return the grid of an open rasterio dataset."""
        return cls(dataset.crs, dataset.transform, dataset.height, dataset.width)

    @property
    def resolution(self) -> tuple[float, float]:
        """Lengths of a pixel's sides along its row and along its column, in CRS units."""
        a, b, _, d, e, _ = self.transform[:6]
        return math.hypot(a, d), math.hypot(b, e)

    @property
    def footprint(self) -> Polygon:
        """The outline of the grid on the ground, in its CRS; right for rotated grids too."""
        corners = [(0, 0), (self.width, 0), (self.width, self.height), (0, self.height)]
        return Polygon([self.transform @ corner for corner in corners])

    def crop(self, window: Window) -> Grid:
        """Return the grid of a window, which may extend beyond this grid."""
        offset = Affine.translation(window.col_off, window.row_off)
        return Grid(self.crs, self.transform @ offset, int(window.height), int(window.width))

    def moved(self, x: float, y: float) -> Grid:
        """Return the grid moved on the ground, in CRS units."""
        return Grid(self.crs, Affine.translation(x, y) @ self.transform, self.height, self.width)

    def scaled(self, factor: float) -> Grid:
        """Return a grid with `factor` times as many pixels on either axis, on the same ground.

        Numbers of pixels are rounded up, so the last row or column may extend beyond this grid.
        """
        # Rounded first, as 30 * 1.1 is a little more than 33.
        height, width = (math.ceil(round(size * factor, 6)) for size in (self.height, self.width))
        return Grid(self.crs, self.transform @ Affine.scale(1 / factor), height, width)

    def matches(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Tell whether every pixel of the other grid covers the same ground.

        Corners may differ by `tolerance` of a pixel: grids written by different programs differ in
        the last digits. A grid without CRS matches only another one without.
        """
        if (self.height, self.width) != (other.height, other.width):
            return False
        if self.crs is not other.crs and self.crs != other.crs:
            return False
        if self.transform == other.transform:
            return True
        limit = tolerance * min(self.resolution)
        corners = zip(self.footprint.exterior.coords, other.footprint.exterior.coords, strict=True)
        return all(math.dist(mine, theirs) <= limit for mine, theirs in corners)

    def footprint_in(self, crs: CRS | None) -> BaseGeometry:
        """Return the outline in another CRS, with points along its sides so that they may bend."""
        if crs is None or self.crs is None or crs == self.crs:
            return self.footprint
        outline = self.footprint.segmentize(self.footprint.length / 80)
        return shape(transform_geom(self.crs, crs, mapping(outline)))


def color_table(dataset: DatasetReader) -> dict[int, tuple[int, int, int, int]] | None:
    """Return the color table of a raster of one band, or None if it has none."""
    if dataset.count != 1:
        return None
    try:
        return dataset.colormap(1) or None
    except ValueError:
        return None


def align(
    dataset: DatasetReader,
    grid: Grid,
    resampling: Resampling | None = None,
    onto: str = "the source",
) -> AbstractContextManager[DatasetReader | WarpedVRT]:
    """Return a dataset warped to a grid as it is read.

    A raster that already lies on the grid is returned unchanged, so that its values stay exact.

    Args:
        dataset: Open raster, with a CRS unless it has the grid's shape and neither has a CRS.
        grid: Grid of the returned dataset.
        resampling: Method; by default nearest for rasters with a color table, else bilinear.
        onto: Words for the raster of the grid in messages.

    Raises:
        GridMismatchError: One side has no CRS and the other has, the raster has ground control
            points or RPCs instead of a grid, or they do not overlap.
    """
    own = Grid.of(dataset)
    if own.matches(grid):
        unchanged: AbstractContextManager[DatasetReader] = nullcontext(dataset)
        return unchanged
    if own.transform.is_identity and (dataset.gcps[0] or dataset.rpcs):
        raise GridMismatchError(_no_grid_sentence(dataset, onto))
    if own.crs is None or grid.crs is None:
        raise GridMismatchError(_no_crs_sentence(dataset.name, own, grid, onto))
    own = beside(own, grid)
    if _apart(dataset.name, own, grid):
        raise GridMismatchError(
            f"{dataset.name} does not overlap {onto} on the ground: it covers "
            f"{_box(own.footprint_in(grid.crs))}, {onto} {_box(grid.footprint)} "
            f"(in {_named(grid.crs)}). Give two rasters of one place."
        )
    return warp(dataset, grid, resampling)


def warp(dataset: DatasetReader, grid: Grid, resampling: Resampling | None = None) -> WarpedVRT:
    """Return a dataset on `grid`, invalid outside of the raster; both need a CRS."""
    if isinstance(dataset, OpenComposite):
        return dataset.on(grid, resampling)
    if resampling is None:
        resampling = Resampling.nearest if color_table(dataset) else Resampling.bilinear
    # Without one of these, ground outside the raster would read as valid zeros.
    has_mask = dataset.nodata is not None or ColorInterp.alpha in dataset.colorinterp
    # GDAL mixes a nodata value in one band of several with its neighbors, unless it is told to
    # treat every band alone. In a picture it is a color.
    picture = all(dtype == "uint8" for dtype in dataset.dtypes)
    own = Grid.of(dataset)
    near = beside(own, grid)
    return WarpedVRT(
        dataset,
        src_transform=None if near is own else near.transform,
        add_alpha=not has_mask,
        crs=grid.crs,
        transform=grid.transform,
        height=grid.height,
        width=grid.width,
        resampling=resampling,
        UNIFIED_SRC_NODATA="YES" if picture else "NO",
    )


def beside(own: Grid, grid: Grid) -> Grid:
    """Return a grid in degrees, moved by whole turns of the globe to lie near another grid."""
    if own.crs is None or own.crs != grid.crs or not own.crs.is_geographic:
        return own
    here, there = own.footprint, grid.footprint
    turns = round((there.centroid.x - here.centroid.x) / 360)
    if not turns or here.intersects(there):
        return own
    moved = Affine.translation(360 * turns, 0) @ own.transform
    return Grid(own.crs, moved, own.height, own.width)


def _apart(name: str, own: Grid, grid: Grid) -> bool:
    """Tell whether two grids certainly lie on different ground.

    A grid may not fit into the other's CRS: a world has no outline in a UTM zone, and a polar cap
    has none in degrees. So both directions have to agree, and invalid outlines do not count.
    """
    apart = []
    for here, there in ((grid, own), (own, grid)):
        try:
            outline = here.footprint_in(there.crs)
        except (CPLE_BaseError, CRSError, RasterioError) as error:
            raise GridMismatchError(
                f"{name} ({_named(own.crs)}) cannot be brought into {_named(grid.crs)}: no way "
                "from one to the other is known. Check that both rasters name the CRS that they "
                "are really in."
            ) from error
        whole = bool(np.isfinite(get_coordinates(outline)).all()) and outline.is_valid
        apart.append(whole and not outline.intersects(there.footprint))
    return all(apart)


def _no_grid_sentence(dataset: DatasetReader, onto: str) -> str:
    if dataset.gcps[0]:
        points, option = "ground control points", ""
    else:
        points, option = "rational polynomial coefficients (RPCs)", " -rpc"
    return (
        f"{dataset.name} cannot be laid on {onto}: it has {points} only, which are no grid. "
        f"Warp it first with gdalwarp{option}."
    )


def _no_crs_sentence(name: str, own: Grid, grid: Grid, onto: str) -> str:
    if own.crs is None and grid.crs is None:
        return (
            f"{name} ({own.width} x {own.height} px) and {onto} ({grid.width} x {grid.height} "
            "px) have no CRS and different grids. Give both a CRS, or two rasters on one grid."
        )
    if own.crs is None:
        return (
            f"{name} cannot be laid on {onto}: it has no CRS and {onto} has "
            f"{_named(grid.crs)}. Assign the CRS first, for example with rio edit-info."
        )
    return (
        f"{name} cannot be laid on {onto}: {onto} has no CRS and it has "
        f"{_named(own.crs)}. Assign the CRS first, for example with rio edit-info; a raster that "
        "has ground control points or RPCs only should be warped first with gdalwarp."
    )


def _named(crs: CRS) -> str:
    """Return the code of a CRS, or its name where it has no code."""
    code = crs.to_authority()
    return ":".join(code) if code else crs.to_wkt().split('"')[1]


def _box(geometry: BaseGeometry) -> str:
    left, bottom, right, top = (f"{edge:.6g}" for edge in geometry.bounds)
    return f"{left} to {right} east, {bottom} to {top} north"
