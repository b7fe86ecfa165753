"""The transaction of an export, which adds all of its chips to the folder or none."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

from rasterio.errors import RasterioError

from geotranslate.chips.export.esri_metadata import METADATA_FILES
from geotranslate.chips.export.exportoptions import LAYOUTS, ExportOptions
from geotranslate.chips.export.scene_sides import Scene
from geotranslate.chips.layouts import (
    CHIP_SUFFIXES,
    MAP_FILE,
    read_map,
)
from geotranslate.chips.split import FOOTPRINTS_FILE, refuse_open_footprints
from geotranslate.errors import (
    GeotranslateError,
    InvalidInputError,
    OutputExistsError,
    RasterFileError,
    said,
)
from geotranslate.raster.writing import sole_holder

Folders: TypeAlias = "tuple[str, str]"
"""Folders of source chips and target chips."""
BESIDE_CHIPS = (FOOTPRINTS_FILE, *METADATA_FILES)
"""Files that an export replaces besides the folders of chips, the list of pairs last."""
ALL_FOLDERS = tuple(name for folders in LAYOUTS.values() for name in folders)
FORMER = "former_"
"""Prefix of replaced files and folders while they are kept aside."""
ARRIVING_FILE = ".geotranslate-arriving"
"""List of the files that an append is moving in, by which leftovers of a killed one are found."""


@contextmanager
def sole_writer(folder: Path) -> Iterator[bool]:
    """Lock a folder against other exports until the block ends or the process dies.

    Yields whether the lock is certain, as some file systems have no locks.

    Raises:
        RasterFileError: Another export writes into it, or the lock file beside it cannot be
            written.
    """
    real = Path(os.path.realpath(folder))
    path = real.with_name(f".{real.name}.lock")
    with sole_holder(
        path,
        busy=f"Another export is writing {folder}; wait until it has ended, or give another "
        "folder.",
        unwritable=lambda why: (
            f"{folder} cannot be written: {why} in {path.parent}. Give a folder in one that you "
            "may write to."
        ),
    ) as sure:
        yield sure


@contextmanager
def disk_trouble(folder: Path) -> Iterator[None]:
    """Convert errors of the disk and of GDAL while chips are written.

    Args:
        folder: The chip folder, as the user gave it.

    Raises:
        RasterFileError: Something cannot be written.
    """
    try:
        yield
    except GeotranslateError:
        raise
    except (OSError, RasterioError) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise RasterFileError(
            f"The chips of {folder} cannot be written: {why or said(error)}. Make sure that the "
            "folder may be written and its disk has room, and export again."
        ) from error


def put_in_place(
    written: Path,
    folder: Path,
    folders: Folders,
    *,
    beside: Sequence[tuple[str, str]] | None = None,
) -> None:
    """Move finished chips and metadata into the folder, adding to its chips or replacing them.

    An interruption leaves all old or all new chips, and never a pair of an old and a new one.

    Args:
        written: Temporary folder that holds them.
        folder: The chip folder.
        folders: Its folders of chips.
        beside: Pairs in the folder, which stay; None to replace them.

    Raises:
        RasterFileError: The pairs in the folder have changed meanwhile, or another program has
            opened its `chips.gpkg`.
    """
    new = not folder.exists()
    refuse_open_footprints(folder)
    try:
        folder.mkdir(exist_ok=True)
        if beside is None:
            _exchange(written, folder, folders)
        else:
            if mapped_pairs(folder, folders) != list(beside):
                raise RasterFileError(
                    f"{folder} was changed by another program while chips were cut for it; export "
                    "again."
                )
            _add(written, folder, folders)
    except BaseException:
        if new:
            with suppress(OSError):
                folder.rmdir()
        raise


def _add(written: Path, folder: Path, folders: Folders) -> None:
    """Move new chips beside old ones, and finally the list that names them."""
    arriving = [f"{side}/{path.name}" for side in folders for path in (written / side).iterdir()]
    try:
        (folder / ARRIVING_FILE).write_text("\n".join(arriving), encoding="utf-8")
        for side in folders:
            (folder / side).mkdir(exist_ok=True)
        for name in (*arriving, *BESIDE_CHIPS):
            os.replace(written / name, folder / name)
    finally:
        remove_unnamed(folder)
        for side in folders:
            with suppress(OSError):  # it holds chips
                (folder / side).rmdir()


def remove_unnamed(folder: Path) -> None:
    """Remove chips that an interrupted append moved in but did not list."""
    listed = folder / ARRIVING_FILE
    if not listed.is_file():
        return
    arriving = listed.read_text(encoding="utf-8").splitlines()
    named = {name for pair in _mapped(folder) for name in pair}
    # The list is replaced atomically: it names all of them or none.
    if not named.intersection(arriving):
        for name in arriving:
            side, _, file = name.rpartition("/")
            if side in ALL_FOLDERS and file:
                (folder / side / file).unlink(missing_ok=True)
    listed.unlink()


def _exchange(written: Path, folder: Path, folders: Folders) -> None:
    """Replace old chips and metadata by new ones; on failure, put everything back."""
    exchanged = (*folders, *BESIDE_CHIPS)
    # All old ones move first, into the temporary folder, which is removed at the end.
    moves = [
        (folder / name, written / f"{FORMER}{name}")
        for name in exchanged
        if (folder / name).exists()
    ]
    moves += [(written / name, folder / name) for name in exchanged]
    done: list[tuple[Path, Path]] = []
    try:
        for before, after in moves:
            os.replace(before, after)
            done.append((before, after))
    except BaseException:
        for before, after in reversed(done):
            os.replace(after, before)
        raise


def check_folder(folder: Path, options: ExportOptions) -> Path:
    """Return the absolute path of a folder after checking that it may be written.

    Raises:
        RasterFileError: It is a file, its parent folder does not exist, or another program has its
            `chips.gpkg` open with changes.
        OutputExistsError: It is not empty, and neither overwriting nor appending was asked for.
        InvalidInputError: It has chips of another layout, or a folder of chips whose name differs
            only in case.
    """
    with disk_trouble(folder):
        found = _checked(folder, full=options.adds_or_replaces)
        if folder.is_dir():
            _refuse_other_case(folder, options.folders)
            _refuse_other_layout(folder, options)
        return found


def _checked(folder: Path, *, full: bool) -> Path:
    if not folder.absolute().parent.is_dir():
        raise RasterFileError(
            f"The folder {folder.parent}, in which {folder.name} shall be written, does not exist; "
            "create it first."
        )
    if folder.exists() and not folder.is_dir():
        raise RasterFileError(f"{folder} is a file; give the name of a folder.")
    if folder.is_symlink() and not folder.exists():
        raise RasterFileError(
            f"{folder} is a link that leads nowhere; make the folder that it leads to, or give "
            "another one."
        )
    if folder.is_dir() and any(folder.iterdir()) and not full:
        raise OutputExistsError(
            f"The folder {folder} is not empty; give another one, or pass overwrite=True, which "
            "replaces the chips in it, or append=True, which adds to them."
        )
        refuse_open_footprints(folder)
    return folder.absolute()


def _refuse_other_layout(folder: Path, options: ExportOptions) -> None:
    """Refuse a folder that has the folders of another layout, of which one would not be read."""
    for layout, folders in LAYOUTS.items():
        if layout != options.layout and all((folder / name).is_dir() for name in folders):
            raise InvalidInputError(
                f"{folder} has {' and '.join(f'{name}/' for name in folders)}, beside which chips "
                f"of layout={options.layout!r} would be confused with them; give "
                f"layout={layout!r}, or export into another folder."
            )


def refuse_inputs_inside(folder: Path, scenes: Sequence[Scene], folders: Folders) -> None:
    """Refuse to replace chips if an input lies among them.

    Raises:
        InvalidInputError: A scene reads a file among the chips to be replaced.
    """
    replaced = [(folder / name).resolve() for name in folders]
    for scene in scenes:
        for file in (*scene.source.files, *scene.target.files):
            if any(Path(file).resolve().is_relative_to(place) for place in replaced):
                raise InvalidInputError(
                    f"{file} lies among the chips of {folder} that overwrite=True would replace; "
                    "move it, or export into another folder."
                )


def _refuse_other_case(folder: Path, folders: Folders) -> None:
    """Refuse a folder that has folders of chips whose names differ only in case.

    Raises:
        InvalidInputError: There is one; the new chips could not be read beside it.
    """
    lower = {name.lower(): name for name in folders}
    for name in sorted(path.name for path in folder.iterdir()):
        if name not in folders and name.lower() in lower:
            raise InvalidInputError(
                f"{folder} has {name}/, and {lower[name.lower()]}/, into which chips go, differs "
                "from it in case alone; export into another folder, or rename it."
            )


def mapped_pairs(folder: Path, folders: Folders) -> list[tuple[str, str]]:
    """Return the pairs of a folder's `map.txt`, which must list all of its chips.

    Raises:
        InvalidInputError: They are not.
    """
    pairs = _mapped(folder)
    for name, side in zip(folders, zip(*pairs, strict=True) if pairs else ([], []), strict=True):
        present = {f"{name}/{path.name}" for path in _chips_in(folder / name)}
        if present != set(side):
            odd = sorted(present ^ set(side))
            raise InvalidInputError(
                f"{folder} cannot be appended to: its {MAP_FILE} does not name just the chips of "
                f"{name}/, for example {odd[0]}. Export into another folder, and give "
                "prepare_data both."
            )
    return pairs


def _mapped(folder: Path) -> list[tuple[str, str]]:
    return read_map(folder / MAP_FILE) if (folder / MAP_FILE).is_file() else []


def _chips_in(folder: Path) -> list[Path]:
    """Return the chip files of a folder; none if the folder does not exist."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.suffix.lower() in CHIP_SUFFIXES]


