"""Layers of the sources of a training, of which some are hidden at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from geotranslate.chips.bands import Side
from geotranslate.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class SourceLayers:
    """The bands of the layers of scaled sources."""

    groups: tuple[tuple[int, ...], ...]
    """Positions of the bands of each layer."""
    fixed: tuple[int, ...]
    """Positions of the bands that changes of brightness leave as they are."""
    hidden: Tensor
    """Scaled values `(bands, 1, 1)` of layers that are missing."""
    dropout: float = 0.0
    """Probability that a layer of a source is hidden."""

    @classmethod
    def of(cls, side: Side, dropout: float) -> SourceLayers | None:
        """Return the layers of a side whose bands are named by them; None without layers.

        Raises:
            InvalidInputError: Layers are to be hidden, but there are no two.
        """
        parts = [name.partition(":") for name in side.band_names]
        layers = list(dict.fromkeys(layer for layer, colon, _ in parts if colon))
        if len(layers) < 2 or not all(colon for _, colon, _ in parts):
            if not dropout and side.class_bands is not None:
                return cls((), side.fixed_bands, torch.empty(0))
            if dropout:
                raise InvalidInputError(
                    f"layer_dropout is {dropout:g}, but the source has no two layers; give a stack "
                    "of several rasters, or leave layer_dropout out."
                )
            return None
        validity = side.validity_bands
        values = np.array([0.0 if i in validity else side.fill[i] for i in range(side.bands)])
        return cls(
            tuple(tuple(i for i, p in enumerate(parts) if p[0] == layer) for layer in layers),
            side.fixed_bands,
            torch.from_numpy(side.scaling.scale(values[:, None, None])),
            dropout,
        )

    def restored(self, changed: Tensor, source: Tensor) -> Tensor:
        """Return a changed source `(bands, rows, cols)` with the fixed bands of another."""
        if not self.fixed or changed is source:
            return changed
        changed = changed.clone()
        changed[list(self.fixed)] = source[list(self.fixed)]
        return changed

    def thinned(self, source: Tensor) -> Tensor:
        """Hide layers of a source `(bands, rows, cols)` at random, but never all.

        Their bands hold the mean of the training, or a number that is no class, and bands of
        validity say that they are missing.
        """
        if not self.dropout:
            return source
        gone = torch.rand(len(self.groups)) < self.dropout
        gone[int(torch.randint(len(self.groups), ()))] &= ~gone.all()
        bands = [i for group, hide in zip(self.groups, gone, strict=True) if hide for i in group]
        if not bands:
            return source
        source = source.clone()
        source[bands] = self.hidden[bands]
        return source
