"""The networks, the optimizer and the fastai Learner of a training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import fastai.callback.progress
import fastai.callback.schedule  # noqa: F401
import torch
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.optimizer import OptimWrapper
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from geotranslate.training.callbacks import EpochMean, History, averaged, moving
from geotranslate.training.objectives import masked_l1

LEARNING_RATE, BETAS = 2e-4, (0.5, 0.999)
"""Learning rate and betas of Isola et al. 2017."""


class AdversarialPair(nn.Module):
    """A generator and its discriminator; calling it calls the generator.

    So fastai predicts, validates, hooks and saves the generator, while one optimizer with two
    parameter groups holds both networks. If there is an average of the generator's weights, it is
    used outside of training. Generator and discriminator may consist of several networks.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module | None) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.average: AveragedModel | None = None
        self.decay: float | None = None
        """Decay of the average per step; None without an average."""

    @property
    def translating(self) -> nn.Module:
        """The network that translates outside of training."""
        return self.generator if self.average is None else self.average.module

    def average_with(self, decay: float | None) -> None:
        """Start averaging the generator's weights, or continue with the existing average.

        Args:
            decay: Decay of the average per step; None to drop the average.
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


class Adam(torch.optim.Adam):
    """torch's fused Adam for weights of any memory format.

    On a CPU, torch's fused step assumes that a weight, its gradient and its moments have the same
    memory layout: otherwise it combines wrong numbers without an error, and it copies all four if
    they are channels last. Here they get one layout and are passed as permuted views that need no
    copy.

    The weight decay is that of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101); biases and the
    weights of normalizations, which have one dimension, do not decay.
    """

    def step(self, closure: Any = None) -> Any:
        """Shrink the weights that have a gradient, then take Adam's step."""
        decays = [group["weight_decay"] for group in self.param_groups]
        for group, decay in zip(self.param_groups, decays, strict=True):
            # Adam would add it to the gradients.
            group["weight_decay"] = 0.0
            moving = [one for one in group["params"] if one.grad is not None and one.ndim > 1]
            if decay and moving:
                with torch.no_grad():
                    torch._foreach_mul_(moving, 1 - group["lr"] * decay)
        try:
            return super().step(closure)
        finally:
            for group, decay in zip(self.param_groups, decays, strict=True):
                group["weight_decay"] = decay

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state of any memory format."""
        super().load_state_dict(state_dict)
        for weight, state in self.state.items():
            for name, value in state.items():
                if value.shape == weight.shape:
                    state[name] = _laid_like(weight, value)

    # There is no public hook between torch's lists and its step. A plain `step` that sets the
    # layout of the gradients alone gives the same weights, but takes 0.14 s in place of 0.06 s for
    # 13.6 million weights with channels last (one core), some 5 % of a training.
    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> Any:
        try:
            found = super()._init_group(group, *lists)
        except BaseException:
            # If memory ran out between two moments, torch would not initialize them again.
            for weight in [one for one, state in self.state.items() if "exp_avg_sq" not in state]:
                del self.state[weight]
            raise
        weights, gradients, *moments = lists[:4]
        gradients[:] = map(_laid_like, weights, gradients)
        for number, weight in enumerate(weights):
            if weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last):
                for tensors in (gradients, *moments, weights):
                    tensors[number] = tensors[number].permute(0, 2, 3, 1)
        return found


def _laid_like(weight: Tensor, tensor: Tensor) -> Tensor:
    return tensor if tensor.stride() == weight.stride() else torch.empty_like(weight).copy_(tensor)


def make_optimizer(
    parameters: list[list[Tensor]], *, betas: tuple[float, float] = BETAS, **options: Any
) -> OptimWrapper:
    """Return the optimizer of parameter groups, with the signature of fastai's `opt_func`.

    fastai's Adam has other defaults and a Python loop over the parameters.
    """
    return OptimWrapper(parameters, opt=partial(Adam, betas=betas, fused=True), **options)


def make_learner(
    data: DataLoaders | None,
    pair: AdversarialPair,
    callbacks: Sequence[Any],
    rows: list[dict[str, float]],
    betas: tuple[float, float] = BETAS,
) -> Learner:
    """Return the learner of a pair of networks, with the L1 as its own loss.

    Args:
        data: The loaders; None for a model that only translates.
        pair: The networks.
        callbacks: Callbacks of the objective and of the metrics, each with its `columns` of the
            progress table.
        rows: List to which the rows of the table are appended.
        betas: Betas of Adam.
    """
    learn = Learner(
        DataLoaders() if data is None else data,
        pair,
        loss_func=masked_l1,
        lr=LEARNING_RATE,
        opt_func=partial(make_optimizer, betas=betas),
        splitter=AdversarialPair.parameter_groups,
        moms=(betas[0],) * 3,
        metrics=[column for callback in callbacks for column in callback.columns],
        cbs=[*callbacks, History(rows)],
        # Not the folder of the chips, which belongs to the user.
        path=Path(),
    )
    learn.recorder.smooth_loss = EpochMean()
    return learn
