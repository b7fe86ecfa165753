"""Preparation of training data: fastai DataLoaders from chips on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

import geopandas as gpd
import torch

from geotranslate.checks import shown
from geotranslate.chips.bands import ScalingLike
from geotranslate.chips.cardmaker import make_card
from geotranslate.chips.chip import Bands
from geotranslate.chips.finding import ChipOptions, PartLike, find_chips, side_of_tensors
from geotranslate.chips.split import SplitMethod, SplitOptions, chosen_fold, divide
from geotranslate.data.dataoptions import DataOptions, PairTransform, Turns
from geotranslate.data.loaders import PairLoaders
from geotranslate.data.radiometry import Augment
from geotranslate.errors import InvalidInputError
from geotranslate.migration import checks_arguments

PathLike = str | os.PathLike[str]


@checks_arguments
def prepare_data(
    path: PathLike | Sequence[PathLike] | Mapping[str, PathLike] | gpd.GeoDataFrame,
    target: PathLike | gpd.GeoDataFrame | None = None,
    *,
    paired: bool | None = None,
    chip_size: int | None = None,
    stride: int | None = None,
    target_resolution: Literal["own", "source"] | float = "source",
    burn: str | None = None,
    batch_size: int | Literal["auto"] = 4,
    val_split_pct: float = 0.1,
    valid_path: PartLike | None = None,
    test_path: PartLike | None = None,
    seed: int = 42,
    split: SplitMethod | PathLike | gpd.GeoDataFrame = "auto",
    split_column: str = "split",
    buffer: float = 0.0,
    folds: int | None = None,
    fold: int | None = None,
    source_scaling: ScalingLike = "auto",
    target_scaling: ScalingLike = "auto",
    source_bands: Bands | None = None,
    target_bands: Bands | None = None,
    source_classes: bool | Mapping[str, Sequence[int]] | None = None,
    target_classes: bool | None = None,
    direction: Literal["AtoB", "BtoA"] = "AtoB",
    resize_to: int | None = None,
    transforms: Turns | PairTransform | Literal[False] | None = "dihedral",
    jitter: float = 0.0,
    augment: Augment = "auto",
    look_like: PathLike | Sequence[PathLike] | None = None,
    layer_dropout: float = 0.0,
    memory_mb: int = 2048,
    num_workers: int | None = None,
    device: str | torch.device | None = None,
) -> PairLoaders:
    """Create training and validation loaders from a chip folder or two rasters.

    Batches are `TensorSource` and `TensorTarget`, float32 `(n, bands, rows, cols)`, each band
    scaled from its units to -1..1. Both chips of a training pair are flipped and rotated by
    multiples of 90 degrees together. Invalid pixels are the band's mean in the source (for classes,
    a number that is no class) and NaN in the target, which losses and metrics ignore. `summary()`
    describes the data, `plot_split()` draws the split, `show_batch()` draws pairs.

    The target chips of a folder may have 2 to 8 times as many rows and columns as their source
    chips, or 1/2 to 1/8 of them; sizes in arguments are those of the source. Two rasters are
    brought to the source's pixels unless `target_resolution` asks for others.

    Unpaired sides are checked, split and scaled separately. An epoch is as long as the larger side;
    if there are fewer sources, they repeat. In training, each source gets a random target, and the
    two are cropped, flipped and rotated independently. Validation chips of different sizes are
    cropped in the middle.

    Args:
        path: Folder in one of the known layouts, or several; or a raster, whose windows are read on
            demand; or a `stack` of several; or the folders or rasters of its layers by their
            names, such as `{"s1": "chips/s1", "dem": "chips/dem"}`, with the folder or raster of
            the targets as `target`.
        target: The raster to translate to, if `path` is a raster; warped onto the source's grid if
            it has another; `summary()` reports this. Or the folder of target chips, if `path` is
            one of source chips; they pair by equal names, or by names that differ in one word that
            marks the side, such as `1_rgb.png` and `1_map.png`. A raster with a folder of
            georeferenced chips is resampled to the grid of each chip. If one side is a raster, the
            other may be a vector file or GeoDataFrame, which is burned into the raster's grid as
            `export_chips` does.
        paired: Whether chips are pairs; by default the layout decides; two rasters and two folders
            are paired. True pairs the chips of `A/` and `B/` by their names.
            False with a folder of pairs draws the targets of training pairs at random, while
            validation pairs stay pairs; False with two rasters cuts each on its own grid, so that
            they may differ in place, CRS, pixel size and bands.
        chip_size: Side of the tensors, px; the chips' own by default. If it is smaller, training
            pairs are cropped at random places; validation pairs stay whole unless they differ in
            size. For two rasters, the side of the windows, 256 by default.
        stride: Step from window to window of two rasters, px; `chip_size` by default. Not for
            chip folders.
        target_resolution: Pixel size of the target's windows of two rasters, as in `export_chips`.
            "source" for the source's; "own" for the target's, if it is a half to an eighth of the
            source's or 2 to 8 times as large, up to 5%, or equal; or a number of meters, also for
            a vector layer. `chip_size` and `stride` have to be whole pixels of the target. Not for
            chip folders.
        burn: Column of the vector layer whose numbers are burned into the raster's grid; by default
            1 for every shape. Only for a raster and a vector layer.
        batch_size: Pairs per batch, for each process if a launcher starts several. With "auto", the
            first training on a GPU tries 2, 4, 8 and so on until its memory is full and takes half
            of what fits, at most 64 and few enough for 8 steps of an epoch; on a CPU it is 4.
        val_split_pct: Share of the pairs, or of the chips of each side, to validate on. With 0, all
            are for training; with 1, none, and the data can only be measured.
        valid_path: Chip folder to validate on, or several, of the same kind as `path`. If `path`
            has folders of layers, a folder with folders of the same names, or the folders of the
            layers and of the targets, such as `({"s1": "val/s1", "dem": "val/dem"}, "val/s2")`.
        test_path: Chip folder for tests, or several. It becomes `data.test`, as the part `test` of
            a folder does, and is used for neither training nor validation. A warning says which
            share of the training ground it shows too.
        seed: Seed of the split, the order of the batches, the initial weights of a translator and
            all random draws of its training: two trainings with the same seed on a CPU give the
            same model.
        split: "random"; "block", which validates on pairs that form one patch; "folder", the parts
            train and val of the folder itself (sub-folders, or the column `split` of its
            `chips.gpkg`); or polygons, a vector file or GeoDataFrame in any CRS. "auto" is
            "folder" if there is a sub-folder for validation, "block" if chips overlap on the
            ground, else "random". No target pixel of ground of validation or tests is learned from:
            such pixels are NaN in the targets of training pairs, and pairs with less than 5% valid
            pixels left are dropped. Their sources still show this ground. Without pairs, both sides
            are learned from, so chips that reach into such ground of their side are dropped with a
            warning. The sub-folders of trainA/ and trainB/ for validation are valA/ and valB/, and
            the ones for tests are testA/ and testB/.
        split_column: Column of the polygons with the values "train" and "val". Pairs wholly inside
            "val" polygons are used for validation; the ground of these polygons is hidden in
            training pairs.
        buffer: Smallest distance of training ground from ground of validation or tests, in CRS
            units; in meters if the chips differ in CRS or cross the 180th meridian.
        folds: Number of folds of a cross-validation, of equal numbers of chips: compact areas for
            "block", and for "auto" if chips overlap, else drawn at random. Each chip validates in
            one fold. In place of `val_split_pct`; see `cross_validate`.
        fold: Position of the fold that validates, from 0.
        source_scaling: "auto", "dtype", "minmax", "percentile", "robust", "asinh", "zscore", "db"
            or "none", see `make_scaling`; computed from the training chips only. "auto" uses the
            range of values for classes, 0..255 for other uint8, "asinh" for other sources and
            "robust" for other targets; it clips nothing. A dict gives each layer of a `stack` its
            own, such as `{"s1": "db", "dem": "robust"}`; layers that are left out have "auto".
        target_scaling: The same for the target.
        source_bands: Bands to use, by number from 1 or by name; all by default.
        target_bands: The same for the target.
        source_classes: Whether the source's values are classes, which are resampled by nearest
            neighbor, drawn in one color per class, and one-hot encoded for translators. The default
            is the argument given to `export_chips`; without it, values are classes if a chip has a
            color table, or if all chips together are one band of integers with at most 4 different
            values, or with at most 64 that form patches and do not change in steps of 1, as heights
            do. A dict gives the class numbers of single layers of a `stack`, such as `{"lulc": [1,
            2, 5]}`: `Pix2Pix` and `Pix2PixHD` get one band for each of them, in this order, and
            scaled numbers of the other layers.
        target_classes: The same for the target.
        direction: "BtoA" translates from the folder's target to its source.
        resize_to: Side that chips are resampled to, px.
        transforms: "dihedral", or None, for flips and rotations by multiples of 90 degrees;
            "mirror" to only exchange left and right, for chips whose shadows or relief forbid
            turns; False for neither; or a function that takes source and target tensors `(bands,
            rows, cols)` in -1..1 and returns new ones, called for training pairs after flips and
            rotations.
        jitter: Largest random change of the source's brightness and contrast in training, as a
            share of its range; 0 for classes.
        augment: Random gamma, gain and offset of the sources in training, partly shared by the
            bands, for translations of other dates, places or cameras: "none", "light" or "strong";
            "none" for classes. Bands in decibels (scaling "db", or unit dB) only get an offset.
            "auto" is "light" if the training chips are known to be of several scenes, as
            `export_chips` names them, and "none" for one scene, unpaired data, targets of another
            pixel size, or with `jitter` or `look_like`; `data.options.augment` has the choice.
        look_like: Rasters without targets, such as a scene of another date that is to be
            translated. Training sources take their histograms by random shares. "training" stands
            for the scenes of the training chips themselves. None for classes.
        layer_dropout: Probability, 0 to below 1, that a layer of a training source of a `stack` is
            hidden, so that one model serves with and without it. Never all are. The bands of a
            hidden layer hold their means, and a band such as `s1:valid` is 0.
        memory_mb: Memory for decoded chips, MiB. If all fit, each is decoded only once.
        num_workers: Processes that read chips; by default none if the chips fit in memory, else one
            less than there are cores.
        device: Device of torch that trains, "cpu", "cuda" or "cuda:1" for example; by default a GPU
            if there is one. Leave it out under a launcher.

    Raises:
        RasterFileError: A folder or raster is missing or cannot be read.
        InvalidInputError: There are no pairs, they do not fit each other, or an argument is
            invalid.
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
            valid_path=valid_path,
            test_path=test_path,
            burn=burn,
            target_resolution=target_resolution,
        ),
        split=SplitOptions(
            split, split_column, val_split_pct, seed, buffer, chosen_fold(folds, fold)
        ),
        scalings=(source_scaling, target_scaling),
        classes=(source_classes, target_classes),
        resize_to=resize_to,
        transforms=transforms,
        jitter=jitter,
        augment=augment,
        layer_dropout=layer_dropout,
        look_like=look_like,  # type: ignore[arg-type]  # its check returns a tuple
        batch_size=batch_size,
        memory_mb=memory_mb,
        num_workers=num_workers,
        device=device,
    )
    return _loaders(path, target, options)


