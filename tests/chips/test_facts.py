from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rasterio.crs import CRS

from geotranslate import prepare_data
from geotranslate.chips.chip import Chip
from geotranslate.chips.facts import CACHE_FILE, VERSION
from tests.conftest import WriteRaster, read_pairs, values

WriteChips = Callable[..., Path]


def damaged(facts: dict[str, Any], kind: str) -> Any:
    """Return a chip's facts, spoilt."""
    if kind == "gone":
        return None
    if kind == "list":
        return list(facts)
    if kind == "lacking":
        return {name: fact for name, fact in facts.items() if name != "statistics"}
    return {**facts, kind: {"a": 1} if kind != "nodata" else "many"}


@pytest.mark.parametrize(
    "kind",
    [
        *("gone", "list", "lacking", "mark", "files", "indexes", "crs", "transform", "size"),
        *(
            "dtype",
            "nodata",
            "band_names",
            "classes",
            "band_facts",
            "statistics",
            "valid_share",
            "digest",
        ),
    ],
)
def test_damaged_facts_of_a_chip_are_looked_up_anew(
    write_chips: WriteChips, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = write_chips(count=3)
    first = prepare_data(folder).card
    cache = folder / CACHE_FILE
    content = json.loads(cache.read_text())
    chip = next(iter(content["chips"]))
    content["chips"][chip] = damaged(content["chips"][chip], kind)
    cache.write_text(json.dumps(content))
    looked = []
    original = Chip.of
    monkeypatch.setattr(Chip, "of", lambda *a: looked.append(a) or original(*a))
    assert prepare_data(folder).card == first
    assert len(looked) == 1
    # And then they are whole again.
    assert prepare_data(folder).card == first
    assert len(looked) == 1


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "3", "[" * 100_000, '{"a":' * 100_000),
        *(json.dumps({"version": VERSION} | more) for more in ({}, {"chips": 3}, {"chips": [3]})),
    ],
)
def test_damaged_files_are_made_anew(write_chips: WriteChips, content: str) -> None:
    folder = write_chips(count=3)
    first = prepare_data(folder).card
    whole = json.loads((folder / CACHE_FILE).read_text())
    (folder / CACHE_FILE).write_text(content)
    assert prepare_data(folder).card == first
    assert json.loads((folder / CACHE_FILE).read_text()) == whole


@pytest.mark.parametrize(
    "crs",
    [
        "EPSG:32633",
        "ESRI:54009",
        "+proj=laea +lat_0=52 +lon_0=10 +ellps=GRS80 +units=m",
        "+proj=utm +zone=33 +datum=WGS84 +units=us-ft",
        None,
    ],
)
def test_crs_is_remembered_as_it_is(
    write_raster: WriteRaster, tmp_path: Path, crs: str | None
) -> None:
    for side in ("images", "images2"):
        write_raster(f"{side}/a.tif", values((1, 8, 8), "uint8"), crs=crs)
    for _ in range(2):
        (pair,) = read_pairs(tmp_path).pairs
        assert pair.source.grid.crs == (None if crs is None else CRS.from_user_input(crs))


def test_facts_of_classes_are_remembered(write_raster: WriteRaster, tmp_path: Path) -> None:
    table = {1: (255, 0, 0, 255), 2: (0, 255, 0, 255)}
    for side in ("images", "images2"):
        write_raster(f"{side}/a.tif", values((1, 8, 8), "uint8") % 3, colormap=table)
    (looked,), (known,) = (read_pairs(tmp_path).pairs for _ in range(2))
    assert looked.source.classes == known.source.classes
    assert known.source.classes.colors == ((1, 255, 0, 0, 255), (2, 0, 255, 0, 255))
    assert known.source.classes.codes.values == (0, 1, 2)
