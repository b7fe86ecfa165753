"""Buffer of former translations that a discriminator sees again."""

from __future__ import annotations

import torch
from torch import Tensor


class ImagePool:
    """Replace half of the translations of a batch by those of former batches.

    It keeps a discriminator from forgetting the translations before the last ones (Shrivastava et
    al. 2017, section 2.3). Until the pool is full it keeps and returns every image; then each new
    image is, with even chances, returned itself or exchanged for a stored one.

    Args:
        size: Number of images to store; 0 returns all images unchanged.
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
