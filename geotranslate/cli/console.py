"""Errors, warnings and broken output of commands."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from geotranslate.cli.streams import broken_streams, flush_streams, open_closed_streams, sentence
from geotranslate.errors import GeotranslateError, GeotranslateWarning


class Commands(click.Group):
    """Commands whose output may be closed, full or read by nobody."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command; failures of its output end in a sentence too, and in exit code 1."""
        open_closed_streams()
        try:
            try:
                return super().main(*args, **options)
            finally:
                flush_streams()
        except OSError:
            broken = broken_streams()
            if not broken:
                raise
            if said := sentence(broken):
                click.echo(f"Error: {said}", err=True)
            sys.exit(1)


@contextmanager
def sentences() -> Iterator[None]:
    """Print errors and warnings of geotranslate as sentences, without a traceback."""
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
