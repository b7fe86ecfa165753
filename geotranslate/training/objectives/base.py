"""Base class of objectives, and the losses of which they consist."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from fastai.learner import Learner
from torch import Tensor

GanMode = Literal["vanilla", "lsgan", "hinge", "wgangp"]
PENALTY = 10.0
"""Weight of the gradient penalty (Gulrajani et al. 2017)."""


def fill_invalid(target: Tensor, prediction: Tensor) -> Tensor:
    """Return the target with NaN replaced by the prediction, without gradients.

    Target and prediction agree there, so neither a loss nor a discriminator learns from it.
    """
    return torch.where(torch.isnan(target), prediction.detach(), target)


def masked_l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference over the pixels where the target is not NaN."""
    valid = torch.isfinite(target).sum().clamp(min=1)
    return (prediction - fill_invalid(target, prediction)).abs().sum() / valid


def scaled_l1(prediction: Tensor, target: Tensor, scale: int) -> Tensor:
    """Return the mean absolute difference at a fraction of the size.

    Differences are summed over the valid pixels of blocks of `scale` x `scale` px before their
    absolute value is taken, so a block counts by its valid pixels. The loss is `masked_l1` for a
    scale of 1.
    """
    valid = torch.isfinite(target).sum().clamp(min=1)
    apart = prediction - fill_invalid(target, prediction)
    sums = F.avg_pool2d(apart, scale, ceil_mode=True, divisor_override=1)
    return sums.abs().sum() / valid


def discriminator_loss(
    logits: Tensor, *, real: bool, mode: GanMode = "vanilla", smoothing: float = 0.0
) -> Tensor:
    """Return the mean adversarial loss of a discriminator's logits.

    "vanilla" is the binary cross-entropy with the label 1 for real and 0 for fake (Goodfellow et
    al. 2014), "lsgan" the squared difference from that label (Mao et al. 2017), "hinge" is
    `relu(1 - logit)` for real and `relu(1 + logit)` for fake (Lim and Ye 2017), and "wgangp" is
    `-logit` for real and `logit` for fake, to which `gradient_penalty` belongs.

    Args:
        logits: Logits of any shape.
        real: Whether they are of real images.
        mode: The loss.
        smoothing: Amount by which the label of real images is below 1 (Salimans et al. 2016);
            "hinge" and "wgangp" have no labels and ignore it.
    """
    if mode == "wgangp":
        return -logits.mean() if real else logits.mean()
    if mode == "hinge":
        return F.relu(1 - logits if real else 1 + logits).mean()
    labels = torch.full_like(logits, 1 - smoothing if real else 0.0)
    if mode == "lsgan":
        return F.mse_loss(logits, labels)
    return F.binary_cross_entropy_with_logits(logits, labels)


def generator_loss(logits: Tensor, *, mode: GanMode = "vanilla") -> Tensor:
    """Return the generator's adversarial loss for a discriminator's logits of translations.

    It is the discriminator's loss on real images, never smoothed; in "hinge" it is `-mean(logits)`.
    """
    return -logits.mean() if mode == "hinge" else discriminator_loss(logits, real=True, mode=mode)


def gradient_penalty(logits: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Return the gradient penalty of a discriminator (Gulrajani et al. 2017).

    It is 10 times the mean of `(norm - 1)**2` over the images, where the norm is that of the
    gradient of the logits, summed over the patches, by the image, at a random point between the
    real image and the translation. It is computed in float32 or better.

    Args:
        logits: Function from images to logits.
        real: Real images `(n, bands, rows, cols)` in -1..1.
        fake: Translations.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = (share * real + (1 - share) * fake).detach()
    between = between.to(torch.promote_types(between.dtype, torch.float32)).requires_grad_(True)
    with torch.autocast(real.device.type, enabled=False):
        found = logits(between)
    (gradient,) = torch.autograd.grad(found.sum(), between, create_graph=True)
    # At a gradient of 0 the norm itself has none.
    norms = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()
    return PENALTY * (norms - 1).square().mean()


def feature_loss(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Return the mean absolute difference of a discriminator's features, summed over its layers.

    It is the feature matching of Wang et al. 2018; the features of the real pair are constants.
    """
    pairs = zip(fake, real, strict=True)
    return torch.stack([F.l1_loss(one, other.detach()) for one, other in pairs]).sum()


class Objective(ABC):
    """Losses of generators and discriminators over one batch; `GANCallback` takes the steps.

    Args:
        gan_mode: Adversarial loss, see `discriminator_loss`.
        lambda_gan: Weight of the adversarial term in the generator's loss.
        label_smoothing: Amount by which the discriminator's label of real images is below 1.
    """

    generator_terms: tuple[str, ...]
    """Names of the generator's losses, in the order of the progress table."""
    discriminator_terms: tuple[str, ...] = ("d_real", "d_fake")
    """Names of the discriminator's losses."""
    batch_attributes: tuple[str, ...]
    """Names of the attributes that hold a batch."""

    def __init__(
        self,
        *,
        gan_mode: GanMode = "vanilla",
        lambda_gan: float = 1.0,
        label_smoothing: float = 0.0,
    ) -> None:
        self.gan_mode, self.lambda_gan = gan_mode, lambda_gan
        self.label_smoothing = label_smoothing
        if gan_mode == "wgangp":
            self.discriminator_terms = (*self.discriminator_terms, "d_penalty")

    @abstractmethod
    def start_batch(self, source: Tensor, target: Tensor, translation: Tensor) -> None:
        """Store a batch and the generator's translation of its sources.

        Args:
            source: `(n, bands, rows, cols)` in -1..1.
            target: The same, NaN where invalid.
            translation: The generator's translation, with its gradients.
        """

    @abstractmethod
    def discriminator_losses(self) -> dict[str, Tensor]:
        """Return the discriminator's losses on real and on translated images, and any penalty.

        The names are `discriminator_terms`. The discriminator steps on half of their sum. No
        gradient flows to the generator.
        """

    @abstractmethod
    def generator_losses(self, loss: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Return the generator's losses and their weights, after `discriminator_losses`.

        Args:
            loss: The learner's own loss, the L1 between translation and target.
        """

    def reconstruction_losses(self, loss: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Return the generator's losses and their weights while the discriminator is idle.

        Args:
            loss: The learner's own loss, the L1 between translation and target.
        """
        raise NotImplementedError(f"{type(self).__name__} has no losses without a discriminator.")

    def state(self) -> dict[str, Tensor]:
        """Return the tensors that are kept from batch to batch."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027
        """Restore a state that `state` returned."""

    def end_batch(self) -> None:
        """Release the batch and the graphs of its images."""
        for name in self.batch_attributes:
            vars(self).pop(name, None)

    def _discriminator_loss(self, logits: Tensor, *, real: bool) -> Tensor:
        return discriminator_loss(
            logits, real=real, mode=self.gan_mode, smoothing=self.label_smoothing
        )

    def _generator_loss(self, logits: Tensor) -> Tensor:
        return generator_loss(logits, mode=self.gan_mode)


def objectives_of(learn: Learner) -> list[Objective]:
    """Return the objectives of a learner's callbacks: one, or none."""
    found = (vars(callback).get("objective") for callback in learn.cbs)
    return [objective for objective in found if isinstance(objective, Objective)]
