"""Whatever statistics normalise a scene, they are the same wherever its tiles are translated."""

from __future__ import annotations

import concurrent.futures as cf
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

from geotranslate import Pix2Pix, prepare_data
from geotranslate.cli import main
from geotranslate.errors import GeotranslateWarning, InvalidInputError, RasterFileError
from geotranslate.files import sha256_of
from geotranslate.networks.unet import UNet
from geotranslate.prediction import normstats
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.normstats import SceneStatistics
from geotranslate.prediction.scenes import scenestatistics
from geotranslate.prediction.scenes.scenestatistics import FILE, Prescan, complete, sampled, spread
from geotranslate.raster.pipeline import assemble_parts, translate_raster
from geotranslate.raster.tiling.axis import Axis, InterpolationGrid
from tests.children import CONTEXT
from tests.conftest import WriteRaster
from tests.prediction.test_predict_raster import BOUNDS, cut

OPTIONS: dict[str, Any] = {
    "progress": False,
    "precision": "float32",
    "dtype": "float32",
    "tile_size": 64,
    "overlap": 16,
}
FIRST = ("scene", "smooth")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut outputs into parts of 256 rows."""
    monkeypatch.setattr("geotranslate.raster.pipeline.planning.part_height", lambda *_: 256)


def drifting(height: int, width: int) -> NDArray[np.uint8]:
    """Return three bands of noise whose brightness and contrast change over the scene."""
    rows, cols = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).normal(0, 1, (3, height, width))
    return np.clip(80 + cols / 3 + noise * (10 + rows / 20), 0, 255).astype(np.uint8)


@pytest.fixture
def scene(write_raster: WriteRaster) -> Path:
    return write_raster("scene.tif", drifting(400, 200))


@pytest.fixture
def make(write_chips: Callable[..., Path]) -> Callable[..., Pix2Pix]:
    def made(norm: str = "instance", **options: Any) -> Pix2Pix:
        # Of a single pixel that is repeated no deviation is left: by the statistics of a tile, its
        # rounding would be magnified by 300.
        options = {"ngf": 4, "ndf": 4, "depth": 5, **options}
        options = {"recipe": "seamless"} | options
        return Pix2Pix(prepare_data(write_chips()), norm=norm, **options)

    return made


@pytest.fixture
def model(make: Callable[..., Pix2Pix]) -> Pix2Pix:
    return make()


def read(path: Any) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        return dataset.read()


def parameters(path: Any) -> dict[str, Any]:
    with rasterio.open(path) as dataset:
        return json.loads(dataset.tags()["GEOTRANSLATE_PARAMETERS"])


# Who computes it, and in which pieces


class Elsewhere:
    """An executor that hands on what it gets as another process would get it."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> cf.Future[Any]:
        future: cf.Future[Any] = cf.Future()
        function, args = pickle.loads(pickle.dumps((function, args)))
        future.set_result(function(*args))
        return future


MEASUREMENT = pytest.param(
    {"recipe": "measurement", "depth": 3}, id="measurement", marks=pytest.mark.slow
)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [pytest.param({}, id="picture"), MEASUREMENT])
@pytest.mark.parametrize("norm_stats", FIRST)
def test_pieces_and_workers_make_the_same_bytes(
    make: Callable[..., Pix2Pix],
    scene: Path,
    tmp_path: Path,
    norm_stats: Any,
    recipe: dict[str, Any],
) -> None:
    model = make(**recipe)
    options = {**OPTIONS, "norm_stats": norm_stats}
    expected = model.predict_raster(scene, tmp_path / "whole.tif", **options).path.read_bytes()

    def same(name: str, **more: Any) -> None:
        result = model.predict_raster(scene, tmp_path / name, **options, **more)
        assert result.path.read_bytes() == expected

    same("batches.tif", batch_size=3)
    same("stripes.tif", max_memory=1000)
    with cf.ThreadPoolExecutor(2) as pool:
        same("threads.tif", executor=pool)
    same("elsewhere.tif", executor=Elsewhere())
    for part in ("2/2", "1/2"):
        model.predict_raster(scene, tmp_path / "parts.tif", part=part, **options)
    assert assemble_parts(tmp_path / "parts.tif").read_bytes() == expected
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.slow
@pytest.mark.parametrize("norm_stats", FIRST)
def test_processes_make_the_same_bytes(
    model: Pix2Pix, scene: Path, tmp_path: Path, norm_stats: Any
) -> None:
    options = {**OPTIONS, "norm_stats": norm_stats}
    whole = model.predict_raster(scene, tmp_path / "whole.tif", **options)
    with cf.ProcessPoolExecutor(2, CONTEXT) as pool:
        result = model.predict_raster(scene, tmp_path / "o.tif", executor=pool, **options)
    assert result.path.read_bytes() == whole.path.read_bytes()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("norm_stats", FIRST)
