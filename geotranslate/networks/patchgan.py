"""PatchGAN discriminators at one scale or several."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from geotranslate.errors import InvalidInputError
from geotranslate.networks.layers import Halve, init_weights
from geotranslate.networks.normalization import Norm, make_norm


def check_chip_size(n_layers: int, chip_size: int, scales: int = 1) -> None:
    """Raise an error if chips are too small for a logit at the coarsest scale.

    Raises:
        InvalidInputError: At the coarsest scale the chips are smaller than `3 * 2**n_layers` px.
    """
    # Halved sides are rounded up.
    least = (3 * 2**n_layers - 1) * 2 ** (scales - 1) + 1
    if not n_layers or chip_size >= least:
        return
    if scales == 1:
        raise InvalidInputError(
            f"Chips of {chip_size} px leave no logit of a PatchGAN with n_layers={n_layers}; use "
            f"chips of {least} px or more, or fewer layers."
        )
    raise InvalidInputError(
        f"Chips of {chip_size} px leave no logit at the coarsest of {scales} scales of a "
        f"PatchGAN with n_layers={n_layers}; use chips of {least} px or more, fewer scales or "
        "fewer layers."
    )


class PatchGAN(nn.Module):
    """Map images, or pairs of images, to one logit for each patch, positive for real.

    `n_layers` 4 x 4 convolutions of stride 2 and two of stride 1 (Isola et al. 2017). Images of
    side s give `s // 2**n_layers - 2` logits per side: 30 x 30 for 256 px. The patches are 16, 34,
    70, 142 or 286 px for 1 to 5 layers. With 0 layers, three 1 x 1 convolutions classify single
    pixels (PixelGAN).

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
        """Return logits `(n, 1, rows, cols)` for images in -1..1; in pairs the source is first."""
        return self.layers(torch.cat(images, dim=1))

    def features(self, *images: Tensor) -> list[list[Tensor]]:
        """Return the activations of every layer; the last are the logits.

        The result is a list of one list, because `MultiscaleDiscriminator` has one for each scale.
        """
        found, hidden = [], torch.cat(images, dim=1)
        for layer in self.layers:
            hidden = layer(hidden)
            if isinstance(layer, nn.LeakyReLU):
                found.append(hidden)
        return [[*found, hidden]]


class MultiscaleDiscriminator(nn.Module):
    """PatchGANs of pairs at several scales, each half the size of the previous one (Pix2PixHD).

    Patches are twice as wide at each scale; images are halved by means of 3 x 3 pixels (Wang et al.
    2018, section 3.2). The published code pads convolutions by 2 px, which gives a few more logits
    at the edges; here, as in `PatchGAN`, the padding is 1.

    Args:
        bands: Bands of source and target together.
        scales: Number of scales.
        ndf: Filters of the first layer of each; the next ones have twice as many, at most 8 ndf.
        n_layers: Layers of stride 2 of each.
        norm: Normalization of all but the first and the last layer of each.
    """

    def __init__(
        self,
        bands: int,
        *,
        scales: int = 2,
        ndf: int = 64,
        n_layers: int = 3,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.halve = Halve()
        self.discriminators = nn.ModuleList(
            PatchGAN(bands, ndf=ndf, n_layers=n_layers, norm=norm) for _ in range(scales)
        )

    def forward(self, source: Tensor, target: Tensor) -> list[Tensor]:
        """Return logits `(n, 1, rows, cols)` of each scale, full size first, for pairs in -1..1."""
        return [discriminator(*pair) for discriminator, pair in self._pairs(source, target)]

    def features(self, source: Tensor, target: Tensor) -> list[list[Tensor]]:
        """Return the activations of every layer for each scale; the last are the logits."""
        scales = (
            discriminator.features(*pair) for discriminator, pair in self._pairs(source, target)
        )
        return [features for scale in scales for features in scale]

    def _pairs(self, source: Tensor, target: Tensor) -> Iterator[tuple[Any, tuple[Tensor, Tensor]]]:
        for scale, discriminator in enumerate(self.discriminators):
            if scale:
                source, target = self.halve(source), self.halve(target)
            yield discriminator, (source, target)
