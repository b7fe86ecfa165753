"""Lock files of the operating system, which end with the process that holds them."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from geotranslate.errors import RasterFileError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_held: set[int] = set()


PATIENCE = 2.0
"""Seconds that the holder of a shared lock waits for another process that is removing it."""


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
