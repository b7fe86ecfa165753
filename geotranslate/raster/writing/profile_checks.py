"""Checks of an output's properties, which return plain values for those of numpy and rasterio."""

from __future__ import annotations

import math
import numbers
import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp

from geotranslate.errors import InvalidInputError
from geotranslate.raster.dtypes import fits

Color = tuple[int, int, int, int]


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
            f"nodata is {reprlib.repr(value)}; give a number, float('nan') for NaN, or None."
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
    """Return one value a band, or none.

    Raises:
        InvalidInputError: There is another number of values.
    """
    try:
        values = () if given is None else tuple(given)
    except TypeError:
        values = (given,) * (bands + 1)
    if isinstance(given, str | Mapping) or len(values) not in (0, bands):
        raise InvalidInputError(
            f"{name} is {reprlib.repr(given)}; give one {noun} for each of the {bands} bands of "
            "the output, or none."
        )
    return values


def checked_number(name: str, value: Any) -> float:
    """Return one of several numbers as a float.

    Raises:
        InvalidInputError: It is not a finite number.
    """
    if not is_number(value) or not math.isfinite(value):
        raise InvalidInputError(
            f"{name} has {reprlib.repr(value)}; give a finite number for every band."
        )
    return float(value)


def checked_text(name: str, value: Any) -> str:
    """Return one of several texts; None, as rasterio gives for bands without text, becomes empty.

    Raises:
        InvalidInputError: It is not a text.
    """
    if value is not None and not isinstance(value, str):
        raise InvalidInputError(f"{name} has {reprlib.repr(value)}; give a text for every band.")
    return str(value or "")


def checked_color(name: str, value: Any) -> str:
    """Return the name of a color interpretation.

    Raises:
        InvalidInputError: There is no such color interpretation.
    """
    found = value.name if isinstance(value, ColorInterp) else value
    if not isinstance(found, str) or found not in ColorInterp.__members__:
        raise InvalidInputError(
            f"{name} has {reprlib.repr(value)}; give names of rasterio's ColorInterp, "
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
            f"colormap is {reprlib.repr(given)}; give a dict from values to red, green, blue and "
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
                f"colormap maps {reprlib.repr(value)} to {reprlib.repr(color)}; give for values "
                f"that {dtype} holds red, green, blue and alpha of 0 to 255."
            )
        red, green, blue, alpha = map(int, parts)
        found[int(value)] = (red, green, blue, alpha)
    return found


def checked_tags(given: Any) -> dict[str, str]:
    """Return metadata as text.

    Raises:
        InvalidInputError: It is not a mapping.
    """
    if not isinstance(given, Mapping):
        raise InvalidInputError(
            f"tags is {reprlib.repr(given)}; give a dict from names to their values."
        )
    return {str(name): str(value) for name, value in given.items()}


def _holds(value: Any, dtype: str) -> bool:
    return is_number(value) and fits(value, dtype)
