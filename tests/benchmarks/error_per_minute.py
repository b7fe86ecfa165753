"""Compare the error of Pix2Pix with the error of simpler methods, per minute of one CPU core.

    python tests/benchmarks/error_per_minute.py PLACE ... --data DATA --out OUT
        [--minutes 2 4 8 16] [--seeds 2] [--arms NAME ...]
    python tests/benchmarks/error_per_minute.py --out OUT

Every method learns from the same training ground and is measured on the same pixels of other
ground (mean absolute error and root mean squared error in the target's units, SSIM). The places:

- banepa: drone image to map, northern three quarters to southern quarter;
- calgary: Landsat RGB to near and short-wave infrared, upper 989 rows to lower 424;
- naip: RGB to near infrared of one year (2017), upper two thirds to lower third;
- maps: aerial photographs to maps at half size, 160 pairs to 40;
- terramind: Sentinel-2 RGB to 12 bands, four places to a fifth.

The methods: the median of each band, a linear map of the pixel, gradient boosting of the pixel,
the same with Gaussian neighbors (sigma 1.5, 5 and 15 px), the recipe of the paper in a plain loop,
the former default of Pix2Pix (`recipe="seamless"`), its networks with L1 alone, and the default.
Networks have 32 filters and crops of 128 px, four to a batch, one thread. A line of JSON for every
result goes into OUT/results.jsonl, a table of all of them is printed, and curves and pictures are
drawn. Minutes are those of the CPU, not of the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TQDM_DISABLE"):
    os.environ[variable] = "1"

import matplotlib  # noqa: E402

matplotlib.use("Agg")

import numpy as np  # noqa: E402
import rasterio  # noqa: E402
import torch  # noqa: E402
from fastai.callback.core import Callback, CancelFitException  # noqa: E402
from fastai.torch_basics import subplots  # noqa: E402
from matplotlib import colormaps  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from rasterio.windows import Window  # noqa: E402
from scipy.ndimage import gaussian_filter, uniform_filter  # noqa: E402
from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: E402
from sklearn.linear_model import LinearRegression  # noqa: E402
from torch import Tensor  # noqa: E402
from training_speed import Recipe, as_written  # noqa: E402

from geotranslate import Pix2Pix, export_chips, prepare_data  # noqa: E402
from geotranslate.data.loaders import PairLoaders  # noqa: E402

CHIP_SIZE, STRIDE, CROP, FILTERS, BATCH_SIZE = 256, 64, 128, 32, 4
SIGMAS = (1.5, 5, 15)
SAMPLES = 200_000
"""Number of training pixels of the methods that learn from pixels."""
Array = NDArray[np.float32]
Scene = tuple[Array, Array]
"""Source and target `(bands, rows, cols)`, NaN where either side is invalid."""


@dataclass(frozen=True)
class Place:
    """Training scenes and scenes to measure on, as files and as arrays."""

    name: str
    train: list[tuple[Path, Path]]
    test: list[tuple[Path, Path]]
    stride: int = STRIDE

    def scenes(self, files: list[tuple[Path, Path]]) -> list[Scene]:
        """Read pairs of files."""
        return [_masked(_read(source), _read(target)) for source, target in files]

    def loaders(self, out: Path, seed: int, **options: Any) -> PairLoaders:
        """Cut the training scenes into chips, once, and load them."""
        folder = out / self.name / "chips"
        if not folder.is_dir():
            with rasterio.open(self.train[0][0]) as first:
                size = min(CHIP_SIZE, *first.shape)
            sources, targets = zip(*self.train, strict=True)
            export_chips(
                list(sources),
                list(targets),
                folder,
                tile_size=size,
                stride=self.stride,
                min_valid=0.3,
            )
        return prepare_data(
            folder, chip_size=CROP, batch_size=BATCH_SIZE, val_split_pct=0.05, seed=seed, **options
        )


def _read(path: Path) -> Array:
    with rasterio.open(path) as raster:
        values: Array = raster.read(masked=True).astype(np.float32).filled(np.nan)
    return values


def _masked(source: Array, target: Array) -> Scene:
    valid = np.isfinite(source).all(0) & np.isfinite(target).all(0)
    return np.where(valid, source, np.nan), np.where(valid, target, np.nan)


def _cut(path: Path, rows: slice, out: Path, bands: list[int] | None = None) -> Path:
    """Write some rows of a raster into a new file."""
    if not out.exists():
        with rasterio.open(path) as raster:
            window = Window(0, rows.start, raster.width, rows.stop - rows.start)
            values = raster.read(bands, window=window)
            profile = raster.profile | {
                "driver": "GTiff",
                "count": len(values),
                "height": values.shape[1],
                "transform": raster.window_transform(window),
                "photometric": None,
            }
        profile.pop("photometric")
        out.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(out, "w", **profile) as raster:
            raster.write(values)
    return out


def _parted(name: str, sides: list[tuple[Path, list[int] | None]], row: int, out: Path) -> Place:
    """Divide two rasters at a row."""
    with rasterio.open(sides[0][0]) as raster:
        height = raster.height
    parts = {"train": slice(0, row), "test": slice(row, height)}
    found = {
        part: [
            tuple(
                _cut(path, rows, out / name / f"{part}_{side}.tif", bands)
                for side, (path, bands) in zip(("source", "target"), sides, strict=True)
            )
        ]
        for part, rows in parts.items()
    }
    return Place(name, found["train"], found["test"], 128 if name == "banepa" else STRIDE)  # type: ignore[arg-type]


def banepa(data: Path, out: Path) -> Place:
    """Return the drone image of Banepa and its map."""
    folder = data / "banepa"
    sides = [(folder / "banepa_rgb.tif", None), (folder / "banepa_map.tif", None)]
    return _parted("banepa", sides, 3072, out)  # type: ignore[arg-type]


def calgary(data: Path, out: Path) -> Place:
    """Return the Landsat scene of Calgary."""
    folder = data / "calgary"
    sides = [(folder / "calgary_l8_rgb.tif", None), (folder / "calgary_l8_nir_swir.tif", None)]
    return _parted("calgary", sides, 989, out)  # type: ignore[arg-type]


def naip(data: Path, out: Path) -> Place:
    """Return one year of aerial imagery."""
    file = next((data / "naip").glob("*_2017*.tif"))
    return _parted("naip", [(file, [1, 2, 3]), (file, [4])], 482, out)


def maps(data: Path, out: Path) -> Place:
    """Return the pairs of maps, at half their size, as separate files."""
    found: dict[str, list[tuple[Path, Path]]] = {}
    for part in ("train", "val"):
        files = []
        for picture in sorted((data / "maps" / part).glob("*.jpg")):
            sides = (
                out / "maps" / part / "images" / f"{picture.stem}.tif",
                out / "maps" / part / "images2" / f"{picture.stem}.tif",
            )
            if not sides[1].exists():
                with warnings.catch_warnings(action="ignore"), rasterio.open(picture) as raster:
                    height = raster.height // 2
                    both = raster.read(
                        out_shape=(3, height, raster.width // 2),
                        resampling=rasterio.enums.Resampling.average,
                    )
                for side, pixels in zip(sides, np.split(both, 2, axis=2), strict=True):
                    side.parent.mkdir(parents=True, exist_ok=True)
                    shape = {"count": 3, "height": height, "width": height, "dtype": "uint8"}
                    with (
                        warnings.catch_warnings(action="ignore"),
                        rasterio.open(side, "w", driver="GTiff", **shape) as file,
                    ):
                        file.write(pixels)
            files.append(sides)
        found[part] = files
    return _Maps("maps", found["train"], found["val"])


class _Maps(Place):
    def loaders(self, out: Path, seed: int, **options: Any) -> PairLoaders:
        folder = out / "maps" / "train"
        return prepare_data(
            folder, chip_size=CROP, batch_size=BATCH_SIZE, val_split_pct=0.05, seed=seed, **options
        )


def terramind(data: Path, out: Path) -> Place:
    """Return Sentinel-2 colors and bands of five places, of which the third is left out."""
    files = sorted((data / "terramind" / "S2RGB").glob("*.tif"))
    pairs = [(file, data / "terramind" / "S2L2A" / file.name) for file in files]
    return Place("terramind", pairs[:2] + pairs[3:], pairs[2:3], 32)


PLACES: dict[str, Callable[[Path, Path], Place]] = {
    "banepa": banepa,
    "calgary": calgary,
    "naip": naip,
    "maps": maps,
    "terramind": terramind,
}


# The simple methods.


def pixels(scenes: list[Scene], *, neighbors: bool, seed: int) -> tuple[Array, Array]:
    """Return features `(pixels, features)` and targets of a sample of valid pixels."""
    drawn = np.random.default_rng(seed)
    rows = []
    for source, target in scenes:
        features, valid = described(source, neighbors=neighbors), np.isfinite(target).all(0)
        among = drawn.permutation(int(valid.sum()))[: SAMPLES // len(scenes)]
        rows.append((features[:, valid].T[among], target[:, valid].T[among]))
    return tuple(np.concatenate(side) for side in zip(*rows, strict=True))  # type: ignore[return-value]


def described(source: Array, *, neighbors: bool) -> Array:
    """Return a source, with its Gaussian neighbors if asked for."""
    filled = np.where(np.isfinite(source), source, np.nanmean(source, (1, 2), keepdims=True))
    if not neighbors:
        return filled
    blurred = [np.stack([gaussian_filter(band, sigma) for band in filled]) for sigma in SIGMAS]
    return np.concatenate([filled, *blurred])


def simple(method: str, train: list[Scene], seed: int) -> Callable[[Array], Array]:
    """Return a function from a source to its translation."""
    neighbors = method == "boosting with neighbors"
    features, targets = pixels(train, neighbors=neighbors, seed=seed)
    if method == "constant":
        median = np.median(targets, axis=0)
        return lambda source: np.broadcast_to(
            median[:, None, None], (len(median), *source.shape[1:])
        )
    models = [
        LinearRegression().fit(features, column)
        if method == "linear"
        else HistGradientBoostingRegressor(loss="absolute_error", random_state=seed).fit(
            features, column
        )
        for column in targets.T
    ]

    def translate(source: Array) -> Array:
        rows = described(source, neighbors=neighbors)
        flat = rows.reshape(len(rows), -1).T
        return np.stack([m.predict(flat).reshape(rows.shape[1:]) for m in models])

    return translate


# The networks.


class Stop(Callback):
    """End a training when its CPU time is over."""

    order = 100

    def __init__(self, seconds: float) -> None:
        self.steps, self.until = 0, time.process_time() + seconds

    def after_batch(self) -> None:
        """Check the clock."""
        self.steps += self.training
        if self.training and time.process_time() > self.until:
            raise CancelFitException


@dataclass(frozen=True)
class Arm:
    """A way to train Pix2Pix."""

    data: dict[str, Any]
    model: dict[str, Any]
    fit: dict[str, Any]


FORMER = {"source_scaling": "former", "target_scaling": "former"}
ARMS = {
    "former default": Arm(FORMER, {"recipe": "seamless"}, {}),
    "L1 alone": Arm(FORMER, {"recipe": "seamless", "lambda_gan": 0}, {}),
    "default": Arm({}, {}, {}),
}
SIMPLE = ("constant", "linear", "boosting", "boosting with neighbors")


def with_former_scaling(options: dict[str, Any], place: Place) -> dict[str, Any]:
    """Return options of `prepare_data` in which "former" stands for the former "auto"."""
    found = dict(options)
    for side, files in zip(("source", "target"), place.train[0], strict=True):
        if found.get(f"{side}_scaling") == "former":
            with rasterio.open(files) as raster:
                kind = "dtype" if raster.dtypes[0] == "uint8" else "percentile"
            found[f"{side}_scaling"] = kind
    return found


def epochs_within(
    name: str, place: Place, data: PairLoaders, arm: Arm, minutes: float, out: Path
) -> int:
    """Return the number of epochs that fit into a time, from a few batches of another model."""
    file = out / place.name / f"seconds {name}.json"
    if not file.exists():
        model = Pix2Pix(data, ngf=FILTERS, ndf=FILTERS, **arm.model | {"gan_after": 0.0})
        options = {"folder": out, "checkpoint": False, "progress": False, **arm.fit}
        began = time.process_time()
        model.fit(2, callbacks=[Stop(0)], **options)
        first = time.process_time() - began
        began = time.process_time()
        model.fit(100, callbacks=[_Few(12)], **options)
        step = (time.process_time() - began) / 12
        model = Pix2Pix(data, ngf=FILTERS, ndf=FILTERS, **arm.model | {"lambda_gan": 0})
        model.fits_start = False
        model.fit(2, callbacks=[Stop(0)], **options)
        began = time.process_time()
        model.fit(100, callbacks=[_Few(12)], **options)
        alone = (time.process_time() - began) / 12
        file.write_text(json.dumps([first, step, alone]))
    first, step, alone = json.loads(file.read_text())
    rest = Pix2Pix(data, ngf=FILTERS, ndf=FILTERS, **arm.model).config.gan_after
    # Validation: no gradients, but whole chips.
    pixels = len(data.valid_ds) * data.valid_ds.side**2 / (BATCH_SIZE * CROP**2)
    epoch = len(data.train) * (rest * alone + (1 - rest) * step) + pixels * alone / 3
    return max(1, round((60 * minutes - first) / epoch))


class _Few(Callback):
    order = 100

    def __init__(self, steps: int) -> None:
        self.left = steps

    def after_batch(self) -> None:
        self.left -= self.training
        if self.left <= 0:
            raise CancelFitException


def network(
    name: str, place: Place, minutes: float, seed: int, out: Path
) -> tuple[Callable[[Array], Array], int]:
    """Train a network for some minutes; return its translation function and the steps taken."""
    arm = ARMS.get(name, Arm(FORMER, {"recipe": "paper"}, {}))
    data = place.loaders(out, seed, **with_former_scaling(arm.data, place))
    shape = {"ngf": FILTERS, "ndf": FILTERS}
    home = out / place.name / "training"
    if name == "paper":
        model = Pix2Pix(data, **shape, **arm.model)
        pair, until, steps = as_written(model.pair), time.process_time() + 60 * minutes, 0
        recipe = Recipe(pair)
        while time.process_time() < until:
            for batch in data.train:
                source, target = (side.as_subclass(Tensor) for side in batch)
                # A plain loop knows no gaps: it learns from the crops that have none.
                whole = target.isfinite().flatten(1).all(1)
                if whole.any():
                    recipe.step(source[whole], target[whole])
                    steps += 1
                if time.process_time() > until:
                    break
        model.pair.load_state_dict(pair.state_dict())
    else:
        epochs = epochs_within(name, place, data, arm, minutes, out)
        model, stop = Pix2Pix(data, **shape, **arm.model), Stop(60 * minutes * 1.15)
        options = {"checkpoint": False, "progress": False, "folder": home, **arm.fit}
        model.fit(epochs, callbacks=[stop], **options)
        steps = stop.steps
    return lambda source: translated(model, source), steps


def translated(model: Pix2Pix, source: Array) -> Array:
    """Return the translation of a scene in strips that overlap by more than the receptive field."""
    filled = np.where(np.isfinite(source), source, np.array(model.card.source.fill)[:, None, None])
    beside, step = 256, 512
    rows = []
    for top in range(0, filled.shape[1], step):
        first, last = max(top - beside, 0), min(top + step + beside, filled.shape[1])
        strip = filled[:, first:last].astype(model.card.source.dtype)
        rows.append(model.predict(strip)[:, top - first : top - first + step])
    return np.concatenate(rows, axis=1).astype(np.float32)


# Measures.


def measured(found: list[Array], scenes: list[Scene], depth: float) -> dict[str, float]:
    """Return MAE, RMSE and SSIM over the valid pixels of some scenes."""
    absolute, squares, count, alike, windows = 0.0, 0.0, 0, 0.0, 0
    for translation, (_, target) in zip(found, scenes, strict=True):
        valid = np.isfinite(target).all(0)
        apart = (translation - target)[:, valid].astype(np.float64)
        absolute, squares = absolute + np.abs(apart).sum(), squares + (apart**2).sum()
        count += apart.size
        for one, other in zip(translation, target, strict=True):
            index, inside = _ssim(one, other, depth)
            alike, windows = alike + float(index[inside].sum()), windows + int(inside.sum())
    return {
        "mae": absolute / count,
        "rmse": (squares / count) ** 0.5,
        "ssim": alike / max(windows, 1),
    }


def _ssim(one: Array, other: Array, depth: float) -> tuple[Array, NDArray[np.bool_]]:
    """Return the index of windows of 7 px (Wang et al. 2004), and which are valid."""
    valid = np.isfinite(other)
    a, b = (np.where(valid, side, 0).astype(np.float64) for side in (one, other))
    mean = [uniform_filter(image, 7) for image in (a, b, a * a, b * b, a * b)]
    first, second = (0.01 * depth) ** 2, (0.03 * depth) ** 2
    between = mean[4] - mean[0] * mean[1]
    spread = mean[2] - mean[0] ** 2 + mean[3] - mean[1] ** 2
    index = (2 * mean[0] * mean[1] + first) * (2 * between + second)
    index /= (mean[0] ** 2 + mean[1] ** 2 + first) * (spread + second)
    return index, uniform_filter(valid.astype(np.float64), 7) > 1 - 1e-6


# The program.


def results(place: Place, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row for every method, number of minutes and seed."""
    train, test = place.scenes(place.train), place.scenes(place.test)
    targets = np.concatenate([target[:, ::5, ::5].ravel() for _, target in test])
    low, high = np.nanpercentile(targets, (0.5, 99.5))
    with rasterio.open(place.test[0][1]) as raster:
        depth = 255.0 if raster.dtypes[0] == "uint8" else float(high - low)
    for name in given.arms:
        for seed in range(given.seeds if name != "constant" else 1):
            for minutes in [0.0] if name in SIMPLE else given.minutes:
                row = {"place": place.name, "method": name, "minutes": minutes, "seed": seed}
                if row in done(given.out):
                    continue
                began, steps = time.process_time(), 0
                if name in SIMPLE:
                    translate = simple(name, train, seed)
                    # The time that a method needs before it translates.
                    taken = (time.process_time() - began) / 60
                else:
                    translate, steps = network(name, place, minutes, seed, given.out)
                    taken = minutes
                found = [translate(source) for source, _ in test]
                np.save(
                    given.out / place.name / f"{name}_{minutes:g}_{seed}.npy",
                    found[0][:, :256, -512:].astype(np.float32),
                )
                yield row | {"taken": taken, "steps": steps} | measured(found, test, depth)


