"""Inference on tiles, and its precision."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geotranslate.checks import choice, whole_number
from geotranslate.chips.bands import DataCard
from geotranslate.chips.scenes import matching_bands
from geotranslate.errors import GeotranslateError, InvalidInputError
from geotranslate.networks.bicubic import OverBicubic
from geotranslate.networks.layers import multiplies_bfloat16
from geotranslate.networks.normalization import (
    Around,
    ChannelNorm,
    around,
    between_tiles,
    by_tile,
    fixed,
)
from geotranslate.networks.onehot import OneHot
from geotranslate.prediction.normstats import NormStats, SceneStatistics
from geotranslate.prediction.resampling import Resampling
from geotranslate.raster.bandfacts import fits, to_dtype
from geotranslate.raster.factor import size_at, valid_at
from geotranslate.raster.reader import RasterReader, fill_gaps, reflected
from geotranslate.raster.tiling import Place

Precision = Literal["float32", "bfloat16", "auto"]

CPU_BATCH = 8
GPU_BATCH = 64
"""Most chips at once by default, or tiles of as many pixels; more are not faster."""

# One for all networks: a lock cannot be sent to another process.
_EVAL_MODE = threading.RLock()


class Inference:
    """A generator with its scalings: translates float32 batches in source units to target units.

    Translations have `card.factor` times as many pixels along an axis.

    It is the `apply` of `translate_raster`, and several threads may call it. Dropout is off, and
    with all statistics, a tile's translation does not depend on the other tiles of its batch.

    Args:
        generator: The network.
        card: Card of the training data.
        stride: Factor by which images shrink inside the generator, px.
        radius: Radius of its receptive field, px; None for the whole image.
    """

    any_shape = True
    """Tiles need not be square."""

    def __init__(
        self, generator: nn.Module, card: DataCard, stride: int, radius: int | None
    ) -> None:
        self.generator, self.card = generator, card
        self.stride, self.radius = stride, radius
        self.precision: Precision = "float32"
        self.norm_stats: NormStats = "running"
        self.resampling: Resampling | None = None
        """The way to the pixel size of the training; None for images that have it."""
        self.original = generator
        """The network in float32, as it was trained."""
        self._statistics: tuple[SceneStatistics, NDArray[np.float32]] | None = None
        self._frozen = False
        self._fitting: int | None = None

    def at(self, precision: Precision, norm_stats: NormStats = "running") -> Inference:
        """Return an inference with a frozen copy of the generator, optimized for speed.

        Later changes of the original do not affect it.

        Args:
            precision: "float32", "bfloat16" or "auto", see `resolve_precision`.
            norm_stats: Result of `resolve_norm_stats`; "scene", "smooth" and shares need `knowing`.

        Raises:
            InvalidInputError: There is no such precision.
        """
        other = copy.copy(self)
        other.precision = resolve_precision(precision, self.device)
        other.norm_stats = norm_stats
        network = self.generator
        if norm_stats != "running":
            if other.needs_prescan:
                other.original = copy.deepcopy(network)
            replaced = {"tile": by_tile, "smooth": between_tiles}.get(str(norm_stats), fixed)
            network = replaced(network)
            # Without statistics of the whole tile, the receptive field is that of the convolutions.
            other.radius = None if norm_stats == "tile" else getattr(network, "radius", None)
        other._run(frozen(network, other.precision))
        return other

    def _run(self, generator: nn.Module) -> None:
        self.generator, self._frozen = generator, True

    def resampled(self, resampling: Resampling | None) -> Inference:
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
    def transposed(self) -> Inference:
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

    def knowing(self, statistics: SceneStatistics | None) -> Inference:
        """Return a copy that normalizes by the statistics of a scene; itself if it is None.

        Raises:
            RasterFileError: The statistics cannot be read.
        """
        if statistics is None:
            return self
        other = copy.copy(self)
        values = statistics.read()
        if self.norm_stats != "smooth":
            network = fixed(self.original, torch.from_numpy(values[0, 0].copy()))
            other._run(frozen(network, self.precision))
        else:
            other._statistics = statistics, values
        return other

    @property
    def device(self) -> torch.device:
        """Device of the generator."""
        return next(self.generator.parameters()).device

    def batch_size(self, wanted: int | None, tile: int) -> int:
        """Return the number of tiles to translate at once.

        By default it is as many pixels as 8 chips on a CPU; on a GPU, the largest power of two that
        fits in its memory, up to the pixels of 64 chips.

        Args:
            wanted: The number, or None for the default.
            tile: Side of the tiles, px.

        Raises:
            InvalidInputError: `wanted` is not a whole number of at least 1.
            GeotranslateError: The GPU's memory does not hold a single tile.
        """
        if wanted is not None:
            return whole_number("batch_size", wanted, 1)
        if self.resampling is not None:
            tile = self.resampling.side(tile)
        chips = max(tile / self.card.chip_size, 1) ** 2
        if self.device.type == "cpu":
            return max(int(CPU_BATCH / chips), 1)
        most = 2 ** int(math.log2(max(GPU_BATCH / chips, 1)))
        self.scaled(torch.zeros(most, self.card.source.bands, tile, tile))
        return min(most, self._fitting or most)

    def __call__(
        self, batch: NDArray[Any], places: Sequence[Place] | None = None
    ) -> NDArray[np.float32]:
        """Translate `(n, bands, rows, cols)`.

        Args:
            batch: Tiles.
            places: Row and column of each tile, for an inference that `needs_places`.

        Raises:
            GeotranslateError: The GPU's memory does not hold a single tile.
        """
        translated = self.scaled(self.network_input(batch), places).numpy()
        found = self.card.target.scaling.unscale(translated)
        if self.resampling is None:
            return found
        rows, cols = batch.shape[-2:]
        size = size_at((rows, cols), self.card.factor)
        nearest = self.card.target.classes is not None
        return self.resampling.back(torch.from_numpy(found), size, nearest=nearest).numpy()

    def network_input(self, batch: NDArray[Any]) -> Tensor:
        """Return images in the source's units scaled, and resampled as in training."""
        source = self.card.source
        scaled = torch.from_numpy(source.scaling.scale(batch))
        if self.resampling is None:
            return scaled
        return self.resampling.forth(scaled, nearest=source.classes is not None)

    def scaled(self, batch: Tensor, places: Sequence[Place] | None = None) -> Tensor:
        """Translate a batch in -1..1 and return the translations in -1..1 on the CPU."""
        with self._eval_mode(), torch.inference_mode():
            done: list[Tensor] = []
            while (start := sum(map(len, done))) < len(batch):
                at = slice(start, start + self._at_once(len(batch)))
                part = batch[at]
                try:
                    with around(self._around(places and places[at])):
                        done.append(self._forward(part))
                except torch.cuda.OutOfMemoryError:
                    self._shrink(part)
            return torch.cat(done)

    @contextmanager
    def _eval_mode(self) -> Iterator[None]:
        """Keep the network in eval mode; if it can be trained, only for one thread at a time."""
        if self._frozen:
            yield
            return
        with _EVAL_MODE:
            training = self.generator.training
            self.generator.eval()
            try:
                yield
            finally:
                self.generator.train(training)

    def _around(self, places: Sequence[Place] | None) -> Around | None:
        if self._statistics is None or places is None:
            return None
        statistics, values = self._statistics
        return statistics.around(values, places, self.device)

    def _forward(self, part: Tensor) -> Tensor:
        first = next(self.generator.parameters())
        # Rounded to bfloat16, class numbers would become the numbers of other classes, and an
        # enlargement would have few steps.
        exact = isinstance(self.generator, OneHot | OverBicubic)
        dtype = torch.float32 if exact else first.dtype
        given = part.to(first.device, dtype, memory_format=torch.channels_last)
        return self.generator(given).float().cpu()

    def _at_once(self, given: int) -> int:
        """Return the number of tiles in one pass: a single one in float32 on the CPU.

        There the last bit of a convolution may depend on the number of tiles; one by one, the
        result does not depend on the batch size.
        """
        if self.device.type == "cpu" and self.precision == "float32":
            return 1
        return min(given, self._fitting or given)

    def _shrink(self, part: Tensor) -> None:
        """Reduce the number of tiles in one pass after the GPU ran out of memory."""
        if len(part) == 1:
            raise GeotranslateError(
                f"The GPU's memory does not hold one tile of {part.shape[-1]} px; give a smaller "
                "tile_size, or free the GPU of other programs."
            )
        # The largest power of two below.
        self._fitting = 1 << ((len(part) - 1).bit_length() - 1)
        torch.cuda.empty_cache()

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


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """Return the precision; "auto" is bfloat16 if the hardware supports it, else float32.

    Raises:
        InvalidInputError: There is no such precision.
    """
    choice("precision", precision, get_args(Precision))
    if precision != "auto":
        return precision
    return "bfloat16" if multiplies_bfloat16(device) else "float32"


def frozen(network: nn.Module, precision: Precision) -> nn.Module:
    """Return a copy of a network in eval mode that computes at a precision.

    Its memory format is channels last, with which convolutions are fastest. In bfloat16, all
    convolutions except the last one, which are nearly all of the work, have bfloat16 inputs and
    outputs; normalizations compute in float32. An output of the last one in bfloat16 would have
    only 256 steps from 0.5 to 1, which is visible in float targets. The network itself has to cast
    the input of the last convolution to its dtype.
    """
    copied = copy.deepcopy(network).eval().to(memory_format=torch.channels_last)
    if precision == "bfloat16":
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        convolutions = [module for module in copied.modules() if isinstance(module, kinds)]
        for convolution in convolutions[:-1]:
            convolution.to(torch.bfloat16)
        for module in copied.modules():
            # They compute in float32 too, but CUDA requires weights of the input's dtype.
            if isinstance(module, nn.GroupNorm | ChannelNorm):
                module.to(torch.bfloat16)
    return copied
