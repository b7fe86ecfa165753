"""Radiometric augmentation of sources: other light, other cameras and other dates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geotranslate.chips.bands import DataCard, QuantileMap, Quantiles, Side
from geotranslate.chips.cardmaker import quantiles_of
from geotranslate.chips.chip import Chip
from geotranslate.chips.scenes import quantiles_of_raster, scenes_of
from geotranslate.errors import InvalidInputError
from geotranslate.raster.composite import Composite

Augment = Literal["auto", "none", "light", "strong"]
TRAINING = "training"
"""Name in `look_like` of the scenes of the training chips."""
SHARE = 0.8
"""Share of the chips that are changed."""
COMMON = 0.7
"""Share of the variance of a change that all bands have in common."""
MOST_SCENES = 64
"""Most training scenes whose histograms are exchanged."""


@dataclass(frozen=True)
class Strength:
    """Standard deviations of the random changes of a chip."""

    gamma: float
    """Of the logarithm of the exponent."""
    gain: float
    """Of the logarithm of the factor."""
    offset: float
    """As a share of the source's range."""
    decibels: float
    """Offset of bands in decibels, dB."""


STRENGTHS = {
    "light": Strength(gamma=0.125, gain=0.075, offset=0.04, decibels=0.75),
    "strong": Strength(gamma=0.25, gain=0.15, offset=0.08, decibels=1.5),
}


def strength_for(chips: Sequence[Chip], card: DataCard) -> Augment:
    """Return the strength that "auto" stands for: "light" or "none".

    It is "light" for training sources of quantities that were cut from several scenes: a model of
    several scenes is for further scenes, whose light differs too. In a single scene, values are
    known as they are, and changes raise the error by up to a third (docs/measured.md). Unpaired
    data, classes and targets of another pixel size are not changed: nothing is measured there.

    Raises:
        RasterFileError: A `chips.gpkg` cannot be read.
    """
    if not card.paired or card.source.classes is not None or card.factor != 1:
        return "none"
    scenes = {name for name in scenes_of(chips) if name is not None}
    return "light" if len(scenes) > 1 else "none"


