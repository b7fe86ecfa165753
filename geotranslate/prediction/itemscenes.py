"""Scenes of a prediction, given as STAC Items and collections of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError
from geotranslate.raster.stacitems import StacItem, is_item


@dataclass(frozen=True)
class ItemScene(os.PathLike[str]):
    """An asset of a STAC Item, usable as the path of its raster."""

    path: str
    item: str
    """Path or URL of the Item; empty if it is not known."""
    time: str
    """Time of the Item, ISO 8601; empty if it has none."""

    def __fspath__(self) -> str:
        return self.path


def with_items(scenes: Any, asset: str | None = None) -> Any:
    """Return scenes in which assets take the place of STAC Items.

    Args:
        scenes: A scene or a list of them. An Item is a `pystac.Item`, its dict or the path of its
            JSON file; a `pystac.ItemCollection` or the dict of a FeatureCollection is a list.
        asset: Name of the asset; None for the only one that holds data.

    Raises:
        RasterFileError: The file of an Item cannot be read.
        InvalidInputError: An Item has no such asset or several of data, or an asset is named and a
            scene is no Item.
    """
    members = _members(scenes)
    if members is None:
        return _scene(scenes, asset)
    return [_scene(scene, asset) for scene in members]


def _members(scenes: Any) -> list[Any] | None:
    """Return the members of a list or a collection of Items; None for a single scene."""
    if isinstance(scenes, list | tuple):
        return list(scenes)
    if isinstance(scenes, Mapping) and isinstance(scenes.get("features"), list):
        return list(scenes["features"])
    items = None if is_item(scenes) else getattr(scenes, "items", None)
    return list(items) if isinstance(items, list) else None


def _scene(scene: Any, asset: str | None) -> Any:
    if is_item(scene):
        item = StacItem.of(scene)
        path = item.path(item.data_asset if asset is None else asset)
        return ItemScene(path, item.file, item.time)
    if asset is not None:
        raise InvalidInputError(
            f"asset is {shown(asset)}, but {shown(scene)} is no STAC Item; leave asset out, or "
            "give Items."
        )
    return scene
