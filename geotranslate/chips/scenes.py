"""The scenes that chips were cut from, and scenes whose values are compared with theirs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from geotranslate.chips.bands import Quantiles, Side, sample_scene
from geotranslate.chips.chip import Chip
from geotranslate.chips.layouts.base import RasterWindow
from geotranslate.chips.split import FOOTPRINTS_FILE, read_rows
from geotranslate.chips.stacking import as_raster
from geotranslate.errors import InvalidInputError
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.reader import RasterReader

PathLike = str | os.PathLike[str]
SCENE = "source"
"""Column of `chips.gpkg` with the name of the scene that a pair was cut from."""


def scenes_of(chips: Sequence[Chip]) -> tuple[str | None, ...]:
    """Return the name of the scene of each chip; None where it is not known.

    It is known for windows of rasters, and for chips of folders with a `chips.gpkg`, whose pairs
    are named by the scene of their source.

    Raises:
        RasterFileError: A `chips.gpkg` cannot be read.
    """
    folders: dict[Path, dict[str, str]] = {}
    return tuple(_scene(chip, folders) for chip in chips)


def _scene(chip: Chip, folders: dict[Path, dict[str, str]]) -> str | None:
    if isinstance(chip.place, RasterWindow) and not chip.place.is_chip:
        return os.fspath(chip.place.path)
    folder = chip.path.parent.parent
    if folder not in folders:
        folders[folder] = _named(folder)
    return folders[folder].get(chip.path.stem)


def _named(folder: Path) -> dict[str, str]:
    rows = read_rows(folder) if (folder / FOOTPRINTS_FILE).is_file() else {}
    return {name: row[SCENE] for name, row in rows.items() if isinstance(row.get(SCENE), str)}


def matching_bands(side: Side, source: RasterReader) -> tuple[int, ...] | None:
    """Return the numbers of a raster's bands that are those of a side; None if it has others.

    Bands are matched by name, in any order, if all have names; else by number, if the raster has as
    many bands as the training files; else all are taken.
    """
    places = dict(zip(source.band_names, source.indexes, strict=True))
    named = all(side.band_names) and len(set(side.band_names)) == side.bands
    if named and set(side.band_names) <= places.keys():
        return tuple(places[name] for name in side.band_names)
    if source.bands == side.file_bands != side.bands:
        return side.indexes
    return source.indexes if source.bands == side.bands else None


def target_bands(reference: RasterLike, side: Side) -> tuple[int | str, ...] | None:
    """Return the bands of a reference that are those of the training targets; None for all."""
    with RasterReader(as_raster(reference)) as truth:
        names = side.band_names
        if all(names) and set(names) <= set(truth.band_names):
            return names
        if truth.bands > side.bands and truth.bands == side.file_bands:
            return side.indexes
    return None


def quantiles_of_raster(raster: PathLike, side: Side) -> Quantiles:
    """Return the quantiles of a raster in the bands of a side.

    Raises:
        RasterFileError: It cannot be read.
        InvalidInputError: It has other bands, or no valid pixel in the sample.
    """
    with RasterReader(raster) as source:
        bands = matching_bands(side, source)
        if bands is None:
            raise InvalidInputError(
                f"{source.name} has {source.bands} band{'s' if source.bands != 1 else ''} but the "
                f"source has {side.bands}; give a raster with the bands of the source, in their "
                "order."
            )
        found = Quantiles.of(sample_scene(RasterReader(source.dataset, bands)))
    if found is None:
        raise InvalidInputError(
            f"{os.fspath(raster)} has no valid pixel in windows spread over it; give a raster that "
            "shows the scene."
        )
    return found