def test_resumed_run_reads_what_the_first_one_measured(
    model: Pix2Pix,
    scene: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    norm_stats: Any,
) -> None:
    options = {**OPTIONS, "norm_stats": norm_stats}
    whole = model.predict_raster(scene, tmp_path / "whole.tif", **options)
    output, call = tmp_path / "o.tif", Inference.__call__
    seen = 0

    def failing(self: Inference, batch: Any, places: Any = None) -> Any:
        nonlocal seen
        seen += 1
        if seen > 14:
            raise KeyboardInterrupt
        return call(self, batch, places)

    monkeypatch.setattr(Inference, "__call__", failing)
    with (
        pytest.warns(GeotranslateWarning, match="parts are finished and stay"),
        pytest.raises(KeyboardInterrupt),
    ):
        model.predict_raster(scene, output, batch_size=2, **options)
    monkeypatch.undo()
    monkeypatch.setattr("geotranslate.raster.pipeline.planning.part_height", lambda *_: 256)
    for other in {"tile", "scene", "smooth"} - {norm_stats}:
        with pytest.raises(InvalidInputError, match="made with another norm_stats, so they are no"):
            model.predict_raster(scene, output, resume=True, **{**options, "norm_stats": other})
    monkeypatch.setattr(scenestatistics, "measure", None)
    result = model.predict_raster(scene, output, resume=True, **options)
    assert result.path.read_bytes() == whole.path.read_bytes()


@pytest.mark.parametrize("norm_stats", FIRST)
def test_statistics_that_were_changed_are_refused(
    model: Pix2Pix, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, norm_stats: Any
) -> None:
    output = tmp_path / "o.tif"
    model.predict_raster(scene, output, part="1/2", norm_stats=norm_stats, **OPTIONS)
    file = tmp_path / "o.tif.parts" / FILE
    axis = InterpolationGrid(Axis(9, 9, 0), 9)
    known = SceneStatistics(file, sha256_of(file), axis, axis, (0, 0))
    np.testing.assert_array_equal(known.read(), np.load(file))
    monkeypatch.setattr(normstats, "LARGEST_READ", 1)
    np.testing.assert_array_equal(known.read(), np.load(file))
    whole = file.read_bytes()
    file.write_bytes(whole + b"0")
    with pytest.raises(RasterFileError, match=r"statistics.npy were changed while it was transl"):
        known.read()
    for rest in (whole[:-1], b""):
        file.write_bytes(rest)
        with pytest.raises(RasterFileError, match=r"statistics.npy, .* is damaged; remove the fol"):
            replace(known, digest=sha256_of(file)).read()
    file.unlink()
    with pytest.raises(RasterFileError, match=r"are not in .*statistics.npy. .* start again where"):
        known.read()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("norm_stats", FIRST)
@pytest.mark.parametrize("nodata", [pytest.param(False, marks=pytest.mark.slow), True])
def test_area_gives_the_cut_of_the_whole(
    model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path, norm_stats: Any, nodata: bool
) -> None:
    """The sample, and the neighbours of a tile, are those of the whole scene."""
    valid = np.ones((700, 200), bool)
    if nodata:
        valid[300:560, 40:] = False
    scene = write_raster("scene.tif", drifting(700, 200), valid=valid)
    options = {**OPTIONS, "norm_stats": norm_stats}
    whole = model.predict_raster(scene, tmp_path / "whole.tif", **options)
    part = model.predict_raster(scene, tmp_path / "o.tif", bbox=BOUNDS, **options)
    np.testing.assert_array_equal(read(part), cut(whole, BOUNDS)[0])


