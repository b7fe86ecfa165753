"""Let one process at a time do a thing, by locks of the operating system that die with it."""

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
"""Seconds in which one who holds a lock with others waits for another one who is removing it."""


@contextmanager
def sole_holder(
    path: Path,
    *,
    busy: str,
    unwritable: Callable[[str], str],
    shared: bool = False,
    patience: float = 0,
) -> Iterator[bool]:
    """Hold a lock file until the block ends or the process dies, and remove it then.

    Yields whether it is held for sure: some file systems have no locks.

    Args:
        path: The lock file.
        busy: What to say where somebody else holds it.
        unwritable: What to say where it cannot be written, from the system's reason.
        shared: Whether to hold it together with others who do so, and keep out those who do not.
            Windows has no such locks, so that it keeps nobody out there.
        patience: Seconds to wait for somebody else to let it go.

    Raises:
        RasterFileError: Somebody else holds it, or it cannot be written.
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
        # A forked process that leaves the block has let go of it already.
        if descriptor in _held:
            # Removed while it is held; Windows keeps open files, which does no harm.
            if not shared or _lock(descriptor, shared=False) is True:
                with suppress(OSError):
                    path.unlink()
            _held.discard(descriptor)
            os.close(descriptor)


def _locked(path: Path, shared: bool, patience: float) -> tuple[int | None, bool]:
    """Return an open lock file of that name, None if another has it, and if it is surely held."""
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
        # Whoever held it removed it in between.
        os.close(descriptor)


def _lock(descriptor: int, shared: bool) -> bool | None:
    """Take the system's lock on an open file, which ends with the process; tell if that worked.

    None where there are no locks, as on some network file systems.
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
    """Close the locks of the parent process, so that forked workers do not outlive it with them."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
