"""Compare the times of measuring and of translating a pair.

Prints milliseconds a pair of the full U-Net in float32, of the measures that are followed from
epoch to epoch, and of all, on a GPU where there is one.

    python -m tests.benchmarks.metrics_speed [--size 256] [--bands 3] [--batch 4]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from geotranslate.metrics.measures import Measures, ValidationMeasures
from geotranslate.networks.unet import UNet
from tests.metrics.cases import pair, side


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--size", type=int, default=256)
    options.add_argument("--bands", type=int, default=3)
    options.add_argument("--batch", type=int, default=4)
    given = options.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = (given.batch, given.bands, given.size, given.size)
    prediction, target = (each.to(device) for each in pair(shape, gaps=0.0001))
    network = UNet(3, given.bands, depth=8).to(device).eval()
    source = torch.rand(given.batch, 3, given.size, given.size, device=device)

    def translate() -> None:
        with torch.inference_mode():
            network(source)

    epoch, every = ValidationMeasures(side(given.bands)), Measures(side(given.bands))
    cases = {
        "U-Net forward, float32": translate,
        f"ValidationMeasures {epoch.names}": lambda: epoch.add(prediction, target),
        f"Measures {every.names}": lambda: every.add(prediction, target),
    }
    print(f"{device}, batches of {shape}, {torch.get_num_threads()} threads")
    for name, call in cases.items():
        print(f"{1e3 * seconds(call) / given.batch:7.2f} ms a pair  {name}")


def seconds(call: Callable[[], None], repeats: int = 10) -> float:
    """Return the shortest time of several calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
