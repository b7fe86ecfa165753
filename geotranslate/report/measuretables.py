"""Tables of measures for a page."""

from __future__ import annotations

import math
from collections.abc import Mapping

from geotranslate.chips.bands import Side
from geotranslate.evaluation import Evaluation
from geotranslate.metrics import Metrics
from geotranslate.raster.seams import Seams
from geotranslate.report.coloring import number_text
from geotranslate.report.content import Highlight, Row, Table

SKILL = "skill_over_"
HIDDEN = ("psnr_range", "count", "left_out")
"""Entries that are no measures; the number of values stands under the table."""
NAMES = {
    "mae": "Mean absolute error",
    "rmse": "Root mean square error",
    "bias": "Bias, translation minus truth",
    "r2": "R2, share of the variance explained",
    "psnr": "PSNR, dB",
    "ssim": "SSIM, structural similarity",
    "ms_ssim": "MS-SSIM, over five scales",
    "uqi": "UQI, universal quality index",
    "sam": "SAM, angle between spectra, radians",
    "ergas": "ERGAS, relative global error",
    "accuracy": "Accuracy",
    "kappa": "Cohen's kappa",
    "precision": "Precision, mean of the classes",
    "recall": "Recall, mean of the classes",
    "f1": "F1, mean of the classes",
    "iou": "IoU, mean of the classes",
}
BASELINES = {
    "constant": "a constant, the median of the truth",
    "linear": "a linear map of the source's bands",
    "linear_in_sample": "a linear map fitted on this scene",
    "source": "the source as it is",
}
NOTHING = "\u2013"
"""Cell of a value that does not exist."""
MOST_ZONES = 40
"""Largest number of zones in a table."""
MOST_CLASSES = 12
"""Largest number of classes of a confusion matrix."""
ZONE_MEASURES = ("mae", "rmse", "bias", "ssim", "accuracy", "iou", "count")
INTERVALS = (
    "The 95% intervals come from a bootstrap over blocks of ground of {block} px in this scene; "
    "they do not cover other ground."
)
FEW_BLOCKS = "The scene has fewer than 5 blocks of ground, so there are no intervals."


def measure_tables(found: Evaluation) -> tuple[Table, ...]:
    """Return the tables of an evaluation: measures, skills, zones, classes and confusion."""
    tables = [
        _measures(found),
        _skills(found),
        _zones(found),
        _classes(found),
        _confusion(found),
    ]
    return tuple(table for table in tables if table is not None)


def metric_tables(metrics: Metrics) -> tuple[Table, ...]:
    """Return the tables of the measures over validation pairs that a model holds."""
    if not len(metrics):
        return ()
    bands = metrics.per_band if len(metrics.per_band) > 1 else {}
    rows = [
        (
            _name(name),
            number_text(value),
            *(_cell(band, name) for band in bands.values()),
        )
        for name, value in metrics.items()
        if name not in HIDDEN
    ]
    notes = (f"{number_text(metrics['count'])} values compared.",) if "count" in metrics else ()
    caption = "Measures over the validation pairs"
    found = [Table(caption, tuple(rows), ("Measure", "All", *bands), notes)]
    if metrics.per_class:
        found.append(_by_class(metrics.per_class, "Measures by class over the validation pairs"))
    return tuple(found)


def highlight_of(scene: str, found: Evaluation, target: Side, trained: float) -> Highlight:
    """Return the result of a scene for the head of the page.

    Args:
        scene: Its name.
        found: Its evaluation.
        target: Target side of the model.
        trained: Share of the scene that is ground of the training, 0 to 1.
    """
    main = "accuracy" if "accuracy" in found else "mae"
    span = _span(found, main)
    notes = [f"95% interval {span}"] if span else []
    if trained:
        notes.append(f"{max(trained, 0.001):.1%} of the scene is ground of the training")
    if main == "accuracy":
        notes.append(f"Mean IoU {number_text(found['iou'])}")
        return Highlight(
            scene, f"{found[main]:.1%}", "of the pixels have the right class", (*notes,)
        )
    unit = set(target.band_facts.units)
    notes += [
        _skill_words(name.removeprefix(SKILL), value)
        for name, value in found.items()
        if name.startswith(SKILL) and math.isfinite(value)
    ]
    value = number_text(found[main])
    return Highlight(
        scene, f"{value} {unit.pop()}".strip() if len(unit) == 1 else value, NAMES[main], (*notes,)
    )


def seam_table(seams: Seams | None, mismatch: float | None, *, of_error: bool) -> Table | None:
    """Return the table of seam measures; None if nothing is known."""
    rows: list[Row] = []
    if mismatch is not None:
        rows.append(("Tile mismatch", number_text(mismatch), "0: overlapping tiles agree"))
    if seams is not None and seams.seam_index is not None:
        rows.append(("Seam index", number_text(seams.seam_index), "1: no seams at tile edges"))
    if seams is not None and seams.tile_peak is not None:
        peak = number_text(seams.tile_peak)
        rows.append(("Periodicity at the tiles' frequency", peak, "about 1: no pattern of tiles"))
    if seams is not None and seams.position_bias is not None:
        bias, chance = seams.position_bias, seams.position_chance or 0.0
        rows.append(
            (
                "Bias by position in the tile",
                number_text(bias),
                f"up to {number_text(chance)} by chance",
            )
        )
    if not rows:
        return None
    note = (
        "Measured on the error, translation minus truth."
        if of_error
        else "Measured on the translation itself, whose own edges count as seams too."
    )
    return Table("Seams", tuple(rows), ("Measure", "Value", "Without seams"), (note,))


