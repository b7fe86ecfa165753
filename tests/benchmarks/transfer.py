"""Compare the errors of Pix2Pix on other dates and places, with and without remedies.

    python tests/benchmarks/transfer.py PLACE ... --data DATA --out OUT
        [--minutes 2] [--seed 0] [--arms NAME ...]
    python tests/benchmarks/transfer.py --out OUT

The places:

- naip: RGB to near infrared, trained on the years 2009 to 2014 and translated in the four later
  ones, 512 x 512 px in the middle;
- naip2009, naip2010 ...: the same, with one year left out of the training and translated;
- banepa: drone image to map, northern three quarters to 768 x 2048 px of the southern quarter;
- calgary: Landsat RGB to near and short-wave infrared, upper 989 rows to lower 424, where the
  light is the same and the target a measurement;
- terramind: Sentinel-2 RGB to 12 bands, four places to a fifth;
- maps: aerial photographs to maps at half size, 160 pairs to 14.

The arms are ways to train (`augment`, `look_like`, `jitter`); each model translates by all
remedies that need no training (`norm_stats`, `match`). All arms of a place take the same number of
steps, as many as the default takes in the given CPU minutes, on one thread, with 32 filters and
batches of four crops of 128 px. Every line of OUT/results.jsonl is the error of one scene: the mean
absolute error in the target's units, and that after the gain and offset of each band that fit the
scene best (least squares), which no method can know where the target is not calibrated. A finished
arm is not repeated. A table with the means over scenes, and the worst scene, is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TQDM_DISABLE"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import rasterio  # noqa: E402
import torch  # noqa: E402
from error_per_minute import (  # noqa: E402
    FILTERS,
    Arm,
    Array,
    Place,
    _cut,
    _masked,
    _read,
    banepa,
    calgary,
    epochs_within,
    maps,
    simple,
    terramind,
)
from rasterio.windows import Window  # noqa: E402

from geotranslate import Pix2Pix  # noqa: E402
from geotranslate.networks.normalization import normalizes  # noqa: E402

SIMPLE = ("constant", "boosting", "boosting with neighbors")
TEST = "test scenes"
"""Stands for the scenes to translate, in `look_like`."""
ARMS: dict[str, dict[str, Any]] = {
    "none": {},
    "jitter": {"jitter": 0.2},
    "light": {"augment": "light"},
    "strong": {"augment": "strong"},
    "exchange": {"look_like": ["training"]},
    "look": {"look_like": [TEST]},
    "strong, exchange": {"augment": "strong", "look_like": ["training"]},
    "strong, look": {"augment": "strong", "look_like": [TEST]},
}
REMEDIES: dict[str, dict[str, Any]] = {
    "": {},
    "share 0.25": {"norm_stats": 0.25},
    "match": {"match": "training"},
    "share 0.25, match": {"norm_stats": 0.25, "match": "training"},
}


@dataclass(frozen=True)
class Case:
    """A place with the part of its test scenes that is measured."""

    place: Place
    shape: tuple[int, int] | None
    """Rows and columns in the middle; None for whole scenes."""
    remedies: tuple[str, ...] = field(default=tuple(REMEDIES))

    def window(self, file: Path) -> Window:
        """Return the window of a file that is measured."""
        with rasterio.open(file) as raster:
            rows, cols = self.shape or raster.shape
            top, left = (raster.height - rows) // 2, (raster.width - cols) // 2
        return Window(left, top, cols, rows)

    def cut(self, file: Path, values: Array) -> Array:
        """Return the part of a whole scene's values that is measured."""
        window = self.window(file)
        rows = slice(window.row_off, window.row_off + window.height)
        return values[:, rows, window.col_off : window.col_off + window.width]


def naip(data: Path, out: Path, left_out: int | None = None) -> Case:
    """Return years of aerial imagery, divided by date."""
    files = sorted((data / "naip").glob("*.tif"))
    sides = []
    for file in files:
        with rasterio.open(file) as raster:
            rows = slice(0, raster.height)
        sides.append(
            tuple(
                _cut(file, rows, out / "naip" / f"{side}_{_year(file)}.tif", bands)
                for side, bands in (("rgb", [1, 2, 3]), ("nir", [4]))
            )
        )
    later = [_year(file) > 2014 if left_out is None else _year(file) == left_out for file in files]
    train = [pair for pair, tested in zip(sides, later, strict=True) if not tested]
    test = [pair for pair, tested in zip(sides, later, strict=True) if tested]
    name = "naip" if left_out is None else f"naip{left_out}"
    return Case(Place(name, train, test, 128), (512, 512))  # type: ignore[arg-type]


def _year(file: Path) -> int:
    return int(file.stem.split("_")[-1][:4])


def cases(data: Path, out: Path) -> dict[str, Callable[[], Case]]:
    """Return functions that make the cases, by name."""
    years = sorted({_year(file) for file in (data / "naip").glob("*.tif")})
    found: dict[str, Callable[[], Case]] = {
        "naip": lambda: naip(data, out),
        "banepa": lambda: Case(banepa(data, out), (768, 2048)),
        "calgary": lambda: Case(calgary(data, out), None),
        "terramind": lambda: Case(terramind(data, out), None, ("", "match")),
        "maps": lambda: Case(_some_maps(data, out), None, ("", "share 0.25", "match")),
    }
    for year in years:
        found[f"naip{year}"] = lambda year=year: naip(data, out, year)  # type: ignore[misc]
    return found


