"""Summary of chips, as text and as a table in notebooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from geotranslate.chips.bands import DataCard, Side
from geotranslate.chips.chip import Chip
from geotranslate.chips.chip_set import MemberSet
from geotranslate.chips.layouts import LABELS_FOLDER, ChipFile
from geotranslate.chips.pair_set import FoundChips
from geotranslate.chips.registration import Registration
from geotranslate.chips.split import GroundShares, Split, ground_of
from geotranslate.raster.grid import Grid
from geotranslate.tables import Summary


def summarize(
    chips: FoundChips,
    card: DataCard,
    splits: tuple[Split, Split],
    shift: Registration | None = None,
    augment: str = "none",
) -> Summary:
    """Describe chips, and the ones used for training and validation.

    Args:
        chips: The chips that were found.
        card: Their data card.
        splits: Split of the source chips and split of the target chips, equal for pairs.
        shift: Shift between the sides, if it is worth a line.
        augment: Strength of the changes of training sources.
    """
    # Two rasters have two paths.
    paths = dict.fromkeys(part.path for part in chips.divided)
    lines = [("folder", " and ".join(map(str, paths))), ("layout", chips.layout), *_way(chips)]
    for part, split in zip(chips.divided, splits, strict=False):
        lines += [(f"{part.noun}s", _parts(split)), *_ground(part, split)]
        if chips.pairs and not card.paired:
            lines.append(("targets", "drawn at random in training"))
        lines += _place(part, card)
    lines += [
        ("source", _side(card.source, chips.sources)),
        ("target", _side(card.target, chips.targets)),
        (
            "kind",
            f"the target holds {card.target.kind}, which decides on the default recipe of Pix2Pix",
        ),
    ]
    if shift is not None:
        advice = 'see check_registration(), and export_chips(shift="auto"), which undoes a shift'
        lines.append(("registration", f"{shift}; {advice}"))
    if augment != "none":
        lines.append(("augmentation", f"training sources have {augment} changes of their values"))
    lines += [("left out", line) for line in chips.left_out]
    return Summary(tuple(lines))


def _way(chips: FoundChips) -> list[tuple[str, str]]:
    """Return a line that names the folders that are translated from and to, if there are two."""
    places = [side[0].place for side in (chips.sources, chips.targets)]
    source, target = (Path(place.path).parent.name for place in places)
    if source == target or not chips.pairs or not all(isinstance(p, ChipFile) for p in places):
        return []
    hint = ""
    if target.lower() == LABELS_FOLDER:
        hint = " (direction='BtoA' translates labels to images, as Pix2PixHD of arcgis.learn does)"
    return [("way", f"from {source}/ to {target}/{hint}")]


def _parts(split: Split) -> str:
    tests = len(split.tests)
    masked = f" ({len(split.masks)} of them in part)" if split.masks else ""
    others = len(split.left_out) - tests
    neither = (f", {tests} for tests" if tests else "") + (
        f", {others} used for neither" if others else ""
    )
    return f"{len(split.train)} training{masked}, {len(split.validation)} validation{neither}"


def _ground(chips: MemberSet, split: Split) -> list[tuple[str, str]]:
    """Return lines about the ground that chips cover, if they are georeferenced."""
    outlines = ground_of(chips)
    return [] if outlines is None else [("ground", str(GroundShares.of(split, outlines)))]


def _place(chips: MemberSet, card: DataCard) -> list[tuple[str, str]]:
    used = f"{card.chip_size} x {card.chip_size}"
    sizes = _counted(member.chips[0].size for member in chips.members)
    grids = [member.grid for member in chips.members]
    return [
        ("size", f"{sizes} px, used as {used}"),
        ("CRS", _counted(map(_crs, grids))),
        ("pixel", _counted(map(_pixel, grids))),
        *_target_pixels(card),
    ]


def _target_pixels(card: DataCard) -> list[tuple[str, str]]:
    """Return a line about targets of another pixel size."""
    if card.factor == 1:
        return []
    side = card.target_size
    return [
        (
            "target pixels",
            f"{card.factor} of them for each source pixel along an axis: chips of {side} x {side}",
        )
    ]


def _side(side: Side, chips: Sequence[Chip]) -> str:
    pixels = sum(chip.grid.height * chip.grid.width for chip in chips)
    # Statistics omit pixels hidden by masks, which are not nodata.
    valid = sum(chip.valid_share * chip.grid.height * chip.grid.width for chip in chips)
    gaps = max(0.0, 1 - valid / pixels)
    names = ", ".join(name for name in side.band_names if name)
    low, high = (np.round(end, 4) for end in side.limits)
    ranges = ", ".join(f"{a:g}..{b:g}" for a, b in list(zip(low, high, strict=True))[:4])
    classes = "" if side.classes is None else f", {side.classes.count}"
    for band, numbers in enumerate(side.class_bands or ()):
        classes += f", {len(numbers)} classes in {side.band_names[band]}" if numbers else ""
    return (
        f"{side.bands} band{'s' if side.bands != 1 else ''}{f' ({names})' if names else ''} of "
        f"{side.dtype}{classes}, {gaps:.1%} nodata, scaled from {ranges}"
        f"{', ...' if side.bands > 4 else ''}"
    )


def _crs(grid: Grid) -> str:
    return "none" if grid.crs is None else grid.crs.to_string()


def _pixel(grid: Grid) -> str:
    if grid.crs is None:
        return "unknown"
    across, down = grid.resolution
    return f"{across:.6g} x {down:.6g} {grid.crs.units_factor[0]}"


def _counted(values: Iterable[str]) -> str:
    """Return the different values, with counts if there are several."""
    counts = Counter(values)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{value} ({count})" for value, count in counts.most_common(5))
