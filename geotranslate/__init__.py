"""Translate one kind of georeferenced raster into another with deep learning."""

from __future__ import annotations

import lazy_loader

__version__ = "0.1.0"

# torch and fastai take seconds to import: what a name needs is imported when it is first used. The
# stub file beside this one lists the names.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
