"""Measure the ground that training keeps beside validation, for chips of several strides.

    python tests/benchmarks/split_ground.py [PLACE ...]

For every place and stride: pairs for training, for validation and for neither, before (pairs that
overlap validation were left out) and now (validation ground is hidden in their targets), and the
share of the ground outside validation that is used for training.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import rasterio
from rasterio.windows import Window

from geotranslate import export_chips, prepare_data
from geotranslate.chips.split.apart import GroundShares
from geotranslate.chips.split.division import ground_of
from geotranslate.chips.split.methods import Split
from geotranslate.chips.vectors.area import Ground
from geotranslate.data.loaders import PairLoaders
from geotranslate.errors import GeotranslateWarning

DATA = Path(__file__).parents[3] / "shared" / "data"
NAIP = DATA / "naip" / "m_4709963_se_14_1_20160816.tif"
PLACES = {
    "calgary": (DATA / "calgary/calgary_l8_rgb.tif", DATA / "calgary/calgary_l8_nir_swir.tif"),
    "naip": (NAIP, NAIP),
    "banepa": (DATA / "banepa/banepa_rgb.tif", DATA / "banepa/banepa_map.tif"),
}
STRIDES = (64, 128, 192, 256)
HEAD = ("place", "stride", "pairs", "before: t/v/-", "now: t/v/-", "validated", "before", "now")
ROW = "{:<9} {:>6} {:>6} {:>15} {:>15} {:>13} {:>9} {:>9}"


def before(data: PairLoaders) -> tuple[Split, int]:
    """Return the former split: a random pair and its nearest ones, without all others near them."""
    outlines = list(ground_of(data.folder))
    count = len(outlines)
    ground = Ground(outlines)
    chance = random.Random(42)
    wanted = min(max(round(count * 0.1), 1), count - 1)
    middles = [outline.centroid for outline in outlines]
    if len(ground.overlaps()):
        start = middles[chance.randrange(count)]
        order = sorted(range(count), key=lambda i: (start.distance(middles[i]), i))
        validation = set(order[:wanted])
        near = ground.within(validation, min(data.folder.pairs[0].grid.resolution))
    else:
        validation = set(chance.sample(range(count), wanted))
        near = ground.sharing(validation)
    near -= validation
    train = tuple(i for i in range(count) if i not in near | validation)
    return Split(train, tuple(sorted(validation)), tuple(sorted(near))), count


def row(place: str, stride: object, data: PairLoaders) -> str:
    """Return the line of a folder of pairs."""
    outlines = ground_of(data.folder)
    old, count = before(data)
    shares = [GroundShares.of(split, outlines) for split in (old, data.split)]
    parts = [
        f"{len(split.train)}/{len(split.validation)}/{len(split.left_out)}"
        for split in (old, data.split)
    ]
    used = [f"{1 - share.lost:.1%}" for share in shares]
    return ROW.format(place, stride, count, *parts, f"{shares[1].validation:.1%}", *used)


def of_export(place: str, stride: int) -> PairLoaders:
    """Cut chips of a place and divide them."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = PLACES[place]
        export_chips(source, target, Path(folder) / "c", stride=stride, progress=False)
        return prepare_data(Path(folder) / "c", num_workers=0)


def of_few() -> PairLoaders:
    """Return eleven pairs that overlap by half, as in a small export of ArcGIS Pro."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.tif"
        with rasterio.open(NAIP) as raster:
            window = Window(0, 0, 640, 512)
            profile = raster.profile | {"width": 640, "height": 512}
            with rasterio.open(scene, "w", **profile) as small:
                small.write(raster.read(window=window))
        chips = export_chips(scene, scene, Path(folder) / "c", stride=128, progress=False).folder
        for side in ("images", "images2"):
            (chips / side / f"{11:09d}.tif").unlink()
        (chips / "map.txt").unlink()
        return prepare_data(chips, num_workers=0)


def main(places: Sequence[str]) -> None:
    """Print the table."""
    print(ROW.format(*HEAD))
    for place in places:
        for stride in STRIDES if place in PLACES else (128,):
            data = of_export(place, stride) if place in PLACES else of_few()
            print(row(place, stride, data), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*PLACES, "few"]
    parser.add_argument("places", nargs="*", default=names, metavar="PLACE")
    warnings.simplefilter("ignore", GeotranslateWarning)
    main(parser.parse_args().places)
