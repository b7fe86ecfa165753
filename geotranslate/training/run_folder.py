"""The folder of a training and its files of weights."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from geotranslate.errors import InvalidInputError, RasterFileError, said, warn
from geotranslate.files import replaced_when_whole
from geotranslate.networks.weightless import Shapes
from geotranslate.raster.writing import sole_holder

MOST_HEADER = 2**26
"""Longest header that is read, bytes."""

LOCK_FILE = ".geotranslate-training.lock"
DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8},
    **{"U8": torch.uint8, "BOOL": torch.bool},
}


def opened(file: Path) -> Any:
    """Open a safetensors file whose header is of a bounded size.

    Raises:
        InvalidInputError: The header is larger, or it is no regular file.
        SafetensorError: It is damaged.
        OSError: It cannot be read.
    """
    if not os.path.isfile(file):
        raise InvalidInputError(f"{file} is no file.")
    with file.open("rb") as content:
        length = int.from_bytes(content.read(8), "little")
    if length > MOST_HEADER:
        raise InvalidInputError(f"{file.name} has a header of more than {MOST_HEADER >> 20} MiB.")
    return safe_open(file, framework="pt")


def shapes_in(file: Path) -> Shapes:
    """Return dtypes and shapes of the tensors in a safetensors file.

    Raises:
        InvalidInputError: The header is too large.
        SafetensorError: It is damaged.
        OSError: It cannot be read.
    """
    with opened(file) as weights:
        slices = {name: weights.get_slice(name) for name in weights.keys()}
        return {
            name: (DTYPES.get(one.get_dtype()), tuple(one.get_shape()))
            for name, one in slices.items()
        }


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
