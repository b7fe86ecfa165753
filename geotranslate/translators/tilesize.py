"""How large tiles should be: large enough to be cropped without a trace, where memory allows."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, isqrt

import psutil
import torch
from torch import nn

from geotranslate.chips.datacard import DataCard

HALOS = (8, 6, 5)
"""Sides of tiles in halos that are tried: of 8 all but 1.8 times as much is computed as is kept,
of 5, which is the least that is cropped by itself, 2.8 times."""

CHIPS = (2, 1)
"""Sides of tiles in chips, where no tile that can be cropped fits: larger ones translate better."""

COPIES = 4
"""What a network holds at its widest place, in outputs of the largest layer (measured: 2.5 to 4.3
of U-Nets and ResNets)."""


def fitting_tile(
    rows: int, cols: int, stride: int, radius: int | None, chip_size: int, most: int, *, crop: bool
) -> int:
    """Return the side of the tiles for a scene.

    Cropped tiles are exact where they are some halos wide, the halo being the radius in whole
    strides. Of those that memory allows, the one that computes the fewest pixels is taken. Where
    none fits, tiles of two chips are blended, and of one where a normalisation sees the tile, as it
    has seen no others.

    Args:
        rows: Rows of the scene.
        cols: Columns of the scene.
        stride: Factor by which the generator shrinks tiles.
        radius: How far it sees; None for the whole tile.
        chip_size: Side of the training chips.
        most: Largest side that memory allows.
        crop: Whether tiles may be cropped.
    """
    if radius is None:
        return _whole(chip_size, stride)
    # Larger tiles than the scene would be extended to be thrown away.
    scene = _whole(max(rows, cols), stride)
    halo = _whole(radius, stride)
    exact = {min(times * halo, scene) for times in HALOS} if crop and halo else set()
    sides = [side for side in exact if side <= most]
    if sides:
        return min(sides, key=lambda side: (_computed(rows, cols, side, halo), -side))
    blended = [min(_whole(times * chip_size, stride), scene) for times in CHIPS]
    return next((side for side in blended if side <= most), blended[-1])


def largest_tile(network: nn.Module, card: DataCard) -> int:
    """Return the side of the largest tile that a quarter of the free memory holds, px.

    Args:
        network: A generator in eval mode, of which the largest layer is looked at with a chip.
        card: What it was trained on.
    """
    first = next(network.parameters())
    largest = 0

    def look(module: nn.Module, given: object, found: object) -> None:
        nonlocal largest
        if isinstance(found, torch.Tensor):
            largest = max(largest, found.numel() * found.element_size())

    hooks = [module.register_forward_hook(look) for module in _leaves(network)]
    size = (1, card.source.bands, card.chip_size, card.chip_size)
    try:
        with torch.inference_mode():
            network(torch.zeros(size, dtype=first.dtype, device=first.device))
    finally:
        for hook in hooks:
            hook.remove()
    if first.device.type == "cuda":
        free = torch.cuda.mem_get_info(first.device)[0]
    else:
        free = psutil.virtual_memory().available
    return isqrt(free // 4 * card.chip_size**2 // (COPIES * largest))


def _leaves(network: nn.Module) -> Iterable[nn.Module]:
    return (module for module in network.modules() if not list(module.children()))


def _whole(length: int, stride: int) -> int:
    return ceil(length / stride) * stride


def _computed(rows: int, cols: int, side: int, halo: int) -> int:
    """Return how many pixels tiles have together."""
    tiles = [max(ceil((length - 2 * halo) / (side - 2 * halo)), 1) for length in (rows, cols)]
    return tiles[0] * tiles[1] * side**2
