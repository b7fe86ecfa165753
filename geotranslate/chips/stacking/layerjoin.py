"""`stack`: several rasters of one place as one raster."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import SUPPORTED_RESAMPLING

from geotranslate.checks import choice, number, shown
from geotranslate.chips.bands import resampling_for, sample_scene
from geotranslate.errors import InvalidInputError
from geotranslate.migration import checks_arguments
from geotranslate.raster.grid import Grid
from geotranslate.raster.ground import at_resolution
from geotranslate.raster.mosaic import Mosaic, path_of
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.stack import Layer, Missing, Stack

PathLike = str | os.PathLike[str]
TRIED = 2**16
"""Most numbers among which one is looked for that is no class."""


@checks_arguments
def stack(
    *rasters: PathLike | Mosaic,
    resolution: float | None = None,
    resampling: str | Resampling | Sequence[str | Resampling | None] | None = None,
    names: Sequence[str] | None = None,
    like: PathLike | None = None,
    missing: Missing = "any",
) -> Stack:
    """Return several rasters of one place as one raster, whose bands are those of all.

    Nothing is written. The stack is accepted wherever the path of a raster is: by `export_chips`,
    `prepare_data`, `predict_raster`, `evaluate_raster` and `translate_raster`. On the command line
    and in these functions, but for `translate_raster`, the text "a.tif+b.tif" is a stack as well,
    and "s1=a.tif+dem=b.tif" one with names.

    The first raster gives the grid. The others are warped onto it as they are read, window by
    window, each with its own CRS, nodata value, mask and resampling. The dtype is the smallest one
    that holds the values of all. Bands are named by layer and band: `s1:VV`, or `dem:1` where the
    file has no name.

    Args:
        rasters: Paths, URLs or GDAL names of two or more rasters, the layers; or a `mosaic` of
            several side by side.
        resolution: Pixel size of the stack on the ground, meters; by default the pixel size of the
            first raster.
        resampling: GDAL name of the method for layers on another grid, one for all or one for each;
            by default nearest for classes and bilinear otherwise.
        names: Name of each layer; by default the names of the files without their endings, or of
            their folders if the files have equal names.
        like: Raster that gives the grid in place of the first one. It is no layer.
        missing: Pixels that are lost where only some layers are valid. "any": those where any layer
            is missing. "all": only those where all layers are missing; elsewhere the bands of a
            missing layer hold their mean, or a number that is no class. "ignore": the same, and
            each layer gets a band such as `s1:valid`, 1 where it is valid and 0 elsewhere.

    Raises:
        RasterFileError: A raster cannot be opened.
        GridMismatchError: A raster does not overlap the grid, or only one of the two has a CRS.
        InvalidInputError: Two layers have the same name, a raster has no valid pixel to replace
            missing ones, or an argument is invalid.
    """
    paths = [one if isinstance(one, Mosaic) else path_of(one, "A layer") for one in rasters]
    if len(paths) < 2:
        raise InvalidInputError(
            f"A stack of {len(paths)} rasters was asked for; give two or more paths, one by one."
        )
    choice("missing", missing, get_args(Missing))
    methods = _methods(resampling, paths)
    mains = [one.main if isinstance(one, Mosaic) else one for one in paths]
    layers = tuple(
        Layer(name, path, method)
        for name, path, method in zip(layer_names(names, mains), paths, methods, strict=True)
    )
    made = Stack(layers, missing, _grid(paths[0], like, resolution))
    with made.opened():
        pass
    if missing == "any":
        return made
    return replace(made, layers=tuple(replace(each, fill=_fill(each)) for each in layers))


def layer_names(names: object, paths: Sequence[str]) -> Sequence[str]:
    """Return the names of the layers of a stack after checking them; None to find them.

    Raises:
        InvalidInputError: Two are equal, or they are no names.
    """
    if names is None:
        stems = [PurePath(path).stem for path in paths]
        folders = [PurePath(path).parent.name for path in paths]
        given = folders if len(set(stems)) < len(stems) and _are_names(folders) else stems
    elif isinstance(names, list | tuple) and len(names) == len(paths):
        given = list(names)
    else:
        raise InvalidInputError(
            f"names is {shown(names)}; give a list of {len(paths)} names, one for each raster."
        )
    for name in given:
        if not isinstance(name, str) or not name.strip() or ":" in name:
            raise InvalidInputError(
                f"The name of a layer is {shown(name)}; give names of letters, without colons, in "
                "names."
            )
    name, count = Counter(given).most_common(1)[0]
    if count > 1:
        raise InvalidInputError(
            f"{count} layers have the name {shown(name)}; give each its own in names."
        )
    return given


def _are_names(folders: Sequence[str]) -> bool:
    return all(folders) and len(set(folders)) == len(folders)


def _methods(resampling: object, paths: Sequence[PathLike]) -> list[Resampling]:
    """Return the resampling method of each layer."""
    given = resampling if isinstance(resampling, list | tuple) else [resampling] * len(paths)
    if len(given) != len(paths):
        raise InvalidInputError(
            f"resampling is {shown(resampling)}; give one method, or one for each of "
            f"{len(paths)} rasters."
        )
    return [_method(one, path) for one, path in zip(given, paths, strict=True)]


def _method(given: Any, path: PathLike) -> Resampling:
    if given is None:
        return resampling_for("source", None, [path])
    if isinstance(given, Resampling):
        given = given.name
    choice("resampling", given, [one.name for one in SUPPORTED_RESAMPLING])
    return Resampling[given]


def _grid(first: PathLike, like: object, resolution: float | None) -> Grid | None:
    """Return the grid of a stack; None for the grid of its first raster."""
    if like is None and resolution is None:
        return None
    if like is not None and not isinstance(like, str | os.PathLike):
        raise InvalidInputError(f"like is {shown(like)}; give the path of a raster.")
    with RasterReader(first if like is None else like) as raster:
        grid, name = raster.grid, raster.name
    if resolution is None:
        return grid
    return at_resolution(grid, number("resolution", resolution, above=0), name)


def _fill(layer: Layer) -> tuple[float, ...]:
    """Return the values of a layer where it is missing: means, or a number that is no class."""
    with RasterReader(layer.path) as raster:
        found, dtype = sample_scene(raster), raster.dtype
    if not found.size:
        raise InvalidInputError(
            f"{layer.path} has no valid pixel in windows spread over it; leave it out of the "
            "stack, or give missing='any'."
        )
    classes = np.issubdtype(dtype, np.integer) and layer.resampling is Resampling.nearest
    if classes and len(found) == 1:
        return (_no_class(layer, found, dtype),)
    return tuple(found.mean(axis=1, dtype=np.float64).tolist())


def _no_class(layer: Layer, found: NDArray[Any], dtype: str) -> float:
    """Return a number of a dtype that is none of some classes: the next larger, if it has one."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    largest, smallest = int(found.max()), int(found.min())
    if largest < high:
        return float(largest + 1)
    if smallest > low:
        return float(smallest - 1)
    between = np.setdiff1d(np.arange(low, min(high, low + TRIED)), found)
    if not len(between):
        raise InvalidInputError(
            f"{layer.path} holds every number of {dtype}, so none is left for pixels where it is "
            "missing; give missing='any', or save it with a larger dtype."
        )
    return float(between[0])
