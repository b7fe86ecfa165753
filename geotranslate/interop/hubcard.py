"""The README of a shared model: its data, measured figures, limits and the lines to use it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geotranslate.chips.bands import DataCard, Side
from geotranslate.metrics import Metrics

MARK = "<!-- Written by geotranslate, which replaces this file. Remove this line to keep it. -->"
"""Line of READMEs that may be replaced."""
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&:@!$^\"=+])")
"""Characters that mean something in Markdown, HTML or links."""
LONGEST = 120
"""Most characters of a name from the card."""
LISTED = 24
"""Most bands that are listed."""
HIDDEN = ("count", "psnr_range", "pixels")
"""Measures that are no figures of quality."""


@dataclass(frozen=True)
class Shared:
    """What a README says about a model."""

    kind: str
    """Name of its class."""
    data: DataCard
    metrics: Metrics
    baselines: Mapping[str, float]
    name: str
    """Its name on the hub, or of its folder."""
    license: str | None = None
    sample: str | None = None
    """File of a picture of validation pairs."""
    files: tuple[str, ...] = ()
    """Other files that are shared."""


def readme(shared: Shared) -> str:
    """Return the README of a model, in Markdown with YAML front matter.

    No name in the card can leave its place: texts are JSON strings in the front matter, and escaped
    in the Markdown.
    """
    parts = (
        _front_matter(shared),
        MARK,
        f"# {markdown(shared.name)}",
        _purpose(shared),
        _use(shared),
        _data(shared.data),
        _measured(shared),
        _limits(shared.data),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str) -> str:
    """Return a text of the card in one line of printable characters, shortened."""
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    found = " ".join(words)
    return found if len(found) <= LONGEST else f"{found[: LONGEST - 1]}…"


def markdown(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return SPECIAL.sub(r"\\\1", plain(text)).replace("www.", r"www\.").replace("://", r":\//")


def _front_matter(shared: Shared) -> str:
    rows: dict[str, Any] = {
        "library_name": "geotranslate",
        "pipeline_tag": "image-to-image",
        "tags": ["geotranslate", "remote-sensing", "geospatial", shared.kind.lower()],
    }
    if shared.license is not None:
        rows["license"] = plain(shared.license)
    figures = _finite(shared.metrics)
    if figures:
        result = {
            "task": {"type": "image-to-image"},
            "dataset": {"type": "geospatial-pairs", "name": "validation pairs"},
            "metrics": [{"type": name, "value": value} for name, value in figures.items()],
        }
        rows["model-index"] = [{"name": plain(shared.name), "results": [result]}]
    # JSON is YAML as well, and its strings end nowhere but at their quotation mark.
    lines = (f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in rows.items())
    return "\n".join(("---", *lines, "---"))


def _purpose(shared: Shared) -> str:
    source, target = shared.data.source, shared.data.target
    return (
        f"A {shared.kind} of geotranslate that translates georeferenced rasters: {_count(source)} "
        f"({source.kind}) into {_count(target)} ({target.kind}), on the same ground."
    )


def _use(shared: Shared) -> str:
    # A name is a Python string here: no quotation mark or backslash may end it.
    name = json.dumps(plain(shared.name), ensure_ascii=True).replace("`", "")
    lines = (
        "import geotranslate",
        f"model = geotranslate.from_pretrained({name})",
        'model.predict_raster("scene.tif", "translated.tif")',
    )
    code = "\n".join(lines)
    found = f"## Use\n\n```python\n{code}\n```\n\nLoading runs no code from the files."
    if "model.onnx" in shared.files:
        found += (
            " `model.onnx` has the scalings inside: values in the units of the bands in and out."
        )
    return found


def _data(card: DataCard) -> str:
    rows = [
        ("bands", _bands(card.source), _bands(card.target)),
        ("dtype", card.source.dtype, card.target.dtype),
        ("nodata", _nodata(card.source), _nodata(card.target)),
        ("values scaled to -1..1", _range(card.source), _range(card.target)),
    ]
    facts = [
        ("chips", f"{card.chip_size} x {card.chip_size} px"),
        ("pairs", f"{len(card.train_pairs)} trained on, {len(card.validation_pairs)} validated on"),
        ("CRS", plain(card.crs or "none")),
        ("pixel size", _pixel_size(card)),
        ("ground of the training", _ground(card)),
    ]
    if not card.paired:
        facts[1] = ("chips of both sides", facts[1][1] + ", without pairs")
    sides = _table([("", "source", "target"), *rows])
    return f"## Data\n\n{sides}\n\n{_table([('training', ''), *facts])}"


def _measured(shared: Shared) -> str:
    figures = _finite(shared.metrics)
    picture = (
        "" if shared.sample is None else f"\n\n![source, translation, target]({shared.sample})"
    )
    if not figures:
        text = "The model was not measured (`compute_metrics`) before it was shared."
        return f"## Figures\n\n{text}{picture}"
    bands = shared.metrics.per_band if len(shared.metrics.per_band) > 1 else {}
    shown = list(bands)[:LISTED]
    rows = [("", "all bands", *shown)]
    for name, value in figures.items():
        cells = [_number(bands[band].get(name)) for band in shown]
        rows.append((name, _number(value), *cells))
    text = (
        f"On the {len(shared.data.validation_pairs)} validation pairs, whose target pixels were "
        f"not trained on. Errors are in {_units(shared.data.target)} of the target."
    )
    lines = [f"## Figures\n\n{text}\n\n{_table(rows)}"]
    known = {name: error for name, error in shared.baselines.items() if math.isfinite(error)}
    if known:
        errors = ", ".join(f"{markdown(name)} {_number(error)}" for name, error in known.items())
        lines.append(f"Mean absolute errors of simpler translations of the same pairs: {errors}.")
    return "\n\n".join(lines) + picture


def _limits(card: DataCard) -> str:
    lines = [
        "The figures hold for ground, season, sensor and processing like those of the training. "
        "`predict_raster` warns of other pixel sizes, dtypes and values, and `result.drift` is the "
        "distance of a scene from the training data.",
        "A translation is an estimate: detail that the source does not show is invented. Measure "
        "it on ground of your own (`geotranslate.evaluate_raster`) before relying on it.",
    ]
    if card.target.classes is not None:
        lines.append("The target holds classes, which were learned as numbers.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(markdown(cell) for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)


def _finite(metrics: Metrics) -> dict[str, float]:
    """Return the measures that are numbers and figures of quality."""
    return {
        name: value
        for name, value in metrics.items()
        if math.isfinite(value) and name not in HIDDEN and re.fullmatch(r"\w+", name)
    }


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.4g}"


def _count(side: Side) -> str:
    return f"{side.bands} band{'s' if side.bands != 1 else ''}"


def _bands(side: Side) -> str:
    if not any(side.band_names):
        return str(side.bands)
    names = [plain(name) or str(number) for number, name in enumerate(side.band_names, 1)]
    more = f" and {side.bands - LISTED} more" if side.bands > LISTED else ""
    return f"{side.bands}: {', '.join(names[:LISTED])}{more}"


def _nodata(side: Side) -> str:
    return "none" if side.nodata is None else f"{side.nodata:.9g}"


def _range(side: Side) -> str:
    pairs = list(dict.fromkeys(zip(side.scaling.low, side.scaling.high, strict=True)))
    found = ", ".join(f"{low:.5g} to {high:.5g}" for low, high in pairs[:LISTED])
    bent = "" if len(side.scaling.levels) == 2 else ", bent"
    return found + bent + (", in decibels" if side.scaling.floor is not None else "")


def _pixel_size(card: DataCard) -> str:
    if card.ground_size is not None:
        return " x ".join(f"{side:.4g}" for side in card.ground_size) + " m on the ground"
    if card.resolution is not None:
        return " x ".join(f"{side:.6g}" for side in card.resolution) + " units of the CRS"
    return "not known"


def _ground(card: DataCard) -> str:
    if card.footprint is None:
        return "not known"
    west, south, east, north = (f"{edge:.5g}" for edge in card.footprint)
    return f"{west} to {east} degrees east, {south} to {north} degrees north"


def _units(side: Side) -> str:
    units = {unit for unit in side.band_facts.units if unit}
    return f"the units ({markdown(', '.join(sorted(units)))})" if units else "the units"
