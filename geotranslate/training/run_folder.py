"""The folder of a training: its lock, and files that are replaced when whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from geotranslate.errors import RasterFileError, said, warn
from geotranslate.files import replaced_when_whole
from geotranslate.raster.writing import sole_holder

LOCK_FILE = ".geotranslate-training.lock"


@contextmanager
def sole_training(folder: Path) -> Iterator[None]:
    """Make a folder, and lock it until the block ends or the process dies.

    On file systems without locks it is not locked.

    Raises:
        RasterFileError: Another training writes to it, or nothing can be written to it.
    """
    make_folder(folder)
    with sole_holder(
        folder / LOCK_FILE,
        busy=f"Another training is writing to {folder}; wait until it has ended, or give fit "
        "another folder.",
        unwritable=lambda why: _unwritable(folder, why),
    ):
        yield


def make_folder(folder: Path) -> None:
    """Make a folder, unless it exists, and check that it is writable.

    Raises:
        RasterFileError: It is not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RasterFileError(_unwritable(folder, said(error))) from error


def _unwritable(folder: Path, why: object) -> str:
    return (
        f"The training cannot write to the folder {folder}: {why}. Give fit another folder, or "
        "checkpoint=False to keep nothing."
    )


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside a file, which is replaced when the block ends.

    The name is always the same, so that the next training overwrites what a killed one left.

    Raises:
        RasterFileError: It cannot be written; then the file of before stays.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced_when_whole(path, partial):
            yield partial
    except (OSError, SafetensorError) as error:
        raise RasterFileError(
            f"{path} cannot be written: {said(error)}. Make sure that the folder may be written "
            "and its disk has room."
        ) from error


@contextmanager
def tolerate_write_errors(lost: str) -> Iterator[None]:
    """Warn where a file cannot be written, for example on a full disk; the training continues.

    Args:
        lost: Consequence, as the end of the sentence.
    """
    try:
        yield
    except OSError as error:
        sentence = f"{said(error)}. The training goes on; {lost}."
        warn(sentence)
