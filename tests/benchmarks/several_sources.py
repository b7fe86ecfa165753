"""Compare the error of a translation of radar and heights with that of radar alone.

    python tests/benchmarks/several_sources.py optical|cover --data DATA --out OUT [--minutes 2]

DATA/terramind has five places: radar (S1RTC, 2 bands of float64, dB), heights (DEM, int16), optical
(S2L2A, 12 bands of int16) and land cover (LULC, classes), 224 x 224 px of 10 m each. Every method
learns from the upper 160 rows of all places and is measured on the lower 64. The methods: the
median of each band (for classes the most frequent one), gradient boosting of the pixel, and
Pix2Pix with 32 filters and batches of four chips of 64 px, for some minutes of one CPU core (not
with `--minutes 0`). A line of JSON is printed for every result.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TQDM_DISABLE"):
    os.environ[variable] = "1"

import geopandas as gpd  # noqa: E402
import numpy as np  # noqa: E402
import rasterio  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from rasterio.warp import transform_geom  # noqa: E402
from rasterio.windows import Window, bounds  # noqa: E402
from shapely import segmentize  # noqa: E402
from shapely.geometry import box, mapping, shape  # noqa: E402
from sklearn.ensemble import (  # noqa: E402
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)

from geotranslate import Pix2Pix, export_chips, prepare_data, stack  # noqa: E402
from geotranslate.chips.chip import Chip  # noqa: E402
from geotranslate.data.loaders import PairLoaders  # noqa: E402

SIDE, STRIDE, ROWS, FILTERS = 64, 32, 160, 32
TARGETS = {"optical": "S2L2A", "cover": "LULC"}
SAMPLES = 50_000
"""Training pixels of gradient boosting."""
Pixels = tuple[NDArray[Any], NDArray[Any]]


def main(target: str, data: Path, out: Path, minutes: float) -> None:
    """Measure all methods with radar alone and with radar and heights."""
    folder = data / "terramind"
    names = sorted(path.name for path in (folder / "DEM").glob("*.tif"))
    targets = [folder / TARGETS[target] / name for name in names]
    for layers in (("S1RTC",), ("S1RTC", "DEM")):
        sources = [_source([folder / layer / name for layer in layers]) for name in names]
        chips = out / target / "+".join(layers)
        if not chips.is_dir():
            chips.parent.mkdir(parents=True, exist_ok=True)
            export_chips(sources, targets, chips, tile_size=SIDE, stride=STRIDE)
        loaders = prepare_data(chips, split=_parts(targets), batch_size=4, seed=0)
        for method, found in _errors(loaders, target == "cover", minutes, out):
            facts = {"target": target, "source": layers, "method": method}
            print(json.dumps(facts | found), flush=True)


def _source(paths: list[Path]) -> Any:
    return stack(*paths) if len(paths) > 1 else paths[0]


def _parts(rasters: Sequence[Path]) -> gpd.GeoDataFrame:
    """Return polygons of the rows to train and to validate on, with margins around the rasters."""
    shapes = []
    for path in rasters:
        with rasterio.open(path) as raster:
            across, rest = raster.width + 6, raster.height - ROWS
            for rows in (
                Window(-3, -3, across, ROWS + 3),
                Window(-3, ROWS - 0.1, across, rest + 3),
            ):
                outline = segmentize(box(*bounds(rows, raster.transform)), 100)
                shapes.append(shape(transform_geom(raster.crs, "EPSG:4326", mapping(outline))))
    labels = ["train", "val"] * len(rasters)
    return gpd.GeoDataFrame({"split": labels}, geometry=shapes, crs=4326)


def _errors(
    data: PairLoaders, classes: bool, minutes: float, out: Path
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each method and its errors."""
    train, test = _pixels(data.train_ds.pairs), _pixels(data.valid_ds.pairs)
    yield "constant", _of(_constant(train[1], classes), test[1], classes)
    yield "boosting of the pixel", _of(_boosted(train, test[0], classes), test[1], classes)
    if minutes:
        yield "Pix2Pix", _trained(data, classes, minutes, out)


def _trained(data: PairLoaders, classes: bool, minutes: float, out: Path) -> dict[str, float]:
    options: dict[str, Any] = {"checkpoint": False, "progress": False, "folder": out / "training"}
    model = Pix2Pix(data, ngf=FILTERS, ndf=FILTERS)
    model.fit(1, **options)
    began = time.process_time()
    model.fit(1, **options)
    epochs = max(1, round(60 * minutes / (time.process_time() - began)))
    model = Pix2Pix(data, ngf=FILTERS, ndf=FILTERS)
    began = time.process_time()
    model.fit(epochs, **options)
    taken = (time.process_time() - began) / 60
    measured = model.compute_metrics()
    kinds = ("accuracy", "iou") if classes else ("mae", "rmse")
    figures = {kind: float(measured[kind]) for kind in kinds}
    return figures | {"epochs": epochs, "minutes": taken}


def _pixels(pairs: Sequence[Any]) -> Pixels:
    """Return the valid pixels of pairs, `(n, bands)` of both sides."""
    sides: tuple[list[NDArray[Any]], list[NDArray[Any]]] = ([], [])
    for pair in pairs:
        chips: tuple[Chip, Chip] = (pair.source, pair.target)
        read = [chip.read() for chip in chips]
        valid = read[0][1] & read[1][1]
        for side, (values, _) in zip(sides, read, strict=True):
            side.append(values[:, valid].T)
    return np.concatenate(sides[0]), np.concatenate(sides[1])


def _constant(targets: NDArray[Any], classes: bool) -> NDArray[Any]:
    if not classes:
        return np.median(targets, axis=0)[None]
    values, counts = np.unique(targets, return_counts=True)
    return np.full((1, 1), values[counts.argmax()])


def _boosted(train: Pixels, sources: NDArray[Any], classes: bool) -> NDArray[Any]:
    chosen = np.random.default_rng(0).choice(len(train[0]), min(SAMPLES, len(train[0])), False)
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    bands = [
        kind(random_state=0).fit(train[0][chosen], train[1][chosen, band]).predict(sources)
        for band in range(train[1].shape[1])
    ]
    return np.stack(bands, axis=1)


def _of(found: NDArray[Any], targets: NDArray[Any], classes: bool) -> dict[str, float]:
    found = np.broadcast_to(found, targets.shape)
    if not classes:
        apart = found.astype(np.float64) - targets
        return {"mae": float(abs(apart).mean()), "rmse": float(np.sqrt((apart**2).mean()))}
    both = [
        (np.sum((found == each) & (targets == each)), np.sum((found == each) | (targets == each)))
        for each in np.unique(np.concatenate([found.ravel(), targets.ravel()]))
    ]
    iou = float(np.mean([one / total for one, total in both]))
    return {"accuracy": float((found == targets).mean()), "iou": iou}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=2)
    given = parser.parse_args()
    main(given.target, given.data, given.out, given.minutes)
