"""Plan of a translation: the tiles, parts and stripes that a scene is cut into."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

from rasterio.windows import Window

from geotranslate.raster.tiling.axis import Axis
from geotranslate.raster.tiling.region import Region

BLOCK = 256
"""Side of the blocks of written rasters, px; parts and stripes are whole blocks."""

PART_PIXELS = 2**22
"""Pixels of a part, unless `PART_TILES` needs more: an interrupted run loses at most these. Small
parts cost a run nothing, as consecutive parts share tiles, and keep many workers busy."""

PART_TILES = 4
"""Least height of a part, in tiles: a part computed alone repeats one row of tiles."""


Place = tuple[int, int]
"""Tile row and tile column of a tile in the scene."""


@dataclass(frozen=True)
class Plan:
    """The tiles of a scene, and the region of its output that is written.

    The tiles always cover the whole scene, so that a pixel's value depends neither on the region
    nor on the part or stripe in which it is computed.
    """

    rows: Axis
    cols: Axis
    factor: Fraction
    """Output pixels per source pixel, along an axis."""
    region: Region
    """Region that is written, in output pixels of the whole scene."""
    part_rows: int
    """Rows of a part, a multiple of the block."""

    @cached_property
    def out_rows(self) -> Axis:
        """The tiles down the output."""
        return self.rows.scaled(self.factor)

    @cached_property
    def out_cols(self) -> Axis:
        """The tiles across the output."""
        return self.cols.scaled(self.factor)

    @cached_property
    def parts(self) -> tuple[range, ...]:
        """Rows of every part, in output pixels of the whole scene."""
        edges = [*range(self.region.top, self.region.bottom, self.part_rows), self.region.bottom]
        return tuple(range(top, bottom) for top, bottom in pairwise(edges))

    def tiles_in(self, region: Region) -> tuple[range, range]:
        """Return the tile rows and tile columns that contribute to a region of the output."""
        return (
            self.out_rows.touching(region.top, region.bottom),
            self.out_cols.touching(region.left, region.right),
        )

    def owned(self, region: Region) -> tuple[range, range]:
        """Return the tile rows and tile columns that belong to a region.

        Adjacent regions share tiles. Each tile belongs to the region that holds the first pixel it
        contributes to.
        """
        rows, cols = self.tiles_in(region)
        if region.top > self.region.top:
            rows = self.out_rows.beginning(region.top, region.bottom)
        if region.left > self.region.left:
            cols = self.out_cols.beginning(region.left, region.right)
        return rows, cols

    def tiles_of(self, part: int) -> int:
        """Return the number of tiles that belong to a part."""
        rows = self.parts[part]
        region = Region(rows.start, rows.stop, self.region.left, self.region.right)
        return math.prod(map(len, self.owned(region)))

    def part_of(self, row: int) -> int:
        """Return the number of the part that a row of the output is in."""
        return (row - self.region.top) // self.part_rows

    @property
    def window(self) -> Window:
        """The source pixels under the region, which begins at a whole one.

        With larger output pixels, the window may extend beyond the scene.
        """
        edges = (self.region.left, self.region.top, self.region.width, self.region.height)
        return Window(*(int(edge / self.factor) for edge in edges))

    def __getstate__(self) -> dict[str, object]:
        # A plan is sent to the workers with every part, without its cached values.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def stripes(self, region: Region, count: int) -> Iterator[Region]:
        """Cut a region into at most `count` stripes of whole blocks, left to right."""
        blocks = -(-region.width // BLOCK)
        width = -(-blocks // min(count, blocks)) * BLOCK
        for left in range(region.left, region.right, width):
            yield Region(region.top, region.bottom, left, min(left + width, region.right))


def part_height(width: int, tile: int) -> int:
    """Return the rows of a part from the width of the scene and the side of tiles, output px."""
    wanted = max(PART_TILES * tile, PART_PIXELS // max(width, 1))
    return -(-wanted // BLOCK) * BLOCK