# What is computed


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("norm_stats", [*FIRST, "auto"])
def test_invalid_pixels_change_nothing(
    model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path, norm_stats: Any
) -> None:
    data, valid = drifting(300, 200), np.ones((300, 200), bool)
    valid[100:170, 50:190] = False
    options = {**OPTIONS, "norm_stats": norm_stats}
    scene = write_raster("a/scene.tif", data, valid=valid)
    expected = model.predict_raster(scene, tmp_path / "a.tif", **options)
    garbage = np.where(valid, data, 255 - data)
    scene = write_raster("b/scene.tif", garbage, valid=valid)
    found = model.predict_raster(scene, tmp_path / "b.tif", **options)
    assert found.path.read_bytes() == expected.path.read_bytes()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_identical_tiles_need_no_interpolation(
    make: Callable[..., Pix2Pix], write_raster: WriteRaster, tmp_path: Path, norm: str
) -> None:
    # Tiles begin every 48 px.
    data = np.tile(drifting(48, 48), (1, 6, 5))[:, : 64 + 4 * 48, : 64 + 3 * 48]
    scene, model = write_raster("scene.tif", data), make(norm)
    found = {
        norm_stats: read(
            model.predict_raster(
                scene, tmp_path / f"{norm_stats}.tif", norm_stats=norm_stats, **OPTIONS
            )
        )
        for norm_stats in ("tile", "smooth")
    }
    assert np.ptp(found["tile"]) > 1
    np.testing.assert_allclose(found["smooth"], found["tile"], rtol=0, atol=2e-3)


def depth_3(norm: str, card: Any, norm_stats: Any, precision: Any = "float32") -> Inference:
    torch.manual_seed(0)
    network = UNet(3, 1, depth=3, ngf=4, norm=norm)
    inference = Inference(network, card, network.stride, network.radius)
    return inference.at(precision, norm_stats)


def translated(inference: Inference, scene: Path, output: Path, **options: Any) -> Any:
    """Return what is written, and the inference that knows the scene."""
    known: list[Inference] = [inference]

    def finish(statistics: SceneStatistics) -> Inference:
        known.append(inference.knowing(statistics))
        return known[1]

    apply = Prescan(inference, finish) if inference.needs_prescan else inference
    options = {"bands_out": 1, "dtype": "float32", "progress": False, **options}
    return translate_raster(scene, output, apply, **options), known[-1]


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_cropped_tiles_of_a_scene_are_the_whole_image(
    fresh_model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path, norm: str
) -> None:
    scene = write_raster("scene.tif", drifting(320, 256))
    inference = depth_3(norm, fresh_model.card, "scene")
    assert (inference.stride, inference.radius) == (8, 15)
    result, knowing = translated(inference, scene, tmp_path / "o.tif", tile_size=128)
    whole = knowing(read(scene)[None].astype(np.float32))[0]
    assert result.mismatch == pytest.approx(0, abs=1e-3)
    assert np.ptp(whole) > 1
    # In units of which the range has 510.
    np.testing.assert_allclose(read(result), whole, rtol=0, atol=255e-5)


def test_tiles_agree_where_statistics_do(fresh_model: Pix2Pix, scene: Path, tmp_path: Path) -> None:
    tile, smooth, still = (
        translated(
            depth_3("instance", fresh_model.card, norm_stats),
            scene,
            tmp_path / f"by_{norm_stats}.tif",
            tile_size=64,
            blend="crop",
            overlap=32,
        )[0].mismatch
        for norm_stats in ("tile", "smooth", "scene")
    )
    assert still < 1e-3 and smooth < tile / 2


