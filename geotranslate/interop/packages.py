"""Optional packages of the formats, imported where they are used."""

from __future__ import annotations

import importlib
from typing import Any

from geotranslate.errors import MissingPackageError, said


def required(package: str, extra: str, purpose: str) -> Any:
    """Import a package of an extra and return it.

    Args:
        package: Its name as a module.
        extra: Name of the extra of geotranslate that brings it.
        purpose: The thing that needs it, as the beginning of a sentence.

    Raises:
        MissingPackageError: It cannot be imported.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingPackageError(
            f"{purpose} needs {package}, which cannot be imported ({said(error)}); install it by: "
            f"pip install 'geotranslate[{extra}]'."
        ) from error
