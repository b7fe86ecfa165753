"""fastai callbacks of a training: GAN steps, schedules, metrics, logs and checkpoints."""

from geotranslate.training.callbacks.diagnostics import Diagnostics
from geotranslate.training.callbacks.ema import DECAY, EMACallback, averaged, moving
from geotranslate.training.callbacks.gan import EpochAccumulation, GANCallback
from geotranslate.training.callbacks.history import (
    NEITHER,
    CSVLogger,
    EpochMean,
    History,
    SampleImages,
    StartRow,
    TensorBoardCallback,
    check_monitor,
)
from geotranslate.training.callbacks.loggers import StepLogger, wandb_callback
from geotranslate.training.callbacks.precision import (
    ReducedPrecision,
    TrainingPrecision,
    training_precision,
)
from geotranslate.training.callbacks.scaledloss import ScaledL1
from geotranslate.training.callbacks.schedule import (
    ParamScheduler,
    RateCurve,
    Schedule,
    ShareDone,
    schedules_rate,
)
from geotranslate.training.callbacks.synchronization import Synchronization, SynchronizedHistory
from geotranslate.training.callbacks.trackers import (
    CheckpointKind,
    EarlyStoppingCallback,
    SaveModelCallback,
)
from geotranslate.training.callbacks.validation import (
    ColumnsCallback,
    CycleValidation,
    ValidationMetrics,
)

__all__ = [
    "DECAY",
    "NEITHER",
    "CSVLogger",
    "CheckpointKind",
    "ColumnsCallback",
    "CycleValidation",
    "Diagnostics",
    "EMACallback",
    "EarlyStoppingCallback",
    "EpochAccumulation",
    "EpochMean",
    "GANCallback",
    "History",
    "ParamScheduler",
    "RateCurve",
    "ReducedPrecision",
    "SampleImages",
    "SaveModelCallback",
    "ScaledL1",
    "Schedule",
    "ShareDone",
    "StartRow",
    "StepLogger",
    "Synchronization",
    "SynchronizedHistory",
    "TensorBoardCallback",
    "TrainingPrecision",
    "ValidationMetrics",
    "averaged",
    "check_monitor",
    "moving",
    "schedules_rate",
    "training_precision",
    "wandb_callback",
]