def _loaders(
    path: PathLike | Sequence[PathLike] | Mapping[str, PathLike] | gpd.GeoDataFrame,
    target: PathLike | gpd.GeoDataFrame | None,
    options: DataOptions,
) -> PairLoaders:
    folder = find_chips(path, target, options.chips)
    of_pairs = bool(folder.pairs) and options.chips.paired is not False
    if folder.factor != 1 and not of_pairs:
        raise InvalidInputError(
            f"paired is False, but the targets of {folder.path} have {folder.factor} times as many "
            "pixels along an axis as their sources, which only a translation of pairs gives; leave "
            "paired out, or export chips of one pixel size."
        )
    size = side_of_tensors(folder, options.chips.chip_size, options.resize_to)
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
    if card.source.classes is not None:
        _refuse_recoloring(options, card.source.classes.count)
    return PairLoaders.of(folder, splits, card, options)


def _refuse_recoloring(options: DataOptions, classes: str) -> None:
    """Refuse changes of the values of sources of classes."""
    options_on = {
        "jitter": (options.jitter, (0,)),
        "augment": (options.augment, ("auto", "none")),
        "look_like": (options.look_like, ((),)),
    }
    for name, (value, off) in options_on.items():
        if value not in off:
            raise InvalidInputError(
                f"{name} is {shown(value)} but the source's values are {classes}, which have no "
                f"brightness; leave {name} out, or pass source_classes=False if they are "
                "quantities."
            )
