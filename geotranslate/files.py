"""Atomic writing of files, folders to write into, and digests of files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from geotranslate.errors import RasterFileError, said

BLOCK = 2**20
"""Bytes that are read at a time."""


@contextmanager
def replaced_when_whole(path: Path, temporary: Path) -> Iterator[Path]:
    """Yield a temporary name, whose file replaces another file when the block ends.

    The bytes are on the disk before the file gets its name. If the block fails, the temporary file
    is removed and the former file stays.

    Args:
        path: File to write.
        temporary: Name in a folder on the same disk.

    Raises:
        OSError: The file cannot be written.
    """
    try:
        yield temporary
        put_in_place(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a complete file after its bytes are on the disk.

    Raises:
        OSError: The disk is full, or the file cannot be renamed.
    """
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def create_folder(folder: Path, purpose: str = "") -> Path:
    """Create a folder and those above it, unless it exists, and return it.

    Args:
        folder: The folder.
        purpose: Words behind its name in the message, for example "for the translations".

    Raises:
        RasterFileError: It cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        named = f"The folder {folder} {purpose}".rstrip()
        raise RasterFileError(
            f"{named} cannot be created: {said(error)}; give another folder."
        ) from error
    return folder


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
