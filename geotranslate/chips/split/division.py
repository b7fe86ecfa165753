"""Division of chips by a method, by the folder's own parts, or by polygons."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

import geopandas as gpd
from shapely import get_coordinates
from shapely.geometry.base import BaseGeometry

from geotranslate.checks import shown
from geotranslate.chips.chip_set import MemberSet
from geotranslate.chips.layouts.base import TEST, TRAIN, VALIDATION, known_label
from geotranslate.chips.pair_set import FoundChips
from geotranslate.chips.split.apart import (
    GroundShares,
    hide_validation,
    keep_apart,
    share_of_tests,
)
from geotranslate.chips.split.folds import split_fold
from geotranslate.chips.split.footprints import read_labels
from geotranslate.chips.split.methods import Split, SplitMethod, split_by_polygons, split_pairs
from geotranslate.chips.vectors import footprints, in_crs, is_layer, read_layer, shapes_of
from geotranslate.errors import InvalidInputError, warn

MUCH_LOST = 0.15
"""Share of the ground outside of validation that may be unused without a warning."""
LEAST_SHARED = 0.0005
"""Share of training ground that tests show too from which a warning names it: outlines of other
CRSs overlap a little at their edges."""


@dataclass(frozen=True, eq=False)
class SplitOptions:
    """Options of `prepare_data` that divide chips.

    Args:
        split: Method, or polygons with labels, or their file. `folder` uses the folder's own parts;
            `auto` does so if there is a sub-folder for validation, and otherwise chooses by the
            ground of the chips. No method uses chips that are kept for tests.
        column: Column of the polygons that holds the labels.
        share: Share of the pairs for validation, if the method chooses them.
        seed: Seed of the choice.
        buffer: Smallest distance between training ground and ground for validation or tests.
        fold: Position of the fold that validates, from 0, and number of folds; None to validate on
            `share`.

    Raises:
        InvalidInputError: `split` is neither a method nor polygons.
    """

    split: SplitMethod | str | os.PathLike[str] | gpd.GeoDataFrame = "auto"
    column: str = "split"
    share: float = 0.1
    seed: int = 42
    buffer: float = 0.0
    fold: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.split, str | os.PathLike | gpd.GeoDataFrame):
            raise InvalidInputError(
                f"split is a {type(self.split).__name__}; give the name of a method, or a vector "
                f"file or GeoDataFrame of polygons whose column {shown(self.column)} says "
                f"{TRAIN!r} or {VALIDATION!r}."
            )

    def method_or_polygons(self) -> str | gpd.GeoDataFrame:
        """Return the name of the method, or the polygons, read from their file if needed."""
        if isinstance(self.split, os.PathLike) or (
            isinstance(self.split, str) and is_layer(self.split)
        ):
            return read_layer(self.split)
        return self.split


@dataclass(frozen=True)
class _Choice:
    """A split before training ground is kept apart from the ground of validation and tests."""

    split: Split
    unused: set[int]
    """Positions that the split uses for neither training nor validation."""
    area: BaseGeometry | None = None
    """Polygons whose ground is for validation."""


def divide(chips: FoundChips, options: SplitOptions, *, masked: bool) -> tuple[Split, Split]:
    """Return the split of the source chips and the split of the target chips, equal for pairs.

    Sides without pairs are divided separately.

    Args:
        chips: The chips.
        options: The method.
        masked: Whether to hide the ground of validation and tests in the targets of training
            pairs; otherwise chips that overlap it are left out, with a warning.

    Raises:
        InvalidInputError: The split leaves no chip for training or validation, or needs
            georeferenced chips or labels that are missing.
    """
    for part in chips.divided:
        if len(part.members) < 2 and 0 < options.share < 1:
            raise InvalidInputError(
                f"{part.path} holds one {part.noun}; two are needed, one to train and one to "
                "validate on."
            )
    if chips.pairs:
        split = divide_set(chips.divided[0], options, masked=masked)
        return split, split
    found = []
    for part in chips.divided:
        try:
            found.append(divide_set(part, options, masked=masked))
        except InvalidInputError as error:
            # Its children stay what they are.
            raise type(error)(f"The {part.noun}s cannot be divided. {error}") from error
    return found[0], found[1]


def divide_set(chips: MemberSet, options: SplitOptions, *, masked: bool = True) -> Split:
    """Return the split of a set; warn if much ground is unused, or shown by training and tests.

    Args:
        chips: A pair set, or the chip set of one side.
        options: The method.
        masked: Whether to hide the ground of validation and tests in targets; otherwise members
            that overlap it are left out, with a warning.

    Raises:
        InvalidInputError: As for `divide`.
    """
    method = options.method_or_polygons()
    outlines = ground_of(chips)
    if outlines is None:
        if options.buffer:
            raise InvalidInputError(
                f"buffer is {options.buffer}, but nothing says where the chips lie on the ground; "
                "leave it out."
            )
        return _chosen(chips, method, options, None).split
    choice = _chosen(chips, method, options, outlines)
    if not (choice.split.train and choice.split.held):
        return choice.split
    if masked:
        apart = _hidden(chips, choice, outlines, options.buffer)
    else:
        apart = keep_apart(choice.split, outlines, options.buffer)
        _warn_of_left_out(apart, choice.unused, chips)
    _warn_of_tests(share_of_tests(choice.split, outlines), chips.noun, masked=masked)
    return apart


def _hidden(chips: MemberSet, choice: _Choice, outlines: gpd.GeoSeries, buffer: float) -> Split:
    """Return a split with the ground of validation and tests hidden in training targets."""
    members = chips.members
    apart = hide_validation(
        choice.split,
        outlines,
        [member.target_grid for member in members],
        lambda i: members[i].valid(),
        buffer=buffer,
        area=choice.area,
    )
    # Otherwise all ground outside of validation is used for training.
    if buffer or choice.area is not None or len(apart.left_out) > len(choice.unused):
        _warn_of_lost_ground(apart, outlines, choice.unused, chips.noun)
    return apart


def _chosen(
    chips: MemberSet,
    method: str | gpd.GeoDataFrame,
    options: SplitOptions,
    outlines: gpd.GeoSeries | None,
) -> _Choice:
    """Return the choice of a method; the folder's own chips for tests are for nothing else."""
    choice = _chosen_by(chips, method, options, outlines)
    kept = {*choice.split.tests, *_tests(chips)}
    return replace(choice, split=replace(choice.split, tests=tuple(sorted(kept))))


