"""The scenes of an export: opened, and checked against each other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TypeAlias

from geotranslate.chips.bands import resampling_for
from geotranslate.chips.export.export_options import ExportOptions
from geotranslate.chips.export.scene_sides import (
    Scene,
    SceneLike,
    SideOptions,
    VectorSide,
    bands_of,
    differ_in_names,
    open_scene,
)
from geotranslate.chips.vectors import footprints, is_layer
from geotranslate.errors import InvalidInputError, warn

ScenesLike: TypeAlias = "SceneLike | Sequence[SceneLike]"


def open_scenes(
    source: ScenesLike, target: ScenesLike, options: ExportOptions, stack: ExitStack
) -> list[Scene]:
    """Open the scenes of an export, each with its source and its target on one grid.

    Args:
        source: One source, or a list.
        target: As many targets.
        options: Options of the export.
        stack: Closes all rasters in the end.

    Raises:
        RasterFileError: A side cannot be opened.
        GridMismatchError: The sides of a scene do not overlap, or one of them has no CRS.
        InvalidInputError: The scenes do not fit each other or the options.
    """
    sides = _by_scene(source, target)
    asked = (
        _side_options("source", [one for one, _ in sides], options.source_classes, options),
        _side_options("target", [other for _, other in sides], options.target_classes, options),
    )
    scenes = [open_scene(one, other, options.burn, asked, stack) for one, other in sides]
    _check_burn(scenes, options.burn)
    footprints([scene.grid for scene in scenes])
    for scene in scenes[1:]:
        _check_alike(scene, scenes[0])
    if options.rotation_angle and any(scene.grid.crs is None for scene in scenes):
        raise InvalidInputError(
            "rotation_angle needs rasters with a CRS, onto whose ground turned tiles are laid; "
            "assign it, or let training turn the chips, which it does by itself."
        )
    return scenes


def _by_scene(source: ScenesLike, target: ScenesLike) -> list[tuple[SceneLike, SceneLike]]:
    sides = [list(side) if isinstance(side, list | tuple) else [side] for side in (source, target)]
    if len(sides[0]) != len(sides[1]) or not sides[0]:
        raise InvalidInputError(
            f"There are {len(sides[0])} sources and {len(sides[1])} targets; give as many targets "
            "as sources, in the same order."
        )
    return list(zip(*sides, strict=True))


def _side_options(
    side: str, scenes: Sequence[SceneLike], classes: bool | None, options: ExportOptions
) -> SideOptions:
    """Choose how a side is resampled, for all scenes alike."""
    rasters = [scene for scene in scenes if not is_layer(scene)]
    found = resampling_for(side, classes, rasters)
    return SideOptions(options.method or found, classes)


def _check_burn(scenes: Sequence[Scene], burn: str | None) -> None:
    sides = [side for scene in scenes for side in (scene.source, scene.target)]
    if burn is not None and not any(isinstance(side, VectorSide) for side in sides):
        raise InvalidInputError(
            f"burn is {burn!r}, but both sides are rasters; leave it out, or give a vector layer "
            "with that column on one side."
        )


def _check_alike(scene: Scene, first: Scene) -> None:
    """Refuse a scene whose chips could not lie in one folder with those of the first."""
    for side, usual in ((scene.source, first.source), (scene.target, first.target)):
        if (side.bands, side.dtype) != (usual.bands, usual.dtype):
            raise InvalidInputError(
                f"{side.name} has {bands_of(side)} but {usual.name} has {bands_of(usual)}; all "
                "scenes of a folder need the same."
            )
        if differ_in_names(side, usual):
            raise InvalidInputError(
                f"The bands of {side.name} are {', '.join(side.band_names)} but those of "
                f"{usual.name} are {', '.join(usual.band_names)}; all scenes of a folder need "
                "the same bands, of the same names and in the same order."
            )


def check_sizes(scenes: Sequence[Scene], tile_size: int) -> None:
    """Refuse scenes that are all smaller than a tile; warn of some that are.

    Raises:
        InvalidInputError: No scene holds a tile.
    """
    small = [scene for scene in scenes if min(scene.grid.height, scene.grid.width) < tile_size]
    if not small:
        return
    first, others = small[0], len(small) - 1
    more = f", and so {'is another scene' if others == 1 else f'are {others} other scenes'}"
    sentence = (
        f"{first.source.name} is {first.grid.width} x {first.grid.height} px, smaller than a tile"
        f"{more if others else ''}; "
    )
    if len(small) == len(scenes):
        raise InvalidInputError(f"{sentence}give a tile_size below {tile_size}.")
    warn(f"{sentence}no chip is cut from it. A tile_size below {tile_size} uses all scenes.")
