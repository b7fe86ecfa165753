"""The game of pairs: a discriminator sees the source beside its target, real or translated."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from geotranslate.training.objectives.base import Game
from geotranslate.training.objectives.losses import GanMode, feature_loss, fill_invalid


class Judge(Protocol):
    """A discriminator of pairs, at one scale or several."""

    def features(self, source: Tensor, target: Tensor) -> list[list[Tensor]]:
        """Return for each scale what its layers make of the pairs, last the logits."""


class PairedGame(Game):
    """The losses of Pix2Pix and Pix2PixHD: L1, adversarial, and the discriminator's features.

    Verdicts and fooling are summed over the scales of the discriminator, features are averaged
    over them (Wang et al. 2018).

    Args:
        discriminator: Network from source and target to logits.
        lambda_l1: Weight of the L1.
        lambda_gan: Weight of the adversarial term in the generator's loss.
        gan_mode: Which loss the game is about, see `verdict_loss`.
        label_smoothing: What the discriminator's label of real pairs is below 1.
        lambda_features: Weight of `feature_loss`; 0 leaves it out.
    """

    held = ("source", "translation", "real")

    def __init__(
        self,
        discriminator: Judge,
        *,
        lambda_l1: float,
        lambda_gan: float,
        gan_mode: GanMode = "vanilla",
        label_smoothing: float = 0.0,
        lambda_features: float = 0.0,
    ) -> None:
        super().__init__(gan_mode=gan_mode, lambda_gan=lambda_gan, label_smoothing=label_smoothing)
        self.discriminator, self.lambda_l1 = discriminator, lambda_l1
        self.lambda_features = lambda_features
        self.terms = ("generator", "l1", *(["perceptual"] if lambda_features else []))

    def begin(self, source: Tensor, target: Tensor, translation: Tensor) -> None:
        """Take a batch; where the target is invalid it agrees with its translation."""
        self.source, self.translation = source, translation
        self.real = fill_invalid(target, translation)

    def judge(self) -> dict[str, Tensor]:
        """Return the losses on real pairs and on translated ones."""
        verdicts = {}
        for name, image in (("d_real", self.real), ("d_fake", self.translation.detach())):
            scales = self.discriminator.features(self.source, image)
            losses = [self._verdict(scale[-1], real=name == "d_real") for scale in scales]
            verdicts[name] = torch.stack(losses).sum()
        return verdicts

    def aim_alone(self, loss: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Return the L1, with the weight that it has beside the discriminator."""
        return {"l1": (self.lambda_l1 or 1.0, loss)}

    def aim(self, loss: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Return L1, adversarial loss and, if they count, the difference of the features."""
        scales = self.discriminator.features(self.source, self.translation)
        fooling = torch.stack([self._fooling(scale[-1]) for scale in scales]).sum()
        aims = {"generator": (self.lambda_gan, fooling), "l1": (self.lambda_l1, loss)}
        if self.lambda_features:
            with torch.no_grad():
                real = self.discriminator.features(self.source, self.real)
            pairs = zip(scales, real, strict=True)
            alike = torch.stack([feature_loss(fake[:-1], true[:-1]) for fake, true in pairs])
            aims["perceptual"] = self.lambda_features, alike.mean()
        return aims
