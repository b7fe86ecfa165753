"""Ground control points and rational polynomial coefficients (RPCs)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.windows import Window

from geotranslate.raster.opening import Dataset


@dataclass(frozen=True)
class GroundControlPoints:
    """Ground control points `(row, col, x, y, z)` and their CRS.

    Rows and columns count from the upper left corner of the first pixel.
    """

    points: tuple[tuple[float, float, float, float, float], ...]
    crs: CRS | None

    def moved(self, window: Window, scale: float) -> GroundControlPoints:
        """Return the points for a window, scaled to `scale` output pixels per pixel."""
        points = tuple(
            ((row - window.row_off) * scale, (col - window.col_off) * scale, x, y, z)
            for row, col, x, y, z in self.points
        )
        return GroundControlPoints(points, self.crs)

    def to_json(self) -> dict[str, Any]:
        """Return the points as JSON values."""
        return {
            "points": [list(point) for point in self.points],
            "crs": self.crs and crs_text(self.crs),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> GroundControlPoints:
        """Return the points that `to_json` was called on."""
        points = tuple((row, col, x, y, z) for row, col, x, y, z in values["points"])
        return cls(points, values["crs"] and CRS.from_string(values["crs"]))


def crs_text(crs: CRS) -> str:
    """Return a CRS as its code, else as WKT 2, the only form that holds every CRS."""
    if code := crs.to_authority():
        # The WKT of a compound CRS lacks the codes of its parts: GeoTIFFs lose the vertical datum.
        with suppress(CRSError):
            if CRS.from_authority(*code) == crs:
                return ":".join(code)
    return str(crs.to_wkt(version="WKT2_2019"))


def gcps_and_rpcs(
    dataset: Dataset, window: Window | None = None, scale: float = 1
) -> tuple[GroundControlPoints | None, dict[str, str]]:
    """Return ground control points and RPCs of a dataset for an output.

    Args:
        dataset: Open raster.
        window: Pixels of the dataset in the output, all by default.
        scale: Output pixels per pixel of the dataset, on either axis.

    Returns:
        The points or None, and the RPC metadata, empty without RPCs. Numbers that do not change
        keep their digits.
    """
    if window is None:
        window = Window(0, 0, dataset.width, dataset.height)
    points, crs = dataset.gcps
    # As text: rasterio's own RPC class loses an error estimate of 0.
    rpcs = _moved_rpcs(dataset.tags(ns="RPC"), window, scale)
    if not points:
        return None, rpcs
    found = tuple((p.row, p.col, p.x, p.y, p.z or 0.0) for p in points)
    return GroundControlPoints(found, crs).moved(window, scale), rpcs


def _moved_rpcs(rpcs: dict[str, str], window: Window, scale: float) -> dict[str, str]:
    moved = dict(rpcs)
    for axis, first in (("LINE", window.row_off), ("SAMP", window.col_off)):
        for key in (f"{axis}_OFF", f"{axis}_SCALE"):
            if key not in rpcs:
                continue
            before = float(rpcs[key].split()[0])
            # RPCs count from the center of the first pixel, windows from its corner.
            after = (before + 0.5 - first) * scale - 0.5 if key.endswith("OFF") else before * scale
            if after != before:
                moved[key] = repr(after)
    return moved