def _chosen_by(
    chips: MemberSet,
    method: str | gpd.GeoDataFrame,
    options: SplitOptions,
    outlines: gpd.GeoSeries | None,
) -> _Choice:
    if options.fold is not None:
        return _fold(chips, method, options.fold, options.seed, outlines)
    if isinstance(method, gpd.GeoDataFrame):
        if outlines is None:
            raise InvalidInputError("The chips have no CRS, so polygons cannot split them.")
        among = _not_for_tests(chips)
        areas = _areas(method, outlines.iloc[among])
        found, area = split_by_polygons(list(outlines.iloc[among]), areas, options.column)
        return _Choice(found.within(among, len(chips.members)), set(_tests(chips)), area)
    if method == "folder" or (method == "auto" and _says_which(chips)):
        found = _labeled(chips)
        # Chips that the folder keeps for tests need no warning, and others already have one.
        return _Choice(found, set(found.left_out))
    among = _usable(chips) if method == "auto" else _not_for_tests(chips)
    found = split_pairs(
        len(among),
        options.share,
        options.seed,
        None if outlines is None else list(outlines.iloc[among]),
        method=method,
        buffer=options.buffer,
        valid=[chips.members[i].valid_share for i in among],
    ).within(among, len(chips.members))
    return _Choice(found, set(found.left_out))


def _fold(
    chips: MemberSet,
    method: str | gpd.GeoDataFrame,
    fold: tuple[int, int],
    seed: int,
    outlines: gpd.GeoSeries | None,
) -> _Choice:
    """Return the choice of a fold of all members that are not for tests."""
    if not isinstance(method, str) or method not in ("auto", "random", "block"):
        raise InvalidInputError(
            f"folds is {fold[1]}, but split is {shown(method)}, which divides the chips itself; "
            "give split='auto', 'random' or 'block'."
        )
    among = _not_for_tests(chips)
    found = split_fold(
        len(among),
        fold,
        seed,
        None if outlines is None else list(outlines.iloc[among]),
        method=method,
        noun=chips.noun,
    ).within(among, len(chips.members))
    return _Choice(found, set(found.left_out))


def _warn_of_left_out(split: Split, unused: Collection[int], chips: MemberSet) -> None:
    lost = len(split.left_out) - len(unused)
    held = "validation or test" if split.tests else "validation"
    if lost:
        warn(
            f"{lost} of {len(chips.members)} {chips.noun}s are left out of training and "
            f"validation, most often because they overlap {held} chips on the ground or lie within "
            "the buffer; export with stride=tile_size to use all of them."
        )


