"""Compare checking a chip folder with reading its chips, and show time and memory for many chips.

Writes folders of N and 4N pairs of SIDE px, 3 bands of uint8, side by side on a map. Each is read
as with plain rasterio, checked, checked again, and prepared, every time in a process of its own,
with as many threads. Prints seconds by the clock and of work, ratios, peaks of resident memory, of
which the imports take a part that is printed first, and the size of the file of facts.

    python tests/benchmarks/many_chips.py [N] [SIDE] [FOLDER]

25000 256 takes about 2 GiB of disk in FOLDER, which is the system's for temporary files by default.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

CHILD = """
import os, resource, sys, time, warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import rasterio
from geotranslate import prepare_data
from geotranslate.chips.finding import ChipOptions, find_chips
kind, folder = sys.argv[1:]

def read(path):
    with rasterio.open(path) as chip:
        chip.read()

def bare():
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for _ in threads.map(read, sorted(Path(folder).glob("images*/*.tif")), chunksize=64):
            pass

calls = {
    "imports": lambda: None,
    "reading": bare,
    "checking": lambda: find_chips(folder, None, ChipOptions()),
    "preparing": lambda: prepare_data(folder),
}
start, worked = time.perf_counter(), time.process_time()
calls[kind]()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(time.perf_counter() - start, time.process_time() - worked, peak)
"""


def main(count: int, side: int, place: str | None) -> None:
    """Run all cases and print their time and memory."""
    print(f"imports alone: {run('imports', '')[2] / 1024:.0f} MiB")
    for pairs in (count, 4 * count):
        with tempfile.TemporaryDirectory(dir=place) as name:
            folder = Path(name)
            write(folder, pairs, side)
            bare = run("reading", name)
            for call in ("checking", "checking", "preparing"):
                seconds, worked, peak = run(call, name)
                print(
                    f"{pairs} pairs of {side} px, {call}: {seconds:.1f} s, {worked:.1f} s of work, "
                    f"{1e3 * worked / pairs:.2f} ms a pair; ratio to reading "
                    f"{seconds / bare[0]:.2f} by the clock, {worked / bare[1]:.2f} of work; "
                    f"{peak / 1024:.0f} MiB",
                    flush=True,
                )
            facts = sum(file.stat().st_size for file in folder.glob(".geotranslate*"))
            print(f"facts: {facts / pairs:.0f} bytes a pair")


def write(folder: Path, pairs: int, side: int) -> None:
    """Write pairs of one picture that lie in rows of a hundred."""
    chance = np.random.default_rng(0)
    for name in ("images", "images2"):
        (folder / name).mkdir()
        template = folder / "template.tif"
        coarse = chance.integers(0, 256, (3, side // 8, side // 8), dtype="uint8")
        pixels = coarse.repeat(8, axis=1).repeat(8, axis=2)
        with rasterio.open(
            template,
            "w",
            driver="GTiff",
            count=3,
            height=pixels.shape[1],
            width=pixels.shape[2],
            dtype="uint8",
            compress="lzw",
            crs="EPSG:32633",
            transform=Affine(1, 0, 5e5, 0, -1, 5e6),
        ) as chip:
            chip.write(pixels)
        content = template.read_bytes()
        template.unlink()
        # Writing a chip anew takes a hundred times as long as moving it on the map.
        tie = struct.pack("<2d", 5e5, 5e6)
        assert content.count(tie) == 1
        for number in range(pairs):
            row, col = divmod(number, 100)
            moved = struct.pack("<2d", 5e5 + col * side, 5e6 - row * side)
            (folder / name / f"{number:09d}.tif").write_bytes(content.replace(tie, moved))


def run(call: str, folder: str) -> tuple[float, float, int]:
    """Return seconds of a call by the clock and of work, and the peak of KiB with imports."""
    command = [sys.executable, "-W", "ignore", "-c", CHILD, call, folder]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, worked, peak = done.stdout.split()
    return float(seconds), float(worked), int(peak)


if __name__ == "__main__":
    given = sys.argv[1:] + ["500", "256"][len(sys.argv) - 1 :]
    main(int(given[0]), int(given[1]), given[2] if len(given) > 2 else None)
