"""The command that trains on an invented town."""

from __future__ import annotations

from pathlib import Path

import click

from geotranslate.cli.console import sentences


@click.command()
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
def demo(folder: Path, seed: int, overwrite: bool) -> None:
    """Train on an invented town and translate the part it never saw, into FOLDER.

    Takes about three minutes on two CPU cores and downloads nothing.
    """
    # torch takes seconds to import: say something first.
    click.echo("Starting up")
    with sentences():
        from geotranslate.demo.run import run_demo

        run_demo(folder, seed=seed, overwrite=overwrite, say=click.echo)