def _some_maps(data: Path, out: Path) -> Place:
    place = maps(data, out)
    return type(place)(place.name, place.train, place.test[::3])


def errors(found: Array, truth: Array) -> dict[str, float]:
    """Return the error, and the error after the best gain and offset of each band."""
    valid = np.isfinite(truth).all(0) & np.isfinite(found).all(0)
    one, other = (side[:, valid].astype(np.float64) for side in (found, truth))
    fitted = []
    for a, b in zip(one, other, strict=True):
        spread = a.var()
        gain = ((a - a.mean()) * (b - b.mean())).mean() / spread if spread > 0 else 0.0
        fitted.append(np.abs(b.mean() + gain * (a - a.mean()) - b).mean())
    return {"mae": float(np.abs(one - other).mean()), "fitted": float(np.mean(fitted))}


def trained(case: Case, arm: str, minutes: float, seed: int, out: Path) -> tuple[Pix2Pix, int]:
    """Train a network as an arm says; return it and the number of epochs."""
    place, options = case.place, dict(ARMS[arm])
    plain = place.loaders(out, seed)
    epochs = epochs_within("transfer", place, plain, Arm({}, {}, {}), minutes, out)
    if "look_like" in options:
        scenes = [source for source, _ in place.test]
        options["look_like"] = [
            file for name in options["look_like"] for file in (scenes if name == TEST else [name])
        ]
    model = Pix2Pix(place.loaders(out, seed, **options), ngf=FILTERS, ndf=FILTERS)
    home = out / place.name / "training"
    model.fit(epochs, checkpoint=False, progress=False, folder=home)
    return model, epochs


def results(name: str, case: Case, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the error of every scene for every arm and remedy that is not measured yet."""
    known = {(row["place"], row["arm"], row["seed"]) for row in rows_of(given.out)}
    place = case.place
    for arm in given.arms:
        seed = 0 if arm == "constant" else given.seed
        if (name, arm, seed) in known:
            continue
        row = {"place": name, "arm": arm, "seed": seed}
        began = time.process_time()
        found: list[dict[str, Any]] = []
        if arm in SIMPLE:
            translate = simple(arm, place.scenes(place.train), seed)
            for source, target in place.test:
                scene = _masked(_read(source), _read(target))
                cut = [case.cut(source, side) for side in scene]
                found.append(
                    {"remedy": "", "scene": source.stem} | errors(translate(cut[0]), cut[1])
                )
        else:
            model, epochs = trained(case, arm, given.minutes, seed, given.out)
            row |= {"epochs": epochs, "training": time.process_time() - began}
            plain = not normalizes(model.pair.generator)
            for remedy in case.remedies:
                if plain and "norm_stats" in REMEDIES[remedy]:
                    continue  # there is nothing to normalize
                for source, target in place.test:
                    found.append(
                        {"remedy": remedy, "scene": source.stem}
                        | _translated(model, case, source, target, remedy, given.out)
                    )
        row["seconds"] = time.process_time() - began
        # All at once, so that an interrupted arm is repeated.
        yield from (row | one for one in found)


def _translated(
    model: Pix2Pix, case: Case, source: Path, target: Path, remedy: str, out: Path
) -> dict[str, Any]:
    with rasterio.open(source) as raster:
        window = case.window(source)
        bounds = rasterio.windows.bounds(window, raster.transform)
    left, bottom, right, top = bounds
    result = model.predict_raster(
        source,
        out / "translated.tif",
        bbox=None if case.shape is None else (left, min(bottom, top), right, max(bottom, top)),
        precision="float32",
        dtype="float32",
        overwrite=True,
        progress=False,
        **REMEDIES[remedy],
    )
    truth = case.cut(source, _masked(_read(source), _read(target))[1])
    drift = {} if result.drift is None else {"drift": result.drift.distance}
    return errors(_read(result.path), truth) | drift


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Return all rows that are in a folder."""
    file = out / "results.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def summary(out: Path) -> None:
    """Print the mean errors over scenes, the worst scene, and the errors after the best fit."""
    rows = rows_of(out)
    places = list(dict.fromkeys(row["place"] for row in rows))
    print(f"| training | translation | {' | '.join(places)} |\n|{'---|' * (2 + len(places))}")
    for arm, remedy in dict.fromkeys((row["arm"], row["remedy"]) for row in rows):
        cells = []
        for place in places:
            mine = [
                row
                for row in rows
                if (row["place"], row["arm"], row["remedy"]) == (place, arm, remedy)
            ]
            mae, fitted = ([row[name] for row in mine] for name in ("mae", "fitted"))
            cells.append(
                f"{np.mean(mae):.4g} (worst {np.max(mae):.4g}, fitted {np.mean(fitted):.4g})"
                if mine
                else ""
            )
        print(f"| {arm} | {remedy} | {' | '.join(cells)} |")


def main() -> None:
    """Measure, or show earlier results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", nargs="*")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arms = [*SIMPLE, *ARMS]
    parser.add_argument("--arms", nargs="*", choices=arms, default=arms)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.places:
        known = cases(given.data, given.out)
        if name not in known:
            parser.error(f"there is no place {name}; there are {', '.join(known)}")
        (given.out / name).mkdir(parents=True, exist_ok=True)
        for row in results(name, known[name](), given):
            with (given.out / "results.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    summary(given.out)


if __name__ == "__main__":
    main()
