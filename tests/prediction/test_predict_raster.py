"""`predict_raster` from a model to the written file, with nothing in between replaced."""

from __future__ import annotations

import concurrent.futures as cf
import html
import json
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from click.testing import CliRunner
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from rasterio.windows import Window, from_bounds
from shapely.geometry import MultiPolygon, Point, box
from shapely.geometry.base import BaseGeometry

from geotranslate import Pix2Pix, load_model, prepare_data
from geotranslate.cli import main
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from geotranslate.prediction import translation
from geotranslate.prediction.inference import Inference
from tests.children import CONTEXT, HANGS, Child
from tests.conftest import NORTH_UP, WriteRaster
from tests.raster.pipeline.test_resume import parts_of

OWN_OVERLAP: dict[str, Any] = {"progress": False, "precision": "float32", "tile_size": 64}
OPTIONS: dict[str, Any] = {**OWN_OVERLAP, "overlap": 16}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut outputs into parts of 256 rows."""
    monkeypatch.setattr("geotranslate.raster.pipeline.planning.part_height", lambda *_: 256)


def smooth(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return three bands of smooth values with noise."""
    rows, cols = np.mgrid[:height, :width]
    waves = [np.sin(rows / (9 + b)) + np.cos(cols / (13 - b)) for b in range(3)]
    noise = np.random.default_rng(seed).normal(0, 0.2, (3, height, width))
    return np.clip((np.stack(waves) + noise) * 50 + 110, 0, 255).astype(np.uint8)


@pytest.fixture
def scene(write_raster: WriteRaster) -> Path:
    return write_raster("scene.tif", smooth(620, 180))


def read(path: Any) -> tuple[NDArray[Any], NDArray[np.bool_], Affine]:
    with rasterio.open(path) as dataset:
        return dataset.read(), dataset.dataset_mask() > 0, dataset.transform


# Areas


def cut(whole: Any, bounds: Sequence[float]) -> tuple[NDArray[Any], Affine]:
    """Return the pixels of a raster under bounds, grown to whole pixels, and their transform."""
    with rasterio.open(whole) as dataset:
        exact = from_bounds(*bounds, dataset.transform)
        left, top = int(exact.col_off + 1e-6), int(exact.row_off + 1e-6)
        right = int(np.ceil(exact.col_off + exact.width - 1e-6))
        bottom = int(np.ceil(exact.row_off + exact.height - 1e-6))
        window = Window(left, top, right - left, bottom - top)
        return dataset.read(window=window), dataset.window_transform(window)


# On the grid's lines, so that the bounds are clear to the last bit.
BOUNDS = (500_060, 4_998_800, 500_330, 4_999_530)
# No edge runs through the centres of pixels, where a rounding would decide.
HOLED = MultiPolygon(
    [
        box(500_061.5, 4_998_801.5, 500_201.5, 4_999_201.5).difference(
            box(500_101.5, 4_998_901.5, 500_151.5, 4_999_101.5)
        ),
        box(500_251.5, 4_999_301.5, 500_329.5, 4_999_529.5),
    ]
)


