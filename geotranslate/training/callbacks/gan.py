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

from geotranslate.training.distributed import InStep
from geotranslate.training.objectives.base import Game


class Adversary(Callback):
    """Train the discriminator, then make its verdict a part of the generator's loss.

    A batch takes one generator forward. After it the discriminator takes its step on half the sum
    of its losses on real and fake; then the generator takes its own against the updated
    discriminator, in fastai's usual way. One optimizer serves both because a network without
    gradients is not stepped: the generator has none yet, the discriminator none any more.

    With fastai's `GradientAccumulation` both take their steps at the last of the batches that it
    accumulates; in the ones before it the generator plays against the discriminator of before.

    Args:
        discriminator: What learns to tell real from translated.
        game: The losses of both.
        begin: Share of a training, 0 to 1, before which the discriminator rests and the generator
            learns without it.
    """

    # Before GradientAccumulation (6), which weighs the whole loss, and before MixedPrecision (10),
    # so that the game is played under its autocast.
    order, run_valid = 5, False

    def __init__(self, discriminator: nn.Module, game: Game, begin: float = 0.0) -> None:
        self.discriminator, self.game, self.begin = discriminator, game, begin
        self.accumulation: GradientAccumulation | None = None
        self.in_step: InStep | None = None
        self.losses: dict[str, list[Tensor]] = {name: [] for name in (*game.terms, *game.verdicts)}

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

    @property
    def rests(self) -> bool:
        """Whether the discriminator has no part in the training yet."""
        return float(getattr(self.learn, "share_done", 1.0)) < self.begin

    def after_pred(self) -> None:
        """Learn to tell the batch from its translation, and take the discriminator's step."""
        if self.rests:
            return
        self.discriminator.requires_grad_(True)
        self.game.begin(self.xb[0], self.yb[0], self.pred)
        verdicts = self.game.judge()
        for name, verdict in verdicts.items():
            self.losses[name].append(verdict.detach())
        loss = torch.stack(list(verdicts.values())).sum() / 2 * self._scale
        if self.accumulation is None:
            loss.backward()
            self._step()
        else:
            self._accumulate(loss, self.accumulation)
        self.discriminator.requires_grad_(False)

    def after_loss(self) -> None:
        """Replace the learner's loss by all that the generator aims at, each by its weight."""
        game = self.game
        aims = (game.aim_alone if self.rests else game.aim)(self.loss_grad)
        for name, (_, loss) in aims.items():
            self.losses[name].append(loss.detach())
        self.learn.loss_grad = torch.stack([weight * loss for weight, loss in aims.values()]).sum()
        self.learn.loss = self.learn.loss_grad.clone()

    def after_fit(self) -> None:
        """Leave the discriminator trainable, as it was found."""
        self.discriminator.requires_grad_(True)
        self.in_step = None

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
