"""`fit`, the method of all translators."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar, cast

from fastai.callback.core import Callback

from geotranslate.checks import folder_path
from geotranslate.migration import checks_arguments
from geotranslate.training.callbacks.precision import TrainingPrecision
from geotranslate.training.callbacks.schedule import Schedule
from geotranslate.training.callbacks.trackers import CheckpointKind
from geotranslate.training.fitting import FitOptions
from geotranslate.translators.runs.trainingrun import Trainable, run

Model = TypeVar("Model")
"""A class of `Trainable` models; as a bound, mypy does not find that it has this method."""


@checks_arguments
def fit(
    model: Model,
    epochs: int = 10,
    lr: float | Sequence[float] | None = None,
    *,
    schedule: Schedule | None = None,
    decay_epochs: int | None = None,
    warmup: float | None = None,
    betas: tuple[float, float] | None = None,
    weight_decay: float = 0.0,
    early_stopping: bool | int = False,
    checkpoint: CheckpointKind = True,
    monitor: str | None = None,
    precision: TrainingPrecision = "auto",
    accumulate: int = 1,
    clip: float | None = None,
    ema: float | None = None,
    compile: bool = False,
    sample_every: int = 0,
    sample_pairs: int | Sequence[int] = 2,
    sample_random: bool = False,
    log_every: int = 0,
    tensorboard: bool = False,
    wandb: bool = False,
    callbacks: Sequence[Callback] = (),
    folder: str | os.PathLike[str] = "training",
    resume: bool = False,
    progress: bool = True,
) -> Model:
    """Train for a number of epochs and return the model.

    Shows a progress bar and, for each epoch, a row of losses and metrics, which `history`
    keeps. Another call continues with the same weights and optimizer state.

    If `accelerate launch` or `torchrun` starts several processes, they train together: each
    process uses its own GPU, or the CPU, and its share of the pairs, and gradients are
    averaged. Every process measures all validation pairs; only the first writes and shows.

    Args:
        model: The model, as the method's `self`.
        epochs: Passes over the training pairs.
        lr: Learning rate, or a pair of rates for generator and discriminator; by default set by
            the recipe or the paper (2e-4).
        schedule: "constant", "linear_decay" to 0 over the second half, "cosine" to 0 after a
            short warm-up, "one_cycle", or "step", to a tenth after each quarter; by default set
            by the recipe or the paper. A scheduler of `lr` in `callbacks` replaces it.
        decay_epochs: Last epochs of "linear_decay" or "cosine", in which the rate falls;
            before, it is constant. For "step", the epochs between its falls.
        warmup: First epochs, in which the rate rises to `lr`; by default the schedule's own.
        betas: Decays of Adam's means of the gradients and of their squares; by default set by
            the recipe or the paper, (0.5, 0.999).
        weight_decay: Share of the weights, times the learning rate, by which each step shrinks
            them, as in AdamW; not for biases and normalizations.
        early_stopping: True to stop if `monitor` has not improved for 5 epochs, or that number
            of epochs.
        checkpoint: True keeps in `folder` everything that `resume` needs (`last.safetensors`
            and the previous one) and the best model by `monitor` (`best`); "all" also keeps the
            model of every epoch; a number n keeps the model of every n-th epoch; False keeps
            nothing.
        monitor: One of `available_metrics`; by default `valid_l1`, or without validation pairs
            the cycle error `valid_cycle`.
        precision: "float32", "bfloat16", "float16" with scaled gradients, or "auto" for the
            fastest one that the hardware supports.
        accumulate: Number of batches per optimizer step; the last step of an epoch may have
            fewer.
        clip: Largest norm of the generator's gradients.
        ema: Decay of the exponential moving average of the generator's weights, which is used
            for translation and validation and is saved with the generator. 0 turns it off and
            drops an existing average. By default the decay of the previous training, if any,
            else the recipe's or 0.999.
        compile: Whether to compile the generator first (torch.compile), which takes a minute.
        sample_every: Epochs between pictures of validation pairs in `folder/samples`; 0 for
            none.
        sample_pairs: Number of pairs in a picture, the first ones, or a list of their places
            in `data.valid_ds`, from 0.
        sample_random: Whether each picture shows other pairs, drawn at random.
        log_every: Steps between rows of `folder/steps.csv`, which has the learning rates and
            all losses of single steps; 0 for no such file.
        tensorboard: Whether to log for TensorBoard in `folder/tensorboard`.
        wandb: Whether to log to Weights & Biases by fastai's callback: to the current run, or
            to a new one in the project "geotranslate".
        callbacks: Additional fastai callbacks, used in every process.
        folder: Folder for checkpoints, `history.csv`, pictures and logs; only one training can
            use it at a time.
        resume: Whether to continue an interrupted training in `folder`; the result is the same
            as without the interruption. Starts from the beginning if there is no checkpoint.
        progress: Whether to show the bar and the rows.

    Raises:
        InvalidInputError: The model was loaded without data, an argument is invalid, or a batch
            does not fit in memory.
        MissingPackageError: Accelerate, TensorBoard or wandb is needed and not installed.
        RasterFileError: Nothing can be written to `folder`, or another training writes to it.
        ModelFileError: The checkpoint belongs to another model, data or batches, or is damaged.
        TrainingError: Losses or weights are not finite, or the generator cannot be compiled.
    """
    trained = cast(Trainable, model)
    data = trained._loaders()
    options = FitOptions(
        epochs=epochs,
        lr=trained.fit_defaults.lr if lr is None else lr,
        schedule=trained.fit_defaults.schedule if schedule is None else schedule,
        decay_epochs=decay_epochs,
        warmup=warmup,
        betas=trained.fit_defaults.betas if betas is None else betas,
        weight_decay=weight_decay,
        early_stopping=early_stopping,
        checkpoint=checkpoint,
        monitor=trained.fit_defaults.monitor if monitor is None else monitor,
        precision=precision,
        accumulate=accumulate,
        clip=clip,
        ema=ema,
        compile=compile,
        sample_every=sample_every,
        sample_pairs=sample_pairs,
        sample_random=sample_random,
        log_every=log_every,
        tensorboard=tensorboard,
        wandb=wandb,
        callbacks=callbacks,
        folder=folder_path("folder", folder),
        resume=resume,
        progress=progress,
    )
    options.check_model(trained.learn, trained.available_metrics)
    options.check_samples(len(data.valid_ds) or len(data.train_ds))
    if trained._next is not None:
        trained._go_on_with(trained._next)
    run(trained, data, options)
    return model
