"""A plugin for QGIS whose algorithms run the command line."""

from geotranslate.interop.qgis.plugin_zip import write_plugin

__all__ = ["write_plugin"]
