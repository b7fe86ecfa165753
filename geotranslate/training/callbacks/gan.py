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
    """fastai's gradient accumulation, but with a step at the end of every epoch.

    The last step of an epoch may have fewer batches. Gradients carried into the next epoch would be
    missing in checkpoints, and an epoch of too few batches would train nothing.

    Args:
        batches: Number of batches per step.
    """

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches

    def before_batch(self) -> None:
        """At the first batch of a step, compute the number of its pairs."""
        if self.count == 0:
            left = self.n_iter - self.iter
            self.n_acc = min(self.batches, left) * find_bs(self.yb)


class GANCallback(Callback):
    """Step the discriminator, then add the adversarial loss to the generator's.

    The generator runs forward once per batch. Then the discriminator is stepped with half the sum
    of its losses on real and fake images; then the generator with the updated discriminator, as
    usual in fastai. One optimizer is enough because a network without gradients is not stepped:
    the generator has none yet, and the discriminator none any more.

    With fastai's `GradientAccumulation`, both are stepped at the last accumulated batch; in the
    batches before, the generator's loss uses the discriminator of the previous step.

    Args:
        discriminator: Network that discriminates real and translated images.
        objective: The losses of both networks.
        begin: Share of the training, 0 to 1, after which the discriminator is used; before, the
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
        """Remove gradients that an interrupted run may have left."""
        cbs = self.learn.cbs
        self.accumulation = next((cb for cb in cbs if isinstance(cb, GradientAccumulation)), None)
        found = (cb for cb in cbs if isinstance(cb, Synchronization))
        self._synchronization = next(found, None)
        if self.learn.opt is not None:
            self.opt.zero_grad()

    def before_train(self) -> None:
        """Reset the losses of the previous epoch."""
        self.losses = {name: [] for name in self.losses}

    @property
    def is_idle(self) -> bool:
        """Whether the discriminator is not used yet."""
        return float(getattr(self.learn, "share_done", 1.0)) < self.begin

    def after_pred(self) -> None:
        """Step the discriminator, or accumulate its gradients."""
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
        """Make the discriminator trainable again."""
        self.discriminator.requires_grad_(True)
        self._synchronization = None

    @property
    def _scale(self) -> float:
        """Factor of float16 gradients, from the learner's gradient scaler."""
        scaler = getattr(self.learn, "scaler", None)
        return float(scaler.get_scale()) if scaler is not None and scaler.is_enabled() else 1.0

    def _step(self) -> None:
        """Step the discriminator, unless float16 gradients have overflowed."""
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
        """Accumulate the discriminator's gradients; step it together with the generator."""
        given = find_bs(self.yb)
        (loss * given / accumulation.n_acc).backward()
        if accumulation.count + given < accumulation.n_acc:
            return
        # The step must not change the generator, which has gradients of previous batches.
        own = {id(parameter) for parameter in self.discriminator.parameters()}
        others = [one for group in self.opt.param_lists for one in group if id(one) not in own]
        kept = [parameter.grad for parameter in others]
        for parameter in others:
            parameter.grad = None
        self._step()
        for parameter, gradient in zip(others, kept, strict=True):
            parameter.grad = gradient
