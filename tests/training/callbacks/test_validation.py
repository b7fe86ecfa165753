from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from geotranslate import Pix2Pix, prepare_data

WriteChips = Callable[..., Path]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_l1_is_over_all_valid_pixels_however_they_are_batched(
    write_chips: WriteChips, batch_size: int
) -> None:
    folder = write_chips(count=9)
    for number, path in enumerate(sorted((folder / "images").glob("*.tif"))):
        with rasterio.open(path, "r+") as chip:
            mask = np.zeros((chip.height, chip.width), "uint8")
            mask[: 4 + 4 * number] = 255  # every chip has another number of valid pixels
            chip.write_mask(mask)
    data = prepare_data(folder, batch_size=batch_size, val_split_pct=0.4)
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    model.fit(1, precision="float32", progress=False, checkpoint=False)
    apart, count = 0.0, 0
    for pair in (data.valid_ds[i] for i in range(len(data.valid_ds))):
        source, target = (side.as_subclass(torch.Tensor) for side in pair)
        translated = model.predictor.inference.scaled(source[None])[0]
        valid = torch.isfinite(target)
        apart += float((translated - target)[valid].abs().double().sum())
        count += int(valid.sum())
    assert model.history[0]["valid_l1"] == pytest.approx(apart / count, rel=1e-5)
