"""Run a generator on arrays in the rasters' own units."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geotranslate.chips.datacard import DataCard
from geotranslate.errors import InvalidInputError
from geotranslate.raster.dtypes import to_dtype
from geotranslate.raster.source import Source, fill_gaps, reflected


class Inference:
    """A generator between two scalings: float32 batches in source units to ones in target units.

    It is the `apply` of `translate_raster`. Dropout is off and batch normalisation uses its
    running statistics, so a tile's translation does not depend on the others.

    Args:
        generator: The network.
        card: The data that it was trained on.
        smallest: Least side that the network can take, px.
    """

    def __init__(self, generator: nn.Module, card: DataCard, smallest: int) -> None:
        self.generator, self.card, self.smallest = generator, card, smallest

    def __call__(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Translate `(n, bands, rows, cols)`."""
        scaled = torch.from_numpy(self.card.source.scaling.scale(batch))
        return self.card.target.scaling.unscale(self.scaled(scaled).numpy())

    def scaled(self, batch: Tensor) -> Tensor:
        """Translate a batch in -1..1 into one in -1..1, on the CPU."""
        device = next(self.generator.parameters()).device
        training = self.generator.training
        self.generator.eval()
        try:
            with torch.inference_mode():
                parts = [self.generator(part) for part in _parts(batch, device)]
                return torch.cat(parts).float().cpu()
        finally:
            self.generator.train(training)

    def image(self, data: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[Any]:
        """Translate one image `(bands, rows, cols)` in a single pass, to the target's dtype.

        Invalid pixels become the target's nodata value (NaN for floats) where it has one.

        Raises:
            InvalidInputError: The number of bands is not that of the source side.
        """
        self.check_bands("The image", len(data))
        rows, cols = data.shape[1:]
        filled = fill_gaps(data.astype(np.float32), valid, self.card.source.mean)
        # A network cannot take an image smaller than its stride: extend it by reflection.
        at = (
            reflected(0, max(rows, self.smallest), rows),
            reflected(0, max(cols, self.smallest), cols),
        )
        translated = self(filled[:, at[0][:, None], at[1]][None])[0, :, :rows, :cols]
        side = self.card.target
        typed = to_dtype(translated, side.dtype)
        nodata = np.nan if np.issubdtype(typed.dtype, np.floating) else side.nodata
        return typed if nodata is None else np.where(valid, typed, typed.dtype.type(nodata))

    def check_bands(self, name: str, bands: int, *, has_alpha: bool = False) -> None:
        """Refuse an image with another number of bands than the generator takes, alpha aside."""
        side = self.card.source
        if bands != side.bands:
            names = ", ".join(name for name in side.band_names if name)
            raise InvalidInputError(
                f"{name} has {bands} band{'s' if bands != 1 else ''}"
                f"{' and alpha, which is its mask,' if has_alpha else ''} but the model translates "
                f"{side.bands}{f' ({names})' if names else ''}. Give a raster with the bands that "
                "it was trained on, in their order."
            )

    def bands_of(self, source: Source) -> tuple[int, ...]:
        """Return which bands of a raster the generator takes, by number.

        Those of the same names where all have names, whatever their order; else the same numbers
        as in training where the raster has as many bands as the training files; else all.

        Raises:
            InvalidInputError: The raster has other bands.
        """
        side = self.card.source
        places = dict(zip(source.band_names, source.indexes, strict=True))
        named = all(side.band_names) and len(set(side.band_names)) == side.bands
        if named and set(side.band_names) <= places.keys():
            return tuple(places[name] for name in side.band_names)
        if source.bands == side.file_bands != side.bands:
            return side.indexes
        self.check_bands(source.name, source.bands, has_alpha=source.has_alpha)
        return source.indexes


def _parts(batch: Tensor, device: torch.device) -> list[Tensor]:
    """Return what the network gets at once: on the CPU single tiles.

    The CPU's convolutions may differ in the last bit with the number of tiles; one by one, the
    result does not depend on the batch size.
    """
    return [part.to(device) for part in batch.split(1 if device.type == "cpu" else len(batch))]
