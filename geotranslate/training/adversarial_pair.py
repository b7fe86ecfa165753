"""The two sides of an adversarial training as one network."""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from geotranslate.training.callbacks import averaged, moving


class AdversarialPair(nn.Module):
    """A generator and its discriminator; called, it is the generator.

    So whatever fastai does with a model (predict, validate, hook, save) it does with the
    generator, while one optimizer with two parameter groups holds both networks. Where there is an
    average of the generator's weights, that translates outside of training. Either may be made of
    several networks.
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
