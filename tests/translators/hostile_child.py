"""Load mutations of models in a process of its own, and print what that took."""

from __future__ import annotations

import json
import random
import sys
import traceback
import warnings
from pathlib import Path

from tests.translators.hostile import Files, loaded_or_refused, mutated

ASKED: list[str] = []
"""What was asked of the network."""


def watch(event: str, args: tuple[object, ...]) -> None:
    """Note and refuse what asks for the network, as an audit hook."""
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        ASKED.append(f"{event} {args[-1]!r}")
        raise PermissionError("no network")


def peak() -> int:
    """Return the most memory that this process has had, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def main(models: list[Path], folder: Path, seed: int, count: int) -> None:
    """Print, as JSON, how many were loaded, the longest time, memory and what went wrong."""
    originals: list[Files] = [
        ((model / "card.json").read_bytes(), (model / "model.safetensors").read_bytes())
        for model in models
    ]
    assert all(loaded_or_refused(folder, files).loaded for files in originals)
    before, loaded, slowest, wrong = peak(), 0, 0.0, []
    sys.addaudithook(watch)
    for number in range(seed, seed + count):
        rng = random.Random(number)
        try:
            # Every other card is the one that the hub counts.
            card = "config.json" if number % 2 else "card.json"
            outcome = loaded_or_refused(folder, mutated(rng.choice(originals), rng), card)
        except Exception:
            wrong.append(f"mutation {number}: {traceback.format_exc()[-1500:]}")
            continue
        loaded, slowest = loaded + outcome.loaded, max(slowest, outcome.seconds)
    found = {"loaded": loaded, "slowest": slowest, "grown": peak() - before, "wrong": wrong}
    print(json.dumps(found | {"asked": ASKED}))  # noqa: T201


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main([Path(name) for name in sys.argv[4:]], Path(sys.argv[1]), *map(int, sys.argv[2:4]))
