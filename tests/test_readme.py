from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.conftest import WriteRaster, values

ROOT = Path(__file__).parents[1]


def test_snippet_of_the_readme_does_what_it_says(
    write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    write_raster("ortho.tif", values((3, 512, 768), "uint8"))
    write_raster("map.tif", values((3, 512, 768), "uint8"))
    write_raster("scene.tif", values((3, 300, 300), "uint8"))
    monkeypatch.chdir(tmp_path)
    # A hundred epochs and wide networks are for users.
    short = snippet.replace("Pix2Pix(data).fit(100)", "Pix2Pix(data, ngf=4, ndf=4).fit(1)")
    assert short != snippet
    exec(compile(short, "README.md", "exec"), {})
    with rasterio.open("scene.tif") as scene, rasterio.open("scene_map.tif") as result:
        assert result.transform == scene.transform
        assert result.shape == scene.shape
        assert np.ptp(result.read()) > 0


def test_readme_has_exactly_two_commands_to_set_up() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert [block.strip() for block in blocks if "pip" in block] == [
        "pip install . && geotranslate demo",
        'pip install -e ".[test]" && pytest',
    ]
