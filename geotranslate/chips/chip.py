"""Chips, and masks of their pixels that are hidden from training."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy import bool_
from numpy.typing import NDArray
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from geotranslate.chips.bands import ClassFacts, Codes, Statistics
from geotranslate.chips.layouts import ChipPlace, RasterWindow
from geotranslate.chips.record import (
    DIGEST,
    Kind,
    ground_in,
    packed,
    rest_in,
    rest_text,
    share_in,
    statistics_in,
    transform_in,
)
from geotranslate.raster.bandfacts import BandFacts
from geotranslate.raster.grid import Grid, align
from geotranslate.raster.reader import RasterReader

EDGE = 1e-6
"""Share of a pixel's side by which areas may overlap a pixel unnoticed, as coordinates are
rounded."""
SIDES = (256, 64, 16, 4, 1)
"""Sides of blocks, px: only blocks that an outline crosses are divided further."""

Bands = Sequence[int | str]


@dataclass(frozen=True, slots=True)
class Mask:
    """Hidden pixels `(rows, cols)`, compressed: most chips have none or a rectangle."""

    height: int
    width: int
    packed: bytes

    @classmethod
    def of(cls, hidden: NDArray[np.bool_]) -> Mask:
        """Return the compressed mask of hidden pixels."""
        return cls(
            hidden.shape[0], hidden.shape[1], zlib.compress(np.packbits(hidden).tobytes(), 1)
        )

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """Array `(rows, cols)` that is True for hidden pixels."""
        bits = np.frombuffer(zlib.decompress(self.packed), np.uint8)
        flat = np.unpackbits(bits, count=self.height * self.width)
        return flat.reshape(self.height, self.width).astype(bool)


def covered(area: BaseGeometry, height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels `(rows, cols)` that share ground with an area.

    GDAL's rasterization with `all_touched` is not used: it omits pixels that an area covers by less
    than a hundredth, and is inconsistent for pixels that the area only touches along an edge.

    Args:
        area: Shape in columns and rows of pixels, from the upper left corner.
        height: Rows.
        width: Columns.
    """
    found = np.zeros((height, width), bool)
    shapely.prepare(area)
    blocks = _blocks(np.zeros((1, 2), np.int64), max(height, width), SIDES[0], height, width)
    for side, finer in zip(SIDES, (*SIDES[1:], None), strict=True):
        ends = np.minimum(blocks + side, (height, width))
        outlines = shapely.box(*(blocks[:, ::-1] + EDGE).T, *(ends[:, ::-1] - EDGE).T)
        near = shapely.intersects(area, outlines)
        whole = near if finer is None else near & shapely.covers(area, outlines)
        for (row, col), (last_row, last_col) in zip(blocks[whole], ends[whole], strict=True):
            found[row:last_row, col:last_col] = True
        if finer is not None:
            blocks = _blocks(blocks[near & ~whole], side, finer, height, width)
    return found


def _blocks(
    corners: NDArray[np.int64], side: int, finer: int, height: int, width: int
) -> NDArray[np.int64]:
    """Return the upper left corners `(n, 2)` of the smaller blocks within blocks."""
    steps = np.arange(0, side, finer)
    inside = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    found = (corners[:, None] + inside).reshape(-1, 2)
    return found[(found < (height, width)).all(axis=1)]


