"""Measures of quantities equal those of other libraries, and do not depend on windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from skimage.metrics import (
    mean_squared_error,
    normalized_root_mse,
    peak_signal_noise_ratio,
    structural_similarity,
)
from sklearn.metrics import mean_absolute_error, r2_score
from torchmetrics.functional.image import spectral_angle_mapper

from geotranslate.evaluation import Evaluation, evaluate_raster
from geotranslate.metrics import Errors, Spectra, Structure
from tests.conftest import WriteRaster, raster_writer
from tests.evaluation.conftest import Pair, images

WritePair = Callable[..., tuple[Path, Path]]


def evaluated(pair: tuple[Path, Path], **options: Any) -> Evaluation:
    return evaluate_raster(*pair, progress=False, classes=False, **options)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_measures_are_those_of_scikit_image_scikit_learn_and_torchmetrics(
    write_pair: WritePair, dtype: str
) -> None:
    ours, theirs = images((3, 90, 203), dtype)
    result = evaluated(write_pair((ours, theirs)), window_size=64)
    ours, theirs = ours.astype(float), theirs.astype(float)
    for band, found in enumerate(result.per_band.values()):
        x, y = ours[band], theirs[band]
        peak = 255 if dtype == "uint8" else np.ptp(y)
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        assert found == pytest.approx(
            {
                "mae": mean_absolute_error(y.ravel(), x.ravel()),
                "rmse": math.sqrt(mean_squared_error(y, x)),
                "bias": (x - y).mean(),
                "r2": r2_score(y.ravel(), x.ravel()),
                "psnr": peak_signal_noise_ratio(y, x, data_range=peak),
                "psnr_range": peak,
                "count": x.size,
                "ssim": structural_similarity(y, x, data_range=peak, **options),
                "ms_ssim": math.nan,
                "uqi": uqi(x, y),
                "skill_over_constant": 1 - abs(x - y).mean() / abs(y - np.median(y)).mean(),
            },
            rel=1e-6,
            nan_ok=True,
        )
    angle = spectral_angle_mapper(*(torch.from_numpy(side)[None] for side in (ours, theirs)))
    assert result["sam"] == pytest.approx(float(angle), rel=1e-6)
    assert result["rmse"] == pytest.approx(
        normalized_root_mse(theirs, ours) * math.sqrt((theirs**2).mean())
    )


def uqi(x: NDArray[Any], y: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> float:
    """Return the index by its formula in every window."""
    a, b = (sliding_window_view(each, (8, 8)).reshape(-1, 64) for each in (x, y))
    if valid is not None:
        whole = sliding_window_view(valid, (8, 8)).reshape(-1, 64).all(1)
        a, b = a[whole], b[whole]
    shared = ((a - a.mean(1, keepdims=True)) * (b - b.mean(1, keepdims=True))).mean(1)
    means = a.mean(1), b.mean(1)
    variations = a.var(1) + b.var(1)
    return float(
        (4 * shared * means[0] * means[1] / variations / (means[0] ** 2 + means[1] ** 2)).mean()
    )


def test_measures_are_those_of_compute_metrics_with_gaps(write_pair: WritePair) -> None:
    pair = images((2, 220, 200), "float32")
    valid = np.ones((220, 200), bool)
    valid[:40, :30] = np.random.default_rng(1).random((40, 30)) > 0.02
    paths = write_pair([np.where(valid, each, -9).astype("float32") for each in pair], nodata=-9)
    result = evaluated(paths, window_size=48)
    ours, theirs = (torch.from_numpy(each.astype(float))[None] for each in pair)
    known = torch.from_numpy(valid)[None, None]
    seen = pair[1][:, valid].astype(float)
    ranges = np.ptp(seen, axis=1).tolist()
    for measure in (Errors(ranges, seen.mean(1)), Structure(ranges), Spectra()):
        measure.add(ours, theirs, known)
        assert {name: result[name] for name in measure.names} == pytest.approx(
            measure.overall(), rel=1e-9
        )
        for row, found in zip(measure.per_band(), result.per_band.values(), strict=False):
            assert {name: found[name] for name in row} == pytest.approx(row, rel=1e-9)
    expected = [uqi(*(side[band].astype(float) for side in pair), valid) for band in range(2)]
    assert result["uqi"] == pytest.approx(np.mean(expected), rel=1e-9)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 150),
    cols=st.integers(1, 150),
    window=st.integers(1, 12),
    block=st.integers(1, 12),
    gaps=st.sampled_from([0.0, 0.001, 0.3]),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
)
def test_no_measure_depends_on_the_windows(
    tmp_path: Path, rows: int, cols: int, window: int, block: int, gaps: float, dtype: str
) -> None:
    pair = images((2, rows, cols), dtype, seed=rows)
    valid = np.random.default_rng(cols).random((rows, cols)) >= gaps
    valid[0, 0] = True
    write = raster_writer(tmp_path)
    paths = (
        write("prediction.tif", pair[0], valid=valid),
        write("reference.tif", pair[1]),
    )
    whole = evaluated(paths, block_size=16 * block)
    parts = evaluated(paths, block_size=16 * block, window_size=16 * window)
    assert dict(parts) == pytest.approx(dict(whole), rel=1e-9, nan_ok=True)
    for name, bounds in whole.intervals.items():
        assert parts.intervals[name] == pytest.approx(bounds, rel=1e-9, abs=1e-9, nan_ok=True)
    assert (whole.joint.counts == parts.joint.counts).all()
    mine, theirs = (side[:, valid].astype(float) for side in pair)
    assert whole["mae"] == pytest.approx(abs(mine - theirs).mean(), rel=1e-9)
    assert whole["count"] == 2 * valid.sum()


def test_a_band_or_a_place_without_variation_has_no_share_in_it(write_pair: WritePair) -> None:
    flat: Pair = (np.full((1, 64, 64), 7, "uint16"), np.full((1, 64, 64), 7, "uint16"))
    result = evaluated(write_pair(flat), data_range=10)
    assert (result["mae"], result["uqi"], result["psnr"]) == (0, 1, math.inf)
    assert result["ssim"] == pytest.approx(1)
    assert math.isnan(result["r2"])
    result = evaluated(write_pair((flat[0] + 7, flat[1])))
    assert result["uqi"] == pytest.approx(2 * 14 * 7 / (14**2 + 7**2))
    assert math.isnan(result["psnr"])
    zeros = evaluated(write_pair((flat[0] * 0, flat[1] * 0)), data_range=10)
    assert zeros["uqi"] == 1


def test_intervals_hold_the_measure_and_follow_the_seed(write_pair: WritePair) -> None:
    paths = write_pair(images((1, 200, 200)))
    result = evaluated(paths)
    for name, (low, high) in result.intervals.items():
        if name != "ms_ssim":
            assert low <= result[name] <= high, name
    assert evaluated(paths).intervals == result.intervals
    assert evaluated(paths, seed=1).intervals["mae"] != result.intervals["mae"]
    assert math.isnan(evaluated(paths, block_size=128).intervals["mae"][0])


def test_the_interval_of_a_mean_is_that_of_its_standard_error(write_pair: WritePair) -> None:
    chance = np.random.default_rng(0)
    error = chance.normal(size=(1, 320, 320)) + chance.normal(size=(1, 20, 20)).repeat(
        16, 1
    ).repeat(16, 2)
    reference = chance.random((1, 320, 320))
    paths = write_pair(((reference + error).astype("float32"), reference.astype("float32")))
    low, high = evaluated(paths, block_size=16).intervals["bias"]
    means = error[0].reshape(20, 16, 20, 16).mean((1, 3))
    assert (high - low) / 2 == pytest.approx(1.96 * means.std() / 20, rel=0.1)


def test_the_joint_histogram_has_the_regression_line(write_pair: WritePair) -> None:
    pair = images((2, 100, 80), "float32")
    joint = evaluated(write_pair(pair)).joint
    for band in range(2):
        x, y = (pair[side][band].ravel().astype(float) for side in (1, 0))
        assert (joint.slope[band], joint.intercept[band]) == pytest.approx(np.polyfit(x, y, 1))
        assert joint.correlation[band] == pytest.approx(np.corrcoef(x, y)[0, 1])
        edges = joint.edges[band]
        assert edges[[0, -1]].tolist() == pytest.approx(
            [min(x.min(), y.min()), max(x.max(), y.max())]
        )
        counts, *_ = np.histogram2d(x, y, (edges, edges))
        assert abs(joint.counts[band] - counts).sum() <= 4  # values on an edge
        assert joint.counts[band].sum() == x.size
        fullest = joint.counts[band].sum(1).argmax()
        inside = (x >= edges[fullest]) & (x < edges[fullest + 1])
        assert joint.bias[band, fullest] == pytest.approx((y - x)[inside].mean(), rel=0.01)
        assert joint.mae[band, fullest] == pytest.approx(abs(y - x)[inside].mean(), rel=0.01)


@pytest.mark.parametrize(("levels", "each"), [(256, 3), (90, 1), (1000, 10)])
def test_bins_of_whole_numbers_hold_equally_many(
    write_pair: WritePair, levels: int, each: int
) -> None:
    ramp = np.arange(levels, dtype="uint16").reshape(1, 1, levels)
    joint = evaluated(write_pair((ramp, ramp))).joint
    full, rest = divmod(levels, each)
    expected = [each] * full + [rest] * bool(rest)
    assert joint.counts[0].diagonal()[: len(expected)].tolist() == expected
    assert joint.counts.sum() == levels


def test_baselines_are_compared_where_they_are_known(
    write_pair: WritePair, write_raster: WriteRaster
) -> None:
    ours, theirs = images((2, 70, 90), "float32")
    source = np.stack([theirs[1], theirs[0] * 2 + theirs[1] + 3])
    known = np.ones((70, 90), bool)
    known[:30] = False
    scene = write_raster("scene.tif", source.astype("float32"), valid=known)
    former = write_raster("former.tif", (theirs + 1).astype("float32"))
    paths = write_pair((ours, theirs))
    result = evaluated(paths, source=scene, baseline={"former": former})
    mae = abs(ours - theirs)
    assert result["skill_over_former"] == pytest.approx(1 - mae.mean(), rel=1e-5)
    assert result["skill_over_source"] == pytest.approx(
        1 - mae[:, 30:].mean() / abs(source - theirs)[:, 30:].mean(), rel=1e-5
    )
    assert result.baselines["linear_in_sample"].mae == pytest.approx(0, abs=1e-5)
    assert "in sample" in result.baselines["linear_in_sample"].words
    assert "linear" not in result.baselines
    # Of other ground, the map is not in sample.
    there = write_raster("there.tif", theirs), write_raster("map.tif", -2 * theirs)
    result = evaluated(paths, source=scene, fitted_on=there)
    assert result.baselines["linear"].mae == pytest.approx(
        abs(-2 * source - theirs)[:, 30:].mean(), rel=1e-5
    )
    assert "linear_in_sample" not in result.baselines
    assert result["skill_over_constant"] == pytest.approx(
        1 - mae.mean() / abs(theirs - np.median(theirs, (1, 2), keepdims=True)).mean(), rel=1e-5
    )