def clear_leftovers(folder: Path) -> None:
    """Remove the temporary folders of earlier exports into a folder, none of which may be running.

    If an export died while it replaced chips, the old chips are put back first. A temporary folder
    stays if they cannot be put back, because something else has taken their place.

    Args:
        folder: The chip folder, which need not exist, as it was given to the exports.
    """
    left = re.compile(rf"\.{re.escape(folder.name)}\.[a-z0-9_]{{8}}\.partial")
    for path in list(folder.parent.iterdir()):
        if left.fullmatch(path.name) and path.is_dir() and _holds_nothing_old(path, folder):
            shutil.rmtree(path, ignore_errors=True)


def _holds_nothing_old(temporary: Path, folder: Path) -> bool:
    """Put old chips back if needed; tell whether the temporary folder may be removed."""
    exchanged = (*_folders_in(temporary), *BESIDE_CHIPS)
    old = [name for name in exchanged if (temporary / f"{FORMER}{name}").exists()]
    waiting = [name for name in exchanged if (temporary / name).exists()]
    if not old or not waiting:
        # Either nothing was moved aside, or all new chips are in place.
        return True
    if not folder.is_dir() or any((folder / name).exists() for name in old if name in waiting):
        return False
    arrived = [name for name in exchanged if name not in waiting and (folder / name).exists()]
    try:
        for name in arrived:
            os.replace(folder / name, temporary / name)
        for name in old:
            os.replace(temporary / f"{FORMER}{name}", folder / name)
    except OSError:
        return False
    return True


def _folders_in(temporary: Path) -> Folders:
    """Return the folders of chips of a temporary folder, by its list of pairs, which leaves last.

    Without a list, no chip was moved, or all of them were.
    """
    names = {name.partition("/")[0] for pair in _mapped(temporary) for name in pair}
    return next((f for f in LAYOUTS.values() if names == set(f)), LAYOUTS["pairs"])