def _measures(found: Evaluation) -> Table:
    bands = found.per_band if len(found.per_band) > 1 else {}
    rows = [
        (
            _name(name),
            number_text(value),
            _span(found, name) or NOTHING,
            *(_cell(band, name) for band in bands.values()),
        )
        for name, value in found.items()
        if name not in HIDDEN and not name.startswith(SKILL)
    ]
    known = any(_span(found, name) for name in found)
    notes = [f"{number_text(found['count'])} values compared."]
    if found.get("left_out"):
        notes.append(f"{number_text(found['left_out'])} pixels of no class were left out.")
    notes.append(INTERVALS.format(block=found.block_size) if known else FEW_BLOCKS)
    titles = ("Measure", "All", "95% interval", *bands)
    return Table("Measures over the whole scene", tuple(rows), titles, tuple(notes))


def _skills(found: Evaluation) -> Table | None:
    rows = [
        (
            BASELINES.get(name, each.words),
            number_text(each.mae),
            number_text(found.get(f"{SKILL}{name}", math.nan)),
            _span(found, f"{SKILL}{name}") or NOTHING,
        )
        for name, each in found.baselines.items()
    ]
    if not rows:
        return None
    titles = ("Baseline", "Its mean absolute error", "Skill", "95% interval")
    notes = ["Skill 1 means no error, 0 the error of the baseline, less than 0 a larger one."]
    if "linear_in_sample" in found.baselines:
        notes.append("A map that is fitted on the scene itself knows more than the model.")
    return Table("Skill over simple translations", tuple(rows), titles, tuple(notes))


def _zones(found: Evaluation) -> Table | None:
    if found.zones is None:
        return None
    main = "accuracy" if "accuracy" in found else "mae"
    names = [name for name in ZONE_MEASURES if name in found.zones]
    labels = found.zones["name"] if "name" in found.zones else found.zones.index
    rows: list[Row] = []
    for label, (_, row) in zip(labels, found.zones.head(MOST_ZONES).iterrows(), strict=False):
        span = _bounds(float(row[f"{main}_low"]), float(row[f"{main}_high"]))
        cells = [number_text(float(row[name])) for name in names]
        rows.append((str(label), cells[0], span or NOTHING, *cells[1:]))
    titles = ("Zone", _short(names[0]), "95% interval", *map(_short, names[1:]))
    more = len(found.zones) - MOST_ZONES
    notes = (f"{more} more zones are not shown.",) if more > 0 else ()
    return Table("Measures by zone", tuple(rows), titles, notes)


def _classes(found: Evaluation) -> Table | None:
    return _by_class(found.per_class, "Measures by class") if found.per_class else None


def _by_class(scores: Mapping[str, Mapping[str, float]], caption: str) -> Table:
    names = list(next(iter(scores.values())))
    rows = tuple((label, *map(number_text, row.values())) for label, row in scores.items())
    return Table(caption, rows, ("Class", *map(_short, names)))


def _confusion(found: Evaluation) -> Table | None:
    counts = found.confusion
    if counts is None or not 2 <= len(counts) <= MOST_CLASSES:
        return None
    names = [*found.per_class, "none"]
    if not counts[:, -1].any():
        counts, names = counts[:, :-1], names[:-1]
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    rows = tuple(
        (label, *(f"{share:.1%}" for share in row))
        for label, row in zip(found.per_class, shares.tolist(), strict=True)
    )
    notes = ("Rows are classes of the truth, columns those of the translation.",)
    return Table("Where the pixels of each class went", rows, ("Truth", *names), notes)


def _cell(band: Mapping[str, float], name: str) -> str:
    return number_text(band[name]) if name in band else NOTHING


def _name(name: str) -> str:
    if name.startswith(SKILL):
        return f"Skill over {name.removeprefix(SKILL).replace('_', ' ')}"
    return NAMES.get(name, name)


def _short(name: str) -> str:
    return {"mae": "MAE", "rmse": "RMSE", "iou": "IoU", "ssim": "SSIM", "f1": "F1"}.get(
        name, name.replace("_", " ").capitalize()
    )


def _span(found: Evaluation, name: str) -> str:
    return _bounds(*found.intervals.get(name, (math.nan, math.nan)))


def _bounds(low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"{number_text(low)} to {number_text(high)}"


def _skill_words(name: str, skill: float) -> str:
    than = BASELINES.get(name, f"the baseline {name}").split(",")[0]
    if skill >= 0:
        return f"{skill:.0%} less error than {than}"
    return f"{-skill:.0%} more error than {than}"
