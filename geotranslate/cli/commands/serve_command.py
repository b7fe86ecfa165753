"""The command that shows a scene and its translation on a live map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from geotranslate.cli.console import sentences
from geotranslate.cli.options import DerivedCommand, given
from geotranslate.cli.sections import LOAD, SERVE


@click.command(
    cls=DerivedCommand,
    sections=[SERVE, LOAD],
    short_help="Translate a scene on a map, where somebody looks at it.",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("scene")
@click.option("--truth", metavar="RASTER", help="Raster to compare the translation with.")
def serve(model: Path, scene: str, truth: str | None, **options: Any) -> None:
    """Show SCENE and its translation by the saved MODEL on a map in the browser, until Ctrl-C.

    Nothing is translated before somebody looks at it. What the map shows at native resolution are
    the pixels that predict writes with the same options.
    """
    with sentences():
        from geotranslate.livemap import serve
        from geotranslate.livemap.server import refuse_missing_packages
        from geotranslate.translators.registry import load_model

        refuse_missing_packages()
        translator = load_model(model, **given(LOAD, options))
        serve(translator, scene, truth, ready=_say, **given(SERVE, options))


def _say(address: str) -> None:
    click.echo(f"{address} shows the map; Ctrl-C ends it.")
