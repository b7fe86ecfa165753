"""The data card: facts of the training data that a model keeps."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

from rasterio.crs import CRS

from geotranslate.checks import shown
from geotranslate.chips.bands.classes import Classes
from geotranslate.chips.bands.layerclasses import MOST_NUMBERS, NUMBER, BandClasses
from geotranslate.chips.bands.quantiles import Quantiles
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.errors import InvalidInputError
from geotranslate.raster.bandfacts import BandFacts
from geotranslate.raster.factor import parsed_factor
from geotranslate.raster.stack import VALID
from geotranslate.schema import (
    Fields,
    Json,
    Later,
    any_number,
    anything,
    one_of,
    optional,
    real,
    record,
    several,
    table,
    text,
    truth,
    whole,
)

Direction = Literal["AtoB", "BtoA"]
"""From source to target, or back."""
SOURCE_PREFIX, TARGET_PREFIX = "source/", "target/"
"""Prefixes of chip names for sides without pairs."""
DTYPES = (
    *("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64"),
)
"""Dtypes of chips."""
MOST_BANDS = 65_535
"""Largest number of bands of a TIFF."""
MOST_PIXELS = 2**14
"""Longest side of a chip."""
PIXEL_SIZES = ("ground_size", "resize_ratio", "target_ground_size", "target_resize_ratio")
"""Sizes in a data card that are written only if they are known."""
CRS_TEXT = re.compile(r"|[A-Za-z]{2,20}:[A-Za-z0-9_.-]{1,40}|[A-Z_]+\[.*", re.DOTALL)
"""Empty, the code of an authority, or WKT: GDAL would open other text as a file or URL."""


def crs_text(name: str, value: Any) -> str:
    """Check the text of a CRS, which is a code such as EPSG:32633, WKT or empty, and return it.

    Raises:
        InvalidInputError: It is something else.
    """
    if not CRS_TEXT.fullmatch(text(name, value)):
        raise InvalidInputError(
            f"{name} is {shown(value)}; give a code such as EPSG:32633, or WKT."
        )
    return str(value)


def parsed_crs(written: str) -> CRS:
    """Return the CRS of a `crs_text` without opening a file or URL.

    Raises:
        CRSError: The installed PROJ does not know it.
    """
    if "[" in written:
        return CRS.from_wkt(written)
    authority, _, code = written.partition(":")
    return CRS.from_authority(authority, code)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a translation: its bands, their values and its scaling."""

    bands: int
    dtype: str
    nodata: float | None
    band_names: tuple[str, ...]
    indexes: tuple[int, ...]
    """Bands of the files in use, by number from 1."""
    file_bands: int
    """Number of bands in the files, without alpha."""
    classes: Classes | None
    """The classes; None for quantities."""
    mean: tuple[float, ...]
    scaling: Scaling
    band_facts: BandFacts = field(default_factory=BandFacts)
    """Scale, offset, unit and color of the bands."""
    extent: tuple[tuple[float, float], ...] | None = None
    """Smallest and largest valid value of every band in training; None if unknown."""

    median: tuple[float, ...] | None = None
    """Median of every band in training; None if unknown."""
    quantiles: Quantiles | None = None
    """Quantiles of every band in a sample of training chips; None for classes and if unknown."""
    class_bands: BandClasses | None = None
    """Class numbers of every band, empty for bands of quantities, where layers of a stack hold
    classes beside others; None without such layers."""

    @property
    def is_picture(self) -> bool:
        """Whether the values are colors or classes rather than measurements.

        Three bands of uint8 count as a picture or a rendered map.
        """
        return self.classes is not None or (self.dtype == "uint8" and self.bands == 3)

    @property
    def kind(self) -> str:
        """Kind of the values, in words for messages."""
        if self.classes is not None:
            return "classes"
        return "a picture" if self.is_picture else "measurements"

    @property
    def validity_bands(self) -> tuple[int, ...]:
        """Positions of the bands that tell where a layer is valid, such as `s1:valid`."""
        return tuple(i for i, name in enumerate(self.band_names) if name.endswith(f":{VALID}"))

    @property
    def categorical_bands(self) -> tuple[int, ...]:
        """Positions of the bands that hold classes."""
        if self.classes is not None:
            return tuple(range(self.bands))
        return tuple(i for i, numbers in enumerate(self.class_bands or ()) if numbers)

    @property
    def fixed_bands(self) -> tuple[int, ...]:
        """Positions of the bands without brightness, which are those of validity and of classes."""
        return tuple(sorted({*self.validity_bands, *self.categorical_bands}))

    def distances(self, found: Quantiles) -> tuple[float, ...] | None:
        """Return the distances of quantiles from those of training; None if these are unknown.

        There is one for each band but those of validity, because a scene may lack layers that no
        training chip lacks, and those of classes.
        """
        if self.quantiles is None:
            return None
        each = enumerate(self.quantiles.distances(found))
        return tuple(far for band, far in each if band not in self.fixed_bands)

    @property
    def limits(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Smallest and largest values of the bands, else the values scaled to -1 and 1."""
        if self.extent is None or self.scaling.bounded:
            return self.scaling.low, self.scaling.high
        low, high = zip(*self.extent, strict=True)
        return low, high

    @property
    def class_numbers(self) -> tuple[int, ...]:
        """Sorted class numbers: those in the chips, or in the color table if there are many.

        Empty for quantities, and if the classes are unknown. A nodata value with a color is not a
        class.
        """
        if self.classes is None or self.classes.values:
            return () if self.classes is None else self.classes.values
        return tuple(sorted({row[0] for row in self.classes.colors or ()} - {self.nodata}))

    @property
    def fill(self) -> tuple[float, ...]:
        """Values that replace invalid source pixels, in their units.

        The mean of every band; for classes a number that is neither a class nor has a color.
        """
        if self.class_bands is not None:
            each = zip(self.mean, self.class_bands, strict=True)
            return tuple(float(max(numbers) + 1) if numbers else mean for mean, numbers in each)
        if self.classes is None or not self.class_numbers:
            return self.mean
        taken = {row[0] for row in self.classes.colors or ()}
        beyond = itertools.count(self.class_numbers[-1] + 1)
        return (float(next(number for number in beyond if number not in taken)),)

    def scaled_like(self, other: Side) -> Side:
        """Return the side with the scaling, fill values and classes of another one.

        The extent covers the values of both.
        """
        extent = other.extent if self.extent is None else self.extent
        if self.extent is not None and other.extent is not None:
            extent = tuple(
                (min(mine[0], theirs[0]), max(mine[1], theirs[1]))
                for mine, theirs in zip(self.extent, other.extent, strict=True)
            )
        return replace(
            self,
            classes=other.classes,
            class_bands=other.class_bands,
            mean=other.mean,
            scaling=other.scaling,
            extent=extent,
        )

    def to_json(self) -> Json:
        """Return plain values; NaN, which JSON lacks, as the string "nan"."""
        nodata = "nan" if self.nodata is not None and math.isnan(self.nodata) else self.nodata
        found = asdict(replace(self, quantiles=None)) | {
            "nodata": nodata,
            "classes": None if self.classes is None else self.classes.to_json(),
            "scaling": self.scaling.to_json(),
            "band_facts": self.band_facts.to_json(),
        }
        # Left out where they are unknown, so that the card of an earlier model stays the same.
        del found["quantiles"]
        if self.class_bands is None:
            del found["class_bands"]
        return found if self.quantiles is None else found | {"quantiles": self.quantiles.to_json()}

    @classmethod
    def from_json(cls, values: Json, name: str = "side") -> Side:
        """Rebuild a side from `to_json`.

        Args:
            values: The plain values.
            name: What sentences call them.

        Raises:
            InvalidInputError: A value is of another type or out of its range, or they do not fit
                each other.
        """
        side = cls(**record(SIDE)(name, values))
        facts = BandFacts.from_json(values["band_facts"], side.bands)
        each = (
            side.mean,
            side.indexes,
            side.band_names,
            side.scaling.knots,
            side.extent,
            side.median,
            None if side.quantiles is None else side.quantiles.values,
            side.class_bands,
        )
        if {len(one) for one in each if one is not None} != {side.bands}:
            raise InvalidInputError(
                f"{name} has means, indexes, names, scalings, extents, medians, quantiles and "
                f"classes that are not those of {side.bands} band{'s' if side.bands != 1 else ''}."
            )
        return replace(side, band_facts=facts)


def _extent(name: str, value: Any) -> tuple[float, ...]:
    low, high = several(real(), 2, 2)(name, value)
    if low > high:
        raise InvalidInputError(f"{name} is from {low:g} to {high:g}; give the smaller one first.")
    return low, high


SIDE: Fields = {
    "bands": whole(1, MOST_BANDS),
    "dtype": one_of(DTYPES),
    "nodata": optional(any_number),
    "band_names": several(text),
    "indexes": several(whole(1, MOST_BANDS)),
    "file_bands": whole(1, MOST_BANDS),
    "classes": optional(lambda name, value: Classes.from_json(value, name)),
    "mean": several(real()),
    "scaling": lambda name, value: Scaling.from_json(value, name),
    "band_facts": table(anything),
    "extent": Later(optional(several(_extent)), None),
    "median": Later(optional(several(real())), None),
    "quantiles": Later(optional(lambda name, value: Quantiles.from_json(value, name)), None),
    "class_bands": Later(optional(several(several(NUMBER, most=MOST_NUMBERS))), None),
}
"""Fields of a side in JSON."""


@dataclass(frozen=True, slots=True)
class DataCard:
    """The data card: both sides, and the size, place and split of the chips."""

    source: Side
    target: Side
    chip_size: int
    resize_to: int | None
    """Side to which chips were resampled before cropping; None if they were not."""
    crs: str | None
    resolution: tuple[float, float] | None
    """Pixel size in CRS units; None for chips without georeference."""
    train_pairs: tuple[str, ...]
    """Names of pairs; for sides without pairs names of chips, after `source/` or `target/`."""
    validation_pairs: tuple[str, ...]
    seed: int
    paired: bool = True
    """Whether a training source and its target show one place."""
    target_crs: str | None = None
    """CRS of the target chips, "" for none; None if it is the CRS of the source chips."""
    target_resolution: tuple[float, float] | None = None
    """Pixel size of the target chips, if they have a CRS of their own."""
    ground_size: tuple[float, float] | None = None
    """Sides of a pixel in training along rows and columns, meters on the ground; None if they are
    unknown or differ from chip to chip."""
    resize_ratio: tuple[float, float] | None = None
    """Pixels in training for each pixel of the chips, along rows and along columns; None without
    `resize_to`, or if it differs from chip to chip."""
    target_ground_size: tuple[float, float] | None = None
    """The same for the target chips without pairs."""
    target_resize_ratio: tuple[float, float] | None = None
    """The same for the target chips without pairs."""
    factor: Fraction = Fraction(1)
    """Target pixels per source pixel along an axis: a whole number, or 1 divided by one."""
    footprint: tuple[float, float, float, float] | None = None
    """West, south, east and north of the training chips, degrees, west larger than east across the
    180th meridian; None for chips without georeference, and in cards of earlier versions."""

    @property
    def target_size(self) -> int:
        """Side of the target's tensors, px; that of the source's is `chip_size`."""
        return int(self.chip_size * self.factor)

    def reversed(self) -> DataCard:
        """Return the card of the reverse direction, with source and target swapped.

        Reversing twice gives the same card again.
        """
        turned = replace(
            self,
            source=self.target,
            target=self.source,
            factor=1 / self.factor,
            chip_size=self.target_size,
        )
        if self.target_crs is None:
            return turned
        return replace(
            turned,
            crs=self.target_crs or None,
            resolution=self.target_resolution,
            target_crs=self.crs or "",
            target_resolution=self.resolution,
            ground_size=self.target_ground_size,
            resize_ratio=self.target_resize_ratio,
            target_ground_size=self.ground_size,
            target_resize_ratio=self.resize_ratio,
            train_pairs=_turned(self.train_pairs),
            validation_pairs=_turned(self.validation_pairs),
        )

    def to_json(self) -> Json:
        """Return plain values for a JSON file."""
        values = asdict(self) | {
            "source": self.source.to_json(),
            "target": self.target.to_json(),
            "factor": None if self.factor == 1 else str(self.factor),
        }
        # Cards without these entries stay as they were written.
        return {
            name: value
            for name, value in values.items()
            if value is not None or name not in (*PIXEL_SIZES, "factor", "footprint")
        }

    @classmethod
    def from_json(cls, values: Json, name: str = "data") -> DataCard:
        """Rebuild a data card from `to_json`.

        Args:
            values: The plain values.
            name: What sentences call them.

        Raises:
            InvalidInputError: A value is of another type or out of its range, or they do not fit
                each other.
        """
        return cls(**record(DATA_CARD)(name, values))


def _footprint(name: str, value: Any) -> tuple[float, ...]:
    found = several(real(), 4, 4)(name, value)
    west, south, east, north = found
    if not (-180 <= min(west, east) <= max(west, east) <= 180 and -90 <= south <= north <= 90):
        raise InvalidInputError(
            f"{name} is {shown(list(found))}; give west, south, east and north in degrees."
        )
    return found


_side: Any = lambda name, value: Side.from_json(value, name)  # noqa: E731
_lengths = optional(several(real(above=0), 2, 2))

DATA_CARD: Fields = {
    "source": _side,
    "target": _side,
    "chip_size": whole(1, MOST_PIXELS),
    "resize_to": optional(whole(1, MOST_PIXELS)),
    "crs": optional(crs_text),
    "resolution": _lengths,
    "train_pairs": several(text),
    "validation_pairs": several(text),
    "seed": whole(0, 2**64 - 1),
    "paired": Later(truth, True),
    "target_crs": Later(optional(crs_text), None),
    "target_resolution": Later(_lengths, None),
    **{name: Later(_lengths, None) for name in PIXEL_SIZES},
    "factor": Later(parsed_factor, Fraction(1)),
    "footprint": Later(optional(_footprint), None),
}
"""Fields of a data card in JSON."""


def _turned(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of chips with the sides swapped, sources first."""
    sources = [name for name in names if name.startswith(SOURCE_PREFIX)]
    targets = [name for name in names if not name.startswith(SOURCE_PREFIX)]
    return (
        *(SOURCE_PREFIX + name.removeprefix(TARGET_PREFIX) for name in targets),
        *(TARGET_PREFIX + name.removeprefix(SOURCE_PREFIX) for name in sources),
    )
