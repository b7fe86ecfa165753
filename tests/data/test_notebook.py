"""Loaders and exports show themselves in notebooks as static HTML."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from affine import Affine

from geotranslate import export_chips, prepare_data
from tests.conftest import NORTH_UP, WriteRaster, values


def check(html: str) -> None:
    """Fail if HTML needs a script or another file, or is large."""
    assert len(html) < 500_000
    assert not re.search(r"<script|<link|<iframe|http", html)


def test_loaders_show_pairs_and_their_summary(write_chips: Callable[..., Path]) -> None:
    data = prepare_data(write_chips())
    before, figures = torch.get_rng_state(), plt.get_fignums()
    shown = data._repr_html_()
    assert torch.equal(torch.get_rng_state(), before)
    assert plt.get_fignums() == figures
    check(shown)
    assert shown.startswith("<img alt='First training pairs, source and target'")
    assert "data:image/png;base64," in shown
    assert data.summary()._repr_html_() in shown


def test_loaders_of_unpaired_chips_show_their_summary(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    for number in range(3):
        place = {"transform": NORTH_UP @ Affine.translation(100 * number, 0)}
        write_raster(f"data/A/{number}.tif", values((3, 64, 64), "uint8", number), **place)
        write_raster(f"data/B/other_{number}.tif", values((1, 64, 64), "uint8", number), **place)
    data = prepare_data(tmp_path / "data", val_split_pct=0.34)
    before = torch.get_rng_state()
    assert data._repr_html_() == data.summary()._repr_html_()
    assert torch.equal(torch.get_rng_state(), before)


def test_an_export_shows_its_first_chips(write_raster: WriteRaster, tmp_path: Path) -> None:
    source = write_raster("a.tif", values((3, 140, 140), "uint8"))
    target = write_raster("b.tif", values((1, 140, 140), "uint16"))
    done = export_chips(source, target, tmp_path / "<chips>", tile_size=64, progress=False)
    shown = done._repr_html_()
    check(shown)
    assert shown.count("data:image/png;base64,") == 2
    assert "&lt;chips&gt;" in shown and "<chips>" not in shown
    assert "<td style='text-align:left'>4</td>" in shown
    for file in (tmp_path / "<chips>" / "images").iterdir():
        file.unlink()
    assert done._repr_html_().count("data:image/png;base64,") == 1
