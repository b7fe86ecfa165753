"""The command that trains on an invented town."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from geotranslate.cli.console import open_page, sentences, show
from geotranslate.cli.sections import as_json


@click.command(short_help="Try everything on an invented town.")
@click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default="geotranslate-demo"
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed of the town and the training.",
)
@click.option("--overwrite", is_flag=True, help="Replace the demo in a folder that is not empty.")
@click.option("--open", "opened", is_flag=True, help="Open the report in the browser.")
@as_json
def demo(folder: Path, seed: int, overwrite: bool, opened: bool, as_json: bool) -> None:
    """Train on an invented town and translate the part it never saw, into FOLDER.

    Takes about three minutes on two CPU cores and downloads nothing.
    """
    say = partial(click.echo, file=sys.stderr if as_json else sys.stdout)
    # torch takes seconds to import: say something first.
    say("Starting up")
    with sentences("The same command with --overwrite starts again."):
        from geotranslate.demo.run import REPORT, run_demo

        numbers = run_demo(folder, seed=seed, overwrite=overwrite, say=say)
        if opened:
            open_page(folder / REPORT)
    if as_json:
        show("", numbers, as_json=True)
