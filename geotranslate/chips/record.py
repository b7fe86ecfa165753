"""Facts of chips in the form in which they are kept: few objects, unpacked when they are needed."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from affine import Affine
from rasterio.crs import CRS

from geotranslate.chips.bands import ClassFacts, Statistics
from geotranslate.chips.bands.sample import Sample
from geotranslate.raster.bandfacts import BandFacts

DIGEST = 16
"""Bytes of a fingerprint of pixels."""
HEAD = struct.Struct(f"<{DIGEST}s7d")
"""Fingerprint of the pixels, coefficients of the transform, and share of valid pixels; the
statistics and their sample follow."""
SHARE = struct.Struct("<d")
"""Share of valid pixels, at the end of the head."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Facts that many chips share."""

    crs: CRS | None
    height: int
    width: int
    indexes: tuple[int, ...]
    """Bands in use, by number from 1."""
    file_bands: int
    """Number of bands in the file, without alpha."""
    dtype: str
    nodata: float | None
    band_names: tuple[str, ...]
    band_facts: BandFacts
    sampled: str
    """dtype of the sample of pixels; empty without one."""


def packed(digest: bytes, transform: Affine, share: float, statistics: Statistics) -> bytes:
    """Return facts that no other chip shares, to the last bit."""
    # With 0 for -0, equal transforms are equal bytes.
    place = (value + 0.0 for value in transform[:6])
    sample = statistics.samples[0] if statistics.samples else None
    assert sample is None or isinstance(sample, Sample)
    head = HEAD.pack(digest, *place, share) + statistics.to_bytes()
    return head if sample is None else head + sample.packed


def transform_in(content: bytes) -> Affine:
    """Return the transform of packed facts."""
    return Affine(*HEAD.unpack_from(content)[1:7])


def ground_in(content: bytes) -> bytes:
    """Return the bytes of the transform, which are equal for equal transforms."""
    return content[DIGEST : HEAD.size - SHARE.size]


def share_in(content: bytes) -> float:
    """Return the share of valid pixels of packed facts."""
    (share,) = SHARE.unpack_from(content, HEAD.size - SHARE.size)
    return float(share)


def statistics_in(content: bytes, kind: Kind) -> Statistics:
    """Return the statistics of packed facts."""
    bands = len(kind.indexes)
    sample = content[HEAD.size + Statistics.size_of(bands) :]
    return Statistics.from_bytes(
        content[HEAD.size :], Sample(bands, kind.sampled, sample) if sample else None
    )


def rest_text(others: Sequence[str], classes: ClassFacts) -> str:
    """Return the other files that a chip was read from and its facts about classes, as JSON."""
    return short_json([list(others), classes.to_json()])


# Nearly all chips have the same text, unless they hold classes.
@lru_cache(maxsize=4096)
def rest_in(text: str) -> tuple[tuple[str, ...], ClassFacts]:
    """Return the files and facts of a `rest_text`."""
    others, classes = json.loads(text)
    return tuple(others), ClassFacts.from_json(classes)


def short_json(value: Any) -> str:
    """Return JSON without blanks."""
    return json.dumps(value, separators=(",", ":"))
