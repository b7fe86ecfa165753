"""Preparation of training data: from chips on disk to fastai DataLoaders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import geopandas as gpd

from geotranslate.chips.bands import ScalingKind
from geotranslate.chips.cardmaker import make_card
from geotranslate.chips.chip import Bands
from geotranslate.chips.finding import ChipOptions, find_chips, side_of_tensors
from geotranslate.chips.split import SplitMethod, SplitOptions, divide
from geotranslate.data.dataoptions import DataOptions, PairTransform
from geotranslate.data.loaders import PairLoaders
from geotranslate.errors import InvalidInputError

PathLike = str | os.PathLike[str]


def prepare_data(
    path: PathLike | Sequence[PathLike],
    target: PathLike | None = None,
    *,
    paired: bool | None = None,
    chip_size: int | None = None,
    stride: int | None = None,
    batch_size: int = 4,
    val_split_pct: float = 0.1,
    seed: int = 42,
    split: SplitMethod | PathLike | gpd.GeoDataFrame = "auto",
    split_column: str = "split",
    buffer: float = 0.0,
    source_scaling: ScalingKind = "auto",
    target_scaling: ScalingKind = "auto",
    source_bands: Bands | None = None,
    target_bands: Bands | None = None,
    source_classes: bool | None = None,
    target_classes: bool | None = None,
    direction: Literal["AtoB", "BtoA"] = "AtoB",
    resize_to: int | None = None,
    transforms: PairTransform | Literal[False] | None = None,
    jitter: float = 0.0,
    memory_mb: int = 2048,
    num_workers: int | None = None,
) -> PairLoaders:
    """Return training and validation loaders of a chip folder, or of two rasters.

    Batches are `TensorSource` and `TensorTarget`, float32 `(n, bands, rows, cols)`, each band
    scaled from its units to -1..1. Training pairs are flipped and turned by quarters, both chips
    alike. Invalid pixels are the band's mean in the source (of classes, a number that is
    none) and NaN in the target, which losses and metrics ignore. `summary()` says what was found,
    `plot_split()` draws the split, `show_batch()` pairs.

    Without pairs every side is checked, divided and scaled for itself. An epoch is as long as the
    larger side; sources begin again where they end, and in training each gets a random target,
    cropped, flipped and turned apart from it. Validation chips are cropped in the middle where
    they differ in size.

    Args:
        path: Folder in one of the known layouts, or several; or a raster, whose windows are then
            read as they are needed.
        target: The raster to translate to, where `path` is a raster; laid onto the grid of the
            source where its own is another one, which `summary()` says.
        paired: Whether chips are pairs; by default as the layout says, and two rasters are. False
            with a folder of pairs draws the targets of training pairs at random, while validation
            pairs stay pairs; False with two rasters cuts each on its own grid, so that they may
            differ in place, CRS, pixel size and bands.
        chip_size: Side of the tensors, px; the chips' own by default. Where it is smaller,
            training pairs are cropped at random places; validation pairs stay whole, unless they
            differ in size. With two rasters the side of the windows, 256 by default.
        stride: Step from window to window of two rasters, px; `chip_size` by default. Not for
            chip folders.
        batch_size: Pairs per batch, of each process where a launcher starts several.
        val_split_pct: Share of the pairs, or of the chips of either side, to validate on, 0 to 1.
        seed: Seed of the split, the order of the batches, the first weights of a translator and
            whatever its training draws: two trainings on a CPU are alike, unless they differ in it.
        split: `random`; `block`, where the validation pairs form one patch; `folder`, the parts
            train and val that the folder itself has (sub-folders, or the column `split` of its
            `chips.gpkg`); or polygons, a vector file or GeoDataFrame in any CRS. `auto` is
            `folder` where there is a sub-folder for validation, `block` where chips overlap on
            the ground, else `random`; pairs in test/ are used for neither. Of validation ground
            no target pixel is learned from: it is NaN in the targets of training pairs, and a
            pair is left out if less than 5 % of its pixels are valid then. Their sources show it.
            Without pairs both sides are learned from, so chips that reach into validation ground
            of their side are left out, with a warning. Beside trainA/ and trainB/ the sub-folders
            for validation are valA/ and valB/.
        split_column: Column of the polygons that says "train" or "val". Pairs wholly in those for
            validation validate; the ground of these polygons is hidden in training pairs too.
        buffer: Least distance between training and validation ground, whatever the split, in CRS
            units; in meters where the chips differ in CRS or reach over the 180th meridian.
        source_scaling: `auto | dtype | minmax | percentile | zscore | db | none`, see
            `make_scaling`; from the training chips alone. `auto` is the range of the values for
            classes, 0..255 for other uint8, else a robust range that clips nothing.
        target_scaling: The same for the target.
        source_bands: Bands to use, by number from 1 or by name; all by default.
        target_bands: The same for the target.
        source_classes: Whether the source's values are classes, which are resampled to the
            nearest, drawn in a color each and one-hot for a translator. By default as
            `export_chips` was told; else they are if a chip has a color table, or if all chips
            together are one band of integers with at most 4 different values, or with at most 64
            that form patches and do not change in steps of 1, as heights do.
        target_classes: The same for the target.
        direction: "BtoA" translates from the folder's target to its source.
        resize_to: Side that chips are resampled to, px.
        transforms: False for no flips and turns; a function from source and target tensors
            `(bands, rows, cols)` in -1..1 to new ones for training pairs, after flips and turns.
        jitter: Largest random change of the source's brightness and contrast in training, as a
            share of its range; 0 for classes.
        memory_mb: Where the decoded chips fit into so much memory, they are decoded once.
        num_workers: Processes that read chips; by default none where the chips fit into memory,
            else one less than there are cores.

    Raises:
        RasterFileError: A folder or raster is missing or cannot be read.
        InvalidInputError: There are no pairs, they do not fit each other, or an argument is
            impossible.
        GridMismatchError: The two sides lie on different ground.
    """
    options = DataOptions(
        chips=ChipOptions(
            paired=paired,
            chip_size=chip_size,
            stride=stride,
            source_bands=source_bands,
            target_bands=target_bands,
            target_classes=target_classes,
            direction=direction,
        ),
        split=SplitOptions(split, split_column, val_split_pct, seed, buffer),
        scalings=(source_scaling, target_scaling),
        classes=(source_classes, target_classes),
        resize_to=resize_to,
        transforms=transforms,
        jitter=jitter,
        batch_size=batch_size,
        memory_mb=memory_mb,
        num_workers=num_workers,
    )
    return _loaders(path, target, options)


def _loaders(
    path: PathLike | Sequence[PathLike], target: PathLike | None, options: DataOptions
) -> PairLoaders:
    folder = find_chips(path, target, options.chips)
    size = side_of_tensors(folder, options.chips.chip_size, options.resize_to)
    of_pairs = bool(folder.pairs) and options.chips.paired is not False
    splits = divide(folder, options.split, masked=of_pairs)
    folder = folder.masked(splits[0].masks)
    card = make_card(
        folder,
        splits,
        scalings=options.scalings,
        classes=options.classes,
        chip_size=size,
        resize_to=options.resize_to,
        seed=options.split.seed,
        paired=of_pairs,
    )
    if options.jitter and card.source.classes is not None:
        raise InvalidInputError(
            f"jitter is {options.jitter} but the source's values are {card.source.classes.count}, "
            "which have no brightness; leave jitter at 0, or pass source_classes=False if they are "
            "quantities."
        )
    return PairLoaders.of(folder, splits, card, options)
