from __future__ import annotations

import json
from pathlib import Path

import pytest
import rasterio

from geotranslate.demo.run import run_demo
from geotranslate.errors import RasterFileError

RASTERS = ["aerial.tif", "map.tif", "unseen_aerial.tif", "unseen_map.tif", "unseen_translated.tif"]


def check(folder: Path, size: int) -> None:
    for name in RASTERS:
        with rasterio.open(folder / name) as dataset:
            assert dataset.crs == "EPSG:32632"
            assert dataset.res == (0.5, 0.5)
            assert dataset.height == size
            assert dataset.width == (size // 4 if name.startswith("unseen") else size)
    with (
        rasterio.open(folder / "unseen_aerial.tif") as source,
        rasterio.open(folder / "unseen_translated.tif") as translated,
    ):
        assert translated.transform == source.transform
    assert (folder / "comparison.png").stat().st_size > 10_000
    assert "unseen_aerial.tif" in (folder / "report.html").read_text("utf-8")


@pytest.mark.slow
def test_small_demo_goes_the_whole_way(tmp_path: Path) -> None:
    lines: list[str] = []
    numbers = run_demo(tmp_path, size=512, epochs=1, say=lines.append)
    check(tmp_path, 512)
    assert json.loads((tmp_path / "numbers.json").read_text()) == numbers
    assert [line[:3] for line in lines if line[1:3] == "/6"] == [f"{n}/6" for n in range(1, 7)]
    assert "report.html" in lines[-2]


def test_second_demo_in_a_folder_is_refused(tmp_path: Path) -> None:
    said: list[str] = []

    def meanwhile(line: str) -> None:
        said.append(line)
        for overwrite in (True, False):
            with pytest.raises(RasterFileError, match=r"^Another demo is writing to \S*demo; wait"):
                run_demo(tmp_path / "demo", overwrite=overwrite, say=print)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_demo(tmp_path / "demo", say=meanwhile)
    assert len(said) == 1
    assert not list((tmp_path / "demo").iterdir())


@pytest.mark.slow(minutes=1)
def test_demo_learns_the_map(tmp_path: Path) -> None:
    numbers = run_demo(tmp_path / "demo", size=1024, say=lambda line: None)
    check(tmp_path / "demo", 1024)
    assert numbers["mae"] < 0.45 * numbers["mae_mean_colour"]
    assert numbers["agreement"] > 0.7
