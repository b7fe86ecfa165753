"""Damage done to the files of a model, and what loading them may come to."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import random
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geotranslate import load_model
from geotranslate.errors import GeotranslateError, MissingPackageError, ModelFileError
from tests.wrong_values import assert_one_sentence

LONG = 2**31
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, -5, 2, 3, 7, 64, 320, 1024, 10**6, 2**30, 2**63, 10**30),
    *(10**400, 0.5, -0.5, 1.0, 1e-320, 1e308, math.nan, math.inf, -math.inf),
    *("", "no", "nan", "inf", "x", "\ud800", "x" * 5000, "EPSG:4326", "http://127.0.0.1:9/crs"),
    *("/etc/hostname", "float64", "uint8", "complex64", "batch", "unet", "resnet9", "global"),
    *([], [5], ["nan", "nan"], [1, 2], [[1, 2], [3]], [None], {}, {"x": 1}, {"": []}, [[]] * 9),
    *("resnet18", "tu-resnet18", "tu-convnext_xxlarge", "tu-hf-hub:timm/resnet18.a1_in1k"),
    *("hf-hub:timm/resnet18", "tu-local-dir:/etc", "tu-../x", "tu-nothing", "mit_b0"),
]
"""What entries of a card are replaced by."""
KEYS = ["pretrained_path", "data", "seed", "", "x", "__class__", "ngf", "backbone"]

Files = tuple[bytes, bytes]
"""Card and weights."""


def mutated(files: Files, rng: random.Random) -> Files:
    """Return files of a model with one or two things changed in them."""
    card, weights = files
    for _ in range(rng.choice((1, 1, 1, 2))):
        if rng.random() < 0.65:
            card = rng.choice(CARDS)(card, rng)
        else:
            weights = rng.choice(WEIGHTS)(weights, rng)
    if rng.random() < 0.95:
        card = with_digest(card, weights)
    return card, weights


def with_digest(card: bytes, weights: bytes) -> bytes:
    """Return a card that says the SHA-256 of the weights, if it can be read."""
    try:
        values = json.loads(card)
        values["weights_sha256"] = hashlib.sha256(weights).hexdigest()
        return json.dumps(values).encode()
    except (ValueError, TypeError, RecursionError):
        return card


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


def _changed(change: Callable[[Any, Any, random.Random], None]) -> Callable[..., bytes]:
    def applied(card: bytes, rng: random.Random) -> bytes:
        try:
            values = json.loads(card)
            container, key = rng.choice(list(_places(values)))
        except (ValueError, RecursionError, IndexError, TypeError):
            return card
        change(container, key, rng)
        return json.dumps(values).encode()

    return applied


def _drop(container: Any, key: Any, rng: random.Random) -> None:
    del container[key]


def _replace(container: Any, key: Any, rng: random.Random) -> None:
    container[key] = copy.deepcopy(rng.choice(VALUES))


def _nudge(container: Any, key: Any, rng: random.Random) -> None:
    value = container[key]
    if isinstance(value, int | float):
        container[key] = rng.choice((-value, value + 1, value * 5, value * 1000, str(value)))
    elif isinstance(value, str):
        container[key] = rng.choice((value + "x", value.upper(), [value], None, value * 1000))
    else:
        container[key] = rng.choice((list(value or "a") * 2, list(value or "")[:-1], str(value)))


def _add(container: Any, key: Any, rng: random.Random) -> None:
    value = copy.deepcopy(rng.choice(VALUES))
    if isinstance(container, dict):
        container[rng.choice(KEYS)] = value
    else:
        container.append(value)


def _option(card: bytes, rng: random.Random) -> bytes:
    try:
        values = json.loads(card)
        options = values["options"]
        options[rng.choice([*options, "pretrained_path"])] = copy.deepcopy(rng.choice(VALUES))
    except (ValueError, RecursionError, LookupError, TypeError):
        return card
    return json.dumps(values).encode()


def _nested(card: bytes, rng: random.Random) -> bytes:
    depth = rng.choice((10, 900, 5000, 200_000))
    begin, end = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    tower = begin * depth + (b"1" if begin != b"[" else b"") + end * depth
    return card.replace(b"null", tower, 1) if rng.random() < 0.5 else tower


def _truncated(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _flipped(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return content
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 50))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def _flipped_header(content: bytes, rng: random.Random) -> bytes:
    return _flipped(content[:3000], rng) + content[3000:]


def _header_length(content: bytes, rng: random.Random) -> bytes:
    length = rng.choice((0, 1, 7, 2**20, 2**26, 2**27, 2**40, 2**63, 2**64 - 1))
    return struct.pack("<Q", length) + content[8:]


def _header(change: Callable[[dict[str, Any], random.Random], None]) -> Callable[..., bytes]:
    def applied(content: bytes, rng: random.Random) -> bytes:
        try:
            length = struct.unpack("<Q", content[:8])[0]
            values = json.loads(content[8 : 8 + length])
            change(values, rng)
        except (ValueError, struct.error, LookupError, TypeError, RecursionError):
            return content
        text = json.dumps(values).encode()
        text += b" " * (-len(text) % 8)
        return struct.pack("<Q", len(text)) + text + content[8 + length :]

    return applied


def _entry(values: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    return values[rng.choice([name for name in values if name != "__metadata__"])]


def _dtype(values: dict[str, Any], rng: random.Random) -> None:
    kinds = ("F16", "BF16", "F64", "I32", "U8", "BOOL", "F8_E4M3", "F4", "C64", "x", None, 5)
    _entry(values, rng)["dtype"] = rng.choice(kinds)


def _shape(values: dict[str, Any], rng: random.Random) -> None:
    entry = _entry(values, rng)
    shapes = ([], [0], [1, *entry["shape"]], entry["shape"][::-1], [2**62, 4], [-1], None, [1.5])
    entry["shape"] = rng.choice((*shapes, [2**40, 0]))


def _offsets(values: dict[str, Any], rng: random.Random) -> None:
    offsets = _entry(values, rng)["data_offsets"]
    ways = (offsets, offsets[::-1], [0, 0], [0, 2**63], [-1, 1], [LONG, LONG + 4], None, [1])
    _entry(values, rng)["data_offsets"] = rng.choice(ways)


def _renamed(values: dict[str, Any], rng: random.Random) -> None:
    name = rng.choice(list(values))
    values[rng.choice((name + "x", "", "average." + name, "\ud800", "x" * 10_000))] = values.pop(
        name
    )


def _removed(values: dict[str, Any], rng: random.Random) -> None:
    del values[rng.choice(list(values))]


def _metadata(values: dict[str, Any], rng: random.Random) -> None:
    values["__metadata__"] = rng.choice(({"facts": "x" * 10**6}, 5, {"a": 1}, None, []))


CARDS: list[Callable[..., bytes]] = [
    *(_changed(_drop), _changed(_replace), _changed(_replace), _changed(_nudge), _changed(_add)),
    *(_option, _option, _nested, _truncated, _flipped),
]
WEIGHTS: list[Callable[..., bytes]] = [
    *(_header(_dtype), _header(_shape), _header(_offsets), _header(_renamed), _header(_removed)),
    *(_header(_metadata), _truncated, _flipped, _flipped_header, _header_length),
]


@dataclass(frozen=True)
class Outcome:
    """What loading came to."""

    loaded: bool
    seconds: float


def loaded_or_refused(folder: Path, files: Files, card: str = "card.json") -> Outcome:
    """Load a model from files, and translate with it if that works.

    Args:
        folder: Folder for the files.
        files: Card and weights.
        card: Name of the card, "card.json" or "config.json".

    Raises:
        AssertionError: It ends in another error than one of ours, or what it loads does not
            translate.
    """
    for name in ("card.json", "config.json"):
        (folder / name).unlink(missing_ok=True)
    (folder / card).write_bytes(files[0])
    (folder / "model.safetensors").write_bytes(files[1])
    # Not of the clock on the wall, which other programs slow down.
    begun = time.process_time()
    try:
        model = load_model(folder)
    except (ModelFileError, MissingPackageError) as error:
        assert_one_sentence(str(error))
        return Outcome(False, time.process_time() - begun)
    seconds = time.process_time() - begun
    image = np.zeros((model.card.source.bands, 64, 64), np.float32)
    try:
        assert model.predict(image).shape[1:] == (64, 64)
    except GeotranslateError as error:
        raise AssertionError("what was loaded does not translate") from error
    return Outcome(True, seconds)
