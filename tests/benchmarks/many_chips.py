"""Show that `prepare_data` takes time in proportion to the number of chips, and little memory.

Writes folders of N, 2N and 4N tiny pairs, on a map without overlaps, and prepares each twice, in
a process of its own each time: the second time the facts of the chips are remembered. Prints
seconds, the ratio to the folder half as large (2 is linear), and peaks of resident memory, of
which the imports take a part that is printed first.

    python tests/benchmarks/many_chips.py [N] [SIDE]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

CHILD = """
import resource, sys, time
from geotranslate import prepare_data
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
if len(sys.argv) > 1:
    prepare_data(sys.argv[1])
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, before)
"""


def main(count: int, side: int) -> None:
    """Run all and print what they took."""
    print(f"imports alone: {run()[2] / 1024:.0f} MiB")
    former = [0.0, 0.0]
    for pairs in (count, 2 * count, 4 * count):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), pairs, side)
            for i, call in enumerate(("first", "second")):
                seconds, peak, _ = run(folder)
                ratio = f", ratio {seconds / former[i]:.2f}" if former[i] else ""
                print(
                    f"{pairs} pairs of {side} px, {call} call: {seconds:.1f} s, "
                    f"{1e3 * seconds / pairs:.2f} ms a pair{ratio}, {peak / 1024:.0f} MiB",
                    flush=True,
                )
                former[i] = seconds


def write(folder: Path, pairs: int, side: int) -> None:
    """Write pairs of random pixels that lie in rows of a hundred."""
    chance = np.random.default_rng(0)
    for name in ("images", "images2"):
        (folder / name).mkdir()
        for number in range(pairs):
            row, col = divmod(number, 100)
            with rasterio.open(
                folder / name / f"{number:09d}.tif",
                "w",
                driver="GTiff",
                count=3,
                height=side,
                width=side,
                dtype="uint8",
                crs="EPSG:32633",
                transform=Affine(1, 0, 5e5 + col * side, 0, -1, 5e6 - row * side),
            ) as chip:
                chip.write(chance.integers(0, 256, (3, side, side), dtype="uint8"))


def run(*arguments: str) -> tuple[float, int, int]:
    """Return seconds of `prepare_data`, and peaks of resident memory with and without it, KiB."""
    command = [sys.executable, "-W", "ignore", "-c", CHILD, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak, before = done.stdout.split()
    return float(seconds), int(peak), int(before)


if __name__ == "__main__":
    main(*(int(number) for number in (sys.argv[1:] + ["2500", "8"][len(sys.argv) - 1 :])))
