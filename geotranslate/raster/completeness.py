"""Tell whether a written GeoTIFF is whole: GDAL does not say what fails as it closes a file."""

from __future__ import annotations

import itertools
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from geotranslate.raster.opening import quiet_about_georeference


def is_complete(path: Path, *, masked: bool) -> bool:
    """Tell whether all blocks of a GeoTIFF with interleaved bands lie within the file.

    Only the places of the blocks are read, not the blocks, so large files take seconds.

    Args:
        path: The file, closed.
        masked: Whether there has to be a mask inside it.
    """
    size = path.stat().st_size
    # The mask is the second image in the file.
    names = [str(path), f"GTIFF_DIR:2:{path}"] if masked else [str(path)]
    try:
        with quiet_about_georeference():
            for name in names:
                with rasterio.open(name) as image:
                    if not _has_blocks(image, size):
                        return False
    except RasterioError:
        return False
    return True


def _has_blocks(image: DatasetReader, size: int) -> bool:
    height, width = image.block_shapes[0]
    places = itertools.product(range(-(-image.height // height)), range(-(-image.width // width)))
    for row, col in places:
        # Bands are interleaved: the first one's blocks hold them all.
        offset, length = (
            int(image.get_tag_item(f"BLOCK_{what}_{col}_{row}", dm="TIFF", bidx=1) or 0)
            for what in ("OFFSET", "SIZE")
        )
        if not (offset and length and offset + length <= size):
            return False
    return True
