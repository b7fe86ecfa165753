"""The command line, with one thin module per command over the public functions."""

from __future__ import annotations

import click

import geotranslate
from geotranslate.cli.commands.demo_command import demo
from geotranslate.cli.commands.evaluate_command import evaluate
from geotranslate.cli.commands.evaluate_raster_command import evaluate_raster
from geotranslate.cli.commands.export_command import export_chips
from geotranslate.cli.commands.export_model_command import export_model
from geotranslate.cli.commands.inspect_command import inspect
from geotranslate.cli.commands.predict_command import predict
from geotranslate.cli.commands.qgis_plugin_command import qgis_plugin
from geotranslate.cli.commands.report_command import report
from geotranslate.cli.commands.serve_command import serve
from geotranslate.cli.commands.train_command import train
from geotranslate.cli.console import Commands


@click.group(cls=Commands)
@click.version_option(geotranslate.__version__, prog_name="geotranslate")
def main() -> None:
    """Translate one kind of georeferenced raster into another with deep learning.

    From two rasters of a place to a translated scene:

    \b
      geotranslate export-chips photo.tif map.tif chips
      geotranslate inspect chips
      geotranslate train chips -o model
      geotranslate evaluate model chips
      geotranslate predict model scene.tif
      geotranslate evaluate-raster scene_translated.tif truth.tif
      geotranslate report model report.html --scene scene.tif=truth.tif

    Options have the names of the Python arguments. Progress goes to standard error, results to
    standard output. The exit code is 0, 1 after an error, 2 for wrong usage, 130 after Ctrl-C.
    """  # noqa: D301  # click knows the escaped character, which keeps the lines of a paragraph


for command in (
    export_chips,
    inspect,
    train,
    evaluate,
    predict,
    evaluate_raster,
    export_model,
    report,
    serve,
    demo,
    qgis_plugin,
):
    main.add_command(command)
