"""What is written into a translated raster about its making, and recognised later."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from shapely.geometry.base import BaseGeometry

from geotranslate.chips.bands import DataCard, Direction

PREFIX = "GEOTRANSLATE_"


@dataclass(frozen=True)
class Provenance:
    """A model and the settings on which the values of its translations depend."""

    translator: str
    """Name of its class."""
    digest: str
    """SHA-256 of its weights."""
    card: DataCard
    precision: str
    norm_stats: str
    tta: bool | str
    settings: dict[str, Any]
    """Arguments of the translation, beside the area."""
    direction: Direction = "AtoB"

    @property
    def named(self) -> dict[str, str]:
        """All that makes tiles come out as they do, by the names that users know."""
        card = json.dumps(self.card.to_json(), sort_keys=True)
        return {
            "model": "\n".join((self.translator, self.digest, card)),
            "direction": self.direction,
            "precision": self.precision,
            "norm_stats": self.norm_stats,
            "test-time augmentation": str(self.tta),
            "version of geotranslate": version("geotranslate"),
        }

    @property
    def identity(self) -> str:
        """SHA-256 of all that makes tiles come out as they do: weights, card and the like."""
        return hashlib.sha256("\n".join(self.named.values()).encode()).hexdigest()

    def tags(self, scene: str, area: BaseGeometry | None) -> dict[str, str]:
        """Return the tags of the output: the same ones whenever the same file is to be written."""
        parameters = self.settings | {
            "aoi": None if area is None else hashlib.sha256(area.wkb).hexdigest()[:16],
            "direction": self.direction,
            "precision": self.precision,
            "norm_stats": self.norm_stats,
            "tta": self.tta,
        }
        return {
            f"{PREFIX}VERSION": version("geotranslate"),
            f"{PREFIX}MODEL": self.translator,
            f"{PREFIX}WEIGHTS_SHA256": self.digest,
            f"{PREFIX}IDENTITY": self.identity,
            f"{PREFIX}SOURCE": os.path.basename(scene),
            f"{PREFIX}PARAMETERS": json.dumps(parameters, sort_keys=True, default=str),
        }
