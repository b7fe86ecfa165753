"""Where pixels lie on Earth: CRS, affine transform and shape."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_geom
from rasterio.windows import Window
from shapely.geometry import Polygon, mapping, shape
from shapely.geometry.base import BaseGeometry

from geotranslate.errors import GridMismatchError


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
        """Return the grid of a window, which may reach beyond this grid."""
        offset = Affine.translation(window.col_off, window.row_off)
        return Grid(self.crs, self.transform @ offset, int(window.height), int(window.width))

    def matches(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Tell whether every pixel of the other grid is the same piece of ground.

        Corners may differ by `tolerance` of a pixel: grids written by different programs differ in
        the last digits. A grid without CRS matches only another one without.
        """
        if (self.height, self.width) != (other.height, other.width) or self.crs != other.crs:
            return False
        limit = tolerance * min(self.resolution)
        corners = zip(self.footprint.exterior.coords, other.footprint.exterior.coords, strict=True)
        return all(math.dist(mine, theirs) <= limit for mine, theirs in corners)

    def footprint_in(self, crs: CRS | None) -> BaseGeometry:
        """Return the outline in another CRS, with points along its sides so that they may bend."""
        if crs is None or self.crs is None or crs == self.crs:
            return self.footprint
        outline = self.footprint.segmentize(self.footprint.length / 80)
        return shape(transform_geom(self.crs, crs, mapping(outline)))


def is_categorical(dataset: DatasetReader) -> bool:
    """Tell whether the values are class numbers: one band of integers with a colour table."""
    if dataset.count != 1:
        return False
    try:
        return bool(dataset.colormap(1))
    except ValueError:
        return False


def align(
    dataset: DatasetReader, grid: Grid, resampling: Resampling | None = None
) -> AbstractContextManager[DatasetReader | WarpedVRT]:
    """Return a dataset that shows another raster's pixels on `grid`, warped as they are read.

    A raster that already lies on the grid is returned as it is, so that its values stay exact.

    Args:
        dataset: Open raster, with a CRS unless it has the grid's shape and neither has a CRS.
        grid: Where the pixels are wanted.
        resampling: Method; nearest where the raster has a colour table, else bilinear.

    Raises:
        GridMismatchError: One side has no CRS and the other has, or they do not overlap.
    """
    own = Grid.of(dataset)
    if own.matches(grid):
        unchanged: AbstractContextManager[DatasetReader] = nullcontext(dataset)
        return unchanged
    if own.crs is None or grid.crs is None:
        raise GridMismatchError(_no_crs_sentence(dataset.name, own, grid))
    try:
        apart = not own.footprint_in(grid.crs).intersects(grid.footprint)
    except (CRSError, RasterioError) as error:
        raise GridMismatchError(
            f"{dataset.name} ({own.crs}) cannot be brought into {grid.crs}: {error}. "
            "Check that both rasters name the CRS that they are really in."
        ) from error
    if apart:
        raise GridMismatchError(
            f"{dataset.name} does not overlap the source on the ground: it covers "
            f"{_box(own.footprint_in(grid.crs))}, the source {_box(grid.footprint)} "
            f"(in {grid.crs}). Give two rasters of one place."
        )
    if resampling is None:
        resampling = Resampling.nearest if is_categorical(dataset) else Resampling.bilinear
    # Without one of these, ground outside the raster would read as valid zeros.
    has_mask = dataset.nodata is not None or ColorInterp.alpha in dataset.colorinterp
    return WarpedVRT(
        dataset,
        add_alpha=not has_mask,
        crs=grid.crs,
        transform=grid.transform,
        height=grid.height,
        width=grid.width,
        resampling=resampling,
    )


def _no_crs_sentence(name: str, own: Grid, grid: Grid) -> str:
    lacking, having = ("It", "the source") if own.crs is None else ("The source", "it")
    if own.crs is None and grid.crs is None:
        return (
            f"{name} ({own.width} x {own.height} px) and the source ({grid.width} x {grid.height} "
            "px) have no CRS and different grids. Give both a CRS, or two rasters on one grid."
        )
    return (
        f"{name} cannot be laid on the source: {lacking} has no CRS and {having} has "
        f"{own.crs or grid.crs}. Assign the CRS first, for example with rio edit-info."
    )


def _box(geometry: BaseGeometry) -> str:
    left, bottom, right, top = (f"{edge:.6g}" for edge in geometry.bounds)
    return f"{left} to {right} east, {bottom} to {top} north"