@dataclass(frozen=True)
class Chip:
    """A chip and its facts, collected when it is first read.

    There may be hundreds of thousands of them, so most facts are only unpacked when they are used.
    """

    place: ChipPlace
    kind: Kind
    """Facts that many chips share."""
    facts: bytes
    """The other ones, see `record.packed`."""
    rest: str
    """Other files that it was read from, and facts about classes; see `record.rest_text`."""
    mask: Mask | None = None
    """Pixels that are hidden from training, as they show validation ground."""

    @classmethod
    def of(cls, place: ChipPlace, bands: Bands | None = None) -> Chip:
        """Read a whole chip and collect its facts.

        Raises:
            RasterFileError: It cannot be read; the message names it.
            InvalidInputError: It does not have the bands.
        """
        with _opened(place, bands) as (file, source, extent):
            data, valid = source.read(extent, dtype=None)
            statistics = Statistics.of(data, valid)
            grid = source.grid.crop(extent)
            kind = Kind(
                crs=grid.crs,
                height=grid.height,
                width=grid.width,
                indexes=source.indexes,
                file_bands=source.file_bands,
                dtype=source.dtype,
                nodata=source.nodata,
                band_names=source.band_names,
                band_facts=BandFacts.of(file.dataset, file.indexes),
                sampled=statistics.sampled,
            )
            share = statistics.count / valid.size
            facts = packed(_digest(data, valid), grid.transform, share, statistics)
            classes = ClassFacts.of(file, Codes.of(data, valid))
            return cls(place, kind, facts, rest_text(_others(place, source), classes))

    def read(self) -> tuple[NDArray[Any], NDArray[bool_]]:
        """Return values `(bands, rows, cols)` in their own dtype, and validity `(rows, cols)`."""
        with _opened(self.place, self.indexes) as (_, source, extent):
            data, valid = source.read(extent, dtype=None)
        return data, valid if self.mask is None else valid & ~self.mask.hidden

    def masked(self, mask: Mask) -> Chip:
        """Return the chip with a mask that hides pixels, also from its statistics.

        Its other facts do not change, not even its share of valid pixels.
        """
        chip = replace(self, mask=mask)
        statistics = Statistics.of(*chip.read())
        facts = packed(self.digest, self.grid.transform, self.valid_share, statistics)
        return replace(chip, facts=facts)

    @cached_property
    def grid(self) -> Grid:
        """Its grid."""
        kind = self.kind
        return Grid(kind.crs, transform_in(self.facts), kind.height, kind.width)

    @property
    def ground(self) -> bytes:
        """Bytes that are equal for chips of one CRS with equal transforms."""
        return ground_in(self.facts)

    @property
    def statistics(self) -> Statistics:
        """Statistics of its valid pixels that are not hidden."""
        return statistics_in(self.facts, self.kind)

    @property
    def valid_share(self) -> float:
        """Share of valid pixels, 0 to 1."""
        return share_in(self.facts)

    @property
    def digest(self) -> bytes:
        """Fingerprint of the pixels, the same for chips with equal pixels."""
        return self.facts[:DIGEST]

    @property
    def classes(self) -> ClassFacts:
        """Facts that show whether its values are classes."""
        return rest_in(self.rest)[1]

    @property
    def others(self) -> tuple[str, ...]:
        """Files that it was read from besides its own; names are relative to its folder."""
        return rest_in(self.rest)[0]

    @property
    def path(self) -> Path:
        """The file that holds it, or its first layer."""
        return self.place.file

    @property
    def indexes(self) -> tuple[int, ...]:
        """Bands in use, by number from 1."""
        return self.kind.indexes

    @property
    def file_bands(self) -> int:
        """Number of bands in the file, without alpha."""
        return self.kind.file_bands

    @property
    def dtype(self) -> str:
        """Its dtype."""
        return self.kind.dtype

    @property
    def nodata(self) -> float | None:
        """Its nodata value; None without one."""
        return self.kind.nodata

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands in use; empty texts for bands without a name."""
        return self.kind.band_names

    @property
    def band_facts(self) -> BandFacts:
        """Scale, offset, unit and color of the bands in use."""
        return self.kind.band_facts

    @property
    def bands(self) -> int:
        """Number of bands in use."""
        return len(self.kind.indexes)

    @property
    def size(self) -> str:
        """Its size, in words for messages."""
        return f"{self.kind.width} x {self.kind.height}"


def _others(place: ChipPlace, source: RasterReader) -> tuple[str, ...]:
    """Return the files that a chip was read from besides its own.

    Names are relative to its folder, for files in it.
    """
    if isinstance(place, RasterWindow):
        return ()
    folder = os.path.dirname(place.path)
    others = (os.path.split(file) for file in source.dataset.files if file != place.path)
    return tuple(
        name if parent == folder else os.path.abspath(os.path.join(parent, name))
        for parent, name in others
    )


def _digest(data: NDArray[Any], valid: NDArray[bool_]) -> bytes:
    digest = hashlib.blake2b(np.ascontiguousarray(data).data, digest_size=DIGEST)
    if not valid.all():
        digest.update(np.packbits(valid).data)
    return digest.digest()


@contextmanager
def _opened(
    place: ChipPlace, bands: Bands | None
) -> Iterator[tuple[RasterReader, RasterReader, Window]]:
    """Yield the open file of a chip, its view on the chip's grid, and the chip's window."""
    with RasterReader(place.path, bands) as file:
        if isinstance(place, RasterWindow):
            with align(file.dataset, place.grid, place.resampling) as aligned:
                yield file, RasterReader(aligned, bands), place.window
        else:
            width, height = file.grid.width, file.grid.height
            left = width // 2 if place.half == "right" else 0
            yield file, file, Window(left, 0, width // 2 if place.half else width, height)
