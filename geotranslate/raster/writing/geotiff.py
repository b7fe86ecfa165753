"""Complete GeoTIFFs: checks of files, and small files, as GDAL does not report all failures."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetWriter

from geotranslate.raster.opening import quiet_about_georeference

SUBFILE = 254
"""TIFF field with the kind of an image."""

MASK = 4
"""Bit of `SUBFILE` for masks."""

OFFSETS, SIZES = (273, 324), (279, 325)
"""TIFF fields with the offsets and sizes of blocks, for strips and for tiles."""

KINDS = {3: "u2", 4: "u4", 16: "u8"}
"""Types of TIFF fields with whole numbers, and their numpy names."""

WIDTHS = {2: 1, 3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a number of each type of field, where they are not 1."""


class _Layout(NamedTuple):
    """Formats of the numbers in a TIFF, for `struct`, and bytes of an inline value."""

    order: str
    offset: str
    entries: str
    entry: str
    inline: int


def is_complete(path: Path, *, masked: bool | None = None) -> bool:
    """Tell whether all fields and blocks of all images in a TIFF lie within the file.

    Masks, overviews and their masks are images too. Only the offsets of the blocks are read, not
    the blocks.

    Args:
        path: The file, closed.
        masked: Whether every image has to have a mask inside the file, or none; None for either.
    """
    size = path.stat().st_size
    masks = images = 0
    try:
        with path.open("rb") as file:
            for is_mask, offsets, sizes in _images(file, size):
                masks += is_mask
                images += 1
                present = (offsets > 0) & (sizes > 0) & (offsets + sizes <= size)
                if not (present.size and present.all()):
                    return False
    except (struct.error, ValueError):
        return False
    expected = {0, images} if masked is None else {images if masked else 0}
    return images > 0 and 2 * masks in expected


def _images(
    file: BinaryIO, size: int
) -> Iterator[tuple[bool, NDArray[np.uint64], NDArray[np.uint64]]]:
    """Yield for every image whether it is a mask, and the offsets and sizes of its blocks.

    Raises:
        ValueError: The file is no TIFF or misses a field.
        struct.error: The file is cut off.
    """
    layout = _layout(file)
    start = _unpack(file, layout.order + layout.offset)[0]
    while start:
        file.seek(start)
        fields: dict[int, list[Any]] = {}
        for _ in range(_unpack(file, layout.order + layout.entries)[0]):
            tag, *field = _unpack(file, layout.order + layout.entry)
            _refuse_cut_off(layout, field, size)
            fields[tag] = field
        start = _unpack(file, layout.order + layout.offset)[0]
        subfile, offsets, sizes = (
            _numbers(file, layout, next((fields[tag] for tag in tags if tag in fields), None))
            for tags in ((SUBFILE,), OFFSETS, SIZES)
        )
        if len(offsets) != len(sizes):
            raise ValueError("an image has not as many sizes of blocks as places")
        yield bool(subfile.any() and subfile[0] & MASK), offsets, sizes


def _layout(file: BinaryIO) -> _Layout:
    mark = file.read(4)
    if mark in (b"II*\0", b"MM\0*"):
        return _Layout("<" if mark[:1] == b"I" else ">", "L", "H", "HHL4s", 4)
    if mark in (b"II+\0", b"MM\0+"):
        file.seek(8)
        return _Layout("<" if mark[:1] == b"I" else ">", "Q", "Q", "HHQ8s", 8)
    raise ValueError("no TIFF")


def _refuse_cut_off(layout: _Layout, field: list[Any], size: int) -> None:
    """Check that the value of a field lies within a file of a size."""
    kind, count, value = field
    length = count * WIDTHS.get(kind, 1)
    if length > layout.inline:
        start = struct.unpack(layout.order + layout.offset, value)[0]
        if start + length > size:
            raise ValueError("a field breaks off")


def _numbers(file: BinaryIO, layout: _Layout, field: list[Any] | None) -> NDArray[np.uint64]:
    """Return the whole numbers of a field, none if it is missing."""
    if field is None:
        return np.empty(0, np.uint64)
    kind, count, value = field
    if kind not in KINDS:
        raise ValueError("a field that holds whole numbers is of another type")
    dtype = np.dtype(layout.order + KINDS[kind])
    length = count * dtype.itemsize
    if length > layout.inline:
        file.seek(struct.unpack(layout.order + layout.offset, value)[0])
        value = file.read(length)
    return np.frombuffer(value[:length], dtype).astype(np.uint64)


def _unpack(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


@contextmanager
def small_geotiff(path: Path, **profile: Any) -> Iterator[DatasetWriter]:
    """Yield a GeoTIFF in memory, which is written to its path when the block ends.

    Python reports failures to write; GDAL does not as it closes a file.

    Args:
        path: File to write.
        profile: Profile for rasterio. A mask is written inside the file.

    Raises:
        OSError: It cannot be written.
        RasterioError: GDAL cannot make it.
    """
    with (
        quiet_about_georeference(),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.MemoryFile() as memory,
    ):
        with memory.open(driver="GTiff", **profile) as dataset:
            yield dataset
        path.write_bytes(memory.getbuffer())
    # Memory may have been full as well.
    if not is_complete(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
