"""Describe the two sides of the data, and say what a translator cannot do with them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from geotranslate.chips.chip import Chip
from geotranslate.chips.classes import classes_of
from geotranslate.chips.datacard import Side
from geotranslate.chips.scaling import ScalingKind, make_scaling
from geotranslate.chips.statistics import Statistics
from geotranslate.errors import GeotranslateWarning


def describe(
    name: str,
    chips: Sequence[Chip],
    training: Sequence[int],
    scaling: ScalingKind,
    classes: bool | None,
) -> Side:
    """Return what a model has to know of a side; warn where its nodata values or units differ.

    Args:
        name: "source" or "target".
        chips: All chips of the side, which tell whether its values are classes.
        training: Positions of those to train on, which alone give means and scaling.
        scaling: Kind of scaling.
        classes: Whether the values are classes; None to find out.

    Raises:
        InvalidInputError: Classes or scaling are not possible with these chips.
    """
    first = chips[training[0]]
    total = Statistics.total([chips[i].statistics for i in training], first.bands)
    found = classes_of(name, classes, [chip.classes for chip in chips], first.bands)
    _warn_of_measures(name, [first, *chips])
    return Side(
        bands=first.bands,
        dtype=first.dtype,
        nodata=_nodata(name, [first, *chips]),
        band_names=first.band_names,
        indexes=first.indexes,
        file_bands=first.file_bands,
        classes=found,
        mean=tuple(map(float, total.mean)),
        scaling=make_scaling(scaling, total, first.dtype, classes=found is not None),
        band_facts=first.band_facts,
    )


def _nodata(name: str, chips: Sequence[Chip]) -> float | None:
    """Return the first nodata value there is."""
    # As text, because NaN is not equal to itself. Chips without any may have a mask instead.
    values = {f"{chip.nodata:.9g}": chip.nodata for chip in chips if chip.nodata is not None}
    if len(values) > 1:
        warnings.warn(
            f"The {name} chips differ in their nodata value ({', '.join(values)}): each chip is "
            f"read by its own, but the model keeps {next(iter(values))} alone. Export them again "
            "from rasters with one nodata value.",
            GeotranslateWarning,
            stacklevel=4,
        )
    return next(iter(values.values()), None)


def _warn_of_measures(name: str, chips: Sequence[Chip]) -> None:
    """Say it where equal stored values mean different measured ones."""
    measures = list(dict.fromkeys(chip.band_facts.measure for chip in chips))
    if len(measures) > 1:
        shown = (
            ", ".join(
                f"{noun} {', '.join(map(str, dict.fromkeys(values)))}"
                for noun, values in zip(("scale", "offset", "unit"), measure, strict=True)
                if values
            )
            for measure in measures[:2]
        )
        warnings.warn(
            f"The {name} chips differ in scale, offset or unit "
            f"({' / '.join(text or 'none' for text in shown)}), but their stored values are taken "
            "as they are. Bring their rasters to one scale and export them again.",
            GeotranslateWarning,
            stacklevel=4,
        )


def warn_of_target(target: Side, scaling: ScalingKind, training: Sequence[Chip]) -> None:
    """Say what a translator cannot do with such a target.

    Args:
        target: The side.
        scaling: Kind of its scaling.
        training: Its chips that are trained on.
    """
    # Between two classes there is no third one that a mixture could be taken for.
    if target.classes is not None and len(target.classes.values) not in (1, 2):
        warnings.warn(
            f"The target's values are taken for {target.classes.count}, which a translator mixes "
            "as if they were quantities. Give a target that shows them in colours (gdal_translate "
            "-expand rgb, where there is a colour table), or pass target_classes=False if they "
            "are quantities.",
            GeotranslateWarning,
            stacklevel=3,
        )
    total = Statistics.total([chip.statistics for chip in training], target.bands)
    low, high = target.scaling.low, target.scaling.high
    if (total.minimum < low).any() or (total.maximum > high).any():
        warnings.warn(
            f"target_scaling={scaling!r} maps some training values beyond -1..1, which a "
            "translator cannot reach: its output is clipped there. target_scaling='auto' clips "
            "nothing.",
            GeotranslateWarning,
            stacklevel=3,
        )
