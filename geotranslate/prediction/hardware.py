"""Precision of a network: resolve "auto", and copy a network to compute at one."""

from __future__ import annotations

import copy
from typing import Literal, get_args

import torch
from torch import nn

from geotranslate.checks import choice
from geotranslate.networks.layers import multiplies_bfloat16
from geotranslate.networks.normalization import ChannelNorm

Precision = Literal["float32", "bfloat16", "auto"]


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """Return the precision, "auto" as bfloat16 where the hardware multiplies it, else float32.

    Raises:
        InvalidInputError: There is no such precision.
    """
    choice("precision", precision, get_args(Precision))
    if precision != "auto":
        return precision
    return "bfloat16" if multiplies_bfloat16(device) else "float32"


def frozen(network: nn.Module, precision: Precision) -> nn.Module:
    """Return a copy of a network in eval mode that computes at a precision.

    Its channels lie beside each other, which convolutions are fastest with. In bfloat16 all
    convolutions but the last take and give it: they are nearly all of the work, normalisations
    compute in float32, and the last one's output would have 256 steps from 0.5 to 1, which float
    targets show. The network has to bring what it hands to the last one to its dtype.
    """
    copied = copy.deepcopy(network).eval().to(memory_format=torch.channels_last)
    if precision == "bfloat16":
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        convolutions = [module for module in copied.modules() if isinstance(module, kinds)]
        for convolution in convolutions[:-1]:
            convolution.to(torch.bfloat16)
        for module in copied.modules():
            # Inside it computes in float32 as well, but CUDA wants weights of its input's dtype.
            if isinstance(module, nn.GroupNorm | ChannelNorm):
                module.to(torch.bfloat16)
    return copied
