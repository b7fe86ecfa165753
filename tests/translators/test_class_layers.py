"""Layers of classes beside layers of quantities, from stacks to translated scenes."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from torch import Tensor

from geotranslate import GeotranslateWarning, Pix2Pix, load_model, load_onnx, prepare_data, stack
from geotranslate.chips.bands.datacard import Side
from geotranslate.data.datasets import resize, resized
from geotranslate.data.loaders import PairLoaders
from geotranslate.errors import InvalidInputError
from geotranslate.networks.onehot import OneHotLayers
from geotranslate.prediction.resampling import Resampling
from geotranslate.prediction.scenes.matching import map_to_training
from geotranslate.raster.stack import Stack
from geotranslate.translators.runs.measuring import as_sources_of
from tests.conftest import WriteRaster
from tests.translators.conftest import NUMBERS, patches

SMALL: dict[str, Any] = {"recipe": "seamless", "ngf": 4, "ndf": 4, "depth": 3}
PLAIN: dict[str, Any] = {"progress": False, "precision": "float32"}
WriteStack = Callable[..., Stack]


@pytest.fixture
def write_stack(write_raster: WriteRaster) -> WriteStack:
    """Return a function that writes radar and land cover and stacks them."""

    def write(
        name: str = "a", numbers: Sequence[int] = NUMBERS, *, seed: int = 0, **options: Any
    ) -> Stack:
        radar = np.random.default_rng(seed).normal(-12, 4, (1, 128, 128)).astype("float32")
        cover = patches(128, seed, range(len(numbers)))[0]
        own = (np.array(numbers)[cover].astype(np.uint8)[None], radar)
        paths = [
            write_raster(f"{name}{seed}/{file}.tif", data)
            for file, data in zip(("lulc", "s1"), own, strict=True)
        ]
        return stack(paths[1], paths[0], resampling=["bilinear", "nearest"], **options)

    return write


@pytest.fixture
def target(write_raster: WriteRaster) -> Path:
    looks = np.random.default_rng(9).integers(0, 255, (3, 4))
    return write_raster("target.tif", looks[:, patches(128, 0, range(4))[0]].astype(np.uint8))


def data_of(
    source: Any, target: Path, numbers: Sequence[int] = NUMBERS, **options: Any
) -> PairLoaders:
    given: dict[str, Any] = {"source_classes": {"lulc": numbers}} | options
    return prepare_data(
        source, target, chip_size=64, batch_size=2, num_workers=0, device="cpu", **given
    )


def one_hot(cover: NDArray[Any], numbers: Sequence[int] = NUMBERS) -> Tensor:
    """Return `(n, classes, rows, cols)` of class numbers `(n, rows, cols)`."""
    return torch.from_numpy(np.stack([cover == number for number in numbers], 1)).float()


def read(path: Any) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        return dataset.read()


def images(side: Side, numbers: Sequence[int] = NUMBERS, count: int = 2) -> NDArray[np.float32]:
    """Return images of radar and land cover in the source's units."""
    radar = np.random.default_rng(5).normal(-12, 4, (count, 64, 64))
    cover = np.concatenate([patches(64, seed, numbers) for seed in range(count)])
    return np.stack([radar, cover], 1).astype(np.float32)


def test_a_network_sees_a_band_for_each_class_beside_the_scaled_bands(
    write_stack: WriteStack, target: Path
) -> None:
    data = data_of(write_stack(), target)
    side = data.card.source
    assert side.class_bands == ((), NUMBERS)
    assert side.classes is None
    assert side.categorical_bands == side.fixed_bands == (1,)
    assert side.fill == (side.mean[0], 96.0)
    assert "4 classes in lulc:1" in str(data.summary())
    assert data_of(write_stack(), target, np.array(NUMBERS)).card.source == side
    model = Pix2Pix(data, **SMALL)
    pair = model.pair.eval()
    assert isinstance(pair.generator, OneHotLayers)
    given = images(side)
    scaled = torch.from_numpy(side.scaling.scale(given))
    by_hand = torch.cat([scaled[:, :1], one_hot(given[:, 1])], 1)
    assert torch.equal(pair.generator.bands(scaled, torch.float32), by_hand)
    truth = torch.zeros(2, 3, 64, 64)
    with torch.inference_mode():
        for found, expected in (
            (pair.generator(scaled), pair.generator.network(by_hand)),
            (pair.discriminator(scaled, truth), pair.discriminator.network(by_hand, truth)),
        ):
            torch.testing.assert_close(found, expected)


