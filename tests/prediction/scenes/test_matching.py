"""Scenes of another light are matched to the training data, or normalized by a share of theirs."""

from __future__ import annotations

import concurrent.futures as cf
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from geotranslate import Pix2Pix, load_model, prepare_data
from geotranslate.chips.bands import Classes
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from geotranslate.networks.normalization import measure, measuring
from geotranslate.prediction.scenes.matching import check_match
from geotranslate.raster.pipeline import assemble_parts
from tests.conftest import WriteRaster
from tests.prediction.test_normstats import OPTIONS, Elsewhere, parameters, read

REMEDIES = [
    {"norm_stats": 0.25, "match": "training"},
    pytest.param({"match": "training"}, marks=pytest.mark.slow),
    pytest.param({"norm_stats": "smooth", "match": "training"}, marks=pytest.mark.slow),
]
# The scenes are float32, and some are far from the chips, which is said in any case.
pytestmark = pytest.mark.filterwarnings("ignore::geotranslate.errors.GeotranslateWarning")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut outputs into parts of 256 rows."""
    monkeypatch.setattr("geotranslate.raster.pipeline.planning.part_height", lambda *_: 256)


@pytest.fixture
def model(write_chips: Callable[..., Path]) -> Pix2Pix:
    torch.manual_seed(0)
    data = prepare_data(write_chips())
    return Pix2Pix(data, recipe="seamless", norm="batch", ngf=4, ndf=4, depth=5)


def like_training(height: int, width: int) -> NDArray[np.float32]:
    """Return a scene with about the values of the chips."""
    smooth = np.add.outer(np.arange(height), np.arange(width) * 2) % 120
    return np.stack([smooth + band for band in range(3)]).astype("float32")


@pytest.fixture
def scene(write_raster: WriteRaster) -> Path:
    return write_raster("scene.tif", like_training(300, 130))


def test_a_matched_scene_is_translated_as_in_the_light_of_training(
    model: Pix2Pix, write_raster: WriteRaster, scene: Path, tmp_path: Path
) -> None:
    valid = np.ones((300, 130), bool)
    valid[:100, :100] = False
    data = 300 + 4 * like_training(300, 130) ** 1.2
    other = write_raster("other.tif", np.where(valid, data, -1).astype("float32"), nodata=-1)
    plain = read(model.predict_raster(scene, tmp_path / "p.tif", **OPTIONS))
    off = read(model.predict_raster(other, tmp_path / "o.tif", **OPTIONS))
    on = read(model.predict_raster(other, tmp_path / "m.tif", match="training", **OPTIONS))
    errors = [np.abs(found - plain)[:, 150:].mean() for found in (off, on)]
    assert errors[1] < 0.1 * errors[0]
    np.testing.assert_array_equal(np.isfinite(on[0]), valid)


@pytest.mark.slow
@pytest.mark.parametrize("remedy", REMEDIES)
def test_pieces_and_workers_make_the_same_bytes(
    model: Pix2Pix, scene: Path, tmp_path: Path, remedy: dict[str, Any]
) -> None:
    options = {**OPTIONS, **remedy}
    expected = model.predict_raster(scene, tmp_path / "whole.tif", **options).path.read_bytes()
    plain = model.predict_raster(scene, tmp_path / "plain.tif", **OPTIONS).path.read_bytes()
    assert plain != expected

    def same(name: str, **more: Any) -> None:
        result = model.predict_raster(scene, tmp_path / name, **options, **more)
        assert result.path.read_bytes() == expected

    with cf.ThreadPoolExecutor(2) as pool:
        same("threads.tif", executor=pool)
    same("elsewhere.tif", executor=Elsewhere())
    for part in ("2/2", "1/2"):
        model.predict_raster(scene, tmp_path / "parts.tif", part=part, **options)
    # Other parts of the same output have to be of the same remedy.
    others = [dict(OPTIONS), {**OPTIONS, "norm_stats": 0.5}]
    for other in others:
        with pytest.raises(InvalidInputError, match=r"another (match|norm_stats)"):
            model.predict_raster(scene, tmp_path / "parts.tif", resume=True, **other)
    assert assemble_parts(tmp_path / "parts.tif").read_bytes() == expected
    assert remedy.items() <= parameters(tmp_path / "whole.tif").items()


def test_models_without_quantiles_cannot_match(model: Pix2Pix, scene: Path, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "model")
    card = json.loads((folder / "card.json").read_text())
    for side in ("source", "target"):
        del card["data"][side]["quantiles"]
    (folder / "card.json").write_text(json.dumps(card))
    former = load_model(folder)
    former.predict_raster(scene, tmp_path / "a.tif", **OPTIONS)
    with pytest.raises(InvalidInputError, match="saved without quantiles of its training data, by"):
        former.predict_raster(scene, tmp_path / "b.tif", match="training", **OPTIONS)
    # And their card stays as it is.
    again = json.loads((former.save(tmp_path / "again") / "card.json").read_text())
    assert again["data"] == card["data"]


def test_values_that_cannot_be_matched_are_said(
    model: Pix2Pix, scene: Path, tmp_path: Path, write_raster: WriteRaster
) -> None:
    with pytest.raises(InvalidInputError, match="match is 'scene'; give one of training"):
        model.predict_raster(scene, tmp_path / "o.tif", match="scene", **OPTIONS)  # type: ignore[arg-type]
    side = replace(model.card.source, classes=Classes((1, 2), None), quantiles=None)
    with pytest.raises(InvalidInputError, match="match is 'training', but the source holds"):
        check_match("training", side)
    empty = write_raster("empty.tif", np.full((3, 70, 70), np.nan, "float32"))
    with pytest.warns(GeotranslateWarning, match="so its values cannot be matched"):
        result = model.predict_raster(empty, tmp_path / "o.tif", match="training", **OPTIONS)
    assert "cannot be matched" in result.warnings[-1]


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), True, "half", None, [0.5]])
def test_shares_are_numbers_from_0_to_1(
    model: Pix2Pix, scene: Path, tmp_path: Path, share: Any
) -> None:
    with pytest.raises(InvalidInputError, match=r"norm_stats is .*, or the share of the sce"):
        model.predict_raster(scene, tmp_path / "o.tif", norm_stats=share, **OPTIONS)


def test_shares_lead_from_the_running_statistics_to_those_of_the_scene(
    model: Pix2Pix, scene: Path, tmp_path: Path
) -> None:
    def by(name: str, norm_stats: Any) -> NDArray[Any]:
        options = {**OPTIONS, "norm_stats": norm_stats}
        return read(model.predict_raster(scene, tmp_path / name, **options))

    running, whole = by("r.tif", "running"), by("s.tif", "scene")
    np.testing.assert_array_equal(by("0.tif", 0), running)
    np.testing.assert_array_equal(by("1.tif", 1), whole)
    far = np.abs(by("c.tif", np.float32(0.75)) - running).mean()
    near = np.abs(by("b.tif", 0.05) - running).mean()
    assert 0 < near < far < 2 * np.abs(whole - running).mean()


def test_normalizations_without_running_statistics_have_no_share(
    write_chips: Callable[..., Path], scene: Path, tmp_path: Path
) -> None:
    model = Pix2Pix(prepare_data(write_chips()), recipe="seamless", norm="instance", ngf=4, depth=5)
    with pytest.raises(InvalidInputError, match=r"norm_stats is 0.25, but the model normalizes b"):
        model.predict_raster(scene, tmp_path / "o.tif", **{**OPTIONS, "norm_stats": 0.25})


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_mixed_statistics_are_those_of_mixed_pixels(share: float) -> None:
    torch.manual_seed(0)
    scene, training = torch.randn(1, 3, 40, 50) * 2 + 5, torch.randn(1, 3, 40, 50) - 1
    norm = nn.BatchNorm2d(3)
    norm.running_mean = training.mean((0, 2, 3))
    norm.running_var = training.var((0, 2, 3), correction=0)
    network = measuring(nn.Sequential(norm), together=True, share=share)
    found = measure(network, scene, torch.ones(1, 1, 40, 50))[0]
    # Four parts, of which some are the scene.
    parts = int(share * 4)
    mixed = torch.cat([scene] * parts + [training] * (4 - parts))
    expected = torch.cat([mixed.mean((0, 2, 3)), mixed.std((0, 2, 3), correction=0)])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
