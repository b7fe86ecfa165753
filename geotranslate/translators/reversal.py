"""The way back of a model that was trained both ways."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor, nn

from geotranslate.chips.bands import Direction
from geotranslate.prediction.predictor import Predictor
from geotranslate.translators.model import Model


class Reversed(Predictor):
    """Translate from a model's target to its source.

    Args:
        model: The model, which is saved and known by its own name.
        network: Its generator from target to source.
        stride: Factor by which that shrinks images inside, px.
        radius: How far it sees, px; None for the whole image.
    """

    direction: Direction = "BtoA"

    def __init__(self, model: Model, network: nn.Module, stride: int, radius: int | None) -> None:
        super().__init__(network, model.card.reversed(), stride, radius)
        self.model = model
        self.own_norm_stats = model.own_norm_stats

    @property
    def name(self) -> str:
        """Name of the class that was trained."""
        return self.model.name

    def towards(self, direction: Direction) -> Predictor:
        """Return what translates in a direction."""
        return self if direction == self.direction else self.model.towards(direction)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model with both its directions into a folder; return the folder."""
        return self.model.save(path)

    def saved_folder(self, digest: str) -> Path | None:
        """Return the folder that holds the model as it is, if there is one."""
        return self.model.saved_folder(digest)

    def _weights(self) -> dict[str, Tensor]:
        return self.model._weights()
