"""The ground that the layers of a stack cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shapely.geometry.base import BaseGeometry

from geotranslate.raster.degrees import geojson_of, in_degrees
from geotranslate.raster.grid import Grid, beside
from geotranslate.raster.ground import GroundSize, ground_of
from geotranslate.schema import Json
from geotranslate.tables import as_html, as_text

HEADER = ("layer", "bands", "CRS", "pixel size", "share of the grid")


@dataclass(frozen=True)
class LayerCoverage:
    """The ground that a layer covers."""

    name: str
    path: str
    bands: int
    crs: str
    """Code of its CRS, or else WKT; empty without one."""
    resolution: tuple[float, float]
    """Sides of a pixel along row and column, in units of the CRS."""
    pixel_size: GroundSize | None
    """Sides of a pixel along row and column, meters on the ground; None if they are not known."""
    share: float
    """Share of the stack's grid inside of the layer's outline, 0 to 1. Invalid pixels inside of the
    outline count as covered."""
    outline: BaseGeometry | None
    """Its outline in degrees; None if it is not known."""

    @classmethod
    def of(cls, name: str, path: str, bands: int, own: Grid, grid: Grid) -> LayerCoverage:
        """Return the coverage of a layer.

        Args:
            name: Its name.
            path: Its path.
            bands: Number of its bands.
            own: The grid of its raster.
            grid: The grid of the stack.
        """
        return cls(
            name=name,
            path=path,
            bands=bands,
            crs="" if own.crs is None else own.crs.to_string(),
            resolution=own.resolution,
            pixel_size=ground_of(own),
            share=_share(own, grid),
            outline=in_degrees(own.footprint, own.crs),
        )

    @property
    def row(self) -> tuple[str, ...]:
        """Cells of a table, see `HEADER`."""
        if self.pixel_size is None:
            size = f"{_sides(self.resolution)} units of the CRS" if self.crs else ""
        else:
            size = f"{_sides(self.pixel_size)} m"
        crs = self.crs.split('"')[1] if '"' in self.crs else self.crs
        return self.name, str(self.bands), crs or "none", size or "unknown", f"{self.share:.1%}"

    def feature(self) -> Json:
        """Return a GeoJSON Feature whose geometry is the outline, null if it is not known."""
        return {
            "type": "Feature",
            "geometry": None if self.outline is None else geojson_of(self.outline)[0],
            "properties": {
                "name": self.name,
                "path": self.path,
                "bands": self.bands,
                "crs": self.crs or None,
                "resolution": list(self.resolution),
                "pixel_size_m": None if self.pixel_size is None else list(self.pixel_size),
                "share": self.share,
            },
        }


@dataclass(frozen=True)
class StackSummary:
    """The layers of a stack and the ground that they cover, as text, as HTML and as GeoJSON."""

    layers: tuple[LayerCoverage, ...]

    def __str__(self) -> str:
        return as_text(self._rows())

    def _repr_html_(self) -> str:
        return as_html(self._rows())

    def _rows(self) -> list[tuple[str, ...]]:
        return [HEADER, *(layer.row for layer in self.layers)]

    def to_geojson(self) -> dict[str, Any]:
        """Return a GeoJSON FeatureCollection with the outline of each layer, in EPSG:4326."""
        return {
            "type": "FeatureCollection",
            "features": [layer.feature() for layer in self.layers],
        }


def _share(own: Grid, grid: Grid) -> float:
    """Return the share of a grid inside of the outline of another one."""
    if own.matches(grid):
        return 1.0
    whole = grid.footprint
    found = beside(own, grid).footprint_in(grid.crs).buffer(0).intersection(whole)
    return min(float(found.area / whole.area), 1.0)


def _sides(sides: tuple[float, float]) -> str:
    texts = [f"{side:.4g}" for side in sides]
    return texts[0] if texts[0] == texts[1] else " x ".join(texts)
