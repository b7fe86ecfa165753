"""Errors and warnings, which say what was given, what is expected and what to do."""

from __future__ import annotations

import os
import sys
import warnings

_PACKAGE = os.path.dirname(__file__) + os.sep


class GeotranslateError(Exception):
    """Root of every error that geotranslate raises on purpose."""


class InvalidInputError(GeotranslateError, ValueError):
    """An argument, a raster or a chip folder is not valid for the call."""


class UnknownArgumentError(GeotranslateError, TypeError):
    """A function was called with an argument that it does not have, or without one it needs."""


class UnknownMeasureError(GeotranslateError, KeyError):
    """Metrics were asked for a measure that they do not have."""

    def __str__(self) -> str:
        # A KeyError would show its sentence in quotation marks.
        return str(self.args[0])


class RasterFileError(GeotranslateError, OSError):
    """A raster or a folder cannot be opened, read or written."""


class OutputExistsError(GeotranslateError, FileExistsError):
    """The output already exists and overwriting was not asked for."""


class GridMismatchError(InvalidInputError):
    """The grids of two rasters do not match as the call requires."""


class ModelFileError(GeotranslateError, ValueError):
    """A model folder is missing, damaged or was not written by geotranslate."""


class MissingPackageError(GeotranslateError, ImportError):
    """A package of an extra is needed and cannot be imported."""


class TranslationError(GeotranslateError, RuntimeError):
    """Translating a tile failed."""


class TrainingError(GeotranslateError, RuntimeError):
    """A training cannot continue."""


class GeotranslateWarning(UserWarning):
    """Something that the result depends on and that the user may not expect."""


_MOST_SAID = 1000
"""Longest text of an error that is repeated whole in a sentence."""


def said(error: BaseException) -> str:
    """Return the text of an error for the middle of a sentence: no period, not too long."""
    text = str(error).strip().rstrip(".").rstrip() or type(error).__name__
    # Errors of other libraries can repeat a whole value from a damaged file.
    return text if len(text) <= _MOST_SAID else f"{text[: _MOST_SAID // 2]} ... {text[-100:]}"


def warn(sentence: str) -> None:
    """Issue a `GeotranslateWarning` at the line of the caller's code that led to it."""
    # Frames of fastai may lie between frames of this package: the outermost one counts.
    level = outermost = 1
    frame = sys._getframe()
    while frame.f_back is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            outermost = level
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, GeotranslateWarning, stacklevel=outermost + 1)
