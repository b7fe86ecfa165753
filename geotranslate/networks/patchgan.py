"""The Pix2Pix discriminator: one verdict for every overlapping patch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geotranslate.networks.layers import Norm, init_weights, make_norm


class PatchGAN(nn.Module):
    """Judge source and target together: one logit for each 70 x 70 px patch, positive for real.

    `n_layers` 4 x 4 convolutions of stride 2 and two of stride 1 (Isola et al. 2017). Images of
    side s give `s / 2**n_layers - 2` logits a side: 30 x 30 for 256 px.

    Args:
        bands: Bands of source and target together.
        ndf: Filters of the first layer.
        n_layers: Layers of stride 2.
        norm: Normalisation of all but the first and the last layer.
    """

    def __init__(
        self, bands: int, *, ndf: int = 64, n_layers: int = 3, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        widths = [ndf * min(2**level, 8) for level in range(n_layers + 1)]
        layers: list[nn.Module] = [nn.Conv2d(bands, ndf, 4, 2, 1), nn.LeakyReLU(0.2)]
        for level in range(1, n_layers + 1):
            stride = 2 if level < n_layers else 1
            layers += [
                nn.Conv2d(widths[level - 1], widths[level], 4, stride, 1, bias=norm == "instance"),
                make_norm(norm, widths[level]),
                nn.LeakyReLU(0.2),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.apply(init_weights)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return logits `(n, 1, rows, cols)` for pairs in -1..1, source bands first."""
        return self.layers(torch.cat([source, target], dim=1))
