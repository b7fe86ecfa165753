"""What a model has to know about the data that it was trained on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from geotranslate.chips.classes import Classes
from geotranslate.chips.scaling import Scaling
from geotranslate.raster.bandfacts import BandFacts

Direction = Literal["AtoB", "BtoA"]
"""From source to target, or back."""
SOURCE_PREFIX, TARGET_PREFIX = "source/", "target/"
"""What names of chips begin with where the sides are no pairs."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a translation: its bands, what they hold, and its scaling."""

    bands: int
    dtype: str
    nodata: float | None
    band_names: tuple[str, ...]
    indexes: tuple[int, ...]
    """Bands of the files that are used, by number from 1."""
    file_bands: int
    """Bands that the files have, alpha aside."""
    classes: Classes | None
    """The classes that the values are; None for quantities."""
    mean: tuple[float, ...]
    scaling: Scaling
    band_facts: BandFacts = field(default_factory=BandFacts)
    """What the files say of the bands' values: scale, offset, unit and colour."""
    extent: tuple[tuple[float, float], ...] | None = None
    """Smallest and largest valid value of every band in training; None where it is not known."""

    median: tuple[float, ...] | None = None
    """Median of every band in training; None where it is not known."""

    @property
    def is_picture(self) -> bool:
        """Whether the values are colors to look at, or classes, and no measurements.

        Three bands of uint8 are taken for a picture or a rendered map.
        """
        return self.classes is not None or (self.dtype == "uint8" and self.bands == 3)

    @property
    def kind(self) -> str:
        """What the values are, as sentences have it."""
        if self.classes is not None:
            return "classes"
        return "a picture" if self.is_picture else "measurements"

    @property
    def limits(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Smallest and largest values of the bands, or those that the scaling maps to -1 and 1."""
        if self.extent is None or self.scaling.bounded:
            return self.scaling.low, self.scaling.high
        low, high = zip(*self.extent, strict=True)
        return low, high

    @property
    def class_numbers(self) -> tuple[int, ...]:
        """The classes, sorted: those seen, or where they are too many those of the colour table.

        Empty for quantities, and where they are not known. A nodata value that has a colour is no
        class.
        """
        if self.classes is None or self.classes.values:
            return () if self.classes is None else self.classes.values
        return tuple(sorted({row[0] for row in self.classes.colours or ()} - {self.nodata}))

    @property
    def fill(self) -> tuple[float, ...]:
        """What a network sees where a source is invalid, in its units.

        The mean of every band; for classes a number that is none and has no colour.
        """
        if self.classes is None or not self.class_numbers:
            return self.mean
        taken = {row[0] for row in self.classes.colours or ()}
        beyond = itertools.count(self.class_numbers[-1] + 1)
        return (float(next(number for number in beyond if number not in taken)),)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; NaN, which JSON lacks, as the string "nan"."""
        nodata = "nan" if self.nodata is not None and math.isnan(self.nodata) else self.nodata
        return asdict(self) | {
            "nodata": nodata,
            "classes": None if self.classes is None else self.classes.to_json(),
            "scaling": self.scaling.to_json(),
            "band_facts": self.band_facts.to_json(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Side:
        """Rebuild a side from `to_json`.

        Raises:
            ValueError: The values do not fit each other.
        """
        nodata, classes = values["nodata"], values["classes"]
        side = cls(
            bands=int(values["bands"]),
            dtype=str(values["dtype"]),
            nodata=None if nodata is None else float(nodata),
            band_names=tuple(values["band_names"]),
            indexes=tuple(values["indexes"]),
            file_bands=int(values["file_bands"]),
            classes=None if classes is None else Classes.from_json(classes),
            mean=tuple(values["mean"]),
            scaling=Scaling.from_json(values["scaling"]),
            band_facts=BandFacts.from_json(values["band_facts"], int(values["bands"])),
            extent=_extent(values.get("extent")),
            median=_numbers(values.get("median")),
        )
        np.dtype(side.dtype)
        if {len(side.mean), len(side.indexes), len(side.scaling.knots)} != {side.bands}:
            raise ValueError(f"means, indexes and scalings are not those of {side.bands} bands")
        return side


@dataclass(frozen=True, slots=True)
class DataCard:
    """Both sides, and how the chips were cut and split."""

    source: Side
    target: Side
    chip_size: int
    resize_to: int | None
    """Side that chips were resampled to before they were cropped; None for as they are."""
    crs: str | None
    resolution: tuple[float, float] | None
    """Pixel size in CRS units; None for chips without georeference."""
    train_pairs: tuple[str, ...]
    """Names of pairs; of sides that are no pairs those of chips, after `source/` or `target/`."""
    validation_pairs: tuple[str, ...]
    seed: int
    paired: bool = True
    """Whether a training source and its target show one place."""
    target_crs: str | None = None
    """CRS of the target chips, "" for none; None where they lie as the source chips do."""
    target_resolution: tuple[float, float] | None = None
    """Pixel size of the target chips, where they have a CRS of their own."""

    def reversed(self) -> DataCard:
        """Return the card of the way back: what was the source is the target.

        The way back of that one is this one again.
        """
        turned = replace(self, source=self.target, target=self.source)
        if self.target_crs is None:
            return turned
        return replace(
            turned,
            crs=self.target_crs or None,
            resolution=self.target_resolution,
            target_crs=self.crs or "",
            target_resolution=self.resolution,
            train_pairs=_turned(self.train_pairs),
            validation_pairs=_turned(self.validation_pairs),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        return asdict(self) | {"source": self.source.to_json(), "target": self.target.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> DataCard:
        """Rebuild a data card from `to_json`."""
        return cls(
            source=Side.from_json(values["source"]),
            target=Side.from_json(values["target"]),
            chip_size=int(values["chip_size"]),
            resize_to=values["resize_to"],
            crs=values["crs"],
            resolution=_lengths(values["resolution"]),
            train_pairs=tuple(values["train_pairs"]),
            validation_pairs=tuple(values["validation_pairs"]),
            seed=int(values["seed"]),
            paired=bool(values.get("paired", True)),
            target_crs=values.get("target_crs"),
            target_resolution=_lengths(values.get("target_resolution")),
        )


def _extent(values: Sequence[Sequence[float]] | None) -> tuple[tuple[float, float], ...] | None:
    return None if values is None else tuple((float(low), float(high)) for low, high in values)


def _numbers(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(map(float, values))


def _lengths(values: Sequence[float] | None) -> tuple[float, float] | None:
    return None if values is None else (values[0], values[1])


def _turned(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of chips with the sides changed over, those of sources first."""
    sources = [name for name in names if name.startswith(SOURCE_PREFIX)]
    targets = [name for name in names if not name.startswith(SOURCE_PREFIX)]
    return (
        *(SOURCE_PREFIX + name.removeprefix(TARGET_PREFIX) for name in targets),
        *(TARGET_PREFIX + name.removeprefix(SOURCE_PREFIX) for name in sources),
    )
