"""Prediction at the pixel size of the training, and the return to the source's grid."""

from __future__ import annotations

import concurrent.futures as cf
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from geotranslate import Pix2Pix, load_model, prepare_data
from geotranslate.chips.bands.datacard import DataCard
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from geotranslate.networks.unet import UNet
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.pixelsize import find_resampling
from geotranslate.prediction.resampling import Resampling
from geotranslate.prediction.workers import augmented
from geotranslate.raster.pipeline import translate_raster
from geotranslate.raster.reader import RasterReader
from tests.conftest import NORTH_UP, WriteRaster, values
from tests.prediction.test_inference import make_card

METERS = 1 / 111_195
"""Degrees of a meter at the equator."""


def small(card: DataCard | None = None, norm: str = "batch") -> Inference:
    torch.manual_seed(0)
    network = UNet(1, 1, depth=2, ngf=4, norm=norm).eval()
    return Inference(network, make_card() if card is None else card, network.stride, network.radius)


def of_raster(path: Path, inference: Inference, resolution: Any) -> Resampling | None:
    with RasterReader(path) as source:
        size = source.grid.height, source.grid.width
        return find_resampling(source.name, source.grid, size, inference, resolution)


# The choice of the pixel size


@pytest.mark.parametrize(
    ("crs", "step", "resolution", "known", "ratio"),
    [
        ("EPSG:32633", 2.0, "auto", {"ground_size": (2, 2)}, None),
        ("EPSG:32633", 2.08, "auto", {"ground_size": (2, 2)}, None),
        ("EPSG:32633", 2.08, "training", {"ground_size": (2, 2)}, 1.04),
        ("EPSG:32633", 6.0, "auto", {"ground_size": (2, 2)}, 3),
        ("EPSG:32633", 1.0, "auto", {"ground_size": (2, 2)}, 0.5),
        ("EPSG:32633", 1.0, "source", {"ground_size": (2, 2)}, None),
        ("EPSG:32633", 1.0, 4, {"ground_size": (2, 2)}, 0.25),
        ("EPSG:32633", 1.0, 4, {}, 0.25),
        ("EPSG:32633", 1.0, "auto", {}, None),
        ("EPSG:2263", 2.0, "auto", {"ground_size": (0.6096, 0.6096)}, None),
        ("EPSG:4326", METERS, "auto", {"ground_size": (2, 2)}, 0.5),
        # Pixels of degrees and of Web Mercator have several sizes; one of them is enough.
        ("EPSG:4326", 0.5, "auto", {"ground_size": (0.5 / METERS, 0.5 / METERS)}, None),
        ("EPSG:32633", 200.0, "auto", {"ground_size": (2, 2)}, None),
        # Without ground, the ratio by which the chips were resampled.
        (None, 1.0, "auto", {"resize_ratio": (0.5, 0.5), "resize_to": 32}, 0.5),
        (None, 1.0, "auto", {"resize_ratio": (1.0, 1.0), "resize_to": 32}, None),
        (None, 1.0, "auto", {"resize_ratio": (0.5, 0.5), "resize_to": 40}, None),
        (None, 1.0, "training", {"resize_ratio": (0.5, 0.5), "resize_to": 40}, 0.5),
        (None, 1.0, "source", {"resize_ratio": (0.5, 0.5), "resize_to": 32}, None),
        ("EPSG:32633", 1.0, "auto", {"resize_ratio": (0.5, 0.5), "resize_to": 32}, 0.5),
        (None, 1.0, "auto", {"ground_size": (2, 2)}, None),
    ],
)
def test_scenes_are_resampled_where_the_ground_says_so(
    write_raster: WriteRaster,
    crs: str | None,
    step: float,
    resolution: Any,
    known: dict[str, Any],
    ratio: float | None,
) -> None:
    x, y = (10.0, 10.0) if crs == "EPSG:4326" else (500_000.0, 100_000.0)
    path = write_raster(
        "s.tif",
        values((1, 40, 40), "uint8"),
        crs=crs,
        transform=Affine(step, 0, x, 0, -step, y if crs else -y),
    )
    inference = small(replace(make_card(), **known))
    found = of_raster(path, inference, resolution)
    if ratio is None:
        assert found is None
    else:
        assert found is not None
        assert found.ratios == pytest.approx((ratio, ratio), rel=0.02)


