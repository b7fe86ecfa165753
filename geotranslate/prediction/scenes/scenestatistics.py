"""Prescan of a scene, which measures its normalization statistics before it is translated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from geotranslate.errors import GeotranslateError
from geotranslate.files import sha256_of
from geotranslate.networks.layers import pad_to_multiple
from geotranslate.networks.normalization import measure, measuring, size_of
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.normstats import (
    LEAST_TILES,
    MOST_TILES,
    SAMPLE_PIXELS,
    SceneStatistics,
    share_of,
)
from geotranslate.prediction.tta import TileFunction
from geotranslate.raster.pipeline import SceneTiles, Tile
from geotranslate.raster.tiling import InterpolationGrid, Place

FILE = "statistics.npy"
TRIES = 8
"""Tiles read per sampled tile in search of mostly valid ones."""

ENOUGH = 0.25
"""Smallest valid share of a tile with statistics of its own."""

# Steps of the R2 sequence (M. Roberts), whose first n points are evenly spread for every n.
_STEPS = (0.7548776662466927, 0.5698402909980532)


@dataclass(frozen=True)
class Prescan:
    """An `apply` that first measures the statistics of the scene; see `NeedsPrescan`.

    The statistics are in a file in the folder of the parts, which all processes read.
    """

    inference: Inference
    finish: Callable[[SceneStatistics], TileFunction]
    """Function that returns the function of tiles with these statistics."""

    @property
    def stride(self) -> int:
        """Factor by which tiles shrink inside the network, px."""
        return self.inference.stride

    @property
    def radius(self) -> int | None:
        """Radius of the receptive field with these statistics, px; None if unknown."""
        return self.inference.radius

    any_shape = True

    def prescan(self, scene: SceneTiles) -> TileFunction:
        """Measure the scene, unless it has been measured, and return the function of its tiles."""
        rows, cols = (
            InterpolationGrid(axis, -(-axis.tile // self.stride) * self.stride)
            for axis in (scene.plan.rows, scene.plan.cols)
        )
        # A tile needs its neighbors' statistics; neighbors with few valid pixels need theirs.
        tiles = scene.around((2 * rows.radius, 2 * cols.radius))

        def make(file: Path) -> None:
            if self.inference.norm_stats != "smooth":
                with file.open("wb") as written:
                    np.save(written, self._of_scene(scene)[None])
            else:
                self._write_grid(scene, tiles, (rows.radius, cols.radius), file)

        path = scene.once(FILE, make).absolute()
        first = tiles[0].start, tiles[1].start
        return self.finish(SceneStatistics(path, sha256_of(path), rows, cols, first))

    def _of_scene(self, scene: SceneTiles) -> NDArray[np.float32]:
        pixels = scene.plan.rows.tile * scene.plan.cols.tile
        if self.inference.resampling is not None:
            pixels = math.ceil(pixels * math.prod(self.inference.resampling.ratios))
        tiles = sampled(scene, min(max(SAMPLE_PIXELS // pixels, LEAST_TILES), MOST_TILES))
        original = self.inference.original
        if not tiles:  # no valid pixels, so nothing to translate
            return np.ones((1, size_of(original)), np.float32)
        share = share_of(self.inference.norm_stats)
        return self._measured(measuring(original, together=True, share=share), tiles)

    def _write_grid(
        self, scene: SceneTiles, tiles: tuple[range, range], radius: tuple[int, int], file: Path
    ) -> None:
        rows, cols = tiles
        original = self.inference.original
        shape = len(rows), len(cols), size_of(original)
        _write_zeros(file, shape)
        grid = np.load(file, mmap_mode="r+")
        shares = np.zeros(shape[:2])
        network = measuring(original, together=False)
        # One by one, so that the result does not depend on a batch size.
        for (row, col), tile in scene.tiles(rows, cols):
            at = row - rows.start, col - cols.start
            grid[at], shares[at] = self._measured(network, [tile])[0], tile[1].mean()
        complete(grid, shares, radius)
        grid.flush()

    def _measured(self, network: nn.Module, tiles: list[Tile]) -> NDArray[np.float32]:
        inference = self.inference
        values = torch.from_numpy(inference.network_input(np.stack([data for data, _ in tiles])))
        seen = inference.resampled_mask(np.stack([valid for _, valid in tiles]))
        valid = torch.from_numpy(seen)
        if inference.resampling is None:
            values, valid = (pad_to_multiple(each, self.stride) for each in (values, valid))
        images, shares = (each.to(inference.device) for each in (values, valid))
        try:
            return measure(network, images, shares).numpy()
        except torch.cuda.OutOfMemoryError as error:
            raise GeotranslateError(
                f"The GPU's memory does not hold the {len(tiles)} tiles of {values.shape[-1]} px "
                "by which the scene is measured; give a smaller tile_size, or free the GPU of "
                "other programs."
            ) from error


def spread(rows: int, cols: int) -> Iterator[Place]:
    """Yield every place of a grid once, in an order whose first n are evenly spread for every n."""
    seen = set()
    for number in range(4 * min(rows * cols, 2**12)):
        at = [(0.5 + number * step) % 1 for step in _STEPS]
        place = int(at[0] * rows), int(at[1] * cols)
        if place not in seen:
            seen.add(place)
            yield place
    for index in range(rows * cols):
        if (place := divmod(index, cols)) not in seen:
            yield place


def sampled(scene: SceneTiles, most: int) -> list[Tile]:
    """Return tiles from all over a scene, preferably mostly valid ones, none without valid pixels.

    Args:
        scene: The scene.
        most: Largest number of tiles.
    """
    whole: list[Tile] = []
    partly: list[tuple[float, Tile]] = []
    for tried, place in enumerate(spread(len(scene.plan.rows), len(scene.plan.cols))):
        if len(whole) == most or (tried >= TRIES * most and (whole or partly)):
            break
        tile = scene.tile(place)
        share = float(tile[1].mean())
        if share > 0.5:
            whole.append(tile)
        elif share:
            partly = sorted([*partly, (share, tile)], key=lambda each: -each[0])[:most]
    return [*whole, *(tile for _, tile in partly)][:most]


def complete(
    grid: NDArray[np.float32], shares: NDArray[np.float64], radius: tuple[int, int]
) -> None:
    """Replace the statistics of tiles with few valid pixels by the mean of their neighbors'.

    The mean is over neighbors with enough valid pixels; if there are none, over all neighbors with
    any. It is weighted by their valid pixels.

    Args:
        grid: Statistics `(rows of tiles, columns of tiles, statistics)`, changed in place.
        shares: Valid share of each tile.
        radius: Distance of neighbors, in tiles down and across.
    """
    enough = shares >= ENOUGH
    changed = []
    for row, col in np.argwhere(~enough).tolist():
        near = tuple(
            slice(max(at - far, 0), at + far + 1)
            for at, far in zip((row, col), radius, strict=True)
        )
        weights = shares[near] * (enough[near] if enough[near].any() else 1)
        if weights.any():
            mean = np.tensordot(weights / weights.sum(), grid[near], 2)
            changed.append((row, col, mean.astype(np.float32)))
    for row, col, mean in changed:
        grid[row, col] = mean


def _write_zeros(file: Path, shape: tuple[int, int, int]) -> None:
    """Write an array of zeros row by row, so that a full disk is an error, not a crash in a map."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with file.open("wb") as written:
        np.lib.format.write_array_header_1_0(written, header)
        for _ in range(shape[0]):
            written.write(bytes(4 * math.prod(shape[1:])))
