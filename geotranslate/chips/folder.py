"""Find the pairs of a chip folder by name, look into every one, and say what was left out."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tqdm.auto import tqdm

from geotranslate.chips.esri import MAP_FILE, SOURCE_FOLDER, TARGET_FOLDER, read_map
from geotranslate.chips.statistics import Statistics
from geotranslate.errors import (
    GeotranslateWarning,
    GridMismatchError,
    InvalidInputError,
    RasterFileError,
)
from geotranslate.raster.grid import Grid
from geotranslate.raster.source import Source

CHIP_SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2", ".img", ".mrf", ".vrt"}
PROGRESS_FROM = 300
"""Pairs from which looking into them takes long enough for a progress bar."""


@dataclass(frozen=True, slots=True)
class Chip:
    """What one chip file holds."""

    path: Path
    grid: Grid
    bands: int
    dtype: str
    nodata: float | None
    band_names: tuple[str, ...]
    statistics: Statistics

    @classmethod
    def of(cls, path: Path) -> Chip:
        """Read a chip whole.

        Raises:
            RasterFileError: It cannot be read; the sentence names it.
        """
        with Source(path) as source:
            statistics = Statistics.of(*source.read())
            return cls(
                path,
                source.grid,
                source.bands,
                source.dtype,
                source.nodata,
                source.band_names,
                statistics,
            )

    @property
    def size(self) -> str:
        """Its size as users write it."""
        return f"{self.grid.width} x {self.grid.height}"


@dataclass(frozen=True, slots=True)
class Pair:
    """A source chip and its target chip."""

    name: str
    source: Chip
    target: Chip


@dataclass(frozen=True)
class ChipFolder:
    """The pairs of a folder that can be trained on, and a line for each thing left out."""

    path: Path
    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> ChipFolder:
        """Find, open and check every pair of `images/` and `images2/`.

        Pairs are those that `map.txt` names or, without it, those of equal names. Chips without a
        partner and pairs without a valid pixel are left out with a warning.

        Raises:
            RasterFileError: The folder is missing or a chip cannot be read.
            InvalidInputError: There is no pair, a pair differs in size, or a chip's bands or
                dtype differ from the others of its side.
            GridMismatchError: The two chips of a pair lie on different ground.
        """
        folder = Path(path)
        files, left_out = _find_files(folder)
        pairs = []
        for name, source, target in tqdm(
            files, desc="checking pairs", unit="pair", disable=len(files) < PROGRESS_FROM
        ):
            pair = Pair(name, Chip.of(source), Chip.of(target))
            _check_pair(pair)
            if pair.source.statistics.count and pair.target.statistics.count:
                pairs.append(pair)
            else:
                left_out.append(f"{name}: no valid pixel in one of the chips")
        if not pairs:
            raise InvalidInputError(f"No pair in {folder} has valid pixels on both sides.")
        for side in ("source", "target"):
            _check_alike([getattr(pair, side) for pair in pairs])
        if left_out:
            shown = "; ".join(left_out[:5]) + ("; ..." if len(left_out) > 5 else "")
            warnings.warn(
                f"{len(left_out)} of {len(left_out) + len(pairs)} entries of {folder} are left "
                f"out: {shown}",
                GeotranslateWarning,
                stacklevel=3,
            )
        return cls(folder, tuple(pairs), tuple(left_out))


def _find_files(folder: Path) -> tuple[list[tuple[str, Path, Path]], list[str]]:
    """Return (name, source file, target file) of every pair and what has no partner."""
    if not folder.is_dir():
        raise RasterFileError(f"{folder} is not a folder; give the folder that holds the chips.")
    missing = [name for name in (SOURCE_FOLDER, TARGET_FOLDER) if not (folder / name).is_dir()]
    if missing:
        found = ", ".join(sorted(item.name for item in folder.iterdir())[:8]) or "nothing"
        raise InvalidInputError(
            f"{folder} holds no pairs: {' and '.join(missing)} missing (found {found}). Give a "
            f"folder with the source chips in {SOURCE_FOLDER}/ and the target chips in "
            f"{TARGET_FOLDER}/, or write one with export_chips."
        )
    entries, left_out = _from_map(folder) if (folder / MAP_FILE).is_file() else _by_name(folder)
    if not entries:
        reason = f" ({left_out[0]}{'; ...' if len(left_out) > 1 else ''})" if left_out else ""
        raise InvalidInputError(
            f"{folder} holds no pairs: no chip in {SOURCE_FOLDER}/ has a partner in "
            f"{TARGET_FOLDER}/{reason}. A source chip and its target chip need one name."
        )
    return entries, left_out


def _from_map(folder: Path) -> tuple[list[tuple[str, Path, Path]], list[str]]:
    entries, left_out = [], []
    for source, target in read_map(folder / MAP_FILE):
        absent = [name for name in (source, target) if not (folder / name).is_file()]
        if absent:
            left_out.append(f"{' and '.join(absent)}: named in {MAP_FILE} but missing")
        else:
            entries.append((Path(source).stem, folder / source, folder / target))
    return entries, left_out


def _by_name(folder: Path) -> tuple[list[tuple[str, Path, Path]], list[str]]:
    sources, targets = _chips(folder / SOURCE_FOLDER), _chips(folder / TARGET_FOLDER)
    entries = [(name, sources[name], targets[name]) for name in sorted(sources.keys() & targets)]
    lonely = [(sources | targets)[name] for name in sorted(sources.keys() ^ targets)]
    return entries, [f"{path.relative_to(folder).as_posix()}: no partner" for path in lonely]


def _chips(folder: Path) -> dict[str, Path]:
    files = [path for path in folder.iterdir() if path.suffix.lower() in CHIP_SUFFIXES]
    twice = [stem for stem, count in Counter(path.stem for path in files).items() if count > 1]
    if twice:
        raise InvalidInputError(
            f"{folder} has several chips named {twice[0]} with different endings, so its pairs "
            "are ambiguous; keep one of them."
        )
    return {path.stem: path for path in files}


def _check_pair(pair: Pair) -> None:
    source, target = pair.source, pair.target
    if source.size != target.size:
        raise InvalidInputError(
            f"The chips of pair {pair.name} differ in size: {source.path} is {source.size} px, "
            f"{target.path} is {target.size} px. Both sides of a pair need the same pixels."
        )
    georeferenced = source.grid.crs is not None and target.grid.crs is not None
    # Half a pixel: chips that were cut by another program may differ by its rounding.
    if georeferenced and not source.grid.matches(target.grid, tolerance=0.5):
        raise GridMismatchError(
            f"The chips of pair {pair.name} lie on different ground: {source.path} and "
            f"{target.path} differ in CRS or transform. Export the pair again with export_chips, "
            "which aligns the target."
        )


Value = TypeVar("Value")


def _check_alike(chips: Sequence[Chip]) -> None:
    """Refuse chips of one side with other bands or another dtype than most of them have."""
    _refuse_odd(chips, "bands", lambda chip: chip.bands)
    _refuse_odd(chips, "dtype", lambda chip: chip.dtype)


def _refuse_odd(chips: Sequence[Chip], what: str, value: Callable[[Chip], Value]) -> None:
    usual = Counter(map(value, chips)).most_common(1)[0][0]
    for chip in chips:
        if value(chip) != usual:
            raise InvalidInputError(
                f"{chip.path} has {what} {value(chip)} where most chips of its side have {usual}; "
                "all chips of one side need the same."
            )
