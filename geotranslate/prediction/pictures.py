"""Images that `predict` takes and pictures that it writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image

from geotranslate.checks import file_path
from geotranslate.chips.bands import Side
from geotranslate.chips.stacking import as_raster
from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError, said
from geotranslate.files import replaced_when_whole
from geotranslate.prediction.imageinference import ImageInference
from geotranslate.prediction.scenefiles import like_training
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import RasterLike, quiet_about_georeference
from geotranslate.raster.reader import RasterReader

Pixels: TypeAlias = "tuple[NDArray[Any], NDArray[np.bool_], Grid | None]"
ImageLike: TypeAlias = "RasterLike | NDArray[Any] | Image.Image"

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""GDAL drivers of pictures by ending."""
DTYPES = {"PNG": ("uint8", "uint16"), "JPEG": ("uint8",)}
BANDS = {"PNG": (1, 2, 3, 4), "JPEG": (1, 3)}


def pixels_of(image: ImageLike, inference: ImageInference) -> Pixels:
    """Return the bands `(bands, rows, cols)` that a model takes, the valid pixels and the grid.

    The grid is None for arrays and PIL images.

    Raises:
        RasterFileError: The raster cannot be read.
        InvalidInputError: The image has other bands, or the array is empty or not numeric.
    """
    if isinstance(image, Image.Image):
        return _of_picture(image, inference.card.source)
    if isinstance(image, np.ndarray):
        return _of_array(image, inference.card.source.bands)
    with RasterReader(like_training(as_raster(image), inference.card.source)) as source:
        data, valid = RasterReader(source.dataset, inference.bands_of(source)).read()
        return data, valid, source.grid


def _of_array(array: NDArray[Any], bands: int) -> Pixels:
    """Return an array with its bands first, where the shape says which axis they are."""
    if array.ndim == 2 and bands == 1:
        array = array[None]
    if array.ndim == 3 and array.shape[0] != bands and array.shape[2] == bands:
        array = np.moveaxis(array, 2, 0)
    if array.ndim != 3 or array.size == 0 or array.dtype.kind not in "buif":
        raise InvalidInputError(
            f"The array has shape {array.shape} and dtype {array.dtype}; give numbers (bands, "
            "rows, cols) or (rows, cols, bands), at least one of each."
        )
    return array, np.asarray(np.isfinite(array).all(axis=0)), None


def _of_picture(picture: Image.Image, source: Side) -> Pixels:
    """Return the bands of a PIL image; alpha is its mask unless the model takes it as a band."""
    if "transparency" in picture.info or (picture.mode == "P" and source.classes is None):
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    bands = picture.getbands()
    valid = np.ones((picture.height, picture.width), bool)
    if bands[-1] == "A" and len(bands) != source.bands:
        valid = np.asarray(picture.getchannel("A")) > 0
        picture = picture.convert("RGB" if len(bands) == 4 else "L")
    array = np.asarray(picture)
    data = array[None] if array.ndim == 2 else np.moveaxis(array, 2, 0)
    return data, valid & np.isfinite(data).all(axis=0), None


def picture_path(output: object, target: Side, *, overwrite: bool) -> Path:
    """Return the path of a picture after checking that it can hold a translation.

    Raises:
        InvalidInputError: It is not the path of a PNG or JPEG, or its format cannot hold the
            target's bands or dtype.
        OutputExistsError: The file exists and `overwrite` is false.
    """
    path = file_path("output", output)
    driver = PICTURES.get(path.suffix.lower())
    if driver is None:
        raise InvalidInputError(
            f"output is {path}; predict writes pictures that end in {', '.join(PICTURES)}; for a "
            "GeoTIFF, give the file to predict_raster(path, output)."
        )
    fits = target.dtype in DTYPES[driver] and target.bands in BANDS[driver]
    if not fits or (driver == "JPEG" and target.classes is not None):
        held = "classes" if target.classes is not None else f"{target.bands} x {target.dtype}"
        raise InvalidInputError(
            f"output is {path}, but translations are {held}, which a {driver} cannot hold; write "
            "a GeoTIFF by predict_raster(path, 'name.tif'), or draw them by show=True."
        )
    if os.path.exists(path) and not overwrite:
        raise OutputExistsError(
            f"{path} already exists; give another name, or overwrite=True to replace it."
        )
    return path


def write_picture(path: Path, image: NDArray[Any], target: Side) -> None:
    """Write a translation `(bands, rows, cols)` as PNG or JPEG, by the ending of the path.

    Raises:
        RasterFileError: The file cannot be written.
    """
    driver = PICTURES[path.suffix.lower()]
    count, height, width = image.shape
    shape = {"count": count, "height": height, "width": width, "dtype": image.dtype}
    options: dict[str, Any] = {"quality": 95} if driver == "JPEG" else {"nodata": target.nodata}
    colors = None if target.classes is None else target.classes.colors
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.partial")
    try:
        with quiet_about_georeference(), rasterio.MemoryFile() as memory:
            with memory.open(driver=driver, **shape, **options) as dataset:
                if colors:
                    dataset.write_colormap(1, {row[0]: row[1:] for row in colors})
                dataset.write(image)
            with replaced_when_whole(path, temporary):
                temporary.write_bytes(memory.getbuffer())
    except (OSError, rasterio.errors.RasterioError) as error:
        raise RasterFileError(f"The picture {path} cannot be written: {said(error)}.") from error
