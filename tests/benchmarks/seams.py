"""Compare networks and blends of tiles by the error of whole scenes and by visible seams.

    python tests/benchmarks/seams.py train PLACE VARIANT SEED DATA OUT [--size small | full]
    python tests/benchmarks/seams.py measure OUT [--only PATTERN] [--ways WAY ...]
    python tests/benchmarks/seams.py table OUT

`train` trains a variant for as many steps as all others and keeps the model in OUT; `measure`
translates the place's scenes, which no training has seen, with every model in OUT that was not
measured yet, in every way that it has, and writes OUT/measured.csv; `table` prints the means over
the seeds as Markdown. The places:

- banepa: drone image to map, northern three quarters to southern quarter;
- naip: colors to near infrared, years to 2016 to 2019;
- maps: aerial photographs to maps at half their size, 160 pairs to 20 scenes.

Small networks have ngf = ndf = 16 and train on crops of 128 px; full ones 64 and 256 px. Both have
batches of 4 and an average of the weights (ema=0.999). DATA is the folder with the places' folders.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TQDM_DISABLE"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
import rasterio  # noqa: E402
import torch  # noqa: E402
from fastai.callback.core import Callback, CancelFitException  # noqa: E402
from rasterio.enums import Resampling  # noqa: E402
from rasterio.transform import from_origin  # noqa: E402
from rasterio.windows import Window  # noqa: E402

from geotranslate import Pix2Pix, export_chips, load_model, prepare_data  # noqa: E402
from geotranslate.data.loaders import PairLoaders  # noqa: E402
from geotranslate.metrics.measures import Measures  # noqa: E402
from geotranslate.raster.grid import Grid  # noqa: E402

DECAY, BATCH_SIZE, MAPS_SIZE, MAPS_SCENES = 0.999, 4, 300, 20
SIZES: dict[str, dict[str, int]] = {
    "small": {
        "filters": 16,
        "crop": 128,
        "chip": 256,
        "steps": 1500,
        "validating": 50,
        "scene": 1536,
    },
    "full": {"filters": 64, "crop": 256, "chip": 288, "steps": 400, "validating": 5, "scene": 3072},
}
PAPER = {"norm": "batch", "upsample": "transposed", "padding": "zeros"}
CURED = {"norm": "batch", "upsample": "resize", "padding": "reflect"}
"""Options without visible tile edges; the recipe "seamless" is "resize"."""
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": PAPER,
    "paper reflect": PAPER | {"padding": "reflect"},
    "resize": PAPER | {"upsample": "resize"},
    "reflect": CURED,
    "replicate": CURED | {"padding": "replicate"},
    "renorm": CURED | {"norm": "renorm"},
    "instance": CURED | {"norm": "instance"},
    "group": CURED | {"norm": "group"},
    "channel": CURED | {"norm": "channel"},
    "none": CURED | {"norm": "none"},
    "depth 7": CURED | {"depth": 7},
    "depth 6": CURED | {"depth": 6},
    "depth 5": CURED | {"depth": 5},
    "depth 5 channel": CURED | {"depth": 5, "norm": "channel"},
    "paper instance": PAPER | {"norm": "instance"},
    "resnet6": CURED | {"generator": "resnet6"},
}

WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "cut": {"tile_size": 1, "overlap": 0},
    "Hann": {"tile_size": 1, "blend": "hann"},
    "cropped by 32": {"tile_size": 1, "blend": "crop", "padding": 32},
    "tiles x 4, Hann": {"tile_size": 4, "blend": "hann"},
    "tile, Hann": {"tile_size": 1, "blend": "hann", "norm_stats": "tile"},
    "tile, cropped by 32": {"tile_size": 1, "blend": "crop", "padding": 32, "norm_stats": "tile"},
    "scene": {"norm_stats": "scene"},
    "smooth": {"norm_stats": "smooth"},
}
"""Options of translations; given tile sizes are factors of the crop size. With a crop of 32 px, the
mismatch is measured 32 px from the edges of both tiles."""


def banepa(data: Path, out: Path, size: dict[str, int]) -> list[Path]:
    """Cut chips in the north of the drone image, and a scene in the south."""
    image, plan = data / "banepa" / "banepa_rgb.tif", data / "banepa" / "banepa_map.tif"
    with rasterio.open(image) as scene:
        grid = Grid.of(scene)
    north = Window(0, 0, grid.width, grid.height * 3 // 4)
    south = Window(0, north.height, size["scene"], grid.height - north.height)
    area = grid.crop(north).footprint
    chip = size["chip"]
    cut: dict[str, Any] = {"tile_size": chip, "stride": chip // 2, "aoi": area}
    export_chips(image, plan, out / "chips", progress=False, **cut)
    for side, file in (("source", image), ("target", plan)):
        _copy(file, out / f"{side}_0.tif", [1, 2, 3], south)
    return [out / "chips"]


def naip(data: Path, out: Path, size: dict[str, int]) -> list[Path]:
    """Cut chips of every year to 2016, and use 2019 as a scene."""
    found = []
    for file in sorted((data / "naip").glob("*.tif")):
        year = file.stem.split("_")[-1][:4]
        if year <= "2016":
            chip = size["chip"]
            cut: dict[str, Any] = {"tile_size": chip, "stride": chip // 4, "progress": False}
            export_chips(file, file, out / year, **cut)
            found.append(out / year)
        elif year == "2019":
            with rasterio.open(file) as scene:
                whole = Window(0, 0, scene.width, scene.height)
            _copy(file, out / "source_0.tif", [1, 2, 3], whole)
            _copy(file, out / "target_0.tif", [4], whole)
    return found


def maps(data: Path, out: Path, size: dict[str, int]) -> list[Path]:
    """Use the pictures as chips, and halves of unseen ones as scenes."""
    for number, file in enumerate(sorted((data / "maps" / "val").iterdir())[:MAPS_SCENES]):
        for side, left in (("source", 0), ("target", 600)):
            _copy(file, out / f"{side}_{number}.tif", [1, 2, 3], Window(left, 0, 600, 600), 2)
    return [data / "maps" / "train"]


PLACES = {"banepa": banepa, "naip": naip, "maps": maps}


def _copy(file: Path, to: Path, bands: list[int], window: Window, shrink: int = 1) -> None:
    with rasterio.open(file) as scene:
        shape = (len(bands), int(window.height) // shrink, int(window.width) // shrink)
        values = scene.read(bands, window=window, out_shape=shape, resampling=Resampling.average)
        crs = scene.crs or "EPSG:3857"
        placed = scene.window_transform(window) if scene.crs else from_origin(0, 0, 1, 1)
        nodata = scene.nodata
    options = {"height": shape[1], "width": shape[2], "count": shape[0], "dtype": values.dtype}
    options |= {"crs": crs, "transform": placed, "nodata": nodata, "driver": "GTiff"}
    with rasterio.open(to, "w", **options) as written:
        written.write(values)


def loaders(place: str, data: Path, out: Path, size: str, seed: int) -> PairLoaders:
    """Return loaders of a place's training pairs, whose chips are cut only once."""
    folder, sizes = out / size / place, SIZES[size]
    done = folder / "done"
    if not done.exists():
        folder.mkdir(parents=True)
        done.write_text("\n".join(map(str, PLACES[place](data, folder, sizes))))
    options: dict[str, Any] = {
        "chip_size": sizes["crop"],
        "seed": seed,
        "val_split_pct": sizes["validating"] / 1000,
    }
    if place == "naip":
        # Years cover the same ground: all chips that overlap a validation chip are left out.
        options |= {"source_bands": [1, 2, 3], "target_bands": [4], "val_split_pct": 0.005}
    if place == "maps":
        options |= {"resize_to": MAPS_SIZE}
    chips: Any = done.read_text().split("\n")
    return prepare_data(chips if len(chips) > 1 else chips[0], batch_size=BATCH_SIZE, **options)


