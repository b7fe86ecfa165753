"""Classes of single layers of a stack, beside layers of quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import class_list, shown
from geotranslate.errors import InvalidInputError, warn
from geotranslate.raster.stack import VALID
from geotranslate.schema import several, whole

ClassesLike: TypeAlias = "bool | Mapping[str, Sequence[int]] | None"
"""Whether a side holds classes, None to find out, or the class numbers of layers by their names."""
BandClasses = tuple[tuple[int, ...], ...]
"""Class numbers of every band, empty for quantities."""

MOST_NUMBERS = 256
"""Most classes of a band, as many as a byte has values."""
LARGEST = 2**24 - 2
"""Largest class number; float32 still represents the numbers around it exactly."""

NUMBER = whole(-LARGEST, LARGEST)


def band_classes(wanted: ClassesLike, band_names: Sequence[str]) -> BandClasses | None:
    """Return the class numbers of every band, in the given order; None unless layers are named.

    Args:
        wanted: Option `source_classes`.
        band_names: Names of the bands, such as `lulc:1`.

    Raises:
        InvalidInputError: There is no such layer, or its numbers are not different whole numbers.
    """
    if not isinstance(wanted, Mapping):
        return None
    layers = [name.partition(":")[0] if ":" in name else "" for name in band_names]
    known = list(dict.fromkeys(layer for layer in layers if layer))
    numbers = {layer: _numbers(layer, given) for layer, given in wanted.items()}
    for layer in numbers:
        if layer not in known:
            has = f"the layers {', '.join(known)}" if known else "no layers"
            raise InvalidInputError(
                f"source_classes has the layer {shown(layer)}, but the source has {has}; give the "
                "names of layers of a stack."
            )
    return tuple(
        () if name.endswith(f":{VALID}") else numbers.get(layer, ())
        for name, layer in zip(band_names, layers, strict=True)
    )


def _numbers(layer: Any, given: Any) -> tuple[int, ...]:
    name = f"source_classes[{shown(layer)}]"
    # A range or an array of numpy is as good as a list.
    values = given.tolist() if isinstance(given, np.ndarray) else given
    values = list(values[: MOST_NUMBERS + 1]) if isinstance(values, range) else values
    found: tuple[int, ...] = several(NUMBER, 1, MOST_NUMBERS)(name, values)
    if len(set(found)) < len(found):
        raise InvalidInputError(f"{name} is {shown(given)}; give each class number once.")
    return found


def check_band_classes(
    classes: BandClasses, band_names: Sequence[str], samples: Sequence[NDArray[Any]]
) -> None:
    """Compare class numbers with pixels of the training chips, and warn of other values.

    Args:
        classes: Class numbers of every band.
        band_names: Names of the bands.
        samples: Values of some valid pixels of every band.

    Raises:
        InvalidInputError: A band holds none of its classes.
    """
    for name, numbers, values in zip(band_names, classes, samples, strict=True):
        if not numbers or not len(values):
            continue
        held = np.unique(values).tolist()
        other = [value for value in held if value not in numbers]
        if len(other) == len(held):
            raise InvalidInputError(
                f"The band {name} of the source holds {class_list(held)}, which are none of the "
                f"classes {class_list(numbers)} that source_classes gives its layer; give the "
                "numbers that it holds."
            )
        # Where a layer with a band of validity is missing, it holds a number that is no class.
        if other and f"{name.partition(':')[0]}:{VALID}" not in band_names:
            warn(
                f"The band {name} of the source holds {class_list(other)}, which source_classes "
                "does not list: such pixels are of no class. Add these numbers if they are "
                "classes; decimals come from a stack that resamples the layer otherwise than by "
                "'nearest'."
            )