@dataclass(frozen=True)
class Radiometry:
    """Random gamma, gain and offset of scaled sources, partly shared by the bands.

    A value is taken from -1..1 to 0..1, raised to the power of gamma (with its sign), multiplied by
    the gain and shifted by the offset. Bands in decibels are shifted alone: a gain of the measured
    power is an offset there.
    """

    gamma: tuple[float, ...]
    """Standard deviation for each band, as in `Strength`."""
    gain: tuple[float, ...]
    offset: tuple[float, ...]

    @classmethod
    def of(cls, augment: Augment, side: Side) -> Radiometry | None:
        """Return the changes of a strength for a side; None for "none".

        Bands are in decibels if the scaling makes them so, or if their unit says so.
        """
        if augment == "none":
            return None
        strength = STRENGTHS[augment]
        decibels = _in_decibels(side)
        return cls(
            tuple(0.0 if size else strength.gamma for size in decibels),
            tuple(0.0 if size else strength.gain for size in decibels),
            tuple(size * strength.decibels or strength.offset for size in decibels),
        )

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal digits, by which trainings with other changes are told apart."""
        return sha256(np.array((self.gamma, self.gain, self.offset)).tobytes()).hexdigest()

    def __call__(self, source: Tensor) -> Tensor:
        """Change a source `(bands, rows, cols)` in -1..1."""
        if torch.rand(()) >= SHARE:
            return source
        common, own = torch.randn(3, 1), torch.randn(3, len(source))
        drawn = math.sqrt(COMMON) * common + math.sqrt(1 - COMMON) * own
        sizes = torch.tensor((self.gamma, self.gain, self.offset))
        changes = (drawn * sizes)[..., None, None]
        gamma, gain, offset = changes[0].exp(), changes[1].exp(), changes[2]
        levels = (source + 1) / 2
        if any(self.gamma):
            levels = levels.sign() * levels.abs() ** gamma
        return (levels * gain + offset) * 2 - 1


def _in_decibels(side: Side) -> tuple[float, ...]:
    """Return the share of the range that 1 dB takes for each band; 0 for bands in other units."""
    units = side.band_facts.units or ("",) * side.bands
    shares = []
    for knots, unit, floor in zip(side.scaling.knots, units, side.scaling.floors, strict=True):
        low, high = np.interp((-0.5, 0.5), side.scaling.levels, knots)
        known = floor is not None or unit.strip().lower() == "db"
        shares.append(0.5 / (high - low) if known else 0.0)
    return tuple(map(float, shares))


@dataclass(frozen=True, eq=False)
class Exchange:
    """Histogram exchange: a source takes the quantiles of another scene, by a random share.

    The quantiles of the source's own scene are mapped to those of the other one, so that what is
    dark or bright in the one scene is as dark or bright as in the other. See Yaras et al. 2024
    (arXiv:2104.14032), "randomized histogram matching".
    """

    numbers: tuple[int, ...]
    """Number of the scene of each training source in `scenes`; -1 for sources left as they are."""
    scenes: tuple[NDArray[np.float64], ...]
    """Scaled quantiles `(bands, levels)` of training scenes."""
    looks: tuple[NDArray[np.float64], ...]
    """Scaled quantiles of the scenes to look like."""

    @classmethod
    def of(
        cls, look_like: Sequence[str | Composite], chips: Sequence[Chip], side: Side
    ) -> Exchange | None:
        """Return the exchange of training sources; None if there is no scene to look like.

        Args:
            look_like: Rasters, or "training" for the scenes of the chips.
            chips: Sources of the training, in the order of the items.
            side: Description of the source.

        Raises:
            RasterFileError: A raster cannot be read.
            InvalidInputError: A raster has other bands or no valid pixel, or "training" is given
                and the chips are of one scene.
        """
        if not look_like:
            return None
        numbers, scenes = _training_scenes(chips)
        looks = [quantiles_of_raster(path, side) for path in look_like if path != TRAINING]
        if TRAINING in look_like:
            if len(scenes) < 2:
                raise InvalidInputError(
                    "look_like is 'training', but the chips are not known to be of several scenes; "
                    "export them from several scenes at once, or name other scenes to look like."
                )
            looks += scenes
        scaled = [tuple(_scaled(each, side) for each in group) for group in (scenes, looks)]
        return cls(numbers, scaled[0], scaled[1])

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal digits, by which trainings with other scenes are told apart."""
        return sha256(b"".join(look.tobytes() for look in (*self.scenes, *self.looks))).hexdigest()

    def __call__(self, source: Tensor, item: int) -> Tensor:
        """Change the source `(bands, rows, cols)` of a training item, in -1..1."""
        look = int(torch.randint(len(self.looks), ()))
        changed, share = torch.rand(2).tolist()
        if self.numbers[item] < 0 or changed >= SHARE:
            return source
        other = QuantileMap.of(self.scenes[self.numbers[item]], self.looks[look])
        return source + share * (torch.from_numpy(other(source.numpy())) - source)


def _training_scenes(chips: Sequence[Chip]) -> tuple[tuple[int, ...], list[Quantiles]]:
    """Return the number of each chip's scene, and the quantiles of the scenes.

    Chips of unknown scenes are one scene.
    """
    names = scenes_of(chips)
    known = sorted(set(names), key=str)
    used = [known[i * len(known) // MOST_SCENES] for i in range(MOST_SCENES)]
    used = list(dict.fromkeys(used)) if len(known) > MOST_SCENES else known
    scenes: list[Quantiles] = []
    numbers: dict[str | None, int] = {}
    for name in used:
        of_it = [chip for chip, scene in zip(chips, names, strict=True) if scene == name]
        found = quantiles_of(of_it)
        if found is not None:
            numbers[name] = len(scenes)
            scenes.append(found)
    return tuple(numbers.get(name, -1) for name in names), scenes


def _scaled(quantiles: Quantiles, side: Side) -> NDArray[np.float64]:
    return side.scaling.scale(quantiles.array[:, None, :])[:, 0].astype(np.float64)
