"""The zip file from which QGIS installs the plugin."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import geotranslate
from geotranslate.checks import file_path, flag
from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError, said
from geotranslate.files import replaced_when_whole
from geotranslate.migration import checks_arguments

FOLDER = Path(__file__).parent / "plugin"
NAME = "geotranslate_processing"
"""Folder of the plugin in a profile of QGIS."""
ENDINGS = (".py", ".txt", ".svg")
METADATA = "metadata.txt"
WRITER = "writer.txt"
"""File with the Python that wrote the plugin, which the plugin looks at last for its program."""
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The same zip is written at any time."""
RIGHTS = 0o644 << 16


@checks_arguments
def write_plugin(
    path: str | os.PathLike[str] = "geotranslate_qgis.zip", *, overwrite: bool = False
) -> Path:
    """Write the plugin for QGIS as a zip file and return its path.

    QGIS installs it in *Plugins > Manage and Install Plugins > Install from ZIP*. The plugin adds
    "Translate raster" and "Evaluate raster" to the Processing toolbox, which run the `geotranslate`
    program of this or another Python. QGIS needs no further packages.

    Args:
        path: File to write, a name that ends in .zip.
        overwrite: Whether an existing file may be replaced.

    Raises:
        InvalidInputError: The name does not end in .zip.
        OutputExistsError: It exists and `overwrite` is false.
        RasterFileError: It cannot be written.
    """
    file = file_path("path", path)
    if file.suffix.lower() != ".zip":
        raise InvalidInputError(f"The plugin is a zip file; give a name that ends in .zip: {file}.")
    if file.exists() and not flag("overwrite", overwrite):
        raise OutputExistsError(
            f"{file} already exists; give another name, or overwrite=True (--overwrite)."
        )
    try:
        with (
            replaced_when_whole(file, file.with_name(f".{file.name}.partial")) as partial,
            zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for name, content in _contents():
                entry = zipfile.ZipInfo(f"{NAME}/{name}", LONG_AGO)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, RIGHTS
                archive.writestr(entry, content)
    except OSError as error:
        raise RasterFileError(
            f"The plugin {file} cannot be written: {said(error)}; give another name."
        ) from error
    return file


def _contents() -> Iterator[tuple[str, str]]:
    """Yield the names and texts of the files of the plugin."""
    for file in sorted(FOLDER.iterdir()):
        if file.suffix in ENDINGS:
            text = file.read_text(encoding="utf-8")
            if file.name == METADATA:
                text += f"version={geotranslate.__version__}\n"
            yield file.name, text
    yield WRITER, f"{sys.executable}\n"
