"""Dtypes, scales, offsets, units and colors of bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError
from geotranslate.schema import Fields, Json, any_number, one_of, record, several, text

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")

BAND_FACTS: Fields = {
    "scales": several(any_number),
    "offsets": several(any_number),
    "units": several(text),
    "colors": several(one_of(ColorInterp.__members__)),
}
"""Schema of the facts in JSON."""


def dtype_name(dtype: Any) -> str:
    """Return numpy's name of a dtype that can be written, given by name or as numpy's own.

    Raises:
        InvalidInputError: It is another dtype, or not a dtype.
    """
    try:
        name = "" if dtype is None else np.dtype(dtype).name
    except (TypeError, ValueError):
        name = ""
    if name not in DTYPES:
        raise InvalidInputError(f"dtype is {shown(dtype)}; give one of {', '.join(DTYPES)}.")
    return name


def fits(value: float, dtype: str) -> bool:
    """Tell whether a dtype holds a value, NaN and infinity in floats included.

    Values that round to a finite float fit: float32's lowest value is often printed as a lower one.
    """
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return bool(limits.min <= value <= limits.max) and float(value).is_integer()
    with np.errstate(over="ignore"):
        return bool(not np.isfinite(value) or np.isfinite(np.dtype(dtype).type(value)))


def to_dtype(data: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """Return values as `dtype`: integers rounded half to even and clipped to their range."""
    if not np.issubdtype(dtype, np.integer):
        return data.astype(dtype)
    limits = np.iinfo(dtype)
    # float32 cannot hold the limits of 32-bit integers: clipping there needs float64.
    rounded = np.rint(data, dtype=np.float64 if limits.bits > 16 else data.dtype)
    return np.clip(rounded, limits.min, limits.max, out=rounded).astype(dtype)


def avoid_value(data: NDArray[Any], value: float) -> NDArray[Any]:
    """Return data with every `value` replaced by its nearest neighbor in the dtype.

    A valid pixel that happens to be the nodata value would otherwise be lost (gdalwarp does the
    same).
    """
    if np.issubdtype(data.dtype, np.integer):
        neighbor = value - 1 if value == np.iinfo(data.dtype).max else value + 1
    else:
        neighbor = np.nextafter(data.dtype.type(value), data.dtype.type(0 if value else 1))
    return np.where(data == value, data.dtype.type(neighbor), data)


@dataclass(frozen=True, slots=True)
class BandFacts:
    """Scales, offsets, units and color interpretations, one per band or none.

    Values stay as they are stored: nothing here is applied to them.
    """

    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    """Names of rasterio's `ColorInterp`; "gray" for "palette", without its color table."""

    @classmethod
    def of(cls, dataset: DatasetReader, indexes: Sequence[int]) -> BandFacts:
        """Read the facts of some bands of a dataset, by number from 1."""
        scales, offsets, units, colors = (
            tuple(facts[index - 1] for index in indexes)
            for facts in (dataset.scales, dataset.offsets, dataset.units, dataset.colorinterp)
        )
        return cls(
            scales if set(scales) != {1.0} else (),
            offsets if set(offsets) != {0.0} else (),
            tuple(unit or "" for unit in units) if any(units) else (),
            tuple("gray" if color is ColorInterp.palette else color.name for color in colors),
        )

    @property
    def is_rgb(self) -> bool:
        """Whether the first three bands are red, green and blue."""
        return self.colors[:3] == ("red", "green", "blue")

    @property
    def measure(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[str, ...]]:
        """Scales, offsets and units, which turn stored values into measured ones."""
        return self.scales, self.offsets, self.units

    def with_deviation(self) -> BandFacts:
        """Return the facts with a further band for the deviation of the others."""
        scales, units = set(self.scales), set(self.units)
        return BandFacts(
            (*self.scales, scales.pop() if len(scales) == 1 else 1.0) if scales else (),
            (*self.offsets, 0.0) if self.offsets else (),
            (*self.units, units.pop() if len(units) == 1 else "") if units else (),
            (*self.colors, "undefined") if self.colors else (),
        )

    def to_json(self) -> Json:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Json, bands: int, name: str = "band_facts") -> BandFacts:
        """Return the facts that `to_json` was called on.

        Args:
            values: JSON values.
            bands: Number of bands.
            name: Name of the facts in error sentences.

        Raises:
            InvalidInputError: There is another number of bands, or an unknown color.
        """
        facts = cls(**record(BAND_FACTS)(name, values))
        if any(len(each) not in (0, bands) for each in (*facts.measure, facts.colors)):
            raise InvalidInputError(
                f"{name} has scales, offsets, units or colors that are not those of {bands} bands."
            )
        return facts
