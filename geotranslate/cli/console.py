"""Results, errors, warnings, interruptions and broken output of commands."""

from __future__ import annotations

import errno
import json
import math
import os
import sys
import warnings
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

import click

from geotranslate.errors import GeotranslateError, GeotranslateWarning

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
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

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an interruption ends it with exit code 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _stopped("") from None

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


def show(text: object, values: Any, *, as_json: bool) -> None:
    """Print results on standard output, as text or as JSON.

    Args:
        text: The results for readers.
        values: The results as plain values; numbers that are not finite become null.
        as_json: Whether to print the values.
    """
    click.echo(json.dumps(_plain(values), indent=2, default=str) if as_json else str(text))


def open_page(path: Path) -> None:
    """Open an HTML file in the browser; say where it is if there is no browser."""
    if not webbrowser.open(path.absolute().as_uri()):
        click.echo(f"There is no browser here; open {path} in one.", err=True)


def _plain(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _plain(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_plain(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def _stopped(how: str) -> click.exceptions.Exit:
    """Say that a command was interrupted; return the exception that ends it."""
    click.echo(f"\nStopped. {how}".rstrip(), err=True)
    return click.exceptions.Exit(INTERRUPTED)


@contextmanager
def sentences(stopped: str = "") -> Iterator[None]:
    """Print errors and warnings of geotranslate as sentences, and progress on standard error.

    Args:
        stopped: Sentence after Ctrl-C about what is left and how to go on.
    """
    show_warning = warnings.showwarning

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
            show_warning(message, category, filename, lineno, file, line)

    warnings.showwarning = say
    try:
        # fastai prints the rows of a training.
        with redirect_stdout(sys.stderr):
            yield
    except GeotranslateError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        raise _stopped(stopped) from None
    finally:
        warnings.showwarning = show_warning
