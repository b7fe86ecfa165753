"""Disks that are full: by a limit on the size of files, and by a small disk in memory."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from geotranslate.errors import GeotranslateError, GeotranslateWarning
from tests.wrong_values import assert_one_sentence

needs_limits = pytest.mark.skipif(
    sys.platform == "win32", reason="needs a limit on the size of files"
)


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size in bytes: writing more is an error."""
    import resource

    # Python ignores the signal that would end the process.
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a disk in memory on a new folder; skip the test where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("needs Linux and root for a small disk")
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Fill a disk but for some bytes, by a hidden file, which is returned."""
    free = os.statvfs(disk)
    filler = disk / ".filler"
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - left))
    return filler


def files_in(folder: Path) -> dict[str, bytes | None]:
    """Return all that lies in a folder, folders with None; not what a run keeps to go on."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if ".parts" not in str(path) and path.name != ".filler"
    }


def outcome(write: Callable[[], object]) -> str:
    """Call what writes; return its one sentence, or nothing if it went well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeotranslateWarning)
        try:
            write()
        except GeotranslateError as error:
            assert_one_sentence(str(error))
            return f"{type(error).__name__}: {error}"
    return ""
