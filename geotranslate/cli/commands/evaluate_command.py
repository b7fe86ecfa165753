"""The command that measures a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geotranslate.cli.console import sentences, show
from geotranslate.cli.options import DerivedCommand, given
from geotranslate.cli.sections import DATA, METRICS, as_json


@click.command(
    cls=DerivedCommand, sections=[METRICS, DATA], short_help="Measure a saved model on pairs."
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("path")
@click.argument("target", required=False)
@click.option("--back", is_flag=True, help="Measure translations from target to source (CycleGAN).")
@as_json
def evaluate(
    model: Path, path: str, target: str | None, back: bool, as_json: bool, **options: Any
) -> None:
    """Measure the saved MODEL on the chips in PATH, or on the rasters PATH and TARGET.

    The validation pairs are measured if the data and its options are the ones of the training,
    else all pairs; --which chooses.
    """
    with sentences():
        from geotranslate.data import prepare_data
        from geotranslate.translators.registry import load_model

        data = prepare_data(path, target, **given(DATA, options))
        translator = load_model(model, device=options["device"])
        found = translator.compute_metrics(
            data=data, direction="BtoA" if back else "AtoB", **given(METRICS, options)
        )
    show(found, found.to_json(), as_json=as_json)