def test_numbers_exchanged_alike_change_nothing(write_stack: WriteStack, target: Path) -> None:
    models = []
    for name, numbers in (("a", NUMBERS), ("b", (200, 3, 17, 1))):
        torch.manual_seed(0)
        model = Pix2Pix(data_of(write_stack(name, numbers), target, numbers), **SMALL)
        model.fit(1, checkpoint=False, progress=False)
        found = model.predictor.inference(images(model.data.card.source, numbers))
        models.append((model.pair.state_dict(), found))
    (weights, one), (others, other) = models
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("options", [{"jitter": 0.9}, {"augment": "strong"}, {"look_like": "a"}])
def test_changes_of_brightness_leave_classes(
    write_stack: WriteStack, target: Path, options: dict[str, Any]
) -> None:
    if "look_like" in options:
        options = {"look_like": [write_stack(seed=3)]}
    source = write_stack()
    sets = [
        data_of(source, target, transforms=False, val_split_pct=0, **each).train_ds
        for each in ({}, options)
    ]
    torch.manual_seed(0)
    pairs = [
        (one[0].as_subclass(Tensor), two[0].as_subclass(Tensor))
        for one, two in zip(*sets, strict=True)
    ]
    assert all(torch.equal(plain[1], changed[1]) for plain, changed in pairs)
    assert any(not torch.equal(plain[0], changed[0]) for plain, changed in pairs)


def test_missing_layers_are_of_no_class(write_stack: WriteStack, target: Path) -> None:
    data = data_of(write_stack(), target, layer_dropout=0.9, transforms=False, val_split_pct=0)
    model, hidden = Pix2Pix(data, **SMALL), 0
    torch.manual_seed(0)
    for source, _ in data.train_ds:
        found = model.pair.generator.bands(source.as_subclass(Tensor)[None], torch.float32)
        sums = found[0, 1:].sum(0)
        assert sums.unique().tolist() in ([0], [1])
        hidden += not sums.any()
    assert hidden


def test_missing_layers_of_a_scene_are_of_no_class(
    write_stack: WriteStack, target: Path, write_raster: WriteRaster
) -> None:
    model = Pix2Pix(data_of(write_stack(missing="ignore"), target), **SMALL)
    side = model.data.card.source
    assert side.class_bands == ((), (), NUMBERS, ())
    cover = patches(128, 0)
    cover[:, 10:30, 10:30] = 0
    # The number that a stack of this scene alone would hold there is a class of the training.
    cover[cover >= 30] = 29
    radar = Path(str(write_stack().layers[0].path))
    scene = stack(
        radar, write_raster("c/lulc.tif", cover, nodata=0), names=["s1", "lulc"], missing="ignore"
    )
    seen: list[Tensor] = []
    handle = model.pair.generator.bands.register_forward_pre_hook(
        lambda _, given: seen.append(given[0])
    )
    model.predict(scene)
    handle.remove()
    found = model.pair.generator.bands(seen[-1], torch.float32)[0, 2:6, :128, :128]
    assert not found[:, 10:30, 10:30].any()


def test_pixels_of_another_size_take_the_nearest_class(
    write_stack: WriteStack, target: Path
) -> None:
    data = data_of(write_stack(), target)
    side = data.card.source
    image = torch.from_numpy(side.scaling.scale(images(side)))[0]
    found = resized(image, 20, side)
    torch.testing.assert_close(found[:1], resize(image[:1], 20, classes=False))
    assert torch.equal(found[1:], resize(image[1:], 20, classes=True))
    model = Pix2Pix(data, **SMALL)
    inference = copy.copy(model.predictor.inference)
    inference.resampling = Resampling(20, 32, 32)
    scaled = inference.network_input(images(side)[:, :, :40, :40])
    numbers = np.rint(side.scaling.unscale(scaled)[:, 1])
    assert set(np.unique(numbers)) <= set(NUMBERS)
    alone = inference.resampling.forth(
        side.scaling.scale(images(side)[:, :, :40, :40])[:, :1], nearest=False
    )
    np.testing.assert_array_equal(scaled[:, :1], alone)


