from __future__ import annotations

from pathlib import Path

from geotranslate.chips.layouts import read_map


def test_map_of_arcgis_is_read(tmp_path: Path) -> None:
    lines = [
        "images\\2.tif images2\\2.tif \r\n",
        "images\\1.tif  images2\\1.tif \r\n",
        "images\\2.tif images2\\2.tif \r\n",
        "\r\n",
    ]
    (tmp_path / "map.txt").write_bytes("".join(lines).encode())
    assert read_map(tmp_path / "map.txt") == [
        ("images/2.tif", "images2/2.tif"),
        ("images/1.tif", "images2/1.tif"),
    ]


def test_real_map_is_read(shared_data: Path) -> None:
    pairs = read_map(shared_data / "esri_export_tiles" / "map.txt")
    assert len(pairs) == 12
    assert pairs[2] == ("images/000000000002.tif", "images2/000000000002.tif")