@pytest.mark.parametrize("blend", ["hann", "crop"])
def test_bbox_gives_the_cut_of_the_whole(
    fresh_model: Pix2Pix, scene: Path, tmp_path: Path, blend: Any
) -> None:
    options = {**OPTIONS, "blend": blend, "dtype": "float32"}
    whole = fresh_model.predict_raster(scene, tmp_path / "whole.tif", **options)
    result = fresh_model.predict_raster(scene, tmp_path / "o.tif", bbox=BOUNDS, **options)
    expected, transform = cut(whole, BOUNDS)
    found, valid, at = read(result)
    np.testing.assert_array_equal(found, expected)
    assert valid.all() and at == transform


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("crs", "dtype"),
    [
        ("EPSG:32633", "uint8"),
        *((crs, "float32") for crs in ("EPSG:32633", "EPSG:4326", "EPSG:3035")),
    ],
)
def test_area_gives_the_cut_of_the_whole_masked(
    fresh_model: Pix2Pix, scene: Path, tmp_path: Path, crs: str, dtype: str
) -> None:
    options = {**OPTIONS, "dtype": dtype}
    whole = fresh_model.predict_raster(scene, tmp_path / "whole.tif", **options)
    area = gpd.GeoSeries([HOLED], crs="EPSG:32633").to_crs(crs)
    result = fresh_model.predict_raster(scene, tmp_path / "o.tif", aoi=area, **options)
    there: BaseGeometry = area.to_crs("EPSG:32633").iloc[0]
    expected, transform = cut(whole, there.bounds)
    found, valid, at = read(result)
    inside = ~geometry_mask([there], expected.shape[1:], transform)
    assert at == transform and found.shape == expected.shape
    # From another CRS, edges move by less than a thousandth of a pixel.
    np.testing.assert_array_equal(valid, inside)
    assert 0 < valid.mean() < 0.5
    np.testing.assert_array_equal(found[:, inside], expected[:, inside])


# Who computes it


@contextmanager
def executor_of(kind: str) -> Any:
    if kind == "threads":
        with cf.ThreadPoolExecutor(2) as pool:
            yield pool
    elif kind == "processes":
        # A forked process must not use torch after its parent did: these are forked elsewhere.
        with cf.ProcessPoolExecutor(2, CONTEXT) as pool:
            yield pool
    else:
        distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
        dask = pytest.importorskip("dask")
        with (
            # Workers of a busy machine start slowly.
            dask.config.set({"distributed.comm.timeouts.connect": f"{HANGS}s"}),
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


@pytest.mark.parametrize(
    "kind",
    ["threads", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("processes", "dask"))],
)
def test_any_executor_writes_the_same_bytes(
    fresh_model: Pix2Pix, scene: Path, tmp_path: Path, kind: str
) -> None:
    whole = fresh_model.predict_raster(scene, tmp_path / "whole.tif", **OPTIONS)
    out = tmp_path / "out"
    out.mkdir()
    with executor_of(kind) as executor:
        result = fresh_model.predict_raster(scene, out / "o.tif", executor=executor, **OPTIONS)
    assert result.path.read_bytes() == whole.path.read_bytes()
    assert (result.tiles, result.mismatch) == (whole.tiles, whole.mismatch)
    assert [item.name for item in out.iterdir()] == ["o.tif"]


@pytest.mark.parametrize("blend", ["hann", "crop"])
def test_batch_size_does_not_change_a_byte(
    fresh_model: Pix2Pix, scene: Path, tmp_path: Path, blend: Any
) -> None:
    found = {
        fresh_model.predict_raster(
            scene, tmp_path / f"{size}.tif", batch_size=size, blend=blend, **OPTIONS
        ).path.read_bytes()
        for size in (1, 3, 8)
    }
    assert len(found) == 1


# The command line


def run_command(stop: int, command: list[str]) -> None:
    """Run a command in a process of its own, and stop for a long time at a batch of tiles."""
    translate, batches = Inference.__call__, 0

    def stopping(self: Inference, *args: Any) -> Any:
        nonlocal batches
        batches += 1
        if batches == stop:
            print("stopped", flush=True)  # noqa: T201
            time.sleep(3600)
        return translate(self, *args)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("geotranslate.raster.pipeline.planning.part_height", lambda *_: 256)
        patched.setattr(Inference, "__call__", stopping)
        main(command)


def arguments(model: Path, scene: Path, output: Path, *more: str) -> list[str]:
    return [
        *("predict", str(model), str(scene), "-o", str(output), "--precision", "float32"),
        *("--tile-size", "64", "--overlap", "16", "--no-progress", *more),
    ]


