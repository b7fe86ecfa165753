"""A memory of former translations, which a discriminator sees again."""

from __future__ import annotations

import torch
from torch import Tensor


class ImagePool:
    """Hand out translations of former batches in place of half of the new ones.

    A discriminator that saw the last translations alone would forget what it knew of the ones
    before (Shrivastava et al. 2017, section 2.3). Until it is full the pool keeps every image and
    hands it out as well; then each new image is, with even chances, handed out itself or exchanged
    for one that is kept.

    Args:
        size: How many images are kept; 0 for none, then all images are handed out as they come.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        """Return as many images `(n, bands, rows, cols)`, without gradients."""
        return torch.stack([self._exchanged(image) for image in images.detach()])

    def _exchanged(self, image: Tensor) -> Tensor:
        if len(self.images) < self.size:
            self.images.append(image.clone())
            return image
        if not self.size or torch.rand(()) < 0.5:
            return image
        place = int(torch.randint(self.size, ()))
        former, self.images[place] = self.images[place], image.clone()
        return former
