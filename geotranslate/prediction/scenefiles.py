"""Scenes of a prediction, given as folders, patterns, lists or tables, and their outputs."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeAlias, TypeVar

import geopandas as gpd
from rasterio.io import MemoryFile

from geotranslate.checks import folder_path
from geotranslate.chips.bands import Side
from geotranslate.chips.stacking import as_raster
from geotranslate.errors import GeotranslateError, InvalidInputError, RasterFileError
from geotranslate.files import create_folder
from geotranslate.raster.composite import Composite
from geotranslate.raster.opening import DATASETS, RasterLike, no_raster, open_raster
from geotranslate.raster.pipeline import TranslatedRaster
from geotranslate.raster.stack import Stack
from geotranslate.raster.writing import default_output

RASTER_SUFFIXES = {".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg", ".jpeg"}
PATH_COLUMNS = ("path", "location")

ScenesLike: TypeAlias = "RasterLike | Sequence[RasterLike] | gpd.GeoDataFrame"

PathT = TypeVar("PathT", str, Path)


def several(scenes: ScenesLike) -> list[RasterLike] | None:
    """Return the rasters of a folder, glob pattern, list or GeoDataFrame; None for one raster.

    A GeoDataFrame has the paths in a column `path` or `location`, as written by gdaltindex. In a
    folder or a pattern, files named as translations of other files are skipped; lists and tables
    are taken as they are.

    Raises:
        InvalidInputError: There are no rasters, or the GeoDataFrame has no such column.
        RasterFileError: The folder has no rasters and cannot be opened as a raster itself.
    """
    found: list[RasterLike]
    if isinstance(scenes, gpd.GeoDataFrame):
        found = list(_column(scenes))
    elif isinstance(scenes, list | tuple):
        found = [as_raster(scene) for scene in scenes]
    elif isinstance(scenes, Composite) or not isinstance(scenes, str | os.PathLike):
        return None
    elif os.path.isdir(scenes):
        found = list(_in_folder(Path(scenes)))
        if not found:
            _refuse_empty(scenes)
            return None
    elif _is_pattern(os.fspath(scenes)):
        found = list(without_translations(sorted(glob.glob(os.fspath(scenes), recursive=True))))
        if not found:
            raise InvalidInputError(f"No file matches {scenes}; check the pattern.")
    else:
        return None
    if not found:
        raise InvalidInputError("The list of scenes is empty; give at least one raster.")
    return found


def without_translations(files: Sequence[PathT]) -> list[PathT]:
    """Return files without those that are named as translations of others among them."""
    translations = {default_output(os.fspath(file)) for file in files}
    return [file for file in files if Path(file) not in translations]


def outputs_in(scenes: Sequence[RasterLike], folder: str | os.PathLike[str] | None) -> list[Path]:
    """Return the paths of the translations, in a folder or beside their scenes.

    Creates the folder if it does not exist.

    Raises:
        InvalidInputError: Two scenes would be written to one file, or one is not a raster.
        RasterFileError: The folder cannot be created.
    """
    outputs: dict[Path, str] = {}
    folder = None if folder is None else folder_path("output", folder)
    for scene in scenes:
        name = scene_name(scene)
        beside = default_output(name)
        output = beside if folder is None else folder / beside.name
        if output in outputs:
            raise InvalidInputError(
                f"{outputs[output]} and {name} would both be translated to {output}; give scenes "
                "of different names, or one call for each folder."
            )
        outputs[output] = name
    if folder is not None:
        create_folder(folder, "for the translations")
    return list(outputs)


@contextmanager
def removed_if_empty(folder: Path | None) -> Iterator[None]:
    """Remove a folder again that the block makes, if a failure leaves it empty."""
    new = folder is not None and not os.path.lexists(folder)
    try:
        yield
    except BaseException:
        if folder is not None and new:
            with suppress(OSError):
                folder.rmdir()
        raise


def translate_each(
    scenes: Sequence[RasterLike],
    outputs: Sequence[Path],
    translate: Callable[[RasterLike, Path], TranslatedRaster],
) -> list[TranslatedRaster]:
    """Translate one scene after the other; errors name the scene and the number already written.

    Raises:
        GeotranslateError: A translation failed; the class is kept.
    """
    done: list[TranslatedRaster] = []
    for scene, output in zip(scenes, outputs, strict=True):
        try:
            done.append(translate(scene, output))
        except GeotranslateError as error:
            raise type(error)(
                f"Scene {len(done) + 1} of {len(scenes)}, {scene_name(scene)}: {error} "
                f"{len(done)} before it {'is' if len(done) == 1 else 'are'} written; with "
                "resume=True (--resume) they are not translated again."
            ) from error
    return done


def scene_name(scene: RasterLike) -> str:
    """Return a scene's path or GDAL name; for a stack, the path of its first layer.

    Raises:
        InvalidInputError: It is neither a path nor a dataset.
    """
    if isinstance(scene, Composite):
        return scene.main
    if isinstance(scene, str | os.PathLike):
        return os.fspath(scene)
    if not isinstance(scene, (*DATASETS, MemoryFile)):
        raise no_raster(scene)
    return str(scene.name)


def like_training(scene: RasterLike, source: Side) -> RasterLike:
    """Return a scene whose missing layers, if it is a stack, hold the means of the training."""
    if not isinstance(scene, Stack):
        return scene
    return scene.filled(dict(zip(source.band_names, source.fill, strict=True)))


def _refuse_empty(folder: str | os.PathLike[str]) -> None:
    """Raise an error for a folder without rasters, unless GDAL can open the folder itself.

    Raises:
        RasterFileError: GDAL cannot open it.
    """
    try:
        with ExitStack() as stack:
            open_raster(folder, stack)
    except RasterFileError as error:
        endings = ", ".join(sorted(RASTER_SUFFIXES))
        raise RasterFileError(
            f"The folder {os.fspath(folder)} has no rasters to translate: no file in it ends in "
            f"{endings}. Give a folder of rasters, a glob pattern or a list of them."
        ) from error


def _column(frame: gpd.GeoDataFrame) -> list[str]:
    for column in PATH_COLUMNS:
        if column in frame.columns:
            return [os.fspath(p) if isinstance(p, os.PathLike) else p for p in frame[column]]
    raise InvalidInputError(
        f"The GeoDataFrame of scenes has the columns {', '.join(map(str, frame.columns))}; give "
        "one with their paths in a column path or location."
    )


def _in_folder(folder: Path) -> list[Path]:
    return without_translations(
        sorted(file for file in folder.iterdir() if file.suffix.lower() in RASTER_SUFFIXES)
    )


def _is_pattern(path: str) -> bool:
    # URLs and GDAL names may contain these characters.
    elsewhere = "://" in path or path.startswith("/vsi") or os.path.exists(path)
    return glob.has_magic(path) and not elsewhere
