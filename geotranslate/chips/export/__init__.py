"""Cut rasters of one place into a folder of training chips."""

from geotranslate.chips.export.exporter import ChipExport, export_chips

__all__ = [
    "ChipExport",
    "export_chips",
]
