"""Show that `prepare_data` takes time in proportion to the number of chips, and little memory.

Writes folders of N, 2N and 4N tiny pairs, on a map without overlaps, and prepares each twice, in
a process of its own each time: the second time the facts of the chips are remembered. Prints
seconds, seconds of work and their ratio to the folder half as large (2 is linear, also on a busy
machine), and peaks of resident memory, of which the imports take a part that is printed first.

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
start, worked = time.perf_counter(), time.process_time()
if len(sys.argv) > 1:
    prepare_data(sys.argv[1])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(time.perf_counter() - start, time.process_time() - worked, peak, before)
"""


def main(count: int, side: int) -> None:
    """Run all cases and print their time and memory."""
    print(f"imports alone: {run()[3] / 1024:.0f} MiB")
    former = [0.0, 0.0]
    for pairs in (count, 2 * count, 4 * count):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), pairs, side)
            for i, call in enumerate(("first", "second")):
                seconds, worked, peak, _ = run(folder)
                ratio = f", ratio {worked / former[i]:.2f}" if former[i] else ""
                print(
                    f"{pairs} pairs of {side} px, {call} call: {seconds:.1f} s, "
                    f"{worked:.1f} s of work, {1e3 * worked / pairs:.2f} ms a pair{ratio}, "
                    f"{peak / 1024:.0f} MiB",
                    flush=True,
                )
                former[i] = worked


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


def run(*arguments: str) -> tuple[float, float, int, int]:
    """Return seconds of `prepare_data` by the clock and of work, and peaks of KiB with imports."""
    command = [sys.executable, "-W", "ignore", "-c", CHILD, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, worked, peak, before = done.stdout.split()
    return float(seconds), float(worked), int(peak), int(before)


if __name__ == "__main__":
    main(*(int(number) for number in (sys.argv[1:] + ["2500", "8"][len(sys.argv) - 1 :])))
