"""The command that writes the plugin for QGIS."""

from __future__ import annotations

from typing import Any

import click

from geotranslate.cli.console import sentences, show
from geotranslate.cli.options import DerivedCommand, given
from geotranslate.cli.sections import PLUGIN, as_json


@click.command(
    "qgis-plugin", cls=DerivedCommand, sections=[PLUGIN], short_help="Write a plugin for QGIS."
)
@click.argument("path", default="geotranslate_qgis.zip", type=click.Path())
@as_json
def qgis_plugin(path: str, as_json: bool, **options: Any) -> None:
    """Write the plugin for QGIS as the zip file PATH, geotranslate_qgis.zip by default.

    QGIS installs it in Plugins > Manage and Install Plugins > Install from ZIP.
    """
    with sentences():
        from geotranslate.interop.qgis import write_plugin

        written = write_plugin(path, **given(PLUGIN, options))
    show(written, {"path": str(written)}, as_json=as_json)
