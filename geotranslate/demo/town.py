"""A procedural town: an aerial photograph and the map of the same ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine

from geotranslate.demo.aerial import photograph
from geotranslate.demo.cover import MAP_COLOURS
from geotranslate.demo.plan import plan_town

PIXEL_METRES = 0.5


@dataclass(frozen=True, slots=True)
class Town:
    """Two pictures of one town, pixel for pixel, north up.

    `aerial` and `map` are (3, rows, cols) RGB; the map has flat colours without blended edges.
    """

    aerial: NDArray[np.uint8]
    map: NDArray[np.uint8]


def make_town(size: int = 2048, seed: int = 0) -> Town:
    """Invent a town.

    Args:
        size: rows and columns of the pictures, at least 256; a pixel is half a metre wide.
        seed: the same seed and size give the same town.

    Returns:
        The town's aerial photograph and map.
    """
    if size < 256:
        raise ValueError(f"a town needs at least 256 pixels a side, not {size}")
    rng = np.random.default_rng(seed)
    layout = plan_town(size, rng)
    shapes = [(patch.shape, index) for index, patch in enumerate(layout.patches)]
    patch_ids = rasterize(shapes, (size, size), transform=Affine.identity(), dtype="int32")
    colours = np.array([MAP_COLOURS[patch.cover] for patch in layout.patches], dtype=np.uint8)
    street_map = np.ascontiguousarray(np.moveaxis(colours[patch_ids], -1, 0))
    return Town(aerial=photograph(layout, patch_ids, rng), map=street_map)
