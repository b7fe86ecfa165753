"""What a network runs on and how: the precision that is fast there, and eval mode for all."""

from __future__ import annotations

import copy
import threading
from types import TracebackType
from typing import Literal, get_args

import torch
from torch import nn

from geotranslate.checks import choice
from geotranslate.networks.normalization import ChannelNorm
from geotranslate.training.callbacks.precision import multiplies_bfloat16

Precision = Literal["float32", "bfloat16", "auto"]

# Not one a network: a lock cannot be sent to another process, and nobody holds it for long.
_LOCK = threading.Lock()


class EvalMode:
    """Keep a network in eval mode as long as anybody is inside, in whatever thread.

    The last one to leave puts it back as the first one found it.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network, self._inside, self._training = network, 0, False

    def __enter__(self) -> None:
        with _LOCK:
            if not self._inside:
                self._training = self._network.training
                self._network.eval()
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _LOCK:
            self._inside -= 1
            if not self._inside:
                self._network.train(self._training)


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
