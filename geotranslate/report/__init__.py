"""Report of a model and its scenes: one HTML file with measures and a viewer of each scene."""

from geotranslate.report.reporting import report

__all__ = ["report"]
