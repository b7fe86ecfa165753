"""Translate images and scenes with a trained generator."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from geotranslate.checks import whole_number
from geotranslate.chips.datacard import DataCard
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from geotranslate.raster.destination import default_output
from geotranslate.raster.pipeline import TranslatedRaster, translate_raster
from geotranslate.raster.source import RasterLike, Source
from geotranslate.translators.inference import Inference


class Predictor:
    """A generator and what is known of its data: all that translating takes.

    Args:
        generator: The network.
        card: The data that it was trained on.
        stride: Factor by which the generator shrinks images inside, px.
    """

    def __init__(self, generator: nn.Module, card: DataCard, stride: int) -> None:
        self.card, self.stride = card, stride
        self.inference = Inference(generator, card, stride)

    def predict(self, image: RasterLike | NDArray[Any]) -> NDArray[Any]:
        """Translate a chip or another image that fits into memory at once.

        Args:
            image: Raster, or `(bands, rows, cols)` in the source's units with NaN where invalid.

        Returns:
            `(bands, rows, cols)` in the target's units and dtype. Invalid pixels hold NaN in
            floats and the target's nodata value, if it has one, in integers.

        Raises:
            RasterFileError: The raster cannot be read.
            InvalidInputError: It has another number of bands than the model translates.
        """
        if isinstance(image, np.ndarray):
            if image.ndim != 3:
                raise InvalidInputError(
                    f"The array has shape {image.shape}; give (bands, rows, cols)."
                )
            return self.inference.image(image, np.asarray(np.isfinite(image).all(axis=0)))
        with Source(image) as source:
            chosen = Source(source.dataset, self.inference.bands_of(source))
            return self.inference.image(*chosen.read())

    def predict_raster(
        self,
        path: RasterLike,
        output: str | os.PathLike[str] | None = None,
        *,
        tile_size: int | None = None,
        overlap: int | None = None,
        batch_size: int = 4,
        overwrite: bool = False,
        progress: bool = True,
    ) -> TranslatedRaster:
        """Translate a raster of any size into a GeoTIFF on the same grid.

        The output has the dtype and nodata value of the training targets; where that has none,
        pixels that are invalid in the source are NaN (floats) or masked (integers).

        Args:
            path: Raster to translate: path, URL, GDAL name or open dataset.
            output: GeoTIFF to write; by default `<stem>_translated.tif` beside the source, in the
                working directory for a remote one.
            tile_size: Side of the tiles, px; by default that of the training chips, rounded up to
                what the generator takes without padding.
            overlap: Pixels that neighbouring tiles share; a quarter of a tile by default.
            batch_size: Tiles translated at once.
            overwrite: Whether an existing output may be replaced.
            progress: Whether to show a progress bar.

        Returns:
            The written raster, usable as a path.

        Raises:
            RasterFileError: The raster cannot be read or the output not written.
            OutputExistsError: The output exists and `overwrite` is false.
            InvalidInputError: The raster has another number of bands than the model translates.
        """
        tile = self._tile_size(tile_size)
        with Source(path) as source:
            bands = self.inference.bands_of(source)
            if source.grid.crs is None and not source.dataset.gcps[0]:
                warnings.warn(
                    f"{source.name} has no CRS, so the output has none either.",
                    GeotranslateWarning,
                    stacklevel=2,
                )
            return translate_raster(
                source.dataset,
                default_output(source.name) if output is None else output,
                self.inference,
                bands=bands,
                bands_out=self.card.target.bands,
                tile_size=tile,
                overlap=tile // 4 if overlap is None else overlap,
                batch_size=batch_size,
                dtype=self.card.target.dtype,
                nodata=self.card.target.nodata,
                band_names=self.card.target.band_names,
                fill=self.card.source.mean,
                overwrite=overwrite,
                progress=progress,
            )

    def _tile_size(self, wanted: int | None) -> int:
        if wanted is None:
            return -(-self.card.chip_size // self.stride) * self.stride
        if whole_number("tile_size", wanted, 0) < self.stride:
            raise InvalidInputError(
                f"tile_size is {wanted} but the generator shrinks tiles by {self.stride}; give at "
                f"least {self.stride}, best a multiple of it."
            )
        return wanted
