"""What holds of every model holds of the recipe for measurements, which adds to a start."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import InvalidInputError, ModelFileError
from geotranslate.networks.onehot import unwrapped
from geotranslate.raster.pipeline import assemble_parts
from geotranslate.training.start import start_of
from tests.children import CONTEXT
from tests.conftest import WriteRaster, values
from tests.networks.test_pixel import drawn
from tests.translators.conftest import WriteMaps, patches

WriteChips = Callable[..., Path]
OPTIONS: dict[str, Any] = {"progress": False, "precision": "float32"}
# The scenes are noise.
pytestmark = pytest.mark.filterwarnings("ignore:scene.tif")


def with_large_weights(data: Any, **options: Any) -> Pix2Pix:
    """Return a model whose start and network both matter, as if they were trained."""
    model = Pix2Pix(data, ngf=4, ndf=4, **options)
    drawn(model.pair.generator)
    model.fits_start = False
    return model


@pytest.fixture
def model(write_chips: WriteChips) -> Pix2Pix:
    return with_large_weights(prepare_data(write_chips(count=4, target=(2, "float32"))))


@pytest.fixture
def classes_model(write_maps: WriteMaps) -> Pix2Pix:
    return with_large_weights(prepare_data(write_maps()), recipe="measurement")


def read(path: Any) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        return dataset.read()


def apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the largest difference as a share of the range."""
    return float(np.abs(one.astype(float) - other).max() / np.ptp(other))


@pytest.mark.parametrize(
    ("target", "more", "recipe"),
    [
        ((1, "uint8"), {}, "measurement"),
        ((3, "float32"), {}, "measurement"),
        ((3, "uint16"), {}, "measurement"),
        ((3, "uint8"), {}, "picture"),
        ((1, "uint8"), {"classes": True}, "picture"),
    ],
)
def test_the_target_decides_on_the_recipe(
    write_chips: WriteChips, target: tuple[int, str], more: dict[str, Any], recipe: str
) -> None:
    chips = write_chips(count=3, target=target)
    if more:
        for path in (chips / "images2").iterdir():
            with rasterio.open(path, "r+") as dataset:
                dataset.write_colormap(1, {0: (0, 0, 0), 1: (255, 255, 255)})
                dataset.write(dataset.read() % 2)
    model = Pix2Pix(prepare_data(chips), ngf=4, ndf=4)
    assert model.config.recipe == recipe
    assert (start_of(model.pair.generator) is not None) == (recipe == "measurement")
    assert (model.pair.discriminator is None) == (recipe == "measurement")


@pytest.mark.slow
def test_tiles_of_a_scene_are_the_whole(
    model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    scene = write_raster("scene.tif", values((3, 570, 507), "uint8"))
    done = model.predict_raster(scene, tmp_path / "o.tif", tile_size=480, **OPTIONS)
    whole = model.predictor.inference(read(scene)[None].astype(np.float32))[0]
    assert done.tiles > 1
    assert apart(read(done), whole) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "way",
    [{"blend": "hann"}, pytest.param({"blend": "crop", "padding": 32}, marks=pytest.mark.slow)],
    ids=str,
)
def test_batches_threads_and_parts_make_the_same_bytes(
    model: Pix2Pix,
    write_raster: WriteRaster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: dict[str, Any],
) -> None:
    monkeypatch.setattr("geotranslate.raster.pipeline.planning.part_height", lambda *_: 256)
    scene = write_raster("scene.tif", values((3, 300, 200), "uint8"))
    options = {**OPTIONS, "tile_size": 96, **way}
    expected = model.predict_raster(scene, tmp_path / "whole.tif", **options).path.read_bytes()
    model.predict_raster(scene, tmp_path / "batches.tif", batch_size=3, **options)
    with ThreadPoolExecutor(2) as pool:
        model.predict_raster(scene, tmp_path / "threads.tif", executor=pool, **options)
    for part in ("2/2", "1/2"):
        model.predict_raster(scene, tmp_path / "parts.tif", part=part, **options)
    assemble_parts(tmp_path / "parts.tif")
    again = Pix2Pix.from_model(model.save(tmp_path / "model"))
    again.predict_raster(scene, tmp_path / "loaded.tif", **options)
    for name in ("batches", "threads", "parts", "loaded"):
        assert (tmp_path / f"{name}.tif").read_bytes() == expected, name


