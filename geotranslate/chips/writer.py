"""Write pairs of chips and what is known of them, all at once in the end."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
from rasterio.windows import Window

from geotranslate.chips.chipfile import write_chip
from geotranslate.chips.esri import (
    MAP_FILE,
    METADATA_FILES,
    SOURCE_FOLDER,
    TARGET_FOLDER,
    ExportSide,
    read_map,
    write_metadata,
)
from geotranslate.chips.files import CHIP_SUFFIXES
from geotranslate.chips.footprints import FOOTPRINTS_FILE, read_rows
from geotranslate.chips.ground import footprints
from geotranslate.chips.scenes import Pixels, Scene, Side
from geotranslate.chips.split import TRAIN, VALIDATION, split_pairs
from geotranslate.chips.statistics import Statistics
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid
from geotranslate.raster.source import Source

VALIDATION_SHARE, SEED = 0.1, 42
"""Defaults of `prepare_data`, with which the footprints are labelled."""
FOLDERS = (SOURCE_FOLDER, TARGET_FOLDER)


class ChipWriter:
    """Collects pairs in a folder that is not yet the final one.

    Chips are GeoTIFFs with the dtype, nodata value, mask, band names, colours and colour table of
    their sides.

    Args:
        folder: Existing folder to write into.
        tile_size: Side of the chips, px.
        scene: The first scene, which the others are like.
    """

    def __init__(self, folder: Path, tile_size: int, scene: Scene) -> None:
        self.folder, self.tile_size, self.scene = folder, tile_size, scene
        self.files: list[str] = []
        self.rows: list[dict[str, Any]] = []
        self.grids: list[Grid] = []
        self.statistics: tuple[list[Statistics], list[Statistics]] = ([], [])
        self._next = 0
        for name in FOLDERS:
            (folder / name).mkdir()

    def continue_from(self, former: Path) -> None:
        """Take over the pairs of an earlier export, so that new ones are numbered after them.

        Raises:
            InvalidInputError: Its chips have another size, other bands or another dtype, or are
                not those that its `map.txt` names.
        """
        known = read_rows(former)
        for source, target in _mapped_pairs(former):
            for path, side, parts in zip(
                (source, target),
                (self.scene.source, self.scene.target),
                self.statistics,
                strict=True,
            ):
                with Source(former / path) as chip:
                    self._check_alike(chip, side)
                    parts.append(Statistics.of(*chip.read(dtype=None)))
                    grid = chip.grid
            stem = Path(source).stem
            self.files.append(Path(source).name)
            self.rows.append({"name": stem, **known.get(stem, {})})
            self.grids.append(grid)
            self._next = max(self._next, int(stem) + 1 if stem.isdecimal() else 0)

    def _check_alike(self, chip: Source, side: Side) -> None:
        width, height = chip.grid.width, chip.grid.height
        expected = (self.tile_size, self.tile_size, side.bands, side.dtype)
        if (width, height, chip.bands, chip.dtype) != expected:
            raise InvalidInputError(
                f"The chips in the folder are not like the new ones: {chip.name} has {width} x "
                f"{height} px and {chip.bands} bands of {chip.dtype}, the new ones "
                f"{self.tile_size} x {self.tile_size} px and {side.bands} bands of {side.dtype}. "
                "Export into another folder."
            )

    def add(
        self, scene: Scene, window: Window, angle: float, grid: Grid, pixels: tuple[Pixels, Pixels]
    ) -> None:
        """Write one pair, numbered after the highest number so far."""
        stem = f"{self._next:09d}"
        self._next += 1
        sides = (scene.source, scene.target)
        for folder, side, (data, valid), parts in zip(
            FOLDERS, sides, pixels, self.statistics, strict=True
        ):
            write_chip(self.folder / folder / f"{stem}.tif", side, grid, data, valid)
            parts.append(Statistics.of(data, valid))
        self.files.append(f"{stem}.tif")
        self.rows.append(
            {
                "name": stem,
                "source": scene.source.name,
                "target": scene.target.name,
                "row": int(window.row_off),
                "col": int(window.col_off),
                "angle": float(angle),
                "valid_source": float(pixels[0][1].mean()),
                "valid_target": float(pixels[1][1].mean()),
            }
        )
        self.grids.append(grid)

    def finish(self) -> None:
        """Write the metadata of all pairs: Esri's files and the footprints with the split.

        The split is the one that `prepare_data` makes by default.
        """
        grid = self.scene.grid
        sides = [
            ExportSide(side.band_names, Statistics.total(parts, side.bands))
            for side, parts in zip(
                (self.scene.source, self.scene.target), self.statistics, strict=True
            )
        ]
        write_metadata(
            self.folder,
            self.files,
            tile_size=self.tile_size,
            crs=grid.crs,
            resolution=grid.resolution,
            source=sides[0],
            target=sides[1],
        )
        outlines = footprints(self.grids)
        frame = gpd.GeoDataFrame(self.rows, geometry=list(outlines), crs=outlines.crs)
        frame["split"] = self._split(outlines)
        with warnings.catch_warnings():
            # Chips without a CRS are said elsewhere.
            warnings.filterwarnings("ignore", "'crs' was not provided")
            frame.to_file(self.folder / FOOTPRINTS_FILE, driver="GPKG")

    def _split(self, outlines: gpd.GeoSeries) -> list[str | None]:
        labels: list[str | None] = [None] * len(self.rows)
        if len(self.rows) < 2:
            return labels
        try:
            split = split_pairs(len(self.rows), VALIDATION_SHARE, SEED, outlines, self.tile_size)
        except InvalidInputError:
            # Too few chips to keep apart: whoever trains on them is told.
            return labels
        for label, positions in ((TRAIN, split.train), (VALIDATION, split.validation)):
            for position in positions:
                labels[position] = label
        return labels


def put_in_place(written: Path, folder: Path, *, append: bool) -> None:
    """Move finished entries into the folder: beside the chips in it, or instead of them.

    An interruption leaves all old or all new chips, and never a pair of an old and a new one.
    """
    folder.mkdir(exist_ok=True)
    if append:
        for name in FOLDERS:
            (folder / name).mkdir(exist_ok=True)
            for chip in (written / name).iterdir():
                os.replace(chip, folder / name / chip.name)
    else:
        _exchange(written, folder)
    # Last, so that a pair is named only when both its chips are there.
    for name in (*METADATA_FILES, FOOTPRINTS_FILE):
        os.replace(written / name, folder / name)


def _exchange(written: Path, folder: Path) -> None:
    """Put new chip folders where old ones may be, or everything back if that fails."""
    moves: list[tuple[Path, Path]] = []
    for name in FOLDERS:
        if (folder / name).is_dir():
            moves.append((folder / name, written / f"former_{name}"))
    # The old ones first, all of them: what is aside goes with the temporary folder.
    moves += [(written / name, folder / name) for name in FOLDERS]
    done: list[tuple[Path, Path]] = []
    try:
        for before, after in moves:
            os.replace(before, after)
            done.append((before, after))
    except BaseException:
        for before, after in reversed(done):
            os.replace(after, before)
        raise


def refuse_inputs_inside(folder: Path, scenes: Sequence[Scene]) -> None:
    """Refuse to replace chips among which an input lies.

    Raises:
        InvalidInputError: A file that a scene reads lies where chips are replaced.
    """
    replaced = [(folder / name).resolve() for name in FOLDERS]
    for scene in scenes:
        for file in (*scene.source.files, *scene.target.files):
            if any(Path(file).resolve().is_relative_to(place) for place in replaced):
                raise InvalidInputError(
                    f"{file} lies among the chips of {folder} that overwrite=True would replace; "
                    "move it, or export into another folder."
                )


def _mapped_pairs(folder: Path) -> list[tuple[str, str]]:
    """Return the pairs of a folder's `map.txt`, which have to be all that is in it."""
    pairs = read_map(folder / MAP_FILE) if (folder / MAP_FILE).is_file() else []
    for name, side in zip(FOLDERS, zip(*pairs, strict=True) if pairs else ([], []), strict=True):
        present = {f"{name}/{path.name}" for path in _chips_in(folder / name)}
        if present != set(side):
            odd = sorted(present ^ set(side))
            raise InvalidInputError(
                f"{folder} cannot be appended to: its {MAP_FILE} does not name just the chips of "
                f"{name}/, for example {odd[0]}. Export into another folder, and give "
                "prepare_data both."
            )
    return pairs


def _chips_in(folder: Path) -> list[Path]:
    """Return the chip files of a folder, none if it is not there."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.suffix.lower() in CHIP_SUFFIXES]
