"""Dtypes of written rasters, and conversion of values to them."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotranslate.errors import InvalidInputError

DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


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
        raise InvalidInputError(f"dtype is {reprlib.repr(dtype)}; give one of {', '.join(DTYPES)}.")
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
