"""Where a raster is written: its path, the name it has until it is whole, and what lay there."""

from __future__ import annotations

import glob
import hashlib
import os
import uuid
from contextlib import suppress
from pathlib import Path, PurePosixPath

from geotranslate.checks import file_path, flag
from geotranslate.errors import (
    GeotranslateError,
    InvalidInputError,
    OutputExistsError,
    RasterFileError,
)
from geotranslate.raster.opening import reason

SUFFIXES = (".tif", ".tiff")

LONGEST = 243
"""Bytes of an output's name: the lock of its parts has 12 more, and most disks take 255."""

LONGEST_STEM = 200
"""Bytes of a stem in temporary names, to which this module and GDAL add theirs."""

SIDECARS = (".ovr", ".msk", ".msk.ovr", ".aux.xml")
"""What GDAL and GIS programs put beside a raster, after its whole name."""


def default_output(source: str) -> Path:
    """Return `<stem>_translated.tif` beside a local source, in the working directory for others.

    Both drivers write GeoTIFFs, so the name is the same.
    """
    name = f"{PurePosixPath(source.split('?')[0]).stem}_translated.tif"
    return Path(source).with_name(name) if os.path.isfile(source) else Path(name)


def check_output(output: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Return the output's path after checking that it can be written.

    A link stays: the path is that of the file that it leads to, which need not be there yet.

    Raises:
        RasterFileError: Its folder does not exist, or it is a link that leads nowhere.
        InvalidInputError: It is no path, not named as a GeoTIFF, or its name is too long.
        OutputExistsError: It exists and `overwrite` is false.
    """
    given = file_path("output", output)
    try:
        return _checked(given, overwrite=flag("overwrite", overwrite))
    except GeotranslateError:
        raise
    except OSError as error:
        raise RasterFileError(
            f"The output {given} cannot be written: {error.strerror}. Give another name."
        ) from error


def _checked(given: Path, *, overwrite: bool) -> Path:
    path = _followed(given)
    if (size := len(os.fsencode(path.name))) > LONGEST:
        raise InvalidInputError(
            f"The output's name {path.name[:20]}... has {size} bytes; give one of at most "
            f"{LONGEST}, as names of its parts are longer."
        )
    if not path.parent.is_dir():
        raise RasterFileError(
            f"The folder {path.parent} of the output {path.name} does not exist; create it first."
        )
    if path.is_dir():
        raise RasterFileError(f"The output {path} is a folder; give the name of a file in it.")
    if given.suffix.lower() not in SUFFIXES:
        raise InvalidInputError(
            f"The output {path} is written as a GeoTIFF; give a name that ends in .tif or .tiff."
        )
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"The output {path} exists; give another name or pass overwrite=True (--overwrite)."
        )
    return path


def _followed(path: Path) -> Path:
    if not path.is_symlink():
        return path
    try:
        with suppress(FileNotFoundError):  # what it leads to need not be there yet
            path.resolve(strict=True)
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise RasterFileError(
            f"The output {path} is a link that leads to itself; give another name."
        ) from error


def temporary_for(path: Path, folder: Path | None = None) -> Path:
    """Return a fresh name in a folder, by default the same, for a file that is not whole yet."""
    return (folder or path.parent) / f".{_short(path)}.{uuid.uuid4().hex[:8]}.partial.tif"


def _short(path: Path) -> str:
    """Return a path's stem, or what tells a long one from others in fewer bytes."""
    stem = os.fsencode(path.stem)
    if len(stem) <= LONGEST_STEM:
        return path.stem
    beginning = stem[: LONGEST_STEM - 9].decode(errors="ignore")
    return f"{beginning}~{hashlib.sha256(stem).hexdigest()[:8]}"


def remove_temporaries(path: Path, folder: Path) -> None:
    """Remove what killed processes left in a folder under `temporary_for` names of a path."""
    for left in folder.glob(f".{glob.escape(_short(path))}.????????.partial.tif*"):
        left.unlink(missing_ok=True)


def unwritten(path: Path, what: str, error: BaseException, temporary: Path) -> RasterFileError:
    """Return the error that says `what` of a file could not be done."""
    # What GDAL says of a full disk is often no more than which of its functions failed.
    return RasterFileError(
        f"{path} cannot be {what}: {reason(error, temporary)}. Make sure that the folder may be "
        "written and its disk has room, and start again."
    )


def cut_off(path: Path) -> RasterFileError:
    """Return the error that says that a file is not whole although nothing failed."""
    return RasterFileError(
        f"{path} cannot be completed: the disk is full or a limit on file sizes is reached. "
        "Make room and start again."
    )


def remove_sidecars(path: Path) -> None:
    """Remove what lies beside a raster: it would be taken for that of the file now there."""
    for ending in SIDECARS:
        Path(f"{path}{ending}").unlink(missing_ok=True)