class Stop(Callback):
    """End a training after a number of steps."""

    order = 100

    def __init__(self, steps: int) -> None:
        self.left = steps

    def after_batch(self) -> None:
        """Count."""
        self.left -= self.training
        if not self.left:
            raise CancelFitException


def train(place: str, variant: str, seed: int, data: Path, out: Path, size: str) -> None:
    """Train a variant and save it, with the seconds that it took."""
    sizes = SIZES[size]
    seen = loaders(place, data, out, size, seed)
    filters = sizes["filters"]
    options = {"recipe": "seamless", "ngf": filters, "ndf": filters}
    model = Pix2Pix(seen, **options, **VARIANTS[variant])
    began = time.perf_counter()
    model.fit(
        10_000,
        callbacks=[Stop(sizes["steps"])],
        checkpoint=False,
        ema=DECAY,
        progress=False,
    )
    seconds = time.perf_counter() - began
    saved = model.save(out / size / place / f"{variant}_{seed}")
    (saved / "seconds").write_text(f"{seconds:.0f}")
    print(f"{size} {place} {variant} {seed}: {seconds:.0f} s", flush=True)


def measure(out: Path, only: str, ways: list[str]) -> None:
    """Translate the scenes with every model in every way without a result."""
    for saved in sorted(out.glob(f"{only}/seconds")):
        folder = saved.parent
        file = folder / "measured.json"
        rows = json.loads(file.read_text()) if file.exists() else {}
        model, crop = load_model(folder), SIZES[folder.parts[-3]]["crop"]
        for name in ways or WAYS:
            way = WAYS[name]
            if name in rows or not possible(model, way):
                continue
            if "tile_size" in way:
                way = way | {"tile_size": crop * way["tile_size"]}
            rows[name] = measured(model, folder, way)
            file.write_text(json.dumps(rows, indent=1))
            print(folder, name, rows[name], flush=True)


