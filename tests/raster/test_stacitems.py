from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.raster.stacitems import StacItem, asset_path, is_item


def item(assets: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"type": "Feature", "id": "S2_1", "assets": assets, "properties": {}, **others}


def written(folder: Path, assets: dict[str, Any]) -> Path:
    path = folder / "item.json"
    path.write_text(json.dumps(item(assets)))
    return path


@pytest.mark.parametrize(
    "href",
    [
        "https://host/a b.tif",
        "s3://bucket/a.tif",
        "/vsicurl/https://host/a.tif",
        "/data/a.tif",
        "C:\\data\\a.tif",
        "\\\\server\\share\\a.tif",
    ],
)
def test_whole_hrefs_stay_as_they_are(tmp_path: Path, href: str) -> None:
    assets = {"visual": {"href": href}}
    assert asset_path(item(assets), "visual") == href
    assert asset_path(written(tmp_path, assets), "visual") == href


def test_relative_hrefs_lead_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a 2.tif").touch()
    assets = {
        "up": {"href": "../x/a.tif"},
        "beside": {"href": "./b.tif"},
        "s": {"href": "a%202.tif"},
    }
    path = written(tmp_path, assets)
    for given in (path, str(path)):
        assert asset_path(given, "up") == str(tmp_path.parent / "x/a.tif")
        assert asset_path(given, "beside") == str(tmp_path / "b.tif")
        assert asset_path(given, "s") == str(tmp_path / "a 2.tif")
    monkeypatch.chdir(tmp_path)
    assert asset_path("item.json", "beside") == str(tmp_path / "b.tif")
    linked = {"rel": "self", "href": path.as_uri()}
    assert asset_path(item(assets, links=[linked]), "beside") == str(tmp_path / "b.tif")
    remote = {"rel": "self", "href": "https://host/s2/item.json"}
    assert asset_path(item(assets, links=[remote]), "up") == "https://host/x/a.tif"


def test_urls_of_files_are_paths(tmp_path: Path) -> None:
    path = tmp_path / "a 1.tif"
    assert asset_path(item({"visual": {"href": path.as_uri()}}), "visual") == str(path)


def test_items_of_pystac_are_read_without_it(tmp_path: Path) -> None:
    pystac = pytest.importorskip("pystac")
    made = pystac.Item("S2_1", None, None, datetime(2025, 6, 1, tzinfo=timezone.utc), {})
    made.add_asset("visual", pystac.Asset("./b.tif"))
    assert is_item(made)
    with pytest.raises(InvalidInputError, match="own place is not known"):
        asset_path(made, "visual")
    made.set_self_href(str(tmp_path / "item.json"))
    assert asset_path(made, "visual") == str(tmp_path / "b.tif")
    assert StacItem.of(made).time.startswith("2025-06-01T00:00:00")
    assert StacItem.of(made.to_dict()).time.startswith("2025-06-01T00:00:00")
    assert asset_path(made.to_dict(), "visual") == str(tmp_path / "b.tif")


def test_what_is_an_item() -> None:
    assert is_item("a/item.json")
    assert is_item(Path("item.JSON"))
    assert is_item({"assets": {}})
    for other in ("a.tif", {"id": "a"}, None, 3, Path("a.geojson")):
        assert not is_item(other)


@pytest.mark.parametrize(
    ("given", "name", "sentence"),
    [
        (
            item({"B04": {"href": "/a.tif"}, "B08": {"href": "/b.tif"}}),
            "b4",
            r"The STAC Item S2_1 has no asset 'b4'; give one of its assets: B04, B08\.",
        ),
        (item({}), "b4", "has no asset 'b4'; give one of its assets: no assets"),
        (item({"a": {"href": 3}, "b": "x"}), "a", "has no asset 'a'"),
        (item({"a": {"href": "/a"}}), ["a"], r"has no asset \['a'\]"),
        (item({"a": {"href": " "}}), "a", "names no raster"),
        (item({"a": {"href": "/a\0b"}}), "a", "null character"),
        (item({"a": {"href": "b.tif"}}), "a", "relative href 'b.tif', but the Item's own place"),
        (item({"a": {"href": "b.tif"}}, links=[{"rel": "self", "href": 1}]), "a", "relative href"),
        ({"id": "x"}, "a", "is no STAC Item"),
        ({"assets": 3}, "a", "is no STAC Item"),
        (3, "a", "3 is no STAC Item"),
    ],
)
def test_wrong_items_end_in_a_sentence(given: Any, name: Any, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        asset_path(given, name)


@pytest.mark.parametrize("content", [b"{", b"[1]", b"3", b"\xff\xfe", b'{"assets": []}'])
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "item.json"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"item\.json"):
        asset_path(path, "a")
    with pytest.raises(RasterFileError, match=r"none\.json cannot be read"):
        asset_path(tmp_path / "none.json", "a")
