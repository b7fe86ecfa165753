"""The discriminator: one verdict for every overlapping patch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geotranslate.errors import InvalidInputError
from geotranslate.networks.layers import init_weights
from geotranslate.networks.normalization import Norm, make_norm


def check_chip_size(n_layers: int, chip_size: int) -> None:
    """Refuse chips of which a discriminator makes no logit.

    Raises:
        InvalidInputError: The chips are smaller than `3 * 2**n_layers` px.
    """
    least = 3 * 2**n_layers
    if n_layers and chip_size < least:
        raise InvalidInputError(
            f"Chips of {chip_size} px leave no logit of a PatchGAN with n_layers={n_layers}; use "
            f"chips of {least} px or more, or fewer layers."
        )


class PatchGAN(nn.Module):
    """Judge images, of pairs both together: one logit for each patch, positive for real.

    `n_layers` 4 x 4 convolutions of stride 2 and two of stride 1 (Isola et al. 2017). Images of
    side s give `s // 2**n_layers - 2` logits a side: 30 x 30 for 256 px. The patches are 16, 34,
    70, 142 or 286 px for 1 to 5 layers. With 0 layers, three 1 x 1 convolutions judge every pixel
    by itself (PixelGAN).

    Args:
        bands: Bands of all images together.
        ndf: Filters of the first layer; the next ones have twice as many, at most 8 ndf.
        n_layers: Layers of stride 2.
        norm: Normalization of all but the first and the last layer.
    """

    def __init__(
        self, bands: int, *, ndf: int = 64, n_layers: int = 3, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        kernel, padding = (4, 1) if n_layers else (1, 0)
        strides = [2] * n_layers + [1] if n_layers else [1, 1]
        layers: list[nn.Module] = []
        for level, stride in enumerate(strides):
            width = ndf * min(2**level, 8)
            bias = not level or norm == "instance"
            layers += [
                nn.Conv2d(bands, width, kernel, stride, padding, bias=bias),
                *([make_norm(norm, width)] if level else []),
                nn.LeakyReLU(0.2),
            ]
            bands = width
        self.layers = nn.Sequential(*layers, nn.Conv2d(bands, 1, kernel, 1, padding))
        self.apply(init_weights)

    def forward(self, *images: Tensor) -> Tensor:
        """Return logits `(n, 1, rows, cols)` for images in -1..1, of pairs the source first."""
        return self.layers(torch.cat(images, dim=1))

    def features(self, *images: Tensor) -> list[list[Tensor]]:
        """Return what every layer makes of the images, after its activation; last the logits.

        In a list of lists, one for each scale at which it looks: here one.
        """
        found, hidden = [], torch.cat(images, dim=1)
        for layer in self.layers:
            hidden = layer(hidden)
            if isinstance(layer, nn.LeakyReLU):
                found.append(hidden)
        return [[*found, hidden]]