def _warn_of_tests(share: float, noun: str, *, masked: bool) -> None:
    """Warn if chips for training show ground that chips for tests show too."""
    if share < LEAST_SHARED:
        return
    kept = (
        "it is hidden in the training targets"
        if masked
        else f"{noun}s that show it are left out of training"
    )
    warn(
        f"{share:.1%} of the ground of the {noun}s for training is ground of {noun}s for tests: "
        f"{kept}, so that no model is tested on what it has learned. Cut training and tests from "
        "separate ground to use all of it."
    )


def _warn_of_lost_ground(
    split: Split, outlines: gpd.GeoSeries, unused: set[int], noun: str
) -> None:
    """Warn if training and validation leave much ground of their chips unused."""
    kept = {*split.tests}
    used = [i for i in range(len(outlines)) if i not in unused or i in kept]
    lost = GroundShares.of(split.among(used), outlines.iloc[used]).lost
    if lost > MUCH_LOST:
        count = len(split.left_out) - len(unused)
        warn(
            f"{lost:.0%} of the ground outside validation is not trained on, and {count} of "
            f"{len(outlines)} {noun}s are left out: it lies within the buffer, in no polygon of "
            "the split, or only in chips that lie almost wholly on validation ground. Lower "
            "buffer or val_split_pct, draw larger polygons, or export more chips; "
            "data.plot_split() draws it."
        )


def _areas(split: gpd.GeoDataFrame, outlines: gpd.GeoSeries) -> gpd.GeoDataFrame:
    """Return the polygons in the CRS of the outlines."""
    shapes = shapes_of(split, "the split polygons")
    if shapes.crs is None:
        return split
    near = get_coordinates(outlines.array)
    moved = in_crs(shapes, outlines.crs, near, "The split polygons")
    return split.set_geometry(moved)


def _says_which(chips: MemberSet) -> bool:
    """Tell whether sub-folders choose the validation, or leave fewer than two to choose from."""
    subsets = [member.subset for member in chips.members]
    return any(subsets) and (VALIDATION in subsets or len(_usable(chips)) < 2)


def _usable(chips: MemberSet) -> list[int]:
    return [i for i, member in enumerate(chips.members) if member.subset in (None, TRAIN)]


def _not_for_tests(chips: MemberSet) -> list[int]:
    """Return the positions of members for training or validation."""
    return [i for i, member in enumerate(chips.members) if member.subset != TEST]


def _tests(chips: MemberSet) -> list[int]:
    """Return the positions of members that the folder itself keeps for tests."""
    return [i for i, member in enumerate(chips.members) if member.subset == TEST]


def ground_of(chips: MemberSet) -> gpd.GeoSeries | None:
    """Return the outlines of the members in one CRS; None if they are not georeferenced.

    Raises:
        InvalidInputError: Some members have a CRS and some have none.
    """
    members = chips.members
    grids = [member.target_grid for member in members]
    lacking = [member.name for member in members if member.grid.crs is None]
    if lacking and len(lacking) < len(members):
        raise InvalidInputError(
            f"{len(lacking)} of {len(members)} {chips.noun}s have no CRS, for example "
            f"{lacking[0]}, so it cannot be seen which chips overlap on the ground. Assign it, or "
            "leave them out."
        )
    # Pictures without georeference all seem to lie at the same place.
    if lacking and len({grid.transform for grid in grids}) == 1:
        return None
    return footprints(grids)


def _labeled(chips: MemberSet) -> Split:
    """Return the split given by the folder; warn of members without a part."""
    labels = _labels(chips)
    found = Split.of_labels(labels)
    odd = Counter(label for label in labels if known_label(label) is None)
    if odd:
        counts = ", ".join(
            f"{count} labeled {label!r}" if isinstance(label, str) else f"{count} without a label"
            for label, count in odd.most_common(5)
        )
        warn(
            f"{odd.total()} of {len(labels)} {chips.noun}s are used for neither training nor "
            "validation, as the folder's own split does not place them: "
            f"{counts}. Label them {TRAIN!r}, {VALIDATION!r} or {TEST!r}."
        )
    return found


def _labels(chips: MemberSet) -> list[object]:
    """Return the part of each member given by the folder's sub-folders, else by its footprints."""
    subsets = [member.subset for member in chips.members]
    if any(subsets):
        return list(subsets)
    paths = [member.chips[0].path for member in chips.members]
    known = {folder: read_labels(folder) for folder in {path.parent.parent for path in paths}}
    labels = [known[path.parent.parent].get(path.stem) for path in paths]
    # Empty fields are None or NaN.
    return [label if isinstance(label, str) and label.strip() else None for label in labels]
