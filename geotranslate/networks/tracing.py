"""Copies of networks whose computation does not branch on the size of a batch."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from geotranslate.networks.layers import ResizeConv2d
from geotranslate.networks.pixel import PixelNetwork


def traceable(network: nn.Module) -> Any:
    """Return a copy on the CPU, in eval mode, that computes every batch in the same way.

    A traced network has one graph for all sizes. Where a network chooses between two ways of
    computing the same thing by the number of pixels, for speed or memory, the copy always takes the
    same way; the results differ by rounding.
    """
    copied = copy.deepcopy(network).cpu().float().eval()
    copied = copied.to(memory_format=torch.contiguous_format)
    for name, layer in list(copied.named_modules()):
        if isinstance(layer, ResizeConv2d):
            parent, _, own = name.rpartition(".")
            setattr(copied.get_submodule(parent), own, layer.as_transposed())
        elif isinstance(layer, PixelNetwork):
            layer.chunk = 0
    return copied
