"""A model of networks that are small, with weights as they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from geotranslate import Pix2Pix, prepare_data


@pytest.fixture
def fresh_model(write_chips: Callable[..., Path]) -> Pix2Pix:
    """Return an untrained Pix2Pix of 3 to 1 bands of uint8 and chips of 64 px."""
    torch.manual_seed(0)
    return Pix2Pix(prepare_data(write_chips()), ngf=4, ndf=4)