@pytest.fixture
def saved(fresh_model: Pix2Pix, tmp_path: Path) -> Path:
    return fresh_model.save(tmp_path / "model")


def test_parts_of_the_command_line_make_the_same_file(
    fresh_model: Pix2Pix, saved: Path, scene: Path, tmp_path: Path
) -> None:
    whole = fresh_model.predict_raster(scene, tmp_path / "whole.tif", **OPTIONS)
    output = tmp_path / "o.tif"
    for part in ("3/3", "1/3", "2/3"):
        done = CliRunner().invoke(main, arguments(saved, scene, output, "--part", part))
        assert (done.exit_code, done.output) == (0, f"{output}\n")
        assert not output.exists()
    done = CliRunner().invoke(main, arguments(saved, scene, output, "--assemble"))
    assert (done.exit_code, done.output) == (0, f"{output}\n")
    assert output.read_bytes() == whole.path.read_bytes()
    assert not list(tmp_path.glob("*.parts"))


def test_command_line_from_a_scene_to_an_output_and_again(
    saved: Path, scene: Path, tmp_path: Path
) -> None:
    output = tmp_path / "o.tif"
    command = arguments(saved, scene, output)
    assert CliRunner().invoke(main, [*command, "--driver", "gtiff"]).output == f"{output}\n"
    made = output.read_bytes()
    for more in ([], ["--resume"]):
        done = CliRunner().invoke(main, [*command, *more])
        assert done.exit_code == 1
        assert done.output.startswith("Error: The output")
        assert "pass overwrite=True (--overwrite)." in done.output
        assert output.read_bytes() == made
    done = CliRunner().invoke(main, [*command, "--overwrite"])
    assert (done.exit_code, done.output) == (0, f"{output}\n")
    with rasterio.open(output) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.tags()["GEOTRANSLATE_SOURCE"] == "scene.tif"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--dtype rgb", "Error: dtype is 'rgb'; give one of uint8, int8"),
        ("--nodata nan", "Error: nodata is nan, which uint8 cannot hold; give another nodata"),
        (
            "--bbox 0 0 inf 1",
            "Error: bbox is (0.0, 0.0, inf, 1.0); give (left, bottom, right, top)",
        ),
        (
            "--bbox 0 0 1 1",
            "Error: The bbox (0 to 1 east, 0 to 1 north) does not overlap the raster",
        ),
        ("--part 3/2", "Error: part is '3/2'; give the share to compute and their number"),
        (
            "--overlap 9 --padding 9 --blend crop",
            "give one of the two, or blend='hann' (--blend hann)",
        ),
    ],
)
def test_errors_of_the_command_line_are_sentences(
    saved: Path, scene: Path, tmp_path: Path, options: str, sentence: str
) -> None:
    command = arguments(saved, scene, tmp_path / "o.tif", *options.split())
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert sentence in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "o.tif").exists()


@pytest.mark.slow
def test_parts_of_processes_at_the_same_time_make_the_same_file(
    fresh_model: Pix2Pix, saved: Path, scene: Path, tmp_path: Path
) -> None:
    whole = fresh_model.predict_raster(scene, tmp_path / "whole.tif", **OPTIONS)
    output = tmp_path / "o.tif"

    def begin(*more: str) -> Child:
        command = arguments(saved, scene, output, *more)
        return Child(tmp_path / f"{'_'.join(more)[2:8]}.txt", run_command, 0, command)

    with begin("--part", "1/2") as one, begin("--part", "2/2") as other:
        for process in (one, other):
            process.output()
        assert (one.exit_code, other.exit_code) == (0, 0)
    with begin("--assemble") as last:
        last.output()
        assert last.exit_code == 0
    assert output.read_bytes() == whole.path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("batches", [5, 1])
