"""Texts that describe stacks and mosaics."""

from __future__ import annotations

import os
import re
from pathlib import PurePath
from typing import Any

from geotranslate.chips.stacking.layerjoin import stack
from geotranslate.raster.mosaic import Mosaic, mosaic

NAMED = re.compile(r"([^\W\d]\w*)=(.+)")
"""A part of a text such as `s1=a.tif+dem=b.tif`."""


def as_raster(raster: Any) -> Any:
    """Return the stack or mosaic that a text describes; other values as they are.

    A text such as "a.tif+b.tif" is a stack and one such as "a.tif,b.tif" a mosaic, if it is no file
    itself and at least one of its parts is.

    Raises:
        GeotranslateError: As for `stack` and `mosaic`.
    """
    if not isinstance(raster, str) or os.path.exists(raster):
        return raster
    if "+" not in raster:
        return _mosaic_in(raster)
    parts = [_part(text) for text in raster.split("+")]
    paths = [_mosaic_in(path) for _, path in parts]
    if not any(isinstance(path, Mosaic) or os.path.exists(path) for path in paths):
        return raster
    if not any(name for name, _ in parts):
        return stack(*paths)
    named = zip((name for name, _ in parts), paths, strict=True)
    return stack(*paths, names=[name or _stem(path) for name, path in named])


def _stem(path: str | Mosaic) -> str:
    return PurePath(path.main if isinstance(path, Mosaic) else path).stem


def _mosaic_in(text: str) -> Any:
    """Return the mosaic that a text such as "a.tif,b.tif" describes; other texts as they are."""
    paths = text.split(",")
    return mosaic(paths) if len(paths) > 1 and any(map(os.path.exists, paths)) else text


def _part(text: str) -> tuple[str | None, str]:
    """Return the name and the path of a part of a text; None without a name."""
    found = None if os.path.exists(text) else NAMED.fullmatch(text)
    return (found[1], found[2]) if found else (None, text)
