"""`stacks` and `stack_dates`: the rasters of a table, or of STAC Items, as stacks."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any

import geopandas as gpd
from rasterio.enums import Resampling

from geotranslate.checks import shown
from geotranslate.chips.stacking.layerjoin import stack
from geotranslate.errors import InvalidInputError
from geotranslate.migration import checks_arguments
from geotranslate.raster.stacitems import StacItem, is_item
from geotranslate.raster.stack import Missing, Stack

LayerNames = str | Sequence[str] | Mapping[str, str]
DATES = ("date", "datetime")
"""Columns with the date of a row, by preference."""
FRACTION = re.compile(r"\.\d+")
"""Parts of a second in ISO 8601 text, of which old Pythons read only some numbers of digits."""


@checks_arguments
def stacks(
    scenes: gpd.GeoDataFrame | Iterable[Any],
    layers: LayerNames,
    *,
    resolution: float | None = None,
    resampling: str | Resampling | Sequence[str | Resampling | None] | None = None,
    missing: Missing = "any",
) -> list[Any]:
    """Return a stack for each row of a table, or for each STAC Item.

    The list is accepted wherever a list of scenes is, for example as the sources of `export_chips`
    and as the scenes of `predict_raster`.

    Args:
        scenes: GeoDataFrame with a column of paths for each layer; or STAC Items, as `pystac.Item`,
            dicts or paths of JSON files, in a list or an `ItemCollection`.
        layers: Columns, or assets of the Items, which name the layers, in their order; or a dict
            from names of layers to columns or assets. A single text, such as the column of the
            targets, gives plain paths in place of stacks.
        resolution: Pixel size of the stacks on the ground, meters, see `stack`.
        resampling: Method for layers on another grid, one for all or one for each.
        missing: Pixels that are lost where only some layers are valid, see `stack`.

    Returns:
        List of `Stack`, or of paths if `layers` is one text.

    Raises:
        RasterFileError: A raster or an Item cannot be read.
        GridMismatchError: A raster does not overlap the grid of its stack.
        InvalidInputError: There are no scenes, a scene lacks a layer, or an argument is invalid.
    """
    found = _scenes(scenes)
    if isinstance(layers, str):
        return [scene.path(layers) for scene in found]
    chosen = _chosen(layers)
    if len(chosen) < 2:
        raise InvalidInputError(
            f"layers is {shown(layers)}; give two names or more for stacks, or one text for plain "
            "paths."
        )
    # A scene that lacks a layer is found before any raster is opened.
    paths = [[scene.path(key) for key in chosen.values()] for scene in found]
    options: dict[str, Any] = {"resampling": resampling, "missing": missing}
    return [stack(*one, names=list(chosen), resolution=resolution, **options) for one in paths]


@checks_arguments
def stack_dates(
    scenes: gpd.GeoDataFrame | Iterable[Any],
    layers: LayerNames,
    *,
    names: Sequence[str] | None = None,
    resolution: float | None = None,
    resampling: str | Resampling | None = None,
    missing: Missing = "any",
) -> Stack:
    """Return the rasters of one place at several dates as one stack, in the order of the dates.

    Layers are named by layer and date, such as `s2_2026-05-01`, and their bands by these, such as
    `s2_2026-05-01:B04`. A layer that has the same raster at all dates, such as heights, is one
    layer without a date.

    Args:
        scenes: GeoDataFrame with a column of paths for each layer and a column `date` or
            `datetime`, one row for each date; or STAC Items, as for `stacks`.
        layers: Columns, or assets of the Items, as for `stacks`.
        names: Name of each date in place of the date itself, such as "spring", one for each row or
            Item. Places with other dates need them to have the same bands, and rows without dates
            need them; such rows stay in their order.
        resolution: Pixel size of the stack on the ground, meters, see `stack`.
        resampling: Method for layers on another grid.
        missing: Pixels that are lost where only some layers are valid, see `stack`.

    Raises:
        RasterFileError: A raster or an Item cannot be read.
        GridMismatchError: A raster does not overlap the grid of the first one.
        InvalidInputError: There are fewer than two rasters, dates are missing, a scene lacks a
            layer, or an argument is invalid.
    """
    chosen = _chosen([layers] if isinstance(layers, str) else layers)
    found = _scenes(scenes)
    lasting = _same_everywhere(found, chosen)
    rasters = [
        (layer if layer in lasting else f"{layer}_{name}", scene.path(key))
        for place, (name, scene) in enumerate(_dated(found, names))
        for layer, key in chosen.items()
        if not place or layer not in lasting
    ]
    options: dict[str, Any] = {"resampling": resampling, "missing": missing}
    named = [name for name, _ in rasters]
    return stack(*(path for _, path in rasters), names=named, resolution=resolution, **options)


@dataclass(frozen=True)
class _Scene:
    """The rasters of a row or of a STAC Item."""

    words: str
    """Its name for messages."""
    path: Callable[[str], str]
    """Returns the path of a column or an asset."""
    time: Any = None


def _scenes(scenes: Any) -> list[_Scene]:
    if isinstance(scenes, gpd.GeoDataFrame):
        found = list(_rows(scenes))
    else:
        found = [_of_item(item) for item in _items(scenes)]
    if not found:
        raise InvalidInputError("There are no scenes; give a table or STAC Items of at least one.")
    return found


def _rows(frame: gpd.GeoDataFrame) -> Iterator[_Scene]:
    dates = next((name for name in DATES if name in frame.columns), None)
    for place, (label, row) in enumerate(frame.iterrows()):
        words = f"Row {label} of the GeoDataFrame"
        cells = dict(zip(frame.columns, row, strict=True))
        path = partial(_path_in, words, cells)
        yield _Scene(words, path, None if dates is None else frame[dates].iloc[place])


def _path_in(words: str, cells: Mapping[Any, Any], column: str) -> str:
    if column not in cells:
        raise InvalidInputError(
            f"The GeoDataFrame has no column {shown(column)}; give columns with paths of rasters, "
            f"among {', '.join(map(str, cells))}."
        )
    value = cells[column]
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise InvalidInputError(
            f"{words} has {shown(value)} in the column {column}; give the path of a raster, or "
            "leave the row out."
        )
    return os.fspath(value)


def _items(scenes: Any) -> Iterable[Any]:
    if isinstance(scenes, Mapping) and "features" in scenes:
        scenes = scenes["features"]
    if is_item(scenes):
        return [scenes]
    if isinstance(scenes, str | os.PathLike | Mapping) or not isinstance(scenes, Iterable):
        raise InvalidInputError(
            f"scenes is {shown(scenes)}; give a GeoDataFrame with a column of paths for each "
            "layer, or a list of STAC Items."
        )
    return scenes


def _of_item(item: Any) -> _Scene:
    found = StacItem.of(item)
    return _Scene(f"The STAC Item {found.id}", found.path, found.time)


def _chosen(layers: Any) -> dict[str, str]:
    """Return the columns or assets of layers by the names of these."""
    given = layers
    if isinstance(layers, list | tuple):
        given = {each: each for each in layers if isinstance(each, str)}
    right = isinstance(given, Mapping) and len(given) == len(layers) and given
    if not right or not all(isinstance(each, str) for pair in given.items() for each in pair):
        raise InvalidInputError(
            f"layers is {shown(layers)}; give names of columns or assets, each once, or a dict of "
            "them by the names of the layers."
        )
    return dict(given)


def _same_everywhere(scenes: Sequence[_Scene], chosen: Mapping[str, str]) -> set[str]:
    """Return the layers that have the same raster in all of several scenes."""
    return {
        layer
        for layer, key in chosen.items()
        if len(scenes) > 1 and len({scene.path(key) for scene in scenes}) == 1
    }


def _dated(scenes: Sequence[_Scene], names: object) -> list[tuple[str, _Scene]]:
    """Return scenes in the order of their dates, with the names of these."""
    if names is not None and (not isinstance(names, list | tuple) or len(names) != len(scenes)):
        raise InvalidInputError(
            f"names is {shown(names)}; give a list of {len(scenes)} names, one for each date."
        )
    times = [_time(scene) for scene in scenes]
    known = [time for time in times if time is not None]
    if len(known) < len(times):
        if names is None:
            raise InvalidInputError(
                f"{scenes[times.index(None)].words} has no date; give dates in a column date or "
                "datetime, or in the property datetime of an Item, or names for the dates."
            )
        return list(zip(map(str, names), scenes, strict=True))
    labels = _date_names(known) if names is None else map(str, names)
    ordered = sorted(zip(known, labels, scenes, strict=True), key=lambda each: each[0])
    return [(label, scene) for _, label, scene in ordered]


def _time(scene: _Scene) -> datetime | None:
    """Return the time of a scene in UTC; None without one."""
    given = scene.time
    if given is None or (isinstance(given, float) and math.isnan(given)):
        return None
    text = given.isoformat() if hasattr(given, "isoformat") else given
    try:
        if not text or text == "NaT":
            return None
        time = datetime.fromisoformat(re.sub("[Zz]$", "+00:00", FRACTION.sub("", text)))
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"{scene.words} has the date {shown(scene.time)}; give dates such as 2026-05-01."
        ) from None
    return time if time.tzinfo is None else time.astimezone(timezone.utc).replace(tzinfo=None)


def _date_names(times: Sequence[datetime]) -> list[str]:
    """Return dates as text, with the time of day if two are of one day."""
    days = [f"{time:%Y-%m-%d}" for time in times]
    if len(set(days)) == len(days):
        return days
    return [f"{time:%Y-%m-%dT%H%M%S}" for time in times]
