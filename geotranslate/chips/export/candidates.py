"""The tiles of a scene that may become pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rasterio.windows import Window

from geotranslate.chips.export.export_options import ExportOptions
from geotranslate.chips.export.scene_sides import Pixels, Scene, turned
from geotranslate.chips.layouts import counted
from geotranslate.chips.vectors import Area, AreaLike, covered, where
from geotranslate.raster.grid import Grid
from geotranslate.raster.tiling import tile_windows


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tile, turned or not, where a pair may be cut."""

    scene: Scene
    window: Window
    angle: float

    @property
    def grid(self) -> Grid:
        """Where it lies."""
        return turned(self.scene.grid.crop(self.window), self.angle)

    def read(self) -> tuple[Pixels, Pixels]:
        """Return the pixels of source and target."""
        sides = (self.scene.source, self.scene.target)
        if not self.angle:
            return sides[0].read(self.window), sides[1].read(self.window)
        grid = self.grid
        return sides[0].read_on(grid), sides[1].read_on(grid)


def candidates(scene: Scene, options: ExportOptions) -> Iterator[Candidate]:
    """Yield all tiles of a scene, at every angle."""
    height, width = scene.grid.height, scene.grid.width
    for window in tile_windows(height, width, options.tile_size, options.step):
        for angle in options.angles:
            yield Candidate(scene, window, angle)


def in_area(tiles: Sequence[Candidate], aoi: AreaLike, min_cover: float) -> list[Candidate]:
    """Return the tiles of which enough lies in an area of interest."""
    # Scenes may differ in CRS; most often there is one.
    areas: dict[int, Area] = {}
    for tile in tiles:
        if id(tile.scene) not in areas:
            areas[id(tile.scene)] = Area(aoi, tile.scene.grid, min_cover)
    return [tile for tile in tiles if areas[id(tile.scene)].holds(tile.grid)]


def why_none(
    tiles: Sequence[Candidate], inside: Sequence[Candidate], options: ExportOptions
) -> str:
    """Return why no tile was written, and what may help."""
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
