"""Scalings of the layers of a stack, joined to one scaling of all bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, get_args

from geotranslate.checks import choice, shown
from geotranslate.chips.bands.layerclasses import BandClasses
from geotranslate.chips.bands.scaling import Scaling, ScalingKind, make_scaling
from geotranslate.chips.bands.statistics import Statistics
from geotranslate.errors import InvalidInputError
from geotranslate.raster.stack import VALID

ScalingLike: TypeAlias = "ScalingKind | Mapping[str, ScalingKind]"
"""Kind of scaling, of all bands or of the layers of a stack by their names."""


def check_scaling(name: str, value: Any) -> None:
    """Check a kind of scaling, or kinds by layer.

    Raises:
        InvalidInputError: It is something else.
    """
    if not isinstance(value, Mapping):
        choice(name, value, get_args(ScalingKind))
        return
    for layer, kind in value.items():
        choice(f"{name}[{layer!r}]", kind, get_args(ScalingKind))


def scaling_of(
    name: str,
    kinds: ScalingLike,
    statistics: Statistics,
    dtype: str,
    band_names: Sequence[str],
    *,
    classes: bool,
    class_bands: BandClasses | None = None,
) -> Scaling:
    """Choose the scaling of a side whose bands may be those of layers.

    Layers that are not named have the scaling "auto", and so have layers of classes if there is one
    kind for all. Bands that tell where a layer is valid are
    mapped from 0..1 to -1..1.

    Args:
        name: "source" or "target".
        kinds: Kind of scaling, or kinds by layer.
        statistics: Statistics of the side's training chips.
        dtype: Dtype of its files.
        band_names: Names of the bands, such as `s1:VV`.
        classes: Whether its values are classes.
        class_bands: Class numbers of every band, if some layers are classes.

    Raises:
        InvalidInputError: There is no such layer, or as `make_scaling`.
    """
    layers = [band.partition(":")[0] if ":" in band else "" for band in band_names]
    if isinstance(kinds, Mapping):
        _check_layers(name, kinds, layers)
    places: dict[tuple[str, bool], list[int]] = {}
    for band, layer in enumerate(layers):
        listed = bool(class_bands and class_bands[band])
        # A kind for all bands is meant for quantities: decibels would merge classes.
        kind = kinds.get(layer, "auto") if isinstance(kinds, Mapping) else kinds
        kind = "auto" if listed and not isinstance(kinds, Mapping) else kind
        validity = band_names[band].endswith(f":{VALID}")
        places.setdefault((VALID if validity else kind, classes or listed), []).append(band)
    parts = []
    for (own, held), bands in places.items():
        chosen: Any = own
        some = statistics.of_bands(bands)
        if own == VALID:
            parts.append(Scaling.linear([0.0] * len(bands), [1.0] * len(bands)))
            continue
        try:
            parts.append(make_scaling(chosen, some, dtype, classes=held, target=name == "target"))
        except InvalidInputError as error:
            if len(places) == 1:
                raise
            named = ", ".join(band_names[band] for band in bands)
            raise InvalidInputError(f"Of the bands {named} of the {name}: {error}") from error
    return parts[0] if len(parts) == 1 else Scaling.joined(list(places.values()), parts)


def _check_layers(name: str, kinds: Mapping[str, Any], layers: Sequence[str]) -> None:
    known = [layer for layer in dict.fromkeys(layers) if layer]
    for layer in kinds:
        if layer not in known:
            has = f"the layers {', '.join(known)}" if known else "no layers"
            raise InvalidInputError(
                f"{name}_scaling has the layer {shown(layer)}, but the {name} has {has}; give the "
                "names of layers of a stack, or one scaling for all bands."
            )