def test_tile_is_training_mode_one_by_one(make: Callable[..., Pix2Pix]) -> None:
    model = make("batch", dropout=0.0)
    tiles = drifting(192, 64).reshape(3, 3, 64, 64).swapaxes(0, 1).astype(np.float32)
    found = model.predictor.inference.at("float32", "tile")(tiles)
    card, generator = model.card, model.pair.generator.train()
    with torch.inference_mode():
        scaled = torch.from_numpy(card.source.scaling.scale(tiles))
        expected = torch.cat([generator(tile[None]) for tile in scaled]).numpy()
    np.testing.assert_allclose(found, card.target.scaling.unscale(expected), atol=1e-3)


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("norm_stats", FIRST)
@pytest.mark.parametrize("shape", [(50, 40), (64, 64), (300, 50), (65, 300)])
def test_scenes_of_one_tile_row_or_column(
    make: Callable[..., Pix2Pix],
    write_raster: WriteRaster,
    tmp_path: Path,
    norm_stats: Any,
    shape: tuple[int, int],
) -> None:
    scene, model = write_raster("scene.tif", drifting(*shape)), make("group")
    result = model.predict_raster(scene, tmp_path / "o.tif", norm_stats=norm_stats, **OPTIONS)
    assert np.isfinite(read(result)).all()
    if max(shape) <= 64:
        alone = model.predict_raster(scene, tmp_path / "a.tif", norm_stats="tile", **OPTIONS)
        # Reflected pixels beyond a small scene are in the tile as well.
        np.testing.assert_allclose(read(result), read(alone), rtol=0, atol=2e-3)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("norm_stats", ["tile", *FIRST])
def test_bfloat16_is_near(model: Pix2Pix, scene: Path, tmp_path: Path, norm_stats: Any) -> None:
    options = {**OPTIONS, "norm_stats": norm_stats}
    slow = read(model.predict_raster(scene, tmp_path / "a.tif", **options))
    options["precision"] = "bfloat16"
    fast = read(model.predict_raster(scene, tmp_path / "b.tif", **options))
    assert 0 < np.abs(fast - slow).mean() < 0.02 * np.ptp(slow)


