"""The command that cuts rasters into chips."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from geotranslate.cli.console import sentences, show
from geotranslate.cli.options import DerivedCommand, given
from geotranslate.cli.sections import EXPORT, as_json


@click.command(
    "export-chips",
    cls=DerivedCommand,
    sections=[EXPORT],
    short_help="Cut two rasters into pairs of chips.",
)
@click.argument("source")
@click.argument("target")
@click.argument("folder", type=click.Path())
@as_json
def export_chips(source: str, target: str, folder: str, as_json: bool, **options: Any) -> None:
    """Cut the rasters SOURCE and TARGET into pairs of chips in FOLDER.

    One of the two may be a vector layer. More scenes are added by further calls with --append.
    """
    with sentences("The folder of the chips is as it was; start again."):
        from geotranslate.chips import export

        done = export.export_chips(source, target, folder, **given(EXPORT, options))
    warped = ", a side resampled to the other's grid" if done.target_warped else ""
    text = (
        f"{done.folder}: {done.pairs} pairs{warped}; left out: {done.outside_aoi} outside of the "
        f"area of interest, {done.mostly_invalid} with too few valid pixels"
    )
    show(text, asdict(done), as_json=as_json)
