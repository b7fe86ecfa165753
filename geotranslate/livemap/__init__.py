"""Live maps: a scene is translated where somebody looks at it."""

from __future__ import annotations

from geotranslate.livemap.server import serve

__all__ = ["serve"]
