"""Copies of networks whose computation does not branch on the size of a batch."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geotranslate.networks.bicubic import Bicubic
from geotranslate.networks.layers import ResizeConv2d
from geotranslate.networks.pixel import PixelNetwork, Pyramid


def traceable(network: nn.Module) -> Any:
    """Return a copy on the CPU, in eval mode, that computes every batch in the same way.

    A traced network has one graph for all sizes. Where a network chooses between two ways of
    computing the same thing by the number of pixels, for speed or memory, the copy always takes the
    same way, and it never treats bands as images, which would need sizes in the graph. The results
    differ by rounding.
    """
    copied = copy.deepcopy(network).cpu().float().eval()
    copied = copied.to(memory_format=torch.contiguous_format)
    for name, layer in list(copied.named_modules()):
        parent, _, own = name.rpartition(".")
        if isinstance(layer, ResizeConv2d):
            setattr(copied.get_submodule(parent), own, layer.as_transposed())
        elif isinstance(layer, nn.PixelUnshuffle):
            setattr(copied.get_submodule(parent), own, _Unshuffle(layer.downscale_factor))
        elif isinstance(layer, PixelNetwork):
            layer.chunk = 0
        elif isinstance(layer, Pyramid | Bicubic):
            layer.grouped = True
    return copied


class _Unshuffle(nn.Module):
    """A `PixelUnshuffle` as a convolution, because ONNX has no operator of its order of bands."""

    kernel: Tensor

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.register_buffer("kernel", torch.eye(factor**2).reshape(-1, 1, factor, factor))

    def forward(self, image: Tensor) -> Tensor:
        bands = image.shape[1]
        kernel = torch.cat(bands * [self.kernel])
        return F.conv2d(image, kernel, stride=self.factor, groups=bands)
