"""Base of inferences, which translate images in the units of their pixels; no torch."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import whole_number
from geotranslate.chips.bands import DataCard
from geotranslate.chips.scenes import matching_bands
from geotranslate.errors import InvalidInputError
from geotranslate.prediction.normstats import NormStats, SceneStatistics
from geotranslate.prediction.resampling import Resampling
from geotranslate.prediction.tta import TileFunction, TilePrescan
from geotranslate.raster.bandfacts import fits, to_dtype
from geotranslate.raster.factor import size_at, valid_at
from geotranslate.raster.reader import RasterReader, fill_gaps, reflected
from geotranslate.raster.tiling import Place

if TYPE_CHECKING:
    from typing_extensions import Self

ForScene: TypeAlias = "Callable[[ImageInference], TileFunction | TilePrescan]"
"""Function that returns the function of tiles, or its prescan, for the inference of a scene."""
Precision = Literal["float32", "bfloat16", "auto"]

CPU_BATCH = 8
"""Most chips at once by default on a CPU, or tiles of as many pixels; more are not faster."""


class ImageInference(ABC):
    """Base of functions of tiles: float32 batches in source units to batches in target units.

    Translations have `card.factor` times as many pixels along an axis. It is the `apply` of
    `translate_raster`, and several threads may call it.

    Args:
        card: Card of the training data.
        stride: Factor by which images shrink inside the generator, px.
        radius: Radius of its receptive field, px; None for the whole image.
    """

    any_shape = True
    """Tiles need not be square."""

    def __init__(self, card: DataCard, stride: int, radius: int | None) -> None:
        self.card, self.stride, self.radius = card, stride, radius
        self.precision: Precision = "float32"
        self.norm_stats: NormStats = "running"
        self.resampling: Resampling | None = None
        """The way to the pixel size of the training; None for images that have it."""

    @abstractmethod
    def __call__(
        self, batch: NDArray[Any], places: Sequence[Place] | None = None
    ) -> NDArray[np.float32]:
        """Translate `(n, bands, rows, cols)`.

        Args:
            batch: Tiles.
            places: Row and column of each tile, for an inference that `needs_places`.
        """

    @abstractmethod
    def at(self, precision: Precision, norm_stats: NormStats = "running") -> ImageInference:
        """Return an inference for translating scenes.

        Args:
            precision: Precision of its computations.
            norm_stats: Result of `resolved`; "scene", "smooth" and shares need `knowing`.

        Raises:
            InvalidInputError: There is no such precision.
        """

    @abstractmethod
    def resolved(self, norm_stats: NormStats, tta: bool | str) -> NormStats:
        """Return the statistics of normalization layers to use, see `resolve_norm_stats`.

        Raises:
            InvalidInputError: `norm_stats` is unknown, or does not suit the generator or `tta`.
        """

    @abstractmethod
    def knowing(self, statistics: SceneStatistics | None) -> ImageInference:
        """Return a copy that normalizes by the statistics of a scene; itself if it is None.

        Raises:
            RasterFileError: The statistics cannot be read.
        """

    @abstractmethod
    def batch_size(self, wanted: int | None, tile: int) -> int:
        """Return the number of tiles to translate at once.

        Args:
            wanted: The number, or None for the default.
            tile: Side of the tiles, px.

        Raises:
            InvalidInputError: `wanted` is not a whole number of at least 1.
        """

    def _cpu_batch_size(self, wanted: int | None, tile: int) -> int:
        if wanted is not None:
            return whole_number("batch_size", wanted, 1)
        if self.resampling is not None:
            tile = self.resampling.side(tile)
        chips = max(tile / self.card.chip_size, 1) ** 2
        return max(int(CPU_BATCH / chips), 1)

    @abstractmethod
    def largest_tile(self, workers: int) -> int:
        """Return the side of the largest tile that fits in a quarter of the machine's memory, px.

        Args:
            workers: Number of processes or threads that share the memory.
        """

    @property
    @abstractmethod
    def mixes_statistics(self) -> bool:
        """Whether statistics of a scene can be mixed with those of training."""

    @abstractmethod
    def features(self, images: NDArray[Any], valid: NDArray[np.bool_]) -> float | None:
        """Return the distance of the first features of images from those of training.

        Args:
            images: `(n, bands, rows, cols)` in the source's units, filled where invalid.
            valid: Valid pixels `(n, rows, cols)`.

        Returns:
            The distance, see `feature_distance`; None if it is unknown.
        """

    def resampled(self, resampling: Resampling | None) -> Self:
        """Return a copy for images of another pixel size than in training; itself if it is None.

        It resamples images before they enter the network, and translations back. Its stride and
        radius are in pixels of the images.
        """
        if resampling is None:
            return self
        other = copy.copy(self)
        other.resampling = resampling
        other.stride, other.radius = resampling.step, resampling.radius(self.radius)
        return other

    @property
    def transposed(self) -> Self:
        """The inference of images whose rows and columns are swapped."""
        if self.resampling is None or self.resampling.rows == self.resampling.cols:
            return self
        other = copy.copy(self)
        other.resampling = self.resampling.transposed
        return other

    @property
    def needs_prescan(self) -> bool:
        """Whether statistics of the scene are needed."""
        return self.norm_stats not in ("running", "tile")

    @property
    def needs_places(self) -> bool:
        """Whether it needs the places of tiles."""
        return self.norm_stats == "smooth"

    def network_input(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Return images in the source's units scaled, and resampled as in training."""
        source = self.card.source
        scaled = source.scaling.scale(batch)
        if self.resampling is None:
            return scaled
        categorical = list(source.categorical_bands)
        if len(categorical) in (0, source.bands):
            return self.resampling.forth(scaled, nearest=bool(categorical))
        found = self.resampling.forth(scaled, nearest=False)
        found[:, categorical] = self.resampling.forth(scaled[:, categorical], nearest=True)
        return found

    def _back(self, translated: NDArray[np.float32], batch: NDArray[Any]) -> NDArray[np.float32]:
        """Return translations in the target's units resampled to the pixel size of the batch."""
        if self.resampling is None:
            return translated
        size = size_at((batch.shape[-2], batch.shape[-1]), self.card.factor)
        return self.resampling.back(translated, size, nearest=self.card.target.classes is not None)

    def image(self, data: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[Any]:
        """Translate one image `(bands, rows, cols)` in a single pass, to the target's dtype.

        Invalid pixels get the target's nodata value, if it has one; NaN for floats. The result has
        `card.factor` times as many rows and columns, rounded up.

        Raises:
            InvalidInputError: The image has another number of bands than the source side.
        """
        self.check_bands("The image", len(data))
        rows, cols = data.shape[1:]
        filled = fill_gaps(data.astype(np.float32), valid, self.card.source.fill)
        # An image smaller than the stride is extended by reflection, because networks reject it.
        at = (
            reflected(0, max(rows, self.stride), rows),
            reflected(0, max(cols, self.stride), cols),
        )
        factor = self.card.factor
        down, across = size_at((rows, cols), factor)
        translated = self(filled[:, at[0][:, None], at[1]][None])[0, :, :down, :across]
        valid = valid_at(valid, factor)
        side = self.card.target
        typed = to_dtype(translated, side.dtype)
        nodata = np.nan if np.issubdtype(typed.dtype, np.floating) else side.nodata
        if nodata is not None and not fits(nodata, side.dtype):
            # Files may declare a nodata value outside of their dtype, which no pixel can have.
            nodata = None
        return typed if nodata is None else np.where(valid, typed, typed.dtype.type(nodata))

    def check_bands(self, name: str, bands: int, *, has_alpha: bool = False) -> None:
        """Raise an error if an image has another number of bands than the generator takes."""
        side = self.card.source
        if bands != side.bands:
            names = ", ".join(name for name in side.band_names if name)
            raise InvalidInputError(
                f"{name} has {bands} band{'s' if bands != 1 else ''}"
                f"{' and alpha, which is its mask,' if has_alpha else ''} but the model translates "
                f"{side.bands}{f' ({names})' if names else ''}. Give a raster with the bands that "
                "it was trained on, in their order, or name them with bands."
            )

    def bands_of(
        self, source: RasterReader, chosen: Sequence[int | str] | None = None
    ) -> tuple[int, ...]:
        """Return the numbers of the bands of a raster that the generator takes.

        Bands are matched by name, in any order, if all have names; else by number, if the raster
        has as many bands as the training files; else all are taken.

        Args:
            source: The raster.
            chosen: Numbers from 1 or names of bands, which are taken in place of these.

        Raises:
            InvalidInputError: The raster has other bands.
        """
        if chosen is not None:
            bands = RasterReader(source.dataset, chosen).indexes
            self.check_bands(f"The choice of bands of {source.name}", len(bands))
            return bands
        found = matching_bands(self.card.source, source)
        if found is None:
            self.check_bands(source.name, source.bands, has_alpha=source.has_alpha)
        return source.indexes if found is None else found
