"""Inference on tiles, and its precision."""

from __future__ import annotations

import copy
import functools
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geotranslate.checks import choice
from geotranslate.chips.bands import DataCard
from geotranslate.errors import GeotranslateError
from geotranslate.networks.bicubic import OverBicubic
from geotranslate.networks.features import feature_distance
from geotranslate.networks.layers import multiplies_bfloat16
from geotranslate.networks.normalization import (
    Around,
    ChannelNorm,
    around,
    between_tiles,
    by_tile,
    fixed,
    lacking,
    normalizes,
)
from geotranslate.networks.onehot import OneHot
from geotranslate.prediction.imageinference import ImageInference, Precision
from geotranslate.prediction.normstats import NormStats, SceneStatistics, resolve_norm_stats
from geotranslate.prediction.tilesize import side_in_memory
from geotranslate.raster.tiling import Place

GPU_BATCH = 64
"""Most chips at once by default on a GPU, or tiles of as many pixels; more are not faster."""

# One for all networks: a lock cannot be sent to another process.
_EVAL_MODE = threading.RLock()


class Inference(ImageInference):
    """A generator with its scalings: translates float32 batches in source units to target units.

    Dropout is off, and with all statistics, a tile's translation does not depend on the other tiles
    of its batch.

    Args:
        generator: The network.
        card: Card of the training data.
        stride: Factor by which images shrink inside the generator, px.
        radius: Radius of its receptive field, px; None for the whole image.
    """

    def __init__(
        self, generator: nn.Module, card: DataCard, stride: int, radius: int | None
    ) -> None:
        super().__init__(card, stride, radius)
        self.generator = generator
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
            norm_stats: Result of `resolved`; "scene", "smooth" and shares need `knowing`.

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

    def renewed(self, generator: nn.Module, card: DataCard) -> Inference:
        """Return an inference of another generator of the same kind, and the card of its data."""
        return Inference(generator, card, self.stride, self.radius)

    def _run(self, generator: nn.Module) -> None:
        self.generator, self._frozen = generator, True

    def resolved(self, norm_stats: NormStats, tta: bool | str) -> NormStats:
        """Return the statistics of normalization layers to use, see `resolve_norm_stats`.

        Raises:
            InvalidInputError: `norm_stats` is unknown, or does not suit the generator or `tta`.
        """
        without = lacking(self.generator) if normalizes(self.generator) else None
        return resolve_norm_stats(norm_stats, without, tta)

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
        if wanted is not None or self.device.type == "cpu":
            return self._cpu_batch_size(wanted, tile)
        if self.resampling is not None:
            tile = self.resampling.side(tile)
        chips = max(tile / self.card.chip_size, 1) ** 2
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
        scaled = torch.from_numpy(self.network_input(batch))
        found = self.card.target.scaling.unscale(self.scaled(scaled, places).numpy())
        return self._back(found, batch)

    def largest_tile(self, workers: int) -> int:
        """Return the side of the largest tile that fits in a quarter of the machine's memory, px.

        Args:
            workers: Number of processes or threads that share the memory.
        """
        largest = largest_layer(self.generator, self.card)
        if self.device.type == "cuda":
            memory = torch.cuda.get_device_properties(self.device).total_memory
        else:
            memory = psutil.virtual_memory().total
        return side_in_memory(memory, workers, self.card.chip_size, largest)

    @property
    def mixes_statistics(self) -> bool:
        """Whether statistics of a scene can be mixed with those of training."""
        return normalizes(self.original) and not lacking(self.original)

    def resampled_mask(self, valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the mask `(n, 1, rows, cols)` of `network_input`, for valid `(n, rows, cols)`."""
        mask = valid[:, None].astype(np.float32)
        return mask if self.resampling is None else self.resampling.forth(mask, nearest=True)

    def features(self, images: NDArray[Any], valid: NDArray[np.bool_]) -> float | None:
        """Return the distance of the first features of images from those of training.

        Args:
            images: `(n, bands, rows, cols)` in the source's units, filled where invalid.
            valid: Valid pixels `(n, rows, cols)`.

        Returns:
            The distance, see `feature_distance`; None for a network without running statistics.
        """
        both = self.network_input(images), self.resampled_mask(valid)
        values, mask = (torch.from_numpy(each).to(self.device) for each in both)
        return feature_distance(self.original, values, mask)

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
        return _around(statistics, values, places, self.device)

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


def torch_inference(inference: ImageInference) -> Inference:
    """Return the inference of a model in torch, as all but those of exported files are."""
    assert isinstance(inference, Inference)
    return inference


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


def _around(
    statistics: SceneStatistics,
    values: NDArray[np.float32],
    places: Sequence[Place],
    device: torch.device,
) -> Around:
    """Return the statistics around a batch of tiles and their interpolation weights.

    Args:
        statistics: Statistics of a scene.
        values: Result of its `read`.
        places: Row and column of each tile.
        device: Device of the network.
    """
    rows = np.stack([statistics.rows.neighbors(row) for row, _ in places]) - statistics.first[0]
    cols = np.stack([statistics.cols.neighbors(col) for _, col in places]) - statistics.first[1]
    near = np.ascontiguousarray(values[rows[:, :, None], cols[:, None, :]])

    # Layers of the same size share the weights.
    @functools.cache
    def weights(axis: Literal[0, 1], size: int) -> torch.Tensor:
        grid = (statistics.rows, statistics.cols)[axis]
        each = [grid.weights(place[axis], size) for place in places]
        return torch.from_numpy(np.stack(each)).to(device)

    return Around(
        torch.from_numpy(near).to(device),
        lambda size: weights(0, size),
        lambda size: weights(1, size),
    )


def largest_layer(network: nn.Module, card: DataCard) -> int:
    """Return the size of the largest output of a layer for a chip, bytes.

    Args:
        network: A generator in eval mode; it translates a chip.
        card: Card of the training data.
    """
    first = next(network.parameters())
    largest = 0

    def look(module: nn.Module, given: object, found: object) -> None:
        nonlocal largest
        if isinstance(found, torch.Tensor):
            largest = max(largest, found.numel() * found.element_size())

    hooks = [m.register_forward_hook(look) for m in network.modules() if not list(m.children())]
    chip = torch.zeros(1, card.source.bands, card.chip_size, card.chip_size)
    try:
        with torch.inference_mode():
            network(chip.to(first.device, first.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    return largest