def test_killed_process_goes_on_to_the_same_bytes(
    fresh_model: Pix2Pix, saved: Path, scene: Path, tmp_path: Path, batches: int
) -> None:
    whole = fresh_model.predict_raster(scene, tmp_path / "whole.tif", **OPTIONS)
    output = tmp_path / "o.tif"
    command = arguments(saved, scene, output, "--batch-size", "8")
    with Child(tmp_path / "printed.txt", run_command, batches, command) as process:
        process.wait_for(lambda: "stopped\n" in process.log.read_text())
        if batches > 1:
            # The rows before it are written.
            process.wait_for(lambda: parts_of(output))
    assert not output.exists()
    assert bool(parts_of(output)) == (batches > 1)
    done = CliRunner().invoke(main, arguments(saved, scene, output, "--resume"))
    assert done.exit_code == 0, done.output
    assert output.read_bytes() == whole.path.read_bytes()
    assert not list(tmp_path.glob("*o.tif.parts*"))


# Interrupted runs


def interrupted(
    model: Pix2Pix, scene: Path, output: Path, monkeypatch: Any, **options: Any
) -> None:
    """Leave some parts of an output and not all."""
    original, seen = type(model.predictor.inference).__call__, 0

    def fail(self: Any, batch: Any) -> Any:
        nonlocal seen
        seen += len(batch)
        if seen > 36:
            end = time.monotonic() + HANGS
            while not parts_of(output) and time.monotonic() < end:
                time.sleep(0.01)
            raise KeyboardInterrupt
        return original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(type(model.predictor.inference), "__call__", fail)
        with pytest.warns(GeotranslateWarning, match="finished and stay in .*resume=True goes"):
            with pytest.raises(KeyboardInterrupt):
                model.predict_raster(scene, output, batch_size=4, **{**OPTIONS, **options})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"precision": "bfloat16"}, "precision,"),
        ({"tta": True}, "test-time augmentation,"),
        ({"overlap": 8}, "tiling,"),
        ({"bbox": BOUNDS}, "area and another kind of output,"),
        ({"dtype": "int16"}, "kind of output,"),
        ({"nodata": 3.0}, "kind of output,"),
        ({"version": "99"}, "version of geotranslate,"),
        ({"model": "changed"}, "model,"),
    ],
)
def test_parts_of_another_output_are_refused_by_name(
    fresh_model: Pix2Pix,
    scene: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    named: str,
) -> None:
    interrupted(fresh_model, scene, tmp_path / "o.tif", monkeypatch)
    if options.pop("version", None):
        monkeypatch.setattr(translation, "version", lambda _: "99")
    if options.pop("model", None):
        with torch.no_grad():
            next(fresh_model.pair.generator.parameters()).add_(1e-3)
    sentence = rf"The parts in \S*o\.tif\.parts were made with another {named} so they are no parts"
    with pytest.raises(InvalidInputError, match=sentence):
        fresh_model.predict_raster(scene, tmp_path / "o.tif", resume=True, **{**OPTIONS, **options})


