"""The command that trains a translator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geotranslate.cli.console import sentences, show
from geotranslate.cli.options import DerivedCommand
from geotranslate.cli.sections import TRANSLATORS, as_json
from geotranslate.cli.settings import FILE, SECTIONS, Settings


@click.command(cls=DerivedCommand, sections=SECTIONS, short_help="Train a model and save it.")
@click.argument("path", required=False)
@click.argument("target", required=False)
@click.option("-o", "--output", help="Folder of the trained model.")
@click.option(
    "--translator",
    type=click.Choice(list(TRANSLATORS), case_sensitive=False),
    help="Class of the model.  [default: Pix2Pix]",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help=f"TOML file with options, such as the {FILE} that a training writes; options of the "
    "command line replace those of the file.",
)
@as_json
def train(config: Path | None, as_json: bool, **options: Any) -> None:
    """Train a model on the chips in PATH, or on the rasters PATH and TARGET, and save it.

    All settings are written to train.toml, in the folder of the training and beside the saved
    model. After an interruption, the same command with --resume goes on with the last epoch that
    was finished.
    """
    settings = Settings.merged(config, options)
    with sentences(_how_to_go_on(settings)):
        # Imported first, because it silences the warnings of fastai's own imports.
        import geotranslate.training  # noqa: F401
        from geotranslate.cli.training import run_training

        metrics = run_training(settings)
    text = f"{settings.output}\n\n{metrics}" if metrics else settings.output
    show(text, {"model": settings.output, "metrics": metrics.to_json()}, as_json=as_json)


def _how_to_go_on(settings: Settings) -> str:
    if settings.fit.get("checkpoint") is False:
        return "Nothing is kept, because checkpoint is False; start again."
    file = Path(settings.fit.get("folder", "training")) / FILE
    return (
        "If an epoch was finished, it is kept; go on with:\n"
        f"  geotranslate train --config {file} --resume"
    )
