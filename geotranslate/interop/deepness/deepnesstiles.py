"""Tiles for which Deepness shows no edges: their side, and their overlap in percent."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

LEAST_SIDE = 256
USUAL_SIDE = 1024
"""Largest side that is chosen if a smaller one can do without edges, px."""
MOST_SIDE = 2048
MOST_PERCENT = 75
"""With more, each pixel would be computed more than 16 times."""
GOOD_COST = 1.8
"""Computed pixels for each kept one that no larger tile is chosen to improve."""
USUAL_PERCENT = 25
"""Overlap of tiles whose edges show anyway."""


@dataclass(frozen=True)
class DeepnessTiles:
    """Square tiles that overlap by a whole percentage of their side."""

    side: int
    """px."""
    percent: int

    @property
    def overlap(self) -> int:
        """Pixels that neighboring tiles share, computed as Deepness does."""
        return int(self.side * self.percent / 100 * 2) // 2

    @property
    def cost(self) -> float:
        """Computed pixels for each kept one."""
        return (self.side / (self.side - self.overlap)) ** 2


def needed_overlap(stride: int, radius: int) -> int:
    """Return the overlap of which half covers the receptive field, in whole strides, px."""
    return 2 * ceil(radius / stride) * stride


def seamless_tiles(stride: int, radius: int, side: int | None = None) -> DeepnessTiles | None:
    """Return tiles of which every kept pixel is the one of the whole scene; None if there are none.

    Deepness crops half of the overlap at each edge, so that half has to cover the receptive field,
    and tiles have to begin at multiples of the network's stride.

    Args:
        stride: Factor by which images shrink inside the network, px.
        radius: Radius of its receptive field, px.
        side: Side of the tiles, a multiple of the stride; None for one with little overlap.
    """
    if side is not None:
        return _least(side, stride, radius)
    first = ceil(LEAST_SIDE / stride) * stride
    found = [
        tiles
        for each in range(first, MOST_SIDE + 1, stride)
        if (tiles := _least(each, stride, radius)) is not None
    ]
    for tiles in found:
        if tiles.cost <= GOOD_COST and tiles.side <= USUAL_SIDE:
            return tiles
    usual = [tiles for tiles in found if tiles.side <= USUAL_SIDE]
    return min(usual or found, key=lambda tiles: tiles.cost, default=None)


def other_tiles(stride: int, side: int | None = None) -> DeepnessTiles:
    """Return tiles with some overlap, whose edges may show.

    Args:
        stride: Factor by which images shrink inside the network, px.
        side: Side of the tiles, a multiple of the stride; None for a usual one.
    """
    side = side or ceil(USUAL_SIDE / 2 / stride) * stride
    whole = [
        tiles
        for percent in range(1, MOST_PERCENT + 1)
        if (tiles := DeepnessTiles(side, percent)).overlap % stride == 0 and tiles.overlap
    ]
    default = DeepnessTiles(side, USUAL_PERCENT)
    return min(whole, key=lambda tiles: abs(tiles.percent - USUAL_PERCENT), default=default)


def _least(side: int, stride: int, radius: int) -> DeepnessTiles | None:
    least = needed_overlap(stride, radius)
    for percent in range(MOST_PERCENT + 1):
        tiles = DeepnessTiles(side, percent)
        if tiles.overlap >= least and tiles.overlap % stride == 0:
            return tiles
    return None