def test_what_does_not_change_pixels_may_change_between_runs(
    fresh_model: Pix2Pix, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fresh_model.predict_raster(scene, tmp_path / "whole.tif", **OPTIONS)
    interrupted(fresh_model, scene, tmp_path / "o.tif", monkeypatch)
    result = fresh_model.predict_raster(
        scene, tmp_path / "o.tif", resume=True, batch_size=2, max_memory=10**6, **OPTIONS
    )
    assert result.path.read_bytes() == whole.path.read_bytes()


# Many scenes


@pytest.mark.parametrize(
    "kind",
    [
        "folder",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("pattern", "list", "table")),
    ],
)
def test_many_scenes_are_what_each_would_be_and_go_on(
    fresh_model: Pix2Pix,
    write_raster: WriteRaster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    paths = [write_raster(f"in/{n}.tif", smooth(600, 130, seed)) for seed, n in enumerate("abc")]
    given: dict[str, Any] = {
        "folder": paths[0].parent,
        "pattern": str(paths[0].parent / "?.tif"),
        "list": paths,
        "table": gpd.GeoDataFrame({"location": paths}, geometry=[Point(0, 0)] * 3),
    }
    out = tmp_path / "out"
    done = fresh_model.predict_raster(paths[:1], out, **OPTIONS)
    before = done[0].path.stat().st_mtime_ns
    interrupted(fresh_model, paths[1], out / "b_translated.tif", monkeypatch)
    results = fresh_model.predict_raster(given[kind], out, resume=True, **OPTIONS)
    assert done[0].path.stat().st_mtime_ns == before
    for path, result in zip(paths, results, strict=True):
        alone = fresh_model.predict_raster(path, tmp_path / f"alone_{path.name}", **OPTIONS)
        assert result.path.read_bytes() == alone.path.read_bytes()
    assert len(list(out.iterdir())) == 3


# What is in the output


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [pytest.param("uint8", marks=pytest.mark.slow), "float32"])
def test_deviation_is_a_band_beside_the_mean(
    fresh_model: Pix2Pix, scene: Path, tmp_path: Path, dtype: str
) -> None:
    options = {**OPTIONS, "dtype": dtype, "bbox": BOUNDS}
    mean = fresh_model.predict_raster(scene, tmp_path / "mean.tif", tta=True, **options)
    both = fresh_model.predict_raster(scene, tmp_path / "both.tif", tta="std", **options)
    found, _, _ = read(both)
    np.testing.assert_array_equal(found[:1], read(mean)[0])
    with rasterio.open(both) as dataset:
        assert dataset.dtypes == (dtype,) * 2
        assert dataset.descriptions[1] == "standard deviation"
    # What turns with its input deviates nowhere; a drawn network prefers a direction.
    assert found[1].min() >= 0
    if dtype == "float32":
        assert 0 < found[1].mean() < 128


