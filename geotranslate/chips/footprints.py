"""Read `chips.gpkg`: where the pairs of an export lie, and what they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd

FOOTPRINTS_FILE = "chips.gpkg"


def read_labels(folder: Path) -> dict[str, str | None]:
    """Return what the column `split` of a folder's footprints says, by the pairs' names."""
    path = folder / FOOTPRINTS_FILE
    if not path.is_file():
        return {}
    frame = gpd.read_file(path)
    return dict(zip(frame["name"], frame["split"], strict=True))


def read_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what an earlier export's footprints say of its pairs, by name."""
    path = folder / FOOTPRINTS_FILE
    if not path.is_file():
        return {}
    rows = gpd.read_file(path).drop(columns=["geometry", "split"]).to_dict("records")
    return {row["name"]: row for row in rows}
