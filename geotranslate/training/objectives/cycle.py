"""Objective of CycleGAN, with its pool of former translations."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from geotranslate.errors import ModelFileError
from geotranslate.networks.onehot import TwoWay
from geotranslate.networks.patchgan import PatchGAN
from geotranslate.training.objectives.base import (
    GanMode,
    Objective,
    gradient_penalty,
    masked_l1,
)

SIDES = ("source", "target")


class ImagePool:
    """Pool of former translations, which replace half of the translations of a batch.

    It keeps a discriminator from forgetting earlier translations (Shrivastava et al. 2017, section
    2.3). Until the pool is full, it stores and returns every image; then each new image is either
    returned or exchanged for a stored one, with equal probability.

    Args:
        size: Number of images to store; 0 returns all images unchanged.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def __call__(self, images: Tensor) -> Tensor:
        """Return as many images `(n, bands, rows, cols)`, without gradients.

        Raises:
            ModelFileError: The images of a checkpoint are of another size.
        """
        if self.images and self.images[0].shape != images.shape[1:]:
            stored, given = (
                " x ".join(map(str, one.shape[-3:])) for one in (self.images[0], images)
            )
            raise ModelFileError(
                f"The checkpoint holds translations of {stored} where those of the training are of "
                f"{given}. Remove the folder and train anew."
            )
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


class CycleObjective(Objective):
    """The losses of a CycleGAN (Zhu et al. 2017, arXiv:1703.10593, equations 1 to 3).

    Each side has a discriminator of single images. The generators minimize the adversarial loss of
    both, the L1 between an image and its translation there and back (cycle), and the L1 between an
    image and itself through the generator that leads to its own side (identity). All losses are
    sums over both directions.

    Args:
        generators: One for each direction.
        of_source: Discriminator of source images, real or translated.
        of_target: The same for the target.
        fill: `(bands, 1, 1)`: values that replace invalid target pixels, in -1..1.
        lambda_cycle: Weight of the cycle loss.
        lambda_identity: Weight of the identity loss as a share of `lambda_cycle`; 0 leaves it out.
        pool_size: Number of former translations kept for each discriminator.
        gan_mode: Adversarial loss, see `discriminator_loss`.
        label_smoothing: Amount by which the discriminators' label of real images is below 1.
    """

    batch_attributes = ("given", "real", "fake")

    def __init__(
        self,
        generators: TwoWay,
        of_source: PatchGAN,
        of_target: PatchGAN,
        *,
        fill: Tensor,
        lambda_cycle: float,
        lambda_identity: float,
        pool_size: int,
        gan_mode: GanMode = "lsgan",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(gan_mode=gan_mode, label_smoothing=label_smoothing)
        self.generators = generators
        self.discriminators = dict(zip(SIDES, (of_source, of_target), strict=True))
        self.fill = fill
        self.lambda_cycle, self.lambda_identity = lambda_cycle, lambda_identity * lambda_cycle
        self.pools = {side: ImagePool(pool_size) for side in SIDES}
        self.generator_terms = ("g_gan", "g_cycle", *(["g_identity"] if lambda_identity else []))

    def start_batch(self, source: Tensor, target: Tensor, translation: Tensor) -> None:
        """Store a batch, whose source and target need not show the same place."""
        self.given = target
        self.real = {"source": source, "target": filled(target, self.fill)}
        back = self.generators.back(self.real["target"])
        self.fake = {"source": back, "target": translation}

    def discriminator_losses(self) -> dict[str, Tensor]:
        """Return the losses on real images and on translations, some of former batches."""
        seen = {
            "d_real": self.real,
            "d_fake": {side: self.pools[side](self.fake[side]) for side in SIDES},
        }
        losses = {name: self._summed(images, name == "d_real") for name, images in seen.items()}
        if self.gan_mode == "wgangp":
            penalties = [
                gradient_penalty(self.discriminators[side], self.real[side], seen["d_fake"][side])
                for side in SIDES
            ]
            losses["d_penalty"] = torch.stack(penalties).sum()
        return losses

    def _summed(self, images: dict[str, Tensor], real: bool) -> Tensor:
        logits = (self.discriminators[side](images[side]) for side in SIDES)
        return torch.stack([self._discriminator_loss(one, real=real) for one in logits]).sum()

    def generator_losses(self, loss: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Return adversarial, cycle and, if it has a weight, identity loss; `loss` is unused."""
        logits = (self.discriminators[side](self.fake[side]) for side in SIDES)
        adversarial = torch.stack([self._generator_loss(one) for one in logits]).sum()
        cycled = {
            "source": self.generators.back(self.fake["target"]),
            "target": self.generators.forth(self.fake["source"]),
        }
        losses = {
            "g_gan": (self.lambda_gan, adversarial),
            "g_cycle": (self.lambda_cycle, self._l1(cycled)),
        }
        if self.lambda_identity:
            same = {
                "source": self.generators.back(self.real["source"]),
                "target": self.generators.forth(self.real["target"]),
            }
            losses["g_identity"] = self.lambda_identity, self._l1(same)
        return losses

    def _l1(self, images: dict[str, Tensor]) -> Tensor:
        """Return the L1 to the images of the batch, over valid pixels, summed over the sides."""
        source = masked_l1(images["source"], self.real["source"])
        return source + masked_l1(images["target"], self.given)

    def state(self) -> dict[str, Tensor]:
        """Return the images of both pools."""
        return {side: torch.stack(p.images) for side, p in self.pools.items() if p.images}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore the images of both pools.

        Raises:
            ValueError: They are no images, or too many.
        """
        device = next(self.generators.parameters()).device
        for side, pool in self.pools.items():
            if side in state and not _is_pool(state[side], pool.size):
                raise ValueError(f"the translations of the {side} are no images, or too many")
            pool.images = list(state[side].to(device)) if side in state else []


def _is_pool(images: Tensor, size: int) -> bool:
    return images.ndim == 4 and len(images) <= size and images.is_floating_point()


def filled(target: Tensor, fill: Tensor) -> Tensor:
    """Return `(n, bands, rows, cols)` with `fill` `(bands, 1, 1)` where it is NaN."""
    return torch.where(torch.isnan(target), fill.to(target.device, target.dtype), target)
