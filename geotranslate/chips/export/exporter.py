"""Cut two rasters of one place into a folder of training pairs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.enums import Resampling
from rasterio.warp import SUPPORTED_RESAMPLING
from tqdm.auto import tqdm

from geotranslate.checks import choice, flag, folder_path, number, whole_number
from geotranslate.chips.bands import resampling_for
from geotranslate.chips.export.candidates import candidates, in_area, why_none
from geotranslate.chips.export.scenesides import (
    Scene,
    SceneLike,
    SideOptions,
    VectorSide,
    bands_of,
    differ_in_names,
    open_scene,
)
from geotranslate.chips.export.transaction import (
    check_folder,
    clear_leftovers,
    disk_trouble,
    put_in_place,
    refuse_inputs_inside,
    sole_writer,
)
from geotranslate.chips.export.writer import ChipWriter
from geotranslate.chips.vectors import AreaLike, footprints, is_layer
from geotranslate.errors import InvalidInputError, warn


@dataclass(frozen=True)
class ChipExport(os.PathLike[str]):
    """A written chip folder: use it as a path, or read what became of every tile."""

    folder: Path
    pairs: int
    """Pairs written."""
    outside_aoi: int
    """Tiles not written because too little of them lies in the area of interest."""
    mostly_invalid: int
    """Tiles not written because a side has too few valid pixels."""
    target_warped: bool
    """Whether a side lay on another grid than its scene and was resampled."""

    def __fspath__(self) -> str:
        return str(self.folder)


def export_chips(
    source: SceneLike | Sequence[SceneLike],
    target: SceneLike | Sequence[SceneLike],
    folder: str | os.PathLike[str],
    *,
    tile_size: int = 256,
    stride: int | None = None,
    aoi: AreaLike | None = None,
    min_cover: float = 1.0,
    min_valid: float = 0.5,
    rotation_angle: float = 0.0,
    burn: str | None = None,
    resampling: str | Resampling | None = None,
    source_classes: bool | None = None,
    target_classes: bool | None = None,
    overwrite: bool = False,
    append: bool = False,
    progress: bool = True,
) -> ChipExport:
    """Write the tiles that two rasters have in common as pairs that `prepare_data` reads.

    The folder has the layout of ArcGIS Pro's "Export Tiles": `images/` with the source chips,
    `images2/` with the target chips of the same names, the Esri metadata with the statistics of
    both, and `chips.gpkg` with the footprint, scene, window, valid shares and split of every
    pair. The chips are GeoTIFFs on the source's grid, in the dtypes, with the nodata values, band
    names, scales, offsets, units and colours of their rasters. The folder changes when all is
    complete.

    Args:
        source: Raster to translate from: path, URL, VRT or open dataset; or a vector file or
            GeoDataFrame, which is burnt into the target's grid. A list for several scenes.
        target: Raster or vector layer to translate to, warped or burnt where it is not on the
            source's grid. As many as sources.
        folder: Folder to write; what is above it has to exist.
        tile_size: Side of the chips, px.
        stride: Step from chip to chip, px; `tile_size` (no overlap) by default. Only whole tiles
            are written, so up to a tile is left over at the right and lower edges.
        aoi: Area of interest: vector file or GeoDataFrame in any CRS, or a geometry in the
            scene's.
        min_cover: Least share of a chip, 0 to 1, that lies in the area.
        min_valid: Least share of valid pixels, 0 to 1, that each side of a pair needs.
        rotation_angle: Degrees, 1 or more; each tile is also written turned by every multiple
            below 360. 0 writes it as it is. Turned chips are resampled, and their corners may
            reach out of the scene and be invalid.
        burn: Column of the vector layer whose numbers are burnt; 1 for every shape by default.
            Not for two rasters.
        resampling: GDAL's name of the method for warping; nearest for classes, else bilinear.
        source_classes: Whether the source's values are classes, which the chips then tell
            `prepare_data`. By default they are if it has a colour table, or is one band of
            integers with at most 4 different values, or with at most 64 that form patches and do
            not change in steps of 1, as heights do.
        target_classes: The same for the target.
        overwrite: Whether to replace the chips that are in the folder.
        append: Whether to add to the chips that are in the folder, whose labels stay.
        progress: Whether to show a progress bar.

    Raises:
        RasterFileError: A side cannot be read, the folder not written, or another export is
            writing it.
        OutputExistsError: The folder is not empty, and neither `overwrite` nor `append` is true.
        GridMismatchError: The sides do not overlap, or one of them has no CRS.
        InvalidInputError: No tile is left to write, scenes differ in bands or dtype, or an
            argument is impossible.
    """
    flag("overwrite", overwrite)
    flag("append", append)
    flag("progress", progress)
    place = folder_path("folder", folder)
    angles = _angles(rotation_angle)
    tile_size = whole_number("tile_size", tile_size, 1)
    step = tile_size if stride is None else whole_number("stride", stride, 1)
    number("min_valid", min_valid, least=0, most=1)
    number("min_cover", min_cover, least=0, most=1)
    method = _resampling(resampling)
    path = check_folder(place, overwrite=overwrite, append=append)
    with ExitStack() as stack:
        if stack.enter_context(sole_writer(path)):
            with disk_trouble(path):
                clear_leftovers(path)
        # Another export may have ended since.
        check_folder(path, overwrite=overwrite, append=append)
        sides = _scenes(source, target)
        options = (
            _options("source", [one for one, _ in sides], source_classes, method),
            _options("target", [other for _, other in sides], target_classes, method),
        )
        scenes = [open_scene(one, other, burn, options, stack) for one, other in sides]
        _check_scenes(scenes, burn)
        if rotation_angle and any(scene.grid.crs is None for scene in scenes):
            raise InvalidInputError(
                "rotation_angle needs rasters with a CRS, onto whose ground turned tiles are laid; "
                "assign it, or let training turn the chips, which it does by itself."
            )
        if overwrite:
            refuse_inputs_inside(path, scenes)
        _check_sizes(scenes, tile_size)
        tiles = [tile for scene in scenes for tile in candidates(scene, tile_size, step, angles)]
        inside = tiles if aoi is None else in_area(tiles, aoi, min_cover)
        with disk_trouble(path):
            temporary = stack.enter_context(_temporary_for(path))
            writer = ChipWriter(temporary, tile_size, scenes[0])
            if append:
                writer.continue_from(path)
        written = 0
        for tile in tqdm(inside, desc="exporting", unit="tile", disable=not progress):
            pixels = tile.read()
            shares = [valid.mean() for _, valid in pixels]
            if min(shares) >= min_valid and min(shares) > 0:
                with disk_trouble(path):
                    writer.add(tile.scene, tile.window, tile.angle, tile.grid, pixels)
                written += 1
        if not written:
            raise InvalidInputError(
                f"No pair to write: {why_none(tiles, inside, aoi, min_cover, min_valid)}"
            )
        with disk_trouble(path):
            writer.finish()
            check_folder(path, overwrite=overwrite, append=append)
            put_in_place(temporary, path, beside=writer.former)
    return ChipExport(
        path,
        pairs=written,
        outside_aoi=len(tiles) - len(inside),
        mostly_invalid=len(inside) - written,
        target_warped=any(scene.warped for scene in scenes),
    )


@contextmanager
def _temporary_for(folder: Path) -> Iterator[Path]:
    """Make a folder beside a folder, and remove it with all that is in it."""
    with tempfile.TemporaryDirectory(
        prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent
    ) as name:
        yield Path(name)


def _scenes(
    source: SceneLike | Sequence[SceneLike], target: SceneLike | Sequence[SceneLike]
) -> list[tuple[SceneLike, SceneLike]]:
    sides = [list(side) if isinstance(side, list | tuple) else [side] for side in (source, target)]
    if len(sides[0]) != len(sides[1]) or not sides[0]:
        raise InvalidInputError(
            f"There are {len(sides[0])} sources and {len(sides[1])} targets; give as many targets "
            "as sources, in the same order."
        )
    return list(zip(*sides, strict=True))


def _check_scenes(scenes: Sequence[Scene], burn: str | None) -> None:
    """Refuse scenes whose chips could not lie in one folder, or have nothing to burn."""
    sides = [side for scene in scenes for side in (scene.source, scene.target)]
    if burn is not None and not any(isinstance(side, VectorSide) for side in sides):
        raise InvalidInputError(
            f"burn is {burn!r}, but both sides are rasters; leave it out, or give a vector layer "
            "with that column on one side."
        )
    footprints([scene.grid for scene in scenes])
    first = scenes[0]
    for scene in scenes[1:]:
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


def _options(
    side: str, scenes: Sequence[SceneLike], classes: bool | None, method: Resampling | None
) -> SideOptions:
    """Decide how a side is laid onto grids, for all scenes alike."""
    rasters = [scene for scene in scenes if not is_layer(scene)]
    found = resampling_for(side, classes, rasters)
    return SideOptions(method or found, classes)


def _check_sizes(scenes: Sequence[Scene], tile_size: int) -> None:
    """Refuse if no scene holds a tile; warn of those that do not."""
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
    warn(
        f"{sentence}no chip is cut from it. A tile_size below {tile_size} uses all scenes.",
    )


def _angles(rotation_angle: float) -> list[float]:
    if number("rotation_angle", rotation_angle, least=0, below=360) and rotation_angle < 1:
        raise InvalidInputError(
            f"rotation_angle is {rotation_angle}, by which every tile would be written "
            f"{360 / rotation_angle:.3g} times; give 1 degree or more, or 0 for none."
        )
    return [0.0] if not rotation_angle else np.arange(0, 360, rotation_angle).tolist()


def _resampling(name: str | Resampling | None) -> Resampling | None:
    if name is None:
        return None
    if isinstance(name, Resampling):
        name = name.name
    return Resampling[choice("resampling", name, [method.name for method in SUPPORTED_RESAMPLING])]
