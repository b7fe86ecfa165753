"""The command line: thin commands over the public functions."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

import geotranslate
from geotranslate.errors import GeotranslateError, GeotranslateWarning


@click.group()
@click.version_option(geotranslate.__version__, prog_name="geotranslate")
def main() -> None:
    """Translate one kind of georeferenced raster into another with deep learning."""


@main.command()
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

    Takes about two minutes on two CPU cores and downloads nothing.
    """
    # torch takes seconds to import: say something first.
    click.echo("Starting up")
    with _sentences():
        from geotranslate.demo.run import run_demo

        run_demo(folder, seed=seed, overwrite=overwrite, say=click.echo)


@contextmanager
def _sentences() -> Iterator[None]:
    """Show our errors and warnings as the sentences they are, without code around them."""
    show = warnings.showwarning

    def say(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, GeotranslateWarning):
            click.echo(f"Note: {message}", err=True)
        else:
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = say
    try:
        yield
    except GeotranslateError as error:
        raise click.ClickException(str(error)) from error
    finally:
        warnings.showwarning = show


if __name__ == "__main__":
    sys.exit(main())
