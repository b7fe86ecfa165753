"""Let one process at a time do a thing, by locks of the operating system that die with it."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from geotranslate.errors import RasterFileError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_held: set[int] = set()


@contextmanager
def sole_holder(path: Path, *, busy: str, unwritable: Callable[[str], str]) -> Iterator[None]:
    """Hold a lock file until the block ends or the process dies, and remove it then.

    Args:
        path: The lock file.
        busy: What to say where somebody else holds it.
        unwritable: What to say where it cannot be written, from the system's reason.

    Raises:
        RasterFileError: Somebody else holds it, or it cannot be written.
    """
    try:
        descriptor = _locked(path)
    except OSError as error:
        raise RasterFileError(unwritable(str(error.strerror))) from error
    if descriptor is None:
        raise RasterFileError(busy)
    _held.add(descriptor)
    try:
        yield
    finally:
        # A forked process that leaves the block has let go of it already.
        if descriptor in _held:
            # Removed while it is held; Windows keeps open files, which does no harm.
            with suppress(OSError):
                path.unlink()
            _held.discard(descriptor)
            os.close(descriptor)


def _locked(path: Path) -> int | None:
    """Return an open lock file that is held, and still the one of that name; None if it is not."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _lock(descriptor):
            os.close(descriptor)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        # Whoever held it removed it in between.
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Take the system's lock on an open file, which ends with the process; tell if that worked."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network file systems have no locks; there the last look at the folder has to do.
        return error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return True


def _let_go() -> None:
    """Close the locks of the parent process, so that forked workers do not outlive it with them."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
