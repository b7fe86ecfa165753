"""Errors, warnings and broken output of commands."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from geotranslate.errors import GeotranslateError, GeotranslateWarning

NAMES = {"stdout": "standard output", "stderr": "standard error"}


def open_closed_streams() -> None:
    """Open standard streams that the caller has closed; text written to them is lost.

    Otherwise a raster would get the number of a closed stream, and GDAL would write its messages
    into the raster.
    """
    for number, name in enumerate(("stdin", *NAMES)):
        try:
            os.fstat(number)
        except OSError:
            # The system assigns the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))


def flush_streams() -> None:
    """Write buffered output before Python exits, so that a failure can be explained.

    Raises:
        OSError: A stream cannot be written.
    """
    for name in NAMES:
        getattr(sys, name).flush()


def broken_streams() -> dict[str, OSError]:
    """Return the streams that cannot be written, by name, and redirect them to nowhere."""
    # Text that could not be written is still buffered, unless nothing is.
    return _failing("") or _failing("\n")


def _failing(text: str) -> dict[str, OSError]:
    broken = {}
    for name in NAMES:
        stream = getattr(sys, name)
        try:
            stream.write(text)
            stream.flush()
        except OSError as error:
            broken[name] = error
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return broken


def sentence(broken: dict[str, OSError]) -> str | None:
    """Return a message about streams that cannot be written; None if nobody would read it."""
    error = broken.get("stdout")
    if error is None or "stderr" in broken or error.errno == errno.EPIPE:
        return None
    return (
        f"Standard output cannot be written: {error.strerror}. Files that are complete stay; make "
        "room, or send the output elsewhere, and start again."
    )


class Commands(click.Group):
    """Commands whose output may be closed or full, or has no reader."""

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
