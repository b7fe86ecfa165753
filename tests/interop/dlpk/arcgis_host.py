"""Calls of a raster function as ArcGIS makes them, over whole rasters.

It follows Esri's published templates and documents, as ArcGIS Pro itself runs nowhere else. As a
script, it runs without geotranslate: `python -I arcgis_host.py jobs.json`.
"""

from __future__ import annotations

import importlib.util
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Blocked:
    """An importer that refuses packages."""

    def __init__(self, names: list[str]) -> None:
        self.names = tuple(names)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.split(".")[0] in self.names:
            raise ImportError(f"{name} is blocked")


def loaded(folder: Path) -> Any:
    """Return a new object of the raster function of an unzipped package."""
    (emd,) = folder.glob("*.emd")
    definition = json.loads(emd.read_text(encoding="utf-8"))
    file = folder / definition["InferenceFunction"]
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, file.stem)()


def translate(
    function: Any,
    pixels: NDArray[Any],
    mask: NDArray[np.uint8],
    *,
    style: str = "full",
    scalars: dict[str, Any] | None = None,
) -> tuple[NDArray[Any], NDArray[np.uint8], dict[str, Any]]:
    """Translate a raster block by block, in any order, after `initialize`.

    Args:
        function: The raster function.
        pixels: `(bands, rows, cols)` of the raster.
        mask: `(bands, rows, cols)`, 0 where invalid.
        style: Way in which blocks at the raster's edges are asked for: "full" blocks, of which the
            pixels outside are masked; "cut" at the edge; "short", whose pixels end there as well;
            "padded" with the padding in `shape`; or "nowhere", without a place.
        scalars: Values of the parameters.

    Returns:
        `output_pixels` and `output_mask` of the raster, and its output info.
    """
    names = [parameter["name"] for parameter in function.getParameterInfo()]
    assert names[:3] == ["raster", "model", "device"]
    defaults = {p["name"]: p["value"] for p in function.getParameterInfo()}
    given = {name: value for name, value in defaults.items() if value is not None}
    configuration = function.getConfiguration(**{**given, **(scalars or {})})
    bands = list(configuration["extractBands"])
    pixels, mask = pixels[bands], mask[bands]
    info = {"bandCount": len(pixels), "pixelType": pixels.dtype.str[1:], "noData": None}
    info = function.updateRasterInfo(raster_info=dict(info), output_info=info)["output_info"]
    info["names"] = [
        function.updateKeyMetadata((), band, bandname="of the source").get("bandname")
        for band in range(info["bandCount"])
    ]
    size, padding = pixels.shape[1:], configuration["padding"]
    step = configuration["ty"], configuration["tx"]
    output = np.zeros((info["bandCount"], *size), info["pixelType"])
    seen = np.zeros(output.shape, np.uint8)
    props = {"width": size[1], "height": size[0], "pixelType": info["pixelType"]}
    corners = [(y, x) for y in range(0, size[0], step[0]) for x in range(0, size[1], step[1])]
    random.Random(1).shuffle(corners)
    for corner in corners:
        inside = [min(side, s - at) for side, s, at in zip(step, size, corner, strict=True)]
        asked = inside if style in ("cut", "short") else list(step)
        first = [at - padding for at in corner]
        ends = [at + side + padding for at, side in zip(corner, asked, strict=True)]
        if style == "short":
            ends = [min(end, s) for end, s in zip(ends, size, strict=True)]
        block = _window(pixels, first, ends)
        valid = _window(mask, first, ends)
        shape = (len(output), *asked)
        tlc = (corner[1], corner[0])
        if style == "padded":
            shape, tlc = (len(output), *block.shape[1:]), (first[1], first[0])
        found = function.updatePixels(
            None if style == "nowhere" else tlc,
            shape,
            props,
            raster_pixels=block,
            raster_mask=valid,
        )
        result = found["output_pixels"]
        assert result.shape == found["output_mask"].shape == (len(output), *asked)
        assert result.flags.c_contiguous and result.dtype == output.dtype
        at = (slice(None), *(slice(c, c + n) for c, n in zip(corner, inside, strict=True)))
        output[at] = result[:, : inside[0], : inside[1]]
        seen[at] = found["output_mask"][:, : inside[0], : inside[1]]
        outside = found["output_mask"].copy()
        outside[:, : inside[0], : inside[1]] = 0
        assert not outside.any()
    return output, seen, info


def _window(data: NDArray[Any], first: list[int], ends: list[int]) -> NDArray[Any]:
    """Return a window of `(bands, rows, cols)`, 0 where it lies outside."""
    found = np.zeros((len(data), ends[0] - first[0], ends[1] - first[1]), data.dtype)
    begin = [max(at, 0) for at in first]
    stop = [min(end, size) for end, size in zip(ends, data.shape[1:], strict=True)]
    inner = data[:, begin[0] : stop[0], begin[1] : stop[1]]
    row, col = begin[0] - first[0], begin[1] - first[1]
    found[:, row : row + inner.shape[1], col : col + inner.shape[2]] = inner
    return found


def main(jobs: Path) -> None:
    """Do the jobs of a file; refuse its `blocked` packages."""
    given = json.loads(jobs.read_text())
    sys.meta_path.insert(0, Blocked(given["blocked"]))
    for job in given["jobs"]:
        folder = Path(job["package"])
        function = loaded(folder)
        (emd,) = folder.glob("*.emd")
        function.initialize(model=emd.read_text() if job["as_text"] else str(emd), device=-1)
        with np.load(job["scene"]) as scene:
            output, seen, info = translate(
                function, scene["pixels"], scene["mask"], style=job["style"], scalars=job["scalars"]
            )
        np.savez(job["output"], pixels=output, mask=seen, names=np.array(info["names"]))
    loaded_names = {name.split(".")[0] for name in sys.modules}
    assert not loaded_names & set(given["blocked"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
