"""What the networks of an adversarial training want; `Adversary` has them play."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from fastai.learner import Learner
from torch import Tensor

from geotranslate.training.objectives.losses import GanMode, fooling_loss, verdict_loss


class Game(ABC):
    """The losses of both sides over one batch: all that one translator's training has of its own.

    Args:
        gan_mode: Which loss the game is about, see `verdict_loss`.
        lambda_gan: Weight of the adversarial term in the generator's loss.
        label_smoothing: What the discriminator's label of real images is below 1.
    """

    terms: tuple[str, ...]
    """Names of the generator's losses, in the order of the progress table."""
    verdicts = ("d_real", "d_fake")
    """Names of the discriminator's losses."""
    held: tuple[str, ...]
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
    def begin(self, source: Tensor, target: Tensor, translation: Tensor) -> None:
        """Take a batch and the generator's translation of its sources.

        Args:
            source: `(n, bands, rows, cols)` in -1..1.
            target: The same, NaN where invalid.
            translation: The target as the generator has it, with its gradients.
        """

    @abstractmethod
    def judge(self) -> dict[str, Tensor]:
        """Return the discriminator's losses on real and on translated images, by `verdicts`.

        It steps on half of their sum. No gradients reach the generator.
        """

    @abstractmethod
    def aim(self, loss: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Return the generator's losses by `terms`, with their weights, after `judge`.

        Args:
            loss: The learner's own, the L1 of translation and target.
        """

    def aim_alone(self, loss: Tensor) -> dict[str, tuple[float, Tensor]]:
        """Return the generator's losses while the discriminator rests, with their weights.

        Args:
            loss: The learner's own, the L1 of translation and target.
        """
        raise NotImplementedError(f"{type(self).__name__} has no losses without a discriminator.")

    def state(self) -> dict[str, Tensor]:
        """Return what the game remembers of former batches."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027
        """Put the game into a state that it returned."""

    def end(self) -> None:
        """Let go of the batch, with all that its images were computed from."""
        for name in self.held:
            vars(self).pop(name, None)

    def _verdict(self, logits: Tensor, *, real: bool) -> Tensor:
        """Return how far a discriminator is from the truth."""
        return verdict_loss(logits, real=real, mode=self.gan_mode, smoothing=self.label_smoothing)

    def _fooling(self, logits: Tensor) -> Tensor:
        """Return how far the generator is from being taken for real."""
        return fooling_loss(logits, mode=self.gan_mode)


def games(learn: Learner) -> list[Game]:
    """Return what the networks of a learner play: one game or none."""
    found = (vars(callback).get("game") for callback in learn.cbs)
    return [game for game in found if isinstance(game, Game)]