def test_scenes_are_the_same_for_every_batch_size_and_after_loading(
    write_stack: WriteStack, target: Path, tmp_path: Path
) -> None:
    model = Pix2Pix(data_of(write_stack(), target), **SMALL)
    scene = write_stack(seed=4)
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.predictor.card.source == model.data.card.source
    found = [
        read(one.predict_raster(scene, tmp_path / f"{i}.tif", tile_size=64, batch_size=i, **PLAIN))
        for i, one in ((1, model), (3, model), (2, again))
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


@pytest.mark.slow(minutes=0.2)
def test_an_exported_graph_sees_the_same_classes(
    write_stack: WriteStack, target: Path, tmp_path: Path
) -> None:
    model = Pix2Pix(data_of(write_stack(), target), **SMALL)
    predictor = load_onnx(model.export(tmp_path / "model.onnx"))
    scene = write_stack(seed=4)
    np.testing.assert_allclose(
        predictor.predict(scene).astype(float), model.predict(scene).astype(float), atol=1
    )


def test_cards_without_layers_of_classes_stay_as_they_were(
    write_stack: WriteStack, target: Path
) -> None:
    side = data_of(write_stack(), target).card.source
    assert Side.from_json(side.to_json()) == side
    plain = replace(side, class_bands=None)
    assert "class_bands" not in plain.to_json()
    assert Side.from_json(plain.to_json()) == plain
    assert plain.fill == plain.mean
    for wrong in ([[1]], [[], [1.5]], [[], ["x"]], 3):
        with pytest.raises(InvalidInputError, match="class"):
            Side.from_json(side.to_json() | {"class_bands": wrong})


def test_unknown_classes_of_a_scene_are_said(write_stack: WriteStack, target: Path) -> None:
    model = Pix2Pix(data_of(write_stack(), target), **SMALL)
    with pytest.warns(GeotranslateWarning, match=r"The band lulc:1 of .* holds 41, 42, .*10, 20"):
        model.predict_raster(write_stack("b", (10, 41, 42, 95)), **PLAIN)
    with warnings.catch_warnings():
        warnings.simplefilter("error", GeotranslateWarning)
        model.predict_raster(write_stack(seed=2), **PLAIN)


def test_matching_leaves_classes(write_stack: WriteStack, target: Path) -> None:
    side = data_of(write_stack(), target).card.source
    other = data_of(write_stack("b", (10, 10, 10, 95)), target, (10, 95)).card.source
    mapped = map_to_training(other.quantiles, side)
    assert mapped is not None
    given = images(side)
    np.testing.assert_allclose(mapped(given)[:, 1], given[:, 1], atol=1e-3)
    assert len(side.distances(other.quantiles) or ()) == 1  # type: ignore[arg-type]


def test_data_of_other_classes_is_refused_or_brought_to_the_fill_of_the_model(
    write_stack: WriteStack, target: Path
) -> None:
    data = data_of(write_stack(), target)
    model = Pix2Pix(data, **SMALL)
    for numbers in ({"source_classes": None}, {"source_classes": {"lulc": (10, 20, 30, 95, 9)}}):
        with pytest.raises(InvalidInputError, match="trained on the classes 10, 20, 30, 95 in"):
            model.compute_metrics(data=data_of(write_stack(), target, **numbers))
    new = replace(data.card.source, class_bands=((), (*NUMBERS, 96)))
    scaled = torch.from_numpy(data.card.source.scaling.scale(np.full((1, 2, 2, 2), 96.0)))
    values = new.scaling.unscale(as_sources_of(scaled, data.card.source, new).numpy())
    np.testing.assert_allclose(values[0, 1], 97, rtol=1e-5)


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ({"dem": [1]}, "has the layer 'dem', but the source has the layers s1, lulc"),
        ({"lulc": [10, 10]}, "give each class number once"),
        ({"lulc": []}, r"source_classes\['lulc'\] has 0 values; give 1 to 256"),
        ({"lulc": [1.5]}, r"source_classes\['lulc'\]"),
        ({"lulc": "10"}, r"source_classes\['lulc'\]"),
        ({"lulc": [1, 2]}, r"lulc:1 of the source holds 10, 20, 30, 95, which are none of"),
        ({"lulc": np.array(3)}, r"source_classes\['lulc'\] is 3; give a list"),
        ({"lulc": range(10**12)}, r"source_classes\['lulc'\] has 257 values; give 1 to 256"),
        ({1: [10]}, "has the layer 1, but the source has"),
        ("lulc", "source_classes is 'lulc'"),
    ],
)
def test_wrong_classes_end_in_a_sentence(
    write_stack: WriteStack, target: Path, classes: Any, sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        data_of(write_stack(), target, source_classes=classes)


def test_a_scaling_of_all_layers_merges_no_classes(write_stack: WriteStack, target: Path) -> None:
    for kind in ("db", "zscore", {"s1": "db"}):
        data = data_of(write_stack(), target, source_scaling=kind)
        found = Pix2Pix(data, **SMALL).pair.generator.bands
        given = images(data.card.source)
        scaled = torch.from_numpy(data.card.source.scaling.scale(given))
        assert torch.equal(found(scaled, torch.float32)[:, 1:], one_hot(given[:, 1]))


def test_all_layers_may_be_classes(
    write_stack: WriteStack, target: Path, write_raster: WriteRaster
) -> None:
    soil = write_raster("soil.tif", patches(128, 7, (1, 2)))
    source = stack(write_stack().layers[1].path, soil)
    data = data_of(source, target, source_classes={"lulc": NUMBERS, "soil": [1, 2]})
    model = Pix2Pix(data, **SMALL)
    model.fit(1, checkpoint=False, progress=False)
    assert model.predict_raster(source, **PLAIN).drift is None
    assert model.pair.generator.network.encoder[0][1].in_channels == 6


def test_numbers_that_are_not_listed_are_said(write_stack: WriteStack, target: Path) -> None:
    with pytest.warns(GeotranslateWarning, match=r"lulc:1 of the source holds 30, 95, which"):
        data_of(write_stack(), target, (10, 20))
    with pytest.raises(InvalidInputError, match="give True for classes"):
        data_of(write_stack(), target, target_classes={"lulc": [1]})
