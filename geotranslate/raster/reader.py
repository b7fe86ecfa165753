"""`RasterReader`: windows of a raster as float32 with a validity mask."""

from __future__ import annotations

import numbers
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from types import TracebackType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NodataShadowWarning, RasterioError
from rasterio.windows import Window

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.raster.composite import OpenComposite
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import RasterLike as RasterLike
from geotranslate.raster.opening import files_of, open_raster, quiet_about, refuse_special
from geotranslate.raster.opening import reason as reason

LARGEST_BLOCK = 2**30
"""Bytes of the largest block of a file, as blocks are decoded whole."""
MOST_BANDS = 4096
"""Largest number of bands; rasterio's time for each band grows with it."""
SHOWN_BANDS = 50
"""Largest number of bands that a sentence lists."""


class RasterReader:
    """A raster whose windows are read as `(bands, rows, cols)` float32 and `(rows, cols)` bool.

    An alpha band is part of the mask, not of the bands. A pixel is valid if the file's mask, alpha
    and nodata value allow it and every band that is read is finite. Nodata in any of these bands
    makes a pixel invalid; in uint8, all bands of the file have to be nodata, as the 0 of a picture
    is a color. A mask hides the nodata value, as in GDAL. Windows may extend beyond the raster,
    which is reflected there.

    Args:
        raster: Path, URL, GDAL name or open dataset (which then stays open on close).
        bands: Bands to read, by number from 1 or by name (description); all by default.

    Raises:
        RasterFileError: It cannot be opened; the message names it.
        InvalidInputError: It is not a raster or is closed, lacks real numbers or the bands to read,
            or its blocks are too large to be decoded.
    """

    def __init__(self, raster: RasterLike, bands: Sequence[int | str] | None = None) -> None:
        self._stack = ExitStack()
        self.dataset = open_raster(raster, self._stack)
        self.name: str = self.dataset.name
        if self.dataset.driver == "VRT":
            # Opening a VRT does not open its files.
            for file in files_of(self.dataset):
                refuse_special(file)
        self.grid = Grid.of(self.dataset)
        meanings = dict(zip(self.dataset.indexes, self.dataset.colorinterp, strict=True))
        self.indexes = tuple(i for i in meanings if meanings[i] is not ColorInterp.alpha)
        self._alphas = tuple(i for i in meanings if meanings[i] is ColorInterp.alpha)
        if not self.indexes:
            raise InvalidInputError(f"{self.name} {self._no_data()}")
        self._data_bands = self.indexes
        if bands is not None:
            self.indexes = tuple(self._index(band) for band in band_choice(bands))
        self._refuse_many_bands()
        all_dtypes = self.dataset.dtypes
        dtypes = {all_dtypes[index - 1] for index in self.indexes}
        if any("complex" in dtype for dtype in dtypes):
            raise InvalidInputError(
                f"{self.name} holds complex numbers; write amplitude, intensity or dB first."
            )
        self._mixed = len(dtypes) > 1
        self.dtype: str = np.result_type(*dtypes).name
        self._refuse_huge_blocks()
        self._masked_bands = self._find_masked_bands()

    @property
    def short_name(self) -> str:
        """Its name without folders, for messages and tags."""
        if isinstance(self.dataset, OpenComposite):
            return self.dataset.short_name
        return os.path.basename(self.name)

    def _no_data(self) -> str:
        if self.dataset.subdatasets:
            names = self.dataset.subdatasets
            return f"is a container of {len(names)} rasters; give one of them, such as {names[0]}."
        if self.dataset.count:
            return "has only an alpha band; give one with data."
        return "has no bands; give a raster with data."

    def _refuse_many_bands(self) -> None:
        if len(self.indexes) > MOST_BANDS:
            raise InvalidInputError(
                f"{self.name} has {len(self.indexes)} bands, and at most {MOST_BANDS} can be read; "
                "write those that you need to a raster of their own, for example with "
                "gdal_translate -b."
            )

    def _refuse_huge_blocks(self) -> None:
        rows, cols = self.dataset.block_shapes[0]
        interleaved = self.dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL"
        bands = self.dataset.count if interleaved else 1
        size = rows * cols * bands * np.dtype(self.dtype).itemsize
        if size > LARGEST_BLOCK:
            raise InvalidInputError(
                f"{self.name} is stored in blocks of {rows} x {cols} px, {size / 1e9:.1f} GB each, "
                "which can only be read whole; write it in smaller ones first, for example with "
                "gdal_translate -co TILED=YES."
            )

    def _index(self, band: int | str) -> int:
        if band in self.indexes:
            return int(band)
        descriptions = self.dataset.descriptions
        named = [i for i in self.indexes if band and descriptions[i - 1] == band]
        if len(named) == 1:
            return named[0]
        if named:
            raise InvalidInputError(
                f"{self.name} has {len(named)} bands named {band!r}; give the number of the one "
                f"that is meant: {' or '.join(map(str, named))}."
            )
        known = ", ".join(
            f"{index} ({name})" if (name := descriptions[index - 1]) else str(index)
            for index in self.indexes[:SHOWN_BANDS]
        )
        if len(self.indexes) > SHOWN_BANDS:
            known += f", ... to {self.indexes[-1]}"
        raise InvalidInputError(f"{self.name} has no band {shown(band)}; it has {known}.")

    def _find_masked_bands(self) -> tuple[int, ...]:
        """Return the bands whose masks make pixels invalid, none with alpha alone or no masks."""
        asked = self._data_bands if self._is_picture else self.indexes
        with self._quiet_about_shadows():
            flags = self.dataset.mask_flag_enums
        kinds = [set(flags[index - 1]) for index in asked]
        if all(kind & {MaskFlags.all_valid, MaskFlags.alpha} for kind in kinds):
            return ()
        return asked[:1] if MaskFlags.per_dataset in kinds[0] else asked

    @property
    def _is_picture(self) -> bool:
        return self.dtype == "uint8"

    def _quiet_about_shadows(self) -> AbstractContextManager[None]:
        # rasterio warns of rasters with alpha and nodata: GDAL uses one of them, this class both.
        return quiet_about(NodataShadowWarning) if self._alphas else nullcontext()

    @property
    def bands(self) -> int:
        """Number of bands that are read; `file_bands` is the number in the file."""
        return len(self.indexes)

    @property
    def depth(self) -> int:
        """Bytes of a pixel of the file, all bands together, as they may be read at once."""
        return int(self.dataset.count * np.dtype(self.dtype).itemsize)

    @property
    def file_bands(self) -> int:
        """Number of the file's bands with data, read or not."""
        return len(self._data_bands)

    @property
    def has_alpha(self) -> bool:
        """Whether the file has an alpha band, which is part of the mask."""
        return bool(self._alphas)

    @property
    def nodata(self) -> float | None:
        """The file's nodata value, if it has one."""
        value = self.dataset.nodatavals[self.indexes[0] - 1]
        return None if value is None else float(value)

    @property
    def band_names(self) -> tuple[str, ...]:
        """The bands' descriptions, empty where the file has none."""
        descriptions = self.dataset.descriptions
        return tuple(descriptions[index - 1] or "" for index in self.indexes)

    @property
    def may_have_gaps(self) -> bool:
        """Whether pixels can be invalid, by the file's header."""
        return bool(self._masked_bands) or self.has_alpha or np.issubdtype(self.dtype, np.floating)

    def read(
        self, window: Window | None = None, dtype: str | None = "float32"
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a window, the whole raster by default; beyond the raster, pixels are reflected.

        Args:
            window: Pixels to read.
            dtype: dtype of the values; None for the raster's own.

        Returns:
            Values `(bands, rows, cols)` in the raster's units, arbitrary where invalid, and
            validity `(rows, cols)`.

        Raises:
            RasterFileError: The pixels cannot be decoded.
        """
        if window is None:
            window = Window(0, 0, self.grid.width, self.grid.height)
        whole = Window(*map(int, window.flatten()))
        if self._contains(whole):
            return self._read_inside(whole, dtype)
        rows = reflected(int(window.row_off), int(window.height), self.grid.height)
        cols = reflected(int(window.col_off), int(window.width), self.grid.width)
        top, left = rows.min(), cols.min()
        inside = Window(left, top, cols.max() + 1 - left, rows.max() + 1 - top)
        data, valid = self._read_inside(inside, dtype)
        at = np.ix_(rows - top, cols - left)
        return data[:, at[0], at[1]], valid[at]

    def read_into(self, window: Window, out: NDArray[Any]) -> NDArray[np.bool_]:
        """Read a window that lies on the raster into an array `(bands, rows, cols)`.

        Returns:
            Validity `(rows, cols)`.

        Raises:
            RasterFileError: The pixels cannot be decoded.
        """
        return self._read_inside(window, out.dtype.name, out)[1]

    def _contains(self, window: Window) -> bool:
        left, top, width, height = window.flatten()
        return bool(
            min(left, top) >= 0
            and min(width, height) > 0
            and left + width <= self.grid.width
            and top + height <= self.grid.height
        )

    def _read_inside(
        self, window: Window, dtype: str | None, out: NDArray[Any] | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        if isinstance(self.dataset, OpenComposite):
            data, valid = self.dataset.pixels(self.indexes, window, dtype)
            if out is not None:
                out[:] = data
            return data, valid
        try:
            data = self._read_bands(window, dtype, out)
            if not self.may_have_gaps:
                return data, np.ones(data.shape[1:], bool)
            valid = self._mask(window)
        except (RasterioError, OSError) as error:
            raise RasterFileError(
                f"{self.name} cannot be read at row {window.row_off}, column {window.col_off}: "
                f"{reason(error, self.name)}. The file may be damaged or cut off; fetch or export "
                "it again."
            ) from error
        return data, valid & np.isfinite(data).all(axis=0)

    def _read_bands(
        self, window: Window, dtype: str | None, out: NDArray[Any] | None
    ) -> NDArray[Any]:
        if not self._mixed:
            given = {"out_dtype": dtype} if out is None else {"out": out}
            return self.dataset.read(self.indexes, window=window, **given)
        if out is None:
            shape = (self.bands, int(window.height), int(window.width))
            out = np.empty(shape, dtype or self.dtype)
        # rasterio cannot read bands of several dtypes at once.
        for i, band in zip(self.indexes, out, strict=True):
            self.dataset.read(i, window=window, out=band)
        return out

    def _mask(self, window: Window) -> NDArray[np.bool_]:
        """Return the validity by the file's mask, alpha and nodata value."""
        valid = np.ones((int(window.height), int(window.width)), bool)
        if self._masked_bands:
            with self._quiet_about_shadows():
                masks = self.dataset.read_masks(self._masked_bands, window=window) > 0
            valid = masks.any(axis=0) if self._is_picture else masks.all(axis=0)
        # GDAL makes a mask of alpha only for uint8 and uint16, and only without nodata.
        for index in self._alphas:
            valid &= self.dataset.read(index, window=window) > 0
        return valid

    def close(self) -> None:
        """Close the dataset, unless it was given open."""
        self._stack.close()

    def __enter__(self) -> RasterReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def band_choice(bands: Iterable[int | str]) -> tuple[int | str, ...]:
    """Return chosen bands, numbers as ints, after checking them.

    Raises:
        InvalidInputError: They are not a series of numbers and names.
    """
    chosen: list[Any] = []
    if isinstance(bands, Iterable) and not isinstance(bands, str | bytes | Set | Mapping):
        with suppress(TypeError):  # an array without dimensions
            chosen = list(bands)
    whole = [_is_band_number(band) for band in chosen]
    if not chosen or not all(i or isinstance(b, str) for b, i in zip(chosen, whole, strict=True)):
        raise InvalidInputError(
            f"The bands to use are {shown(bands)}; give a list of numbers from 1 or of names."
        )
    return tuple(int(b) if i else str(b) for b, i in zip(chosen, whole, strict=True))


def _is_band_number(value: object) -> bool:
    """Tell whether a value is a whole number that a raster could have as number of a band."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    # JSON, in which the choice is kept, has no number of thousands of digits.
    return whole and abs(int(cast(int, value))) < 2**31


def reflected(start: int, length: int, size: int) -> NDArray[np.intp]:
    """Return the indices of `length` pixels from `start` on, reflected at the ends of the axis.

    The edge pixel is not repeated (numpy's "reflect"); beyond one reflection, the last pixel of it
    is repeated.
    """
    index = np.abs(np.arange(start, start + length))
    return np.clip(np.where(index >= size, 2 * (size - 1) - index, index), 0, size - 1)


def fill_gaps(
    data: NDArray[np.float32], valid: NDArray[np.bool_], fill: float | Sequence[float]
) -> NDArray[np.float32]:
    """Return the data with every band's `fill` in invalid pixels; the same array without any."""
    if valid.all():
        return data
    values = np.atleast_1d(np.asarray(fill, np.float32))
    if len(values) not in (1, len(data)):
        raise InvalidInputError(
            f"fill has {len(values)} values for {len(data)} band{'s' if len(data) != 1 else ''}; "
            "give one value, or one for each band."
        )
    return np.where(valid, data, values[:, None, None])