class Striped(torch.nn.Module):
    """A network that gives one of two values, whichever its pixel calls for."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.levels = torch.nn.Parameter(torch.tensor([low, high]))

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        return torch.where(tiles[:, :1] > 0, self.levels[1], self.levels[0])


@pytest.mark.parametrize("options", [{}, {"blend": "crop"}, {"blend": "crop", "padding": 16}])
def test_classes_are_never_mixed(
    write_raster: WriteRaster, tmp_path: Path, options: dict[str, Any]
) -> None:
    source = write_raster("source.tif", smooth(300, 300))
    target = write_raster("target.tif", np.where(smooth(300, 300)[:1] > 127, 7, 2).astype("u1"))
    data = prepare_data(source, target, chip_size=64, target_classes=True)
    model = Pix2Pix(data, recipe="seamless", ngf=4, lambda_gan=0)
    low, high = model.card.target.scaling.scale(np.array([[[[2.0, 7.0]]]], np.float32)).ravel()
    # Beside the whole U-Net, so that stride and reach are those of the model.
    model.predictor.inference.generator = Striped(float(low), float(high))
    output = model.predict_raster(source, tmp_path / "o.tif", **OWN_OVERLAP, **options)
    found, _, _ = read(output)
    assert set(np.unique(found)) == {2, 7}
    with rasterio.open(output) as dataset, rasterio.open(target) as truth:
        np.testing.assert_array_equal(dataset.read(), truth.read())
        assert not dataset.overviews(1) or set(np.unique(dataset.read(out_shape=(150, 150)))) == {
            2,
            7,
        }


def test_blending_is_refused_for_classes(write_raster: WriteRaster, tmp_path: Path) -> None:
    source = write_raster("source.tif", smooth(128, 128))
    target = write_raster("target.tif", smooth(128, 128)[:1] // 128)
    model = Pix2Pix(
        prepare_data(source, target, chip_size=64), recipe="seamless", ngf=4, lambda_gan=0
    )
    with pytest.raises(InvalidInputError, match="output is classes, which a blend would mix"):
        model.predict_raster(source, tmp_path / "o.tif", blend="hann", **OPTIONS)


@pytest.mark.slow
def test_large_tiles_of_a_shallow_network_are_cropped_to_the_whole(
    write_raster: WriteRaster,
    write_chips: Callable[..., Path],
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    tile = 1024
    model = Pix2Pix(prepare_data(write_chips()), recipe="seamless", ngf=4, lambda_gan=0)
    with torch.no_grad():
        # As drawn, it hardly tells one pixel from another.
        for weights in model.pair.generator.parameters():
            weights.mul_(3)
    scene = write_raster("scene.tif", smooth(tile + tile // 2, tile))
    options = {**OWN_OVERLAP, "tile_size": tile, "dtype": "float32"}
    result = model.predict_raster(scene, tmp_path / "o.tif", **options)
    assert result.mismatch is not None and result.mismatch < 1e-3
    # The target reaches from -1 to 1 in 255 steps.
    whole = model.predictor.inference(read(scene)[0][None].astype(np.float32))[0]
    assert np.ptp(whole) > 50
    np.testing.assert_allclose(read(result)[0], whole, atol=1e-5 * 255 / 2, rtol=0)


def test_tags_survive_in_the_file(fresh_model: Pix2Pix, scene: Path, tmp_path: Path) -> None:
    output = fresh_model.predict_raster(scene, tmp_path / "o.tif", bbox=BOUNDS, **OWN_OVERLAP)
    with rasterio.open(output) as dataset:
        tags = dataset.tags()
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert tags["GEOTRANSLATE_WEIGHTS_SHA256"] == fresh_model.digest()
    assert tags["GEOTRANSLATE_SOURCE"] == "scene.tif"
    assert json.loads(tags["GEOTRANSLATE_PARAMETERS"])["bbox"] == list(BOUNDS)
    names = ("VERSION", "MODEL", "IDENTITY", "PARAMETERS", "RECIPE", "REPORT")
    assert all(tags[f"GEOTRANSLATE_{name}"] for name in names)


def test_scene_unlike_the_chips_is_warned_of_at_the_call(
    fresh_model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    coarse = write_raster(
        "coarse.tif", smooth(80, 80).astype("int16"), transform=NORTH_UP @ Affine.scale(3)
    )
    with pytest.warns(GeotranslateWarning) as caught:
        result = fresh_model.predict_raster(coarse, tmp_path / "o.tif", **OPTIONS)
    text = "\n".join(str(warning.message) for warning in caught)
    assert "coarse.tif is enlarged 3 times before it is translated, which adds none" in text
    assert "coarse.tif is int16 but the model was trained on uint8" in text
    assert {warning.filename for warning in caught} == {__file__}
    assert result.warnings == tuple(str(warning.message) for warning in caught)
    assert all(html.escape(sentence) in result._repr_html_() for sentence in result.warnings)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_weights_that_are_nan_give_invalid_pixels_and_a_warning(
    fresh_model: Pix2Pix, scene: Path, tmp_path: Path, dtype: str
) -> None:
    with torch.no_grad():
        for weights in fresh_model.pair.generator.parameters():
            weights.fill_(float("nan"))
    with pytest.warns(GeotranslateWarning, match=r"111600 valid pixels of .*NaN or infinity"):
        result = fresh_model.predict_raster(scene, tmp_path / "o.tif", dtype=dtype, **OPTIONS)
    assert result.lost == 620 * 180
    assert not read(result)[1].any()


def test_loaded_model_writes_the_same_bytes(
    fresh_model: Pix2Pix, saved: Path, scene: Path, tmp_path: Path
) -> None:
    first = fresh_model.predict_raster(scene, tmp_path / "a.tif", **OPTIONS)
    again = load_model(saved).predict_raster(scene, tmp_path / "b.tif", **OPTIONS)
    assert first.path.read_bytes() == again.path.read_bytes()
