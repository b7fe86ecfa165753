"""Objectives: the losses of generators and discriminators over one batch."""

from geotranslate.training.objectives.base import (
    GanMode,
    Objective,
    discriminator_loss,
    feature_loss,
    fill_invalid,
    generator_loss,
    gradient_penalty,
    masked_l1,
    objectives_of,
    scaled_l1,
)
from geotranslate.training.objectives.cycle import CycleObjective, ImagePool, filled
from geotranslate.training.objectives.paired import PairDiscriminator, PairedObjective

__all__ = [
    "CycleObjective",
    "GanMode",
    "ImagePool",
    "Objective",
    "PairDiscriminator",
    "PairedObjective",
    "discriminator_loss",
    "feature_loss",
    "fill_invalid",
    "filled",
    "generator_loss",
    "gradient_penalty",
    "masked_l1",
    "objectives_of",
    "scaled_l1",
]