@pytest.mark.parametrize(
    ("resolution", "crs", "said"),
    [
        (3.0, None, r"resolution is 3 meters, but .*s.tif has no CRS that tells the size"),
        ("training", "EPSG:32633", "but the pixel size in training is not known beside the one of"),
        (500, "EPSG:32633", "each pixel of .* becomes 0.004 x 0.004; give one that is at most 32"),
    ],
)
def test_unknown_and_absurd_pixel_sizes_end_in_a_sentence(
    write_raster: WriteRaster, resolution: Any, crs: str | None, said: str
) -> None:
    path = write_raster("s.tif", values((1, 40, 40), "uint8"), crs=crs)
    with pytest.raises(InvalidInputError, match=said):
        of_raster(path, small(), resolution)


def test_arrays_have_the_pixels_of_the_chips() -> None:
    inference = small(replace(make_card(), resize_ratio=(0.5, 0.25), resize_to=32))
    found = find_resampling("the image", None, (100, 100), inference, "auto")
    assert found is not None and found.ratios == (0.5, 0.25)
    assert find_resampling("the image", None, (32, 32), inference, "auto") is None
    with pytest.raises(InvalidInputError, match="but the image has no CRS that tells"):
        find_resampling("the image", None, (100, 100), inference, 2.0)


# The promises of tiles


@pytest.mark.parametrize(
    ("way", "tta"),
    [
        (Resampling(9, 4, 4), False),
        (Resampling(3, 8, 8), False),
        (Resampling(6, 4, 8), False),
        (Resampling(6, 4, 8), True),
    ],
)
def test_tiles_batches_and_parts_make_the_same_pixels_as_the_whole(
    write_raster: WriteRaster, tmp_path: Path, way: Resampling, tta: bool
) -> None:
    data = gaussian_filter(values((1, 300, 150), "uint8").astype(float), (0, 2, 2))
    valid = np.ones((300, 150), bool)
    valid[40:70, 20:60] = False
    path = write_raster("s.tif", data.astype("uint8"), valid=valid)
    inference = small().resampled(way)
    apply: Any = augmented(inference, tta)
    with RasterReader(path) as source:
        whole, seen = source.read()
    expected = inference.image(whole, seen) if not tta else None
    found = []
    for number, options in enumerate(
        [
            {"tile_size": 310, "batch_size": 1},
            {"tile_size": 126, "batch_size": 1},
            {"tile_size": 144, "batch_size": 5, "part_rows": 256, "max_memory": 1_000_000},
            {"tile_size": 126, "executor": cf.ThreadPoolExecutor(2), "part_rows": 256},
        ]
    ):
        output = translate_raster(
            path,
            tmp_path / f"{number}.tif",
            apply,
            bands_out=1,
            blend="crop",
            fill=inference.card.source.fill,
            dtype="uint8",
            progress=False,
            **options,  # type: ignore[arg-type]
        )
        with rasterio.open(output) as dataset, rasterio.open(path) as source_file:
            assert dataset.transform == source_file.transform
            np.testing.assert_array_equal(dataset.dataset_mask() > 0, valid)
            found.append(dataset.read()[:, valid])
    for pixels in found[1:]:
        np.testing.assert_array_equal(pixels, found[0])
    if expected is not None:
        np.testing.assert_array_equal(found[0], expected[:, valid])


# Models


