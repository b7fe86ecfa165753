"""The adversarial game as one fastai callback."""

from __future__ import annotations

import math
from functools import partial

import torch
from fastai.callback.core import Callback
from fastai.callback.training import GradientAccumulation
from fastai.learner import ValueMetric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from geotranslate.errors import InvalidInputError
from geotranslate.training.averaging import averaged, moving
from geotranslate.training.losses import fill_invalid, verdict_loss


class AdversarialPair(nn.Module):
    """A generator and its discriminator; called, it is the generator.

    So whatever fastai does with a model (predict, validate, hook, save) it does with the
    generator, while one optimizer with two parameter groups holds both networks. Where there is an
    average of the generator's weights, that translates outside of training.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module | None) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.average: AveragedModel | None = None

    @property
    def translating(self) -> nn.Module:
        """The network that translates outside of training."""
        return self.generator if self.average is None else self.average.module

    def average_with(self, decay: float) -> AveragedModel:
        """Average the generator's weights from now on, or go on with the average there is."""
        if self.average is None:
            self.average = averaged(self.generator, decay)
        self.average.multi_avg_fn = moving(decay)
        return self.average

    def forward(self, source: Tensor) -> Tensor:
        """Translate `(n, bands, rows, cols)`."""
        return (self.generator if self.training else self.translating)(source)

    def parameter_groups(self) -> list[list[nn.Parameter]]:
        """Return the generator's parameters and, if there is one, the discriminator's."""
        networks = [self.generator, self.discriminator]
        return [list(network.parameters()) for network in networks if network is not None]


class Adversary(Callback):
    """Train the discriminator, then add its verdict to the generator's loss.

    A batch takes one generator forward. After it the discriminator takes its step on half the sum
    of its losses on real and fake; then the generator takes its own against the updated
    discriminator, in fastai's usual way. One optimizer serves both because a network without
    gradients is not stepped: the generator has none yet, the discriminator none any more.

    Args:
        discriminator: Network from source and target to logits.
        lambda_l1: Weight of the learner's own loss, the L1.
        lambda_gan: Weight of the adversarial term in the generator's loss.
    """

    # Before MixedPrecision (10), so that the game is played under its autocast.
    order, run_valid = 9, False

    def __init__(self, discriminator: nn.Module, lambda_l1: float, lambda_gan: float) -> None:
        self.discriminator, self.lambda_l1, self.lambda_gan = discriminator, lambda_l1, lambda_gan
        names = ("generator", "l1", "d_real", "d_fake")
        self.losses: dict[str, list[Tensor]] = {name: [] for name in names}

    @property
    def columns(self) -> list[ValueMetric]:
        """Columns of the progress table: means over the epoch's training batches, unweighted."""
        return [ValueMetric(partial(self._mean, name), name) for name in self.losses]

    def _mean(self, name: str) -> float:
        found = self.losses[name]
        return float(torch.stack(found).mean()) if found else math.nan

    def before_fit(self) -> None:
        """Start without gradients, which an interrupted run may have left.

        Raises:
            InvalidInputError: Gradients are accumulated, which would let the discriminator's step
                move the generator.
        """
        if any(isinstance(callback, GradientAccumulation) for callback in self.learn.cbs):
            raise InvalidInputError(
                "GradientAccumulation does not work with an adversarial game in one optimizer; "
                "remove it, or give lambda_gan=0."
            )
        if self.learn.opt is not None:
            self.opt.zero_grad()

    def before_train(self) -> None:
        """Forget the losses of the epoch before."""
        self.losses = {name: [] for name in self.losses}

    def after_pred(self) -> None:
        """Take the discriminator's step on the batch and its translation."""
        source, fake = self.xb[0], self.pred.detach()
        real = fill_invalid(self.yb[0], fake)
        self.discriminator.requires_grad_(True)
        on_real = verdict_loss(self.discriminator(source, real), real=True)
        on_fake = verdict_loss(self.discriminator(source, fake), real=False)
        loss = (on_real + on_fake) / 2
        loss.backward()
        self.opt.step()
        self.opt.zero_grad()
        self.discriminator.requires_grad_(False)
        self.losses["d_real"].append(on_real.detach())
        self.losses["d_fake"].append(on_fake.detach())

    def after_loss(self) -> None:
        """Weigh the L1 and add how far the translation is from fooling the discriminator."""
        verdict = verdict_loss(self.discriminator(self.xb[0], self.pred), real=True)
        self.losses["l1"].append(self.loss.detach())
        self.losses["generator"].append(verdict.detach())
        self.learn.loss_grad = self.lambda_l1 * self.loss_grad + self.lambda_gan * verdict
        self.learn.loss = self.learn.loss_grad.clone()

    def after_fit(self) -> None:
        """Leave the discriminator trainable, as it was found."""
        self.discriminator.requires_grad_(True)
