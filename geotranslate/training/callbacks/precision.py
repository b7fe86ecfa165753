"""Mixed precision training on any device."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from fastai.callback.fp16 import MixedPrecision
from fastcore.foundation import L

from geotranslate.checks import choice
from geotranslate.networks.layers import multiplies_bfloat16

TrainingPrecision = Literal["float32", "bfloat16", "float16", "auto"]


def training_precision(precision: TrainingPrecision, device: torch.device) -> TrainingPrecision:
    """Return the precision of a training; "auto" is the fastest that the hardware supports.

    It is bfloat16 on CPUs with AVX512-BF16 or AMX and on GPUs from 2020 on, float16 with a
    gradient scaler on older GPUs, else float32.

    Raises:
        InvalidInputError: There is no such precision.
    """
    choice("precision", precision, get_args(TrainingPrecision))
    if precision != "auto":
        return precision
    if multiplies_bfloat16(device):
        return "bfloat16"
    return "float16" if device.type == "cuda" else "float32"


class ReducedPrecision(MixedPrecision):
    """fastai's mixed precision for every device; its own supports CUDA alone.

    Args:
        precision: "bfloat16", or "float16", whose gradients are scaled.
        device: Device of the training.
    """

    def __init__(self, precision: TrainingPrecision, device: torch.device) -> None:
        super().__init__()
        self._inside = False
        self._dtype, self._device = getattr(torch, precision), device.type

    def before_fit(self) -> None:
        """Make the scaler, disabled for bfloat16, which has the range of float32."""
        self.autocast = torch.autocast(self._device, self._dtype)
        scaled = self._dtype == torch.float16
        self.learn.scaler, self.scales = torch.amp.GradScaler(self._device, enabled=scaled), L()
        # Set by `Checkpoint.restore`.
        if state := self.learn.__dict__.pop("scaler_state", None):
            self.learn.scaler.load_state_dict(state)

    def before_batch(self) -> None:
        """Begin the autocast."""
        self.autocast.__enter__()
        self._inside = True

    def after_loss(self) -> None:
        """End the autocast."""
        self.leave()

    def after_batch(self) -> None:
        """End the autocast, even if the batch was canceled before its loss."""
        self.leave()

    def leave(self) -> None:
        """End the autocast if it has begun; on errors fastai calls no event."""
        if self._inside:
            self._inside = False
            self.autocast.__exit__(None, None, None)
