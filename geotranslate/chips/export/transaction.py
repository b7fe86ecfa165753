"""The transaction of an export: all of its chips are put into the folder, or none."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rasterio.errors import RasterioError

from geotranslate.chips.export.esri_metadata import METADATA_FILES
from geotranslate.chips.export.export_options import ExportOptions
from geotranslate.chips.export.scene_sides import Scene
from geotranslate.chips.layouts import (
    CHIP_SUFFIXES,
    MAP_FILE,
    SOURCE_FOLDER,
    TARGET_FOLDER,
    read_map,
)
from geotranslate.chips.split import FOOTPRINTS_FILE
from geotranslate.errors import (
    GeotranslateError,
    InvalidInputError,
    OutputExistsError,
    RasterFileError,
    said,
)
from geotranslate.raster.writing import sole_holder

FOLDERS = (SOURCE_FOLDER, TARGET_FOLDER)
EXCHANGED = (*FOLDERS, FOOTPRINTS_FILE, *METADATA_FILES)
"""Names that an export replaces."""
FORMER = "former_"
"""Before the names of what is replaced, while it is aside."""
ARRIVING_FILE = ".geotranslate-arriving"
"""Names the files that an append is moving in; what a killed one leaves is known by it."""


@contextmanager
def sole_writer(folder: Path) -> Iterator[bool]:
    """Keep other exports out of a folder, until the block ends or the process dies.

    Yields whether it is sure that there is no other: some file systems have no locks.

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
    """Turn what the disk and GDAL raise while chips are written into one sentence.

    Args:
        folder: The chip folder, as the user knows it.

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
    written: Path, folder: Path, *, beside: Sequence[tuple[str, str]] | None = None
) -> None:
    """Move finished chips and metadata into the folder: beside the chips in it, or instead of them.

    An interruption leaves all old or all new chips, and never a pair of an old and a new one.

    Args:
        written: Where they are.
        folder: Where they go.
        beside: The pairs that are there and stay; None where chips are replaced.

    Raises:
        RasterFileError: Other pairs are there by now.
    """
    new = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
        if beside is None:
            _exchange(written, folder)
        else:
            if mapped_pairs(folder) != list(beside):
                raise RasterFileError(
                    f"{folder} was changed by another program while chips were cut for it; export "
                    "again."
                )
            _add(written, folder)
    except BaseException:
        if new:
            with suppress(OSError):
                folder.rmdir()
        raise


def _add(written: Path, folder: Path) -> None:
    """Move new chips beside old ones, and at last the list that names them."""
    arriving = [f"{side}/{path.name}" for side in FOLDERS for path in (written / side).iterdir()]
    try:
        (folder / ARRIVING_FILE).write_text("\n".join(arriving), encoding="utf-8")
        for side in FOLDERS:
            (folder / side).mkdir(exist_ok=True)
        for name in (*arriving, FOOTPRINTS_FILE, *METADATA_FILES):
            os.replace(written / name, folder / name)
    finally:
        remove_unnamed(folder)
        for side in FOLDERS:
            with suppress(OSError):  # it holds chips
                (folder / side).rmdir()


def remove_unnamed(folder: Path) -> None:
    """Remove what an interrupted append moved in without getting to name it."""
    listed = folder / ARRIVING_FILE
    if not listed.is_file():
        return
    arriving = listed.read_text(encoding="utf-8").splitlines()
    named = {name for pair in _mapped(folder) for name in pair}
    # The list is replaced in one go: it names all of them or none.
    if not named.intersection(arriving):
        for name in arriving:
            side, _, file = name.rpartition("/")
            if side in FOLDERS and file:
                (folder / side / file).unlink(missing_ok=True)
    listed.unlink()


def _exchange(written: Path, folder: Path) -> None:
    """Put new chips and metadata where old ones may be, or everything back if that fails."""
    # The old ones first, all of them: what is aside goes with the temporary folder.
    moves = [
        (folder / name, written / f"{FORMER}{name}")
        for name in EXCHANGED
        if (folder / name).exists()
    ]
    moves += [(written / name, folder / name) for name in EXCHANGED]
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
    """Return the absolute path of a folder that may be written.

    Raises:
        RasterFileError: It is a file, or what is above it does not exist.
        OutputExistsError: It is not empty, and chips are neither to be replaced nor added.
        InvalidInputError: A folder of chips is there in another case.
    """
    with disk_trouble(folder):
        return _checked(folder, full=options.adds_or_replaces)


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
    if folder.is_dir():
        _refuse_other_case(folder)
    return folder.absolute()


def refuse_inputs_inside(folder: Path, scenes: Sequence[Scene]) -> None:
    """Refuse to replace chips among which an input lies.

    Raises:
        InvalidInputError: A file that a scene reads lies where chips are replaced.
    """
    replaced = [(folder / name).resolve() for name in FOLDERS]
    for scene in scenes:
        for file in (*scene.source.files, *scene.target.files):
            if any(Path(file).resolve().is_relative_to(place) for place in replaced):
                raise InvalidInputError(
                    f"{file} lies among the chips of {folder} that overwrite=True would replace; "
                    "move it, or export into another folder."
                )


def _refuse_other_case(folder: Path) -> None:
    """Refuse to write chips where folders of theirs are there in another case.

    Raises:
        InvalidInputError: One is; beside it or instead of it the new chips could not be read.
    """
    for name in sorted(path.name for path in folder.iterdir()):
        if name.lower() in FOLDERS and name not in FOLDERS:
            raise InvalidInputError(
                f"{folder} has {name}/, and {name.lower()}/, into which chips go, differs from it "
                "in case alone; export into another folder, or rename it."
            )


def mapped_pairs(folder: Path) -> list[tuple[str, str]]:
    """Return the pairs of a folder's `map.txt`, which have to be all that is in it.

    Raises:
        InvalidInputError: They are not.
    """
    pairs = _mapped(folder)
    for name, side in zip(FOLDERS, zip(*pairs, strict=True) if pairs else ([], []), strict=True):
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
    """Return the chip files of a folder, none if it is not there."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.suffix.lower() in CHIP_SUFFIXES]


def clear_leftovers(folder: Path) -> None:
    """Remove the temporary folders of exports into a folder, none of which may be alive.

    Where one died while it replaced chips, the old ones are put back first. What cannot be put
    back, as something else is there by now, is left where it is.

    Args:
        folder: The chip folder, there or not, as the exports were given it.
    """
    left = re.compile(rf"\.{re.escape(folder.name)}\.[a-z0-9_]{{8}}\.partial")
    for path in list(folder.parent.iterdir()):
        if left.fullmatch(path.name) and path.is_dir() and _holds_nothing_old(path, folder):
            shutil.rmtree(path, ignore_errors=True)


def _holds_nothing_old(temporary: Path, folder: Path) -> bool:
    """Put back what is old, and tell whether that went well."""
    old = [name for name in EXCHANGED if (temporary / f"{FORMER}{name}").exists()]
    waiting = [name for name in EXCHANGED if (temporary / name).exists()]
    if not old or not waiting:
        # Either it moved nothing aside, or all of the new is in place.
        return True
    if not folder.is_dir() or any((folder / name).exists() for name in old if name in waiting):
        return False
    arrived = [name for name in EXCHANGED if name not in waiting and (folder / name).exists()]
    try:
        for name in arrived:
            os.replace(folder / name, temporary / name)
        for name in old:
            os.replace(temporary / f"{FORMER}{name}", folder / name)
    except OSError:
        return False
    return True
