"""Provenance of translated rasters: tags with the model and the options."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from importlib.metadata import version

from shapely.geometry.base import BaseGeometry

from geotranslate.chips.bands import Direction
from geotranslate.prediction.inference import Inference, Tta
from geotranslate.prediction.tilesize import PredictOptions

PREFIX = "GEOTRANSLATE_"


@dataclass(frozen=True)
class Provenance:
    """A model and the options that determine the pixels of its translations."""

    model: str
    """Name of its class."""
    digest: str
    """SHA-256 of its weights."""
    inference: Inference
    tta: Tta
    options: PredictOptions
    direction: Direction = "AtoB"

    @property
    def named(self) -> dict[str, str]:
        """Everything that the translation of a tile depends on, by names for messages."""
        card = json.dumps(self.inference.card.to_json(), sort_keys=True)
        return {
            "model": "\n".join((self.model, self.digest, card)),
            "direction": self.direction,
            "precision": self.inference.precision,
            "norm_stats": self.inference.norm_stats,
            "test-time augmentation": str(self.tta),
            "version of geotranslate": version("geotranslate"),
        }

    @property
    def identity(self) -> str:
        """SHA-256 of everything that the translation of a tile depends on."""
        return hashlib.sha256("\n".join(self.named.values()).encode()).hexdigest()

    def tags(self, scene: str, area: BaseGeometry | None) -> dict[str, str]:
        """Return the tags of an output; equal translations have equal tags."""
        parameters = self.options.parameters | {
            "aoi": None if area is None else hashlib.sha256(area.wkb).hexdigest()[:16],
            "direction": self.direction,
            "precision": self.inference.precision,
            "norm_stats": self.inference.norm_stats,
            "tta": self.tta,
        }
        return {
            f"{PREFIX}VERSION": version("geotranslate"),
            f"{PREFIX}MODEL": self.model,
            f"{PREFIX}WEIGHTS_SHA256": self.digest,
            f"{PREFIX}IDENTITY": self.identity,
            f"{PREFIX}SOURCE": os.path.basename(scene),
            f"{PREFIX}PARAMETERS": json.dumps(parameters, sort_keys=True, default=str),
        }
