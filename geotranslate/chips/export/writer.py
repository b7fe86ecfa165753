"""Write pairs of chips, and their metadata in the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geotranslate.chips.bands import Statistics
from geotranslate.chips.export.candidates import Candidate
from geotranslate.chips.export.chip_file import write_chip
from geotranslate.chips.export.esri_metadata import ExportSide, write_metadata
from geotranslate.chips.export.scene_sides import (
    Pixels,
    Scene,
    SceneSide,
    bands_of,
    differ_in_names,
)
from geotranslate.chips.export.transaction import FOLDERS, mapped_pairs, remove_unnamed
from geotranslate.chips.split import DIGITS, VALID_SHARES, Row, read_rows, write_footprints
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid
from geotranslate.raster.reader import RasterReader


class ChipWriter:
    """Collects pairs in a folder that is not yet the final one.

    Chips are GeoTIFFs with the dtype, nodata value, mask, band names, scales, units, colors and
    color table of their sides.

    Args:
        folder: Existing folder to write into.
        tile_size: Side of the chips, px.
        scene: The first scene, which the others are like.
    """

    def __init__(self, folder: Path, tile_size: int, scene: Scene) -> None:
        self.folder, self.tile_size, self.scene = folder, tile_size, scene
        self.files: list[str] = []
        self.rows: list[Row] = []
        self.grids: list[Grid] = []
        self.statistics: tuple[list[Statistics], list[Statistics]] = ([], [])
        self.former: list[tuple[str, str]] | None = None
        self._next = 0
        for name in FOLDERS:
            (folder / name).mkdir()

    def continue_from(self, former: Path) -> None:
        """Take over the pairs of an earlier export, so that new ones are numbered after them.

        They keep what is known of them, labels that someone edited too.

        Raises:
            RasterFileError: A chip or the footprints cannot be read.
            InvalidInputError: Its chips have another size, other bands or another dtype, or are
                not those that its `map.txt` names.
        """
        remove_unnamed(former)
        self.former = mapped_pairs(former)
        known = read_rows(former)
        for source, target in self.former:
            for path, side, parts in zip(
                (source, target),
                (self.scene.source, self.scene.target),
                self.statistics,
                strict=True,
            ):
                with RasterReader(former / path) as chip:
                    self._check_alike(chip, side)
                    parts.append(Statistics.of(*chip.read(dtype=None)))
                    grid = chip.grid
            stem = Path(source).stem
            self.files.append(Path(source).name)
            self.rows.append({"name": stem, **known.get(stem, {})})
            self.grids.append(grid)
            self._next = max(self._next, int(stem) + 1 if stem.isdecimal() else 0)

    def _check_alike(self, chip: RasterReader, side: SceneSide) -> None:
        width, height = chip.grid.width, chip.grid.height
        expected = (self.tile_size, self.tile_size, side.bands, side.dtype)
        if (width, height, chip.bands, chip.dtype) != expected:
            raise InvalidInputError(
                f"The chips in the folder are not like the new ones: {chip.name} has {width} x "
                f"{height} px and {bands_of(chip)}, the new ones {self.tile_size} x "
                f"{self.tile_size} px and {bands_of(side)}. Export into another folder."
            )
        if differ_in_names(chip, side):
            raise InvalidInputError(
                "The chips in the folder are not like the new ones: the bands of "
                f"{chip.name} are {', '.join(chip.band_names)}, those of {side.name} are "
                f"{', '.join(side.band_names)}. Export into another folder."
            )

    def add(self, tile: Candidate, pixels: tuple[Pixels, Pixels]) -> None:
        """Write one pair, numbered after the highest number so far."""
        stem = f"{self._next:0{DIGITS}d}"
        self._next += 1
        scene, grid = tile.scene, tile.grid
        for folder, side, (data, valid), parts in zip(
            FOLDERS, (scene.source, scene.target), pixels, self.statistics, strict=True
        ):
            write_chip(self.folder / folder / f"{stem}.tif", side, grid, data, valid)
            parts.append(Statistics.of(data, valid))
        self.files.append(f"{stem}.tif")
        self.rows.append(
            {
                "name": stem,
                "source": scene.source.name,
                "target": scene.target.name,
                "row": int(tile.window.row_off),
                "col": int(tile.window.col_off),
                "angle": float(tile.angle),
                "valid_source": float(pixels[0][1].mean()),
                "valid_target": float(pixels[1][1].mean()),
            }
        )
        self.grids.append(grid)

    def finish(self) -> None:
        """Write the metadata of all pairs: Esri's files and the footprints with the split.

        The split of new pairs is the one that `prepare_data` makes by default.
        """
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
            crs=self.scene.grid.crs,
            resolutions=[grid.resolution for grid in self.grids],
            source=sides[0],
            target=sides[1],
        )
        write_footprints(self.folder, self.rows, self.grids, self._valid)

    def _valid(self, number: int) -> NDArray[np.bool_]:
        """Return which pixels of a pair that was just written are valid on both sides."""
        valid = np.ones((self.tile_size, self.tile_size), bool)
        for folder, share in zip(FOLDERS, VALID_SHARES, strict=True):
            if self.rows[number][share] < 1:
                with RasterReader(self.folder / folder / self.files[number]) as chip:
                    valid &= chip.read(dtype=None)[1]
        return valid
