"""What a written raster is, apart from its pixels and its path."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from geotranslate.errors import InvalidInputError
from geotranslate.raster.dtypes import DTYPES, fits
from geotranslate.raster.grid import Grid
from geotranslate.raster.points import GroundPoints, crs_text
from geotranslate.raster.points import points_of as points_of

Color = tuple[int, int, int, int]

PER_BAND = {
    "band_names": "name",
    "colors": "colour interpretation",
    "scales": "scale",
    "offsets": "offset",
    "units": "unit",
}
"""Facts with one value a band, and what a value is called."""


@dataclass(frozen=True)
class Output:
    """What a written raster is, apart from its pixels and its path.

    Args:
        grid: Its grid.
        bands: Its number of bands.
        dtype: numpy name of its dtype.
        nodata: Its nodata value, which has to fit the dtype.
        masked: Whether pixels may be invalid. Where there is no nodata value, NaN marks them in
            floats and a mask inside the file in integers.
        categorical: Whether its values are classes, which are never averaged.
        band_names: Descriptions of its bands, one a band or none.
        colors: Names of rasterio's `ColorInterp`, one a band; by default those that GDAL would
            choose, but never alpha.
        scales: Factors from its values to their unit, one a band or none.
        offsets: What is added then, one a band or none.
        units: Names of the units, one a band or none.
        colormap: Red, green, blue and alpha of its values, 0..255; TIFF does not store the alpha.
        gcps: Ground control points.
        rpcs: RPC metadata, as GDAL names it.
        tags: Further metadata.

    Raises:
        InvalidInputError: The facts do not fit each other; the sentence says which.
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
    colormap: dict[int, Color] | None = None
    gcps: GroundPoints | None = None
    rpcs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise InvalidInputError(f"dtype is {self.dtype!r}; give one of {', '.join(DTYPES)}.")
        if self.nodata is not None and not fits(self.nodata, self.dtype):
            raise InvalidInputError(
                f"nodata is {self.nodata:g}, which {self.dtype} cannot hold; "
                "give another nodata or dtype."
            )
        for name, noun in PER_BAND.items():
            given = getattr(self, name)
            if isinstance(given, str) or len(given) not in (0, self.bands):
                raise InvalidInputError(
                    f"{name} is {reprlib.repr(given)}; give one {noun} for each of the "
                    f"{self.bands} bands of the output, or none."
                )
        for name in self.colors:
            if name not in ColorInterp.__members__:
                raise InvalidInputError(
                    f"colors has {name!r}; give names of rasterio's ColorInterp, "
                    "such as 'red', 'nir' or 'undefined'."
                )
        if self.colormap is not None:
            self._check_colormap(self.colormap)

    def _check_colormap(self, colormap: dict[int, Color]) -> None:
        if self.bands != 1 or self.dtype not in ("uint8", "uint16"):
            raise InvalidInputError(
                f"colormap is given for {self.bands} bands of {self.dtype}; "
                "only one band of uint8 or uint16 can have one."
            )
        for value, color in colormap.items():
            if not (
                fits(value, self.dtype) and len(color) == 4 and all(fits(c, "uint8") for c in color)
            ):
                raise InvalidInputError(
                    f"colormap maps {value!r} to {color!r}; give for values that {self.dtype} "
                    "holds red, green, blue and alpha of 0 to 255."
                )

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
        """Return all facts as JSON knows values; compare these, as NaN never equals itself."""
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
    def from_json(cls, values: dict[str, Any]) -> Output:
        """Return what `to_json` was called on."""
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
            gcps=gcps and GroundPoints.from_json(gcps),
            **per_band,
            **rest,
        )
