"""Names, folders and locks of outputs."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from geotranslate.checks import file_path, flag
from geotranslate.errors import (
    GeotranslateError,
    InvalidInputError,
    OutputExistsError,
    RasterFileError,
)
from geotranslate.raster.opening import reason

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_held: set[int] = set()


PATIENCE = 2.0
"""Seconds that the holder of a shared lock waits for another process that is removing it."""

SUFFIXES = (".tif", ".tiff")
LONGEST = 243
"""Bytes of an output's name: the lock of its parts has 12 more, and most disks take 255."""
LONGEST_STEM = 200
"""Bytes of a stem in temporary names, to which this module and GDAL add theirs."""
SIDECARS = (".ovr", ".msk", ".msk.ovr", ".aux.xml")
"""Endings that GDAL and GIS programs append to a raster's name for sidecar files."""


@contextmanager
def sole_holder(
    path: Path,
    *,
    busy: str,
    unwritable: Callable[[str], str],
    shared: bool = False,
    patience: float = 0,
) -> Iterator[bool]:
    """Hold a lock file until the block ends or the process dies; then remove it.

    Yields whether the lock is certain: some file systems have no locks.

    Args:
        path: The lock file.
        busy: Sentence of the error if another process holds it.
        unwritable: Returns the sentence of the error if it cannot be written, from the reason.
        shared: Whether other processes with `shared` may hold it too. Windows has no shared locks,
            so no process is kept out there.
        patience: Seconds to wait for another process to release it.

    Raises:
        RasterFileError: Another process holds it, or it cannot be written.
    """
    try:
        descriptor, sure = _locked(path, shared, max(patience, PATIENCE if shared else 0))
    except OSError as error:
        raise RasterFileError(unwritable(str(error.strerror))) from error
    if descriptor is None:
        raise RasterFileError(busy)
    _held.add(descriptor)
    try:
        yield sure
    finally:
        # A forked process that leaves the block has released it already.
        if descriptor in _held:
            # Removed while held. Windows keeps open files, which does no harm.
            if not shared or _lock(descriptor, shared=False) is True:
                with suppress(OSError):
                    path.unlink()
            _held.discard(descriptor)
            os.close(descriptor)


def _locked(path: Path, shared: bool, patience: float) -> tuple[int | None, bool]:
    """Return the open lock file, None if another process holds it, and if the lock is certain."""
    until = time.monotonic() + patience
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        held = _lock(descriptor, shared)
        if held is False:
            os.close(descriptor)
            if time.monotonic() < until:
                time.sleep(0.01)
                continue
            return None, False
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor, held is True
        # The former holder removed the file in between.
        os.close(descriptor)


def _lock(descriptor: int, shared: bool) -> bool | None:
    """Lock an open file until the process ends; return whether that worked.

    Returns None if there are no locks, as on some network file systems.
    """
    try:
        if sys.platform == "win32":
            if shared:
                return None
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK) else None
    return True


def _let_go() -> None:
    """Close the locks of the parent process in forked workers, which may outlive it."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def default_output(source: str) -> Path:
    """Return `<stem>_translated.tif` beside a local source, in the working directory for others.

    Both drivers write GeoTIFFs, so the name is the same.
    """
    name = f"{PurePosixPath(source.split('?')[0]).stem}_translated.tif"
    return Path(source).with_name(name) if os.path.isfile(source) else Path(name)


def check_output(output: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Return the output's path after checking that it can be written.

    Links are followed, also to a file that does not exist yet.

    Raises:
        RasterFileError: Its folder does not exist, or it is a link that leads nowhere.
        InvalidInputError: It is not a path, its name is not one of a GeoTIFF, or it is too long.
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
            f"The output {path} is written as a GeoTIFF; give a name that ends in .tif or .tiff, "
            "or write a picture by predict(image, output=...)."
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
        with suppress(FileNotFoundError):  # the target need not exist yet
            path.resolve(strict=True)
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise RasterFileError(
            f"The output {path} is a link that leads to itself; give another name."
        ) from error


def temporary_for(path: Path, folder: Path | None = None) -> Path:
    """Return a new temporary name in a folder, by default the folder of the path."""
    return (folder or path.parent) / f".{_short(path)}.{uuid.uuid4().hex[:8]}.partial.tif"


def _short(path: Path) -> str:
    """Return a path's stem, shortened with a digest if it is long."""
    stem = os.fsencode(path.stem)
    if len(stem) <= LONGEST_STEM:
        return path.stem
    beginning = stem[: LONGEST_STEM - 9].decode(errors="ignore")
    return f"{beginning}~{hashlib.sha256(stem).hexdigest()[:8]}"


def remove_temporaries(path: Path, folder: Path) -> None:
    """Remove temporary files of a path that killed processes left in a folder."""
    for left in folder.glob(f".{glob.escape(_short(path))}.????????.partial.tif*"):
        left.unlink(missing_ok=True)


def unwritten(path: Path, what: str, error: BaseException, temporary: Path) -> RasterFileError:
    """Return the error for a file that cannot be written or completed, as `what` says."""
    # For a full disk, GDAL often reports only which of its functions failed.
    return RasterFileError(
        f"{path} cannot be {what}: {reason(error, temporary)}. Make sure that the folder may be "
        "written and its disk has room, and start again."
    )


def cut_off(path: Path) -> RasterFileError:
    """Return the error for a file that is incomplete although no call failed."""
    return RasterFileError(
        f"{path} cannot be completed: the disk is full or a limit on file sizes is reached. "
        "Make room and start again."
    )


def remove_sidecars(path: Path) -> None:
    """Remove the sidecar files of a replaced raster, which do not belong to the new one."""
    for ending in SIDECARS:
        Path(f"{path}{ending}").unlink(missing_ok=True)