def test_scene_without_a_valid_pixel(
    model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    nothing = write_raster("scene.tif", drifting(90, 80), valid=np.zeros((90, 80), bool))
    for norm_stats in FIRST:
        result = model.predict_raster(
            nothing, tmp_path / f"by_{norm_stats}.tif", norm_stats=norm_stats, **OPTIONS
        )
        assert result.skipped == result.tiles


def test_every_scene_has_statistics_of_its_own(
    model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    scenes = [write_raster(f"{n}.tif", drifting(130, 130)[:, ::-1] // n) for n in (1, 2)]
    together = model.predict_raster(scenes, tmp_path / "out", **OPTIONS)
    for scene, found in zip(scenes, together, strict=True):
        alone = model.predict_raster(scene, tmp_path / f"alone_{scene.name}", **OPTIONS)
        assert found.path.read_bytes() == alone.path.read_bytes()


# What is asked for


@pytest.mark.slow
def test_auto_is_what_does_not_see_the_tile(
    make: Callable[..., Pix2Pix], scene: Path, tmp_path: Path
) -> None:
    for norm, expected in (("batch", "running"), ("instance", "scene"), ("group", "scene")):
        model = make(norm)
        auto = model.predict_raster(scene, tmp_path / f"{norm}.tif", **OPTIONS)
        said = model.predict_raster(
            scene, tmp_path / f"{norm}2.tif", norm_stats=expected, **OPTIONS
        )
        assert parameters(auto)["norm_stats"] == expected
        assert auto.path.read_bytes() == said.path.read_bytes()


def test_without_normalisation_all_come_out_alike(
    make: Callable[..., Pix2Pix], scene: Path, tmp_path: Path
) -> None:
    model = make("none")
    found = {
        model.predict_raster(
            scene, tmp_path / f"by_{norm_stats}.tif", norm_stats=norm_stats, **OPTIONS
        ).path.read_bytes()
        for norm_stats in ("auto", "running", "tile", "scene", "smooth")
    }
    assert len(found) == 1


@pytest.mark.slow
def test_turned_tiles_take_the_statistics_of_the_scene(
    model: Pix2Pix, scene: Path, tmp_path: Path
) -> None:
    for norm_stats in ("scene", "tile"):
        options = {**OPTIONS, "norm_stats": norm_stats, "tta": True}
        result = model.predict_raster(scene, tmp_path / f"by_{norm_stats}.tif", **options)
        assert np.isfinite(read(result)).all()


@pytest.mark.parametrize(
    ("norm", "options", "sentence"),
    [
        (
            "instance",
            {"norm_stats": "running"},
            "norm_stats is 'running', but the model normalizes by InstanceNorm2d, which learns no "
            "statistics in training; give 'scene' or 'smooth' for those of the scene, 'tile' for "
            "those of every tile, or leave it out",
        ),
        ("group", {"norm_stats": "running"}, "normalizes by GroupNorm, which learns no"),
        (
            "batch",
            {"norm_stats": "smooth", "tta": True},
            "norm_stats is 'smooth', whose statistics are of tiles as they lie, but tta turns "
            "tiles; translate without tta, or give norm_stats='scene'",
        ),
        ("batch", {"norm_stats": "batch"}, "norm_stats is 'batch'; give one of auto, running, "),
    ],
)
def test_what_cannot_be_is_said(
    make: Callable[..., Pix2Pix], scene: Path, norm: str, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        make(norm).predict_raster(scene, **options)


def test_command_line(model: Pix2Pix, scene: Path, tmp_path: Path) -> None:
    command = ["predict", str(model.save(tmp_path / "model")), str(scene), "--no-progress"]
    done = CliRunner().invoke(main, [*command, "--norm-stats", "smooth"])
    assert done.exit_code == 0, done.output
    assert parameters(done.output.strip())["norm_stats"] == "smooth"


# Sampling


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (7, 3), (40, 60), (90, 70)])
def test_every_place_comes_once_and_the_first_ones_lie_all_over(shape: tuple[int, int]) -> None:
    places = list(spread(*shape))
    assert sorted(places) == [(row, col) for row in range(shape[0]) for col in range(shape[1])]
    if shape[0] * shape[1] > 64:
        for axis in (0, 1):
            at = np.array(places[:32])[:, axis] / shape[axis]
            counts = np.histogram(at, 4, (0, 1))[0]
            assert counts.min() >= 5, "each quarter of the scene has 8 of 32 tiles or nearly so"


class Tiles:
    """A survey of tiles of which a share is valid."""

    def __init__(self, shares: NDArray[np.float64]) -> None:
        self.shares, self.plan, self.read = shares, self, 0

    @property
    def rows(self) -> range:
        return range(self.shares.shape[0])

    @property
    def cols(self) -> range:
        return range(self.shares.shape[1])

    def tile(self, place: tuple[int, int]) -> Any:
        self.read += 1
        return np.zeros((1, 10, 10)), np.arange(100).reshape(10, 10) < 100 * self.shares[place]


def test_mostly_valid_tiles_are_preferred_and_empty_ones_never_taken() -> None:
    shares = np.zeros((20, 20))
    shares[::2] = 0.3
    shares[5:9, 5:9] = 1
    found = [valid.mean() for _, valid in sampled(Tiles(shares), 12)]  # type: ignore[arg-type]
    assert len(found) == 12 and min(found) == pytest.approx(0.3)
    assert found == sorted(found, reverse=True) and found.count(1.0) >= 3
    survey = Tiles(np.ones((300, 300)))
    assert len(sampled(survey, 32)) == survey.read == 32  # type: ignore[arg-type]
    alone = np.zeros((30, 30))
    alone[29, 13] = 0.1
    assert len(sampled(Tiles(alone), 4)) == 1  # type: ignore[arg-type]
    assert sampled(Tiles(alone * 0), 4) == []  # type: ignore[arg-type]


def test_tiles_with_few_valid_pixels_take_statistics_from_around() -> None:
    shares = np.array([[1.0, 0.1, 0.5, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0.1, 0.2]])
    grid = np.arange(15, dtype=np.float32).reshape(3, 5, 1)
    complete(grid, shares, (1, 1))
    few = (13 * 0.1 + 14 * 0.2) / 0.3
    expected = [[0, 2 / 3, 2, 2, 4], [0, 2 / 3, 2, 2, few], [10, 11, 13, few, few]]
    np.testing.assert_allclose(grid[..., 0], expected, rtol=1e-6)
