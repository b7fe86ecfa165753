"""The command line, with one thin module per command over the public functions."""

from __future__ import annotations

import click

import geotranslate
from geotranslate.cli.console import Commands
from geotranslate.cli.demo_command import demo
from geotranslate.cli.predict_command import predict


@click.group(cls=Commands)
@click.version_option(geotranslate.__version__, prog_name="geotranslate")
def main() -> None:
    """Translate one kind of georeferenced raster into another with deep learning."""


main.add_command(demo)
main.add_command(predict)
