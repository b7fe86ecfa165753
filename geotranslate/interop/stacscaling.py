"""Scalings as the machine-learning-model extension of STAC has them: by numbers or in numpy."""

from __future__ import annotations

from collections.abc import Sequence

from geotranslate.chips.bands.scaling import Scaling
from geotranslate.schema import Json


def value_scaling(scaling: Scaling) -> list[Json]:
    """Return the `value_scaling` of an input, an entry for each band, or one for all if equal.

    A line to -1..1 is a z-score with half the range as its deviation. Other scalings are numpy
    expressions of the values `x` of the band, which do not continue beyond the outer knots.
    """
    found = [
        _zscore(band, scaling.levels)
        if floor is None and len(band) == 2
        else {"type": "processing", **_python(_scaled(band, scaling.levels, floor))}
        for band, floor in zip(scaling.knots, scaling.floors, strict=True)
    ]
    return found[:1] if all(entry == found[0] for entry in found) else found


def inverse(scaling: Scaling) -> Json:
    """Return the `post_processing_function` that brings an output `x` back to units.

    `x` has the bands as its first axis.
    """
    bands = [
        _unscaled(band, scaling.levels, floor is not None)
        for band, floor in zip(scaling.knots, scaling.floors, strict=True)
    ]
    if all(band == bands[0] for band in bands):
        return _python(bands[0].replace("x[k]", "x"))
    each = (band.replace("x[k]", f"x[{number}]") for number, band in enumerate(bands))
    return _python(f"numpy.stack([{', '.join(each)}])")


def _zscore(knots: Sequence[float], levels: Sequence[float]) -> Json:
    slope = (knots[1] - knots[0]) / (levels[1] - levels[0])
    return {"type": "z-score", "mean": knots[0] - levels[0] * slope, "stddev": slope}


def _scaled(knots: Sequence[float], levels: Sequence[float], floor: float | None) -> str:
    value = "x" if floor is None else f"10 * numpy.log10(numpy.maximum(x, {floor!r}))"
    return f"numpy.interp({value}, {list(knots)}, {list(levels)})"


def _unscaled(knots: Sequence[float], levels: Sequence[float], logarithmic: bool) -> str:
    if len(knots) == 2:
        slope = (knots[1] - knots[0]) / (levels[1] - levels[0])
        value = f"x[k] * {slope!r} + {knots[0] - levels[0] * slope!r}"
    else:
        value = f"numpy.interp(x[k], {list(levels)}, {list(knots)})"
    return f"10 ** (({value}) / 10)" if logarithmic else value


def _python(expression: str) -> Json:
    return {"format": "python", "expression": expression}