@pytest.mark.slow
def test_processes_make_the_same_bytes(
    model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    scene = write_raster("scene.tif", values((3, 300, 200), "uint8"))
    options = {**OPTIONS, "tile_size": 96}
    expected = model.predict_raster(scene, tmp_path / "whole.tif", **options).path.read_bytes()
    with ProcessPoolExecutor(2, CONTEXT) as pool:
        done = model.predict_raster(scene, tmp_path / "o.tif", executor=pool, **options)
    assert done.path.read_bytes() == expected


@pytest.mark.parametrize("kind", ["model", "classes_model"])
def test_bfloat16_is_near_float32_and_the_start_the_same(
    request: pytest.FixtureRequest, kind: str
) -> None:
    model: Pix2Pix = request.getfixturevalue(kind)
    shape = (model.card.source.bands, 96, 80)
    image = patches(96, 3)[..., :80] if kind == "classes_model" else values(shape, "uint8")
    batch = image[None].astype(np.float32)
    exact, coarse = (
        model.predictor.inference.at(precision)(batch) for precision in ("float32", "bfloat16")
    )
    assert 0 < apart(coarse, exact) < 0.05
    with torch.no_grad():
        for weight in unwrapped(model.pair.generator).head.parameters():
            weight.zero_()
    exact, coarse = (
        model.predictor.inference.at(precision)(batch) for precision in ("float32", "bfloat16")
    )
    np.testing.assert_array_equal(coarse, exact)


@pytest.mark.slow
def test_tiles_of_a_scene_of_classes_are_the_whole(
    classes_model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    scene = write_raster("scene.tif", patches(570, 5), nodata=0)
    options = {**OPTIONS, "tile_size": 480, "dtype": "float32"}
    done = classes_model.predict_raster(scene, tmp_path / "o.tif", **options)
    whole = classes_model.predictor.inference(read(scene)[None].astype(np.float32))[0]
    assert done.tiles > 1
    assert apart(read(done), whole) < 1e-5


def test_a_start_is_named_where_weights_do_not_fit(write_chips: WriteChips, tmp_path: Path) -> None:
    data = prepare_data(write_chips(count=3))
    folder = Pix2Pix(data, ngf=4).save(tmp_path / "model")
    with pytest.raises(ModelFileError, match="start is pixel there and none here"):
        Pix2Pix(data, ngf=4, start="none", pretrained_path=folder)


def test_a_pretrained_model_keeps_its_start(write_chips: WriteChips, tmp_path: Path) -> None:
    data = prepare_data(write_chips(count=3, target=(1, "float32")))
    former = with_large_weights(data)
    model = Pix2Pix(data, ngf=4, pretrained_path=former.save(tmp_path / "model"))
    model.fit(1, checkpoint=False, **OPTIONS)
    theirs, mine = (start_of(one.pair.generator) for one in (former, model))
    assert theirs is not None and mine is not None
    assert all(map(torch.equal, theirs.parameters(), mine.parameters()))


@pytest.mark.parametrize(("size", "most", "own"), [(64, 4, 3), (100, 4, 3), (128, 5, 3)])
def test_levels_of_a_residual_unet_leave_four_pixels_of_a_chip(
    write_chips: WriteChips, size: int, most: int, own: int
) -> None:
    data = prepare_data(write_chips(count=3, size=size))
    assert Pix2Pix(data, ngf=4).config.depth == own
    assert Pix2Pix(data, ngf=4, depth=most).config.depth == most
    for depth in (0, most + 1):
        with pytest.raises(InvalidInputError, match=f"at least 1 and at most {most}"):
            Pix2Pix(data, ngf=4, depth=depth)