def stripes(side: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return fine and coarse stripes, and a picture that is bright where they are fine."""
    patches = (37 * seed >> np.arange(9) & 1).reshape(3, 3).astype(float)
    bright = gaussian_filter(patches.repeat(side // 3, 0).repeat(side // 3, 1), side / 24)
    rows = np.arange(side)
    fine, coarse = (np.sin(2 * np.pi * rows / length) for length in (10, 24))
    source = bright * fine + (1 - bright) * coarse
    pictures = np.stack([np.round(source * 100 + 128), np.round(bright * 200 + 20)])
    return pictures[:1].astype(np.uint8), pictures[1:].astype(np.uint8)


WriteStripes = Callable[..., Path]


@pytest.fixture
def write_stripes(write_raster: WriteRaster, tmp_path: Path) -> WriteStripes:
    """Return a function that writes pairs of stripes of 150 px."""

    def write(count: int, crs: str | None = None) -> Path:
        for number in range(count):
            place = NORTH_UP @ Affine.translation(150 * number, 0) if crs else None
            for side, picture in zip(("images", "images2"), stripes(150, number), strict=True):
                write_raster(f"stripes/{side}/{number:02d}.tif", picture, crs=crs, transform=place)
        return tmp_path / "stripes"

    return write


@pytest.mark.slow
def test_full_size_pictures_are_translated_as_well_as_the_validation_chips(
    write_stripes: WriteStripes, tmp_path: Path
) -> None:
    data = prepare_data(write_stripes(16), resize_to=64, val_split_pct=0.25, batch_size=2)
    assert data.card.resize_ratio == pytest.approx((64 / 150, 64 / 150))
    torch.manual_seed(0)
    model = Pix2Pix(data, recipe="paper", ngf=8, depth=4, lambda_gan=0)
    model.fit(8, 2e-3, folder=tmp_path / "run", progress=False)
    expected = model.compute_metrics(["mae"])["mae"]
    model = load_model(model.save(tmp_path / "model"))
    errors: dict[str, list[float]] = {"auto": [], "source": []}
    for pair in (data.folder.pairs[i] for i in data.split.validation):  # type: ignore[union-attr]
        for resolution, found in errors.items():
            translated = model.predict(pair.source.path, resolution=resolution)  # type: ignore[arg-type]
            assert translated.shape == (1, 150, 150)
            found.append(np.abs(translated.astype(float) - pair.target.read()[0]).mean())
    assert np.mean(errors["auto"]) == pytest.approx(expected, rel=0.05)
    assert np.mean(errors["source"]) > 1.5 * expected


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("norm_stats", ["running", "scene", "smooth"])
def test_rasters_and_arrays_of_another_pixel_size_agree(
    write_stripes: WriteStripes, write_raster: WriteRaster, tmp_path: Path, norm_stats: Any
) -> None:
    data = prepare_data(write_stripes(4, crs="EPSG:32633"), num_workers=0)
    assert data.card.ground_size == pytest.approx((2, 2))
    torch.manual_seed(0)
    model = Pix2Pix(data, recipe="paper", ngf=4, depth=3)
    fine = write_raster(
        "fine.tif",
        stripes(180, 5)[0],
        transform=Affine(1, 0, 500_000, 0, -1, 5_000_000),
    )
    options: dict[str, Any] = {"progress": False, "precision": "float32", "norm_stats": norm_stats}
    output = model.predict_raster(fine, tmp_path / "o.tif", tile_size=64, **options)
    with rasterio.open(output) as found, rasterio.open(fine) as source:
        assert (found.transform, found.shape, found.crs) == (
            source.transform,
            source.shape,
            source.crs,
        )
        assert '"resampling": {"cols": 8, "rows": 8, "step": 16}' in str(
            found.tags()["GEOTRANSLATE_PARAMETERS"]
        )
        pixels = found.read()
    again = model.predict_raster(
        fine, tmp_path / "again.tif", tile_size=64, batch_size=3, **options
    )
    assert Path(again).read_bytes() == Path(output).read_bytes()
    if norm_stats == "running":
        np.testing.assert_allclose(pixels.astype(float), model.predict(fine), atol=3)
    with pytest.warns(GeotranslateWarning, match="has pixels of 1 m but the model was trained on"):
        plain = model.predict_raster(
            fine, tmp_path / "plain.tif", tile_size=64, resolution="source", **options
        )
    with rasterio.open(plain) as found:
        assert not np.array_equal(found.read(), pixels)
        assert "resampling" not in found.tags()["GEOTRANSLATE_PARAMETERS"]


def test_cards_tell_the_pixel_size_only_where_it_is_one(
    write_stripes: WriteStripes, write_raster: WriteRaster
) -> None:
    folder = write_stripes(6)
    assert prepare_data(folder, num_workers=0).card.resize_ratio is None
    for number in range(3):
        for side in ("images", "images2"):
            other = values((1, 60, 60), "uint8", seed=number)
            write_raster(f"stripes/{side}/9{number}.tif", other, crs=None, transform=None)
    card = prepare_data(folder, resize_to=32, num_workers=0).card
    assert card.resize_ratio is None and card.ground_size is None
    assert not {"resize_ratio", "ground_size"} & card.to_json().keys()
    assert DataCard.from_json(card.to_json()) == card
