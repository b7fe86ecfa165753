"""Headers of safetensors files, read without their tensors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from geotranslate.errors import InvalidInputError
from geotranslate.networks.weightless import Shapes

MOST_HEADER = 2**26
"""Longest header that is read, bytes."""

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
