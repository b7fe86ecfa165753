"""Plan of the tiles of a scene, and the tags that describe it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from geotranslate.raster.tiling.axis import Axis
from geotranslate.raster.tiling.region import Region
from geotranslate.schema import Fields, Later, parse_json, record, text, whole

BLOCK = 256
"""Side of the blocks of written rasters, px; parts and stripes are whole blocks."""

PART_PIXELS = 2**22
"""Pixels of a part, unless `PART_TILES` needs more: an interrupted run loses at most these. Small
parts cost a run nothing, as consecutive parts share tiles, and keep many workers busy."""

PART_TILES = 4
"""Least height of a part, in tiles: a part computed alone repeats one row of tiles."""


Place = tuple[int, int]
"""Tile row and tile column of a tile in the scene."""

TILING_TAG = "GEOTRANSLATE_TILING"
"""Tag of an output that records how its tiles lie."""
RECIPE_TAG = "GEOTRANSLATE_RECIPE"
"""Tag of an output, and of its parts, that identifies everything the pixels depend on."""
REPORT_TAG = "GEOTRANSLATE_REPORT"
"""Tag that holds the report of a part in its file, and the summary of all parts in the output."""


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


@dataclass(frozen=True)
class WrittenAxis:
    """The written pixels of one axis of a scene's output, and the tiles they were made of.

    Pixels are counted from the first one that is written.
    """

    axis: Axis
    """The tiles of the whole scene, in pixels of the output."""
    first: int
    last: int
    """Pixels of the axis from the first to before the last."""

    def __len__(self) -> int:
        return self.last - self.first

    @cached_property
    def edges(self) -> NDArray[np.int64]:
        """First pixels behind a tile edge, ascending: there the set of contributing tiles changes.

        A tile has one edge where it begins to count and one where no earlier tile counts any more.
        For cropped tiles, both are the same place.
        """
        axis = self.axis
        found = {
            start + edge - self.first
            for start, join in zip(axis.starts[1:], axis.joins[1:], strict=True)
            for edge in (join.keep, join.own)
        }
        return np.array(sorted(edge for edge in found if 0 < edge < len(self)), np.int64)

    @cached_property
    def cells(self) -> range:
        """First pixels of the whole cells, as far as tiles lie on the regular stride.

        A cell is one stride long, from where a tile begins to count. Cells include neither a last
        tile that was moved back, nor the pixels that only the first tile covers.
        """
        axis, stride = self.axis, self.axis.stride
        moved = axis.starts[-1] % stride != 0
        regular = len(axis) - moved
        if regular < 2:
            return range(0)
        counts = [start + join.keep for start, join in zip(axis.starts, axis.joins, strict=True)]
        begin = counts[1] - stride
        end = min(counts[regular - 1] + stride, counts[-1] if moved else axis.size, self.last)
        begin += max(-(-(max(self.first, 0) - begin) // stride), 0) * stride
        whole = max(end - begin, 0) // stride
        return range(begin - self.first, begin - self.first + whole * stride, stride)


def tiling_text(plan: Plan) -> str:
    """Return the value of `TILING_TAG` for a plan."""
    region = plan.region
    axes = {
        "rows": WrittenAxis(plan.out_rows, region.top, region.bottom),
        "cols": WrittenAxis(plan.out_cols, region.left, region.right),
    }
    return json.dumps(
        {"scale": str(plan.factor), **{name: asdict(axis) for name, axis in axes.items()}}
    )


def written_axes(written: str) -> tuple[WrittenAxis, WrittenAxis]:
    """Return rows and columns as `tiling_text` recorded them.

    Raises:
        InvalidInputError: The text is something else.
    """
    values = record(TILING)("tiling", parse_json(written))
    return values["rows"], values["cols"]


MOST_TILES = 2**20
"""Most tiles along an axis that a tag may record: many more would fill the memory."""
PIXELS, SOME_PIXELS = (whole(least, 2**31 - 1) for least in (0, 1))
AXIS: Fields = {
    "size": SOME_PIXELS,
    "tile": SOME_PIXELS,
    "overlap": PIXELS,
    "padding": Later(PIXELS, 0),
    "step": Later(SOME_PIXELS, 1),
}
WRITTEN: Fields = {"axis": record(AXIS), "first": PIXELS, "last": PIXELS}


def _written_axis(name: str, value: Any) -> WrittenAxis:
    given = record(WRITTEN)(name, value)
    axis = Axis(**given["axis"])
    whole(0, MOST_TILES)(f"{name}.tiles", axis.size // axis.stride)
    last = whole(given["first"], axis.padded)(f"{name}.last", given["last"])
    return WrittenAxis(axis, given["first"], last)


TILING: Fields = {"scale": Later(text, "1"), "rows": _written_axis, "cols": _written_axis}
