"""Profile of an output and checks of its options."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from geotranslate.checks import flag, shown, whole_number
from geotranslate.errors import InvalidInputError
from geotranslate.raster.bandfacts import dtype_name, fits
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import GroundControlPoints, crs_text
from geotranslate.schema import (
    Fields,
    Json,
    Later,
    any_number,
    anything,
    optional,
    real,
    record,
    several,
    table,
    text,
    truth,
    whole,
)

Color = tuple[int, int, int, int]

MOST_BANDS = 65_535
"""Bands that a TIFF can have."""
Driver = Literal["COG", "GTiff"]
DRIVERS: tuple[Driver, ...] = ("COG", "GTiff")


def is_number(value: object) -> bool:
    """Tell whether a value is a number within the range of floats; booleans are not."""
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def checked_nodata(value: Any, dtype: str) -> float | None:
    """Return a nodata value that a dtype holds.

    Raises:
        InvalidInputError: It is not a number, or the dtype cannot hold it.
    """
    if value is None:
        return None
    if not is_number(value):
        raise InvalidInputError(
            f"nodata is {shown(value)}; give a number, float('nan') for NaN, or None."
        )
    if not fits(value, dtype):
        raise InvalidInputError(
            f"nodata is {float(value):g}, which {dtype} cannot hold; give another nodata or dtype."
        )
    if np.issubdtype(dtype, np.floating) and np.isfinite(value):
        most = float(np.finfo(dtype).max)
        return min(max(float(value), -most), most)
    return float(value)


def each_of(name: str, noun: str, given: Any, bands: int) -> tuple[Any, ...]:
    """Return one value per band, or none.

    Raises:
        InvalidInputError: There is another number of values.
    """
    try:
        values = () if given is None else tuple(given)
    except TypeError:
        values = (given,) * (bands + 1)
    if isinstance(given, str | Mapping) or len(values) not in (0, bands):
        raise InvalidInputError(
            f"{name} is {shown(given)}; give one {noun} for each of the {bands} bands of "
            "the output, or none."
        )
    return values


def checked_number(name: str, value: Any) -> float:
    """Return one of several numbers as a float.

    Raises:
        InvalidInputError: It is not a finite number.
    """
    if not is_number(value) or not math.isfinite(value):
        raise InvalidInputError(f"{name} has {shown(value)}; give a finite number for every band.")
    return float(value)


def checked_text(name: str, value: Any) -> str:
    """Return one of several texts; None, as rasterio gives for bands without text, becomes empty.

    Raises:
        InvalidInputError: It is not a text.
    """
    if value is not None and not isinstance(value, str):
        raise InvalidInputError(f"{name} has {shown(value)}; give a text for every band.")
    return str(value or "")


def checked_color(name: str, value: Any) -> str:
    """Return the name of a color interpretation.

    Raises:
        InvalidInputError: There is no such color interpretation.
    """
    found = value.name if isinstance(value, ColorInterp) else value
    if not isinstance(found, str) or found not in ColorInterp.__members__:
        raise InvalidInputError(
            f"{name} has {shown(value)}; give names of rasterio's ColorInterp, "
            "such as 'red', 'nir' or 'undefined'."
        )
    return str(found)


def checked_colormap(given: Any, bands: int, dtype: str) -> dict[int, Color]:
    """Return red, green, blue and alpha by value.

    Raises:
        InvalidInputError: Such an output has no color table, or the table does not fit it.
    """
    if bands != 1 or dtype not in ("uint8", "uint16"):
        raise InvalidInputError(
            f"colormap is given for {bands} bands of {dtype}; "
            "only one band of uint8 or uint16 can have one."
        )
    if not isinstance(given, Mapping):
        raise InvalidInputError(
            f"colormap is {shown(given)}; give a dict from values to red, green, blue and "
            "alpha of 0 to 255."
        )
    found: dict[int, Color] = {}
    for value, color in given.items():
        try:
            parts = tuple(color)
        except TypeError:
            parts = ()
        if not (
            _holds(value, dtype) and len(parts) == 4 and all(_holds(c, "uint8") for c in parts)
        ):
            raise InvalidInputError(
                f"colormap maps {shown(value)} to {shown(color)}; give for values "
                f"that {dtype} holds red, green, blue and alpha of 0 to 255."
            )
        red, green, blue, alpha = map(int, parts)
        found[int(value)] = (red, green, blue, alpha)
    return found


def checked_tags(given: Any) -> dict[str, str]:
    """Return metadata as text.

    Raises:
        InvalidInputError: It is not a mapping, or a value cannot be written as text.
    """
    if not isinstance(given, Mapping):
        raise InvalidInputError(f"tags is {shown(given)}; give a dict from names to their values.")
    try:
        return {str(name): str(value) for name, value in given.items()}
    except ValueError as error:
        raise InvalidInputError(f"tags is {shown(given)}; give text as values.") from error


def _holds(value: Any, dtype: str) -> bool:
    return is_number(value) and fits(value, dtype)


PER_BAND: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "band_names": ("name", checked_text),
    "colors": ("color interpretation", checked_color),
    "scales": ("scale", checked_number),
    "offsets": ("offset", checked_number),
    "units": ("unit", checked_text),
}
"""Properties with one value per band: the noun for a value, and its check."""


def driver_named(name: Any) -> Driver:
    """Return a driver by its name in any case.

    Raises:
        InvalidInputError: There is none of that name.
    """
    for driver in DRIVERS:
        if isinstance(name, str) and name.lower() == driver.lower():
            return driver
    raise InvalidInputError(f"driver is {shown(name)}; give 'COG' or 'GTiff'.")


@dataclass(frozen=True)
class OutputOptions:
    """Properties of an output that users choose.

    Args:
        bands: Number of bands.
        dtype: Its dtype; None for the source's.
        nodata: Its nodata value, if it has one.
        band_names: Descriptions of the bands, one per band or none.
        colors: Color interpretations of the bands, by rasterio's names.
        scales: Factors from stored values to measured values, one per band or none.
        offsets: Measured values of stored zeros, one per band or none.
        units: Units of the bands, one per band or none.
        colormap: Red, green, blue and alpha by value.
        categorical: Whether the values are classes.
        tags: Further metadata.
        driver: `COG` or `GTiff`, in any case.

    Raises:
        InvalidInputError: `bands`, `categorical`, `tags` or `driver` is impossible. Values of the
            bands are checked when the dtype is known, by `OutputProfile`.
    """

    bands: int
    dtype: str | None = None
    nodata: float | None = None
    band_names: Sequence[str] = ()
    colors: Sequence[str] = ()
    scales: Sequence[float] = ()
    offsets: Sequence[float] = ()
    units: Sequence[str] = ()
    colormap: Mapping[int, Color] | None = None
    categorical: bool = False
    tags: Mapping[str, Any] | None = None
    driver: Driver = "COG"

    def __post_init__(self) -> None:
        checked: dict[str, object] = {
            "bands": whole_number("bands_out", self.bands, 1, MOST_BANDS),
            "categorical": flag("categorical", self.categorical),
            "tags": checked_tags({} if self.tags is None else self.tags),
            "driver": driver_named(self.driver),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class OutputProfile:
    """All properties of a written raster except its pixels and its path.

    Values of numpy and rasterio become plain ones, the values of tags text.

    Args:
        grid: Its grid.
        bands: Its number of bands.
        dtype: numpy name of its dtype.
        nodata: Its nodata value, which has to fit the dtype. In float32, a value that rounds to
            one it holds fits too, as its lowest value is often printed rounded.
        masked: Whether pixels may be invalid. Without a nodata value, NaN marks them in floats and
            a mask inside the file in integers.
        categorical: Whether its values are classes, which are never averaged.
        band_names: Descriptions of its bands, one per band or none.
        colors: Names of rasterio's `ColorInterp`, one per band; by default those that GDAL would
            choose, but never alpha.
        scales: Factors from stored to measured values, one per band or none.
        offsets: Measured values of stored zeros, one per band or none.
        units: Names of the units, one per band or none.
        colormap: Red, green, blue and alpha of its values, 0 to 255; TIFF does not store the alpha.
        gcps: Ground control points.
        rpcs: RPC metadata, as GDAL names it.
        tags: Further metadata.

    Raises:
        InvalidInputError: The values contradict each other; the sentence says which.
    """

    grid: Grid
    bands: int
    dtype: str
    nodata: float | None = None
    masked: bool = False
    categorical: bool = False
    band_names: Sequence[str] = ()
    colors: Sequence[str] = ()
    scales: Sequence[float] = ()
    offsets: Sequence[float] = ()
    units: Sequence[str] = ()
    colormap: Mapping[int, Color] | None = None
    gcps: GroundControlPoints | None = None
    rpcs: dict[str, str] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        dtype = dtype_name(self.dtype)
        plain: dict[str, object] = {"dtype": dtype, "nodata": checked_nodata(self.nodata, dtype)}
        for name, (noun, kind) in PER_BAND.items():
            given = each_of(name, noun, getattr(self, name), self.bands)
            plain[name] = tuple(kind(name, value) for value in given)
        if self.colormap is not None:
            plain["colormap"] = checked_colormap(self.colormap, self.bands, dtype)
        plain["tags"] = checked_tags(self.tags)
        for name, value in plain.items():
            object.__setattr__(self, name, value)

    @property
    def depth(self) -> int:
        """Bytes that a pixel takes."""
        return self.bands * np.dtype(self.dtype).itemsize

    @property
    def marker(self) -> float | None:
        """The value that marks invalid pixels, None where a mask does or there are none."""
        if self.nodata is None and self.masked and np.issubdtype(self.dtype, np.floating):
            return float("nan")
        return self.nodata

    @property
    def has_mask(self) -> bool:
        """Whether a mask inside the file says which pixels are valid."""
        return self.masked and self.marker is None

    def to_json(self) -> Json:
        """Return all properties as JSON values; compare these, as NaN never equals itself."""
        grid = self.grid
        return {
            "crs": grid.crs and crs_text(grid.crs),
            "transform": list(grid.transform[:6]),
            "height": grid.height,
            "width": grid.width,
            "bands": self.bands,
            "dtype": self.dtype,
            # JSON has no NaN.
            "nodata": None if self.nodata is None else repr(float(self.nodata)),
            "masked": self.masked,
            "categorical": self.categorical,
            **{name: list(getattr(self, name)) for name in PER_BAND},
            "colormap": self.colormap
            and {str(value): list(color) for value, color in self.colormap.items()},
            "gcps": self.gcps and self.gcps.to_json(),
            "rpcs": dict(self.rpcs),
            "tags": dict(self.tags),
        }

    @classmethod
    def from_json(cls, values: Json) -> OutputProfile:
        """Return the profile that `to_json` was called on.

        Raises:
            InvalidInputError: A value is missing, of another type or out of its range.
        """
        rest = record(PROFILE)("output", values)
        crs, transform, height, width = (
            rest.pop(name) for name in ("crs", "transform", "height", "width")
        )
        grid = Grid(crs and CRS.from_string(crs), Affine(*transform), height, width)
        nodata, colormap, gcps = (rest.pop(name) for name in ("nodata", "colormap", "gcps"))
        per_band: dict[str, Any] = {name: tuple(rest.pop(name)) for name in PER_BAND}
        return cls(
            grid,
            nodata=None if nodata is None else float(nodata),
            colormap=colormap and {int(value): tuple(color) for value, color in colormap.items()},
            gcps=gcps and GroundControlPoints.from_json(gcps),
            **per_band,
            **rest,
        )


PROFILE: Fields = {
    "crs": optional(text),
    "transform": several(real(), 6, 6),
    **dict.fromkeys(("height", "width"), whole(1, 2**31 - 1)),
    "bands": whole(1, MOST_BANDS),
    "dtype": text,
    "nodata": optional(text),
    **dict.fromkeys(("masked", "categorical"), Later(truth, False)),
    **dict.fromkeys(PER_BAND, several(anything)),
    "colormap": optional(table(several(whole(0, 255), 4, 4))),
    "gcps": optional(record({"points": several(several(any_number, 5, 5)), "crs": optional(text)})),
    **dict.fromkeys(("rpcs", "tags"), Later(table(text), {})),
}
"""Check of each JSON value of a profile."""
