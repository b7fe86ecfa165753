"""Objective of paired translation, with a discriminator of pairs."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from geotranslate.training.objectives.base import (
    GanMode,
    Objective,
    feature_loss,
    fill_invalid,
    gradient_penalty,
)


class PairDiscriminator(Protocol):
    """A discriminator of pairs, at one scale or several."""

    def features(self, source: Tensor, target: Tensor) -> list[list[Tensor]]:
        """Return for each scale the activations of its layers; the last are the logits."""


class PairedObjective(Objective):
    """The losses of Pix2Pix and Pix2PixHD: L1, adversarial loss and feature matching.

    Adversarial losses are summed over the scales of the discriminator, feature losses are averaged
    over them (Wang et al. 2018).

    Args:
        discriminator: Network from source and target to logits.
        lambda_l1: Weight of the L1.
        lambda_gan: Weight of the adversarial term in the generator's loss.
        gan_mode: Adversarial loss, see `discriminator_loss`.
        label_smoothing: Amount by which the discriminator's label of real pairs is below 1.
        lambda_features: Weight of `feature_loss`; 0 leaves it out.
    """

    batch_attributes = ("source", "translation", "real")

    def __init__(
        self,
        discriminator: PairDiscriminator,
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
        self.generator_terms = ("g_gan", "g_l1", *(["g_features"] if lambda_features else []))

    def start_batch(self, source: Tensor, target: Tensor, translation: Tensor) -> None:
        """Store a batch, with invalid target pixels replaced by the translation."""
        self.source, self.translation = source, translation
        self.real = fill_invalid(target, translation)

    def discriminator_losses(self) -> dict[str, Tensor]:
        """Return the losses on real pairs and on translated ones."""
        found = {}
        for name, image in (("d_real", self.real), ("d_fake", self.translation.detach())):
            scales = self.discriminator.features(self.source, image)
            losses = [
                self._discriminator_loss(scale[-1], real=name == "d_real") for scale in scales
            ]
            found[name] = torch.stack(losses).sum()
        if self.gan_mode == "wgangp":
            found["d_penalty"] = gradient_penalty(self._logits, self.real, self.translation)
        return found

    def _logits(self, image: Tensor) -> Tensor:
        """Return the logits of all scales together, `(n, logits)`."""
        scales = self.discriminator.features(self.source.detach().to(image.dtype), image)
        return torch.cat([scale[-1].flatten(1) for scale in scales], dim=1)

    def reconstruction_losses(self, loss: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Return the L1 with the same weight as with the adversarial loss, or 1 if that is 0."""
        return {"g_l1": (self.lambda_l1 or 1.0, loss)}

    def generator_losses(self, loss: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Return adversarial loss, L1 and, if it has a weight, the feature loss."""
        scales = self.discriminator.features(self.source, self.translation)
        adversarial = torch.stack([self._generator_loss(scale[-1]) for scale in scales]).sum()
        losses = {"g_gan": (self.lambda_gan, adversarial), "g_l1": (self.lambda_l1, loss)}
        if self.lambda_features:
            with torch.no_grad():
                real = self.discriminator.features(self.source, self.real)
            pairs = zip(scales, real, strict=True)
            features = torch.stack([feature_loss(fake[:-1], true[:-1]) for fake, true in pairs])
            losses["g_features"] = self.lambda_features, features.mean()
        return losses
