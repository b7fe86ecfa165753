"""The command that exports a model for other software."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geotranslate.cli.console import sentences, show
from geotranslate.cli.options import DerivedCommand, given
from geotranslate.cli.sections import EXPORT_MODEL, as_json


@click.command(
    "export-model",
    cls=DerivedCommand,
    sections=[EXPORT_MODEL],
    short_help="Write a saved model as a file for other software.",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("path", type=click.Path())
@as_json
def export_model(model: Path, path: str, as_json: bool, **options: Any) -> None:
    """Write the saved MODEL as the file PATH, whose ending decides the format.

    A name that ends in .onnx makes an ONNX file, with which `predict` translates too.
    """
    with sentences():
        from geotranslate.translators.registry import load_model

        written = load_model(model).export(path, **given(EXPORT_MODEL, options))
    show(written, {"path": str(written)}, as_json=as_json)
