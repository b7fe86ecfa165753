"""Properties of a written raster: grid, dtype, nodata, names, units, colors and tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from affine import Affine
from rasterio.crs import CRS

from geotranslate.checks import flag, whole_number
from geotranslate.errors import InvalidInputError
from geotranslate.raster.dtypes import dtype_name
from geotranslate.raster.gcps import GroundControlPoints, crs_text
from geotranslate.raster.grid import Grid
from geotranslate.raster.writing.profile_checks import (
    Color,
    checked_color,
    checked_colormap,
    checked_nodata,
    checked_number,
    checked_tags,
    checked_text,
    each_of,
)

PER_BAND: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "band_names": ("name", checked_text),
    "colors": ("color interpretation", checked_color),
    "scales": ("scale", checked_number),
    "offsets": ("offset", checked_number),
    "units": ("unit", checked_text),
}
"""Properties with one value a band: the noun for a value, and the check that makes it plain."""

MOST_BANDS = 65_535
"""Bands that a TIFF can have."""


Driver = Literal["COG", "GTiff"]
DRIVERS: tuple[Driver, ...] = ("COG", "GTiff")


def driver_named(name: Any) -> Driver:
    """Return a driver by its name in any case.

    Raises:
        InvalidInputError: There is none of that name.
    """
    for driver in DRIVERS:
        if isinstance(name, str) and name.lower() == driver.lower():
            return driver
    raise InvalidInputError(f"driver is {name!r}; give 'COG' or 'GTiff'.")


@dataclass(frozen=True)
class OutputOptions:
    """Properties of an output that users choose.

    Args:
        bands: Number of bands.
        dtype: Its dtype; None for the source's.
        nodata: Its nodata value, if it has one.
        band_names: Descriptions of the bands, one a band or none.
        colors: Color interpretations of the bands, by rasterio's names.
        scales: Factors from stored values to measured ones, one a band or none.
        offsets: Measured values of stored zeros, one a band or none.
        units: Units of the bands, one a band or none.
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
    """Everything a written raster is, apart from its pixels and its path.

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
        band_names: Descriptions of its bands, one a band or none.
        colors: Names of rasterio's `ColorInterp`, one a band; by default those that GDAL would
            choose, but never alpha.
        scales: Factors from stored to measured values, one a band or none.
        offsets: Measured values of stored zeros, one a band or none.
        units: Names of the units, one a band or none.
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

    def to_json(self) -> dict[str, Any]:
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
    def from_json(cls, values: dict[str, Any]) -> OutputProfile:
        """Return the profile that `to_json` was called on."""
        rest = dict(values)
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
