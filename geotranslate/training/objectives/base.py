"""Base of the objectives that adversarial trainings minimize."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from fastai.learner import Learner
from torch import Tensor

from geotranslate.training.objectives.losses import GanMode, discriminator_loss, generator_loss


class Objective(ABC):
    """Losses of generators and discriminators over one batch; `GANCallback` takes the steps.

    Args:
        gan_mode: Adversarial loss, see `discriminator_loss`.
        lambda_gan: Weight of the adversarial term in the generator's loss.
        label_smoothing: Amount by which the discriminator's label of real images is below 1.
    """

    generator_terms: tuple[str, ...]
    """Names of the generator's losses, in the order of the progress table."""
    discriminator_terms = ("d_real", "d_fake")
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

    @abstractmethod
    def start_batch(self, source: Tensor, target: Tensor, translation: Tensor) -> None:
        """Take a batch and the generator's translation of its sources.

        Args:
            source: `(n, bands, rows, cols)` in -1..1.
            target: The same, NaN where invalid.
            translation: The generator's translation, with its gradients.
        """

    @abstractmethod
    def discriminator_losses(self) -> dict[str, Tensor]:
        """Return the discriminator's losses on real and on translated images.

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
