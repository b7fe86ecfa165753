"""Class maps as sources, from chips to translated scenes."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray

from geotranslate import GeotranslateWarning, Pix2Pix, load_model, prepare_data
from geotranslate.chips.bands.classes import Classes
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.errors import InvalidInputError, ModelFileError
from geotranslate.networks.onehot import OneHot
from geotranslate.translators.runs.measuring import as_sources_of
from tests.conftest import WriteRaster
from tests.translators.conftest import NUMBERS, WriteMaps, patches

SMALL: dict[str, Any] = {"recipe": "seamless", "ngf": 4, "ndf": 4}
FIT: dict[str, Any] = {"checkpoint": False, "progress": False}


def read(path: Any) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        return dataset.read()


def test_networks_see_a_band_for_each_class_and_none_where_there_is_nothing(
    write_maps: WriteMaps,
) -> None:
    data = prepare_data(write_maps(), batch_size=2)
    assert data.card.source.class_numbers == NUMBERS
    assert data.card.source.fill == (96,)
    model = Pix2Pix(data, **SMALL)
    assert model.pair.generator.network.encoder[0][1].in_channels == 4
    assert model.pair.discriminator.network.layers[0].in_channels == 4 + 3
    assert "UNet of" in repr(model)
    for loader in (data.train, data.valid):
        for source, target in loader:
            gaps = torch.isnan(target.as_subclass(torch.Tensor)).all(dim=1)
            assert gaps.any()
            found = model.pair.generator.bands(source.as_subclass(torch.Tensor), torch.float32)
            assert torch.equal(found.sum(dim=1), (~gaps).float())


def test_gaps_are_seen_as_nothing_by_scenes_and_images(
    write_maps: WriteMaps, write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its mean over the chips is a class, too: gaps filled with it would be seen as that.
    data = prepare_data(write_maps())
    data.card = replace(data.card, source=replace(data.card.source, mean=(20.0,)))
    model = Pix2Pix(data, **SMALL)
    seen = []
    network = model.pair.generator.bands
    forward = network.forward
    monkeypatch.setattr(
        type(network), "forward", lambda _, *given: seen.append(given[0]) or forward(*given)
    )
    scene = patches(64, 5)
    scene[0, 30:] = 0
    path = write_raster("scene.tif", scene, nodata=0)
    for translate in (
        lambda: model.predict(path),
        lambda: model.predict(np.where(scene, scene, np.nan)),
        lambda: model.predict_raster(path, progress=False, precision="float32"),
    ):
        seen.clear()
        translate()
        found = forward(seen[-1], torch.float32).sum(dim=1)[0, :64, :64]
        assert torch.equal(found, torch.from_numpy(scene[0] > 0).float())


def test_other_numbers_for_the_same_classes_change_nothing(write_maps: WriteMaps) -> None:
    # In the same order, so that the same weights serve the same classes.
    others = (1, 2, 200, 201)
    one, other = (
        Pix2Pix(prepare_data(write_maps(f"maps{n[0]}", n)), **SMALL) for n in (NUMBERS, others)
    )
    translated = one.predict(patches(64, 7))
    np.testing.assert_array_equal(translated, other.predict(patches(64, 7, others)))


def test_numbers_and_weights_exchanged_alike_change_nothing(write_maps: WriteMaps) -> None:
    order = [2, 0, 3, 1]
    model = Pix2Pix(prepare_data(write_maps()), **SMALL)
    other = copy.deepcopy(model)
    first = other.pair.generator.network.encoder[0][1]
    with torch.no_grad():
        # Class k becomes class order[k].
        first.weight[:, order] = first.weight.clone()
    exchanged = patches(64, 7, [NUMBERS[place] for place in order])
    # Sums in another order.
    np.testing.assert_allclose(
        model.predictor.inference(patches(64, 7)[None]),
        other.predictor.inference(exchanged[None]),
        atol=0.01,
    )


def test_as_quantities_they_are_one_band(write_maps: WriteMaps) -> None:
    data = prepare_data(write_maps(), source_classes=False)
    model = Pix2Pix(data, **SMALL)
    assert not any(isinstance(module, OneHot) for module in model.pair.modules())
    assert model.pair.generator.encoder[0][1].in_channels == 1


@pytest.mark.slow_after(1)
@pytest.mark.filterwarnings("ignore:The target's values")
@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"recipe": "paper", "depth": 4},
        {"norm": "instance", "perceptual_loss": True},
        {"generator": "resnet6", "norm": "group", "lambda_gan": 0},
        pytest.param({"backbone": "resnet18", "n_layers": 0}, marks=pytest.mark.slow),
        pytest.param({"backbone": "mit_b0", "lambda_gan": 0}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_kind_trains_translates_and_comes_back(
    write_maps: WriteMaps, write_raster: WriteRaster, tmp_path: Path, kind: dict[str, Any]
) -> None:
    if "backbone" in kind:
        pytest.importorskip("segmentation_models_pytorch")
    model = Pix2Pix(prepare_data(write_maps(), batch_size=2), **{**SMALL, **kind})
    model.fit(1, precision="bfloat16", ema=0.5, **FIT)
    assert np.isfinite(list(model.history[0].values())).all()
    again = load_model(model.save(tmp_path / "model"))
    scene = write_raster("scene.tif", patches(90, 5), nodata=0)
    settings: list[dict[str, Any]] = [{"precision": "bfloat16", "tta": True}, {"tile_size": 64}]
    if kind.get("norm") == "instance":
        settings += [{"norm_stats": name} for name in ("scene", "smooth", "tile")]
    for number, one in enumerate(settings):
        written = [
            read(m.predict_raster(scene, f"{number}.tif", overwrite=True, progress=False, **one))
            for m in (model, again)
        ]
        np.testing.assert_array_equal(*written)
        assert written[0].shape == (3, 90, 90)
    assert dict(again.compute_metrics(data=model.data)) == pytest.approx(
        dict(model.compute_metrics()), nan_ok=True
    )


def test_it_learns_what_classes_look_like(write_maps: WriteMaps) -> None:
    data = prepare_data(write_maps(gaps=False), batch_size=1, transforms=False)
    options: dict[str, Any] = {"lambda_gan": 0, "ngf": 8, "depth": 2, "dropout": 0}
    model = Pix2Pix(data, recipe="seamless", norm="none", **options).fit(15, lr=3e-3, ema=0, **FIT)
    assert model.history[-1]["mae"] < 0.35 * model.history[0]["mae"]


def test_a_training_goes_on_and_workers_see_the_same(
    write_maps: WriteMaps, write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = prepare_data(write_maps(), batch_size=2)
    model = Pix2Pix(data, **SMALL).fit(1, folder=tmp_path / "training", progress=False)
    again = Pix2Pix.from_checkpoint(tmp_path / "training", data)
    scene = write_raster("scene.tif", patches(150, 5), nodata=0)
    expected = read(model.predict_raster(scene, "one.tif", progress=False))
    with ThreadPoolExecutor(2) as threads:
        found = again.predict_raster(scene, "two.tif", executor=threads, progress=False)
    np.testing.assert_array_equal(read(found), expected)


def test_classes_that_were_not_seen_are_said_once(
    write_maps: WriteMaps, write_raster: WriteRaster
) -> None:
    model = Pix2Pix(prepare_data(write_maps()), **SMALL)
    scene = patches(100, 5, [*NUMBERS, 40, 7])
    path = write_raster("cover.tif", scene, nodata=0)
    with pytest.warns(GeotranslateWarning) as caught:
        result = model.predict_raster(path, progress=False)
    said = [str(warning.message) for warning in caught]
    assert said == list(result.warnings)
    assert len(said) == 1
    assert (
        "cover.tif holds 7, 40, which the model has not seen in training; its classes are 10, 2"
        in said[0]
    )


def test_weights_of_other_classes_are_refused_or_said(
    write_maps: WriteMaps, tmp_path: Path
) -> None:
    former = Pix2Pix(prepare_data(write_maps()), **SMALL)
    folder = former.save(tmp_path / "model")
    same = prepare_data(write_maps("same"))
    model = Pix2Pix(same, pretrained_path=folder, **SMALL)
    for one, other in zip(model.pair.parameters(), former.pair.parameters(), strict=True):
        assert torch.equal(one, other)
    quantities = prepare_data(write_maps("same"), source_classes=False)
    sentence = r"the source is 4 classes \(10, 20, 30, 95\) there and quantities here"
    with pytest.raises(ModelFileError, match=sentence):
        Pix2Pix(quantities, pretrained_path=folder, **SMALL)
    fewer = prepare_data(write_maps("fewer", (10, 20, 30)))
    with pytest.raises(ModelFileError, match=r"there and 3 classes \(10, 20, 30\) here"):
        Pix2Pix(fewer, pretrained_path=folder, **SMALL)
    renamed = prepare_data(write_maps("renamed", (1, 2, 3, 4)))
    with pytest.warns(
        GeotranslateWarning, match=r"on the classes 10, 20, 30, 95 and .* on 1, 2, 3, 4"
    ):
        Pix2Pix(renamed, pretrained_path=folder, **SMALL)


def test_an_encoder_of_three_bands_takes_classes(write_maps: WriteMaps, tmp_path: Path) -> None:
    library = pytest.importorskip("segmentation_models_pytorch")
    encoder = library.encoders.get_encoder("resnet18", in_channels=3, weights=None)
    torch.save(encoder.state_dict(), tmp_path / "encoder.pth")
    path = tmp_path / "encoder.pth"
    data = prepare_data(write_maps())
    model = Pix2Pix(data, backbone="resnet18", pretrained_path=path, **SMALL)
    first = model.pair.generator.network.encoder.conv1.weight
    torch.testing.assert_close(first.sum(1), encoder.conv1.weight.sum(1))
    assert not first.requires_grad
    model.unfreeze()
    assert first.requires_grad


def test_unknown_classes_and_quantities_for_classes_are_refused(write_maps: WriteMaps) -> None:
    data = prepare_data(write_maps())
    model = Pix2Pix(data, **SMALL)
    other = prepare_data(write_maps("same"), source_classes=False)
    with pytest.raises(InvalidInputError, match="trained on classes but the source of the data is"):
        model.compute_metrics(data=other)
    unknown = replace(data.card.source, classes=Classes((), None))
    with pytest.raises(InvalidInputError, match="which ones is not known"):
        Pix2Pix(replace(data.card, source=unknown), **SMALL)


def test_gaps_of_other_data_stay_gaps(write_maps: WriteMaps) -> None:
    model = Pix2Pix(prepare_data(write_maps()), **SMALL)
    expected = model.compute_metrics()
    # What fills gaps of a map without the last class is a class of the model.
    numbers = (10, 20, 30, 31)
    side = prepare_data(write_maps("fewer", numbers[:3])).card.source
    assert side.fill == (31,)
    known = replace(side, classes=Classes(numbers, None), scaling=Scaling.linear([9.0], [40.0]))
    filled = side.scaling.scale(np.array([10, 30, 31], np.float32)[None, None])
    found = as_sources_of(torch.from_numpy(filled), side, known)
    np.testing.assert_allclose(known.scaling.unscale(found.numpy())[0, 0], [10, 30, 32], rtol=1e-5)
    # With other colours and the same numbers nothing but the gaps differs.
    other = prepare_data(write_maps("drawn", colormap={96: (1, 2, 3, 255)}))
    assert other.card.source.fill == (97,)
    assert dict(model.compute_metrics(data=other)) == pytest.approx(dict(expected), nan_ok=True)
