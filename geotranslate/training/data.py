"""From a chip folder to fastai DataLoaders of typed, scaled, paired tensors."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import geopandas as gpd
from fastai.data.core import TfmdDL

from geotranslate.checks import folder_path, number, whole_number
from geotranslate.chips.chip import Bands
from geotranslate.chips.datacard import DataCard
from geotranslate.chips.division import divide
from geotranslate.chips.folder import ChipFolder
from geotranslate.chips.scaling import ScalingKind
from geotranslate.chips.sides import describe, warn_of_target
from geotranslate.chips.split import SplitMethod
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid
from geotranslate.training.launcher import own_device
from geotranslate.training.loaders import PairLoaders
from geotranslate.training.pairs import Augmentation, PairDataset, PairTransform, decoded_bytes

PathLike = str | os.PathLike[str]


def prepare_data(
    path: PathLike | Sequence[PathLike],
    target: PathLike | None = None,
    *,
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
    """Return training and validation loaders of the pairs in a chip folder.

    Batches are `TensorSource` and `TensorTarget`, float32 `(n, bands, rows, cols)`, each band
    scaled from its units to -1..1. Training pairs are flipped and turned by quarters, both chips
    alike. Invalid pixels are the band's mean in the source (of classes, a number that is
    none) and NaN in the target, which losses and metrics ignore. `summary()` says what was found,
    `plot_split()` draws the split, `show_batch()` pairs.

    Args:
        path: Folder of pairs in one of the known layouts, or several; or a raster, whose windows
            are then read as they are needed.
        target: The raster to translate to, where `path` is a raster; laid onto the grid of the
            source where its own is another one, which `summary()` says.
        chip_size: Side of the tensors, px; the chips' own by default. Where it is smaller,
            training pairs are cropped at random places; validation pairs stay whole, unless they
            differ in size. With two rasters the side of the windows, 256 by default.
        stride: Step from window to window of two rasters, px; `chip_size` by default. Not for
            chip folders.
        batch_size: Pairs per batch, of each process where a launcher starts several.
        val_split_pct: Share of the pairs to validate on, 0 to 1.
        seed: Seed of the split, the order of the batches, the first weights of a translator and
            whatever its training draws: two trainings on a CPU are alike, unless they differ in it.
        split: `random`; `block`, where the validation pairs form one patch; `folder`, the parts
            train and val that the folder itself has (sub-folders, or the column `split` of its
            `chips.gpkg`); or polygons, a vector file or GeoDataFrame in any CRS. `auto` is
            `folder` where there is a sub-folder for validation, `block` where chips overlap on
            the ground, else `random`; pairs in test/ are used for neither. Training never shares
            ground with validation: pairs between are left out, with a warning.
        split_column: Column of the polygons that says "train" or "val".
        buffer: Least distance between training and validation chips, whatever the split, in CRS
            units; in metres where the chips differ in CRS or reach over the 180th meridian.
        source_scaling: `auto | dtype | minmax | percentile | zscore | db | none`, see
            `make_scaling`; from the training chips alone. `auto` is the range of the values for
            classes, 0..255 for other uint8, else a robust range that clips nothing.
        target_scaling: The same for the target.
        source_bands: Bands to use, by number from 1 or by name; all by default.
        target_bands: The same for the target.
        source_classes: Whether the source's values are classes, which are resampled to the
            nearest, drawn in a colour each and one-hot for a translator. By default as
            `export_chips` was told; else they are if a chip has a colour table, or if all chips
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
    whole_number("batch_size", batch_size, 1)
    whole_number("seed", seed, 0)
    number("val_split_pct", val_split_pct, above=0, below=1)
    number("buffer", buffer, least=0)
    number("jitter", jitter, least=0, most=1)
    number("memory_mb", memory_mb, least=0)
    if num_workers is not None:
        whole_number("num_workers", num_workers, 0)
    if not (transforms is None or transforms is False or callable(transforms)):
        raise InvalidInputError(
            f"transforms is {transforms!r}; give None for flips and turns, False for none, or a "
            "function of two tensors."
        )
    folder = _find(
        path, target, chip_size, stride, source_bands, target_bands, target_classes, direction
    )
    pairs = folder.pairs
    if len(pairs) < 2:
        raise InvalidInputError(
            f"{folder.path} holds one pair; two are needed, one to train and one to validate on."
        )
    size = _chip_size(folder, chip_size, resize_to)
    parts = divide(folder, split, split_column, val_split_pct, seed, buffer)
    train, valid = ([pairs[i] for i in part] for part in (parts.train, parts.validation))
    first = pairs[0].ground
    sources, targets = ([pair.source for pair in pairs], [pair.target for pair in pairs])
    card = DataCard(
        source=describe("source", sources, parts.train, source_scaling, source_classes),
        target=describe("target", targets, parts.train, target_scaling, target_classes),
        chip_size=size,
        resize_to=resize_to,
        crs=None if first.crs is None else first.crs.to_string(),
        resolution=_resolution(first, resize_to),
        train_pairs=tuple(pair.name for pair in train),
        validation_pairs=tuple(pair.name for pair in valid),
        seed=seed,
    )
    if jitter and card.source.classes is not None:
        raise InvalidInputError(
            f"jitter is {jitter} but the source's values are {card.source.classes.count}, which "
            "have no brightness; leave jitter at 0, or pass source_classes=False if they are "
            "quantities."
        )
    warn_of_target(card.target, target_scaling, [pair.target for pair in train])
    budget = int(memory_mb * 2**20)
    fits = decoded_bytes([*sources, *targets]) <= budget
    if num_workers is None:
        num_workers = 0 if fits else max(1, (os.cpu_count() or 2) - 1)
    augmentation = Augmentation(
        turns=transforms is not False, jitter=jitter, transform=transforms or None
    )
    # Whole validation chips may be larger: as many of them as have the pixels of a batch.
    whole = max(max(pair.source.grid.height, pair.source.grid.width) for pair in valid)
    larger = (resize_to or whole) / size
    data = PairLoaders(
        TfmdDL(
            PairDataset(train, card, augmentation, budget if fits else 0),
            shuffle=True,
            # A last batch of one pair would upset batch statistics.
            drop_last=len(train) >= batch_size,
            bs=batch_size,
            num_workers=num_workers,
        ),
        TfmdDL(
            PairDataset(valid, card, None, budget if fits else 0),
            bs=max(1, int(batch_size / larger**2)),
            num_workers=num_workers,
        ),
        path=_home(folder.path),
        device=own_device(),
    )
    data.train.rng = random.Random(seed)
    data.card, data.folder, data.split = card, folder, parts
    return data


