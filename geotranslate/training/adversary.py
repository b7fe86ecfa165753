"""The adversarial game as one fastai callback."""

from __future__ import annotations

import math
from functools import partial

import torch
from fastai.callback.core import Callback
from fastai.callback.training import GradientAccumulation
from fastai.learner import ValueMetric
from fastai.torch_core import find_bs
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from geotranslate.networks.patchgan import PatchGAN
from geotranslate.training.averaging import averaged, moving
from geotranslate.training.losses import (
    GanMode,
    feature_loss,
    fill_invalid,
    fooling_loss,
    verdict_loss,
)
from geotranslate.training.processes import InStep


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
        self.decay: float | None = None
        """Share of the average that a step leaves; None where there is no average."""

    @property
    def translating(self) -> nn.Module:
        """The network that translates outside of training."""
        return self.generator if self.average is None else self.average.module

    def average_with(self, decay: float | None) -> None:
        """Average the generator's weights from now on, or go on with the average there is.

        Args:
            decay: Share of the average that a step leaves; None to drop the average.
        """
        self.decay = decay
        if decay is None:
            self.average = None
            return
        if self.average is None:
            self.average = averaged(self.generator, decay)
        self.average.multi_avg_fn = moving(decay)

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

    With fastai's `GradientAccumulation` both take their steps at the last of the batches that it
    accumulates; in the ones before it the generator plays against the discriminator of before.

    Args:
        discriminator: Network from source and target to logits.
        lambda_l1: Weight of the learner's own loss, the L1.
        lambda_gan: Weight of the adversarial term in the generator's loss.
        gan_mode: Which loss the game is about, see `verdict_loss`.
        label_smoothing: What the discriminator's label of real pairs is below 1.
        lambda_features: Weight of `feature_loss`; 0 leaves it out.
    """

    # Before GradientAccumulation (6), which weighs the whole loss, and before MixedPrecision (10),
    # so that the game is played under its autocast.
    order, run_valid = 5, False

    def __init__(
        self,
        discriminator: PatchGAN,
        *,
        lambda_l1: float,
        lambda_gan: float,
        gan_mode: GanMode = "vanilla",
        label_smoothing: float = 0.0,
        lambda_features: float = 0.0,
    ) -> None:
        self.discriminator, self.lambda_l1, self.lambda_gan = discriminator, lambda_l1, lambda_gan
        self.lambda_features, self.gan_mode = lambda_features, gan_mode
        self.judge = partial(verdict_loss, mode=gan_mode, smoothing=label_smoothing)
        self.accumulation: GradientAccumulation | None = None
        self.in_step: InStep | None = None
        shown = ["generator", "l1", *(["perceptual"] if lambda_features else [])]
        names = [*shown, "d_real", "d_fake"]
        self.losses: dict[str, list[Tensor]] = {name: [] for name in names}

    @property
    def columns(self) -> list[ValueMetric]:
        """Columns of the progress table: means over the epoch's training batches, unweighted."""
        return [ValueMetric(partial(self._mean, name), name) for name in self.losses]

    def _mean(self, name: str) -> float:
        found = self.losses[name]
        if not found:
            return math.nan
        mean = torch.stack(found).mean()
        if self.in_step is not None:
            self.in_step.average([mean])
        return float(mean)

    def before_fit(self) -> None:
        """Start without gradients, which an interrupted run may have left."""
        cbs = self.learn.cbs
        self.accumulation = next((cb for cb in cbs if isinstance(cb, GradientAccumulation)), None)
        self.in_step = next((cb for cb in cbs if isinstance(cb, InStep)), None)
        if self.learn.opt is not None:
            self.opt.zero_grad()

    def before_train(self) -> None:
        """Forget the losses of the epoch before."""
        self.losses = {name: [] for name in self.losses}

    def after_pred(self) -> None:
        """Learn to tell the batch from its translation, and take the discriminator's step."""
        source, fake = self.xb[0], self.pred.detach()
        self.discriminator.requires_grad_(True)
        on_real = self.judge(self.discriminator(source, self._real), real=True)
        on_fake = self.judge(self.discriminator(source, fake), real=False)
        loss = (on_real + on_fake) / 2
        self.losses["d_real"].append(on_real.detach())
        self.losses["d_fake"].append(on_fake.detach())
        if self.accumulation is None:
            (loss * self._scale).backward()
            self._step()
        else:
            self._accumulate(loss * self._scale, self.accumulation)
        self.discriminator.requires_grad_(False)

    def after_loss(self) -> None:
        """Weigh the L1 and add how far the translation is from fooling the discriminator."""
        source, fake = self.xb[0], self.pred
        loss = self.lambda_l1 * self._noted("l1", self.loss_grad)
        if self.lambda_features:
            with torch.no_grad():
                *real, _ = self.discriminator.features(source, self._real)
            *features, logits = self.discriminator.features(source, fake)
            alike = self._noted("perceptual", feature_loss(features, real))
            loss = loss + self.lambda_features * alike
        else:
            logits = self.discriminator(source, fake)
        fooling = self._noted("generator", fooling_loss(logits, mode=self.gan_mode))
        self.learn.loss_grad = loss + self.lambda_gan * fooling
        self.learn.loss = self.learn.loss_grad.clone()

    def after_fit(self) -> None:
        """Leave the discriminator trainable, as it was found."""
        self.discriminator.requires_grad_(True)
        self.in_step = None

    @property
    def _real(self) -> Tensor:
        return fill_invalid(self.yb[0], self.pred)

    def _noted(self, name: str, loss: Tensor) -> Tensor:
        self.losses[name].append(loss.detach())
        return loss

    @property
    def _scale(self) -> float:
        """How much gradients of float16 are magnified, which the generator's scaler decides."""
        scaler = getattr(self.learn, "scaler", None)
        return float(scaler.get_scale()) if scaler is not None and scaler.is_enabled() else 1.0

    def _step(self) -> None:
        """Step the discriminator, but not with gradients that float16 could not hold."""
        if self.in_step is not None:
            self.in_step.average_gradients(self.discriminator)
        if (scale := self._scale) != 1:
            found = [p.grad for p in self.discriminator.parameters() if p.grad is not None]
            torch._foreach_div_(found, scale)
            if not all(torch.isfinite(total) for total in torch._foreach_norm(found)):
                self.opt.zero_grad()
                return
        self.opt.step()
        self.opt.zero_grad()

    def _accumulate(self, loss: Tensor, accumulation: GradientAccumulation) -> None:
        """Add to the discriminator's gradients and step it when the generator will be stepped."""
        given = find_bs(self.yb)
        (loss * given / accumulation.n_acc).backward()
        if accumulation.count + given < accumulation.n_acc:
            return
        # The step must not move the generator, which has gradients of the batches before.
        own = {id(parameter) for parameter in self.discriminator.parameters()}
        others = [one for group in self.opt.param_lists for one in group if id(one) not in own]
        kept = [parameter.grad for parameter in others]
        for parameter in others:
            parameter.grad = None
        self._step()
        for parameter, gradient in zip(others, kept, strict=True):
            parameter.grad = gradient
