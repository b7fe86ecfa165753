"""Opening of rasters, their ground control points, and limits of GDAL's cache."""

from __future__ import annotations

import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import rasterio
from rasterio.crs import CRS
from rasterio.env import get_gdal_config, set_gdal_config
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.io import (
    BufferedDatasetWriter,
    DatasetReader,
    DatasetWriter,
    MemoryFile,
    ZipMemoryFile,
)
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from geotranslate.checks import is_unicode
from geotranslate.errors import InvalidInputError, RasterFileError, said
from geotranslate.raster.composite import Composite, OpenComposite
from geotranslate.schema import Json

Dataset: TypeAlias = "DatasetReader | DatasetWriter | WarpedVRT"
LARGEST_CACHE = 64 * 2**20
"""Bytes of GDAL's cache, which would take 5 % of the machine's memory by default."""
BESIDE = (".aux.xml", ".msk", ".ovr")
"""Endings of sidecar files that GDAL reads, appended to a raster's name."""
HEADER_OF_A_BAND = 2
"""Least bytes for each band in the header of a TIFF: its bits per sample."""
SPECIAL: dict[str, Callable[[int], bool]] = {
    "a named pipe": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
    "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}
"""Kinds of paths that are neither files nor folders, with the tests for them."""

DATASETS = (DatasetReader, DatasetWriter, BufferedDatasetWriter, WarpedVRT, OpenComposite)
RasterLike: TypeAlias = "str | os.PathLike[str] | MemoryFile | Dataset"


def open_raster(raster: RasterLike, stack: ExitStack) -> Dataset:
    """Return an open dataset; the stack closes it, unless it was given open.

    Raises:
        RasterFileError: It cannot be opened; the message names it.
        InvalidInputError: It is neither a path nor a readable dataset.
    """
    if isinstance(raster, DATASETS):
        _refuse_unreadable(raster)
        return raster
    if isinstance(raster, MemoryFile) and not isinstance(raster, ZipMemoryFile):
        return _open_in_memory(raster, stack)
    if isinstance(raster, Composite):
        return stack.enter_context(raster.opened())
    if not isinstance(raster, str | os.PathLike):
        raise no_raster(raster)
    name = readable_name(raster)
    for beside in ("", *BESIDE):
        refuse_special(f"{name}{beside}")
    with quiet_about_georeference():
        try:
            dataset = stack.enter_context(rasterio.open(raster))
        except (RasterioError, OSError, ValueError) as error:
            raise RasterFileError(
                f"{name} cannot be opened as a raster: {reason(error, raster)}. "
                "Give the path, URL or GDAL name of an existing raster."
            ) from error
    _refuse_damaged_header(dataset, name)
    return dataset


def readable_name(path: str | os.PathLike[str]) -> str:
    """Return a path or GDAL name as text after checking that GDAL can take it.

    Raises:
        InvalidInputError: It is empty, is not UTF-8, or has a null character.
    """
    name = os.fspath(path)
    if not isinstance(name, str) or not name.strip():
        raise InvalidInputError(
            f"{path!r} names no raster; give the path, URL or GDAL name of an existing one."
        )
    if is_unicode(name) and "\0" not in name:
        return name
    raise InvalidInputError(
        f"The name {ascii(name)[1:-1]} cannot be used: it has a null character or bytes that are "
        "no UTF-8, which GDAL does not take. Rename the file or the folder."
    )


def special_kind(path: str | os.PathLike[str]) -> str | None:
    """Return the kind of a path that is neither a file nor a folder, else None."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        # Missing files and invalid paths fail when they are opened.
        return None
    return next((kind for kind, is_kind in SPECIAL.items() if is_kind(mode)), None)


def refuse_special(path: str | os.PathLike[str]) -> None:
    """Refuse a path that is neither a file nor a folder, as reading it may block forever.

    Raises:
        RasterFileError: The path leads to a named pipe, a socket or a device.
    """
    kind = special_kind(path)
    if kind is not None:
        raise RasterFileError(
            f"{os.fspath(path)} is {kind}, which cannot be read as a file; give a file, or remove "
            "it."
        )


def _refuse_damaged_header(dataset: Dataset, name: str) -> None:
    """Refuse a TIFF whose header declares more bands than the file can describe."""
    if dataset.driver != "GTiff" or not os.path.isfile(name):
        return
    size = os.path.getsize(name)
    if dataset.count * HEADER_OF_A_BAND > size:
        raise RasterFileError(
            f"{name} declares {dataset.count} bands, which cannot be in a file of {size} bytes: it "
            "is damaged. Fetch or export it again."
        )


def no_raster(value: object) -> InvalidInputError:
    """Return the error for a value that is neither a path nor a dataset."""
    return InvalidInputError(
        f"A raster is expected, not a value of type {type(value).__name__}; give its path, URL or "
        "GDAL name, or an open rasterio dataset."
    )


def _open_in_memory(memory: MemoryFile, stack: ExitStack) -> Dataset:
    with quiet_about_georeference():
        try:
            return stack.enter_context(memory.open())
        except (RasterioError, OSError, ValueError) as error:
            raise RasterFileError(
                f"The MemoryFile {memory.name} cannot be opened as a raster: "
                f"{reason(error, memory.name)}. Give one that holds a raster, and is not closed."
            ) from error


def _refuse_unreadable(dataset: Dataset) -> None:
    if dataset.closed:
        raise InvalidInputError(
            f"The dataset {dataset.name} is closed; give it open, or give its path."
        )
    if dataset.mode == "w":
        raise InvalidInputError(
            f"The dataset {dataset.name} is open for writing alone; close it and give its path."
        )


def files_of(dataset: Dataset) -> set[Path]:
    """Return the local files that a dataset reads, also through nested VRTs."""
    found: set[Path] = set()
    waiting = list(dataset.files)
    while waiting:
        file = Path(waiting.pop())
        if file in found or not file.exists():
            continue
        found.add(file)
        # GDAL names the files of a VRT, but not the files of nested VRTs.
        if file.suffix.lower() == ".vrt":
            with ExitStack() as stack:
                waiting += open_raster(file, stack).files
    return found


def quiet_about_georeference() -> AbstractContextManager[None]:
    """Suppress rasterio's warning of rasters without georeference, which have own messages."""
    return quiet_about(NotGeoreferencedWarning)


@contextmanager
def quiet_about(category: type[Warning]) -> Iterator[None]:
    """Suppress a category of warnings in the main thread."""
    # Filters belong to the whole process: only one thread may change them and restore them.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield


class _CacheLimits:
    """Limits of GDAL's cache, which the whole process shares, and its former size."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._limits: list[int] = []
        self._former = 0

    def add(self, limit: int) -> None:
        with self._lock:
            if not self._limits:
                self._former = get_gdal_config("GDAL_CACHEMAX")
            self._limits.append(limit)
            self._set()

    def remove(self, limit: int) -> None:
        with self._lock:
            self._limits.remove(limit)
            self._set()

    def _set(self) -> None:
        most = min(sum(self._limits), self._former) if self._limits else self._former
        set_gdal_config("GDAL_CACHEMAX", most)


_cache_limits = _CacheLimits()


@contextmanager
def limited_cache(width: int, depth: int) -> Iterator[None]:
    """Limit GDAL's cache to one row of blocks until the block ends.

    It holds 512 rows of `width` px with `depth` bytes each, whatever the raster's height.
    """
    limit = min(512 * width * depth + 2**20, LARGEST_CACHE)
    with rasterio.Env():
        _cache_limits.add(limit)
        try:
            yield
        finally:
            # Leaving a nested environment does not restore it.
            _cache_limits.remove(limit)


def reason(error: BaseException, path: str | os.PathLike[str]) -> str:
    """Return GDAL's first message, without the path, which the sentences name themselves."""
    while error.__cause__ is not None:
        error = error.__cause__
    name = os.fspath(path)
    return said(error).removeprefix(f"{name}: ").removeprefix(f"{os.path.basename(name)}: ")


@dataclass(frozen=True)
class GroundControlPoints:
    """Ground control points `(row, col, x, y, z)` and their CRS.

    Rows and columns count from the upper left corner of the first pixel.
    """

    points: tuple[tuple[float, float, float, float, float], ...]
    crs: CRS | None

    def moved(self, window: Window, scale: float) -> GroundControlPoints:
        """Return the points for a window, scaled to `scale` output pixels per pixel."""
        points = tuple(
            ((row - window.row_off) * scale, (col - window.col_off) * scale, x, y, z)
            for row, col, x, y, z in self.points
        )
        return GroundControlPoints(points, self.crs)

    def to_json(self) -> Json:
        """Return the points as JSON values."""
        return {
            "points": [list(point) for point in self.points],
            "crs": self.crs and crs_text(self.crs),
        }

    @classmethod
    def from_json(cls, values: Json) -> GroundControlPoints:
        """Return the points that `to_json` was called on."""
        points = tuple((row, col, x, y, z) for row, col, x, y, z in values["points"])
        return cls(points, values["crs"] and CRS.from_string(values["crs"]))


def crs_text(crs: CRS) -> str:
    """Return a CRS as its code, else as WKT 2, the only form that holds every CRS."""
    if code := crs.to_authority():
        # The WKT of a compound CRS lacks the codes of its parts: GeoTIFFs lose the vertical datum.
        with suppress(CRSError):
            if CRS.from_authority(*code) == crs:
                return ":".join(code)
    return str(crs.to_wkt(version="WKT2_2019"))


def gcps_and_rpcs(
    dataset: Dataset, window: Window | None = None, scale: float = 1
) -> tuple[GroundControlPoints | None, dict[str, str]]:
    """Return ground control points and RPCs of a dataset for an output.

    Args:
        dataset: Open raster.
        window: Pixels of the dataset in the output, all by default.
        scale: Output pixels per pixel of the dataset, on either axis.

    Returns:
        The points or None, and the RPC metadata, empty without RPCs. Numbers that do not change
        keep their digits.
    """
    if window is None:
        window = Window(0, 0, dataset.width, dataset.height)
    points, crs = dataset.gcps
    # As text: rasterio's own RPC class loses an error estimate of 0.
    rpcs = _moved_rpcs(dataset.tags(ns="RPC"), window, scale)
    if not points:
        return None, rpcs
    found = tuple((p.row, p.col, p.x, p.y, p.z or 0.0) for p in points)
    return GroundControlPoints(found, crs).moved(window, scale), rpcs


def _moved_rpcs(rpcs: dict[str, str], window: Window, scale: float) -> dict[str, str]:
    moved = dict(rpcs)
    for axis, first in (("LINE", window.row_off), ("SAMP", window.col_off)):
        for key in (f"{axis}_OFF", f"{axis}_SCALE"):
            if key not in rpcs:
                continue
            before = float(rpcs[key].split()[0])
            # RPCs count from the center of the first pixel, windows from its corner.
            after = (before + 0.5 - first) * scale - 0.5 if key.endswith("OFF") else before * scale
            if after != before:
                moved[key] = repr(after)
    return moved