def _home(path: PathLike) -> Path:
    """Return the folder that fastai keeps its files in: the chips' own, or that of a raster."""
    near = [place for place in (Path(path), Path(path).parent) if place.is_dir()]
    return near[0] if near else Path()


def _find(
    path: PathLike | Sequence[PathLike],
    target: PathLike | None,
    chip_size: int | None,
    stride: int | None,
    source_bands: Bands | None,
    target_bands: Bands | None,
    target_classes: bool | None,
    direction: str,
) -> ChipFolder:
    if direction not in ("AtoB", "BtoA"):
        raise InvalidInputError(f"direction is {direction!r}; give 'AtoB' or 'BtoA'.")
    swap = direction == "BtoA"
    if not isinstance(path, str | os.PathLike | list | tuple):
        raise InvalidInputError(
            f"path is {type(path).__name__}; give a folder of pairs, a list of folders, or the "
            "path of a raster with target."
        )
    if target is None:
        if not isinstance(path, str | os.PathLike):
            path = [folder_path("path", item) for item in path]
        if stride is not None:
            raise InvalidInputError(
                f"stride is {stride}, but a chip folder's chips are cut already; leave it out, or "
                "give two rasters."
            )
        return ChipFolder.read(
            path,
            source_bands=source_bands,
            target_bands=target_bands,
            swap=swap,
        )
    if not isinstance(path, str | os.PathLike):
        raise InvalidInputError("With target, path has to be one raster; give two rasters.")
    if not isinstance(target, str | os.PathLike):
        raise InvalidInputError(
            f"target is {type(target).__name__}; give the path of a raster, which is opened when "
            "its pixels are needed."
        )
    side = 256 if chip_size is None else whole_number("chip_size", chip_size, 1)
    return ChipFolder.of_rasters(
        target if swap else path,
        path if swap else target,
        tile_size=side,
        stride=side if stride is None else whole_number("stride", stride, 1),
        source_bands=source_bands,
        target_bands=target_bands,
        target_classes=target_classes,
    )


def _chip_size(folder: ChipFolder, wanted: int | None, resize_to: int | None) -> int:
    sizes = sorted({(pair.source.grid.height, pair.source.grid.width) for pair in folder.pairs})
    smallest = min(min(size) for size in sizes) if resize_to is None else resize_to
    if resize_to is not None:
        whole_number("resize_to", resize_to, 1)
    if wanted is not None:
        whole_number("chip_size", wanted, 1)
    if wanted is None:
        if resize_to is None and (len(sizes) > 1 or sizes[0][0] != sizes[0][1]):
            shown = ", ".join(f"{width} x {height}" for height, width in sizes[:3])
            raise InvalidInputError(
                f"The chips of {folder.path} are not squares of one size ({shown} px); pass "
                f"chip_size, at most {smallest}, to crop them, or resize_to."
            )
        return smallest
    if wanted > smallest:
        raise InvalidInputError(
            f"chip_size is {wanted} but the smallest chip of {folder.path} has a side of "
            f"{smallest} px; give at most that, or export larger chips."
        )
    return wanted


def _resolution(grid: Grid, resize_to: int | None) -> tuple[float, float] | None:
    if grid.crs is None:
        return None
    across, down = grid.resolution
    if resize_to is None:
        return across, down
    return across * grid.width / resize_to, down * grid.height / resize_to
