"""Candidate tiles for chips, and the writer of chip files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from geotranslate.chips.bands import Statistics
from geotranslate.chips.export.chipfile import format_of, suffix_of, write_chip
from geotranslate.chips.export.esri_metadata import ExportSide, write_metadata
from geotranslate.chips.export.exportoptions import ExportOptions
from geotranslate.chips.export.scene_sides import (
    Pixels,
    Scene,
    SceneSide,
    bands_of,
    differ_in_names,
    turned,
)
from geotranslate.chips.export.transaction import mapped_pairs, remove_unnamed
from geotranslate.chips.layouts import counted
from geotranslate.chips.split import DIGITS, VALID_SHARES, Row, read_rows, write_footprints
from geotranslate.chips.vectors import Area, AreaLike, covered, where
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid
from geotranslate.raster.reader import RasterReader


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tile, possibly rotated, from which a pair may be cut."""

    scene: Scene
    window: Window
    angle: float

    @property
    def grid(self) -> Grid:
        """Grid of the tile."""
        return turned(self.scene.grid.crop(self.window), self.angle)

    def read(self) -> tuple[Pixels, Pixels]:
        """Read the pixels of source and target."""
        sides = (self.scene.source, self.scene.target)
        if not self.angle:
            return sides[0].read(self.window), sides[1].read(self.window)
        grid = self.grid
        return sides[0].read_on(grid), sides[1].read_on(grid)


def candidates(scene: Scene, options: ExportOptions) -> Iterator[Candidate]:
    """Yield all tiles of a scene, at every angle."""
    height, width = scene.grid.height, scene.grid.width
    rows, cols = options.size
    down, across = options.steps
    for row in range(0, height - rows + 1, down):
        for col in range(0, width - cols + 1, across):
            for angle in options.angles:
                yield Candidate(scene, Window(col, row, cols, rows), angle)


def in_area(tiles: Sequence[Candidate], aoi: AreaLike, min_cover: float) -> list[Candidate]:
    """Return the tiles that lie sufficiently in an area of interest."""
    # Scenes may differ in CRS; most often there is one.
    areas: dict[int, Area] = {}
    for tile in tiles:
        if id(tile.scene) not in areas:
            areas[id(tile.scene)] = Area(aoi, tile.scene.grid, min_cover)
    return [tile for tile in tiles if areas[id(tile.scene)].holds(tile.grid)]


def why_none(
    tiles: Sequence[Candidate], inside: Sequence[Candidate], options: ExportOptions
) -> str:
    """Return the reason why no tile was written, with advice."""
    aoi, min_cover, min_valid = options.aoi, options.min_cover, options.min_valid
    if aoi is not None and not inside:
        grids = list(dict.fromkeys(tile.scene.grid for tile in tiles))
        if not any(Area(aoi, grid, min_cover).meets(grid) for grid in grids):
            return (
                f"the aoi covers {where(aoi, grids[0])}, which does not touch the raster "
                f"({covered(grids[0].footprint.bounds, grids[0].crs)}). Check the CRS of both, and "
                "that they are of one place."
            )
        share = "" if min_cover == 1 else f" to {min_cover:.0%}"
        return (
            f"none of {counted(tiles, 'tile')} lies in the aoi{share or ' wholly'}; give a larger "
            "aoi, a smaller tile_size or stride, or a lower min_cover."
        )
    out = len(tiles) - len(inside)
    beside = f"{out} reach out of the aoi and " if out else ""
    if options.blacken:
        return (
            f"of {counted(tiles, 'tile')} {beside}{len(inside)} have too few valid pixels on one "
            "side, or none inside of the shapes that blacken leaves. Check that both sides are of "
            "one place, or lower min_valid."
        )
    if not min_valid:
        return (
            f"of {counted(tiles, 'tile')} {beside}{len(inside)} have no valid pixel on one side. "
            "Check that both rasters have data in the same place."
        )
    return (
        f"of {counted(tiles, 'tile')} {beside}{len(inside)} have less than {100 * min_valid:.3g}% "
        "valid pixels on one side. Check that both rasters have data in the same place, or lower "
        "min_valid."
    )


class ChipWriter:
    """Writer of pairs into a temporary folder.

    Chips keep the dtype, nodata value, mask, band names, scales, units, colors and color table of
    their sides.

    Args:
        folder: Existing folder to write into.
        options: Options of the export.
        scene: The first scene, which has the bands and dtypes of all.
    """

    def __init__(self, folder: Path, options: ExportOptions, scene: Scene) -> None:
        self.folder, self.size, self.scene = folder, options.size, scene
        self._options = options
        self.files: list[str] = []
        self.rows: list[Row] = []
        self.grids: list[Grid] = []
        self.statistics: tuple[list[Statistics], list[Statistics]] = ([], [])
        self.former: list[tuple[str, str]] | None = None
        self._next = 0
        for name in options.folders:
            (folder / name).mkdir()

    def continue_from(self, former: Path) -> None:
        """Continue the numbering of an earlier export, and include its pairs in the metadata.

        Its pairs keep their attributes, including edited labels.

        Raises:
            RasterFileError: A chip or the footprints cannot be read.
            InvalidInputError: Its chips differ in format, size, bands or dtype, or do not match its
                `map.txt`.
        """
        remove_unnamed(former)
        self.former = mapped_pairs(former, self._options.folders)
        known = read_rows(former)
        for source, target in self.former:
            self._check_format(source)
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

    def _check_format(self, chip: str) -> None:
        former = format_of(chip)
        if former is not None and former != self._options.format:
            raise InvalidInputError(
                f"The chips in the folder are not like the new ones: {chip} is a {former}, the new "
                f"ones are {self._options.format}. Give format={former!r}, or export into another "
                "folder."
            )

    def _check_alike(self, chip: RasterReader, side: SceneSide) -> None:
        width, height = chip.grid.width, chip.grid.height
        expected = (self.size[1], self.size[0], side.bands, side.dtype)
        if (width, height, chip.bands, chip.dtype) != expected:
            raise InvalidInputError(
                f"The chips in the folder are not like the new ones: {chip.name} has {width} x "
                f"{height} px and {bands_of(chip)}, the new ones {self.size[1]} x "
                f"{self.size[0]} px and {bands_of(side)}. Export into another folder."
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
        name = f"{stem}{suffix_of(self._options.format)}"
        self._next += 1
        scene, grid = tile.scene, tile.grid
        sides = (scene.source, scene.target)
        for folder, side, (data, valid), parts in zip(
            self._options.folders, sides, pixels, self.statistics, strict=True
        ):
            write_chip(self.folder / folder / name, side, grid, data, valid)
            parts.append(Statistics.of(data, valid))
        self.files.append(name)
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
        """Write the metadata of all pairs: Esri's files, and the footprints with the split.

        New pairs get the split that `prepare_data` makes by default.
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
            self._options,
            crs=self.scene.grid.crs,
            resolutions=[grid.resolution for grid in self.grids],
            source=sides[0],
            target=sides[1],
        )
        write_footprints(self.folder, self.rows, self.grids, self._valid)

    def _valid(self, number: int) -> NDArray[np.bool_]:
        """Return the pixels of a written pair that are valid on both sides."""
        valid = np.ones(self.size, bool)
        for folder, share in zip(self._options.folders, VALID_SHARES, strict=True):
            if self.rows[number][share] < 1:
                with RasterReader(self.folder / folder / self.files[number]) as chip:
                    valid &= chip.read(dtype=None)[1]
        return valid
