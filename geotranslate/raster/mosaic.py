"""Mosaics: several rasters side by side that are read as one raster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from affine import Affine
from rasterio.windows import Window
from shapely import box, union_all

from geotranslate.checks import shown
from geotranslate.errors import GridMismatchError, InvalidInputError
from geotranslate.migration import checks_arguments
from geotranslate.raster.bandfacts import BandFacts
from geotranslate.raster.composite import Composite
from geotranslate.raster.grid import Grid, color_table
from geotranslate.raster.ground import MOST_SIDE
from geotranslate.raster.mosaicdataset import MosaicDataset, Piece, RasterFacts
from geotranslate.raster.opening import readable_name
from geotranslate.raster.reader import RasterReader

PathLike = str | os.PathLike[str]
OFF = 0.01
"""Largest distance of pixels from the grid of the first raster, as a share of their side."""
NAMED = 3
"""Largest number of rasters that the name of a mosaic lists."""


@dataclass(frozen=True)
class Mosaic(Composite):
    """Several rasters side by side, made by `mosaic` and accepted wherever a raster is."""

    rasters: tuple[str, ...]
    """Their paths, URLs or GDAL names, as they were given."""
    facts: RasterFacts
    pieces: tuple[Piece, ...]
    """The rasters with absolute paths and their places."""

    def __fspath__(self) -> str:
        names = ",".join(self.rasters[:NAMED])
        more = len(self.rasters) - NAMED
        return f"{names} and {more} more" if more > 0 else names

    def __str__(self) -> str:
        return os.fspath(self)

    @property
    def main(self) -> str:
        """Path of the first raster."""
        return self.rasters[0]

    def absolute(self) -> Mosaic:
        """Return the mosaic itself, whose pieces have absolute paths."""
        return self

    @contextmanager
    def opened(self) -> Iterator[MosaicDataset]:
        """Open the mosaic until the context ends; its rasters are opened when they are read."""
        with ExitStack() as closing:
            yield MosaicDataset(os.fspath(self), self.facts, self.pieces, closing)


@checks_arguments
def mosaic(*rasters: PathLike | Sequence[PathLike]) -> Mosaic:
    """Return several rasters side by side as one raster.

    Nothing is written. The mosaic is accepted wherever the path of a raster is: by `export_chips`,
    `prepare_data`, `predict_raster` and `translate_raster`. It covers the ground of all its rasters
    and the gaps between them, which are invalid. Where rasters overlap, a pixel is that of the
    first one that is valid there, as in `rasterio.merge`. Names, colors, scales and units of the
    bands are those of the first raster. A nodata value is kept if all rasters share it; each raster
    is read by its own nodata value and mask in any case.

    Args:
        rasters: Paths, URLs or GDAL names, one by one or as a list, of rasters with one CRS, pixel
            size and grid, and with equal bands.

    Raises:
        RasterFileError: A raster cannot be opened.
        GridMismatchError: The rasters differ in CRS or pixel size, or their pixels do not lie on
            one grid.
        InvalidInputError: They differ in bands, or an argument is no path.
    """
    names = [path_of(raster, "A raster of a mosaic") for raster in _listed(rasters)]
    if not names:
        raise InvalidInputError("A mosaic of no raster was asked for; give one path or more.")
    with RasterReader(names[0]) as first:
        looked = [_piece(name, first) for name in names]
        top, left = (min(getattr(each.piece, axis) for each in looked) for axis in ("row", "col"))
        pieces = tuple(
            replace(piece, row=piece.row - top, col=piece.col - left)
            for piece in (each.piece for each in looked)
        )
        height = max(piece.row + piece.height for piece in pieces)
        width = max(piece.col + piece.width for piece in pieces)
        grid = first.grid.crop(Window(left, top, width, height))
        return Mosaic(tuple(names), _facts(first, looked, grid), pieces)


def _listed(rasters: Sequence[object]) -> Sequence[object]:
    first = rasters[0] if len(rasters) == 1 else None
    return first if isinstance(first, list | tuple) else rasters


def path_of(raster: object, what: str) -> str:
    """Return the path of a part of a composite.

    Raises:
        InvalidInputError: It is no path, or a composite itself; `what` begins the sentence.
    """
    if isinstance(raster, Composite) or not isinstance(raster, str | os.PathLike):
        raise InvalidInputError(
            f"{what} is {shown(raster)}; give the path, URL or GDAL name of a raster, which is "
            "opened when its pixels are needed."
        )
    return readable_name(raster)


@dataclass(frozen=True)
class _Looked:
    """A raster of a mosaic, with the facts in which rasters may differ."""

    piece: Piece
    nodata: float | None
    has_gaps: bool


def _piece(name: str, first: RasterReader) -> _Looked:
    """Return a raster with its place, counted from the first pixel of the first one."""
    with RasterReader(name) as raster:
        _check_alike(raster, first)
        row, col = _place(raster, first)
        path = os.path.abspath(name) if os.path.exists(name) else name
        piece = Piece(path, row, col, raster.grid.height, raster.grid.width)
        return _Looked(piece, raster.nodata, raster.may_have_gaps)


def _facts(first: RasterReader, looked: Sequence[_Looked], grid: Grid) -> RasterFacts:
    """Return the facts of a mosaic on a grid."""
    if max(grid.height, grid.width) > MOST_SIDE:
        raise GridMismatchError(
            f"The mosaic would have {grid.width} x {grid.height} pixels; give rasters of one place."
        )
    whole = [
        box(piece.col, piece.row, piece.col + piece.width, piece.row + piece.height)
        for piece in (each.piece for each in looked if not each.has_gaps)
    ]
    # As text, as NaN differs from itself.
    values = {repr(each.nodata) for each in looked}
    colors = color_table(first.dataset)
    return RasterFacts(
        grid=grid,
        dtype=first.dtype,
        band_names=first.band_names,
        band_facts=BandFacts.of(first.dataset, first.indexes),
        nodata=first.nodata if len(values) == 1 else None,
        colormap=None if colors is None else tuple(colors.items()),
        tags=tuple(first.dataset.tags().items()),
        block=first.dataset.block_shapes[0],
        may_have_gaps=union_all(whole).area != grid.height * grid.width,
    )


def _check_alike(raster: RasterReader, first: RasterReader) -> None:
    """Refuse a raster whose bands differ from the first raster's."""
    one, other = (
        (each.bands, each.dtype, BandFacts.of(each.dataset, each.indexes).measure)
        for each in (raster, first)
    )
    if one != other:
        raise InvalidInputError(
            f"{raster.name} has {_bands(raster)} but {first.name} has {_bands(first)}; all rasters "
            "of a mosaic need the same number of bands, dtype, scales, offsets and units."
        )
    named = all(raster.band_names) and all(first.band_names)
    if named and raster.band_names != first.band_names:
        raise InvalidInputError(
            f"The bands of {raster.name} are {', '.join(raster.band_names)} but those of "
            f"{first.name} are {', '.join(first.band_names)}; all rasters of a mosaic need the "
            "same bands, of the same names and in the same order."
        )


