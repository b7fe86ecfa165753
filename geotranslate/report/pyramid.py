"""Pyramids of encoded tiles that fit in a number of bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geotranslate.report.coloring import Coloring, Pixels

TILE = 512
"""Side of the tiles, px."""
TOP = 1024
"""Longest side of the coarsest level, which is one picture, px."""
SMALLEST = 128
"""Longest side to which this picture may be reduced, px."""
QUALITY = 82
"""Quality of WebP, 0 to 100."""

Strip = Callable[[int, int], Pixels]
"""Returns the scaled pixels `(rows, width, channels)` of a range of rows."""
Place = tuple[int, int, int]
"""Level, row and column of a tile."""


@dataclass
class LayerTiles:
    """The pictures of one layer."""

    coloring: Coloring
    top: Pixels
    """Scaled pixels of the coarsest level."""
    picture: str = ""
    """The coarsest level as a data URI."""
    tiles: dict[Place, str] = field(default_factory=dict)
    """Tiles of the finer levels as text in base64; tiles without a valid pixel are left out."""


class Pyramid:
    """Tiles of several layers of one grid, each level half as large as the one before.

    The finest levels are dropped until all layers together fit in a number of bytes.

    Args:
        height: Rows of the grid.
        width: Columns.
        budget: Bytes for all tiles, as text in base64.
    """

    def __init__(self, height: int, width: int, budget: int) -> None:
        self.sizes = [(height, width)]
        while max(self.sizes[-1]) > TOP:
            rows, cols = self.sizes[-1]
            self.sizes.append((-(-rows // 2), -(-cols // 2)))
        self.budget, self.finest = budget, 0
        self.layers: dict[str, LayerTiles] = {}

    @property
    def coarsest(self) -> int:
        """Number of the coarsest level; level 0 has the pixels of the grid."""
        return len(self.sizes) - 1

    @property
    def bytes(self) -> int:
        """Size of all tiles as text."""
        return sum(
            len(layer.picture) + sum(map(len, layer.tiles.values()))
            for layer in self.layers.values()
        )

    def add(self, key: str, coloring: Coloring, strip: Strip) -> None:
        """Add a layer.

        Args:
            key: Name of the layer.
            coloring: Its colors.
            strip: Returns the scaled pixels of a range of rows, from top to bottom.
        """
        top = np.zeros((*self.sizes[-1], coloring.channels + 1), np.uint8)
        layer = self.layers[key] = LayerTiles(coloring, top)
        kept: dict[int, Pixels] = {}
        height = self.sizes[0][0]
        for row, start in enumerate(range(0, height, TILE)):
            self._put(layer, kept, 0, row, strip(start, min(start + TILE, height)))
        layer.picture = picture_uri(coloring, layer.top)
        self._fit()

    def _put(
        self, layer: LayerTiles, kept: dict[int, Pixels], level: int, row: int, strip: Pixels
    ) -> None:
        """Encode a row of tiles, and the row of the next level if it is complete."""
        if level == self.coarsest:
            layer.top[row * TILE : row * TILE + len(strip)] = strip
            return
        if level >= self.finest:
            for col in range(0, strip.shape[1], TILE):
                tile = strip[:, col : col + TILE]
                if tile[..., -1].any():
                    text = _encoded(layer.coloring, tile)
                    layer.tiles[level, row, col // TILE] = base64.b64encode(text).decode()
            self._fit()
        half = halved(strip, classes=layer.coloring.numbers is not None)
        above = kept.pop(level, None)
        half = half if above is None else np.concatenate([above, half])
        if row % 2 or (row + 1) * TILE >= self.sizes[level][0]:
            self._put(layer, kept, level + 1, row // 2, half)
        else:
            kept[level] = half

    def _fit(self) -> None:
        while self.finest < self.coarsest and self.bytes > self.budget:
            for layer in self.layers.values():
                layer.tiles = {at: text for at, text in layer.tiles.items() if at[0] != self.finest}
            self.finest += 1

    def fit(self, budget: int) -> None:
        """Drop the finest levels until the tiles fit, and reduce the coarsest one at last.

        Args:
            budget: Bytes for all tiles, as text in base64.
        """
        self.budget = budget
        self._fit()
        while self.bytes > self.budget and max(self.sizes[-1]) > SMALLEST:
            rows, cols = self.sizes[-1]
            self.sizes.append((-(-rows // 2), -(-cols // 2)))
            self.finest = self.coarsest
            for layer in self.layers.values():
                layer.top = halved(layer.top, classes=layer.coloring.numbers is not None)
                layer.picture = picture_uri(layer.coloring, layer.top)


def halved(pixels: Pixels, *, classes: bool) -> Pixels:
    """Return scaled pixels at half the size, rounded up: means of the valid ones of 2 x 2.

    Args:
        pixels: Scaled pixels `(rows, cols, channels)`, the last channel being their validity.
        classes: Whether each pixel becomes the first of 2 x 2, as classes have no mean.
    """
    if classes:
        return np.ascontiguousarray(pixels[::2, ::2])
    rows, cols, channels = pixels.shape
    found = np.empty((-(-rows // 2), -(-cols // 2), channels), np.uint8)
    for col in range(0, cols, TILE):  # the sums take more memory than the pixels
        part = pixels[:, col : col + TILE]
        found[:, col // 2 : (col + TILE) // 2] = _halved(part)
    return found


def _halved(pixels: Pixels) -> Pixels:
    rows, cols, _ = pixels.shape
    padded = np.pad(pixels, ((0, rows % 2), (0, cols % 2), (0, 0)))
    valid = padded[..., -1:] > 0
    values = np.where(valid, padded, 0).astype(np.uint16)
    counts: NDArray[np.uint16] = _sums(valid.astype(np.uint16))
    found = (_sums(values) + counts // 2) // np.maximum(counts, 1)
    return found.astype(np.uint8)


def _sums(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the sums of 2 x 2 pixels."""
    return values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2]


def _encoded(coloring: Coloring, scaled: Pixels) -> bytes:
    """Return pixels as WebP; classes without loss, as other colors would be other classes."""
    colors = coloring.colored(scaled)
    # Without opacity, a tile takes less room.
    picture = Image.fromarray(colors if (colors[..., 3] < 255).any() else colors[..., :3])
    text = io.BytesIO()
    lossless = coloring.numbers is not None
    picture.save(text, "WEBP", lossless=lossless, quality=QUALITY, method=2)
    return text.getvalue()


def picture_uri(coloring: Coloring, scaled: Pixels) -> str:
    """Return scaled pixels as a picture in a data URI."""
    return "data:image/webp;base64," + base64.b64encode(_encoded(coloring, scaled)).decode()