def possible(model: Any, way: dict[str, Any]) -> bool:
    """Return whether a model has the statistics that a way needs."""
    normalized = model.config.norm not in ("channel", "none")
    return "norm_stats" not in way or normalized


def measured(model: Any, folder: Path, way: dict[str, Any]) -> dict[str, float]:
    """Translate a place's scenes in one way; return their error and measures of seams."""
    side = model.card.target
    measures, found = Measures(side, ["mae", "rmse", "psnr", "ssim"]), []
    began = time.perf_counter()
    for source in sorted(folder.parent.glob("source_*.tif")):
        target = source.with_name(source.name.replace("source", "target"))
        done = model.predict_raster(
            source, folder / "scene.tif", overwrite=True, progress=False, driver="GTiff", **way
        )
        seams = done.seams(target)
        found.append([done.mismatch, seams.seam_index, seams.tile_peak, seams.peak])
        found[-1].append(seams.position_bias)
        values = []
        for file in (done.path, target):
            with rasterio.open(file) as scene:
                data = scene.read(masked=True).astype(np.float32).filled(np.nan)
            values.append(torch.from_numpy(side.scaling.scale(data[None])))
        measures.add(*values)
    seconds = time.perf_counter() - began
    scores = {name: float(value) for name, value in measures.results().items()}
    names = ("mismatch", "seam_index", "tile_peak", "peak", "position_bias")
    each = np.array(found, dtype=float)
    means = np.nanmean(np.where(np.isfinite(each), each, np.nan), axis=0)
    return scores | dict(zip(names, means.tolist(), strict=True)) | {"seconds": seconds}


def table(out: Path) -> None:
    """Print the means over the seeds, a table for each size and place."""
    for place in sorted(out.glob("*/*")):
        print(f"\n{place.parts[-2]} networks, {place.name}\n")
        titles = "network, way, MAE, PSNR, SSIM, seam, tile peak, peak, bias, mismatch, runs"
        print(f"| {titles.replace(', ', ' | ')} |\n|{'---|' * 11}")
        models = sorted({f.parent.name.rsplit("_", 1)[0] for f in place.glob("*/measured.json")})
        for variant in sorted(models, key=list(VARIANTS).index):
            found = [json.loads(f.read_text()) for f in place.glob(f"{variant}_?/measured.json")]
            for way in WAYS:
                runs = [run[way] for run in found if way in run]
                if not runs:
                    continue
                mean = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
                print(
                    f"| {variant} | {way} | {mean['mae']:.2f} | {mean['psnr']:.2f} | "
                    f"{mean['ssim']:.3f} | {mean['seam_index']:.2f} | {mean['tile_peak']:.2f} | "
                    f"{mean['peak']:.2f} | {mean['position_bias']:.2f} | {mean['mismatch']:.2f} | "
                    f"{len(runs)} |"
                )


def main() -> None:
    """Run the chosen command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    asked = commands.add_parser("train")
    asked.add_argument("place", choices=PLACES)
    asked.add_argument("variant", choices=VARIANTS)
    asked.add_argument("seed", type=int)
    asked.add_argument("data", type=Path)
    asked.add_argument("out", type=Path)
    asked.add_argument("--size", choices=SIZES, default="small")
    asked = commands.add_parser("measure")
    asked.add_argument("out", type=Path)
    asked.add_argument("--only", default="*/*/*", help="pattern of SIZE/PLACE/VARIANT_SEED")
    asked.add_argument("--ways", nargs="*", choices=WAYS, default=[])
    commands.add_parser("table").add_argument("out", type=Path)
    given = vars(parser.parse_args())
    {"train": train, "measure": measure, "table": table}[given.pop("command")](**given)


if __name__ == "__main__":
    main()
