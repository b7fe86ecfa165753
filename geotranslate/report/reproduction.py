"""Facts by which a page can be made again: command, versions and digests."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from geotranslate.chips.stacking import as_raster
from geotranslate.errors import RasterFileError, said
from geotranslate.files import sha256_of
from geotranslate.raster.opening import RasterLike, files_of, open_raster
from geotranslate.report.content import Reproduction, Row, Table, page_name

PACKAGES = ("geotranslate", "torch", "fastai", "rasterio", "numpy")
UNKNOWN = "not a local file"
GIVEN = "GIVEN_IN_PYTHON"
"""Stands in the command for a value that has no text."""


def reproduction_of(
    file: Path,
    scenes: Iterable[tuple[str, str]],
    options: Mapping[str, Any],
    digest: str,
    inputs: Iterable[Row],
) -> Reproduction:
    """Return the facts by which a page can be made again.

    Args:
        file: The page.
        scenes: Names of scenes and of their references, "" for none.
        options: Arguments of `report` that differ from their defaults.
        digest: SHA-256 of the model's weights.
        inputs: Names of the files that were read, and their digests.
    """
    command = ["geotranslate", "report", "MODEL", file.name]
    for scene, reference in scenes:
        command += ["--scene", f"{scene}={reference}" if reference else scene]
    for name, value in options.items():
        command += _option(name, value)
    versions = [(name, version(name)) for name in PACKAGES]
    versions += [("GDAL", rasterio.__gdal_version__), ("Python", platform.python_version())]
    rows = (("MODEL, its weights", digest), *dict.fromkeys(inputs))
    return Reproduction(
        shlex.join(command),
        Table("Versions", tuple(versions), ("Package", "Version"), numeric=False),
        Table("SHA-256", rows, ("File", "SHA-256"), numeric=False),
    )


def digests_of(raster: RasterLike) -> list[Row]:
    """Return the names of the local files of a raster, and their SHA-256.

    Raises:
        RasterFileError: A file cannot be read.
    """
    with ExitStack() as stack:
        dataset = open_raster(as_raster(raster), stack)
        files = sorted(files_of(dataset))
        name = page_name(dataset.name)
    return [digest_of(file) for file in files] or [(name, UNKNOWN)]


def digest_of(file: Path) -> Row:
    """Return the name of a file and its SHA-256.

    Raises:
        RasterFileError: The file cannot be read.
    """
    try:
        return file.name, sha256_of(file)
    except OSError as error:
        raise RasterFileError(f"{file} cannot be read: {said(error)}; check the disk.") from error


def _option(name: str, value: Any) -> list[str]:
    """Return an option of the command line."""
    if name == "palette":
        colors = value.items() if isinstance(value, Mapping) else enumerate(value)
        return [
            text
            for number, color in colors
            for text in ("--color", f"{number}:{','.join(f'{part:g}' for part in color)}")
        ]
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, str | os.PathLike):
        return [option, os.path.basename(os.fspath(value))]
    if isinstance(value, list | tuple | np.ndarray) and not any(
        isinstance(item, list | tuple) for item in value
    ):
        return [option, ",".join(map(str, value))]
    if isinstance(value, bool | np.bool_):
        return [option, str(bool(value)).lower()]
    return [option, f"{value:g}" if isinstance(value, int | float) else GIVEN]
