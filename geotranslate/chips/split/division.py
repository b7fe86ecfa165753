"""Divide the pairs of a folder by what it, its chips' ground or the user says."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection

import geopandas as gpd
from shapely import get_coordinates
from shapely.geometry.base import BaseGeometry

from geotranslate.chips.folder import ChipFolder
from geotranslate.chips.labels import TEST, TRAIN, VALIDATION, known_label
from geotranslate.chips.split.apart import GroundShares, hide_validation, keep_apart
from geotranslate.chips.split.footprints import read_labels
from geotranslate.chips.split.methods import Split, SplitMethod, split_by_polygons, split_pairs
from geotranslate.chips.unpaired import ChipSides
from geotranslate.chips.vectors import footprints, in_crs, is_layer, read_layer, shapes_of
from geotranslate.errors import InvalidInputError, warn

MUCH_LOST = 0.15
"""Share of the ground without validation from which on it is said that it is not trained on."""


def divide(
    folder: ChipFolder,
    split: SplitMethod | str | os.PathLike[str] | gpd.GeoDataFrame,
    column: str,
    share: float,
    seed: int,
    buffer: float,
    *,
    masked: bool = True,
) -> Split:
    """Return which pairs train and which validate; warn where much ground does neither.

    Args:
        folder: The pairs.
        split: Method, or polygons with labels or their file. `folder` takes the folder's own
            parts; `auto` does so where it has a sub-folder for validation, and else looks at the
            ground of what is not kept for tests.
        column: Column of the polygons that holds the labels.
        share: Share of the pairs to validate on, where the method chooses.
        seed: Seed of the choice.
        buffer: Least distance between training and validation ground.
        masked: Whether the ground of validation is hidden in the targets of training pairs; else
            pairs that reach into it are left out, with a warning.

    Raises:
        InvalidInputError: The split leaves no pair for one of the two, or needs what the chips do
            not say.
    """
    if isinstance(split, os.PathLike) or (isinstance(split, str) and is_layer(split)):
        split = read_layer(split)
    _check_split(split, column)
    pairs = folder.pairs
    outlines = ground_of(folder)
    if buffer and outlines is None:
        raise InvalidInputError(
            f"buffer is {buffer}, but nothing says where the chips lie on the ground; leave it out."
        )
    found, unused, area = _divided(folder, split, column, share, seed, buffer, outlines)
    if outlines is None:
        return found
    if masked:
        grids = [pair.target_ground for pair in pairs]
        apart = hide_validation(
            found, outlines, grids, lambda i: pairs[i].valid(), buffer=buffer, area=area
        )
        # Else what is not validated is trained on.
        if buffer or area is not None or len(apart.left_out) > len(unused):
            _warn_of_lost_ground(apart, outlines, unused, folder.noun)
    else:
        apart = keep_apart(found, outlines, buffer)
        _warn_of_left_out(apart, unused, len(pairs), folder.noun)
    return apart


def _divided(
    folder: ChipFolder,
    split: SplitMethod | str | gpd.GeoDataFrame,
    column: str,
    share: float,
    seed: int,
    buffer: float,
    outlines: gpd.GeoSeries | None,
) -> tuple[Split, set[int], BaseGeometry | None]:
    """Return the split, the pairs that it does without by itself, and the area it validates."""
    if isinstance(split, gpd.GeoDataFrame):
        if outlines is None:
            raise InvalidInputError("The chips have no CRS, so polygons cannot split them.")
        found, area = split_by_polygons(list(outlines), _areas(split, outlines), column)
        return found, set(), area
    if split == "folder" or (split == "auto" and _says_which(folder)):
        found = _labelled(folder)
        # What the folder itself keeps for tests needs no warning, and others have one by now.
        return found, set(found.left_out), None
    pairs = folder.pairs
    among = _not_for_tests(folder) if split == "auto" else range(len(pairs))
    found = split_pairs(
        len(among),
        share,
        seed,
        None if outlines is None else list(outlines.iloc[list(among)]),
        method=split,
        buffer=buffer,
        valid=[pairs[i].valid_share for i in among],
    ).within(among, len(pairs))
    return found, set(found.left_out), None


def _warn_of_left_out(split: Split, unused: Collection[int], count: int, noun: str) -> None:
    lost = len(split.left_out) - len(unused)
    if lost:
        warn(
            f"{lost} of {count} {noun}s are left out of training and validation, most often "
            "because they overlap validation chips on the ground or lie within the buffer; export "
            "with stride=tile_size to use all of them.",
        )


def _warn_of_lost_ground(
    split: Split, outlines: gpd.GeoSeries, unused: set[int], noun: str
) -> None:
    """Warn where training and validation leave much of the ground of their chips."""
    used = [i for i in range(len(outlines)) if i not in unused]
    lost = GroundShares.of(split.among(used), outlines.iloc[used]).lost
    if lost > MUCH_LOST:
        count = len(split.left_out) - len(unused)
        warn(
            f"{lost:.0%} of the ground outside validation is not trained on, and {count} of "
            f"{len(outlines)} {noun}s are left out: it lies within the buffer, in no polygon of "
            "the split, or only in chips that lie almost wholly on validation ground. Lower "
            "buffer or val_split_pct, draw larger polygons, or export more chips; "
            "data.plot_split() draws it.",
        )


def divide_sides(
    sides: ChipSides,
    split: SplitMethod | str | os.PathLike[str] | gpd.GeoDataFrame,
    column: str,
    share: float,
    seed: int,
    buffer: float,
) -> tuple[Split, Split]:
    """Return which source chips and which target chips train and which validate.

    Each side is divided for itself, by the arguments of `divide`. Something is learned from either
    side, so chips that reach into validation ground of their side are left out.

    Raises:
        InvalidInputError: As from `divide`; the sentence says of which side.
    """
    found = []
    for side in (sides.source, sides.target):
        try:
            found.append(divide(side, split, column, share, seed, buffer, masked=False))
        except InvalidInputError as error:
            # Its children stay what they are.
            raise type(error)(f"The {side.noun}s cannot be divided. {error}") from error
    return found[0], found[1]


def _areas(split: gpd.GeoDataFrame, outlines: gpd.GeoSeries) -> gpd.GeoDataFrame:
    """Return the polygons in the CRS of the outlines."""
    shapes = shapes_of(split, "the split polygons")
    if shapes.crs is None:
        return split
    near = get_coordinates(outlines.array)
    moved = in_crs(shapes, outlines.crs, near, "The split polygons")
    return split.set_geometry(moved)


def _check_split(split: object, column: str) -> None:
    if not isinstance(split, str | gpd.GeoDataFrame):
        raise InvalidInputError(
            f"split is a {type(split).__name__}; give the name of a method, or a vector file "
            f"or GeoDataFrame of polygons whose column {column!r} says {TRAIN!r} or {VALIDATION!r}."
        )


def _says_which(folder: ChipFolder) -> bool:
    """Tell whether sub-folders say which pairs validate, or leave no two to choose from."""
    parts = [pair.subset for pair in folder.pairs]
    return any(parts) and (VALIDATION in parts or len(_usable(folder)) < 2)


def _usable(folder: ChipFolder) -> list[int]:
    return [i for i, pair in enumerate(folder.pairs) if pair.subset in (None, TRAIN)]


def _not_for_tests(folder: ChipFolder) -> list[int]:
    """Return the positions of the pairs that may train or validate; warn of the others."""
    among = _usable(folder)
    others = len(folder.pairs) - len(among)
    if others:
        warn(
            f"{folder.path} has no part val/, so some other pairs validate; the {others} in "
            "test/ are used for neither training nor validation.",
        )
    return among


def ground_of(folder: ChipFolder) -> gpd.GeoSeries | None:
    """Return the outlines of the pairs in one CRS; None if nothing says where they lie.

    Raises:
        InvalidInputError: Some pairs have a CRS and some have none.
    """
    pairs = folder.pairs
    grids = [pair.target_ground for pair in pairs]
    lacking = [pair.name for pair in pairs if pair.ground.crs is None]
    if lacking and len(lacking) < len(pairs):
        raise InvalidInputError(
            f"{len(lacking)} of {len(pairs)} {folder.noun}s have no CRS, for example {lacking[0]}, "
            "so it cannot be seen which chips overlap on the ground. Assign it, or leave them out."
        )
    # Plain pictures all claim to lie at the same place.
    if lacking and len({grid.transform for grid in grids}) == 1:
        return None
    return footprints(grids)


def _labelled(folder: ChipFolder) -> Split:
    """Return the split that the folder itself names; warn of pairs that it gives no part."""
    labels = _labels(folder)
    found = Split.of_labels(labels)
    odd = Counter(label for label in labels if known_label(label) is None)
    if odd:
        counts = ", ".join(
            f"{count} labelled {label!r}" if isinstance(label, str) else f"{count} without a label"
            for label, count in odd.most_common(5)
        )
        warn(
            f"{odd.total()} of {len(labels)} {folder.noun}s are used for neither training nor "
            "validation, as the folder's own split does not place them: "
            f"{counts}. Label them {TRAIN!r}, {VALIDATION!r} or {TEST!r}.",
        )
    return found


def _labels(folder: ChipFolder) -> list[object]:
    """Return the part of each pair that the folder names: by sub-folders, else by footprints."""
    if any(pair.subset for pair in folder.pairs):
        return [pair.subset for pair in folder.pairs]
    homes = [pair.source.path.parent.parent for pair in folder.pairs]
    known = {home: read_labels(home) for home in set(homes)}
    labels = [
        known[home].get(pair.source.path.stem)
        for home, pair in zip(homes, folder.pairs, strict=True)
    ]
    # Empty fields are None or NaN.
    return [label if isinstance(label, str) and label.strip() else None for label in labels]