def done(out: Path) -> list[dict[str, Any]]:
    """Return earlier results, so that an interrupted program can continue."""
    names = ("place", "method", "minutes", "seed")
    return [{name: row[name] for name in names} for row in rows_of(out)]


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Return all rows that are in a folder."""
    file = out / "results.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def summary(out: Path) -> None:
    """Print a table of the mean errors over the seeds, and draw the curves."""
    rows = rows_of(out)
    places = [name for name in PLACES if any(row["place"] == name for row in rows)]
    keys = list(dict.fromkeys((row["method"], row["minutes"]) for row in rows))
    print(f"| method | minutes | {' | '.join(places)} |\n|{'---|' * (2 + len(places))}")
    for method, minutes in keys:
        cells = []
        for place in places:
            errors = [
                row["mae"]
                for row in rows
                if (row["place"], row["method"], row["minutes"]) == (place, method, minutes)
            ]
            cells.append(f"{np.mean(errors):.4g}" if errors else "")
        print(f"| {method} | {minutes:g} | {' | '.join(cells)} |")
    figure, axes = subplots(1, len(places), figsize=(4 * len(places), 3.4))
    colors = colormaps["tab10"]
    for axis, place in zip(np.ravel(axes), places, strict=True):
        mine = [row for row in rows if row["place"] == place]
        for number, method in enumerate(dict.fromkeys(row["method"] for row in rows)):
            of_it = [row for row in mine if row["method"] == method]
            if not of_it:
                continue
            if method in SIMPLE:
                error = np.mean([row["mae"] for row in of_it])
                axis.axhline(error, color=colors(number), ls="--", label=method)
                continue
            axis.plot(
                [row["minutes"] for row in of_it],
                [row["mae"] for row in of_it],
                "o",
                color=colors(number),
                ms=3,
            )
            times = sorted({row["minutes"] for row in of_it})
            means = [np.mean([r["mae"] for r in of_it if r["minutes"] == t]) for t in times]
            axis.plot(times, means, color=colors(number), label=method)
        axis.set(title=place, xlabel="minutes of one core", ylabel="MAE", xscale="log")
    np.ravel(axes)[0].legend(fontsize=6)
    figure.tight_layout()
    figure.savefig(out / "error_per_minute.png", dpi=110)


SHOWN = ("boosting with neighbors", "paper", "former default", "L1 alone", "default")


def sheet(place: Place, out: Path) -> None:
    """Draw a corner of the first scene: source, translations and truth."""
    source, target = place.scenes(place.test[:1])[0]
    shown = {"source": source[:3], "truth": target}
    for name in SHOWN:
        files = sorted(
            (out / place.name).glob(f"{name}_*_0.npy"),
            key=lambda file: float(file.stem.split("_")[-2]),
        )
        if files:
            shown[f"{name}, {files[-1].stem.split('_')[-2]} min"] = np.load(files[-1])
    shown["truth"] = shown.pop("truth")
    limits = np.nanpercentile(target, (2, 98), axis=(1, 2))
    figure, axes = subplots((len(shown) + 1) // 2, 2, figsize=(10, 2.7 * ((len(shown) + 1) // 2)))
    for axis, (title, values) in zip(np.ravel(axes), shown.items(), strict=False):
        picture = values[:, :256, -512:] if title in ("source", "truth") else values
        low, high = limits
        if title == "source":
            low, high = np.nanpercentile(source[:3], (2, 98), axis=(1, 2))
        bands = slice(0, 3) if len(picture) >= 3 else slice(0, 1)
        scaled = (picture[bands] - low[bands, None, None]) / (high - low)[bands, None, None]
        axis.imshow(np.nan_to_num(scaled).clip(0, 1).transpose(1, 2, 0).squeeze(), cmap="gray")
        axis.set_title(title, fontsize=8)
    for axis in np.ravel(axes):
        axis.set_axis_off()
    figure.tight_layout()
    figure.savefig(out / f"sheet_{place.name}.png", dpi=90)


def main() -> None:
    """Measure, or show earlier results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", nargs="*", choices=PLACES)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="*", default=[2, 4, 8, 16])
    parser.add_argument("--seeds", type=int, default=2)
    arms = [*SIMPLE, "paper", *ARMS]
    parser.add_argument("--arms", nargs="*", choices=arms, default=arms)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.places:
        (given.out / name).mkdir(parents=True, exist_ok=True)
        place = PLACES[name](given.data, given.out)
        for row in results(place, given):
            with (given.out / "results.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
        sheet(place, given.out)
    summary(given.out)


if __name__ == "__main__":
    main()
