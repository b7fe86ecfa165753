"""Similarity by networks trained on photographs: LPIPS and FID."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from geotranslate.errors import InvalidInputError
from geotranslate.metrics.errors import Units

INSTALL = "pip install 'geotranslate[metrics]'"
FID_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
FID_ADDRESS = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FID_WEIGHTS}"
LEAST_SIDE = 32
"""Least side of an image for AlexNet, px."""


class Photographs:
    """LPIPS and FID of targets of three bands, shown as photographs.

    The bands are red, green and blue from 0 to 1: their ranges as for the PSNR, clipped. Invalid
    pixels are black in both, so LPIPS has no difference there, and FID the same shape. `lpips`
    (Zhang et al. 2018, arXiv:1801.03924, AlexNet) is the mean over images with a valid pixel; NaN
    without one, or below 32 px. `fid` (Heusel et al. 2017, arXiv:1706.08500, 2048 features) is NaN
    below two such images, and means little below thousands of them. Both are computed by
    torchmetrics.

    Args:
        units: Units of the target.
        wanted: `lpips`, `fid` or both.

    Raises:
        InvalidInputError: A package or the weights of a network are missing; nothing is downloaded.
    """

    names = ("lpips", "fid")

    def __init__(self, units: Units, wanted: set[str]) -> None:
        self.units = units
        self._networks: dict[str, Any] = {}
        if "lpips" in wanted:
            self._networks["lpips"] = _lpips()
        if "fid" in wanted:
            self._networks["fid"] = _fid()
        self._count = {"lpips": 0, "fid": 0}

    def add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add float64 `(n, 3, rows, cols)` in target units, `valid` `(n, 1, rows, cols)`."""
        seen = valid.flatten(1).any(1)
        ours, theirs = (self._shown(side, valid)[seen] for side in (prediction, target))
        for name, network in self._networks.items():
            if not len(ours) or (name == "lpips" and min(ours.shape[-2:]) < LEAST_SIDE):
                continue
            network.to(ours.device)
            with torch.inference_mode():
                if name == "lpips":
                    network.update(ours, theirs)
                else:
                    network.update((theirs * 255).round().byte(), real=True)
                    network.update((ours * 255).round().byte(), real=False)
            self._count[name] += len(ours)

    def per_band(self) -> list[dict[str, float]]:
        """Return an empty list: the networks take all bands together."""
        return []

    def overall(self) -> dict[str, float]:
        """Return the requested measures."""
        least = {"lpips": 1, "fid": 2}
        return {
            name: float(network.compute()) if self._count[name] >= least[name] else math.nan
            for name, network in self._networks.items()
        }

    def _shown(self, values: Tensor, valid: Tensor) -> Tensor:
        low, span = (
            values.new_tensor(each)[:, None, None] for each in (self.units.low, self.units.ranges)
        )
        return torch.where(valid, ((values - low) / span).clamp(0, 1), 0).float()


def _lpips() -> Any:
    _need("lpips", "torchmetrics", "torchvision")
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
    from torchvision.models import AlexNet_Weights

    address = AlexNet_Weights.DEFAULT.url
    _weights("lpips", address.rsplit("/", 1)[1], address)
    return LearnedPerceptualImagePatchSimilarity("alex", normalize=True)


def _fid() -> Any:
    _need("fid", "torchmetrics", "torch_fidelity")
    weights = _weights("fid", FID_WEIGHTS, FID_ADDRESS)
    from torchmetrics.image.fid import FrechetInceptionDistance

    return FrechetInceptionDistance(feature_extractor_weights_path=str(weights))


def _need(name: str, *packages: str) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise InvalidInputError(
            f"The metric {name} needs {' and '.join(missing)}, which is not installed; run "
            f"{INSTALL}, or leave {name} out."
        )


def _weights(name: str, file: str, address: str) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / file
    if not path.is_file():
        raise InvalidInputError(
            f"The metric {name} needs the weights {path}, which are not there, and geotranslate "
            f"downloads nothing by itself; fetch them from {address}, or leave {name} out."
        )
    return path