def _bands(raster: RasterReader) -> str:
    scales, offsets, units = BandFacts.of(raster.dataset, raster.indexes).measure
    facts = [
        f"{name} {shown(list(values))}"
        for name, values in (("scales", scales), ("offsets", offsets), ("units", units))
        if values
    ]
    count = f"{raster.bands} band{'' if raster.bands == 1 else 's'} of {raster.dtype}"
    return " with ".join([count, *facts[:1]]) + "".join(f" and {fact}" for fact in facts[1:])


def _place(raster: RasterReader, first: RasterReader) -> tuple[int, int]:
    """Return row and column of a raster on the grid of the first one.

    Raises:
        GridMismatchError: It has another CRS or pixel size, or lies between the pixels.
    """
    if raster.grid.crs != first.grid.crs:
        raise GridMismatchError(
            f"{raster.name} and {first.name} differ in CRS; bring all rasters of a mosaic into "
            "one, for example with gdalwarp -t_srs."
        )
    if raster is not first and raster.grid.transform == Affine.identity():
        raise GridMismatchError(
            f"{raster.name} has no transform, so its place in a mosaic is not known; assign it, "
            "for example with rio edit-info."
        )
    here = ~first.grid.transform @ raster.grid.transform
    col, row = here @ (0, 0)
    end = here @ (raster.grid.width, raster.grid.height)
    size = (raster.grid.width, raster.grid.height)
    if any(abs(end[i] - (col, row)[i] - size[i]) > OFF for i in (0, 1)):
        raise GridMismatchError(
            f"The pixels of {raster.name} are {_pixel(raster.grid)}, those of {first.name} "
            f"{_pixel(first.grid)}; all rasters of a mosaic need pixels of one size and direction, "
            "for example by gdalwarp -tr."
        )
    off = max(abs(place - round(place)) for place in (row, col))
    if off > OFF:
        raise GridMismatchError(
            f"The pixels of {raster.name} lie {off:.2g} pixels beside those of {first.name}; bring "
            "all rasters of a mosaic onto one grid, for example with gdalwarp -tap."
        )
    return round(row), round(col)


def _pixel(grid: Grid) -> str:
    across, down = grid.resolution
    turned = "" if grid.transform.is_rectilinear else ", turned"
    return f"{across:.6g} x {down:.6g}{turned}"
