"""Scale, offset, unit and color interpretation of bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from geotranslate.errors import InvalidInputError
from geotranslate.schema import Fields, any_number, one_of, record, several, text


@dataclass(frozen=True, slots=True)
class BandFacts:
    """Scales, offsets, units and color interpretations, one a band or none.

    Values stay as they are stored: nothing here is applied to them.
    """

    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    """Names of rasterio's `ColorInterp`; "gray" for "palette", without its color table."""

    @classmethod
    def of(cls, dataset: DatasetReader, indexes: Sequence[int]) -> BandFacts:
        """Read the facts of some bands of a dataset, by number from 1."""
        scales, offsets, units, colors = (
            tuple(facts[index - 1] for index in indexes)
            for facts in (dataset.scales, dataset.offsets, dataset.units, dataset.colorinterp)
        )
        return cls(
            scales if set(scales) != {1.0} else (),
            offsets if set(offsets) != {0.0} else (),
            tuple(unit or "" for unit in units) if any(units) else (),
            tuple("gray" if color is ColorInterp.palette else color.name for color in colors),
        )

    @property
    def is_rgb(self) -> bool:
        """Whether the first three bands are red, green and blue."""
        return self.colors[:3] == ("red", "green", "blue")

    @property
    def measure(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[str, ...]]:
        """Scales, offsets and units, which turn stored values into measured ones."""
        return self.scales, self.offsets, self.units

    def with_deviation(self) -> BandFacts:
        """Return the facts with a further band for the deviation of the others."""
        scales, units = set(self.scales), set(self.units)
        return BandFacts(
            (*self.scales, scales.pop() if len(scales) == 1 else 1.0) if scales else (),
            (*self.offsets, 0.0) if self.offsets else (),
            (*self.units, units.pop() if len(units) == 1 else "") if units else (),
            (*self.colors, "undefined") if self.colors else (),
        )

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any], bands: int, name: str = "band_facts") -> BandFacts:
        """Return the facts that `to_json` was called on.

        Args:
            values: JSON values.
            bands: Number of bands.
            name: Name of the facts in error sentences.

        Raises:
            InvalidInputError: There is another number of bands, or an unknown color.
        """
        facts = cls(**record(BAND_FACTS)(name, values))
        if any(len(each) not in (0, bands) for each in (*facts.measure, facts.colors)):
            raise InvalidInputError(
                f"{name} has scales, offsets, units or colors that are not those of {bands} bands."
            )
        return facts


BAND_FACTS: Fields = {
    "scales": several(any_number),
    "offsets": several(any_number),
    "units": several(text),
    "colors": several(one_of(ColorInterp.__members__)),
}
"""Schema of the facts in JSON."""
