"""A chip: the place of its pixels, and the facts that are known of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy import bool_
from numpy.typing import NDArray
from rasterio.windows import Window

from geotranslate.chips.bands import ClassFacts, Codes, Statistics
from geotranslate.chips.layouts import ChipPlace, RasterWindow
from geotranslate.chips.mask import Mask
from geotranslate.raster.bandfacts import BandFacts
from geotranslate.raster.grid import Grid, align
from geotranslate.raster.reader import RasterReader

Bands = Sequence[int | str]


@dataclass(frozen=True, slots=True)
class Chip:
    """A chip and its facts, which are known after it was read once."""

    place: ChipPlace
    files: tuple[str, ...]
    """Files that it was read from."""
    indexes: tuple[int, ...]
    """Bands that are used, by number from 1."""
    file_bands: int
    """Bands that the file has, alpha aside."""
    grid: Grid
    dtype: str
    nodata: float | None
    band_names: tuple[str, ...]
    band_facts: BandFacts
    classes: ClassFacts
    statistics: Statistics
    valid_share: float
    digest: str
    """Fingerprint of the pixels, equal for chips with equal ones."""
    mask: Mask | None = None
    """Pixels that are invalid for training, as they show ground of validation."""

    @classmethod
    def of(cls, place: ChipPlace, bands: Bands | None = None) -> Chip:
        """Read a chip whole.

        Raises:
            RasterFileError: It cannot be read; the sentence names it.
            InvalidInputError: It does not have the bands.
        """
        with _opened(place, bands) as (file, source, extent):
            data, valid = source.read(extent, dtype=None)
            digest = hashlib.blake2b(data.tobytes(), digest_size=16)
            digest.update(valid.tobytes())
            return cls(
                place=place,
                files=tuple(source.dataset.files),
                indexes=source.indexes,
                file_bands=source.file_bands,
                grid=source.grid.crop(extent),
                dtype=source.dtype,
                nodata=source.nodata,
                band_names=source.band_names,
                band_facts=BandFacts.of(file.dataset, file.indexes),
                classes=ClassFacts.of(file, Codes.of(data, valid)),
                statistics=Statistics.of(data, valid),
                valid_share=float(valid.mean()),
                digest=digest.hexdigest(),
            )

    def read(self) -> tuple[NDArray[Any], NDArray[bool_]]:
        """Return its values `(bands, rows, cols)` in their own dtype, and their validity."""
        with _opened(self.place, self.indexes) as (_, source, extent):
            data, valid = source.read(extent, dtype=None)
        return data, valid if self.mask is None else valid & ~self.mask.hidden

    def masked(self, mask: Mask) -> Chip:
        """Return the chip without the pixels that a mask hides, which its statistics leave out.

        What else is known of it stays, the share of valid pixels too.
        """
        chip = replace(self, mask=mask)
        return replace(chip, statistics=Statistics.of(*chip.read()))

    @property
    def path(self) -> Path:
        """The file that it is in."""
        return Path(self.place.path)

    @property
    def bands(self) -> int:
        """Number of bands that are used."""
        return len(self.indexes)

    @property
    def size(self) -> str:
        """Its size as users write it."""
        return f"{self.grid.width} x {self.grid.height}"


@contextmanager
def _opened(
    place: ChipPlace, bands: Bands | None
) -> Iterator[tuple[RasterReader, RasterReader, Window]]:
    """Open what a chip is in; yield the file, it as it is laid, and the chip's window of that."""
    with RasterReader(place.path, bands) as file:
        if isinstance(place, RasterWindow):
            with align(file.dataset, place.grid, place.resampling) as aligned:
                yield file, RasterReader(aligned, bands), place.window
        else:
            width, height = file.grid.width, file.grid.height
            left = width // 2 if place.half == "right" else 0
            yield file, file, Window(left, 0, width // 2 if place.half else width, height)
