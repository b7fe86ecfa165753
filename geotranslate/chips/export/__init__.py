"""Export of training chips from rasters of one place."""

from geotranslate.chips.export.exporter import ChipExport, export_chips

__all__ = [
    "ChipExport",
    "export_chips",
]
