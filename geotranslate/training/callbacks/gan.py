"""The callback that trains both networks of a GAN."""

from __future__ import annotations

import math
from functools import partial

import torch
from fastai.callback.core import Callback
from fastai.callback.training import GradientAccumulation
from fastai.learner import ValueMetric
from fastai.torch_core import find_bs
from torch import Tensor, nn

from geotranslate.training.callbacks.synchronization import Synchronization
from geotranslate.training.objectives import Objective


class EpochAccumulation(GradientAccumulation):
    """fastai's accumulation of gradients, which ends with the epoch.

    The last batches of an epoch make a step by the mean of their own gradients, also where they
    are fewer: what was carried into the next epoch would be in no checkpoint, and an epoch of too
    few batches would train nothing.

    Args:
        batches: Batches whose gradients make one step.
    """

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches

    def before_batch(self) -> None:
        """Count, at the first batch of a step, the pairs that it will be made of."""
        if self.count == 0:
            left = self.n_iter - self.iter
            self.n_acc = min(self.batches, left) * find_bs(self.yb)


class GANCallback(Callback):
    """Step the discriminator, then add the adversarial loss to the generator's.

    A batch takes one generator forward. After it the discriminator takes its step on half the sum
    of its losses on real and fake; then the generator takes its own against the updated
    discriminator, in fastai's usual way. One optimizer serves both because a network without
    gradients is not stepped: the generator has none yet, the discriminator none any more.

    With fastai's `GradientAccumulation` both take their steps at the last of the batches that it
    accumulates; in the ones before it the generator's loss is by the discriminator of the last
    step.

    Args:
        discriminator: Network that tells real from translated images.
        objective: The losses of both networks.
        begin: Share of a training, 0 to 1, before which the discriminator is idle and the
            generator minimizes the reconstruction losses alone.
    """

    # Before GradientAccumulation (6), which weighs the whole loss, and before MixedPrecision (10),
    # so that the losses are computed under its autocast.
    order, run_valid = 5, False

    def __init__(self, discriminator: nn.Module, objective: Objective, begin: float = 0.0) -> None:
        self.discriminator, self.objective, self.begin = discriminator, objective, begin
        self.accumulation: GradientAccumulation | None = None
        self._synchronization: Synchronization | None = None
        names = (*objective.generator_terms, *objective.discriminator_terms)
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
        if self._synchronization is not None:
            self._synchronization.average([mean])
        return float(mean)

    def before_fit(self) -> None:
        """Start without gradients, which an interrupted run may have left."""
        cbs = self.learn.cbs
        self.accumulation = next((cb for cb in cbs if isinstance(cb, GradientAccumulation)), None)
        found = (cb for cb in cbs if isinstance(cb, Synchronization))
        self._synchronization = next(found, None)
        if self.learn.opt is not None:
            self.opt.zero_grad()

    def before_train(self) -> None:
        """Forget the losses of the epoch before."""
        self.losses = {name: [] for name in self.losses}

    @property
    def is_idle(self) -> bool:
        """Whether the discriminator does not train yet."""
        return float(getattr(self.learn, "share_done", 1.0)) < self.begin

    def after_pred(self) -> None:
        """Take the discriminator's step."""
        if self.is_idle:
            return
        self.discriminator.requires_grad_(True)
        self.objective.start_batch(self.xb[0], self.yb[0], self.pred)
        losses = self.objective.discriminator_losses()
        for name, value in losses.items():
            self.losses[name].append(value.detach())
        loss = torch.stack(list(losses.values())).sum() / 2 * self._scale
        if self.accumulation is None:
            loss.backward()
            self._step()
        else:
            self._accumulate(loss, self.accumulation)
        self.discriminator.requires_grad_(False)

    def after_loss(self) -> None:
        """Replace the learner's loss by the weighted sum of the generator's losses."""
        objective = self.objective
        compute = objective.reconstruction_losses if self.is_idle else objective.generator_losses
        losses = compute(self.loss_grad)
        for name, (_, loss) in losses.items():
            self.losses[name].append(loss.detach())
        weighted = [weight * loss for weight, loss in losses.values()]
        self.learn.loss_grad = torch.stack(weighted).sum()
        self.learn.loss = self.learn.loss_grad.clone()

    def after_fit(self) -> None:
        """Leave the discriminator trainable, as it was found."""
        self.discriminator.requires_grad_(True)
        self._synchronization = None

    @property
    def _scale(self) -> float:
        """Factor of float16 gradients, by the scaler of the generator's step."""
        scaler = getattr(self.learn, "scaler", None)
        return float(scaler.get_scale()) if scaler is not None and scaler.is_enabled() else 1.0

    def _step(self) -> None:
        """Step the discriminator, but not with gradients that float16 could not hold."""
        if self._synchronization is not None:
            self._synchronization.average_gradients(self.discriminator)
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
