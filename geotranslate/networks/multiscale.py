"""The Pix2PixHD discriminator: several that judge the same pairs at one size after another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from geotranslate.errors import InvalidInputError
from geotranslate.networks.layers import Halve
from geotranslate.networks.normalization import Norm
from geotranslate.networks.patchgan import PatchGAN


def check_chip_size(n_layers: int, scales: int, chip_size: int) -> None:
    """Refuse chips of which the discriminator at the coarsest scale makes no logit.

    Raises:
        InvalidInputError: At the coarsest scale the chips are smaller than `3 * 2**n_layers` px.
    """
    # Halves are rounded up.
    least = (3 * 2**n_layers - 1) * 2 ** (scales - 1) + 1
    if n_layers and chip_size < least:
        raise InvalidInputError(
            f"Chips of {chip_size} px leave no logit at the coarsest of {scales} scales of a "
            f"PatchGAN with n_layers={n_layers}; use chips of {least} px or more, fewer scales or "
            "fewer layers."
        )


class MultiscaleDiscriminator(nn.Module):
    """Judge source and target together at several sizes, each half of the one before.

    A `PatchGAN` for each size, so that its patches are twice as wide at every scale on; images are
    averaged down over 3 x 3 pixels (Wang et al. 2018, section 3.2). The published ones pad their
    convolutions by 2 px, which gives a few more logits at the edges; ours, as `PatchGAN`, by 1.

    Args:
        bands: Bands of source and target together.
        scales: Number of sizes.
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
        return [judge(*pair) for judge, pair in self._pairs(source, target)]

    def features(self, source: Tensor, target: Tensor) -> list[list[Tensor]]:
        """Return for each scale what every layer makes of the pairs; last the logits."""
        scales = (judge.features(*pair) for judge, pair in self._pairs(source, target))
        return [features for scale in scales for features in scale]

    def _pairs(self, source: Tensor, target: Tensor) -> Iterator[tuple[Any, tuple[Tensor, Tensor]]]:
        for scale, judge in enumerate(self.discriminators):
            if scale:
                source, target = self.halve(source), self.halve(target)
            yield judge, (source, target)
